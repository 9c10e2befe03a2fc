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

// Plans sets the plans beside each other (metrics.md 1.11). It is of all plans,
// whichever one the query names: what it names is for whoever shows it.
type Plans struct {
	Scope
	// Points are those of the account. Plans add up to them in amounts; who is on
	// two plans is a customer of both, but one of the account's.
	Points []analytics.Point
	// Plans are all that have or had MRR by the end of the range, in order of code.
	Plans []PlanPerformance
	// RateMonth is the month of the rates: the last whole one in the range, or the
	// running one where there is none.
	RateMonth analytics.Period
	// Month and Year are those of the account, as a PlanPerformance has them.
	Month, Year analytics.Retained
}

// PlanPerformance is how one plan does.
type PlanPerformance struct {
	// Plan is a code, or analytics.UnknownPlan.
	Plan string
	// Points are its periods. Customers in them are subscribers of the plan, and
	// transfers are among what moved.
	Points []analytics.Point
	// Month and Year are what became of its subscribers by the end of RateMonth:
	// of those of the month's beginning, and of twelve months before its end.
	Month, Year analytics.Retained
}

// Sum is one point for all that is shown of the plan.
func (p PlanPerformance) Sum() analytics.Point { return analytics.Sum(p.Points) }

// Sum is one point for all that is shown of the account.
func (p Plans) Sum() analytics.Point { return analytics.Sum(p.Points) }

// Plans reads what each plan brings, gains and loses.
func (r *Reports) Plans(ctx context.Context, query Query) (Plans, error) {
	var out Plans
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		out, err = plans(ctx, q, scope)
		return err
	})
	if err != nil {
		return Plans{}, fmt.Errorf("read plans: %w", err)
	}
	return out, nil
}

func plans(ctx context.Context, q *db.Queries, scope Scope) (Plans, error) {
	out := Plans{Scope: scope, RateMonth: rateMonth(scope)}
	account := scope
	account.Plan = ""
	var err error
	if out.Points, err = movements(ctx, q, account, scope.Periods); err != nil {
		return out, err
	}
	if err := addTrials(ctx, q, account, out.Points); err != nil {
		return out, err
	}
	// Months from a year before the rates on, at which the trailing year begins.
	months := analytics.Periods(firstOf(out.RateMonth.End.AddDate(-1, 0, 0), analytics.Monthly.Start(scope.First())), scope.Last(), scope.Today, analytics.Monthly)
	byMonth, err := planSeries(ctx, q, account, months)
	if err != nil {
		return out, err
	}
	shown := byMonth
	if scope.Interval != analytics.Monthly {
		if shown, err = planSeries(ctx, q, account, scope.Periods); err != nil {
			return out, err
		}
	}
	for _, plan := range slices.Sorted(maps.Keys(byMonth)) {
		p := PlanPerformance{Plan: plan, Points: shown[plan]}
		if surplus := len(p.Points) - len(scope.Periods); surplus > 0 {
			p.Points = p.Points[surplus:]
		}
		if len(p.Points) == 0 {
			continue
		}
		of := account
		of.Plan = plan
		if err := addTrials(ctx, q, of, p.Points); err != nil {
			return out, err
		}
		out.Plans = append(out.Plans, p)
	}
	if err := out.addRates(ctx, q, byMonth); err != nil {
		return out, err
	}
	account.Interval = analytics.Monthly
	month := []analytics.Point{{Period: out.RateMonth}}
	if err := addRetention(ctx, q, account, month); err != nil {
		return out, err
	}
	out.Month, out.Year = *month[0].Month, *month[0].Year
	return out, nil
}

// rateMonth is the month of which the rates of a range are told.
func rateMonth(scope Scope) analytics.Period {
	months := analytics.Periods(scope.First(), scope.Last(), scope.Today, analytics.Monthly)
	last := months[len(months)-1]
	if last.IsRunning && len(months) > 1 {
		return months[len(months)-2]
	}
	return last
}

func firstOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// planSeries are the points of each plan that has any flow up to the end of the
// periods.
func planSeries(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) (map[string][]analytics.Point, error) {
	first, last := periods[0].Start, periods[len(periods)-1].Last()
	opening := map[string]analytics.Level{}
	flows := map[string][]analytics.Flow{}
	// The level before a month is a sum of months; what moved between its first
	// and the first period is added to that.
	month := analytics.Monthly.Start(first)
	levels, err := q.LevelsByPlanBefore(ctx, db.LevelsByPlanBeforeParams{Gen: scope.Generation, Month: month, Currency: string(scope.Currency)})
	if err != nil {
		return nil, fmt.Errorf("opening levels by plan: %w", err)
	}
	for _, l := range levels {
		opening[l.Plan] = analytics.Level{MRRMicro: l.MRRMicro, Customers: l.Customers}
	}
	take := func(day time.Time, plan, kind string, amountMicro, customers int64) {
		if day.Before(first) {
			level := opening[plan]
			opening[plan] = analytics.Level{MRRMicro: level.MRRMicro + amountMicro, Customers: level.Customers + customers}
			return
		}
		if _, ok := opening[plan]; !ok {
			opening[plan] = analytics.Level{}
		}
		flows[plan] = append(flows[plan], analytics.Flow{Day: day, Kind: analytics.MovementKind(kind), AmountMicro: amountMicro, Customers: customers})
	}
	if periods[0].IsMonth() && periods[len(periods)-1].IsMonth() {
		rows, err := q.MonthlyFlowsByPlan(ctx, db.MonthlyFlowsByPlanParams{Gen: scope.Generation, First: month, Last: last, Currency: string(scope.Currency)})
		if err != nil {
			return nil, fmt.Errorf("flows by month and plan: %w", err)
		}
		for _, row := range rows {
			take(row.Month, row.Plan, row.Kind, row.AmountMicro, row.Customers)
		}
	} else {
		rows, err := q.DailyFlowsByPlan(ctx, db.DailyFlowsByPlanParams{Gen: scope.Generation, First: month, Last: last, Currency: string(scope.Currency)})
		if err != nil {
			return nil, fmt.Errorf("flows by day and plan: %w", err)
		}
		for _, row := range rows {
			take(row.Day, row.Plan, row.Kind, row.AmountMicro, row.Customers)
		}
	}
	out := map[string][]analytics.Point{}
	for plan, level := range opening {
		out[plan] = analytics.Series(level, flows[plan], periods, true)
	}
	return out, nil
}

// addRates adds to each plan what became of its subscribers.
func (p *Plans) addRates(ctx context.Context, q *db.Queries, byMonth map[string][]analytics.Point) error {
	rows, err := q.RetentionByPlan(ctx, db.RetentionByPlanParams{Gen: p.Generation, PeriodEnd: p.RateMonth.End, Currency: string(p.Currency)})
	if err != nil {
		return fmt.Errorf("retention by plan: %w", err)
	}
	for i := range p.Plans {
		plan := &p.Plans[i]
		for _, row := range rows {
			if row.Plan != plan.Plan {
				continue
			}
			retained := &plan.Month
			if row.Horizon == analytics.HorizonYear {
				retained = &plan.Year
			}
			*retained = analytics.Retained{
				NetMicro: row.NetMicro, GrossLostMicro: row.GrossLostMicro, LostCustomers: row.LostCustomers, LostMicro: row.LostMicro,
				InvoluntaryCustomers: row.InvoluntaryCustomers, InvoluntaryMicro: row.InvoluntaryMicro,
			}
		}
		for _, month := range byMonth[plan.Plan] {
			if month.Start.Equal(p.RateMonth.Start) {
				plan.Month.BaseMicro, plan.Month.BaseCustomers = month.Opening.MRRMicro, month.Opening.Customers
			}
			if month.Start.Equal(p.RateMonth.End.AddDate(-1, 0, 0)) {
				plan.Year.BaseMicro, plan.Year.BaseCustomers = month.Opening.MRRMicro, month.Opening.Customers
			}
		}
	}
	return nil
}
