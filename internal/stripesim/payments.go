package stripesim

import "net/http"

var (
	chargeList    = listParams(fields{"created": createdRange, "customer": nonEmpty, "payment_intent": nonEmpty})
	intentConfirm = objectParams(fields{"payment_method": nonEmpty, "return_url": nonEmpty})
	intentList    = listParams(fields{"created": createdRange, "customer": nonEmpty})
)

func (c *call) retrieveCharge() (object, error)        { return c.fromPath(kindCharge) }
func (c *call) retrievePaymentIntent() (object, error) { return c.fromPath(kindPaymentIntent) }
func (c *call) retrieveSetupIntent() (object, error)   { return c.fromPath(kindSetupIntent) }

func (c *call) listCharges() (object, error) {
	return c.page(kindCharge, "/v1/charges", func(o object) bool {
		return c.fits(o, "customer") && c.fits(o, "payment_intent")
	})
}

func (c *call) listPaymentIntents() (object, error) {
	return c.page(kindPaymentIntent, "/v1/payment_intents", func(o object) bool { return c.fits(o, "customer") })
}

// confirmPaymentIntent pays an open invoice with its customer there, who has
// typed a card or given a bank account. A card that wants to be confirmed is so by
// the second call.
func (c *call) confirmPaymentIntent() (object, error) {
	intent, err := c.fromPath(kindPaymentIntent)
	if err != nil {
		return nil, err
	}
	method, err := c.methodOfCustomer(intent.str("customer"))
	if err != nil {
		return nil, err
	}
	if method == nil {
		method = c.get(kindPaymentMethod, intent.str("payment_method"))
	}
	invoice := c.get(kindInvoice, intent.str("invoice"))
	switch status := intent.str("status"); {
	case status != "requires_payment_method" && status != "requires_confirmation" && status != "requires_action",
		invoice.str("status") != "open":
		return nil, invalidRequest("", "payment_intent_unexpected_state", "You cannot confirm this PaymentIntent because it has already succeeded, is being processed or was canceled: its status is %s.", status)
	case method == nil:
		return nil, invalidRequest("", "payment_intent_unexpected_state", "You cannot confirm this PaymentIntent because it's missing a payment method.")
	}
	asked := intent.str("status") == "requires_action" && intent["payment_method"] == method.id()
	if findCardOf(method).confirm != confirmNever && !asked {
		return c.awaitConfirmation(intent, method), nil
	}
	if refused := c.collect(invoice, attempt{method: method, attended: true}); refused != nil {
		refused.kept = true
		return nil, refused
	}
	return c.get(kindPaymentIntent, intent.id()), nil
}

// newPaymentMethod makes a card that belongs to nobody yet.
func newPaymentMethod(t *tx, card checkedCard, p payer) object {
	if card.isBank {
		return newBankAccount(t, card, p)
	}
	return object{
		"id":              newID("pm_1", longID-1),
		"object":          kindPaymentMethod,
		"billing_details": billingDetails(p),
		"card": object{
			"brand":                card.brand,
			"checks":               object{"address_line1_check": nil, "address_postal_code_check": nil, "cvc_check": "pass"},
			"country":              "US",
			"display_brand":        card.brand,
			"exp_month":            card.expMonth,
			"exp_year":             card.expYear,
			"fingerprint":          card.fingerprint,
			"funding":              "credit",
			"generated_from":       nil,
			"last4":                card.last4(),
			"networks":             object{"available": list{card.brand}, "preferred": nil},
			"three_d_secure_usage": object{"supported": true},
			"wallet":               nil,
		},
		"created":  t.unix(),
		"customer": nil,
		"livemode": false,
		"metadata": object{},
		"type":     "card",
	}
}

func billingDetails(p payer) object {
	return object{
		"address": object{"city": nil, "country": "US", "line1": nil, "line2": nil, "postal_code": nil, "state": nil},
		"email":   orNil(p.email), "name": orNil(p.name), "phone": nil,
	}
}

