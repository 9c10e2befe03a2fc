package stripesim

import (
	"fmt"
	"time"
)

var subscriptionItemFields = fields{"price": nonEmpty.must(), "quantity": integer, "metadata": metadata}

var subscriptionCreate = objectParams(fields{
	"automatic_tax":          automaticTax,
	"cancel_at":              integer,
	"cancel_at_period_end":   boolean,
	"customer":               nonEmpty.must(),
	"default_payment_method": nonEmpty,
	"description":            nonEmpty,
	"items":                  array(hash(subscriptionItemFields)),
	"metadata":               metadata,
	"payment_behavior":       enum("allow_incomplete", "default_incomplete", "error_if_incomplete"),
	"proration_behavior":     prorationBehavior,
	"trial_end":              integer,
	"trial_period_days":      integer,
	"trial_settings":         trialSettings,
})

var subscriptionResume = objectParams(fields{
	"billing_cycle_anchor": billingCycleAnchor, "proration_behavior": prorationBehavior, "proration_date": integer,
})

var subscriptionCancel = objectParams(fields{"cancellation_details": cancellationDetails})

var subscriptionList = listParams(fields{
	"created":              createdRange,
	"current_period_end":   createdRange,
	"current_period_start": createdRange,
	"customer":             nonEmpty,
	"price":                nonEmpty,
	"status": enum("active", "all", "canceled", "ended", "incomplete", "incomplete_expired", "past_due", "paused",
		"trialing", "unpaid"),
})

// hasEnded says that the status is one that nothing leads away from.
func hasEnded(subscription object) bool {
	status := subscription.str("status")
	return status == "canceled" || status == "incomplete_expired"
}

// createSubscription is the way of a subscription that no checkout began, as
// one made in Stripe's dashboard.
func (c *call) createSubscription() (object, error) {
	customer, err := c.fromParam("customer", kindCustomer)
	if err != nil {
		return nil, err
	}
	method, err := c.methodForSubscription(customer)
	if err != nil {
		return nil, err
	}
	var lines []purchaseLine
	for i, g := range c.params.list("items") {
		item := asObject(g)
		param := fmt.Sprintf("items[%d][price]", i)
		price, err := c.sellablePrice(param, item.str("price"))
		if err == nil {
			price, err = c.inCurrency(price, customer.str("currency"))
		}
		if err == nil && i > 0 {
			err = sameRhythm(param, lines[0].price, price)
		}
		if err != nil {
			return nil, err
		}
		quantity := int64(1)
		if n, came := item["quantity"].(int64); came {
			quantity = n
		}
		lines = append(lines, purchaseLine{price: price, quantity: quantity, metadata: mergedMetadata(nil, item)})
	}
	if len(lines) == 0 {
		return nil, invalidRequest("items", "parameter_missing", "Missing required param: items.")
	}
	data := changes(c.params, "default_payment_method", "description", "trial_end", "trial_period_days", "trial_settings")
	data["metadata"] = mergedMetadata(nil, c.params)
	if c.params.obj("automatic_tax").bool("enabled") {
		if err := checkTaxLocation("automatic_tax", customer); err != nil {
			return nil, err
		}
		data["automatic_tax"] = c.params["automatic_tax"]
	}
	behavior := c.params.str("payment_behavior")
	made := c.subscribe(purchase{
		customer: customer, lines: lines, method: method, data: data, waits: behavior == "default_incomplete",
	})
	if behavior == "error_if_incomplete" && made.refused != nil {
		return nil, made.refused
	}
	return c.endAsAsked(made.subscription)
}

// endAsAsked sets the end that a subscription is created with.
func (c *call) endAsAsked(before object) (object, error) {
	if c.params["cancel_at"] == nil && !c.params.bool("cancel_at_period_end") {
		return before, nil
	}
	after := before.clone()
	if err := c.changeScheduledEnd(after); err != nil {
		return nil, err
	}
	c.prorateEnd(before, after, c.params.str("proration_behavior"))
	c.put(after)
	c.emitUpdate("customer.subscription.updated", before, after)
	return after, nil
}

func (c *call) methodForSubscription(customer object) (object, error) {
	id := c.params.str("default_payment_method")
	if id == "" {
		id = customer.obj("invoice_settings").str("default_payment_method")
	}
	if id == "" && (hasTrial(c.params) || c.params.str("payment_behavior") == "default_incomplete") {
		return nil, nil //nolint:nilnil // a trial may begin without a card, and so may what waits for one
	}
	method := c.get(kindPaymentMethod, id)
	if id == "" {
		return nil, invalidRequest("", "resource_missing", "This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.")
	}
	if method.str("customer") != customer.id() {
		return nil, missingInParams("default_payment_method", "PaymentMethod", id)
	}
	return method, nil
}

func (c *call) retrieveSubscription() (object, error) {
	return c.fromPath(kindSubscription)
}

