package analytics

import (
	"cmp"
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
		for _, d := range ledger.days {
			if month := Monthly.Start(d.day); len(months) == 0 || !months[len(months)-1].Equal(month) {
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
// months in them, ascending. The months ascend.
func periodEnds(months []time.Time, horizon int) []time.Time {
	var out []time.Time
	for _, month := range months {
		for i := range horizon {
			end := month.AddDate(0, 1+i, 0)
			if len(out) == 0 || end.After(out[len(out)-1]) {
				out = append(out, end)
			}
		}
	}
	return out
}

// currencyLedger is what a customer's movements in one currency come to at the
// end of each day with any.
type currencyLedger struct {
	currency money.Currency
	days     []dayEnd
}

// dayEnd is a customer's balance at the end of a day on which something moved.
type dayEnd struct {
	day     time.Time
	micro   int64
	plans   []planMicro // those with MRR, in order of plan
	lastWas Reason      // why the last MRR went, if it went
}

type planMicro struct {
	plan  string
	micro int64
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
		out = append(out, currencyLedger{sorted[0].Currency, dayEnds(sorted[:n])})
		sorted = sorted[n:]
	}
	return out
}

// dayEnds are the running sums of movements in order of day.
func dayEnds(movements []Movement) []dayEnd {
	var out []dayEnd
	now := dayEnd{}
	for _, m := range movements {
		if len(out) == 0 || !out[len(out)-1].day.Equal(m.Day) {
			now.day, now.plans = m.Day, slices.Clone(now.plans)
			out = append(out, now)
		}
		now.micro += m.AmountMicro
		now.plans = plus(now.plans, m.Plan, m.AmountMicro)
		if m.Kind == Churn {
			now.lastWas = m.Reason
		}
		out[len(out)-1] = now
	}
	return out
}

// plus adds an amount to a plan; one that comes to nothing is no longer there.
func plus(plans []planMicro, plan string, micro int64) []planMicro {
	i, found := slices.BinarySearchFunc(plans, plan, func(p planMicro, plan string) int { return cmp.Compare(p.plan, plan) })
	if !found {
		return slices.Insert(plans, i, planMicro{plan, micro})
	}
	if plans[i].micro += micro; plans[i].micro == 0 {
		return slices.Delete(plans, i, i+1)
	}
	return plans
}

// before is the balance as a day begins.
func (l currencyLedger) before(day time.Time) dayEnd {
	i, _ := slices.BinarySearchFunc(l.days, day, func(d dayEnd, day time.Time) int { return d.day.Compare(day) })
	if i == 0 {
		return dayEnd{}
	}
	return l.days[i-1]
}

func (l currencyLedger) retention(end time.Time, horizon int) []RetentionChange {
	opening := l.before(end.AddDate(0, -horizon, 0))
	if opening.micro == 0 {
		return nil
	}
	closing := l.before(end)
	s, e := opening.micro, closing.micro
	if s == e { // as much as then, on whatever plan
		return nil
	}
	row := func(plan string, s, e int64) RetentionChange {
		r := RetentionChange{PeriodEnd: end, Horizon: horizon, Currency: l.currency, Plan: plan}
		r.NetMicro, r.GrossLostMicro = e-s, s-min(s, e)
		if closing.micro == 0 {
			r.LostCustomers, r.LostMicro = 1, s
			if closing.lastWas == ReasonCancelInvoluntary {
				r.InvoluntaryCustomers, r.InvoluntaryMicro = 1, s
			}
		}
		return r
	}
	out := []RetentionChange{row(AllPlans, s, e)}
	for i, share := range split64(e, opening.plans, s) {
		if p := opening.plans[i]; share != p.micro {
			out = append(out, row(p.plan, p.micro, share))
		}
	}
	return out
}

// split64 splits an amount in proportion to what plans have, which adds up to
// sum, to whole numbers that add up to it: what rounding leaves over goes to the
// largest remainders, then to the first plan by name.
func split64(amount int64, plans []planMicro, sum int64) []int64 {
	if len(plans) == 1 {
		return []int64{amount}
	}
	type part struct {
		at   int
		rest int64
	}
	out := make([]int64, len(plans))
	parts := make([]part, len(plans))
	left := amount
	for i, p := range plans {
		product := new(big.Int).Mul(big.NewInt(amount), big.NewInt(p.micro))
		quotient, rest := product.QuoRem(product, big.NewInt(sum), new(big.Int))
		out[i], parts[i] = quotient.Int64(), part{i, rest.Int64()}
		left -= out[i]
	}
	slices.SortStableFunc(parts, func(a, b part) int { return -cmp.Compare(a.rest, b.rest) })
	for i := range left {
		out[parts[i].at]++
	}
	return out
}
