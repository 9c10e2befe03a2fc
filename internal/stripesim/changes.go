package stripesim

import (
	"fmt"
	"slices"
)

var cancellationDetails = hash(fields{
	"comment": text,
	"feedback": enum("", "customer_service", "low_quality", "missing_features", "other", "switched_service",
		"too_complex", "too_expensive", "unused"),
})

var (
	changedItemFields = fields{
		"deleted": boolean, "id": nonEmpty, "metadata": metadata, "price": nonEmpty, "quantity": integer,
	}
	billingCycleAnchor = enum("now", "unchanged")
	prorationBehavior  = enum("always_invoice", "create_prorations", "none")
	trialEnd           = integer.orWord("now")
)

var subscriptionUpdate = objectParams(fields{
	"automatic_tax":          automaticTax,
	"billing_cycle_anchor":   billingCycleAnchor,
	"cancel_at":              integer.orEmpty(),
	"cancel_at_period_end":   boolean,
	"cancellation_details":   cancellationDetails,
	"default_payment_method": nonEmpty,
	"description":            text,
	"items":                  array(hash(changedItemFields)),
	"metadata":               metadata,
	"pause_collection": hash(fields{
		"behavior": enum("keep_as_draft", "mark_uncollectible", "void").must(), "resumes_at": integer,
	}).orEmpty(),
	"payment_behavior":   enum("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"),
	"proration_behavior": prorationBehavior,
	"proration_date":     integer,
	"trial_end":          trialEnd,
	"trial_settings":     trialSettings,
})

// updateSubscription changes a subscription, what it bills and when. An invoice
// that is due at once is collected within the same request; when that fails, the
// subscription has changed all the same and is past due, unless
// payment_behavior asks for an error instead.
func (c *call) updateSubscription() (object, error) {
	before, err := c.fromPath(kindSubscription)
	if err != nil {
		return nil, err
	}
	if hasEnded(before) {
		return nil, invalidRequest("", "", "A canceled subscription can only update its cancellation_details.")
	}
	if err := c.checkPendingParams(); err != nil {
		return nil, err
	}
	if err := c.checkManagedEnd(before); err != nil {
		return nil, err
	}
	if c.params["items"] != nil || c.params["trial_end"] != nil || c.params["billing_cycle_anchor"] != nil {
		before = c.dropPending(before)
	}
	after := before.clone()
	if err := c.changeSettings(after); err != nil {
		return nil, err
	}
	asked := terms{
		items:  c.params.list("items"),
		anchor: c.params.str("billing_cycle_anchor"), trialEnd: c.params["trial_end"],
		proration: c.params.str("proration_behavior"), prorationDate: c.params["proration_date"],
	}
	invoice, err := c.rebill(before, after, asked)
	if err != nil {
		return nil, err
	}
	if err := c.changeScheduledEnd(after); err != nil {
		return nil, err
	}
	setCancellationDetails(after, c.params)
	if invoice != nil && c.params.str("payment_behavior") == "pending_if_incomplete" {
		return c.updateIfPaid(before, after, invoice), nil
	}
	c.prorateEnd(before, after, asked.proration)
	c.put(after)
	c.emitUpdate("customer.subscription.updated", before, after)
	if asked.items != nil {
		c.noteInSchedule(after)
	}
	if invoice == nil {
		return after, nil
	}
	if refused := c.collectAtOnce(invoice); refused != nil && c.params.str("payment_behavior") == "error_if_incomplete" {
		return nil, refused
	}
	return c.get(kindSubscription, after.id()), nil
}

// changeSettings sets what changes nothing about what is billed.
func (c *call) changeSettings(subscription object) error {
	subscription.set(changes(c.params, "description"))
	subscription["metadata"] = mergedMetadata(subscription.obj("metadata"), c.params)
	if settings := c.params.obj("trial_settings"); settings != nil {
		subscription["trial_settings"] = settings
	}
	if id := c.params.str("default_payment_method"); id != "" {
		if c.get(kindPaymentMethod, id).str("customer") != subscription.str("customer") {
			return missingInParams("default_payment_method", "PaymentMethod", id)
		}
		subscription["default_payment_method"] = id
	}
	if tax := c.params.obj("automatic_tax"); tax != nil {
		if err := checkTaxLocation("automatic_tax", c.get(kindCustomer, subscription.str("customer"))); err != nil && tax.bool("enabled") {
			return err
		}
		subscription["automatic_tax"] = automaticTaxOf(tax.bool("enabled"))
	}
	return c.changePause(subscription)
}

