package payments

import (
	"cmp"
	"encoding/json"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// The story of a subscription is what its history means in the words of the
// trade. It follows the history and not the copy: states that were passed over
// while nobody asked are told too, each at the moment that Stripe gives it, and
// the same history tells the same story in whatever order it was learned.

// meaning is what the items of a state say: the plan, and what it costs.
type meaning struct {
	plan          string
	priceID       string
	interval      billing.Interval
	intervalCount int64
	quantity      int64
	// amountMinor is what the recurring items cost a period before discount and
	// tax; nil while an amount is not known.
	amountMinor *int64
}

// mean reads the items. Of those of a known plan the dearest decides, and an
// unknown price beside it is ignored; alone it keeps the plan that the
// subscription had.
func mean(facts billing.Facts, prices map[string]billing.Price, plan string) meaning {
	m := meaning{plan: plan}
	var total, dearest int64
	known, main := true, -1
	for i, item := range facts.Items {
		price := prices[item.PriceID]
		amount, ok := price.Amounts[facts.Currency]
		var costs int64
		if ok && price.UsageType != "metered" {
			costs = amount.Micro(item.Quantity)
		}
		known = known && ok
		total += costs
		if price.Plan != "" && (main < 0 || costs > dearest) {
			main, dearest = i, costs
		}
	}
	if known && len(facts.Items) > 0 {
		m.amountMinor = new(money.RoundMicro(total))
	}
	if main < 0 && len(facts.Items) > 0 {
		main = 0
	}
	if main < 0 {
		return m
	}
	item := facts.Items[main]
	m.priceID, m.quantity = item.PriceID, item.Quantity
	if price, ok := prices[item.PriceID]; ok {
		m.interval, m.intervalCount = price.Interval, price.IntervalCount
		if price.Plan != "" {
			m.plan = price.Plan
		}
	}
	return m
}

// chapter is a version with what it means.
type chapter struct {
	analytics.Version
	meaning
}

func chapters(history []analytics.Version, prices map[string]billing.Price) []chapter {
	out := make([]chapter, len(history))
	plan := ""
	for i, v := range history {
		out[i] = chapter{Version: v, meaning: mean(v.Facts, prices, plan)}
		plan = out[i].plan
	}
	return out
}

// at answers the chapter that a moment falls into; the first one for a moment
// before them all.
func at(all []chapter, moment time.Time) (chapter, bool) {
	if len(all) == 0 {
		return chapter{}, false
	}
	i := len(all) - 1
	for i > 0 && all[i].At.After(moment) {
		i--
	}
	return all[i], true
}

// storyKinds are the kinds that a story is made of: nobody else writes them.
var storyKinds = []string{
	"subscription_created", "subscription_activated", "subscription_past_due", "subscription_recovered", "subscription_unpaid",
	"subscription_canceled", "subscription_paused", "subscription_resumed", "subscription_incomplete_expired", "trial_started",
	"trial_ended", "trial_converted", "plan_changed", "quantity_changed", "cancellation_scheduled", "cancellation_withdrawn", "collection_paused", "collection_resumed",
}

// story tells a history.
func story(all []chapter) []happening {
	var out []happening
	for i, now := range all {
		tell := func(kind, key string, details map[string]any) {
			h := happening{
				kind: kind, key: key, at: now.At, subscriptionID: now.SubscriptionID, plan: now.plan, interval: now.interval,
				currency: now.Facts.Currency, amountMinor: now.amountMinor, details: details,
			}
			if now.Source == analytics.SourceEvent {
				h.eventID = now.SourceID
			}
			out = append(out, h)
		}
		id := now.SubscriptionID
		dated := id + ":" + strconv.FormatInt(now.At.Unix(), 10)
		before := chapter{meaning: now.meaning}
		if i > 0 {
			before = all[i-1]
		} else {
			tell("subscription_created", id, nil)
		}
		if was, is := before.Facts.Status, now.Facts.Status; was != is {
			tellStatus(tell, was, is, id, dated)
		}
		switch {
		case before.plan != now.plan || before.priceID != now.priceID:
			tell("plan_changed", dated, said(map[string]any{
				"from_plan": before.plan, "from_price": before.priceID, "to_price": now.priceID, "direction": now.direction(before.meaning),
			}))
		case before.quantity != now.quantity:
			tell("quantity_changed", dated, said(map[string]any{
				"from_quantity": before.quantity, "quantity": now.quantity, "direction": now.direction(before.meaning),
			}))
		}
		wasEnding, isEnding := before.Facts.EndsAt != 0, now.Facts.EndsAt != 0
		switch ended := now.Facts.Status.IsTerminal(); {
		case ended || wasEnding == isEnding:
		case isEnding:
			tell("cancellation_scheduled", dated, map[string]any{"ends_at": now.Facts.EndsAt.Time()})
		default:
			tell("cancellation_withdrawn", dated, nil)
		}
		switch was, is := behavior(before.Facts), behavior(now.Facts); {
		case was == is:
		case is != "":
			tell("collection_paused", dated, map[string]any{"behavior": is})
		default:
			tell("collection_resumed", dated, nil)
		}
	}
	return out
}

// The directions of a change of plan.
const (
	upgrade   = "upgrade"
	downgrade = "downgrade"
)

// direction says whether a state costs more a month than the one before, or less;
// empty where it costs the same, or where that is not known.
func (m meaning) direction(before meaning) string {
	now, ok := m.perMonth()
	then, known := before.perMonth()
	if !ok || !known {
		return ""
	}
	switch now.Cmp(then) {
	case 1:
		return upgrade
	case -1:
		return downgrade
	}
	return ""
}

// perMonth is what a state costs a month, as MRR has it (metrics.md 1.2.1).
func (m meaning) perMonth() (*big.Rat, bool) {
	twelfths := map[billing.Interval]int64{billing.Year: 1, billing.Month: 12, billing.Week: 52, billing.Day: 365}[m.interval]
	if m.amountMinor == nil || twelfths == 0 || m.intervalCount <= 0 {
		return nil, false
	}
	amount := new(big.Rat).SetInt64(*m.amountMinor)
	return amount.Mul(amount, big.NewRat(twelfths, 12*m.intervalCount)), true
}

func behavior(f billing.Facts) string {
	if f.Pause == nil {
		return ""
	}
	return f.Pause.Behavior
}

// tellStatus: what happens at most once in a subscription's life has its id for
// a key, what may come back has the second beside it.
func tellStatus(tell func(kind, key string, details map[string]any), was, is billing.Status, id, dated string) {
	if was == billing.StatusTrialing {
		tell("trial_ended", id, map[string]any{"to_status": is})
	}
	switch is {
	case billing.StatusTrialing:
		tell("trial_started", id, nil)
	case billing.StatusActive:
		switch was {
		case billing.StatusPastDue, billing.StatusUnpaid:
			tell("subscription_recovered", dated, nil)
		case billing.StatusPaused:
			tell("subscription_resumed", dated, nil)
		default:
			tell("subscription_activated", id, nil)
		}
	case billing.StatusPastDue:
		tell("subscription_past_due", dated, nil)
	case billing.StatusUnpaid:
		tell("subscription_unpaid", dated, nil)
	case billing.StatusPaused:
		tell("subscription_paused", dated, nil)
	case billing.StatusCanceled:
		tell("subscription_canceled", id, map[string]any{"from_status": was})
	case billing.StatusIncompleteExpired:
		tell("subscription_incomplete_expired", id, nil)
	case billing.StatusIncomplete:
		// It has not begun; subscription_created has told it.
	}
}

// writeStories rewrites by difference what the histories of this write tell.
func (w *writing) writeStories() {
	stored := map[string]db.PaymentEvent{}
	for _, row := range w.rows.events[w.Subject] {
		stored[row.Kind+" "+row.NaturalKey] = row
	}
	for _, id := range slices.Sorted(maps.Keys(w.histories)) {
		all := chapters(w.histories[id], w.prices)
		told := story(all)
		if h := w.converted(id, all); h != nil {
			told = append(told, *h)
		}
		for _, h := range told {
			key := h.kind + " " + h.key
			row, ok := stored[key]
			delete(stored, key)
			if ok && tells(row, h) {
				continue
			}
			if ok {
				w.takeBack(row)
			}
			w.record(w.occasion(), h)
		}
		w.reviseStory(id, all, stored)
	}
}

// takeBack forgets what the history does not tell any more, or not so.
func (w *writing) takeBack(row db.PaymentEvent) {
	w.changes.takenBack = append(w.changes.takenBack, row.ID)
	if row.SubscriptionID != nil && slices.Contains(funnelKinds, row.Kind) {
		w.changes.reconsidered = append(w.changes.reconsidered, *row.SubscriptionID)
	}
}

// converted is the first payment after a trial that was not cancelled
// (metrics.md 1.9), nil while there is none. It follows the history and the
// payments that are known, whichever comes first.
func (w *writing) converted(id string, all []chapter) *happening {
	end := slices.IndexFunc(all, func(c chapter) bool { return c.Facts.Status == billing.StatusTrialing })
	for end >= 0 && end < len(all) && all[end].Facts.Status == billing.StatusTrialing {
		end++
	}
	if end < 0 || end == len(all) || all[end].Facts.Status.IsTerminal() {
		return nil
	}
	var paid *db.PaymentEvent
	for _, known := range [][]db.PaymentEvent{w.rows.events[w.Subject], w.changes.recorded} {
		for i := range known {
			e := &known[i]
			if e.Kind != "payment_succeeded" || deref(e.SubscriptionID) != id || e.At.Before(all[end].At) {
				continue
			}
			if paid == nil || earlier(*e, *paid) {
				paid = e
			}
		}
	}
	if paid == nil {
		return nil
	}
	then, _ := at(all, paid.At)
	return &happening{
		kind: "trial_converted", key: id, at: paid.At, subscriptionID: id, plan: then.plan, interval: then.interval,
		currency: money.Currency(deref(paid.Currency)), amountMinor: paid.AmountMinor, eventID: deref(paid.SourceEventID),
		details: said(map[string]any{"invoice": deref(paid.InvoiceID)}),
	}
}

// earlier orders payments as they are kept: of one and the same the earlier, and
// of the same moment the one that an event told.
func earlier(a, b db.PaymentEvent) bool {
	source := func(e db.PaymentEvent) string {
		if e.SourceEventID == nil {
			return "~"
		}
		return *e.SourceEventID
	}
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(source(a), source(b)), cmp.Compare(a.NaturalKey, b.NaturalKey)) < 0
}

