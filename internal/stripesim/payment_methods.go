package stripesim

import (
	"net/http"
	"time"
)

var (
	paymentMethodList   = listParams(fields{"customer": nonEmpty, "type": enum("card", bankDebit)})
	paymentMethodAttach = objectParams(fields{"customer": nonEmpty.must()})
	paymentMethodUpdate = objectParams(fields{
		"billing_details": hash(fields{
			"address": hash(addressFields).orEmpty(), "email": text, "name": text, "phone": text,
		}),
		"card":     hash(fields{"exp_month": integer, "exp_year": integer}),
		"metadata": metadata,
	})
)

// testMethods are the payment methods that Stripe keeps for tests, by the card
// that each of them is, and those of the cards that it does not have. Attaching
// one makes a payment method of that card.
// https://stripe.com/docs/testing#cards
var testMethods = map[string]string{
	"pm_card_visa":                                     "4242424242424242",
	"pm_card_chargeCustomerFail":                       "4000000000000341",
	"pm_card_chargeCustomerFail_insufficientFunds":     "4000000000003410",
	"pm_card_chargeCustomerFail_doNotHonor":            "4000000000013419",
	"pm_card_chargeDeclined":                           "4000000000000002",
	"pm_card_chargeDeclinedInsufficientFunds":          "4000000000009995",
	"pm_card_authenticationRequiredOnSetup":            "4000002500003155",
	"pm_card_authenticationRequired":                   "4000002760003184",
	"pm_card_authenticationRequiredSetupForOffSession": "4000003800000446",
	"pm_usBankAccount_success":                         "000123456789",
	"pm_usBankAccount_insufficientFunds":               "000222222227",
	"pm_card_createDispute":                            "4000000000000259",
	"pm_card_createDisputeProductNotReceived":          "4000000000002685",
	"pm_card_createDisputeInquiry":                     "4000000000001976",
	"pm_card_refundFail":                               "4000000000005126",
	"pm_card_pendingRefund":                            "4000000000007726",
}

func (c *call) retrievePaymentMethod() (object, error) { return c.fromPath(kindPaymentMethod) }

// listPaymentMethods shows cards that belong to somebody; one that was typed
// and declined belongs to nobody.
func (c *call) listPaymentMethods() (object, error) {
	if err := c.customerKnown(); err != nil {
		return nil, err
	}
	return c.page(kindPaymentMethod, "/v1/payment_methods", func(o object) bool {
		return o["customer"] != nil && c.fits(o, "type")
	})
}

func (c *call) listCustomerPaymentMethods() (object, error) {
	customer, err := c.liveFromPath(kindCustomer)
	if err != nil {
		return nil, err
	}
	methods := c.listed(c.newestFirstOf(kindPaymentMethod, customer.id()), func(o object) bool { return c.fits(o, "type") })
	return c.pageOf(methods, kindPaymentMethod, "/v1/customers/"+customer.id()+"/payment_methods")
}

// attachPaymentMethod gives a card to a customer. A card that declines what it
// is asked cannot be kept for later either.
func (c *call) attachPaymentMethod() (object, error) {
	customer, err := c.fromParam("customer", kindCustomer)
	if err != nil {
		return nil, err
	}
	method, err := c.methodToAttach()
	switch {
	case err != nil:
		return nil, err
	case method.str("customer") == customer.id():
		return method, nil
	case method.str("customer") != "":
		return nil, invalidRequest("", "payment_method_unexpected_state", "The payment method you provided has already been attached to a customer.")
	case c.hidden(kindPaymentMethod, method.id()).bool("detached"):
		return nil, invalidRequest("", "payment_method_unexpected_state", "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and may not be used again.")
	}
	return c.attach(method, customer), nil
}

func (c *call) methodToAttach() (object, error) {
	number, forTests := testMethods[c.request.PathValue("id")]
	if !forTests {
		return c.fromPath(kindPaymentMethod)
	}
	card, known := findTestCard(number)
	if !known {
		return nil, missingInPath(kindPaymentMethod, c.request.PathValue("id"))
	}
	if card.decline != "" {
		return nil, declined(checkedCard{testCard: card}, nil)
	}
	expires := c.now.AddDate(4, 0, 0)
	method := newPaymentMethod(c.tx, checkedCard{testCard: card, expMonth: int64(expires.Month()), expYear: int64(expires.Year())}, payer{})
	method.set(object{"billing_details": object{"address": completeAddress(nil), "email": nil, "name": nil, "phone": nil}})
	return method, nil
}

// detachPaymentMethod takes a card away from its customer, for good, and from
// whatever would have been paid with it.
func (c *call) detachPaymentMethod() (object, error) {
	before, err := c.fromPath(kindPaymentMethod)
	if err != nil {
		return nil, err
	}
	if before.str("customer") == "" {
		return nil, invalidRequest("", "payment_method_unexpected_state", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	method := before.clone().set(object{"customer": nil})
	c.putHidden(method, object{}.set(c.hidden(kindPaymentMethod, method.id())).set(object{"detached": true}))
	c.emitUpdate("payment_method.detached", before, method)
	c.forgetMethod(before.str("customer"), method.id())
	return method, nil
}

func (t *tx) forgetMethod(customerID, method string) {
	customer := t.live(kindCustomer, customerID)
	if customer.obj("invoice_settings").str("default_payment_method") == method {
		without := customer.clone()
		without.obj("invoice_settings")["default_payment_method"] = nil
		t.put(without)
		t.emitUpdate("customer.updated", customer, without)
	}
	for _, subscription := range t.ofCustomer(kindSubscription, customerID) {
		if subscription.str("default_payment_method") != method || hasEnded(subscription) {
			continue
		}
		without := subscription.clone().set(object{"default_payment_method": nil})
		t.put(without)
		t.emitUpdate("customer.subscription.updated", subscription, without)
	}
}

func (c *call) updatePaymentMethod() (object, error) {
	before, err := c.fromPath(kindPaymentMethod)
	if err != nil {
		return nil, err
	}
	if before.str("customer") == "" {
		return nil, invalidRequest("", "payment_method_unexpected_state", "You must save this PaymentMethod to a customer before you can update it.")
	}
	method := before.clone()
	method["metadata"] = mergedMetadata(before.obj("metadata"), c.params)
	details := method.obj("billing_details")
	details.set(changes(c.params.obj("billing_details"), "email", "name", "phone"))
	if address, came := c.params.obj("billing_details")["address"]; came {
		details["address"] = completeAddress(asObject(address))
	}
	card := method.obj("card")
	if card == nil && c.params["card"] != nil {
		return nil, invalidRequest("card", "", "You cannot update `card` on this PaymentMethod because its type is `%s`.", method.str("type"))
	}
	if card != nil {
		card.set(c.params.obj("card"))
	}
	switch month, year := card.int("exp_month"), card.int("exp_year"); {
	case card == nil:
	case month < 1 || month > 12:
		return nil, cardRefusal("invalid_expiry_month", "card[exp_month]", "Your card's expiration month is invalid.")
	case !endOfMonth(year, month).After(c.now):
		return nil, cardRefusal("invalid_expiry_year", "card[exp_year]", "Your card's expiration year is invalid.")
	}
	c.put(method)
	c.emitUpdate("payment_method.updated", before, method)
	return method, nil
}

func endOfMonth(year, month int64) time.Time {
	return time.Date(int(year), time.Month(month)+1, 1, 0, 0, 0, 0, time.UTC)
}

func cardRefusal(code, param, message string) *apiError {
	return &apiError{status: http.StatusPaymentRequired, kind: typeCard, code: code, param: param, message: message}
}
