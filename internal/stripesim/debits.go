package stripesim

// bankDebit is the type of a payment method that is a bank account: it is told
// to pay at once, and what came of that is known days later.
const bankDebit = "us_bank_account"

// debitSettles is how long a bank takes.
// https://stripe.com/docs/payments/ach-debit
const debitSettles = 4 * day

// What is kept beside the intent of a debit: the checkout session that waits for it.
const hiddenSession = "session"

// newBankAccount makes a bank account that belongs to nobody yet.
func newBankAccount(t *tx, card checkedCard, p payer) object {
	return object{
		"id":              newID("pm_1", longID-1),
		"object":          kindPaymentMethod,
		"billing_details": billingDetails(p),
		"created":         t.unix(),
		"customer":        nil,
		"livemode":        false,
		"metadata":        object{},
		"type":            bankDebit,
		bankDebit: accountDetails(card).set(object{
			"financial_connections_account": nil,
			"networks":                      object{"preferred": "ach", "supported": list{"ach"}},
			"status_details":                object{},
		}),
	}
}

func accountDetails(card checkedCard) object {
	return object{
		"account_holder_type": "company", "account_type": "checking", "bank_name": "STRIPE TEST BANK",
		"fingerprint": card.fingerprint, "last4": card.last4(), "routing_number": "110000000",
	}
}

func isDebit(method object) bool { return method.str("type") == bankDebit }

// debit tells the bank to pay. The intent is processing until the bank answers.
func (t *tx) debit(intent, method object) object {
	charge := newCharge(t, intent, method).set(object{
		"outcome": nil, "paid": false, "status": "pending",
	})
	t.put(charge)
	t.emit("charge.pending", charge)
	processing := intent.clone().set(object{
		"last_payment_error":     nil,
		"latest_charge":          charge.id(),
		"next_action":            nil,
		"payment_method":         method.id(),
		"payment_method_options": object{bankDebit: object{"verification_method": "automatic"}},
		"payment_method_types":   list{bankDebit},
		"status":                 "processing",
	})
	t.putHidden(processing, t.in(debitSettles, t.hidden(kindPaymentIntent, intent.id())))
	t.emit("payment_intent.processing", processing)
	return charge
}

// awaitDebit notes that an open invoice waits for a bank. Its subscription begins
// meanwhile: Stripe gives credit to who has confirmed to pay.
func (t *tx) awaitDebit(open, charge object, a attempt) object {
	waiting := open.clone().set(object{
		"attempt_count": countAttempt(open, a), "attempted": true, "charge": charge.id(), "next_payment_attempt": nil,
	})
	t.put(waiting)
	t.emitUpdate("invoice.updated", open, waiting)
	return waiting
}

// answerDebit is the bank's answer.
func (t *tx) answerDebit(intent object) {
	session := t.get(kindCheckoutSession, t.hidden(kindPaymentIntent, intent.id()).str(hiddenSession))
	t.putHidden(intent, nil)
	if intent.str("status") != "processing" {
		return
	}
	charge := t.get(kindCharge, intent.str("latest_charge"))
	invoice := t.get(kindInvoice, intent.str("invoice"))
	subscription := t.get(kindSubscription, invoice.str("subscription"))
	if findCardOf(t.get(kindPaymentMethod, intent.str("payment_method"))).bounces {
		t.bounce(intent, charge)
		t.fail(invoice, subscription, attempt{scheduled: true, counted: true})
		t.answerSession(session, "checkout.session.async_payment_failed", "unpaid")
		return
	}
	posted := t.post(paidIn(charge, t.unix()))
	paid := charge.clone().set(object{"balance_transaction": posted.id(), "paid": true, "status": "succeeded"})
	t.put(paid)
	t.emit("charge.succeeded", paid)
	succeeded := intent.clone().set(object{"amount_received": intent["amount"], "status": "succeeded"})
	t.put(succeeded)
	t.emit("payment_intent.succeeded", succeeded)
	t.settle(invoice, paymentOf(invoice, paid, attempt{counted: true}))
	t.recover(subscription)
	t.answerSession(session, "checkout.session.async_payment_succeeded", "paid")
}

// answerSession tells what became of the payment of a checkout that is over.
func (t *tx) answerSession(session object, event, paymentStatus string) {
	if session == nil {
		return
	}
	answered := session.clone().set(object{"payment_status": paymentStatus})
	t.put(answered)
	t.emit(event, answered)
}

// bounce records that the bank did not pay.
func (t *tx) bounce(intent, charge object) {
	const message = "The customer's account has insufficient funds to cover this payment."
	failed := charge.clone().set(object{
		"amount_captured": int64(0), "captured": false, "failure_code": "insufficient_funds", "failure_message": message, "status": "failed",
	})
	t.put(failed)
	t.emit("charge.failed", failed)
	waits := intent.clone().set(object{
		"last_payment_error": object{
			"charge": failed.id(), "code": "insufficient_funds", "message": message, "type": typeInvalidRequest,
			"payment_method": t.get(kindPaymentMethod, intent.str("payment_method")),
		},
		"payment_method": nil,
		"status":         "requires_payment_method",
	})
	t.put(waits)
	t.emit("payment_intent.payment_failed", waits)
}