// reviseStory takes back what the history no longer tells, and gives what came
// by other ways the plan that held at its moment.
func (w *writing) reviseStory(id string, all []chapter, stored map[string]db.PaymentEvent) {
	for _, row := range stored {
		if deref(row.SubscriptionID) != id {
			continue
		}
		if slices.Contains(storyKinds, row.Kind) {
			w.mark()
			w.takeBack(row)
			continue
		}
		then, ok := at(all, row.At)
		if !ok || row.Kind == "checkout_completed" { // the checkout itself knows what it sold
			continue
		}
		if deref(row.Plan) != then.plan || deref(row.Interval) != string(then.interval) {
			w.changes.revised = append(w.changes.revised, db.RevisePaymentEventParams{
				ID: row.ID, Plan: optional(then.plan), Interval: optional(string(then.interval)),
			})
		}
	}
}

func tells(row db.PaymentEvent, h happening) bool {
	return row.At.Equal(h.at) && deref(row.Plan) == h.plan && deref(row.Interval) == string(h.interval) &&
		deref(row.Currency) == string(h.currency) && deref(row.AmountMinor) == deref(h.amountMinor) &&
		deref(row.SourceEventID) == h.eventID && sameDetails(row.Details, h.details)
}

// sameDetails compares as JSON does: a late event changes what an earlier state
// was, and nothing else of the row.
func sameDetails(stored json.RawMessage, told map[string]any) bool {
	var a, b any
	if json.Unmarshal(stored, &a) != nil || json.Unmarshal(mustJSON(orEmpty(told)), &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b)
}
