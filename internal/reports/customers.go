package reports

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Customers is who carries MRR, who came, and who left.
type Customers struct {
	Figures
	// Rates are the points of the calendar months in the range: Points where
	// these are months.
	Rates []analytics.Point
	// Largest are those with most MRR now, whatever the range.
	Largest []LargeCustomer
	// Left are those who lost their last MRR in the range, newest first.
	Left []LeftCustomer
	// Trials are those of each of Periods, by when they ended and by when they
	// began.
	Trials []TrialPoint
}

// LargeCustomer is one of those with most MRR.
type LargeCustomer struct {
	Customer
	// MRRMicro is what they have in the currency and plan of the report.
	MRRMicro int64
	// Since is the day of their first movement, midnight UTC of the date.
	Since time.Time
}

// LeftCustomer is one who lost their last MRR in a currency.
type LeftCustomer struct {
	Customer
	// Day is midnight UTC of the date.
	Day time.Time
	// LostMicro is what they had, on the report's plan where it has one; above
	// nought. Plans are those they left, the dearest first.
	LostMicro int64
	Plans     []string
	Reason    analytics.Reason
}

// customersListed is how many customers a list beside figures has.
const customersListed = 10

// Customers reads the number of customers, their movements and retention, and
// those behind them who matter most.
func (r *Reports) Customers(ctx context.Context, query Query) (Customers, error) {
	var out Customers
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		if out.Figures, err = figures(ctx, q, scope, reading(addRetention, addTrials)); err != nil {
			return err
		}
		if out.Rates, err = rates(ctx, q, scope, out.Points); err != nil {
			return err
		}
		if out.Largest, err = largest(ctx, q, scope); err != nil {
			return err
		}
		if out.Trials, err = trialPoints(ctx, q, scope, scope.Periods); err != nil {
			return err
		}
		out.Left, err = left(ctx, q, scope)
		return err
	})
	if err != nil {
		return Customers{}, fmt.Errorf("read customers: %w", err)
	}
	return out, nil
}

func largest(ctx context.Context, q *db.Queries, scope Scope) ([]LargeCustomer, error) {
	rows, err := q.LargestCustomers(ctx, db.LargestCustomersParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, AtMost: customersListed,
	})
	if err != nil {
		return nil, fmt.Errorf("largest customers: %w", err)
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.Customer
	}
	named, err := customersOf(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	firsts, err := q.CustomersSince(ctx, db.CustomersSinceParams{Gen: scope.Generation, Customers: ids})
	if err != nil {
		return nil, fmt.Errorf("first days of customers: %w", err)
	}
	since := map[string]time.Time{}
	for _, row := range firsts {
		since[row.Customer] = row.Since
	}
	var out []LargeCustomer
	for i, row := range rows {
		out = append(out, LargeCustomer{Customer: named[i], MRRMicro: row.MRRMicro, Since: since[row.Customer]})
	}
	return out, nil
}

func left(ctx context.Context, q *db.Queries, scope Scope) ([]LeftCustomer, error) {
	rows, err := q.Leavers(ctx, db.LeaversParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: scope.First(), Last: scope.Last(), AtMost: customersListed,
	})
	if err != nil {
		return nil, fmt.Errorf("customers who left: %w", err)
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.Customer
	}
	named, err := customersOf(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	var out []LeftCustomer
	for i, row := range rows {
		out = append(out, LeftCustomer{
			Customer: named[i], Day: row.Day, LostMicro: -row.AmountMicro, Plans: strings.Split(row.Plan, ","), Reason: analytics.Reason(row.Reason),
		})
	}
	return out, nil
}