// orNil is Stripe's null for a text that is not there.
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func newPaymentIntent(t *tx, amount int64, currency string, customer any) object {
	id := newID("pi_3", longID-1)
	return object{
		"id":                                   id,
		"object":                               kindPaymentIntent,
		"amount":                               amount,
		"amount_capturable":                    int64(0),
		"amount_details":                       object{"tip": object{}},
		"amount_received":                      int64(0),
		"application":                          nil,
		"application_fee_amount":               nil,
		"automatic_payment_methods":            nil,
		"canceled_at":                          nil,
		"cancellation_reason":                  nil,
		"capture_method":                       "automatic",
		"client_secret":                        newID(id+"_secret_", 25),
		"confirmation_method":                  "automatic",
		"created":                              t.unix(),
		"currency":                             currency,
		"customer":                             customer,
		"description":                          "Subscription creation",
		"invoice":                              nil,
		"last_payment_error":                   nil,
		"latest_charge":                        nil,
		"livemode":                             false,
		"metadata":                             object{},
		"next_action":                          nil,
		"on_behalf_of":                         nil,
		"payment_method":                       nil,
		"payment_method_configuration_details": nil,
		"payment_method_options":               object{"card": object{"installments": nil, "mandate_options": nil, "network": nil, "request_three_d_secure": "automatic"}},
		"payment_method_types":                 list{"card"},
		"processing":                           nil,
		"receipt_email":                        nil,
		"review":                               nil,
		"setup_future_usage":                   "off_session",
		"shipping":                             nil,
		"statement_descriptor":                 nil,
		"statement_descriptor_suffix":          nil,
		"status":                               "requires_payment_method",
		"transfer_data":                        nil,
		"transfer_group":                       nil,
	}
}

func newSetupIntent(t *tx, customer any) object {
	id := newID("seti_1", longID-1)
	return object{
		"id":                                   id,
		"object":                               kindSetupIntent,
		"application":                          nil,
		"automatic_payment_methods":            nil,
		"cancellation_reason":                  nil,
		"client_secret":                        newID(id+"_secret_", 31),
		"created":                              t.unix(),
		"customer":                             customer,
		"description":                          nil,
		"flow_directions":                      nil,
		"last_setup_error":                     nil,
		"latest_attempt":                       nil,
		"livemode":                             false,
		"mandate":                              nil,
		"metadata":                             object{},
		"next_action":                          nil,
		"on_behalf_of":                         nil,
		"payment_method":                       nil,
		"payment_method_configuration_details": nil,
		"payment_method_options":               object{"card": object{"mandate_options": nil, "network": nil, "request_three_d_secure": "automatic"}},
		"payment_method_types":                 list{"card"},
		"single_use_mandate":                   nil,
		"status":                               "requires_payment_method",
		"usage":                                "off_session",
	}
}

// newCharge makes the charge of an intent with a card, good or declined.
func newCharge(t *tx, intent, method object) object {
	id := newID("ch_3", longID-1)
	return object{
		"id":                              id,
		"object":                          kindCharge,
		"amount":                          intent.int("amount"),
		"amount_captured":                 intent.int("amount"),
		"amount_refunded":                 int64(0),
		"application":                     nil,
		"application_fee":                 nil,
		"application_fee_amount":          nil,
		"balance_transaction":             nil,
		"billing_details":                 method.obj("billing_details"),
		"calculated_statement_descriptor": "STAND-IN",
		"captured":                        true,
		"created":                         t.unix(),
		"currency":                        intent.str("currency"),
		"customer":                        intent["customer"],
		"description":                     intent["description"],
		"disputed":                        false,
		"failure_balance_transaction":     nil,
		"failure_code":                    nil,
		"failure_message":                 nil,
		"fraud_details":                   object{},
		"invoice":                         intent["invoice"],
		"livemode":                        false,
		"metadata":                        object{},
		"on_behalf_of":                    nil,
		"outcome":                         object{"network_status": "approved_by_network", "reason": nil, "risk_level": "normal", "risk_score": int64(12), "seller_message": "Payment complete.", "type": "authorized"},
		"paid":                            true,
		"payment_intent":                  intent.id(),
		"payment_method":                  method.id(),
		"payment_method_details":          paymentMethodDetails(intent, method),
		"receipt_email":                   nil,
		"receipt_number":                  nil,
		"receipt_url":                     nil,
		"refunded":                        false,
		"review":                          nil,
		"shipping":                        nil,
		"source_transfer":                 nil,
		"statement_descriptor":            nil,
		"statement_descriptor_suffix":     nil,
		"status":                          "succeeded",
		"transfer_data":                   nil,
		"transfer_group":                  nil,
	}
}

