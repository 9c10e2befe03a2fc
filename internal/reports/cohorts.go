package reports

import (
	"context"
	"fmt"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// MaxCohorts is how many cohorts are shown at once, and how many months of each.
const MaxCohorts = 36

// Cohorts is how much is left of the customers who began in each month
// (metrics.md 1.12).
type Cohorts struct {
	// Scope is that of the months in which customers began: the newest MaxCohorts
	// in the range. What became of them is told up to the running month.
	Scope
	// Running is the running month, whose states are not settled.
	Running analytics.Period
	// Cohorts are oldest first; a month in which nobody began has none. Averages
	// are over all of them.
	Cohorts  []analytics.Cohort
	Averages []analytics.CohortLevel
	// Columns is how many months there are to show, M0 among them.
	Columns int
	// HasOlder says that the range has cohorts before those.
	HasOlder bool
}

// Cohorts reads the cohorts that began in a range, whatever its interval.
func (r *Reports) Cohorts(ctx context.Context, query Query) (Cohorts, error) {
	var out Cohorts
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		out, err = cohorts(ctx, q, scope)
		return err
	})
	if err != nil {
		return Cohorts{}, fmt.Errorf("read cohorts: %w", err)
	}
	return out, nil
}

func cohorts(ctx context.Context, q *db.Queries, scope Scope) (Cohorts, error) {
	out := Cohorts{Scope: scope}
	running := analytics.Monthly.Start(scope.Today)
	out.Running = analytics.Period{Start: running, End: analytics.Monthly.Next(running), IsRunning: true}
	months := analytics.Periods(scope.First(), scope.Last(), scope.Today, analytics.Monthly)
	if surplus := len(months) - MaxCohorts; surplus > 0 {
		months = months[surplus:]
		out.HasOlder = scope.Earliest.Before(months[0].Start)
	}
	out.Interval, out.Periods, out.Compared = analytics.Monthly, months, nil
	rows, err := q.CohortChangesBetween(ctx, db.CohortChangesBetweenParams{
		Gen: scope.Generation, First: months[0].Start, Last: months[len(months)-1].Start, Currency: string(scope.Currency), Plan: scope.Plan,
	})
	if err != nil {
		return out, fmt.Errorf("changes of cohorts: %w", err)
	}
	changes := make([]analytics.CohortChange, 0, len(rows))
	for _, row := range rows {
		changes = append(changes, analytics.CohortChange{
			Cohort: row.Cohort, Month: row.Month, Currency: scope.Currency, Plan: scope.Plan,
			MRRMicro: row.MRRMicro, GrossMicro: row.GrossMicro, Active: row.Active, InitialMicro: row.InitialMicro, Customers: row.Customers,
		})
	}
	out.Cohorts = analytics.Cohorts(changes, running)
	out.Averages = analytics.CohortAverages(out.Cohorts, running)
	for _, c := range out.Cohorts {
		out.Columns = min(max(out.Columns, len(c.Levels)), MaxCohorts)
	}
	return out, nil
}
