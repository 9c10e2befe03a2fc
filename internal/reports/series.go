package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Figures are a series of points, and those that they are compared with.
type Figures struct {
	Scope
	// Points has one for each of Periods, Before one for each of Compared.
	Points, Before []analytics.Point
}

// Sum is one point for all that is shown.
func (f Figures) Sum() analytics.Point { return analytics.Sum(f.Points) }

// Series returns everything that is known of each period. It is what the API,
// the exports and the pages of single figures read.
func (r *Reports) Series(ctx context.Context, query Query) (Figures, error) {
	var out Figures
	err := r.withinAny(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		out, err = figures(ctx, q, scope, points)
		return err
	})
	if err != nil {
		return Figures{}, fmt.Errorf("read figures: %w", err)
	}
	return out, nil
}

// reader reads points of some periods, which ascend without gaps.
type reader func(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) ([]analytics.Point, error)

// adder adds to points what a kind of rollup knows of their periods.
type adder func(ctx context.Context, q *db.Queries, scope Scope, points []analytics.Point) error

// figures are the points of the scope and those that they are compared with.
func figures(ctx context.Context, q *db.Queries, scope Scope, read reader) (Figures, error) {
	if scope.IsConverted {
		return convertedFigures(ctx, q, scope, read)
	}
	out := Figures{Scope: scope}
	var err error
	if out.Points, err = read(ctx, q, scope, scope.Periods); err != nil {
		return out, err
	}
	if len(scope.Compared) > 0 {
		out.Before, err = read(ctx, q, scope, scope.Compared)
	}
	return out, err
}

// points reads all figures of some periods.
func points(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) ([]analytics.Point, error) {
	return reading(addPledges, addRetention, addTrials, addPayments, addCash, addFunnel)(ctx, q, scope, periods)
}

// reading reads points with some of what is known of them: nobody should wait for
// what is not shown.
func reading(adders ...adder) reader {
	return func(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) ([]analytics.Point, error) {
		if scope.IsConverted {
			converted, _, err := convertedPoints(ctx, q, scope, periods, reading(adders...))
			return converted.Points, err
		}
		out, err := movements(ctx, q, scope, periods)
		if err != nil {
			return nil, err
		}
		for _, add := range adders {
			if err := add(ctx, q, scope, out); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// movements are the points with their levels and what moved between them.
func movements(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) ([]analytics.Point, error) {
	if scope.IsConverted {
		converted, _, err := convertedPoints(ctx, q, scope, periods, movements)
		return converted.Points, err
	}
	first, last := periods[0].Start, periods[len(periods)-1].Last()
	level, err := q.LevelBefore(ctx, db.LevelBeforeParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, Month: analytics.Monthly.Start(first), Day: first,
	})
	if err != nil {
		return nil, fmt.Errorf("opening level: %w", err)
	}
	var flows []analytics.Flow
	flow := func(day time.Time, kind string, amountMicro, customers int64) {
		flows = append(flows, analytics.Flow{Day: day, Kind: analytics.MovementKind(kind), AmountMicro: amountMicro, Customers: customers})
	}
	if scope.Interval == analytics.Monthly {
		rows, err := q.MonthlyFlows(ctx, db.MonthlyFlowsParams{
			Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: first, Last: last,
		})
		if err != nil {
			return nil, fmt.Errorf("flows by month: %w", err)
		}
		for _, row := range rows {
			flow(row.Month, row.Kind, row.AmountMicro, row.Customers)
		}
	} else {
		rows, err := q.DailyFlows(ctx, db.DailyFlowsParams{
			Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: first, Last: last,
		})
		if err != nil {
			return nil, fmt.Errorf("flows by day: %w", err)
		}
		for _, row := range rows {
			flow(row.Day, row.Kind, row.AmountMicro, row.Customers)
		}
	}
	opening := analytics.Level{MRRMicro: level.MRRMicro, Customers: level.Customers}
	return analytics.Series(opening, flows, periods, scope.Plan != ""), nil
}

// addPledges adds the levels of what is scheduled to end and of trials.
func addPledges(ctx context.Context, q *db.Queries, scope Scope, points []analytics.Point) error {
	last := points[len(points)-1].Last()
	dailyFrom := points[len(points)-1].End // months need no day
	if scope.Interval != analytics.Monthly {
		dailyFrom = analytics.Monthly.Start(points[0].Start)
	}
	rows, err := q.Pledges(ctx, db.PledgesParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, DailyFrom: dailyFrom, Last: last,
	})
	if err != nil {
		return fmt.Errorf("pledges: %w", err)
	}
	var ending, trial int64
	for i := range points {
		for len(rows) > 0 && rows[0].Day.Before(points[i].End) {
			ending, trial = ending+rows[0].EndingMicro, trial+rows[0].TrialMicro
			rows = rows[1:]
		}
		points[i].EndingMicro, points[i].TrialMicro = ending, trial
	}
	return nil
}

// addRetention adds to each calendar month what became of the customers of its
// beginning, and of those of twelve months before its end.
func addRetention(ctx context.Context, q *db.Queries, scope Scope, points []analytics.Point) error {
	if scope.Interval != analytics.Monthly {
		return nil
	}
	first, last := points[0].Start.AddDate(0, -earlierMonths, 0), points[len(points)-1].Start
	months := analytics.Periods(first, last, scope.Today, analytics.Monthly)
	// Levels from a year before the first, at which the trailing year begins.
	levels, err := movements(ctx, q, Scope{
		Generation: scope.Generation, Currency: scope.Currency, Plan: scope.Plan, Interval: analytics.Monthly,
	}, analytics.Periods(first.AddDate(-1, 1, 0), last, scope.Today, analytics.Monthly))
	if err != nil {
		return err
	}
	opening := map[time.Time]analytics.Level{}
	for _, p := range levels {
		opening[p.Start] = p.Opening
	}
	rows, err := q.RetentionBetween(ctx, db.RetentionBetweenParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: first.AddDate(0, 1, 0), Last: last.AddDate(0, 1, 0),
	})
	if err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	type key struct {
		end     time.Time
		horizon int
	}
	retained := map[key]analytics.Retained{}
	for _, row := range rows {
		retained[key{row.PeriodEnd, int(row.Horizon)}] = analytics.Retained{
			NetMicro: row.NetMicro, GrossLostMicro: row.GrossLostMicro, LostCustomers: row.LostCustomers, LostMicro: row.LostMicro,
			InvoluntaryCustomers: row.InvoluntaryCustomers, InvoluntaryMicro: row.InvoluntaryMicro,
		}
	}
	over := func(end time.Time, horizon int) analytics.Retained {
		out := retained[key{end, horizon}]
		base := opening[end.AddDate(0, -horizon, 0)]
		out.BaseMicro, out.BaseCustomers = base.MRRMicro, base.Customers
		return out
	}
	var earlier []analytics.Retained // newest first
	next := 0
	for _, month := range months {
		ofMonth := over(month.End, analytics.HorizonMonth)
		if next < len(points) && points[next].Start.Equal(month.Start) {
			ofYear := over(month.End, analytics.HorizonYear)
			points[next].Month, points[next].Year, points[next].Earlier = &ofMonth, &ofYear, earlier[:min(len(earlier), earlierMonths)]
			next++
		}
		earlier = append([]analytics.Retained{ofMonth}, earlier...)
	}
	return nil
}

// earlierMonths is how many months a customer's lifetime is computed from.
const earlierMonths = 6
