package analytics

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// FunnelStep is how far somebody has come from the prices to a payment
// (metrics.md 1.10).
type FunnelStep int

// The steps, in their order.
const (
	// FunnelViewed: looked at the prices.
	FunnelViewed FunnelStep = iota
	// FunnelStarted: a checkout was opened for them.
	FunnelStarted
	// FunnelCompleted: they went through it to its end.
	FunnelCompleted
	// FunnelActivated: what they bought is on trial, or active.
	FunnelActivated
	// FunnelPaid: an invoice of more than nothing was paid.
	FunnelPaid
	// FunnelSteps is how many there are.
	FunnelSteps int = iota
)

// The windows of the funnel. What happens after them is not counted.
const (
	// FunnelEntry is the time in which a visitor who looks at the prices again
	// does not enter again.
	FunnelEntry = 30 * 24 * time.Hour
	// FunnelToCompleted is from entering until a checkout is completed.
	FunnelToCompleted = 7 * 24 * time.Hour
	// FunnelToPaid is from the end of the trial, or without one from the completed
	// checkout, until its first payment: as long as a card is tried again.
	FunnelToPaid = 14 * 24 * time.Hour
)

// FunnelBucket says how a way through the funnel begins.
type FunnelBucket string

// The buckets.
const (
	// FunnelFromPrices begins with a look at the prices.
	FunnelFromPrices FunnelBucket = "viewed"
	// FunnelDirect begins with a checkout that no look at the prices goes before,
	// or none that may be counted. It has no rate of views.
	FunnelDirect FunnelBucket = "direct"
)

// FunnelCheckout is one checkout of a visitor with what became of it. What has
// not happened is the zero time.
type FunnelCheckout struct {
	// ID is any that tells it from others.
	ID                                          string
	StartedAt, CompletedAt, ActivatedAt, PaidAt time.Time
	Plan, Customer                              string
	// TrialDays are those that it offered.
	TrialDays int
}

// FunnelUnit is one way of one visitor through the funnel. It counts once for
// each step that it reached, on the day on which it began.
type FunnelUnit struct {
	EnteredAt time.Time
	// Day is the date of EnteredAt in the zone of the figures, midnight UTC.
	Day    time.Time
	Bucket FunnelBucket
	// Plan and Customer are those of the checkout that came furthest; empty while
	// there is none.
	Plan, Customer string
	// Reached is the last step.
	Reached FunnelStep
	// After are the seconds from EnteredAt to each step; 0 for those not reached.
	After [FunnelSteps]int64
	// SettledOn is the first day on which nothing about it can change any more.
	SettledOn time.Time
}

// Has reports whether the unit counts for a step. One that began with a checkout
// never does for the prices.
func (u FunnelUnit) Has(step FunnelStep) bool {
	return step <= u.Reached && (step != FunnelViewed || u.Bucket == FunnelFromPrices)
}

