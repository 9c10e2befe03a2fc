package reports

import (
	"context"
	"fmt"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Trials says how trials come to be paid for (metrics.md 1.9).
type Trials struct {
	Scope
	// Points has one for each of Periods, Before one for each of Compared.
	Points, Before []TrialPoint
}

// TrialPoint is what is known of the trials of one period: of those that ended in
// it, by which conversion is counted, and of those that began in it, whose
// conversion changes until the last of them is settled.
type TrialPoint struct {
	analytics.Period
	analytics.Trials
	// Cohort are the trials that began in the period.
	Cohort TrialCohort
}

// Point is the same as a point of a series, from which metrics are computed.
func (p TrialPoint) Point() analytics.Point {
	return analytics.Point{Period: p.Period, Trials: &p.Trials}
}

// TrialCohort are trials that began in one period, by what became of them. Open
// ones run, or may still be paid for.
type TrialCohort struct{ Started, Converted, Open int64 }

// Lapsed are those that nobody paid for.
func (c TrialCohort) Lapsed() int64 { return c.Started - c.Converted - c.Open }

// SumTrials is one point for all periods together.
func SumTrials(points []TrialPoint) TrialPoint {
	var sum TrialPoint
	for i, p := range points {
		if i == 0 {
			sum.Period = p.Period
		}
		sum.End, sum.IsRunning = p.End, p.IsRunning
		sum.Started += p.Started
		sum.Ended += p.Ended
		sum.Converted += p.Converted
		sum.Provisional += p.Provisional
		sum.Cohort.Started += p.Cohort.Started
		sum.Cohort.Converted += p.Cohort.Converted
		sum.Cohort.Open += p.Cohort.Open
	}
	return sum
}

// Trials reads how trials come to be paid for. A query that makes no sense is a
// *billing.Refusal, as for every report.
func (r *Reports) Trials(ctx context.Context, query Query) (Trials, error) {
	var out Trials
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		out.Scope = scope
		var err error
		if out.Points, err = trialPoints(ctx, q, scope, scope.Periods); err != nil || len(scope.Compared) == 0 {
			return err
		}
		out.Before, err = trialPoints(ctx, q, scope, scope.Compared)
		return err
	})
	if err != nil {
		return Trials{}, fmt.Errorf("read trials: %w", err)
	}
	return out, nil
}

// trialPoints are the trials of some periods, which ascend without gaps.
func trialPoints(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) ([]TrialPoint, error) {
	rows, err := q.TrialsByDay(ctx, db.TrialsByDayParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: periods[0].Start, Last: periods[len(periods)-1].Last(),
	})
	if err != nil {
		return nil, fmt.Errorf("trials by day: %w", err)
	}
	out := make([]TrialPoint, len(periods))
	for i, period := range periods {
		point := TrialPoint{Period: period}
		for len(rows) > 0 && period.Has(rows[0].Day) {
			r := rows[0]
			rows = rows[1:]
			point.Started += r.Started
			point.Ended += r.Ended
			point.Converted += r.Converted
			point.Provisional += r.Provisional
			point.Cohort.Started += r.Started
			point.Cohort.Converted += r.StartedConverted
			point.Cohort.Open += r.StartedOpen
		}
		out[i] = point
	}
	return out, nil
}

// addTrials adds the trials of each period.
func addTrials(ctx context.Context, q *db.Queries, scope Scope, points []analytics.Point) error {
	periods := make([]analytics.Period, len(points))
	for i, p := range points {
		periods[i] = p.Period
	}
	trials, err := trialPoints(ctx, q, scope, periods)
	if err != nil {
		return err
	}
	for i := range points {
		points[i].Trials = &trials[i].Trials
	}
	return nil
}
