package analytics

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/money"
)

// Retained is what became, by the end of a period, of the customers who had MRR
// when it began (metrics.md 1.5). For a plan it is what became of those who were
// on it, wherever they are now: their MRR then and now is split over the plans
// that they had then, so that plans add up to the account and a change of plan
// is no loss. A customer of two plans counts on both.
type Retained struct {
	// BaseMicro and BaseCustomers are the level before the first day.
	BaseMicro, BaseCustomers int64
	// NetMicro is what their MRR changed by, GrossLostMicro what those who have
	// less now have lost.
	NetMicro, GrossLostMicro int64
	// LostCustomers have no MRR at the end, and had LostMicro; of them
	// InvoluntaryCustomers, with InvoluntaryMicro, because they did not pay.
	LostCustomers, InvoluntaryCustomers int64
	LostMicro, InvoluntaryMicro         int64
}

// The horizons over which retention is kept, in months.
const (
	HorizonMonth = 1
	HorizonYear  = 12
)

// AllPlans stands for the account in rollups that also have a row for each plan.
const AllPlans = ""

// RetentionChange is what one customer adds to a period's Retained, except its
// base, which is the level that opens the period.
type RetentionChange struct {
	// PeriodEnd is the first day after the period, the first of a month.
	PeriodEnd time.Time
	Horizon   int
	Currency  money.Currency
	// Plan is AllPlans or one of those that the customer had as the period began.
	Plan string
	Retained
}

// RetentionChanges follows from a customer's movements alone. It has a row for
// every period, one that ends in the future too, in which the customer's MRR
// changed after an opening balance above nought; a customer who stays the same
// adds nothing to a period. Rows of a period and currency other than AllPlans add
// up to that of AllPlans, in amounts.
func RetentionChanges(movements []Movement) []RetentionChange {
	var out []RetentionChange
	for _, ledger := range byCurrency(movements) {
		var months []time.Time
		for _, m := range ledger.movements {
			if month := Monthly.Start(m.Day); len(months) == 0 || !months[len(months)-1].Equal(month) {
				months = append(months, month)
			}
		}
		for _, horizon := range []int{HorizonMonth, HorizonYear} {
			for _, end := range periodEnds(months, horizon) {
				out = append(out, ledger.retention(end, horizon)...)
			}
		}
	}
	return out
}

// periodEnds are the ends of all periods of so many months that have one of the
// months in them, ascending.
func periodEnds(months []time.Time, horizon int) []time.Time {
	ends := map[time.Time]bool{}
	for _, month := range months {
		for i := range horizon {
			ends[month.AddDate(0, 1+i, 0)] = true
		}
	}
	return slices.SortedFunc(maps.Keys(ends), time.Time.Compare)
}

// currencyLedger are a customer's movements in one currency, in order of day.
type currencyLedger struct {
	currency  money.Currency
	movements []Movement
}

func byCurrency(movements []Movement) []currencyLedger {
	sorted := slices.Clone(movements)
	slices.SortStableFunc(sorted, func(a, b Movement) int {
		return cmp.Or(cmp.Compare(a.Currency, b.Currency), a.Day.Compare(b.Day))
	})
	var out []currencyLedger
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].Currency == sorted[0].Currency {
			n++
		}
		out = append(out, currencyLedger{sorted[0].Currency, sorted[:n]})
		sorted = sorted[n:]
	}
	return out
}

// before is the balance by plan before a day, and why the last MRR went.
func (l currencyLedger) before(day time.Time) (byPlan map[string]int64, lost Reason) {
	byPlan = map[string]int64{}
	for _, m := range l.movements {
		if !m.Day.Before(day) {
			break
		}
		byPlan[m.Plan] += m.AmountMicro
		if byPlan[m.Plan] == 0 {
			delete(byPlan, m.Plan)
		}
		if m.Kind == Churn {
			lost = m.Reason
		}
	}
	return byPlan, lost
}

func (l currencyLedger) retention(end time.Time, horizon int) []RetentionChange {
	opening, _ := l.before(end.AddDate(0, -horizon, 0))
	closing, why := l.before(end)
	s, e := sum(opening), sum(closing)
	if s == 0 || s == e { // not there then, or there with as much, on whatever plan
		return nil
	}
	isLost := e == 0
	row := func(plan string, s, e int64) RetentionChange {
		r := RetentionChange{PeriodEnd: end, Horizon: horizon, Currency: l.currency, Plan: plan}
		r.NetMicro, r.GrossLostMicro = e-s, s-min(s, e)
		if isLost {
			r.LostCustomers, r.LostMicro = 1, s
			if why == ReasonCancelInvoluntary {
				r.InvoluntaryCustomers, r.InvoluntaryMicro = 1, s
			}
		}
		return r
	}
	out := []RetentionChange{row(AllPlans, s, e)}
	shares := split64(e, opening, s)
	for _, plan := range slices.Sorted(maps.Keys(opening)) {
		if shares[plan] != opening[plan] {
			out = append(out, row(plan, opening[plan], shares[plan]))
		}
	}
	return out
}

// split64 splits an amount in proportion to the weights, which add up to sum, to
// whole numbers that add up to it: what rounding leaves over goes to the largest
// remainders, then to the first by name.
func split64(amount int64, weights map[string]int64, sum int64) map[string]int64 {
	type part struct {
		name string
		rest int64
	}
	out := make(map[string]int64, len(weights))
	parts := make([]part, 0, len(weights))
	left := amount
	for name, weight := range weights {
		product := new(big.Int).Mul(big.NewInt(amount), big.NewInt(weight))
		quotient, rest := product.QuoRem(product, big.NewInt(sum), new(big.Int))
		out[name] = quotient.Int64()
		left -= out[name]
		parts = append(parts, part{name, rest.Int64()})
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(-cmp.Compare(a.rest, b.rest), cmp.Compare(a.name, b.name)) })
	for i := range left {
		out[parts[i].name]++
	}
	return out
}
