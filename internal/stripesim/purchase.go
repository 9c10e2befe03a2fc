package stripesim

import (
	"time"
)

// purchase is what a subscription begins with.
type purchase struct {
	customer object
	lines    []purchaseLine
	// method pays, and is attached to the customer if it is not yet. It is nil
	// for a trial without a card.
	method object
	// intent is the payment or setup intent that has been made already.
	intent object
	// waits is set for a first invoice that is not tried to be collected: the
	// customer is going to confirm its intent.
	waits bool
	// data is as subscription_data of a checkout session.
	data object
}

type purchaseLine struct {
	price    object
	quantity int64
	metadata object
}

// bought is what a purchase made.
type bought struct {
	subscription object
	invoice      object
	// refused is why the first invoice is not paid.
	refused *apiError
}

func hasTrial(data object) bool {
	return data["trial_period_days"] != nil || data["trial_end"] != nil
}

// subscribe makes the subscription and its first invoice, paid, with the events
// that Stripe sends about them. A subscription that is paid for is created
// incomplete and becomes active within the same second; one on trial is
// trialing from the beginning.
func (t *tx) subscribe(order purchase) bought {
	order.method = t.attach(order.method, order.customer)
	subscription := t.newSubscription(order)
	if hasTrial(order.data) || order.dueToday() == 0 {
		return t.beginFree(subscription, order)
	}
	invoice := t.newFirstInvoice(subscription)
	subscription["latest_invoice"] = invoice.id()
	t.put(subscription)
	t.emit("customer.subscription.created", subscription)

	t.put(invoice)
	t.emit("invoice.created", invoice)
	if order.intent == nil {
		return t.beginUnattended(invoice, order)
	}
	paid := t.payAttended(invoice, order)
	active := subscription.clone().set(object{"status": "active", "default_payment_method": order.method.id()})
	t.put(active)
	t.emitUpdate("customer.subscription.updated", subscription, active)
	return bought{subscription: active, invoice: paid}
}

// payAttended pays the first invoice with the intent of a checkout, at which the
// buyer is there. What the customer has on their balance may be all that it takes.
func (t *tx) payAttended(draft object, order purchase) (paid object) {
	if draft.int("amount_due") == 0 {
		t.cancelIntent(order.intent, nil)
		return t.settle(t.finalizeWith(draft, nil), nil)
	}
	open := t.finalizeWith(draft, order.intent.id())
	bound := order.intent.clone().set(object{"amount": open["amount_due"], "customer": order.customer.id(), "invoice": open.id()})
	if isDebit(order.method) {
		return t.awaitDebit(open, t.debit(bound, order.method), attempt{})
	}
	return t.settle(open, paymentOf(open, t.succeedIntent(bound, order.method), attempt{}))
}

// beginUnattended pays the first invoice when nobody is there. A subscription
// whose first payment fails stays incomplete.
func (t *tx) beginUnattended(draft object, order purchase) bought {
	var refused *apiError
	switch open := t.finalize(draft); {
	case open.str("status") == "paid":
		t.recover(t.get(kindSubscription, draft.str("subscription")))
	case open.str("status") == "open" && !order.waits:
		refused = t.collect(open, attempt{method: order.method, scheduled: true})
	}
	return bought{
		subscription: t.get(kindSubscription, draft.str("subscription")), invoice: t.get(kindInvoice, draft.id()), refused: refused,
	}
}

func (o purchase) dueToday() int64 {
	var total int64
	for _, line := range o.lines {
		total += amountTimes(line.price, line.quantity)
	}
	return total
}

// beginFree makes a subscription for which nothing is due today.
func (t *tx) beginFree(subscription object, order purchase) bought {
	subscription["status"] = "active"
	if hasTrial(order.data) {
		t.setTrial(subscription, order.data)
	}
	if order.intent != nil {
		subscription["default_payment_method"] = order.method.id()
		ready := order.intent.clone().set(object{
			"customer": order.customer.id(), "last_setup_error": nil, "next_action": nil, "payment_method": order.method.id(), "status": "succeeded",
		})
		t.put(ready)
		t.emit("setup_intent.succeeded", ready)
	}
	invoice := t.newFirstInvoice(subscription)
	subscription["latest_invoice"] = invoice.id()
	end, trial := subscription["trial_end"].(int64)
	endsSoon := trial && end-t.unix() <= int64(trialWarning/time.Second)
	hidden := object(nil)
	if endsSoon {
		hidden = object{hiddenWarned: end}
	}
	t.putHidden(subscription, hidden)
	t.emit("customer.subscription.created", subscription)
	if endsSoon {
		t.emit("customer.subscription.trial_will_end", subscription)
	}
	t.put(invoice)
	t.emit("invoice.created", invoice)
	paid := t.settle(t.finalizeWith(invoice, nil), nil)
	return bought{subscription: subscription, invoice: paid}
}