func paymentMethodDetails(intent, method object) object {
	if isDebit(method) {
		return object{"type": bankDebit, bankDebit: accountDetails(findCardOf(method))}
	}
	card := method.obj("card")
	return object{
		"card": object{
			"amount_authorized":         intent.int("amount"),
			"brand":                     card["brand"],
			"checks":                    card["checks"],
			"country":                   card["country"],
			"exp_month":                 card["exp_month"],
			"exp_year":                  card["exp_year"],
			"extended_authorization":    object{"status": "disabled"},
			"fingerprint":               card["fingerprint"],
			"funding":                   card["funding"],
			"incremental_authorization": object{"status": "unavailable"},
			"installments":              nil,
			"last4":                     card["last4"],
			"mandate":                   nil,
			"multicapture":              object{"status": "unavailable"},
			"network":                   card["brand"],
			"network_token":             object{"used": false},
			"overcapture":               object{"maximum_amount_capturable": intent.int("amount"), "status": "unavailable"},
			"three_d_secure":            nil,
			"wallet":                    nil,
		},
		"type": "card",
	}
}

// declineIntent records a failed attempt to pay: the charge, and the intent
// that waits for another card.
func (t *tx) declineIntent(intent, method object, card checkedCard) *apiError {
	failure := declined(card, nil)
	charge := newCharge(t, intent, method).set(object{
		"amount_captured": int64(0),
		"captured":        false,
		"failure_code":    "card_declined",
		"failure_message": failure.message,
		"outcome":         object{"network_status": "declined_by_network", "reason": card.decline, "risk_level": "normal", "risk_score": int64(12), "seller_message": card.sellerMessage(), "type": "issuer_declined"},
		"paid":            false,
		"status":          "failed",
	})
	t.put(charge)
	t.emit("charge.failed", charge)
	failure.extra["charge"] = charge.id()
	failed := intent.clone().set(object{
		"last_payment_error": failure.body("").obj("error").set(object{"payment_method": method}),
		"latest_charge":      charge.id(),
		"next_action":        nil,
		"payment_method":     nil,
		"status":             "requires_payment_method",
	})
	t.put(failed)
	t.emit("payment_intent.payment_failed", failed)
	failure.extra["payment_intent"] = failed
	return failure
}

// succeedIntent lets the method pay, and answers the charge.
func (t *tx) succeedIntent(intent, method object) object {
	charge := newCharge(t, intent, method)
	charge["balance_transaction"] = t.post(paidIn(charge, t.unix())).id()
	var hidden object
	if findCardOf(method).disputes != "" {
		hidden = t.in(0, nil)
	}
	t.putHidden(charge, hidden)
	t.emit("charge.succeeded", charge)
	succeeded := intent.clone().set(object{
		"amount_received":    intent["amount"],
		"last_payment_error": nil,
		"latest_charge":      charge.id(),
		"next_action":        nil,
		"payment_method":     method.id(),
		"status":             "succeeded",
	})
	t.put(succeeded)
	t.emit("payment_intent.succeeded", succeeded)
	return charge
}

// declineSetup is declineIntent where nothing is due today.
func (t *tx) declineSetup(setup, method object, card checkedCard) *apiError {
	failure := declined(card, nil)
	failed := setup.clone().set(object{
		"last_setup_error": failure.body("").obj("error").set(object{"payment_method": method}),
	})
	t.put(failed)
	t.emit("setup_intent.setup_failed", failed)
	failure.extra["setup_intent"] = failed
	return failure
}

// awaitConfirmation lets a payment or setup intent wait for the card's holder.
func (t *tx) awaitConfirmation(intent, method object) object {
	waiting := intent.clone().set(object{
		"next_action": object{"type": "use_stripe_sdk", "use_stripe_sdk": object{
			"type": "three_d_secure_redirect", "stripe_js": t.server.publicURL + "/",
		}},
		"payment_method": method.id(),
		"status":         "requires_action",
	})
	failure := "last_payment_error"
	if intent.kind() == kindSetupIntent {
		failure = "last_setup_error"
	}
	waiting[failure] = nil
	t.put(waiting)
	t.emit(intent.kind()+".requires_action", waiting)
	return waiting
}

// failConfirmation records that the card's holder did not confirm.
func (t *tx) failConfirmation(intent, method object) *apiError {
	refusal, failure, event := "payment_intent_authentication_failure", "last_payment_error", "payment_intent.payment_failed"
	if intent.kind() == kindSetupIntent {
		refusal, failure, event = "setup_intent_authentication_failure", "last_setup_error", "setup_intent.setup_failed"
	}
	refused := &apiError{
		status: http.StatusPaymentRequired, kind: typeCard, code: refusal,
		message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
		extra:   object{},
	}
	failed := intent.clone().set(object{
		failure:          refused.body("").obj("error").set(object{"payment_method": method}),
		"next_action":    nil,
		"payment_method": nil,
		"status":         "requires_payment_method",
	})
	t.put(failed)
	t.emit(event, failed)
	refused.extra[intent.kind()] = failed
	return refused
}
