// Package reports is the door through which figures are read. A page, an alert,
// an export and an API that show the same figure call the same function here.
package reports

import (
	"cmp"
	"context"
	"fmt"
	"time"

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
	// Base is the currency in which all may be added up; empty: none is.
	Base money.Currency
}

// Overview is what an administrator sees first. It covers the whole Stripe
// account, whether customers are linked to an organization or not. Of each point
// only the levels and the movements are read.
type Overview struct {
	Figures
	// Ahead is the period before the first one, with which it is compared.
	Ahead analytics.Point
	// Payments are the renewals of each of Periods, PaymentsAhead those of Ahead.
	// There are none in the base currency: they are told in their own.
	Payments      []PaymentPoint
	PaymentsAhead PaymentPoint
	// Trialing counts the subscriptions in a trial now. It is told only where
	// there are no figures yet.
	Trialing int64
	// UnpricedSubscriptions are active and in no figure, or in too low a one,
	// because a price of theirs is not known.
	UnpricedSubscriptions int64
	// Stories are the newest, newest first; they are of all currencies and plans.
	Stories []Story
}

// IsEmpty reports whether there are no figures at all yet.
func (o Overview) IsEmpty() bool { return len(o.Currencies) == 0 }

// Overview reads all its figures in one snapshot, so that they agree.
func (r *Reports) Overview(ctx context.Context, query Query) (Overview, error) {
	var out Overview
	err := r.withinAny(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		out, err = overview(ctx, q, scope)
		return err
	})
	if err != nil {
		return Overview{}, fmt.Errorf("read overview: %w", err)
	}
	return out, nil
}

func overview(ctx context.Context, q *db.Queries, scope Scope) (Overview, error) {
	out := Overview{Figures: Figures{Scope: scope}}
	before := scope.Interval.Start(scope.First().AddDate(0, 0, -1))
	periods := append([]analytics.Period{{Start: before, End: scope.First()}}, scope.Periods...)
	var points []analytics.Point
	var err error
	if scope.IsConverted {
		var converted analytics.Converted
		converted, out.RatesUntil, err = convertedPoints(ctx, q, scope, periods, movements)
		points, out.Unconverted = converted.Points, converted.Missing
	} else {
		points, err = movements(ctx, q, scope, periods)
	}
	if err != nil {
		return out, err
	}
	out.Ahead, out.Points = points[0], points[1:]
	if len(scope.Compared) > 0 {
		if out.Before, err = movements(ctx, q, scope, scope.Compared); err != nil {
			return out, err
		}
	}
	if !scope.IsConverted {
		payments, err := paymentPoints(ctx, q, scope, periods)
		if err != nil {
			return out, err
		}
		out.PaymentsAhead, out.Payments = payments[0], payments[1:]
	}
	if out.UnpricedSubscriptions, err = q.UnpricedSubscriptions(ctx); err != nil {
		return out, fmt.Errorf("count subscriptions of unknown price: %w", err)
	}
	if out.IsEmpty() {
		if out.Trialing, err = q.TrialingSubscriptions(ctx); err != nil {
			return out, fmt.Errorf("count trials: %w", err)
		}
	}
	out.Stories, err = newestStories(ctx, q)
	return out, err
}

func value(s *string) string { return *cmp.Or(s, new(string)) }
