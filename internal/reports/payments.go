package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Payments says how renewals are paid (metrics.md 1.13). An invoice counts once,
// in the period of its first attempt and with what was due then.
type Payments struct {
	Scope
	// Points has one for each of Periods, Before one for each of Compared.
	Points, Before []PaymentPoint
	// Reasons are those of all declines in the periods, most first.
	Reasons []DeclineReason
	// Open and AskedOpen are not settled now, whenever they were attempted first:
	// the declined ones, and those that wait for the customer's confirmation.
	Open, AskedOpen analytics.Invoices
	// Retrying are the largest of both, at most MaxRetrying.
	Retrying []Retrying
	// Cash is what went through the account, renewals or not.
	Cash CashFlow
}

// MaxRetrying is how many open invoices are listed.
const MaxRetrying = 100

// PaymentPoint is what is known of the renewals of one period.
type PaymentPoint struct {
	analytics.Period
	analytics.Payments
	// Confirmed are those of Asked that were paid in the end.
	Confirmed analytics.Invoices
	// Open were declined first and not settled at the end of the period, or now in
	// the running one, whenever they were attempted first; AskedOpen is to Asked
	// what Open is to the declines.
	Open, AskedOpen analytics.Invoices
	// Customers is how many had at least one renewal declined. One with two plans
	// counts on the plan that was declined first.
	Customers int64
}

// Point is the same as a point of a series, from which metrics are computed.
func (p PaymentPoint) Point() analytics.Point {
	return analytics.Point{Period: p.Period, Payments: &p.Payments}
}

// PaidAtOnce are those that were neither declined nor asked about.
func (p PaymentPoint) PaidAtOnce() analytics.Invoices {
	failed := p.Failed()
	return analytics.Invoices{
		Count:       p.Attempted.Count - failed.Count - p.Asked.Count,
		AmountMinor: p.Attempted.AmountMinor - failed.AmountMinor - p.Asked.AmountMinor,
	}
}

// SumPayments is one point for all periods together. Its customers are not
// known: one may be in several.
func SumPayments(points []PaymentPoint) PaymentPoint {
	var sum PaymentPoint
	series := make([]analytics.Point, 0, len(points))
	for _, p := range points {
		series = append(series, p.Point())
		sum.Confirmed = sum.Confirmed.Plus(p.Confirmed)
	}
	if len(points) > 0 {
		all := analytics.Sum(series)
		last := points[len(points)-1]
		sum.Period, sum.Payments, sum.Open, sum.AskedOpen = all.Period, *all.Payments, last.Open, last.AskedOpen
	}
	return sum
}

// DeclineReason is what came of the renewals that were declined for a reason.
type DeclineReason struct {
	// Reason is the bank's decline code or Stripe's; empty where nobody told it.
	Reason                   string
	Recovered, InRetry, Lost analytics.Invoices
}

// Failed are all of them.
func (r DeclineReason) Failed() analytics.Invoices { return r.Recovered.Plus(r.InRetry).Plus(r.Lost) }

// Retrying is an invoice that is not settled.
type Retrying struct {
	InvoiceID   string
	AmountMinor int64
	Plan        string
	Customer
	FirstAt, LastAt time.Time
	Attempts        int
	// NextAttemptAt is when Stripe tries it again; zero: not by itself.
	NextAttemptAt time.Time
	// IsAsked says that the customer has to confirm it.
	IsAsked bool
	Reason  string
}

// Payments reads how renewals are paid. A query that makes no sense is a
// *billing.Refusal, as for every report.
func (r *Reports) Payments(ctx context.Context, query Query) (Payments, error) {
	var out Payments
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		out = Payments{Scope: scope}
		if err := out.read(ctx, q); err != nil {
			return err
		}
		var err error
		out.Cash, err = cashFlow(ctx, q, scope)
		return err
	})
	if err != nil {
		return Payments{}, fmt.Errorf("read payments: %w", err)
	}
	return out, nil
}

func (p *Payments) read(ctx context.Context, q *db.Queries) error {
	var err error
	if p.Points, err = paymentPoints(ctx, q, p.Scope, p.Periods); err != nil {
		return err
	}
	if len(p.Compared) > 0 {
		if p.Before, err = paymentPoints(ctx, q, p.Scope, p.Compared); err != nil {
			return err
		}
	}
	reasons, err := q.DeclinesByReason(ctx, db.DeclinesByReasonParams{
		Gen: p.Generation, Currency: string(p.Currency), Plan: p.Plan, ByMonth: p.Interval == analytics.Monthly, First: p.First(), Last: p.Last(),
	})
	if err != nil {
		return fmt.Errorf("declines by reason: %w", err)
	}
	for _, r := range reasons {
		p.Reasons = append(p.Reasons, DeclineReason{
			r.Reason,
			analytics.Invoices{Count: r.Recovered, AmountMinor: r.RecoveredMinor},
			analytics.Invoices{Count: r.InRetry, AmountMinor: r.InRetryMinor},
			analytics.Invoices{Count: r.Lost, AmountMinor: r.LostMinor},
		})
	}
	if p.Open, p.AskedOpen, err = openBefore(ctx, q, p.Scope, p.Today.AddDate(0, 0, 1)); err != nil {
		return err
	}
	return p.addRetrying(ctx, q)
}

