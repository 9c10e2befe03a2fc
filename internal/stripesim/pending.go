package stripesim

import "slices"

// pendingLifetime is how long an update waits for its invoice to be paid.
// https://stripe.com/docs/billing/subscriptions/pending-updates
const pendingLifetime = incompleteLifetime

// hiddenPending is what a subscription becomes once the invoice of its pending
// update is paid: the fields, beside the invoice's id.
const hiddenPending = "pending"

// What an update that may wait can ask for, and what it then changes.
var (
	pendingParams = []string{
		"billing_cycle_anchor", "expand", "items", "payment_behavior", "proration_behavior", "proration_date", "trial_end",
	}
	pendingFields = []string{
		"billing_cycle_anchor", "cancel_at", "current_period_end", "current_period_start", "items", "plan", "quantity",
		"status", "trial_end",
	}
)

func (c *call) checkPendingParams() error {
	if c.params.str("payment_behavior") != "pending_if_incomplete" {
		return nil
	}
	for _, name := range sortedKeys(c.params) {
		if !slices.Contains(pendingParams, name) {
			return invalidRequest(name, "", "When using `payment_behavior=pending_if_incomplete` you can only pass parameters supported by pending updates. `%s` is not.", name)
		}
	}
	return nil
}

// updateIfPaid makes a change whose invoice is paid at once, and else leaves the
// subscription as it was, with the change pending.
func (c *call) updateIfPaid(before, after, draft object) object {
	fields := changes(after, pendingFields...).set(object{"invoice": draft.id()})
	trying := before.clone().set(object{"latest_invoice": draft.id()})
	hidden := c.hidden(kindSubscription, before.id())
	c.putHidden(trying, object{}.set(hidden).set(object{hiddenPending: fields}))
	_ = c.collectAtOnce(draft) // the invoice says how it went
	if c.get(kindInvoice, draft.id()).str("status") == "paid" {
		if now := c.get(kindSubscription, before.id()); now["status"] != before["status"] { // it has recovered by this
			before = now
			if after["status"] == trying["status"] {
				after["status"] = now["status"]
			}
		}
		c.putHidden(after, hidden)
		c.emitUpdate("customer.subscription.updated", before, after)
		return after
	}
	update := object{
		"billing_cycle_anchor": nil,
		"expires_at":           c.now.Add(pendingLifetime).Unix(),
		"subscription_items":   after.obj("items").list("data"),
		"trial_end":            nil,
		"trial_from_plan":      nil,
	}
	for _, moment := range []string{"billing_cycle_anchor", "trial_end"} {
		if after[moment] != before[moment] {
			update[moment] = after[moment]
		}
	}
	waiting := trying.clone().set(object{"pending_update": update})
	c.put(waiting)
	c.emitUpdate("customer.subscription.updated", before, waiting)
	return waiting
}

// isPendingInvoice says that the invoice is the one of an update that waits, or
// is about to: nothing else depends on it.
func (t *tx) isPendingInvoice(subscription, invoice object) bool {
	return t.hidden(kindSubscription, subscription.id()).obj(hiddenPending).str("invoice") == invoice.id()
}

// applyPending makes a pending change whose invoice has been paid.
func (t *tx) applyPending(before object) object {
	hidden := t.hidden(kindSubscription, before.id())
	fields := hidden.obj(hiddenPending)
	if before["pending_update"] == nil || t.get(kindInvoice, fields.str("invoice")).str("status") != "paid" {
		return before
	}
	after := before.clone()
	delete(after, "plan")
	delete(after, "quantity")
	after.set(fields.clone()).set(object{"pending_update": nil})
	delete(after, "invoice")
	t.putHidden(after, object{}.set(hidden).set(object{hiddenPending: nil}))
	t.emitUpdate("customer.subscription.updated", before, after)
	t.emit("customer.subscription.pending_update_applied", after)
	return after
}

// dropPending gives a pending change up, and its invoice with it.
func (t *tx) dropPending(before object) object {
	if before["pending_update"] == nil {
		return before
	}
	hidden := t.hidden(kindSubscription, before.id())
	after := before.clone().set(object{"pending_update": nil})
	t.putHidden(after, object{}.set(hidden).set(object{hiddenPending: nil}))
	t.emitUpdate("customer.subscription.updated", before, after)
	t.emit("customer.subscription.pending_update_expired", after)
	if invoice := t.get(kindInvoice, hidden.obj(hiddenPending).str("invoice")); invoice.str("status") == "open" {
		t.closeInvoice(invoice, "void")
	}
	return after
}
