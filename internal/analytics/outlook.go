package analytics

import (
	"math/big"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// OutlookDays is how many days ahead is looked.
const OutlookDays = 90

// OutlookKind is what is to come of a subscription.
type OutlookKind string

// The kinds: a period is paid for, a trial ends, and the subscription ends.
const (
	Renewal  OutlookKind = "renewal"
	TrialEnd OutlookKind = "trial_end"
	Ending   OutlookKind = "ending"
)

// Standing is a subscription as Stripe last said it to be, which is what an
// outlook follows from: not from its history.
type Standing struct {
	SubscriptionID string
	// Plan is a code or UnknownPlan.
	Plan  string
	Facts billing.Facts
	// PeriodStart and PeriodEnd are those of the running period; Interval and
	// IntervalCount say how long the next ones are.
	PeriodStart, PeriodEnd time.Time
	Interval               billing.Interval
	IntervalCount          int64
	// MRRMicro is what it is worth a month now.
	MRRMicro int64
}

// Expected is what is to come on a day.
type Expected struct {
	SubscriptionID string
	Kind           OutlookKind
	Day            time.Time // midnight UTC of the date in the zone
	Currency       money.Currency
	Plan           string
	// AmountMicro is what is due before tax at a renewal or the end of a trial, and
	// the MRR that goes with an ending.
	AmountMicro int64
}

// Outlook is what is to come of a subscription if nobody does anything: the
// renewals of the ninety days that begin with the next one, the end of its trial,
// and the end that is scheduled. A renewal is expected of who is active only:
// who is past due owes the last one yet, and while collection is paused nothing
// is collected. What a trial would pay afterwards is nobody's to expect before it
// has been converted: only its first payment is there.
//
// Amounts are the licensed items at their prices, less the coupons that last
// until then; they are left out where a price is not known.
func Outlook(s Standing, catalog Catalog, zone *time.Location) []Expected {
	expect := func(kind OutlookKind, at time.Time, micro int64) Expected {
		return Expected{s.SubscriptionID, kind, DayOf(at, zone), s.Facts.Currency, s.Plan, micro}
	}
	ends := s.Facts.EndsAt.Time()
	lasts := func(at time.Time) bool { return ends.IsZero() || at.Before(ends) }
	switch s.Facts.Status {
	case billing.StatusTrialing:
		at := s.Facts.TrialEnd.Time()
		if at.IsZero() {
			at = s.PeriodEnd
		}
		if !lasts(at) {
			return []Expected{expect(TrialEnd, ends, 0)}
		}
		micro, _ := due(s.Facts, catalog, at)
		return []Expected{expect(TrialEnd, at, micro)}
	case billing.StatusActive, billing.StatusPastDue:
	default:
		return nil
	}
	var out []Expected
	last := s.PeriodEnd.AddDate(0, 0, OutlookDays+1)
	for n := int64(0); s.Facts.Status == billing.StatusActive; n++ {
		at, ok := s.renewal(n)
		if !ok || at.After(last) || !lasts(at) {
			break
		}
		micro, known := due(s.Facts, catalog, at)
		if !known {
			break
		}
		if micro == 0 {
			continue
		}
		next := expect(Renewal, at, micro)
		if len(out) > 0 && out[len(out)-1].Day.Equal(next.Day) { // a day of 25 hours
			out[len(out)-1].AmountMicro += micro
			continue
		}
		out = append(out, next)
	}
	if !ends.IsZero() {
		out = append(out, expect(Ending, ends, s.MRRMicro))
	}
	return out
}

// renewal is when the period after n others begins; false where it is not known
// how long they are.
func (s Standing) renewal(n int64) (time.Time, bool) {
	count := int(n * s.IntervalCount)
	if s.IntervalCount <= 0 {
		return s.PeriodEnd, false
	}
	switch s.Interval {
	case billing.Day:
		return s.PeriodEnd.AddDate(0, 0, count), true
	case billing.Week:
		return s.PeriodEnd.AddDate(0, 0, 7*count), true
	case billing.Month:
		return s.monthsLater(count), true
	case billing.Year:
		return s.monthsLater(12 * count), true
	}
	return s.PeriodEnd, false
}

// monthsLater keeps to the day of the month on which it began, where the month has
// it: after the end of February comes the 31st again.
func (s Standing) monthsLater(months int) time.Time {
	end := s.PeriodEnd.UTC()
	if months == 0 {
		return end
	}
	first := time.Date(end.Year(), end.Month()+time.Month(months), 1, end.Hour(), end.Minute(), end.Second(), 0, time.UTC)
	anchor := max(end.Day(), s.PeriodStart.UTC().Day())
	return first.AddDate(0, 0, min(anchor, first.AddDate(0, 1, -1).Day())-1)
}

// due is what an invoice at an instant would ask for before tax; false where a
// price or a coupon is not known.
func due(f billing.Facts, catalog Catalog, at time.Time) (int64, bool) {
	if f.Pause != nil && (f.Pause.ResumesAt == 0 || at.Before(f.Pause.ResumesAt.Time())) {
		return 0, true
	}
	sum := new(big.Rat)
	for _, item := range f.Items {
		price, ok := catalog.Prices[item.PriceID]
		if ok && price.UsageType == "metered" {
			continue
		}
		amount, known := price.Amounts[f.Currency]
		if !ok || !known {
			return 0, false
		}
		sum.Add(sum, new(big.Rat).SetInt64(amount.Micro(item.Quantity)))
	}
	left, missing := remaining(f, catalog, DiscountsRecurring, sum, big.NewRat(1, 1), at)
	if len(missing) > 0 {
		return 0, false
	}
	micro, ok := round(left.Mul(left, sum))
	return money.RoundMicro(micro) * money.Micro, ok
}
