// Package reports is the door through which figures are read. A page, an alert,
// an export and an API that show the same figure call the same function here.
package reports

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
)

// Reports reads. It writes nothing.
type Reports struct {
	Pool *pgxpool.Pool
	// Now is the business clock: it says which month is running.
	Now func() time.Time
}

// Overview is what an administrator sees first. It covers the whole Stripe
// account, whether customers are linked to an organization or not.
type Overview struct {
	AsOf time.Time
	// TimeZone is where the days and months of the figures begin and end.
	TimeZone string
	// DefinitionVersion is the generation that the figures follow.
	DefinitionVersion int
	// First and Last are the months that are shown, Running the one that is not
	// over; each the first of the month, midnight UTC.
	First, Last, Running time.Time
	// Earliest is the first month that may be asked for: that in which anything
	// moved first, Running before that, ten years ago at most.
	Earliest time.Time
	// Currencies are never added to each other. In order of code; empty until
	// something was paid.
	Currencies []CurrencyFigures
	// Trialing counts the subscriptions in a trial now.
	Trialing int64
	// UnpricedSubscriptions are active and in no figure, or in too low a one,
	// because a price of theirs is not known.
	UnpricedSubscriptions int64
	// Stories are the newest, newest first.
	Stories []Story
}

// CurrencyFigures are the figures of one currency. Levels are those at the end
// of the last month that is shown, or of now where that is running.
type CurrencyFigures struct {
	Currency money.Currency
	// MRRMicro and ARRMicro are micro-units; ARR is the annual run rate, twelve
	// times MRR (metrics.md 1.2.10).
	MRRMicro int64
	ARRMicro int64
	// ActiveCustomers are those with MRR.
	ActiveCustomers int64
	// Months are those from the first to the last, oldest first, with the level
	// at the end of each and the movements within it (1.3).
	Months []analytics.Point
	// Before is the month before the first.
	Before analytics.Point
	// Failed are the same months, BeforeFailed the one before.
	Failed       []FailedMonth
	BeforeFailed FailedMonth
	// Plans add up to the MRR of the currency. In order of code.
	Plans []PlanFigures
}

// PlanFigures are a plan's share.
type PlanFigures struct {
	// Plan is a code, or analytics.UnknownPlan where no plan claims the price.
	Plan string
	// MRRMicro is the level, OpeningMicro that at the beginning of the last
	// month. A customer who switches takes the old plan's MRR along.
	MRRMicro     int64
	OpeningMicro int64
	// Customers have MRR on the plan now, and Trialing are the subscriptions to
	// it in a trial; zero unless the last month is the running one: the ledger
	// counts a movement's customer on one plan only, so of the past nobody
	// knows. Who has MRR on two plans counts for both.
	Customers int64
	Trialing  int64
}

// Overview reads all its figures in one snapshot, so that they agree. A span
// that makes no sense is a *billing.Refusal.
func (r *Reports) Overview(ctx context.Context, span Span) (Overview, error) {
	overview := Overview{AsOf: r.Now()}
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, r.Pool, snapshot, func(tx pgx.Tx) error {
		q := db.New(tx)
		generation, err := q.LiveGeneration(ctx)
		if err != nil {
			return fmt.Errorf("live definition: %w", err)
		}
		overview.DefinitionVersion, overview.TimeZone = int(generation.Gen), generation.TimeZone
		zone, err := time.LoadLocation(generation.TimeZone)
		if err != nil {
			return fmt.Errorf("time zone of the live definition: %w", err)
		}
		overview.Running = analytics.MonthOf(overview.AsOf, zone)
		firstFlow, err := q.FirstFlow(ctx, db.FirstFlowParams{Gen: generation.Gen, Otherwise: overview.Running})
		if err != nil {
			return fmt.Errorf("first month: %w", err)
		}
		overview.Earliest = earliestMonth(firstFlow, overview.Running)
		if overview.First, overview.Last, err = span.resolve(overview.Earliest, overview.Running); err != nil {
			return err
		}
		if err := overview.addCurrencies(ctx, q, generation.Gen, zone); err != nil {
			return err
		}
		if err := overview.addPlans(ctx, q, generation.Gen); err != nil {
			return err
		}
		overview.Stories, err = newestStories(ctx, q)
		return err
	})
	if err != nil {
		return Overview{}, fmt.Errorf("read overview: %w", err)
	}
	return overview, nil
}

