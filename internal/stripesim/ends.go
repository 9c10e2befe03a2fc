package stripesim

import "time"

// hiddenCredited is the moment from which the rest of the running period has been
// given back, because the subscription ends there.
const hiddenCredited = "credited_from"

// prorateEnd settles what an end inside the running period costs or gives back:
// the rest of the period is credited from the end on, and charged again when the
// end is taken back. What is not billed has nothing to settle, and whoever asks
// for no proration gets none.
// https://stripe.com/docs/api/subscriptions/update#update_subscription-cancel_at
func (t *tx) prorateEnd(before, after object, proration string) {
	hidden := t.hidden(kindSubscription, after.id())
	given := endInside(before, hidden)
	restoreEnd(before, after)
	end, period := after.int("cancel_at"), billedPeriod(after)
	if end <= period.start || end >= period.end {
		end = 0
	}
	bills := after.str("status") == "active" || after.str("status") == "past_due"
	if proration == "none" || !bills || given == end && period == billedPeriod(before) && sameItems(before, after) {
		return
	}
	if given != 0 {
		for _, item := range itemsOf(before) {
			t.prorate(before, item, 1, given)
		}
	}
	if end != 0 {
		for _, item := range itemsOf(after) {
			t.prorate(after, item, -1, end)
		}
	}
	t.putHidden(after, object{}.set(hidden).set(object{hiddenCredited: end}))
}

// billedPeriod is the period that prices are prorated by: the running one, to its
// natural end. One that is cut short counts as billed to there and given back.
func billedPeriod(subscription object) span {
	period := periodOf(subscription)
	if isCutShort(subscription) {
		period.end = naturalEnd(subscription)
	}
	return period
}

// endInside is from when on the running period has not been paid for, or zero.
func endInside(subscription, hidden object) int64 {
	if isCutShort(subscription) {
		return subscription.int("current_period_end")
	}
	if credited := hidden.int(hiddenCredited); credited > subscription.int("current_period_start") {
		return credited
	}
	return 0
}

// restoreEnd gives a period that ended early its natural end again, once the
// subscription does not end there any more.
func restoreEnd(before, after object) {
	if isCutShort(before) && after["current_period_end"] == before["current_period_end"] && after["cancel_at"] != before["cancel_at"] {
		after["current_period_end"] = naturalEnd(before)
		moveFlaggedEnd(after)
	}
}

// naturalEnd is when the period would end if the subscription went on.
func naturalEnd(subscription object) int64 {
	recurring := itemsOf(subscription)[0].obj("price").obj("recurring")
	return periodEndAfter(time.Unix(subscription.int("current_period_start"), 0).UTC(),
		time.Unix(subscription.int("billing_cycle_anchor"), 0).UTC(), recurring).Unix()
}

// isCutShort says that the running period ends with the subscription, before its
// natural end, and has been billed so.
func isCutShort(subscription object) bool {
	end := subscription.int("current_period_end")
	return end != 0 && end == subscription.int("cancel_at") && subscription.str("status") != "trialing" && end < naturalEnd(subscription)
}

func sameItems(a, b object) bool {
	if len(itemsOf(a)) != len(itemsOf(b)) {
		return false
	}
	for _, item := range itemsOf(a) {
		if other := itemByID(b, item.id()); other == nil || !billsTheSame(item, other) {
			return false
		}
	}
	return true
}

// beginNextPeriod lets the period begin that follows the one that has ended. It
// ends with the subscription where that is earlier.
func beginNextPeriod(subscription object) {
	start := subscription.int("current_period_end")
	subscription["current_period_start"] = start
	end := naturalEnd(subscription)
	if ends := subscription.int("cancel_at"); ends > start && ends < end {
		end = ends
	}
	subscription["current_period_end"] = end
}

// periodAmount is what an item costs for the running period.
func periodAmount(subscription, item object) int64 {
	price, quantity := item.obj("price"), item.int("quantity")
	amount := amountTimes(price, quantity)
	if isCutShort(subscription) {
		whole := span{subscription.int("current_period_start"), naturalEnd(subscription)}
		amount -= prorated(price, quantity, whole, subscription.int("current_period_end"))
	}
	return amount
}