func (c *call) listSubscriptions() (object, error) {
	if err := c.customerKnown(); err != nil {
		return nil, err
	}
	return c.page(kindSubscription, "/v1/subscriptions", func(o object) bool {
		return c.fits(o, "customer") && c.hasWantedStatus(o) &&
			inRange(c.params.obj("current_period_start"), o.int("current_period_start")) &&
			inRange(c.params.obj("current_period_end"), o.int("current_period_end")) &&
			(c.params.str("price") == "" || hasPrice(o, c.params.str("price")))
	})
}

// hasWantedStatus leaves out what has ended unless it is asked for: "all" is
// the trap of this list. https://stripe.com/docs/api/subscriptions/list
func (c *call) hasWantedStatus(subscription object) bool {
	switch wanted := c.params.str("status"); wanted {
	case "all":
		return true
	case "":
		return !hasEnded(subscription)
	case "ended":
		return hasEnded(subscription)
	default:
		return subscription.str("status") == wanted
	}
}

func hasPrice(subscription object, price string) bool {
	for _, item := range subscription.obj("items").list("data") {
		if asObject(item).obj("price").id() == price {
			return true
		}
	}
	return false
}

// resumeSubscription wakes a subscription that paused because its trial ended
// without a card. What is due then is collected at once; when that fails it is
// past due.
// https://stripe.com/docs/billing/subscriptions/trials/free-trials#resume-a-paused-subscription
func (c *call) resumeSubscription() (object, error) {
	paused, err := c.fromPath(kindSubscription)
	if err != nil {
		return nil, err
	}
	if paused.str("status") != "paused" {
		return nil, invalidRequest("", "", "You cannot resume a subscription that is not paused: its status is %s.", paused.str("status"))
	}
	after := paused.clone().set(object{"status": "active"})
	invoice := c.resumedCycle(after)
	c.put(after)
	c.emitUpdate("customer.subscription.updated", paused, after)
	c.emit("customer.subscription.resumed", after)
	if invoice != nil {
		_ = c.collectAtOnce(invoice) // the subscription says how it went
	}
	return c.get(kindSubscription, after.id()), nil
}

// resumedCycle lets a new cycle begin or, where the anchor is to stay, goes on in
// the period of the old one that the present falls into and bills the rest of it.
func (c *call) resumedCycle(after object) (invoice object) {
	if c.params.str("billing_cycle_anchor") != "unchanged" {
		c.beginCycle(after, false)
		return c.draftAtOnce(after, true)
	}
	recurring := itemsOf(after)[0].obj("price").obj("recurring")
	start := time.Unix(after.int("billing_cycle_anchor"), 0).UTC()
	end := periodEndAfter(start, start, recurring)
	for anchor, n := start, 2; !end.After(c.now); n++ {
		start, end = end, afterPeriods(anchor, recurring, n)
	}
	after.set(object{"current_period_start": start.Unix(), "current_period_end": end.Unix()})
	if c.params.str("proration_behavior") == "none" {
		return nil
	}
	at := c.unix()
	if moment, given := c.params["proration_date"].(int64); given {
		at = moment
	}
	for _, item := range itemsOf(after) {
		c.prorate(after, item, 1, at)
	}
	return c.draftAtOnce(after, false)
}

func (c *call) cancelSubscription() (object, error) {
	subscription, err := c.fromPath(kindSubscription)
	if err != nil {
		return nil, err
	}
	if hasEnded(subscription) {
		return nil, missingInPath(kindSubscription, subscription.id())
	}
	details := subscription.obj("cancellation_details").clone().set(object{"reason": "cancellation_requested"})
	changed := object{"cancellation_details": details}
	setCancellationDetails(changed, c.params)
	return c.endSubscription(subscription, details), nil
}

// endSubscription cancels at once. Its invoices are no longer collected, as
// far as they have not been.
func (t *tx) endSubscription(subscription, details object) object {
	return t.end(subscription, object{
		"cancel_at":            nil,
		"cancel_at_period_end": false,
		"canceled_at":          t.unix(),
		"cancellation_details": details,
	})
}

func (t *tx) end(subscription, changes object) object {
	ended := subscription.clone().set(changes).set(object{"status": "canceled", "ended_at": t.unix()})
	t.put(ended)
	t.emit("customer.subscription.deleted", ended)
	t.closeScheduleOf(ended)
	for _, invoice := range t.ofCustomer(kindInvoice, ended.str("customer")) {
		if invoice["subscription"] == ended.id() && invoice.bool("auto_advance") {
			left := invoice.clone().set(object{"auto_advance": false, "next_payment_attempt": nil})
			t.put(left)
			t.emitUpdate("invoice.updated", invoice, left)
		}
	}
	return ended
}

func (c *call) listSubscriptionItems() (object, error) {
	subscription, err := c.fromParam("subscription", kindSubscription)
	if err != nil {
		return nil, err
	}
	items := subscription.obj("items").list("data")
	return c.pageOf(items, kindSubscriptionItem, "/v1/subscription_items")
}

func (c *call) retrieveSubscriptionItem() (object, error) {
	id := c.request.PathValue("id")
	for _, r := range c.newestFirst(kindSubscription) {
		for _, item := range r.Object.obj("items").list("data") {
			if asObject(item).id() == id {
				return asObject(item), nil
			}
		}
	}
	return nil, missingInPath(kindSubscriptionItem, id)
}
