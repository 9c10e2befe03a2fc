package stripesim

import (
	"net/mail"
	"strings"
)

var addressFields = fields{
	"city": text, "country": text, "line1": text, "line2": text, "postal_code": text, "state": text,
}

var customerFields = objectParams(fields{
	"address":           hash(addressFields).orEmpty(),
	"description":       text,
	"email":             text,
	"invoice_settings":  hash(fields{"default_payment_method": text, "footer": text}),
	"metadata":          metadata,
	"name":              text,
	"phone":             text,
	"preferred_locales": array(text),
	"tax_exempt":        enum("", "exempt", "none", "reverse"),
})

var customerList = listParams(fields{"created": createdRange, "email": text})

func (c *call) createCustomer() (object, error) {
	customer := newCustomer(c.tx)
	if err := c.changeCustomer(customer); err != nil {
		return nil, err
	}
	c.put(customer)
	c.emit("customer.created", customer)
	return customer, nil
}

func newCustomer(t *tx) object {
	return object{
		"id":                    newID("cus_", shortID),
		"object":                kindCustomer,
		"address":               nil,
		"balance":               int64(0),
		"created":               t.unix(),
		"currency":              nil,
		"default_source":        nil,
		"delinquent":            false,
		"description":           nil,
		"discount":              nil,
		"email":                 nil,
		"invoice_prefix":        strings.ToUpper(newID("", 8)),
		"invoice_settings":      object{"custom_fields": nil, "default_payment_method": nil, "footer": nil, "rendering_options": nil},
		"livemode":              false,
		"metadata":              object{},
		"name":                  nil,
		"next_invoice_sequence": int64(1),
		"phone":                 nil,
		"preferred_locales":     list{},
		"shipping":              nil,
		"tax_exempt":            "none",
		"test_clock":            nil,
	}
}

// changeCustomer sets what the parameters say on a customer of the caller's own.
func (c *call) changeCustomer(customer object) error {
	if email := c.params.str("email"); email != "" && !isEmail(email) {
		return invalidRequest("email", "email_invalid", "Invalid email address: %s", email)
	}
	customer.set(changes(c.params, "description", "email", "name", "phone", "preferred_locales"))
	customer["metadata"] = mergedMetadata(customer.obj("metadata"), c.params)
	if address, came := c.params["address"]; came {
		customer["address"] = nil
		if address != nil {
			customer["address"] = completeAddress(asObject(address))
		}
	}
	if exempt, came := c.params["tax_exempt"].(string); came {
		customer["tax_exempt"] = exempt
		if exempt == "" {
			customer["tax_exempt"] = "none"
		}
	}
	return c.changeInvoiceSettings(customer)
}

func (c *call) changeInvoiceSettings(customer object) error {
	given := c.params.obj("invoice_settings")
	if id := given.str("default_payment_method"); id != "" {
		method := c.get(kindPaymentMethod, id)
		if method.str("customer") != customer.id() {
			return missingInParams("invoice_settings[default_payment_method]", "PaymentMethod", id)
		}
	}
	customer.obj("invoice_settings").set(given)
	return nil
}

func completeAddress(given object) object {
	address := object{}
	for part := range addressFields {
		address[part] = given[part]
	}
	return address
}

func isEmail(s string) bool {
	parsed, err := mail.ParseAddress(s)
	return err == nil && parsed.Address == s
}

func (c *call) retrieveCustomer() (object, error) {
	return c.fromPath(kindCustomer)
}

func (c *call) listCustomers() (object, error) {
	return c.page(kindCustomer, "/v1/customers", func(o object) bool { return c.fits(o, "email") })
}

func (c *call) updateCustomer() (object, error) {
	before, err := c.liveFromPath(kindCustomer)
	if err != nil {
		return nil, err
	}
	customer := before.clone()
	if err := c.changeCustomer(customer); err != nil {
		return nil, err
	}
	c.put(customer)
	c.emitUpdate("customer.updated", before, customer)
	return customer, nil
}

// deleteCustomer also ends the customer's subscriptions, at once.
func (c *call) deleteCustomer() (object, error) {
	customer, err := c.liveFromPath(kindCustomer)
	if err != nil {
		return nil, err
	}
	for _, subscription := range c.ofCustomer(kindSubscription, customer.id()) {
		if !hasEnded(subscription) {
			c.endSubscription(subscription, object{"comment": nil, "feedback": nil, "reason": "cancellation_requested"})
		}
	}
	gone := object{"id": customer.id(), "object": kindCustomer, "deleted": true}
	c.put(gone)
	c.emit("customer.deleted", customer)
	return gone, nil
}
