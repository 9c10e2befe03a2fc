package stripesim

import (
	"strings"
	"time"
)

const (
	// Stripe's bounds for expires_at. https://stripe.com/docs/api/checkout/sessions/create
	sessionLifetime    = 24 * time.Hour
	sessionMinLifetime = 30 * time.Minute
)

var trialSettings = hash(fields{
	"end_behavior": hash(fields{
		"missing_payment_method": enum("cancel", "create_invoice", "pause").must(),
	}).must(),
})

var sessionCreate = objectParams(fields{
	"allow_promotion_codes":      boolean,
	"automatic_tax":              automaticTax,
	"billing_address_collection": enum("auto", "required"),
	"cancel_url":                 nonEmpty,
	"client_reference_id":        nonEmpty,
	"currency":                   nonEmpty,
	"customer":                   nonEmpty,
	"customer_email":             nonEmpty,
	"customer_update": hash(fields{
		"address": enum("auto", "never"), "name": enum("auto", "never"), "shipping": enum("auto", "never"),
	}),
	"expires_at": integer,
	"line_items": array(hash(fields{"price": nonEmpty.must(), "quantity": integer})),
	"locale": enum("auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA",
		"hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk",
		"sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW"),
	"metadata":                  metadata,
	"mode":                      enum("payment", "setup", "subscription").must(),
	"payment_method_collection": enum("always", "if_required"),
	"payment_method_types":      array(enum("card", bankDebit)),
	"subscription_data": hash(fields{
		"description":       nonEmpty,
		"metadata":          metadata,
		"trial_end":         integer,
		"trial_period_days": integer,
		"trial_settings":    trialSettings,
	}),
	"success_url": nonEmpty.must(),
	"ui_mode":     enum("hosted"),
})

var sessionList = listParams(fields{
	"created":      createdRange,
	"customer":     nonEmpty,
	"status":       enum("complete", "expired", "open"),
	"subscription": nonEmpty,
})

func (c *call) createSession() (object, error) {
	if mode := c.params.str("mode"); mode != "subscription" {
		return nil, invalidRequest("mode", "", "This stand-in plays checkout in `subscription` mode only, not in `%s` mode.", mode)
	}
	customer, err := c.sessionCustomer()
	if err != nil {
		return nil, err
	}
	items, err := c.sessionItems(customer)
	if err != nil {
		return nil, err
	}
	expiresAt, err := c.sessionExpiry()
	if err != nil {
		return nil, err
	}
	if err := c.checkSessionParams(customer); err != nil {
		return nil, err
	}
	session := c.newSession(customer, expiresAt)
	setSessionAmounts(session, items, hasTrial(c.params.obj("subscription_data")))
	if c.params["payment_method_types"] == nil && session.str("currency") == "usd" {
		session["payment_method_types"] = list{"card", bankDebit}
	}
	c.putHidden(session, object{
		"line_items":        items,
		"subscription_data": c.subscriptionData(),
		"customer_update":   c.params.obj("customer_update"),
	})
	return session, nil
}

// subscriptionData is what the session's subscription is going to begin with.
func (c *call) subscriptionData() object {
	data := c.params.obj("subscription_data")
	if c.params.obj("automatic_tax").bool("enabled") {
		return object{}.set(data).set(object{"automatic_tax": c.params["automatic_tax"]})
	}
	return data
}

func (c *call) sessionCustomer() (object, error) {
	customer, err := c.fromParam("customer", kindCustomer)
	if err != nil {
		return nil, err
	}
	email := c.params.str("customer_email")
	switch {
	case customer != nil && email != "":
		return nil, invalidRequest("customer", "parameter_invalid_exclusive", "You may only specify one of these parameters: customer, customer_email.")
	case customer == nil && c.params["customer_update"] != nil:
		return nil, invalidRequest("customer_update", "", "`customer_update` can only be used with `customer`.")
	case email != "" && !isEmail(email):
		return nil, invalidRequest("customer_email", "email_invalid", "Invalid email address: %s", email)
	}
	return customer, nil
}

func (c *call) sessionExpiry() (int64, error) {
	given, came := c.params["expires_at"].(int64)
	if !came {
		return c.now.Add(sessionLifetime).Unix(), nil
	}
	switch at := time.Unix(given, 0); {
	case at.Before(c.now.Add(sessionMinLifetime).Truncate(time.Second)):
		return 0, invalidRequest("expires_at", "", "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.")
	case at.After(c.now.Add(sessionLifetime)):
		return 0, invalidRequest("expires_at", "", "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.")
	}
	return given, nil
}

