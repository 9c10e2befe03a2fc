package reports

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/money"
)

// FailedMonth is what became of the renewals whose payment failed first in a
// month (metrics.md 1.13). An invoice counts once, with the amount due at its
// first failure, however often Stripe retries. The invoice that begins a
// subscription is left out, and so is the first after a trial: what they lose
// is a sign-up. What somebody voids is not owed, and never was a failure.
type FailedMonth struct {
	// Month is the first of the month, midnight UTC.
	Month time.Time
	// Recovered were paid later, by any means; InRetry are not settled; Lost
	// were given up, by Stripe or by whoever marked them uncollectible.
	Recovered, InRetry, Lost Invoices
	// Open were not settled at the end of the month, or now in the running
	// one, whenever they failed first.
	Open Invoices
	// Asked were neither declined nor paid at the first try, in this month:
	// the bank asked for the customer's confirmation. They are in none of the
	// figures above, whatever became of them. AskedOpen is to Asked what Open
	// is to the failures.
	Asked, AskedOpen Invoices
	// IsRunning marks the month that is not over.
	IsRunning bool
}

// Invoices are some invoices and the sum of what is due on them.
type Invoices struct {
	Count       int64
	AmountMinor int64
}

// Failed are all of the month.
func (m FailedMonth) Failed() Invoices { return m.Recovered.Plus(m.InRetry).Plus(m.Lost) }

// Plus adds others of the same currency.
func (i Invoices) Plus(j Invoices) Invoices {
	return Invoices{Count: i.Count + j.Count, AmountMinor: i.AmountMinor + j.AmountMinor}
}

// lookBack is how long before the first month an invoice may have begun to fail
// and still be open in it. Stripe retries for two months at most.
const lookBack = 6

// failures are the invoices that failed, by currency: all months, from lookBack
// before the first one on.
func failures(ctx context.Context, q *db.Queries, zone *time.Location, first, asOf time.Time) (map[money.Currency][]db.FailedInvoicesRow, error) {
	since := first.AddDate(0, -lookBack, 0)
	rows, err := q.FailedInvoices(ctx, db.FailedInvoicesParams{
		Zone: zone.String(), AsOf: asOf, Since: time.Date(since.Year(), since.Month(), 1, 0, 0, 0, 0, zone),
	})
	if err != nil {
		return nil, fmt.Errorf("failed invoices: %w", err)
	}
	out := map[money.Currency][]db.FailedInvoicesRow{}
	for _, row := range rows {
		out[money.Currency(row.Currency)] = append(out[money.Currency(row.Currency)], row)
	}
	return out, nil
}

// failedMonths spreads failures over the months from the first to the last.
func failedMonths(rows []db.FailedInvoicesRow, first, last, running time.Time) []FailedMonth {
	var months []FailedMonth
	for month := first; !month.After(last); month = month.AddDate(0, 1, 0) {
		m := FailedMonth{Month: month, IsRunning: month.Equal(running)}
		for _, row := range rows {
			invoices := Invoices{Count: row.Invoices, AmountMinor: row.AmountMinor}
			open := &m.Open
			if row.Asked {
				open = &m.AskedOpen
			}
			isOpen := row.Outcome == outcomeInRetry
			if !row.Month.After(month) && (isOpen || row.Settled.After(month)) {
				*open = open.Plus(invoices)
			}
			if !row.Month.Equal(month) {
				continue
			}
			switch {
			case row.Asked:
				m.Asked = m.Asked.Plus(invoices)
			case isOpen:
				m.InRetry = m.InRetry.Plus(invoices)
			case row.Outcome == outcomeRecovered:
				m.Recovered = m.Recovered.Plus(invoices)
			default:
				m.Lost = m.Lost.Plus(invoices)
			}
		}
		months = append(months, m)
	}
	return slices.Clip(months)
}

// The outcomes of the query FailedInvoices, beside lost.
const (
	outcomeRecovered = "recovered"
	outcomeInRetry   = "in_retry"
)
