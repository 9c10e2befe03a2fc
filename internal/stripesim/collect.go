package stripesim

import (
	"net/http"
	"time"
)

// defaultDunning is how long after each failed attempt an invoice is tried
// again.
var defaultDunning = []time.Duration{3 * day, 5 * day, 7 * day}

// AfterRetries is what becomes of a subscription whose invoice is not paid when
// the last retry has failed.
type AfterRetries string

// The choices that Stripe's dashboard gives.
const (
	// CancelAfterRetries ends the subscription.
	CancelAfterRetries AfterRetries = "cancel"
	// UnpaidAfterRetries keeps it, and its later invoices stay drafts.
	UnpaidAfterRetries AfterRetries = "unpaid"
	// PastDueAfterRetries leaves it as it is and goes on with its next invoice.
	PastDueAfterRetries AfterRetries = "past_due"
)

// attempt is how an invoice is tried to be collected.
type attempt struct {
	// method pays; nil is the one that the subscription, else the customer, pays
	// with by now.
	method object
	// scheduled is set for the attempts that Stripe makes by itself. Only they
	// count, and date the next one, once a first attempt was made.
	scheduled bool
	// attended is set when the customer is there and confirms what a bank asks.
	attended bool
	// counted is set when the attempt was counted as it began, days ago.
	counted bool
}

// collect tries to pay an open invoice now, and lets the subscription follow. It
// answers nil when the invoice is paid, and else Stripe's error; what was tried
// stays recorded, unless the caller gives its change up.
func (t *tx) collect(open object, a attempt) *apiError {
	subscription := t.get(kindSubscription, open.str("subscription"))
	method := a.method
	if method == nil {
		method = t.methodFor(subscription)
	}
	intent := t.get(kindPaymentIntent, open.str("payment_intent"))
	if intent.str("status") == "processing" {
		return invalidRequest("", "payment_intent_unexpected_state", "The payment of this invoice is being processed by the customer's bank, which takes some days.")
	}
	refused := t.payIntent(intent, method, a.attended)
	if refused == nil {
		charge := t.get(kindCharge, t.get(kindPaymentIntent, intent.id()).str("latest_charge"))
		if charge.str("status") == "pending" {
			t.awaitDebit(open, charge, a)
			if subscription.str("status") == "incomplete" {
				t.setStatus(subscription, "active")
			}
			return nil
		}
		t.settle(open, paymentOf(open, charge, a))
		t.recover(subscription)
		return nil
	}
	t.fail(open, subscription, a)
	if refused.code == "authentication_required" {
		t.emit("invoice.payment_action_required", t.get(kindInvoice, open.id()))
	}
	return refused
}

// payIntent pays, as a rule when nobody is there. Without a method nothing can be
// tried, and the intent goes on waiting for one. A bank is only told to pay.
func (t *tx) payIntent(intent, method object, attended bool) *apiError {
	if method == nil {
		return invalidRequest("", "resource_missing", "There is no `default_payment_method` set on this Customer or Invoice. Please set one prior to paying.")
	}
	card := findCardOf(method)
	switch {
	case card.isBank:
		t.debit(intent, method)
		return nil
	case attended:
		t.rememberConfirmation(method)
	case card.confirm == confirmAlways,
		card.confirm == confirmOnce && !t.hidden(kindPaymentMethod, method.id()).bool("confirmed"):
		return t.askToConfirm(intent, method)
	case card.decline == "" && card.declineLater != "":
		card.decline = card.declineLater
	}
	if card.decline != "" {
		return t.declineIntent(intent, method, card)
	}
	t.succeedIntent(intent, method)
	return nil
}

// askToConfirm leaves the intent waiting for the card's holder, who is not there.
func (t *tx) askToConfirm(intent, method object) *apiError {
	return &apiError{
		status: http.StatusPaymentRequired, kind: typeCard, code: "authentication_required",
		message: "Your card was declined. This transaction requires authentication.",
		extra:   object{"decline_code": "authentication_required", "payment_intent": t.awaitConfirmation(intent, method)},
	}
}

// methodFor answers what the subscription is paid with by now, or nil.
func (t *tx) methodFor(subscription object) object {
	if method := t.get(kindPaymentMethod, subscription.str("default_payment_method")); method != nil {
		return method
	}
	customer := t.live(kindCustomer, subscription.str("customer"))
	return t.get(kindPaymentMethod, customer.obj("invoice_settings").str("default_payment_method"))
}

