package stripesim

import "time"

const (
	// trialWarning is how long before its end a trial is announced as ending; a
	// shorter one is announced at once.
	trialWarning = 3 * day
	// renewalNotice is how long before a renewal its invoice is announced.
	renewalNotice = 7 * day
	// incompleteLifetime is how long a first payment may take.
	// https://stripe.com/docs/billing/subscriptions/overview#subscription-statuses
	incompleteLifetime = 23 * time.Hour
)

// What is kept beside a subscription, so that nothing is said twice: the end of
// the trial and of the period that have been announced.
const (
	hiddenWarned    = "warned_of_trial_end"
	hiddenAnnounced = "announced_period_end"
)

// subscriptionDue is when the next thing happens to a subscription by itself.
func subscriptionDue(subscription, hidden object) int64 {
	if hasEnded(subscription) {
		return 0
	}
	period := periodOf(subscription)
	endsAt := subscription.int("cancel_at")
	resumesAt := subscription.obj("pause_collection").int("resumes_at")
	expiresAt := subscription.obj("pending_update").int("expires_at")
	switch subscription.str("status") {
	case "incomplete":
		return subscription.int("created") + int64(incompleteLifetime/time.Second)
	case "paused":
		return earliest(endsAt, resumesAt)
	}
	var warning, notice int64
	if end := subscription.int("trial_end"); subscription.str("status") == "trialing" && hidden.int(hiddenWarned) != end {
		warning = end - int64(trialWarning/time.Second)
	}
	if begins := period.end - int64(renewalNotice/time.Second); begins > period.start &&
		hidden.int(hiddenAnnounced) != period.end && announcesRenewal(subscription) {
		notice = begins
	}
	return earliest(endsAt, resumesAt, expiresAt, period.end, warning, notice)
}

// announcesRenewal says whether there is going to be an invoice that Stripe
// charges by itself.
func announcesRenewal(subscription object) bool {
	endsAt := subscription.int("cancel_at")
	return subscription.str("status") != "unpaid" && (endsAt == 0 || endsAt > subscription.int("current_period_end"))
}

// liveSubscription does the first of what is due of a subscription.
//
// A schedule comes first: where one of its phases ends with a period, the next
// period is billed by the next phase.
func (t *tx) liveSubscription(subscription object) {
	schedule := t.get(kindSchedule, subscription.str("schedule"))
	if ends := schedule.obj("current_phase").int("end_date"); schedule.str("status") == "active" && ends <= t.unix() {
		t.liveSchedule(schedule)
		subscription = t.get(kindSubscription, subscription.id())
		if due := subscriptionDue(subscription, t.hidden(kindSubscription, subscription.id())); due == 0 || due > t.unix() {
			return
		}
	}
	hidden := t.hidden(kindSubscription, subscription.id())
	reached := func(moment int64) bool { return moment != 0 && moment <= t.unix() }
	trialing := subscription.str("status") == "trialing"
	switch {
	case subscription.str("status") == "incomplete":
		t.expireIncomplete(subscription)
	case reached(subscription.int("cancel_at")):
		t.endAsScheduled(subscription)
	case reached(subscription.obj("pending_update").int("expires_at")):
		t.dropPending(subscription)
	case reached(subscription.obj("pause_collection").int("resumes_at")):
		resumed := subscription.clone().set(object{"pause_collection": nil})
		t.put(resumed)
		t.emitUpdate("customer.subscription.updated", subscription, resumed)
	case reached(subscription.int("current_period_end")) && trialing:
		t.endTrial(subscription)
	case reached(subscription.int("current_period_end")):
		t.renew(subscription, "")
	case trialing && hidden.int(hiddenWarned) != subscription.int("trial_end") &&
		reached(subscription.int("trial_end")-int64(trialWarning/time.Second)):
		t.putHidden(subscription, object{}.set(hidden).set(object{hiddenWarned: subscription["trial_end"]}))
		t.emit("customer.subscription.trial_will_end", subscription)
	default:
		t.putHidden(subscription, object{}.set(hidden).set(object{hiddenAnnounced: subscription["current_period_end"]}))
		t.emit("invoice.upcoming", t.upcomingInvoice(subscription))
	}
}