func (p *Payments) addRetrying(ctx context.Context, q *db.Queries) error {
	rows, err := q.InRetry(ctx, db.InRetryParams{Gen: p.Generation, Currency: string(p.Currency), Plan: p.Plan, AtMost: MaxRetrying})
	if err != nil {
		return fmt.Errorf("invoices in retry: %w", err)
	}
	for _, r := range rows {
		retrying := Retrying{
			InvoiceID: r.InvoiceID, AmountMinor: r.AmountMinor, Plan: r.Plan, Customer: Customer{ID: r.Customer, Name: r.OrgName},
			FirstAt: r.FirstAt.UTC(), LastAt: r.LastAt.UTC(), Attempts: int(r.Attempts), IsAsked: r.Asked, Reason: r.Reason,
		}
		if r.OrgID != nil {
			retrying.ID = r.OrgID.String()
		}
		if r.NextPaymentAttempt != nil {
			retrying.NextAttemptAt = r.NextPaymentAttempt.UTC()
		}
		p.Retrying = append(p.Retrying, retrying)
	}
	return nil
}

// openBefore are the renewals that are open when a day begins: those that were
// declined, and those that the customer was asked about.
func openBefore(ctx context.Context, q *db.Queries, scope Scope, day time.Time) (open, asked analytics.Invoices, err error) {
	row, err := q.PaymentsOpenBefore(ctx, db.PaymentsOpenBeforeParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, Month: analytics.Monthly.Start(day), Day: day,
	})
	if err != nil {
		return open, asked, fmt.Errorf("open renewals: %w", err)
	}
	return analytics.Invoices{Count: row.Open, AmountMinor: row.OpenMinor}, analytics.Invoices{Count: row.AskedOpen, AmountMinor: row.AskedOpenMinor}, nil
}

// paymentPoints are the renewals of some periods, which ascend without gaps.
func paymentPoints(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) ([]PaymentPoint, error) {
	rows, err := paymentRows(ctx, q, scope, periods[0].Start, periods[len(periods)-1].Last())
	if err != nil {
		return nil, err
	}
	open, asked, err := openBefore(ctx, q, scope, periods[0].Start)
	if err != nil {
		return nil, err
	}
	out := make([]PaymentPoint, len(periods))
	for i, period := range periods {
		point := PaymentPoint{Period: period}
		for len(rows) > 0 && period.Has(rows[0].Day) {
			r := rows[0]
			rows = rows[1:]
			point.Attempted = point.Attempted.Plus(analytics.Invoices{Count: r.Attempted, AmountMinor: r.AttemptedMinor})
			point.Asked = point.Asked.Plus(analytics.Invoices{Count: r.Asked, AmountMinor: r.AskedMinor})
			point.Confirmed = point.Confirmed.Plus(analytics.Invoices{Count: r.Confirmed, AmountMinor: r.ConfirmedMinor})
			point.Recovered = point.Recovered.Plus(analytics.Invoices{Count: r.Recovered, AmountMinor: r.RecoveredMinor})
			point.InRetry = point.InRetry.Plus(analytics.Invoices{Count: r.InRetry, AmountMinor: r.InRetryMinor})
			point.Lost = point.Lost.Plus(analytics.Invoices{Count: r.Lost, AmountMinor: r.LostMinor})
			open = open.Plus(analytics.Invoices{Count: r.Open, AmountMinor: r.OpenMinor})
			asked = asked.Plus(analytics.Invoices{Count: r.AskedOpen, AmountMinor: r.AskedOpenMinor})
			if scope.Interval == analytics.Weekly {
				point.Customers += r.CustomersWeek
			} else {
				point.Customers += r.CustomersDay
			}
		}
		point.Open, point.AskedOpen = open, asked
		out[i] = point
	}
	return out, nil
}

// paymentRows are the sums of days, or of months as if each were its first day.
func paymentRows(ctx context.Context, q *db.Queries, scope Scope, first, last time.Time) ([]db.PaymentsByDayRow, error) {
	if scope.Interval != analytics.Monthly {
		rows, err := q.PaymentsByDay(ctx, db.PaymentsByDayParams{
			Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: first, Last: last,
		})
		if err != nil {
			return nil, fmt.Errorf("payments by day: %w", err)
		}
		return rows, nil
	}
	months, err := q.PaymentsByMonth(ctx, db.PaymentsByMonthParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: first, Last: last,
	})
	if err != nil {
		return nil, fmt.Errorf("payments by month: %w", err)
	}
	rows := make([]db.PaymentsByDayRow, 0, len(months))
	for _, m := range months {
		rows = append(rows, db.PaymentsByDayRow{
			Day: m.Month, Attempted: m.Attempted, AttemptedMinor: m.AttemptedMinor, Asked: m.Asked, AskedMinor: m.AskedMinor,
			Confirmed: m.Confirmed, ConfirmedMinor: m.ConfirmedMinor, Recovered: m.Recovered, RecoveredMinor: m.RecoveredMinor,
			InRetry: m.InRetry, InRetryMinor: m.InRetryMinor, Lost: m.Lost, LostMinor: m.LostMinor, Open: m.Open, OpenMinor: m.OpenMinor,
			AskedOpen: m.AskedOpen, AskedOpenMinor: m.AskedOpenMinor, CustomersDay: m.Customers,
		})
	}
	return rows, nil
}

// addPayments adds the renewals of each period.
func addPayments(ctx context.Context, q *db.Queries, scope Scope, points []analytics.Point) error {
	periods := make([]analytics.Period, len(points))
	for i, p := range points {
		periods[i] = p.Period
	}
	paid, err := paymentPoints(ctx, q, scope, periods)
	if err != nil {
		return err
	}
	for i := range points {
		points[i].Payments = &paid[i].Payments
	}
	return nil
}
