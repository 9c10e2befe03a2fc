package stripesim

import (
	"fmt"
	"time"
)

// expiryNotice is how long before its end a schedule is announced as ending.
const expiryNotice = 7 * day

// hiddenExpiring is the end of a schedule that has been announced.
const hiddenExpiring = "announced_end"

var (
	phaseFields = fields{
		"end_date":           integer,
		"items":              array(hash(fields{"metadata": metadata, "price": nonEmpty.must(), "quantity": integer})).must(),
		"iterations":         integer,
		"metadata":           metadata,
		"proration_behavior": prorationBehavior,
	}
	scheduleCreate = objectParams(fields{
		"customer":          nonEmpty,
		"default_settings":  hash(fields{"default_payment_method": nonEmpty}),
		"end_behavior":      enum("cancel", "release"),
		"from_subscription": nonEmpty,
		"metadata":          metadata,
		"phases":            array(hash(phaseFields)),
		"start_date":        integer.orWord("now"),
	})
	scheduleUpdate = objectParams(fields{
		"default_settings":   hash(fields{"default_payment_method": nonEmpty}),
		"end_behavior":       enum("cancel", "release"),
		"metadata":           metadata,
		"phases":             array(hash(phaseFields.with(fields{"start_date": integer.orWord("now")}))),
		"proration_behavior": prorationBehavior,
	})
	scheduleRelease = objectParams(fields{"preserve_cancel_date": boolean})
	scheduleList    = listParams(fields{
		"canceled_at": createdRange, "completed_at": createdRange, "created": createdRange, "customer": nonEmpty,
		"released_at": createdRange, "scheduled": boolean,
	})
)

func (c *call) retrieveSchedule() (object, error) { return c.fromPath(kindSchedule) }

func (c *call) listSchedules() (object, error) {
	if err := c.customerKnown(); err != nil {
		return nil, err
	}
	return c.page(kindSchedule, "/v1/subscription_schedules", func(o object) bool {
		for _, moment := range []string{"canceled_at", "completed_at", "released_at"} {
			if within := c.params.obj(moment); within != nil && (o[moment] == nil || !inRange(within, o.int(moment))) {
				return false
			}
		}
		scheduled, asked := c.params["scheduled"].(bool)
		return !asked || scheduled == (o.str("status") == "not_started")
	})
}

// createSchedule makes a schedule for a subscription that there is, or one that
// begins a subscription.
func (c *call) createSchedule() (object, error) {
	if c.params.str("from_subscription") != "" {
		return c.scheduleSubscription()
	}
	customer, err := c.fromParam("customer", kindCustomer)
	switch {
	case err != nil:
		return nil, err
	case customer == nil:
		return nil, invalidRequest("customer", "parameter_missing", "You must provide either `customer` or `from_subscription`.")
	}
	start, given := c.params["start_date"].(int64)
	if !given {
		start = c.unix()
	}
	schedule := c.newSchedule(customer.id())
	phases, err := c.phases(start, customer.str("currency"))
	if err != nil {
		return nil, err
	}
	if len(phases) == 0 {
		return nil, invalidRequest("phases", "parameter_missing", "Missing required param: phases.")
	}
	schedule["phases"] = phases
	c.putSchedule(schedule, nil)
	c.emit("subscription_schedule.created", schedule)
	if start <= c.unix() {
		return c.beginSchedule(schedule), nil
	}
	return schedule, nil
}

func (c *call) scheduleSubscription() (object, error) {
	before, err := c.fromParam("from_subscription", kindSubscription)
	if err != nil {
		return nil, err
	}
	for _, param := range []string{"customer", "default_settings", "end_behavior", "phases", "start_date"} {
		if c.params[param] != nil {
			return nil, invalidRequest(param, "", "You cannot set `%s` if `from_subscription` is set.", param)
		}
	}
	switch {
	case hasEnded(before) || before.str("status") == "incomplete":
		return nil, invalidRequest("from_subscription", "", "You cannot migrate a subscription that is already in the `%s` status to a schedule.", before.str("status"))
	case before["schedule"] != nil:
		return nil, invalidRequest("from_subscription", "", "You cannot migrate a subscription that is already attached to a schedule: %s.", before.str("schedule"))
	}
	schedule := c.newSchedule(before.str("customer"))
	if ends := before.int("cancel_at"); ends != 0 {
		schedule["end_behavior"] = "cancel"
	}
	phase := newPhase(before.str("currency"), phaseItemsOf(before), before.int("current_period_start"), max(before.int("current_period_end"), before.int("cancel_at")))
	schedule.set(object{
		"current_phase": phaseSpan(phase), "phases": list{phase}, "status": "active", "subscription": before.id(),
	})
	c.putSchedule(schedule, nil)
	c.emit("subscription_schedule.created", schedule)
	c.attachSchedule(before, schedule)
	return schedule, nil
}

