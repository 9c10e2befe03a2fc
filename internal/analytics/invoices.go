package analytics

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// InvoiceEventKind is what is told of an invoice.
type InvoiceEventKind string

// The kinds, which are those of the business events that tell them: it was paid,
// an attempt was declined, the bank asked for the customer's confirmation,
// nothing is owed any more, or it was given up.
const (
	InvoicePaid       InvoiceEventKind = "payment_succeeded"
	InvoiceDeclined   InvoiceEventKind = "payment_failed"
	InvoiceAsked      InvoiceEventKind = "payment_action_required"
	InvoiceVoided     InvoiceEventKind = "invoice_voided"
	InvoiceWrittenOff InvoiceEventKind = "invoice_marked_uncollectible"
)

// InvoiceEvent is one thing that happened with an invoice.
type InvoiceEvent struct {
	Kind                      InvoiceEventKind
	At                        time.Time
	InvoiceID, SubscriptionID string
	// BillingReason is Stripe's, e.g. subscription_cycle.
	BillingReason string
	Currency      money.Currency
	// AmountMinor is what is due, or of a payment what came.
	AmountMinor int64
}

// DeclinedCharge is a charge that did not come through.
type DeclinedCharge struct {
	InvoiceID string
	At        time.Time
	// Reason is the bank's decline code where it gave one, or Stripe's code.
	Reason string
}

// InvoiceFate is what became of an invoice.
type InvoiceFate string

// The fates. Paid is paid at the first attempt, recovered at a later one or by
// any other means.
const (
	FatePaid      InvoiceFate = "paid"
	FateRecovered InvoiceFate = "recovered"
	FateInRetry   InvoiceFate = "in_retry"
	FateLost      InvoiceFate = "lost"
)

// InvoiceOutcome is what came of one renewal (metrics.md 1.13), counted once by
// what its first attempt came to.
type InvoiceOutcome struct {
	InvoiceID, SubscriptionID string
	Currency                  money.Currency
	// Plan is the one of the first attempt.
	Plan string
	// AmountMinor was due at the first attempt.
	AmountMinor int64
	// FirstAt is the first attempt, LastAt the last one that is told.
	FirstAt, LastAt time.Time
	// Attempts are those that did not succeed.
	Attempts int
	// Asked says that the bank wanted the customer's confirmation at the first
	// attempt, which is no decline.
	Asked bool
	Fate  InvoiceFate
	// SettledAt is when it was paid or lost; zero while it is retried.
	SettledAt time.Time
	// Reason is that of the first decline; empty where there is none, or where
	// nobody told it.
	Reason string
}

// IsFailed reports whether its first attempt was declined.
func (o InvoiceOutcome) IsFailed() bool { return !o.Asked && o.Fate != FatePaid }

const (
	// retriedFor is how long after its last attempt nobody lets Stripe retry an
	// invoice any more.
	retriedFor = 60 * 24 * time.Hour
	// oneTry is within how long Stripe tells a decline and a request for
	// confirmation of one and the same attempt.
	oneTry = time.Minute
	// draftFor is how long after a trial's end its first invoice is attempted, at
	// the latest: a webhook may keep the draft waiting.
	draftFor = 3 * 24 * time.Hour
	// renewal is Stripe's billing reason of an invoice that a new period begins
	// with.
	renewal = "subscription_cycle"
)

