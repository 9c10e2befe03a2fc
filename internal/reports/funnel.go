package reports

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Funnel is how those who looked at the prices in a range came along, and those
// who began a checkout without a look (metrics.md 1.10). It is of all currencies.
type Funnel struct {
	Scope
	// Points have nothing but their Funnel. Each visitor is in the one in which they
	// entered, with all that they did since. Before are those that they are compared
	// with.
	Points, Before []analytics.Point
	// Plans are who began a checkout, by what it was for, in order of code.
	Plans []FunnelPlan
	// Took are medians, of who began with the prices and of who did not.
	Took, TookDirect FunnelTimes
	// Began is the first day on which anybody entered, whatever the range; zero:
	// nobody ever has.
	Began time.Time
}

// FunnelPlan is how those came along whose checkout was for a plan.
type FunnelPlan struct {
	Plan string
	analytics.Funnel
}

// FunnelTimes are how long at most half of those who reached a step took from the
// step before, right within 5 %; and in the place of the first step, from
// beginning to the payment. Nil where nobody reached it.
type FunnelTimes [analytics.FunnelSteps]*time.Duration

// Sum is all that is shown together.
func (f Funnel) Sum() analytics.Funnel {
	if sum := analytics.Sum(f.Points).Funnel; sum != nil {
		return *sum
	}
	return analytics.Funnel{}
}

// SumBefore is all that it is compared with.
func (f Funnel) SumBefore() analytics.Funnel {
	if sum := analytics.Sum(f.Before).Funnel; sum != nil {
		return *sum
	}
	return analytics.Funnel{}
}

// Funnel reads how visitors became customers.
func (r *Reports) Funnel(ctx context.Context, query Query) (Funnel, error) {
	var out Funnel
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		out = Funnel{Scope: scope, Points: pointsOf(scope.Periods), Before: pointsOf(scope.Compared)}
		began, err := q.FunnelBegan(ctx, db.FunnelBeganParams{Gen: scope.Generation, Otherwise: never})
		if err != nil {
			return fmt.Errorf("first day of the funnel: %w", err)
		}
		if !began.Equal(never) {
			out.Began = began
		}
		if out.Plans, err = funnel(ctx, q, scope, out.Points); err != nil {
			return err
		}
		if _, err := funnel(ctx, q, scope, out.Before); err != nil {
			return err
		}
		return out.readTimes(ctx, q)
	})
	if err != nil {
		return Funnel{}, fmt.Errorf("read the funnel: %w", err)
	}
	return out, nil
}

// never is a day on which nothing was counted.
var never = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)

func pointsOf(periods []analytics.Period) []analytics.Point {
	out := make([]analytics.Point, len(periods))
	for i, p := range periods {
		out[i].Period = p
	}
	return out
}

// addFunnel adds those who entered in each period.
func addFunnel(ctx context.Context, q *db.Queries, scope Scope, points []analytics.Point) error {
	_, err := funnel(ctx, q, scope, points)
	return err
}

// funnel adds to each point those who entered in it, and returns all of them by
// plan.
func funnel(ctx context.Context, q *db.Queries, scope Scope, points []analytics.Point) ([]FunnelPlan, error) {
	if len(points) == 0 {
		return nil, nil
	}
	first, last := points[0].Start, points[len(points)-1].Last()
	rows, err := q.FunnelOfPeriods(ctx, db.FunnelOfPeriodsParams{
		Unit: string(scope.Interval), Gen: scope.Generation, First: first, Last: last, Plan: scope.Plan,
	})
	if err != nil {
		return nil, fmt.Errorf("steps of the funnel: %w", err)
	}
	pending, err := q.FunnelPendingOfPeriods(ctx, db.FunnelPendingOfPeriodsParams{
		Unit: string(scope.Interval), Gen: scope.Generation, Today: scope.Today, First: first, Last: last, Plan: scope.Plan,
	})
	if err != nil {
		return nil, fmt.Errorf("who is still in the funnel: %w", err)
	}
	at := map[time.Time]*analytics.Funnel{}
	for i := range points {
		points[i].Funnel = &analytics.Funnel{IsOfPlan: scope.Plan != ""}
		at[points[i].Start] = points[i].Funnel
	}
	plans := map[string]analytics.Funnel{}
	for _, row := range rows {
		counts := analytics.FunnelCounts{row.Viewed, row.Started, row.Completed, row.Activated, row.Paid}
		one := analytics.Funnel{IsOfPlan: scope.Plan != ""}
		if analytics.FunnelBucket(row.Bucket) == analytics.FunnelDirect {
			one.Direct = counts
		} else {
			one.Prices = counts
		}
		if f := at[row.Start]; f != nil {
			*f = f.Plus(one)
		}
		if row.Plan != "" {
			one.IsOfPlan = true
			plans[row.Plan] = plans[row.Plan].Plus(one)
		}
	}
	for _, row := range pending {
		f := at[row.Start]
		switch {
		case f == nil:
		case row.IsBeforeCompleted:
			f.PendingCheckouts += row.N
		default:
			f.PendingPayments += row.N
		}
	}
	var out []FunnelPlan
	for _, plan := range slices.Sorted(maps.Keys(plans)) {
		out = append(out, FunnelPlan{plan, plans[plan]})
	}
	return out, nil
}

func (f *Funnel) readTimes(ctx context.Context, q *db.Queries) error {
	// Whole months by month, and the days before and after them by day.
	first, last := f.First(), f.Last()
	month := analytics.Monthly.Start(first)
	if month.Before(first) {
		month = analytics.Monthly.Next(month)
	}
	after := analytics.Monthly.Start(last.AddDate(0, 0, 1))
	if after.Before(month) { // all in one month
		month, after = first, first
	}
	rows, err := q.FunnelTimes(ctx, db.FunnelTimesParams{Gen: f.Generation, First: first, Month: month, After: after, Last: last, Plan: f.Plan})
	if err != nil {
		return fmt.Errorf("times in the funnel: %w", err)
	}
	var prices, direct [analytics.FunnelSteps][]analytics.TimeCount
	for _, row := range rows {
		counts := &prices
		if analytics.FunnelBucket(row.Bucket) == analytics.FunnelDirect {
			counts = &direct
		}
		counts[row.Step] = append(counts[row.Step], analytics.TimeCount{Class: row.Took, N: row.N})
	}
	for step := range prices {
		f.Took[step], f.TookDirect[step] = median(prices[step]), median(direct[step])
	}
	return nil
}

func median(counts []analytics.TimeCount) *time.Duration {
	took, ok := analytics.MedianTime(counts)
	if !ok {
		return nil
	}
	return &took
}