// addCurrencies reads the months that are shown and the one before, with which
// the first is compared.
func (o *Overview) addCurrencies(ctx context.Context, q *db.Queries, gen int32, zone *time.Location) error {
	before := o.First.AddDate(0, -1, 0)
	levels, err := q.LevelsBefore(ctx, db.LevelsBeforeParams{Gen: gen, Month: before})
	if err != nil {
		return fmt.Errorf("opening levels: %w", err)
	}
	rows, err := q.FlowsBetween(ctx, db.FlowsBetweenParams{Gen: gen, First: before, Last: o.Last})
	if err != nil {
		return fmt.Errorf("flows by month: %w", err)
	}
	failed, err := failures(ctx, q, zone, before, o.AsOf)
	if err != nil {
		return err
	}
	opening := map[money.Currency]analytics.Level{}
	for _, l := range levels {
		opening[money.Currency(l.Currency)] = analytics.Level{MRRMicro: l.MRRMicro, Customers: l.Customers}
	}
	flows := map[money.Currency][]analytics.Flow{}
	for _, f := range rows {
		currency := money.Currency(f.Currency)
		if _, ok := opening[currency]; !ok {
			opening[currency] = analytics.Level{}
		}
		flows[currency] = append(flows[currency], analytics.Flow{
			Day: f.Month, Kind: analytics.MovementKind(f.Kind), AmountMicro: f.AmountMicro, Customers: f.Customers,
		})
	}
	for _, currency := range slices.Sorted(maps.Keys(opening)) {
		months := analytics.Series(opening[currency], flows[currency], analytics.Periods(before, o.Last, o.Running, analytics.Monthly), false)
		failures := failedMonths(failed[currency], before, o.Last, o.Running)
		last := months[len(months)-1].Closing
		o.Currencies = append(o.Currencies, CurrencyFigures{
			Currency: currency, MRRMicro: last.MRRMicro, ARRMicro: 12 * last.MRRMicro, ActiveCustomers: last.Customers,
			Before: months[0], Months: months[1:], BeforeFailed: failures[0], Failed: failures[1:],
		})
	}
	return nil
}

// addPlans joins the levels of each plan with who is on it now, where now is
// what is shown.
func (o *Overview) addPlans(ctx context.Context, q *db.Queries, gen int32) error {
	levels, err := q.PlanLevels(ctx, db.PlanLevelsParams{Gen: gen, Month: o.Last})
	if err != nil {
		return fmt.Errorf("levels by plan: %w", err)
	}
	counts, err := q.SubscribersByPlan(ctx, analytics.UnknownPlan)
	if err != nil {
		return fmt.Errorf("subscriptions by plan: %w", err)
	}
	type key struct{ currency, plan string }
	plans := map[key]PlanFigures{}
	for _, l := range levels {
		plans[key{l.Currency, l.Plan}] = PlanFigures{Plan: l.Plan, MRRMicro: l.MRRMicro, OpeningMicro: l.OpeningMicro}
	}
	for _, c := range counts {
		o.Trialing += c.Trialing
		o.UnpricedSubscriptions += c.Unpriced
		if o.Last.Equal(o.Running) {
			p := plans[key{c.Currency, c.Plan}]
			p.Plan, p.Customers, p.Trialing = c.Plan, c.Customers, c.Trialing
			plans[key{c.Currency, c.Plan}] = p
		}
	}
	for i := range o.Currencies {
		figures := &o.Currencies[i]
		for k, p := range plans {
			if k.currency == string(figures.Currency) && p != (PlanFigures{Plan: p.Plan}) {
				figures.Plans = append(figures.Plans, p)
			}
		}
		slices.SortFunc(figures.Plans, func(a, b PlanFigures) int { return cmp.Compare(a.Plan, b.Plan) })
	}
	return nil
}

func value(s *string) string { return *cmp.Or(s, new(string)) }