// InvoiceOutcomes are the renewals of a customer, in order of their first
// attempt, from what happened to its invoices, its declined charges and the
// versions of its subscriptions, each in any order. next is when one of them is
// lost with nothing happening; zero when none.
//
// The invoice that begins a subscription is left out, and so is the first after
// a trial: what they lose is a sign-up. So is what somebody voids, which is not
// owed. Lost is what is not paid when its subscription ends or turns unpaid,
// when it is marked uncollectible, or sixty days after its last attempt; paid by
// whatever means, however late, it is recovered.
func InvoiceOutcomes(events []InvoiceEvent, declines []DeclinedCharge, history []Version, catalog Catalog, now time.Time) (outcomes []InvoiceOutcome, next time.Time) {
	subscriptions := bySubscription(history)
	invoices := map[string][]InvoiceEvent{}
	for _, e := range events {
		if e.InvoiceID != "" {
			invoices[e.InvoiceID] = append(invoices[e.InvoiceID], e)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(invoices)) {
		told := readInvoice(invoices[id])
		versions := subscriptions[told.SubscriptionID]
		if !told.isRenewal || told.isVoided || told.AmountMinor <= 0 || told.Currency == "" || isFirstAfterTrial(versions, told.FirstAt) {
			continue
		}
		o := told.InvoiceOutcome
		o.Plan = planAt(versions, catalog, o.FirstAt)
		if o.IsFailed() {
			o.Reason = firstReason(declines, id)
		}
		if o.Fate == FateInRetry {
			if lostAt, ok := earliest(told.writtenOffAt, endAfter(versions, o.FirstAt, now), o.LastAt.Add(retriedFor)); ok && !lostAt.After(now) {
				o.Fate, o.SettledAt = FateLost, lostAt
			} else if next.IsZero() || lostAt.Before(next) {
				next = lostAt
			}
		}
		outcomes = append(outcomes, o)
	}
	slices.SortFunc(outcomes, func(a, b InvoiceOutcome) int {
		return cmp.Or(a.FirstAt.Compare(b.FirstAt), cmp.Compare(a.InvoiceID, b.InvoiceID))
	})
	return outcomes, next
}

// toldInvoice is what the events of an invoice say by themselves.
type toldInvoice struct {
	InvoiceOutcome
	isRenewal, isVoided bool
	writtenOffAt        time.Time
}

func readInvoice(events []InvoiceEvent) toldInvoice {
	events = slices.Clone(events)
	slices.SortFunc(events, func(a, b InvoiceEvent) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.AmountMinor, b.AmountMinor),
			cmp.Compare(a.SubscriptionID, b.SubscriptionID), cmp.Compare(a.BillingReason, b.BillingReason))
	})
	var o toldInvoice
	var declinedAt, askedAt, paidAt time.Time
	var paid InvoiceEvent
	for _, e := range events {
		o.InvoiceID, o.SubscriptionID = e.InvoiceID, cmp.Or(o.SubscriptionID, e.SubscriptionID)
		switch e.Kind {
		case InvoiceVoided:
			o.isVoided = true
			continue
		case InvoiceWrittenOff:
			o.writtenOffAt, _ = earliest(o.writtenOffAt, e.At)
			continue
		case InvoicePaid:
			o.isRenewal = o.isRenewal || e.BillingReason == renewal
			if paidAt.IsZero() {
				paidAt, paid = e.At, e
			}
			continue
		case InvoiceDeclined:
			declinedAt, _ = earliest(declinedAt, e.At)
		case InvoiceAsked:
			askedAt, _ = earliest(askedAt, e.At)
		}
		o.isRenewal = o.isRenewal || e.BillingReason == renewal
		if o.FirstAt.IsZero() {
			o.FirstAt, o.AmountMinor, o.Currency = e.At, e.AmountMinor, e.Currency
		}
		if e.Kind == InvoiceDeclined {
			o.Attempts++
		}
		o.LastAt = e.At
	}
	if !askedAt.IsZero() {
		o.Attempts = max(o.Attempts, 1)
	}
	o.Fate = FateInRetry
	switch {
	case paidAt.IsZero():
	case o.FirstAt.IsZero() || paidAt.Before(o.FirstAt):
		o.Fate, o.FirstAt, o.LastAt, o.SettledAt, o.Attempts = FatePaid, paidAt, paidAt, paidAt, 0
		o.AmountMinor, o.Currency = paid.AmountMinor, paid.Currency
	default:
		o.Fate, o.SettledAt = FateRecovered, paidAt
	}
	o.Asked = o.Fate != FatePaid && !askedAt.IsZero() && (declinedAt.IsZero() || !askedAt.After(declinedAt.Add(oneTry)))
	return o
}

// earliest is the earliest of the instants that are not zero.
func earliest(instants ...time.Time) (time.Time, bool) {
	var first time.Time
	for _, t := range instants {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first, !first.IsZero()
}

// firstReason is the reason of the first declined charge of an invoice.
func firstReason(declines []DeclinedCharge, invoiceID string) string {
	var first DeclinedCharge
	for _, d := range declines {
		if d.InvoiceID != invoiceID || d.Reason == "" {
			continue
		}
		if first.Reason == "" || cmp.Or(d.At.Compare(first.At), cmp.Compare(d.Reason, first.Reason)) < 0 {
			first = d
		}
	}
	return first.Reason
}

// bySubscription are the versions of each subscription, in order of time.
func bySubscription(history []Version) map[string][]Version {
	out := map[string][]Version{}
	for _, v := range history {
		out[v.SubscriptionID] = append(out[v.SubscriptionID], v)
	}
	for _, versions := range out {
		slices.SortFunc(versions, func(a, b Version) int { return a.At.Compare(b.At) })
	}
	return out
}

// versionAt is the version of an instant, or the first one for an instant before
// them all.
func versionAt(versions []Version, at time.Time) (Version, bool) {
	if len(versions) == 0 {
		return Version{}, false
	}
	for _, v := range slices.Backward(versions) {
		if !v.At.After(at) {
			return v, true
		}
	}
	return versions[0], true
}

// isFirstAfterTrial reports whether an invoice first attempted at an instant is
// the one that a trial ended with. Nothing tells the period of an invoice, so it
// is known by the end of the trial, as the history knew it then.
func isFirstAfterTrial(versions []Version, firstAt time.Time) bool {
	v, ok := versionAt(versions, firstAt)
	if !ok || v.Facts.TrialEnd == 0 {
		return false
	}
	end := v.Facts.TrialEnd.Time()
	return !end.After(firstAt) && !end.Before(firstAt.Add(-draftFor))
}

// endAfter is when the subscription first ended or turned unpaid, from an instant
// on; zero: it did not until now.
func endAfter(versions []Version, from, now time.Time) time.Time {
	var before billing.Status
	for _, v := range versions {
		status := v.Facts.Status
		if (status.IsTerminal() || status == billing.StatusUnpaid) && status != before && !v.At.Before(from) && !v.At.After(now) {
			return v.At
		}
		before = status
	}
	return time.Time{}
}

// planAt is the plan of a subscription at an instant: of its items of a known
// plan that of the dearest.
func planAt(versions []Version, catalog Catalog, at time.Time) string {
	v, _ := versionAt(versions, at)
	plan, most := UnknownPlan, int64(-1)
	for _, item := range v.Facts.Items {
		price := catalog.Prices[item.PriceID]
		if price.Plan == "" {
			continue
		}
		amount := price.Amounts[v.Facts.Currency]
		if micro := amount.Micro(item.Quantity); micro > most {
			plan, most = price.Plan, micro
		}
	}
	return plan
}