// attachSchedule lets the subscription show its schedule and, where that ends it,
// the end.
func (t *tx) attachSchedule(before, schedule object) {
	after := before.clone().set(object{"schedule": schedule.id()})
	t.followEnd(after, schedule)
	t.put(after)
	t.emitUpdate("customer.subscription.updated", before, after)
}

// followEnd sets the end that a schedule has for its subscription.
func (t *tx) followEnd(subscription, schedule object) {
	if schedule.str("end_behavior") == "cancel" {
		phases := schedule.list("phases")
		subscription.set(object{"cancel_at": asObject(phases[len(phases)-1])["end_date"], "cancel_at_period_end": false})
		return
	}
	subscription.set(object{"cancel_at": nil, "cancel_at_period_end": false, "canceled_at": nil})
}

func (c *call) newSchedule(customer string) object {
	endBehavior := "release"
	if asked := c.params.str("end_behavior"); asked != "" {
		endBehavior = asked
	}
	return object{
		"id":            newID("sub_sched_1", longID-1),
		"object":        kindSchedule,
		"application":   nil,
		"canceled_at":   nil,
		"completed_at":  nil,
		"created":       c.unix(),
		"current_phase": nil,
		"customer":      customer,
		"default_settings": object{
			"application_fee_percent": nil,
			"automatic_tax":           automaticTaxOf(false),
			"billing_cycle_anchor":    "automatic",
			"billing_thresholds":      nil,
			"collection_method":       "charge_automatically",
			"default_payment_method":  c.params.obj("default_settings")["default_payment_method"],
			"description":             nil,
			"invoice_settings":        object{"account_tax_ids": nil, "days_until_due": nil, "issuer": object{"type": "self"}},
			"on_behalf_of":            nil,
			"transfer_data":           nil,
		},
		"end_behavior":          endBehavior,
		"livemode":              false,
		"metadata":              mergedMetadata(nil, c.params),
		"phases":                list{},
		"released_at":           nil,
		"released_subscription": nil,
		"status":                "not_started",
		"subscription":          nil,
		"test_clock":            nil,
	}
}

func newPhase(currency string, items list, start, end int64) object {
	return object{
		"add_invoice_items":       list{},
		"application_fee_percent": nil,
		"automatic_tax":           automaticTaxOf(false),
		"billing_cycle_anchor":    nil,
		"billing_thresholds":      nil,
		"collection_method":       nil,
		"coupon":                  nil,
		"currency":                currency,
		"default_payment_method":  nil,
		"default_tax_rates":       list{},
		"description":             nil,
		"end_date":                end,
		"invoice_settings":        nil,
		"items":                   items,
		"metadata":                object{},
		"on_behalf_of":            nil,
		"proration_behavior":      "create_prorations",
		"start_date":              start,
		"transfer_data":           nil,
		"trial_end":               nil,
	}
}

func phaseSpan(phase object) object {
	return object{"end_date": phase["end_date"], "start_date": phase["start_date"]}
}

func newPhaseItem(price string, quantity any, metadata object) object {
	return object{"billing_thresholds": nil, "metadata": metadata, "price": price, "quantity": quantity, "tax_rates": list{}}
}

// phaseItemsOf is what a subscription bills, as a phase says it.
func phaseItemsOf(subscription object) list {
	var items list
	for _, item := range itemsOf(subscription) {
		items = append(items, newPhaseItem(item.obj("price").id(), item["quantity"], item.obj("metadata")))
	}
	return items
}

// phases reads the phases of the parameters, each beginning where the one before
// it ends.
func (c *call) phases(start int64, currency string) (list, error) {
	var phases list
	for i, g := range c.params.list("phases") {
		given, param := asObject(g), fmt.Sprintf("phases[%d]", i)
		switch asked := given["start_date"].(type) {
		case int64:
			if i > 0 && asked != start {
				return nil, invalidRequest(param+"[start_date]", "", "The `start_date` of a phase must be the `end_date` of the one before it.")
			}
			start = asked
		case string:
			start = c.unix()
		}
		items, first, err := c.phaseItems(given.list("items"), currency, param)
		if err != nil {
			return nil, err
		}
		end, err := phaseEnd(given, start, first.obj("recurring"), param)
		if err != nil {
			return nil, err
		}
		phase := newPhase(first.str("currency"), items, start, end).set(changes(given, "proration_behavior"))
		phase["metadata"] = mergedMetadata(nil, given)
		phases = append(phases, phase)
		start, currency = end, first.str("currency")
	}
	return phases, nil
}