func (c *call) checkSessionParams(customer object) error {
	for _, param := range []string{"success_url", "cancel_url"} {
		// Stripe fills this in itself; as it stands it is no part of an URL.
		filled := strings.ReplaceAll(c.params.str(param), "{CHECKOUT_SESSION_ID}", "id")
		if filled == "" {
			continue
		}
		if err := checkURL(param, filled); err != nil {
			return err
		}
	}
	data := c.params.obj("subscription_data")
	days, hasDays := data["trial_period_days"].(int64)
	end, hasEnd := data["trial_end"].(int64)
	switch {
	case hasDays && hasEnd:
		return invalidRequest("subscription_data[trial_end]", "parameter_invalid_exclusive", "You may only specify one of these parameters: trial_end, trial_period_days.")
	case hasDays && (days < 1 || days > 730):
		return invalidRequest("subscription_data[trial_period_days]", "", "The minimum number of trial period days is 1 and the maximum is 730.")
	case hasEnd && end < c.now.Add(48*time.Hour).Unix():
		return invalidRequest("subscription_data[trial_end]", "", "The `trial_end` date has to be at least 2 days in the future.")
	case data["trial_settings"] != nil && !hasDays && !hasEnd:
		return invalidRequest("subscription_data[trial_settings]", "", "`trial_settings` can only be used with a trial.")
	}
	if c.params.obj("automatic_tax").bool("enabled") && customer != nil && customer["address"] == nil &&
		c.params.obj("customer_update").str("address") != "auto" {
		return invalidRequest("customer", "customer_tax_location_invalid", "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to the Customer or set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto' to save the address entered in Checkout to the Customer.")
	}
	return nil
}

func (c *call) newSession(customer object, expiresAt int64) object {
	id := newID("cs_test_a1", sessionID-2)
	tax := object{"enabled": false, "liability": nil, "status": nil}
	if c.params.obj("automatic_tax").bool("enabled") {
		tax = object{"enabled": true, "liability": object{"type": "self"}, "status": "requires_location_inputs"}
	}
	session := object{
		"id":                                   id,
		"object":                               kindCheckoutSession,
		"after_expiration":                     nil,
		"allow_promotion_codes":                nil,
		"automatic_tax":                        tax,
		"billing_address_collection":           nil,
		"cancel_url":                           nil,
		"client_reference_id":                  nil,
		"client_secret":                        nil,
		"consent":                              nil,
		"consent_collection":                   nil,
		"created":                              c.unix(),
		"currency_conversion":                  nil,
		"custom_fields":                        list{},
		"custom_text":                          object{"after_submit": nil, "shipping_address": nil, "submit": nil, "terms_of_service_acceptance": nil},
		"customer":                             nil,
		"customer_creation":                    "always",
		"customer_details":                     nil,
		"customer_email":                       nil,
		"expires_at":                           expiresAt,
		"invoice":                              nil,
		"invoice_creation":                     nil,
		"livemode":                             false,
		"locale":                               nil,
		"metadata":                             mergedMetadata(nil, c.params),
		"mode":                                 "subscription",
		"payment_intent":                       nil,
		"payment_link":                         nil,
		"payment_method_collection":            "always",
		"payment_method_configuration_details": nil,
		"payment_method_options":               object{},
		"payment_method_types":                 list{"card"},
		"payment_status":                       "unpaid",
		"phone_number_collection":              object{"enabled": false},
		"recovered_from":                       nil,
		"setup_intent":                         nil,
		"shipping_address_collection":          nil,
		"shipping_cost":                        nil,
		"shipping_details":                     nil,
		"shipping_options":                     list{},
		"status":                               "open",
		"submit_type":                          nil,
		"subscription":                         nil,
		"success_url":                          nil,
		"ui_mode":                              "hosted",
		"url":                                  c.server.publicURL + "/c/pay/" + id,
	}
	session.set(changes(c.params, "allow_promotion_codes", "billing_address_collection", "cancel_url",
		"client_reference_id", "customer_email", "locale", "payment_method_collection", "payment_method_types", "success_url"))
	if customer != nil {
		session["customer"] = customer.id()
		session["customer_creation"] = nil
		session["customer_details"] = customerDetails(customer["email"], nil)
	} else if email := c.params.str("customer_email"); email != "" {
		session["customer_details"] = customerDetails(email, nil)
	}
	return session
}

func customerDetails(email, name any) object {
	return object{"address": nil, "email": email, "name": name, "phone": nil, "tax_exempt": "none", "tax_ids": list{}}
}

func (c *call) retrieveSession() (object, error) {
	session, err := c.fromPath(kindCheckoutSession)
	if err != nil {
		return nil, err
	}
	return session, nil
}

func (c *call) listSessions() (object, error) {
	if err := c.customerKnown(); err != nil {
		return nil, err
	}
	return c.page(kindCheckoutSession, "/v1/checkout/sessions", func(o object) bool {
		return c.fits(o, "customer") && c.fits(o, "status") && c.fits(o, "subscription")
	})
}

func (c *call) listSessionItems() (object, error) {
	session, err := c.fromPath(kindCheckoutSession)
	if err != nil {
		return nil, err
	}
	items := c.hidden(kindCheckoutSession, session.id()).list("line_items")
	return c.pageOf(items, "item", "/v1/checkout/sessions/"+session.id()+"/line_items")
}

func (c *call) expireSession() (object, error) {
	session, err := c.fromPath(kindCheckoutSession)
	if err != nil {
		return nil, err
	}
	if status := session.str("status"); status != "open" {
		return nil, invalidRequest("", "", "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of %s.", status)
	}
	return c.expire(session), nil
}

func (t *tx) expire(session object) object {
	expired := session.clone().set(object{"status": "expired", "url": nil})
	t.put(expired)
	t.emit("checkout.session.expired", expired)
	return expired
}
