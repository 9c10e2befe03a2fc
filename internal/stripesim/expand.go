package stripesim

import (
	"slices"
	"strings"
)

// maxExpansion is how deep Stripe lets one expand.
const maxExpansion = 4

// expandable names, for each kind of object, the fields that hold the id of
// another one, and of which kind that is; no kind where it is always null here.
var expandable = map[string]map[string]string{
	kindBalanceTransaction: {},
	kindCharge:             {"balance_transaction": kindBalanceTransaction, "customer": kindCustomer, "invoice": kindInvoice, "payment_intent": kindPaymentIntent},
	kindCheckoutSession:    {"customer": kindCustomer, "subscription": kindSubscription, "invoice": kindInvoice, "payment_intent": kindPaymentIntent, "setup_intent": kindSetupIntent},
	kindCustomer:           {"default_source": ""},
	kindDispute:            {"charge": kindCharge, "payment_intent": kindPaymentIntent},
	kindInvoice:            {"charge": kindCharge, "customer": kindCustomer, "default_payment_method": kindPaymentMethod, "payment_intent": kindPaymentIntent, "subscription": kindSubscription},
	kindInvoiceItem:        {"customer": kindCustomer, "invoice": kindInvoice, "subscription": kindSubscription},
	kindPaymentIntent:      {"customer": kindCustomer, "invoice": kindInvoice, "latest_charge": kindCharge, "payment_method": kindPaymentMethod},
	kindPaymentMethod:      {"customer": kindCustomer},
	kindPrice:              {"product": kindProduct},
	kindProduct:            {"default_price": kindPrice},
	kindRefund:             {"balance_transaction": kindBalanceTransaction, "charge": kindCharge, "failure_balance_transaction": kindBalanceTransaction, "payment_intent": kindPaymentIntent},
	kindSchedule:           {"customer": kindCustomer, "released_subscription": kindSubscription, "subscription": kindSubscription},
	kindSetupIntent:        {"customer": kindCustomer, "payment_method": kindPaymentMethod},
	kindSubscription:       {"customer": kindCustomer, "default_payment_method": kindPaymentMethod, "default_source": "", "latest_invoice": kindInvoice, "pending_setup_intent": kindSetupIntent, "schedule": kindSchedule},
	kindSubscriptionItem:   {},
	"invoice_settings":     {"default_payment_method": kindPaymentMethod},
	"line_item":            {"invoice_item": kindInvoiceItem, "subscription": kindSubscription},
}

// includable names what an object shows only when it is asked for.
var includable = map[string][]string{
	kindCharge:          {"refunds"},
	kindCheckoutSession: {"line_items"},
	kindPrice:           {"currency_options", "tiers"},
}

// expanded answers the object with what the paths name in full. It is a copy as
// far as that makes a difference, and shares the rest with the store's own.
func (t *tx) expanded(o object, paths list) (object, error) {
	if len(paths) == 0 {
		return o, nil
	}
	o = o.copy()
	for _, p := range paths {
		path, _ := p.(string)
		parts := strings.Split(path, ".")
		if o.kind() == "list" && parts[0] != "data" {
			return nil, badParameter("expand", "", "You can only expand the fields of a list through `data`, as in data.%s.", path)
		}
		depth := len(parts)
		if o.kind() == "list" {
			depth--
		}
		if depth > maxExpansion {
			return nil, badParameter("expand", "", "You cannot expand more than %d levels of a property. Property: %s", maxExpansion, path)
		}
		if !t.expandPath(o, o.kind(), parts) {
			return nil, badParameter("expand", "", "This property cannot be expanded (%s).", path)
		}
	}
	return o, nil
}

// expandPath follows one path from the object, which is a copy. as is what the
// object is, for hashes without an "object" the name of their field.
func (t *tx) expandPath(o object, as string, parts []string) bool {
	field, rest := parts[0], parts[1:]
	if as == "list" && field == "data" {
		elements := slices.Clone(o.list("data"))
		o[field] = elements
		return t.expandEach(elements, rest)
	}
	if kind, ok := expandable[as][field]; ok {
		if id := o.str(field); id != "" {
			if found := t.get(kind, id); found != nil {
				if kind == kindBalanceTransaction {
					found = t.asOfNow(found)
				}
				o[field] = found
			}
		}
	} else if slices.Contains(includable[as], field) {
		t.include(o, field)
	}
	inner := o.obj(field)
	if inner == nil {
		// What is not there cannot be shown, but may be asked for.
		_, known := expandable[as][field]
		return known || slices.Contains(includable[as], field)
	}
	if len(rest) == 0 {
		return true
	}
	inner = inner.copy()
	o[field] = inner
	innerAs := inner.kind()
	if innerAs == "" {
		innerAs = field
	}
	return t.expandPath(inner, innerAs, rest)
}

func (t *tx) expandEach(elements list, rest []string) bool {
	if len(rest) == 0 {
		return true
	}
	for i := range elements {
		inner := asObject(elements[i]).copy()
		elements[i] = inner
		if !t.expandPath(inner, inner.kind(), rest) {
			return false
		}
	}
	return true
}

func (t *tx) include(o object, field string) {
	hidden := t.hidden(o.kind(), o.id())
	switch {
	case o.kind() == kindCheckoutSession && o[field] == nil:
		o[field] = listOf("/v1/checkout/sessions/"+o.id()+"/line_items", hidden.list("line_items"))
	case o.kind() == kindCharge && o[field] == nil:
		o[field] = t.refundsOf(o)
	case o.kind() == kindPrice && field == "currency_options" && o[field] == nil:
		o[field] = hidden.obj("currency_options")
	}
}