func (c *call) phaseItems(given list, currency, param string) (items list, first object, err error) {
	if len(given) == 0 {
		return nil, nil, invalidRequest(param+"[items]", "parameter_missing", "Missing required param: %s[items].", param)
	}
	for i, g := range given {
		item := asObject(g)
		at := fmt.Sprintf("%s[items][%d][price]", param, i)
		price, err := c.sellablePrice(at, item.str("price"))
		if err == nil {
			price, err = c.inCurrency(price, currency)
		}
		if err == nil && first != nil {
			err = sameRhythm(at, first, price)
		}
		if err != nil {
			return nil, nil, err
		}
		if first == nil {
			first = price
		}
		quantity, came := item["quantity"].(int64)
		if !came {
			quantity = 1
		}
		items = append(items, newPhaseItem(price.id(), quantity, mergedMetadata(nil, item)))
	}
	return items, first, nil
}

// phaseEnd is a moment or a number of periods after the start; one, by default.
func phaseEnd(given object, start int64, recurring object, param string) (int64, error) {
	iterations, counted := given["iterations"].(int64)
	end, dated := given["end_date"].(int64)
	switch {
	case counted && dated:
		return 0, invalidRequest(param, "parameter_invalid_exclusive", "You may only specify one of these parameters: end_date, iterations.")
	case counted && iterations < 1:
		return 0, invalidRequest(param+"[iterations]", "parameter_invalid_integer", "This value must be greater than or equal to 1.")
	case dated && end <= start:
		return 0, invalidRequest(param+"[end_date]", "", "The `end_date` of a phase must be after its `start_date`.")
	case dated:
		return end, nil
	case !counted:
		iterations = 1
	}
	return afterPeriods(time.Unix(start, 0).UTC(), recurring, int(iterations)).Unix(), nil
}

// putSchedule writes a schedule with the moment at which it goes on by itself.
func (t *tx) putSchedule(schedule, hidden object) {
	hidden = object{}.set(hidden)
	hidden[hiddenDue] = int64(0)
	phases := schedule.list("phases")
	switch schedule.str("status") {
	case "not_started":
		hidden[hiddenDue] = asObject(phases[0])["start_date"]
	case "active":
		ends := asObject(phases[len(phases)-1]).int("end_date")
		notice := int64(0)
		if hidden.int(hiddenExpiring) != ends {
			notice = max(ends-int64(expiryNotice/time.Second), schedule.int("created"))
		}
		hidden[hiddenDue] = earliest(schedule.obj("current_phase").int("end_date"), notice)
	}
	t.putHidden(schedule, hidden)
}

// liveSchedule does what is due of a schedule.
func (t *tx) liveSchedule(schedule object) {
	hidden := t.hidden(kindSchedule, schedule.id())
	switch {
	case schedule.str("status") == "not_started":
		t.beginSchedule(schedule)
	case schedule.obj("current_phase").int("end_date") <= t.unix():
		t.nextPhase(schedule)
	default:
		phases := schedule.list("phases")
		t.putSchedule(schedule, object{}.set(hidden).set(object{hiddenExpiring: asObject(phases[len(phases)-1])["end_date"]}))
		t.emit("subscription_schedule.expiring", schedule)
	}
}

// beginSchedule makes the subscription of a schedule whose time has come.
func (t *tx) beginSchedule(before object) object {
	phase := asObject(before.list("phases")[0])
	order := purchase{customer: t.get(kindCustomer, before.str("customer")), data: object{"schedule": before.id()}}
	for _, i := range phase.list("items") {
		item := asObject(i)
		price, err := t.inCurrency(t.get(kindPrice, item.str("price")), phase.str("currency"))
		if err != nil {
			price = t.get(kindPrice, item.str("price"))
		}
		order.lines = append(order.lines, purchaseLine{price: price, quantity: item.int("quantity"), metadata: item.obj("metadata")})
	}
	method := before.obj("default_settings").str("default_payment_method")
	order.data["default_payment_method"] = orNil(method)
	order.method = t.get(kindPaymentMethod, firstOf(method, order.customer.obj("invoice_settings").str("default_payment_method")))
	subscription := t.subscribe(order).subscription
	schedule := before.clone().set(object{"current_phase": phaseSpan(phase), "status": "active", "subscription": subscription.id()})
	t.putSchedule(schedule, t.hidden(kindSchedule, schedule.id()))
	t.emitUpdate("subscription_schedule.updated", before, schedule)
	if schedule.str("end_behavior") == "cancel" {
		t.attachSchedule(t.get(kindSubscription, subscription.id()), schedule)
	}
	return schedule
}