// paymentOf is what a charge changes about the invoice that it pays.
func paymentOf(open, charge object, a attempt) object {
	return object{
		"amount_paid":      open["amount_due"],
		"amount_remaining": int64(0),
		"attempt_count":    countAttempt(open, a),
		"charge":           charge.id(),
	}
}

// countAttempt counts one more. Any attempt is the first one; after that only
// the scheduled ones count.
// https://stripe.com/docs/api/invoices/object#invoice_object-attempt_count
func countAttempt(open object, a attempt) int64 {
	count := open.int("attempt_count")
	if a.counted {
		return count
	}
	if a.scheduled || count == 0 {
		return count + 1
	}
	return count
}

// fail records that an invoice was not paid: when it is tried again, and what
// that makes of the customer and the subscription. A first invoice is not tried
// again; its subscription is incomplete and expires.
func (t *tx) fail(open, subscription object, a attempt) {
	failed := open.clone().set(object{
		"attempt_count": countAttempt(open, a),
		"attempted":     true,
		"charge":        t.get(kindPaymentIntent, open.str("payment_intent"))["latest_charge"],
	})
	last := false
	if first := open.int("attempt_count") == 0; a.scheduled || first {
		retries := t.server.cfg.DunningRetries
		made := int(failed.int("attempt_count"))
		failed["next_payment_attempt"] = nil
		last = made > len(retries)
		if !last && subscription.str("status") != "incomplete" && !hasEnded(subscription) && !t.isPendingInvoice(subscription, open) {
			failed["next_payment_attempt"] = t.now.Add(retries[made-1]).Unix()
		}
	}
	t.put(failed)
	t.emitUpdate("invoice.updated", open, failed)
	t.emit("invoice.payment_failed", failed)
	t.setDelinquent(open.str("customer"), true)
	if t.isPendingInvoice(subscription, open) {
		return
	}
	if subscription.str("status") == "active" && t.latestIssued(subscription).id() == open.id() {
		subscription = t.setStatus(subscription, "past_due")
	}
	if last && subscription.str("status") == "past_due" {
		t.giveUp(subscription)
	}
}

// giveUp does what is chosen for a subscription whose last retry has failed.
func (t *tx) giveUp(subscription object) {
	switch t.afterRetries() {
	case UnpaidAfterRetries:
		t.setStatus(subscription, "unpaid")
	case PastDueAfterRetries:
	case CancelAfterRetries:
		details := subscription.obj("cancellation_details").clone().set(object{"reason": "payment_failed"})
		t.endSubscription(subscription, details)
	}
}

// recover lets a subscription be as good as its latest invoice, once that is
// closed: paid, void or given up as uncollectible.
func (t *tx) recover(subscription object) {
	subscription = t.applyPending(subscription)
	closed := t.latestIssued(subscription).str("status")
	if closed == "open" {
		return
	}
	if closed != "uncollectible" {
		t.setDelinquent(subscription.str("customer"), false)
	}
	switch status := subscription.str("status"); {
	case status == "incomplete" && closed != "paid":
		t.expireIncomplete(subscription)
	case status == "incomplete" || status == "past_due" || status == "unpaid":
		t.setStatus(subscription, "active")
	}
}

// latestIssued answers the subscription's newest invoice that is no draft.
func (t *tx) latestIssued(subscription object) object {
	for _, invoice := range t.ofCustomer(kindInvoice, subscription.str("customer")) {
		if invoice["subscription"] == subscription.id() && invoice.str("status") != "draft" {
			return invoice
		}
	}
	return nil
}

func (t *tx) setStatus(subscription object, status string) object {
	changed := subscription.clone().set(object{"status": status})
	t.put(changed)
	t.emitUpdate("customer.subscription.updated", subscription, changed)
	return changed
}

func (t *tx) setDelinquent(customer string, delinquent bool) {
	before := t.live(kindCustomer, customer)
	if before == nil || before.bool("delinquent") == delinquent {
		return
	}
	after := before.clone().set(object{"delinquent": delinquent})
	t.put(after)
	t.emitUpdate("customer.updated", before, after)
}
