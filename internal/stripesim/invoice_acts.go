package stripesim

import (
	"net/http"
	"slices"
)

var (
	invoicePay      = objectParams(fields{"paid_out_of_band": boolean, "payment_method": nonEmpty})
	invoiceFinalize = objectParams(fields{"auto_advance": boolean})
)

// upcomingParams ask for the next invoice of a subscription as it would be with
// changes that are not made.
var upcomingParams = objectParams(fields{
	"customer":                          nonEmpty,
	"subscription":                      nonEmpty,
	"subscription_billing_cycle_anchor": billingCycleAnchor,
	"subscription_items":                array(hash(changedItemFields)),
	"subscription_proration_behavior":   prorationBehavior,
	"subscription_proration_date":       integer,
	"subscription_trial_end":            trialEnd,
})

// draftAtOnce makes the draft of an invoice that is due now: for what is pending
// and, where a cycle begins, for its first period.
func (t *tx) draftAtOnce(subscription object, newCycle bool) object {
	id := newID("in_1", longID-1)
	lines := t.takePendingItems(subscription, id)
	if newCycle {
		lines = append(lines, t.subscriptionLines(id, subscription)...)
	}
	subscription["latest_invoice"] = id
	return t.newInvoice(id, subscription, invoiceTerms{
		reason: "subscription_update", lines: lines, period: span{t.unix(), t.unix()}, atOnce: true,
	})
}

// collectAtOnce issues a draft that is due now and collects it. Where the
// subscription's invoices are kept as drafts this one is too. It answers Stripe's
// error when the payment fails.
func (t *tx) collectAtOnce(draft object) *apiError {
	kept := t.keepsDrafts(draft)
	if kept {
		draft["auto_advance"] = false
	}
	t.put(draft)
	t.emit("invoice.created", draft)
	if kept {
		return nil
	}
	return t.advanceDraft(draft)
}

func (t *tx) keepsDrafts(invoice object) bool {
	subscription := t.get(kindSubscription, invoice.str("subscription"))
	return subscription.str("status") == "unpaid" || subscription.obj("pause_collection").str("behavior") == "keep_as_draft"
}

// payInvoice tries to pay now. When that fails, what was tried is kept.
func (c *call) payInvoice() (object, error) {
	invoice, err := c.fromPath(kindInvoice)
	if err != nil {
		return nil, err
	}
	method, err := c.methodOfCustomer(invoice.str("customer"))
	if err != nil {
		return nil, err
	}
	switch status := invoice.str("status"); status {
	case "paid":
		return nil, invalidRequest("", "", "Invoice is already paid")
	case "void":
		return nil, invalidRequest("", "", "This invoice is void and can no longer be paid.")
	case "draft":
		switch invoice = c.finalize(invoice); invoice.str("status") {
		case "paid":
			return invoice, nil
		case "draft":
			return nil, finalizationRefused(invoice)
		}
	}
	if c.params.bool("paid_out_of_band") {
		return c.settleOutOfBand(invoice), nil
	}
	if refused := c.collect(invoice, attempt{method: method}); refused != nil {
		refused.kept = true
		return nil, refused
	}
	return c.get(kindInvoice, invoice.id()), nil
}

// methodOfCustomer answers the payment method that the parameters name, or nil.
func (c *call) methodOfCustomer(customer string) (object, error) {
	method, err := c.fromParam("payment_method", kindPaymentMethod)
	if err == nil && method != nil && method.str("customer") != customer {
		return nil, missingInParams("payment_method", "PaymentMethod", method.id())
	}
	return method, err
}

// settleOutOfBand marks an invoice paid that was paid in another way, as by a
// bank transfer. Its intent is not needed any more.
func (c *call) settleOutOfBand(open object) object {
	if intent := c.get(kindPaymentIntent, open.str("payment_intent")); intent != nil {
		c.cancelIntent(intent, nil)
	}
	paid := c.settle(open, object{
		"amount_paid": open["amount_due"], "amount_remaining": int64(0), "paid_out_of_band": true,
	})
	c.recover(c.get(kindSubscription, paid.str("subscription")))
	return paid
}

// finalizeInvoice makes a draft the invoice that is owed, before its time. One
// that advances by itself is tried to be collected within the hour.
func (c *call) finalizeInvoice() (object, error) {
	invoice, err := c.fromPath(kindInvoice)
	if err != nil {
		return nil, err
	}
	if invoice.str("status") != "draft" {
		return nil, invalidRequest("", "invoice_not_editable", "This invoice is already finalized, you can't re-finalize a non-draft invoice.")
	}
	if advance, came := c.params["auto_advance"].(bool); came {
		invoice = invoice.clone().set(object{"auto_advance": advance})
	}
	open := c.finalize(invoice)
	if open.str("status") == "draft" {
		return nil, finalizationRefused(open)
	}
	if open.str("status") != "open" || !open.bool("auto_advance") {
		return open, nil
	}
	due := open.clone().set(object{"next_payment_attempt": c.now.Add(draftLifetime).Unix()})
	c.put(due)
	c.emitUpdate("invoice.updated", open, due)
	return due, nil
}