// nextPhase lets the phase begin that follows the one that has ended, or ends the
// schedule after its last.
func (t *tx) nextPhase(before object) {
	ended := before.obj("current_phase").int("end_date")
	for _, p := range before.list("phases") {
		phase := asObject(p)
		if phase.int("start_date") != ended {
			continue
		}
		schedule := before.clone().set(object{"current_phase": phaseSpan(phase)})
		t.putSchedule(schedule, t.hidden(kindSchedule, schedule.id()))
		t.emitUpdate("subscription_schedule.updated", before, schedule)
		// A price may have been archived since; the subscription then stays as it is.
		_ = t.applyPhase(t.get(kindSubscription, schedule.str("subscription")), phase, phase.str("proration_behavior"))
		return
	}
	subscription := t.get(kindSubscription, before.str("subscription"))
	if before.str("end_behavior") == "cancel" {
		t.endAsScheduled(subscription)
		return
	}
	t.releaseSchedule(before, false)
}

// applyPhase makes the subscription bill what the phase says.
func (t *tx) applyPhase(before, phase object, proration string) error {
	after := before.clone()
	invoice, err := t.rebill(before, after, terms{items: phaseChanges(before, phase), proration: proration})
	if err != nil {
		return err
	}
	t.put(after)
	t.emitUpdate("customer.subscription.updated", before, after)
	if invoice != nil {
		_ = t.collectAtOnce(invoice) // the subscription says how it went
	}
	return nil
}

// phaseChanges are the changes of items that lead to a phase. An item keeps its
// id where its price stays, or where it is the only one.
func phaseChanges(subscription, phase object) list {
	left := map[string]object{}
	for _, item := range itemsOf(subscription) {
		left[item.obj("price").id()] = item
	}
	wanted := phase.list("items")
	if len(left) == 1 && len(wanted) == 1 {
		item, only := asObject(wanted[0]), itemsOf(subscription)[0]
		return list{object{"id": only.id(), "price": item["price"], "quantity": item["quantity"]}}
	}
	var asked list
	for _, w := range wanted {
		item := asObject(w)
		change := object{"price": item["price"], "quantity": item["quantity"]}
		if kept := left[item.str("price")]; kept != nil {
			change = object{"id": kept.id(), "quantity": item["quantity"]}
			delete(left, item.str("price"))
		}
		asked = append(asked, change)
	}
	for _, price := range sortedKeys(left) {
		asked = append(asked, object{"id": left[price].id(), "deleted": true})
	}
	return asked
}

// updateSchedule changes what is to come, and what runs.
func (c *call) updateSchedule() (object, error) {
	before, err := c.openSchedule("update")
	if err != nil {
		return nil, err
	}
	schedule := before.clone().set(changes(c.params, "end_behavior"))
	schedule["metadata"] = mergedMetadata(before.obj("metadata"), c.params)
	schedule.obj("default_settings").set(c.params.obj("default_settings"))
	subscription := c.get(kindSubscription, before.str("subscription"))
	var running object
	if c.params["phases"] != nil {
		start := asObject(before.list("phases")[0]).int("start_date")
		if current := before.obj("current_phase"); current != nil {
			start = current.int("start_date")
		}
		phases, err := c.phases(start, subscription.str("currency"))
		if err != nil {
			return nil, err
		}
		if running = phaseAt(phases, c.unix()); running == nil && subscription != nil || len(phases) == 0 {
			return nil, invalidRequest("phases", "", "At least one phase must contain the present moment.")
		}
		schedule["phases"] = phases
	}
	if subscription != nil && running != nil {
		schedule["current_phase"] = phaseSpan(running)
	}
	c.putSchedule(schedule, c.hidden(kindSchedule, schedule.id()))
	c.emitUpdate("subscription_schedule.updated", before, schedule)
	if subscription == nil {
		return schedule, nil
	}
	if running != nil {
		proration := firstOf(c.params.str("proration_behavior"), "create_prorations")
		if err := c.applyPhase(subscription, running, proration); err != nil {
			return nil, err
		}
	}
	if c.params["phases"] != nil || c.params["end_behavior"] != nil {
		c.attachSchedule(c.get(kindSubscription, subscription.id()), schedule)
	}
	return schedule, nil
}