// renew begins the next period, as another status where one is named, and drafts
// its invoice.
func (t *tx) renew(before object, status string) {
	ended := periodOf(before)
	after := before.clone()
	beginNextPeriod(after)
	if status != "" {
		after["status"] = status
	}
	invoice := t.newCycleInvoice(after, ended)
	if after.str("status") == "unpaid" || after.obj("pause_collection").str("behavior") == "keep_as_draft" {
		invoice.set(object{"auto_advance": false, "next_payment_attempt": nil})
	}
	after["latest_invoice"] = invoice.id()
	t.put(after)
	t.emitUpdate("customer.subscription.updated", before, after)
	t.put(invoice)
	t.emit("invoice.created", invoice)
}

// endTrial lets a trial become what it was a trial of. Without a card it goes as
// the trial's settings say.
// https://stripe.com/docs/billing/subscriptions/trials/free-trials
func (t *tx) endTrial(subscription object) {
	if t.methodFor(subscription) == nil {
		switch subscription.obj("trial_settings").obj("end_behavior").str("missing_payment_method") {
		case "cancel":
			t.end(subscription, object{"canceled_at": t.unix()})
			return
		case "pause":
			paused := t.setStatus(subscription, "paused")
			t.emit("customer.subscription.paused", paused)
			return
		}
	}
	t.renew(subscription, "active")
}

// endAsScheduled ends a subscription whose end was set before. The moment at
// which that was asked for stays, as does the flag. What waited for the next
// invoice is billed alone.
//
// An end inside a period, where it is allowed, does not shorten the period.
func (t *tx) endAsScheduled(subscription object) {
	ended := t.end(subscription, nil)
	if len(t.pendingItems(ended)) == 0 {
		return
	}
	id := newID("in_1", longID-1)
	invoice := t.newInvoice(id, ended, invoiceTerms{
		reason: "subscription_cycle", lines: t.takePendingItems(ended, id), period: periodOf(ended),
	})
	t.put(ended.clone().set(object{"latest_invoice": invoice.id()}))
	t.put(invoice)
	t.emit("invoice.created", invoice)
}

// expireIncomplete ends a subscription whose first payment never came, and its
// invoice with it.
func (t *tx) expireIncomplete(subscription object) {
	expired := subscription.clone().set(object{"ended_at": t.unix(), "status": "incomplete_expired"})
	t.put(expired)
	t.emitUpdate("customer.subscription.updated", subscription, expired)
	if invoice := t.get(kindInvoice, subscription.str("latest_invoice")); invoice.str("status") == "open" {
		t.closeInvoice(invoice, "void")
	}
}

// upcomingInvoice is what the next renewal is going to bill, as far as it is
// known: an invoice without an id.
func (t *tx) upcomingInvoice(subscription object) object {
	ended := periodOf(subscription)
	next := subscription.clone().set(object{"status": "active"})
	beginNextPeriod(next)
	var lines list
	for _, item := range t.pendingItems(subscription) {
		lines = append(lines, invoiceItemLine(item, nil, t.hidden(kindInvoiceItem, item.id())["credited_items"]))
	}
	lines = append(lines, t.subscriptionLines("", next)...)
	invoice := t.newInvoice("", next, invoiceTerms{reason: "upcoming", lines: lines, period: ended})
	delete(invoice, "id")
	return invoice.set(object{
		"created":              ended.end,
		"lines":                listOf("/v1/invoices/upcoming/lines?customer="+subscription.str("customer")+"&subscription="+subscription.id(), lines),
		"next_payment_attempt": ended.end + int64(draftLifetime/time.Second),
	})
}
