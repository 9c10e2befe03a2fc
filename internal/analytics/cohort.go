package analytics

import (
	"time"

	"github.com/promptforge/payments/internal/money"
)

// CohortChange is what one customer adds to its cohort in a month (metrics.md
// 1.12): by how much the state at the month's end differs from that at the end
// of the month before. The levels of a cohort are running sums of its changes,
// and the row of the cohort's own month also has its size and initial MRR.
type CohortChange struct {
	// Cohort is the month in which the customer first had MRR, in whatever
	// currency; it never changes. Month is the one that changed; each the first of
	// the month, midnight UTC.
	Cohort, Month time.Time
	Currency      money.Currency
	// Plan is the one on which the customer had most MRR at the end of its first
	// day with any in this currency.
	Plan string
	// MRRMicro is the change of its MRR, GrossMicro that of the lesser of its MRR
	// and its initial MRR, Active that of whether it has any.
	MRRMicro, GrossMicro, Active int64
	// InitialMicro and Customers are what the cohort began with: MRR at the end of
	// the first day, and who has it; in the month of that day only.
	InitialMicro, Customers int64
}

// CohortChanges follows from a customer's movements alone. Months in which
// nothing changed are left out.
func CohortChanges(movements []Movement) []CohortChange {
	if len(movements) == 0 {
		return nil
	}
	first := movements[0].Day
	for _, m := range movements {
		if m.Day.Before(first) {
			first = m.Day
		}
	}
	var out []CohortChange
	for _, ledger := range byCurrency(movements) {
		out = append(out, ledger.cohort(Monthly.Start(first))...)
	}
	return out
}

func (l currencyLedger) cohort(cohort time.Time) []CohortChange {
	first := l.days[0]
	plan, most := "", int64(0)
	for _, p := range first.plans {
		if p.micro > most {
			plan, most = p.plan, p.micro
		}
	}
	var out []CohortChange
	var mrr, gross, active int64 // at the end of the month before
	for i, d := range l.days {
		month := Monthly.Start(d.day)
		if i+1 < len(l.days) && Monthly.Start(l.days[i+1].day).Equal(month) {
			continue // not the last of its month
		}
		balance := d.micro
		change := CohortChange{
			Cohort: cohort, Month: month, Currency: l.currency, Plan: plan,
			MRRMicro: balance - mrr, GrossMicro: min(balance, first.micro) - gross, Active: isPositive(balance) - active,
		}
		if month.Equal(Monthly.Start(first.day)) {
			change.InitialMicro, change.Customers = first.micro, 1
		}
		mrr, gross, active = balance, min(balance, first.micro), isPositive(balance)
		if change != (CohortChange{Cohort: cohort, Month: month, Currency: l.currency, Plan: plan}) {
			out = append(out, change)
		}
	}
	return out
}

func isPositive(micro int64) int64 {
	if micro > 0 {
		return 1
	}
	return 0
}