func (t *tx) setTrial(subscription, data object) {
	end, given := data["trial_end"].(int64)
	if !given {
		end = t.now.AddDate(0, 0, int(data.int("trial_period_days"))).Unix()
	}
	subscription.set(object{
		"billing_cycle_anchor": end,
		"current_period_end":   end,
		"status":               "trialing",
		"trial_end":            end,
		"trial_start":          t.unix(),
	})
	if settings := data.obj("trial_settings"); settings != nil {
		subscription["trial_settings"] = settings
	}
}

// attach gives the card to the customer.
func (t *tx) attach(method, customer object) object {
	if method == nil || method.str("customer") == customer.id() {
		return method
	}
	attached := method.clone().set(object{"customer": customer.id()})
	t.put(attached)
	t.emit("payment_method.attached", attached)
	return attached
}

func (t *tx) newSubscription(order purchase) object {
	id := newID("sub_1", longID-1)
	first := order.lines[0].price
	items := make(list, len(order.lines))
	for i, line := range order.lines {
		items[i] = object{
			"id":                 newID("si_", shortID),
			"object":             kindSubscriptionItem,
			"billing_thresholds": nil,
			"created":            t.unix(),
			"metadata":           object{}.set(line.metadata),
			"plan":               planOf(line.price),
			"price":              line.price,
			"quantity":           line.quantity,
			"subscription":       id,
			"tax_rates":          list{},
		}
	}
	subscription := object{
		"id":                                id,
		"object":                            kindSubscription,
		"application":                       nil,
		"application_fee_percent":           nil,
		"automatic_tax":                     automaticTaxOf(order.data.obj("automatic_tax").bool("enabled")),
		"billing_cycle_anchor":              t.unix(),
		"billing_cycle_anchor_config":       nil,
		"billing_thresholds":                nil,
		"cancel_at":                         nil,
		"cancel_at_period_end":              false,
		"canceled_at":                       nil,
		"cancellation_details":              object{"comment": nil, "feedback": nil, "reason": nil},
		"collection_method":                 "charge_automatically",
		"created":                           t.unix(),
		"currency":                          first.str("currency"),
		"current_period_end":                periodEnd(t.now, first.obj("recurring")).Unix(),
		"current_period_start":              t.unix(),
		"customer":                          order.customer.id(),
		"days_until_due":                    nil,
		"default_payment_method":            order.data["default_payment_method"],
		"default_source":                    nil,
		"default_tax_rates":                 list{},
		"description":                       order.data["description"],
		"discount":                          nil,
		"ended_at":                          nil,
		"items":                             listOf("/v1/subscription_items?subscription="+id, items),
		"latest_invoice":                    nil,
		"livemode":                          false,
		"metadata":                          mergedMetadata(nil, order.data),
		"next_pending_invoice_item_invoice": nil,
		"on_behalf_of":                      nil,
		"pause_collection":                  nil,
		"payment_settings":                  object{"payment_method_options": nil, "payment_method_types": nil, "save_default_payment_method": "off"},
		"pending_invoice_item_interval":     nil,
		"pending_setup_intent":              nil,
		"pending_update":                    nil,
		"schedule":                          order.data["schedule"],
		"start_date":                        t.unix(),
		"status":                            "incomplete",
		"test_clock":                        nil,
		"transfer_data":                     nil,
		"trial_end":                         nil,
		"trial_settings":                    object{"end_behavior": object{"missing_payment_method": "create_invoice"}},
		"trial_start":                       nil,
	}
	if len(order.lines) == 1 { // Stripe shows these two only where they are the whole truth
		subscription["plan"] = planOf(first)
		subscription["quantity"] = order.lines[0].quantity
	}
	return subscription
}

// planOf is the price in the shape of the older Plan, which Stripe still shows
// beside it.
func planOf(price object) object {
	recurring := price.obj("recurring")
	return object{
		"id":                price.id(),
		"object":            "plan",
		"active":            price["active"],
		"aggregate_usage":   nil,
		"amount":            price["unit_amount"],
		"amount_decimal":    price["unit_amount_decimal"],
		"billing_scheme":    price["billing_scheme"],
		"created":           price["created"],
		"currency":          price["currency"],
		"interval":          recurring["interval"],
		"interval_count":    recurring["interval_count"],
		"livemode":          false,
		"metadata":          price["metadata"],
		"nickname":          price["nickname"],
		"product":           price["product"],
		"tiers_mode":        nil,
		"transform_usage":   nil,
		"trial_period_days": nil,
		"usage_type":        "licensed",
	}
}