func (c *call) changePause(subscription object) error {
	given, came := c.params["pause_collection"]
	if !came {
		return nil
	}
	pause := asObject(given)
	if pause == nil {
		subscription["pause_collection"] = nil
		return nil
	}
	resumesAt, dated := pause["resumes_at"].(int64)
	if dated && resumesAt <= c.unix() {
		return invalidRequest("pause_collection[resumes_at]", "", "`resumes_at` must be in the future.")
	}
	subscription["pause_collection"] = object{"behavior": pause["behavior"], "resumes_at": pause["resumes_at"]}
	return nil
}

// changeScheduledEnd sets or takes back the end of the subscription. In this
// version of the API the flag also shows its moment in cancel_at.
func (c *call) changeScheduledEnd(subscription object) error {
	atEnd, flagCame := c.params["cancel_at_period_end"].(bool)
	at, atCame := c.params["cancel_at"]
	if flagCame && atCame && atEnd && at != nil {
		return invalidRequest("cancel_at", "parameter_invalid_exclusive", "You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
	}
	if atCame {
		if moment, set := at.(int64); set && moment <= c.unix() {
			return invalidRequest("cancel_at", "", "`cancel_at` must be in the future.")
		}
		subscription.set(object{"cancel_at": at, "cancel_at_period_end": false})
	}
	if flagCame && atEnd {
		subscription.set(object{"cancel_at": subscription["current_period_end"], "cancel_at_period_end": true})
	} else if flagCame && subscription.bool("cancel_at_period_end") {
		subscription.set(object{"cancel_at": nil, "cancel_at_period_end": false})
	}
	if !flagCame && !atCame {
		return nil
	}
	details := subscription.obj("cancellation_details")
	if subscription["cancel_at"] == nil {
		subscription["canceled_at"] = nil
		details["reason"] = nil
	} else {
		subscription["canceled_at"] = c.unix()
		details["reason"] = "cancellation_requested"
	}
	return nil
}

func setCancellationDetails(subscription, params object) {
	for field, value := range params.obj("cancellation_details") {
		if value == "" {
			value = nil
		}
		subscription.obj("cancellation_details")[field] = value
	}
}

// terms are what is asked of what a subscription bills and when. An update and
// the preview of an invoice ask for the same under different names.
type terms struct {
	// prefix is what the parameters' names begin with, for refusals.
	prefix    string
	items     list
	anchor    string // now, unchanged or nothing
	trialEnd  any    // "now", a moment or nil
	proration string // a behaviour, or nothing for the default
	// prorationDate is the moment that is prorated from, nil for now.
	prorationDate any
}

func (a terms) param(name string) string { return a.prefix + name }

// rebill brings the subscription after, a copy of before, under new terms and
// answers the draft of the invoice that is due at once, or nil. What the change
// costs or gives back for the running period waits for the next invoice, if there
// is none at once.
//
// The cycle begins anew when its length changes, a trial ends, or what was free
// costs something, or when it is asked for.
// https://stripe.com/docs/billing/subscriptions/billing-cycle
func (t *tx) rebill(before, after object, asked terms) (object, error) {
	items, err := t.changedItems(before, asked)
	if err != nil {
		return nil, err
	}
	at, err := t.prorationMoment(before, asked)
	if err != nil {
		return nil, err
	}
	setItems(after, items)
	if at >= periodOf(before).end {
		asked.proration = "none" // of a period that is over, as where a phase of a schedule begins
	}
	trialing := before.str("status") == "trialing"
	if moment, ok := asked.trialEnd.(int64); ok {
		return nil, t.moveTrialEnd(after, moment, asked.param("trial_end"))
	}
	endsTrial := trialing && asked.trialEnd == "now"
	switch status := before.str("status"); {
	case trialing && !endsTrial, status == "paused", status == "incomplete":
		// Nothing has been paid for the time that runs, so nothing is prorated.
		return nil, refuseNewCycle(asked)
	}
	sameRhythm := rhythmOf(before) == rhythmOf(after)
	if !sameRhythm && asked.anchor == "unchanged" {
		return nil, invalidRequest(asked.param("billing_cycle_anchor"), "", "You cannot set `billing_cycle_anchor` to 'unchanged' when the billing interval changes.")
	}
	begins := endsTrial || !sameRhythm || asked.anchor == "now" ||
		asked.anchor == "" && recurringAmount(before) == 0 && recurringAmount(after) > 0
	switch {
	case begins:
		if !endsTrial && asked.proration != "none" {
			t.creditAll(before, at)
		}
		t.beginCycle(after, endsTrial)
		return t.draftAtOnce(after, true), nil
	case asked.proration != "none" && t.prorateChanges(before, after, at) && asked.proration == "always_invoice":
		return t.draftAtOnce(after, false), nil
	}
	return nil, nil //nolint:nilnil // nothing is due at once
}

func refuseNewCycle(asked terms) error {
	if asked.anchor == "now" {
		return invalidRequest(asked.param("billing_cycle_anchor"), "", "You cannot begin a new billing cycle while the subscription is not billed.")
	}
	return nil
}

func (t *tx) prorationMoment(subscription object, asked terms) (int64, error) {
	moment, given := asked.prorationDate.(int64)
	if !given {
		return t.unix(), nil
	}
	if period := periodOf(subscription); moment < period.start || moment > period.end {
		return 0, invalidRequest(asked.param("proration_date"), "", "Cannot specify `%s` outside of current billing period.", asked.param("proration_date"))
	}
	return moment, nil
}

// moveTrialEnd makes a trial longer or shorter.
func (t *tx) moveTrialEnd(subscription object, moment int64, param string) error {
	switch {
	case subscription.str("status") != "trialing":
		return invalidRequest(param, "", "This stand-in does not give a trial to a subscription that is not on trial.")
	case moment <= t.unix():
		return invalidRequest(param, "", "Invalid timestamp: must be an integer Unix timestamp in the future.")
	}
	subscription.set(object{"billing_cycle_anchor": moment, "current_period_end": moment, "trial_end": moment})
	moveFlaggedEnd(subscription)
	return nil
}

// beginCycle lets the subscription's cycle begin now.
func (t *tx) beginCycle(subscription object, endsTrial bool) {
	recurring := itemsOf(subscription)[0].obj("price").obj("recurring")
	subscription.set(object{
		"billing_cycle_anchor": t.unix(),
		"current_period_start": t.unix(),
		"current_period_end":   periodEnd(t.now, recurring).Unix(),
	})
	if endsTrial {
		subscription.set(object{"status": "active", "trial_end": t.unix()})
	}
	moveFlaggedEnd(subscription)
}

// moveFlaggedEnd keeps the end that cancel_at_period_end promises at the end of
// the period.
func moveFlaggedEnd(subscription object) {
	if subscription.bool("cancel_at_period_end") {
		subscription["cancel_at"] = subscription["current_period_end"]
	}
}

// creditAll gives back the rest of the period of everything that was billed.
func (t *tx) creditAll(subscription object, at int64) {
	for _, item := range itemsOf(subscription) {
		t.prorate(subscription, item, -1, at)
	}
}

// prorateChanges gives back the rest of the period of each item as it was and
// bills it as it is, and says whether any is different.
func (t *tx) prorateChanges(before, after object, at int64) (changed bool) {
	for _, was := range itemsOf(before) {
		is := itemByID(after, was.id())
		if is != nil && billsTheSame(was, is) {
			continue
		}
		changed = true
		t.prorate(before, was, -1, at)
		if is != nil {
			t.prorate(after, is, 1, at)
		}
	}
	for _, is := range itemsOf(after) {
		if itemByID(before, is.id()) == nil {
			changed = true
			t.prorate(after, is, 1, at)
		}
	}
	return changed
}

func billsTheSame(a, b object) bool {
	return a.obj("price").id() == b.obj("price").id() && a.int("quantity") == b.int("quantity")
}

func itemsOf(subscription object) []object {
	data := subscription.obj("items").list("data")
	items := make([]object, len(data))
	for i := range data {
		items[i] = asObject(data[i])
	}
	return items
}

func itemByID(subscription object, id string) object {
	for _, item := range itemsOf(subscription) {
		if item.id() == id {
			return item
		}
	}
	return nil
}

// rhythmOf is the length of the subscription's cycle.
func rhythmOf(subscription object) string {
	recurring := itemsOf(subscription)[0].obj("price").obj("recurring")
	return fmt.Sprint(recurring["interval_count"], " ", recurring["interval"])
}

// recurringAmount is what a whole period costs.
func recurringAmount(subscription object) (total int64) {
	for _, item := range itemsOf(subscription) {
		total += amountTimes(item.obj("price"), item.int("quantity"))
	}
	return total
}

// setItems gives the subscription its items, and what Stripe shows of them
// beside: the plan and the quantity, where there is only one item.
func setItems(subscription object, items list) {
	subscription.obj("items")["data"] = items
	delete(subscription, "plan")
	delete(subscription, "quantity")
	if len(items) == 1 {
		only := asObject(items[0])
		subscription.set(object{"plan": only["plan"], "quantity": only["quantity"]})
	}
}

// changedItems answers the subscription's items as they are asked to be. An
// item that is named by its id is changed or taken away, one without is added.
func (t *tx) changedItems(subscription object, asked terms) (list, error) {
	items := subscription.clone().obj("items").list("data")
	if len(asked.items) > 0 && subscription.str("status") == "incomplete" {
		return nil, invalidRequest(asked.param("items"), "", "You cannot change the items of a subscription whose first invoice has not been paid.")
	}
	for i, g := range asked.items {
		given, param := asObject(g), fmt.Sprintf("%s[%d]", asked.param("items"), i)
		at := slices.IndexFunc(items, func(item any) bool { return asObject(item).id() == given.str("id") })
		switch {
		case given.str("id") != "" && at < 0:
			return nil, missingInParams(param+"[id]", kindSubscriptionItem, given.str("id"))
		case given.bool("deleted") && at < 0:
			return nil, invalidRequest(param+"[id]", "parameter_missing", "You must pass the `id` of a subscription item to delete it.")
		case given.bool("deleted"):
			items = slices.Delete(items, at, at+1)
			continue
		case at < 0 && given.str("price") == "":
			return nil, invalidRequest(param+"[price]", "parameter_missing", "Missing required param: %s[price].", param)
		case at < 0:
			items = append(items, t.newSubscriptionItem(subscription.id()))
			at = len(items) - 1
		}
		if err := t.changeItem(asObject(items[at]), given, subscription, param); err != nil {
			return nil, err
		}
	}
	return items, checkItems(items, asked.param("items"))
}

func (t *tx) changeItem(item, given, subscription object, param string) error {
	if id := given.str("price"); id != "" && id != item.obj("price").id() {
		price, err := t.sellablePrice(param+"[price]", id)
		if err == nil {
			price, err = t.inCurrency(price, subscription.str("currency"))
		}
		if err != nil {
			return err
		}
		item.set(object{"price": price, "plan": planOf(price)})
	}
	if quantity, came := given["quantity"].(int64); came {
		if quantity < 0 {
			return invalidRequest(param+"[quantity]", "parameter_invalid_integer", "Invalid non-negative integer")
		}
		item["quantity"] = quantity
	}
	item["metadata"] = mergedMetadata(item.obj("metadata"), given)
	return nil
}

func checkItems(items list, param string) error {
	if len(items) == 0 {
		return invalidRequest(param, "", "A subscription must have at least one active plan. To cancel it, use the cancellation endpoint.")
	}
	prices := map[string]bool{}
	for _, i := range items {
		price := asObject(i).obj("price")
		if prices[price.id()] {
			return invalidRequest(param, "", "Cannot add multiple subscription items with the same plan: %s", price.id())
		}
		prices[price.id()] = true
		if err := sameRhythm(param, asObject(items[0]).obj("price"), price); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) newSubscriptionItem(subscription string) object {
	return object{
		"id":                 newID("si_", shortID),
		"object":             kindSubscriptionItem,
		"billing_thresholds": nil,
		"created":            t.unix(),
		"metadata":           object{},
		"quantity":           int64(1),
		"subscription":       subscription,
		"tax_rates":          list{},
	}
}
