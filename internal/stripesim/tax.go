package stripesim

import "net/http"

// automaticTax asks Stripe to work out the tax. The stand-in's account is
// registered nowhere, so that there is none; but where the customer is has to be
// known all the same, and an invoice cannot be finalized while it is not.
// https://stripe.com/docs/tax/subscriptions
var automaticTax = hash(fields{"enabled": boolean.must()})

func automaticTaxOf(enabled bool) object {
	if enabled {
		return object{"enabled": true, "liability": object{"type": "self"}}
	}
	return object{"enabled": false, "liability": nil}
}

// checkTaxLocation refuses tax for a customer who is nowhere.
func checkTaxLocation(param string, customer object) error {
	if customer.obj("address").str("country") != "" {
		return nil
	}
	return invalidRequest(param, locationInvalid, locationMessage)
}

const (
	locationInvalid = "customer_tax_location_invalid"
	locationMessage = "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax."
)

// invoiceTax is what an invoice says of its tax as it is drafted.
func invoiceTax(subscription, customer object) object {
	tax := automaticTaxOf(subscription.obj("automatic_tax").bool("enabled"))
	switch {
	case !tax.bool("enabled"):
		tax["status"] = nil
	case checkTaxLocation("", customer) != nil:
		tax["status"] = "requires_location_inputs"
	default:
		tax["status"] = "complete"
	}
	return tax
}

// taxed is the draft with its tax as of now.
func (t *tx) taxed(draft object) object {
	tax := invoiceTax(draft, t.get(kindCustomer, draft.str("customer")))
	if draft["last_finalization_error"] == nil && draft.obj("automatic_tax")["status"] == tax["status"] {
		return draft
	}
	return draft.clone().set(object{"automatic_tax": tax, "last_finalization_error": nil})
}

func (t *tx) checkInvoiceTax(draft object) *apiError {
	customer := t.get(kindCustomer, draft.str("customer"))
	if !draft.obj("automatic_tax").bool("enabled") || checkTaxLocation("", customer) == nil {
		return nil
	}
	return invalidRequest("", locationInvalid, locationMessage)
}

// failFinalization leaves a draft as it is, with the reason.
func (t *tx) failFinalization(draft object, refused *apiError) object {
	failed := draft.clone().set(object{
		"automatic_tax":           invoiceTax(draft, t.get(kindCustomer, draft.str("customer"))),
		"last_finalization_error": refused.body("").obj("error"),
	})
	t.put(failed)
	t.emitUpdate("invoice.updated", draft, failed)
	t.emit("invoice.finalization_failed", failed)
	return failed
}

// finalizationRefused is the answer to a request to finalize such a draft. That
// it was tried is kept.
func finalizationRefused(draft object) error {
	reason := draft.obj("last_finalization_error")
	return &apiError{
		status: http.StatusBadRequest, kind: typeInvalidRequest, code: reason.str("code"), message: reason.str("message"), kept: true,
	}
}
