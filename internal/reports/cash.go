package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
)

// Cash is what went through the account (metrics.md 1.14).
type Cash struct {
	Scope
	CashFlow
}

// CashFlow is what moved the balance at Stripe in each period of a scope.
type CashFlow struct {
	// Points has one for each of Periods, Before one for each of Compared; of each
	// only its period and its cash are there. There is no cash of a plan: it is
	// nil.
	Points, Before []analytics.Point
	// ReadTo is when Stripe's list was read last, zero where it never was, and
	// ReadFrom from when on all of it is there: later than the first period while
	// the list is still read backwards for the first time.
	ReadFrom, ReadTo time.Time
	// Elsewhere are the other currencies in which there is a balance, in order of
	// code. Stripe exchanges what is paid in a currency that has none.
	Elsewhere []money.Currency
}

// Sum is one point for all that is shown.
func (c CashFlow) Sum() analytics.Point { return analytics.Sum(c.Points) }

// Cash reads what went through the account.
func (r *Reports) Cash(ctx context.Context, query Query) (Cash, error) {
	var out Cash
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		flow, err := cashFlow(ctx, q, scope)
		out = Cash{scope, flow}
		return err
	})
	if err != nil {
		return Cash{}, fmt.Errorf("read cash: %w", err)
	}
	return out, nil
}

func cashFlow(ctx context.Context, q *db.Queries, scope Scope) (CashFlow, error) {
	out := CashFlow{Points: blankPoints(scope.Periods), Before: blankPoints(scope.Compared)}
	for _, points := range [][]analytics.Point{out.Points, out.Before} {
		if len(points) == 0 {
			continue
		}
		if err := addCash(ctx, q, scope, points); err != nil {
			return out, err
		}
	}
	read, err := q.CashRead(ctx)
	if err != nil && !db.IsNotFound(err) {
		return out, fmt.Errorf("how far cash is read: %w", err)
	}
	if err == nil {
		out.ReadFrom, out.ReadTo = read.WholeFrom.UTC(), read.WholeTo.UTC()
	}
	currencies, err := q.CashCurrencies(ctx, scope.Generation)
	if err != nil {
		return out, fmt.Errorf("currencies of cash: %w", err)
	}
	for _, c := range currencies {
		if currency := money.Currency(c); currency != scope.Currency {
			out.Elsewhere = append(out.Elsewhere, currency)
		}
	}
	return out, nil
}

func blankPoints(periods []analytics.Period) []analytics.Point {
	out := make([]analytics.Point, len(periods))
	for i, p := range periods {
		out[i].Period = p
	}
	return out
}

// addCash adds what went through the account in each period. Of a plan there is
// none: a payment may be for several, and a payout is for all.
func addCash(ctx context.Context, q *db.Queries, scope Scope, points []analytics.Point) error {
	if scope.Plan != "" {
		return nil
	}
	unit := "day"
	if scope.Interval == analytics.Monthly {
		unit = "month"
	}
	rows, err := q.CashBetween(ctx, db.CashBetweenParams{
		Unit: unit, Gen: scope.Generation, Currency: string(scope.Currency), First: points[0].Start, Last: points[len(points)-1].Last(),
	})
	if err != nil {
		return fmt.Errorf("cash: %w", err)
	}
	for i := range points {
		points[i].Cash = &analytics.Cash{}
		for len(rows) > 0 && rows[0].Day.Before(points[i].End) {
			r := rows[0]
			points[i].Cash.Count(analytics.CashKind(r.Kind), r.AmountMinor, r.FeeMinor, r.NetMinor)
			rows = rows[1:]
		}
	}
	return nil
}