// FunnelUnits are the ways of one visitor through the funnel, oldest first, by
// all looks at the prices and all checkouts, in any order.
//
// A look at the prices enters unless the last one that did lies less than thirty
// days back. A checkout belongs to whatever began last before it, within thirty
// days; without that it begins a way of its own, a direct one.
func FunnelUnits(views []time.Time, checkouts []FunnelCheckout, zone *time.Location) []FunnelUnit {
	views, checkouts = slices.Clone(views), slices.Clone(checkouts)
	slices.SortFunc(views, time.Time.Compare)
	slices.SortFunc(checkouts, func(a, b FunnelCheckout) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	type way struct {
		enteredAt time.Time
		bucket    FunnelBucket
		checkouts []FunnelCheckout
	}
	var ways []way
	var entered time.Time // the last look that entered
	look := func(until func(time.Time) bool) {
		for len(views) > 0 && until(views[0]) {
			if entered.IsZero() || !views[0].Before(entered.Add(FunnelEntry)) {
				entered = views[0]
				ways = append(ways, way{enteredAt: entered, bucket: FunnelFromPrices})
			}
			views = views[1:]
		}
	}
	for _, c := range checkouts {
		look(func(view time.Time) bool { return !view.After(c.StartedAt) })
		if n := len(ways); n == 0 || !c.StartedAt.Before(ways[n-1].enteredAt.Add(FunnelEntry)) {
			ways = append(ways, way{enteredAt: c.StartedAt, bucket: FunnelDirect})
		}
		last := &ways[len(ways)-1]
		last.checkouts = append(last.checkouts, c)
	}
	look(func(time.Time) bool { return true })
	units := make([]FunnelUnit, 0, len(ways))
	for _, w := range ways {
		units = append(units, funnelUnit(w.enteredAt, w.bucket, w.checkouts, zone))
	}
	return units
}

// funnelUnit takes for each step the first of the checkouts that came so far.
func funnelUnit(enteredAt time.Time, bucket FunnelBucket, checkouts []FunnelCheckout, zone *time.Location) FunnelUnit {
	u := FunnelUnit{EnteredAt: enteredAt, Day: DayOf(enteredAt, zone), Bucket: bucket}
	settled := enteredAt.Add(FunnelToCompleted)
	var first [FunnelSteps]time.Time
	for _, c := range checkouts {
		steps, open := c.steps(enteredAt.Add(FunnelToCompleted))
		if open.After(settled) {
			settled = open
		}
		for step := FunnelStarted; step <= FunnelPaid; step++ {
			at := steps[step]
			if at.IsZero() {
				break
			}
			if !first[step].IsZero() && !at.Before(first[step]) {
				continue
			}
			first[step] = at
			if step >= u.Reached {
				u.Reached, u.Plan, u.Customer = step, c.Plan, c.Customer
			}
		}
	}
	for step := FunnelStarted; step <= u.Reached; step++ {
		u.After[step] = int64(first[step].Sub(enteredAt) / time.Second)
	}
	if u.Reached == FunnelPaid {
		u.SettledOn = DayOf(first[FunnelPaid], zone)
		return u
	}
	u.SettledOn = DayOf(settled, zone).AddDate(0, 0, 1)
	return u
}

// steps are when the checkout reached each step within the windows, and until
// when it may reach the next one. What was bought begins, and is paid for, with
// the checkout: where Stripe dates it some seconds before the end of that, it is
// of the same moment.
func (c FunnelCheckout) steps(deadline time.Time) (at [FunnelSteps]time.Time, open time.Time) {
	if c.StartedAt.After(deadline) {
		return at, deadline
	}
	at[FunnelStarted] = c.StartedAt
	completed := latest(c.CompletedAt, c.StartedAt)
	if c.CompletedAt.IsZero() || completed.After(deadline) {
		return at, deadline
	}
	at[FunnelCompleted] = completed
	open = completed.AddDate(0, 0, c.TrialDays).Add(FunnelToPaid)
	activated := latest(c.ActivatedAt, completed)
	if c.ActivatedAt.IsZero() || activated.After(open) {
		return at, open
	}
	at[FunnelActivated] = activated
	if paid := latest(c.PaidAt, activated); !c.PaidAt.IsZero() && !paid.After(open) {
		at[FunnelPaid] = paid
	}
	return at, open
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Funnel is how many reached each step, of those who entered in a period. Those
// of a plan are who began a checkout for it: of a look at the prices nobody knows
// which plan it was for.
type Funnel struct {
	// Prices are those that began with the prices, Direct those that began with a
	// checkout.
	Prices, Direct FunnelCounts
	// PendingCheckouts are those of both who have not completed a checkout and
	// still may be counted for it, PendingPayments those who have and may still be
	// counted for what comes after it.
	PendingCheckouts, PendingPayments int64
	// IsOfPlan says that only those of one plan are counted.
	IsOfPlan bool
}

// FunnelCounts are how many reached each step.
type FunnelCounts [FunnelSteps]int64

// Plus adds others, step by step.
func (c FunnelCounts) Plus(d FunnelCounts) FunnelCounts {
	for step := range c {
		c[step] += d[step]
	}
	return c
}

// Plus adds another period, or another plan.
func (f Funnel) Plus(g Funnel) Funnel {
	return Funnel{
		Prices: f.Prices.Plus(g.Prices), Direct: f.Direct.Plus(g.Direct),
		PendingCheckouts: f.PendingCheckouts + g.PendingCheckouts, PendingPayments: f.PendingPayments + g.PendingPayments,
		IsOfPlan: f.IsOfPlan || g.IsOfPlan,
	}
}

// Share is the share of those who began with the prices and reached a step, of
// those who reached an earlier one. It has the note "provisional" while some of
// them may still reach it.
func (f Funnel) Share(step, of FunnelStep) Value {
	if f.IsOfPlan && of == FunnelViewed {
		return undefined("nobody knows which plan a look at the prices was for")
	}
	v := f.Prices.Share(step, of)
	if v.Defined() && (f.PendingCheckouts > 0 || step > FunnelCompleted && f.PendingPayments > 0) {
		v.Note = "provisional"
	}
	return v
}

// Share is the share that reached a step, of those who reached an earlier one.
func (c FunnelCounts) Share(step, of FunnelStep) Value {
	if of < FunnelViewed || step <= of || int(step) >= FunnelSteps {
		return undefined("the first step has no rate")
	}
	return over(c[step], c[of], "nobody came so far")
}

// TimeClass is the class of a duration in a histogram whose classes are a tenth
// wide, or a second where that is more. A negative duration counts as none.
func TimeClass(seconds int64) int16 {
	i, found := slices.BinarySearch(timeClasses, seconds)
	if !found {
		i--
	}
	return int16(min(max(i, 0), len(timeClasses)-1)) //nolint:gosec // less than two hundred
}

// timeClasses are the shortest duration of each class, in seconds. They are whole
// numbers, so that every machine has the same.
var timeClasses = func() []int64 {
	const longest = 400 * 24 * 60 * 60
	var out []int64
	for from := int64(0); from < longest; from += max(1, from/10) {
		out = append(out, from)
	}
	return out
}()

// TimeCount is how many durations are of a class.
type TimeCount struct {
	Class int16
	N     int64
}

// MedianTime is how long at most half of those counted took, the classes in any
// order. It is right within 5 %: it is the middle of the class that the median
// lies in. False: nobody was counted.
func MedianTime(counts []TimeCount) (time.Duration, bool) {
	counts = slices.Clone(counts)
	slices.SortFunc(counts, func(a, b TimeCount) int { return cmp.Compare(a.Class, b.Class) })
	var all, passed int64
	for _, c := range counts {
		all += c.N
	}
	for _, c := range counts {
		if passed += c.N; all > 0 && 2*passed >= all {
			return middleOf(c.Class), true
		}
	}
	return 0, false
}

// middleOf is as far from the ends of a class, by factor.
func middleOf(class int16) time.Duration {
	i := min(max(int(class), 0), len(timeClasses)-1)
	from, to := timeClasses[i], timeClasses[i]
	if i+1 < len(timeClasses) {
		to = timeClasses[i+1] - 1
	}
	return time.Duration(math.Round(math.Sqrt(float64(from)*float64(to)))) * time.Second
}
