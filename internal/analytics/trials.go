package analytics

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// TrialFate is what became of a trial.
type TrialFate string

// The fates. Provisional is over and not paid for, and still may be.
const (
	TrialRunning     TrialFate = "running"
	TrialProvisional TrialFate = "provisional"
	TrialConverted   TrialFate = "converted"
	TrialLapsed      TrialFate = "lapsed"
)

// TrialOutcome is what came of the trial of a subscription (metrics.md 1.9),
// which has one at most: the first.
type TrialOutcome struct {
	SubscriptionID string
	Currency       money.Currency
	// Plan is the one that the trial began with.
	Plan      string
	StartedAt time.Time
	// EndedAt is the end of the trial, or when it was cancelled or paid for before
	// that; zero while it runs.
	EndedAt time.Time
	Fate    TrialFate
}

// provisionalFor is how long after its end a trial that is not paid for may still
// be, while the payment is tried again.
const provisionalFor = 14 * 24 * time.Hour

// sameMoment is how far apart Stripe may date what happens at once.
const sameMoment = time.Minute

// TrialOutcomes are the trials of a customer, in order of their beginning, from
// what happened to its invoices and the versions of its subscriptions, each in
// any order. next is when one changes with nothing happening: it ends, or is not
// waited for any longer; zero when none does.
//
// Converted is a trial after whose end an invoice of more than nothing was paid,
// whatever became of the subscription later. One that was cancelled or paused
// before that has lapsed, and so has one that is not paid for when it is not
// waited for any longer; a payment that comes after all still converts it.
func TrialOutcomes(events []InvoiceEvent, history []Version, catalog Catalog, now time.Time) (outcomes []TrialOutcome, next time.Time) {
	subscriptions := bySubscription(history)
	for _, id := range slices.Sorted(maps.Keys(subscriptions)) {
		versions := slices.DeleteFunc(subscriptions[id], func(v Version) bool { return v.At.After(now) })
		first := slices.IndexFunc(versions, func(v Version) bool { return v.Facts.Status == billing.StatusTrialing })
		if first < 0 {
			continue
		}
		o := TrialOutcome{
			SubscriptionID: id, Currency: versions[first].Facts.Currency, Plan: planAt(versions, catalog, versions[first].At),
			StartedAt: versions[first].At, Fate: TrialRunning,
		}
		last := first
		for last+1 < len(versions) && versions[last+1].Facts.Status == billing.StatusTrialing {
			last++
		}
		end, rest := versions[last].Facts.TrialEnd.Time(), versions[last+1:]
		if len(rest) > 0 && (end.IsZero() || rest[0].At.Before(end)) {
			end = rest[0].At
		}
		switch {
		case end.IsZero():
		case end.After(now):
			next, _ = earliest(next, end)
		default:
			o.EndedAt = end
			o.Fate = fateOfTrial(events, id, end, rest)
			if o.Fate != TrialProvisional {
				break
			}
			if until := end.Add(provisionalFor); until.After(now) {
				next, _ = earliest(next, until)
			} else {
				o.Fate = TrialLapsed
			}
		}
		outcomes = append(outcomes, o)
	}
	slices.SortFunc(outcomes, func(a, b TrialOutcome) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.SubscriptionID, b.SubscriptionID))
	})
	return outcomes, next
}

// fateOfTrial is what became of a trial that is over, given the versions after
// it.
func fateOfTrial(events []InvoiceEvent, subscriptionID string, end time.Time, rest []Version) TrialFate {
	var paidAt, givenUpAt time.Time
	for _, e := range events {
		// Who ends a trial early pays in the moment before it is over.
		if e.Kind == InvoicePaid && e.SubscriptionID == subscriptionID && e.AmountMinor > 0 && !e.At.Before(end.Add(-sameMoment)) {
			paidAt, _ = earliest(paidAt, e.At)
		}
	}
	for _, v := range rest {
		if v.Facts.Status.IsTerminal() || v.Facts.Status == billing.StatusPaused {
			givenUpAt = v.At
			break
		}
	}
	switch {
	case !paidAt.IsZero() && (givenUpAt.IsZero() || !paidAt.After(givenUpAt)):
		return TrialConverted
	case !givenUpAt.IsZero():
		return TrialLapsed
	default:
		return TrialProvisional
	}
}
