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

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
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
	// Currencies are never added to each other. In order of code; empty until
	// something was paid.
	Currencies []CurrencyFigures
	// Plans are in order of code.
	Plans []PlanSubscriptions
	// UnpricedSubscriptions are active and in no figure, or in too low a one,
	// because a price of theirs is not known.
	UnpricedSubscriptions int64
	// Events are the newest, newest first.
	Events []Event
}

// CurrencyFigures are the figures of one currency.
type CurrencyFigures struct {
	Currency money.Currency
	// MRRMicro and ARRMicro are micro-units; ARR is the annual run rate, twelve
	// times MRR (metrics.md 1.2.10).
	MRRMicro int64
	ARRMicro int64
	// ActiveCustomers are those with MRR.
	ActiveCustomers int64
	// Months are the twelve up to the running one, oldest first, with the
	// level at the end of each.
	Months []analytics.Point
}

// PlanSubscriptions counts the subscriptions of a plan as Stripe has them now.
type PlanSubscriptions struct {
	// Plan is empty for subscriptions whose price no plan claims.
	Plan string
	// Active are active or past due.
	Active   int64
	Trialing int64
}

// Event is something that happened to a customer, in the words of the trade.
type Event struct {
	ID   int64
	Kind string
	At   time.Time
	// OrgID is nil and OrgName empty for a customer that no organization owns.
	OrgID            *uuid.UUID
	OrgName          string
	StripeCustomerID string
	SubscriptionID   string
	Plan             string
	Interval         billing.Interval
	// Currency is empty and AmountMinor nil where no amount belongs to it.
	Currency    money.Currency
	AmountMinor *int64
}

const (
	overviewMonths = 12
	overviewEvents = 10
)

// Overview reads all its figures in one snapshot, so that they agree.
func (r *Reports) Overview(ctx context.Context) (Overview, error) {
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
		running := analytics.MonthOf(overview.AsOf, zone)
		if overview.Currencies, err = currencies(ctx, q, generation.Gen, running); err != nil {
			return err
		}
		if err := overview.addPlans(ctx, q); err != nil {
			return err
		}
		overview.Events, err = newestEvents(ctx, q)
		return err
	})
	if err != nil {
		return Overview{}, fmt.Errorf("read overview: %w", err)
	}
	return overview, nil
}

// currencies reads the levels of the months up to the running one.
func currencies(ctx context.Context, q *db.Queries, gen int32, running time.Time) ([]CurrencyFigures, error) {
	first := running.AddDate(0, 1-overviewMonths, 0)
	levels, err := q.LevelsBefore(ctx, db.LevelsBeforeParams{Gen: gen, Month: first})
	if err != nil {
		return nil, fmt.Errorf("opening levels: %w", err)
	}
	rows, err := q.FlowsBetween(ctx, db.FlowsBetweenParams{Gen: gen, First: first, Last: running})
	if err != nil {
		return nil, fmt.Errorf("flows by month: %w", err)
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
			Month: f.Month, Kind: analytics.MovementKind(f.Kind), AmountMicro: f.AmountMicro, Customers: f.Customers,
		})
	}
	var out []CurrencyFigures
	for _, currency := range slices.Sorted(maps.Keys(opening)) {
		months := analytics.Series(opening[currency], flows[currency], first, running, running)
		now := months[len(months)-1].Closing
		out = append(out, CurrencyFigures{
			Currency: currency, MRRMicro: now.MRRMicro, ARRMicro: 12 * now.MRRMicro, ActiveCustomers: now.Customers, Months: months,
		})
	}
	return out, nil
}

func (o *Overview) addPlans(ctx context.Context, q *db.Queries) error {
	rows, err := q.SubscriptionsByPlan(ctx)
	if err != nil {
		return fmt.Errorf("subscriptions by plan: %w", err)
	}
	for _, p := range rows {
		o.Plans = append(o.Plans, PlanSubscriptions{Plan: p.Plan, Active: p.Active, Trialing: p.Trialing})
		o.UnpricedSubscriptions += p.Unpriced
	}
	return nil
}

func newestEvents(ctx context.Context, q *db.Queries) ([]Event, error) {
	rows, err := q.NewestPaymentEvents(ctx, overviewEvents)
	if err != nil {
		return nil, fmt.Errorf("newest events: %w", err)
	}
	var out []Event
	for _, e := range rows {
		out = append(out, Event{
			ID: e.ID, Kind: e.Kind, At: e.At.UTC(), OrgID: e.OrgID, OrgName: value(e.OrgName), StripeCustomerID: value(e.StripeCustomerID),
			SubscriptionID: value(e.SubscriptionID), Plan: value(e.Plan), Interval: billing.Interval(value(e.Interval)),
			Currency: money.Currency(value(e.Currency)), AmountMinor: e.AmountMinor,
		})
	}
	return out, nil
}

func value(s *string) string { return *cmp.Or(s, new(string)) }