func phaseAt(phases list, moment int64) object {
	for _, p := range phases {
		if phase := asObject(p); phase.int("start_date") <= moment && moment < phase.int("end_date") {
			return phase
		}
	}
	return nil
}

// openSchedule answers the schedule of the path, unless it is over.
func (c *call) openSchedule(act string) (object, error) {
	schedule, err := c.fromPath(kindSchedule)
	if err != nil {
		return nil, err
	}
	if status := schedule.str("status"); status != "active" && status != "not_started" {
		return nil, invalidRequest("", "", "You cannot %s a subscription schedule that is currently in the `%s` status. It must be in the `not_started` or `active` status.", act, status)
	}
	return schedule, nil
}

func (c *call) releaseScheduleNow() (object, error) {
	schedule, err := c.openSchedule("release")
	if err != nil {
		return nil, err
	}
	return c.releaseSchedule(schedule, c.params.bool("preserve_cancel_date")), nil
}

// releaseSchedule lets the subscription go on by itself.
func (t *tx) releaseSchedule(before object, keepsEnd bool) object {
	schedule := before.clone().set(object{
		"current_phase": nil, "released_at": t.unix(), "released_subscription": before["subscription"],
		"status": "released", "subscription": nil,
	})
	t.putSchedule(schedule, nil)
	t.emitUpdate("subscription_schedule.released", before, schedule)
	subscription := t.get(kindSubscription, before.str("subscription"))
	if subscription == nil {
		return schedule
	}
	free := subscription.clone().set(object{"schedule": nil})
	if !keepsEnd {
		free["cancel_at"] = nil
	}
	t.put(free)
	t.emitUpdate("customer.subscription.updated", subscription, free)
	return schedule
}

// cancelSchedule ends the schedule, and its subscription with it.
func (c *call) cancelSchedule() (object, error) {
	schedule, err := c.openSchedule("cancel")
	if err != nil {
		return nil, err
	}
	if subscription := c.get(kindSubscription, schedule.str("subscription")); subscription != nil {
		details := subscription.obj("cancellation_details").clone().set(object{"reason": "cancellation_requested"})
		c.endSubscription(subscription, details)
		return c.get(kindSchedule, schedule.id()), nil
	}
	return c.closeSchedule(schedule, "canceled", "subscription_schedule.canceled"), nil
}

// closeScheduleOf ends the schedule of a subscription that has ended: as it was
// planned, because nobody paid, or because somebody ended it.
func (t *tx) closeScheduleOf(ended object) {
	schedule := t.get(kindSchedule, ended.str("schedule"))
	if schedule.str("status") != "active" {
		return
	}
	phases := schedule.list("phases")
	switch {
	case ended.obj("cancellation_details")["reason"] == "payment_failed":
		t.closeSchedule(schedule, "canceled", "subscription_schedule.aborted")
	case schedule.str("end_behavior") == "cancel" && asObject(phases[len(phases)-1]).int("end_date") <= t.unix():
		t.closeSchedule(schedule, "completed", "subscription_schedule.completed")
	default:
		t.closeSchedule(schedule, "canceled", "subscription_schedule.canceled")
	}
}

func (t *tx) closeSchedule(before object, status, event string) object {
	closed := before.clone().set(object{"current_phase": nil, status + "_at": t.unix(), "status": status})
	t.putSchedule(closed, nil)
	t.emitUpdate(event, before, closed)
	return closed
}

// noteInSchedule lets the running phase say what its subscription bills after a
// change that was made past the schedule.
func (t *tx) noteInSchedule(subscription object) {
	before := t.get(kindSchedule, subscription.str("schedule"))
	if before.str("status") != "active" {
		return
	}
	schedule := before.clone()
	for _, p := range schedule.list("phases") {
		if phase := asObject(p); phase["start_date"] == schedule.obj("current_phase")["start_date"] {
			phase["items"] = phaseItemsOf(subscription)
		}
	}
	t.put(schedule)
	t.emitUpdate("subscription_schedule.updated", before, schedule)
}

// checkManagedEnd refuses to end past its schedule what has one.
func (c *call) checkManagedEnd(subscription object) error {
	if subscription["schedule"] == nil || c.params["cancel_at"] == nil && c.params["cancel_at_period_end"] == nil {
		return nil
	}
	return invalidRequest("", "", "The subscription is managed by the subscription schedule `%s`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead.", subscription.str("schedule"))
}