// voidInvoice says that the invoice was a mistake, and markUncollectible that it
// is not expected to be paid. Either way nothing is owed for the time that it
// was for, and a subscription that waited for it goes on.
func (c *call) voidInvoice() (object, error) { return c.writeOff("void", "open", "uncollectible") }

func (c *call) markUncollectible() (object, error) { return c.writeOff("uncollectible", "open") }

func (c *call) writeOff(status string, from ...string) (object, error) {
	invoice, err := c.fromPath(kindInvoice)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(from, invoice.str("status")) {
		return nil, invalidRequest("", "", "You can only pass in %s invoices. This invoice has a status of %s.", sentenceList(from), invoice.str("status"))
	}
	if c.get(kindPaymentIntent, invoice.str("payment_intent")).str("status") == "processing" {
		return nil, invalidRequest("", "", "The payment of this invoice is being processed by the customer's bank, which takes some days.")
	}
	closed := c.closeInvoice(invoice, status)
	subscription := c.get(kindSubscription, closed.str("subscription"))
	if c.isPendingInvoice(subscription, closed) {
		c.dropPending(subscription)
		return closed, nil
	}
	switch {
	case subscription.str("status") != "incomplete":
		c.recover(subscription)
	case status == "void":
		c.expireIncomplete(subscription) // which began with this invoice
	}
	return closed, nil
}

// upcoming shows the next invoice of a subscription without making it. It plays
// the changes that are asked for, and the renewal if nothing is due before, in a
// change of the state that is given up, so that what it shows is what would come.
func (c *call) upcoming() (object, error) {
	before, err := c.upcomingSubscription()
	if err != nil {
		return nil, err
	}
	played := c.server.begin(c.now, cause{})
	after := before.clone()
	draft, err := played.rebill(before, after, terms{
		prefix: "subscription_", items: c.params.list("subscription_items"),
		anchor: c.params.str("subscription_billing_cycle_anchor"), trialEnd: c.params["subscription_trial_end"],
		proration: c.params.str("subscription_proration_behavior"), prorationDate: c.params["subscription_proration_date"],
	})
	if err != nil {
		return nil, err
	}
	played.prorateEnd(before, after, c.params.str("subscription_proration_behavior"))
	if draft == nil {
		if draft = played.nextInvoice(after); draft == nil {
			return nil, noUpcoming(before)
		}
	}
	return asUpcoming(draft, c.params), nil
}

// upcomingSubscription answers the one that is asked for, or of the customer's
// the one that is billed next.
func (c *call) upcomingSubscription() (object, error) {
	subscription, err := c.fromParam("subscription", kindSubscription)
	if err != nil {
		return nil, err
	}
	customer, err := c.fromParam("customer", kindCustomer)
	switch {
	case err != nil:
		return nil, err
	case subscription == nil && customer == nil:
		return nil, invalidRequest("", "", "You must pass either `customer` or `subscription`.")
	case subscription == nil:
		for _, candidate := range c.ofCustomer(kindSubscription, customer.id()) {
			if !hasEnded(candidate) && (subscription == nil || candidate.int("current_period_end") < subscription.int("current_period_end")) {
				subscription = candidate
			}
		}
		if subscription == nil {
			return nil, noUpcoming(object{"customer": customer.id()})
		}
	case customer != nil && subscription.str("customer") != customer.id():
		return nil, missingInParams("subscription", kindSubscription, subscription.id())
	}
	if hasEnded(subscription) {
		return nil, noUpcoming(subscription)
	}
	return subscription, nil
}

func noUpcoming(subscription object) error {
	none := invalidRequest("", "invoice_upcoming_none", "No upcoming invoices for customer: %s", subscription.str("customer"))
	none.status = http.StatusNotFound
	return none
}

// nextInvoice answers what the subscription's period end is going to bill. One
// that ends by then bills only what is pending, if anything is.
func (t *tx) nextInvoice(subscription object) object {
	if announcesRenewal(subscription) {
		return t.upcomingInvoice(subscription)
	}
	if len(t.pendingItems(subscription)) == 0 {
		return nil
	}
	id := newID("in_1", longID-1)
	return t.newInvoice(id, subscription, invoiceTerms{
		reason: "upcoming", lines: t.takePendingItems(subscription, id), period: periodOf(subscription),
	})
}

// asUpcoming is a draft as Stripe previews it: it has no id yet, nor have its
// lines one that lasts.
func asUpcoming(draft, params object) object {
	shown := draft.clone()
	delete(shown, "id")
	shown["billing_reason"] = "upcoming"
	shown["ending_balance"] = applyBalance(shown, shown.int("starting_balance"))
	if moment, given := params["subscription_proration_date"].(int64); given {
		shown["subscription_proration_date"] = moment
	}
	lines := shown.obj("lines")
	lines["url"] = "/v1/invoices/upcoming/lines?subscription=" + draft.str("subscription")
	for _, l := range lines.list("data") {
		line := asObject(l)
		line.set(object{"id": "il_tmp_" + line.id()[len("il_"):], "invoice": nil})
	}
	return shown
}
