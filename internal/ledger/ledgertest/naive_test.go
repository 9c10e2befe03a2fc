package ledgertest_test

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger/ledgertest"
	"github.com/promptforge/payments/internal/money"
)

// naive counts figures the long way: every customer, on every day. It shares
// types with the product, and no rule.
type naive struct {
	zone *time.Location
	now  time.Time
	// days are all dates from the first on, midnight UTC; ends the last instants
	// of them, that of today being now.
	days, ends []time.Time
	prices     map[string]billing.Price
	coupons    map[string]billing.Coupon
	customers  []*counted
}

// counted is a customer with what it had on each day.
type counted struct {
	ledgertest.Customer
	// at are the standings of its subscriptions by day, in order of id.
	at [][]stood
	// held is MRR by currency and plan at the end of each day, all that of all
	// plans, and first the first day with any by currency.
	held  []map[money.Currency]map[string]int64
	all   map[money.Currency][]int64
	first map[money.Currency]int
}

// stood is how a subscription stood at the end of a day.
type stood struct {
	facts *billing.Facts // nil: not there yet
	worth map[string]int64
	// pledged is what a trial would be worth.
	pledged map[string]int64
}

func recount(customers []ledgertest.Customer, zone *time.Location, begin, now time.Time) *naive {
	n := &naive{zone: zone, now: now, prices: map[string]billing.Price{}, coupons: map[string]billing.Coupon{}}
	for _, p := range ledgertest.Prices() {
		n.prices[p.ID] = p
	}
	for _, c := range ledgertest.Coupons() {
		n.coupons[c.ID] = c
	}
	y, m, d := begin.In(zone).Date()
	for {
		next := time.Date(y, m, d+1, 0, 0, 0, 0, zone)
		n.days = append(n.days, time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
		if next.After(now) {
			n.ends = append(n.ends, now)
			break
		}
		n.ends = append(n.ends, next.Add(-time.Nanosecond))
		y, m, d = next.Date()
	}
	for _, c := range customers {
		n.customers = append(n.customers, n.live(c))
	}
	return n
}

func (n *naive) live(c ledgertest.Customer) *counted {
	out := &counted{Customer: c, all: map[money.Currency][]int64{}, first: map[money.Currency]int{}}
	slices.SortFunc(c.Subscriptions, func(a, b ledgertest.Subscription) int { return cmp.Compare(a.ID, b.ID) })
	memo := map[[3]int64]stood{}
	for _, end := range n.ends {
		stands := make([]stood, len(c.Subscriptions))
		held := map[money.Currency]map[string]int64{}
		for i, s := range c.Subscriptions {
			at := -1
			for j, state := range s.States {
				if !state.At.After(end) {
					at = j
				}
			}
			if at < 0 {
				continue
			}
			key := [3]int64{int64(i), int64(at), n.phase(s, at, end)}
			if _, ok := memo[key]; !ok {
				memo[key] = n.stand(s, at, end)
			}
			stands[i] = memo[key]
			for plan, micro := range stands[i].worth {
				if held[stands[i].facts.Currency] == nil {
					held[stands[i].facts.Currency] = map[string]int64{}
				}
				held[stands[i].facts.Currency][plan] += micro
			}
		}
		out.at, out.held = append(out.at, stands), append(out.held, held)
	}
	for day, held := range out.held {
		for currency, plans := range held {
			if out.all[currency] == nil {
				out.all[currency], out.first[currency] = make([]int64, len(n.days)), day
			}
			for _, micro := range plans {
				out.all[currency][day] += micro
			}
		}
	}
	return out
}

// phase tells apart what one state is worth at different times.
func (n *naive) phase(s ledgertest.Subscription, at int, end time.Time) int64 {
	var phase int64
	for _, d := range s.States[at].Facts.Discounts {
		phase *= 2
		if d.End != 0 && !end.Before(d.End.Time()) {
			phase++
		}
	}
	phase *= 2
	if n.isPaused(s, at, end) {
		phase++
	}
	return phase
}

// isPaused reports whether invoices are not collected, and the period that was
// paid when that began is over.
func (n *naive) isPaused(s ledgertest.Subscription, at int, end time.Time) bool {
	pause := s.States[at].Facts.Pause
	if pause == nil || pause.Behavior == "keep_as_draft" {
		return false
	}
	began := at
	for began > 0 && s.States[began-1].Facts.Pause != nil {
		began--
	}
	// What was left within its second never was.
	for began < at && s.States[began].At.Equal(s.States[began+1].At) {
		began++
	}
	return end.Unix() >= int64(s.States[began].Facts.Pause.PeriodEnd)
}

func (n *naive) stand(s ledgertest.Subscription, at int, end time.Time) stood {
	f := &s.States[at].Facts
	out := stood{facts: f}
	if n.isPaused(s, at, end) {
		return out
	}
	switch f.Status {
	case billing.StatusActive, billing.StatusPastDue:
		out.worth = n.price(f, end)
	case billing.StatusTrialing:
		out.pledged = n.price(f, end)
	default:
	}
	return out
}

// price is what items are worth a month, by plan.
func (n *naive) price(f *billing.Facts, end time.Time) map[string]int64 {
	perMonth := map[billing.Interval]*big.Rat{billing.Month: big.NewRat(1, 1), billing.Year: big.NewRat(1, 12), billing.Week: big.NewRat(52, 12)}
	list := map[string]*big.Rat{}
	sum := new(big.Rat)
	var often *big.Rat
	for _, item := range f.Items {
		p := n.prices[item.PriceID]
		if p.UsageType == "metered" {
			continue
		}
		if often == nil {
			often = perMonth[p.Interval]
		}
		worth := new(big.Rat).Mul(big.NewRat(p.Amounts[f.Currency].UnitMicro*item.Quantity, 1), perMonth[p.Interval])
		if list[p.Plan] == nil {
			list[p.Plan] = new(big.Rat)
		}
		list[p.Plan].Add(list[p.Plan], worth)
		sum.Add(sum, worth)
	}
	left := new(big.Rat).Set(sum)
	for _, d := range f.Discounts {
		c := n.coupons[d.CouponID]
		switch {
		case c.Duration == "once", d.End != 0 && end.Unix() >= int64(d.End):
		case c.PercentOff != "":
			percent, _ := new(big.Rat).SetString(c.PercentOff)
			off := percent.Mul(percent, big.NewRat(1, 100))
			left.Sub(left, off.Mul(off, left))
		default:
			off := big.NewRat(c.AmountsOff[f.Currency]*1_000_000, 1)
			left.Sub(left, off.Mul(off, often))
			if left.Sign() < 0 {
				left = new(big.Rat)
			}
		}
	}
	out := map[string]int64{}
	for plan, worth := range list {
		share := new(big.Rat).Quo(new(big.Rat).Mul(worth, left), sum)
		// Halves go up.
		share.Add(share, big.NewRat(1, 2))
		if micro := new(big.Int).Div(share.Num(), share.Denom()).Int64(); micro > 0 {
			out[plan] = micro
		}
	}
	return out
}

// index is the day's place; -1: before the first. Days ahead are today.
func (n *naive) index(day time.Time) int {
	i := int(day.Sub(n.days[0]) / (24 * time.Hour))
	return max(-1, min(i, len(n.days)-1))
}

// on is what a customer has at the end of a day, on one plan or on all.
func (c *counted) on(day int, currency money.Currency, plan string) int64 {
	switch {
	case day < 0 || c.all[currency] == nil:
		return 0
	case plan == "":
		return c.all[currency][day]
	}
	return c.held[day][currency][plan]
}

// level is what everyone has at the end of a day.
func (n *naive) level(day time.Time, currency money.Currency, plan string) analytics.Level {
	var out analytics.Level
	for _, c := range n.customers {
		if micro := c.on(n.index(day), currency, plan); micro > 0 {
			out.MRRMicro += micro
			out.Customers++
		}
	}
	return out
}

// moved are the movements of the account from one day to before another.
func (n *naive) moved(from, to time.Time, currency money.Currency) map[analytics.MovementKind]analytics.Level {
	var out map[analytics.MovementKind]analytics.Level
	for _, c := range n.customers {
		for day := max(0, n.index(from)); day < len(n.days) && n.days[day].Before(to); day++ {
			s, e := c.on(day-1, currency, ""), c.on(day, currency, "")
			if s == e {
				continue
			}
			kind, by := analytics.Expansion, int64(0)
			switch {
			case s == 0 && c.isFirst(day, currency):
				kind, by = analytics.New, 1
			case s == 0:
				kind, by = analytics.Reactivation, 1
			case e == 0:
				kind, by = analytics.Churn, -1
			case e < s:
				kind = analytics.Contraction
			}
			if out == nil {
				out = map[analytics.MovementKind]analytics.Level{}
			}
			sum := out[kind]
			out[kind] = analytics.Level{MRRMicro: sum.MRRMicro + e - s, Customers: sum.Customers + by}
		}
	}
	return out
}

// isFirst reports whether nobody had anything from the customer before, in any
// currency, and that day in none that comes before it in the alphabet.
func (c *counted) isFirst(day int, currency money.Currency) bool {
	for other, first := range c.first {
		if first < day || first == day && other < currency {
			return false
		}
	}
	return true
}

// retained is what became, from before one day to before another, of those who
// had MRR then.
func (n *naive) retained(from, to time.Time, currency money.Currency, plan string) analytics.Retained {
	var out analytics.Retained
	for _, c := range n.customers {
		opening, closing := n.index(from.AddDate(0, 0, -1)), n.index(to.AddDate(0, 0, -1))
		s, e := c.on(opening, currency, ""), c.on(closing, currency, "")
		if s == 0 {
			continue
		}
		isLost := e == 0
		if plan != "" {
			then := c.held[opening][currency]
			if then[plan] == 0 {
				continue
			}
			s, e = then[plan], part(e, then)[plan]
		}
		out.BaseMicro += s
		out.BaseCustomers++
		out.NetMicro += e - s
		if e < s {
			out.GrossLostMicro += s - e
		}
		if isLost {
			out.LostCustomers++
			out.LostMicro += s
			if c.leftUnpaid(closing, currency) {
				out.InvoluntaryCustomers++
				out.InvoluntaryMicro += s
			}
		}
	}
	return out
}

// part gives each plan its share of an amount, whole numbers that add up to it:
// a unit that is left over goes to whoever was cut most, and among equals to the
// first by name.
func part(amount int64, plans map[string]int64) map[string]int64 {
	var all int64
	for _, micro := range plans {
		all += micro
	}
	out := map[string]int64{}
	cut := map[string]*big.Rat{}
	left := amount
	for plan, micro := range plans {
		exact := new(big.Rat).Mul(big.NewRat(amount, all), big.NewRat(micro, 1))
		out[plan] = new(big.Int).Div(exact.Num(), exact.Denom()).Int64()
		cut[plan] = exact.Sub(exact, big.NewRat(out[plan], 1))
		left -= out[plan]
	}
	for ; left > 0; left-- {
		names := slices.Sorted(maps.Keys(plans))
		most := names[0]
		for _, plan := range names {
			if cut[plan].Cmp(cut[most]) > 0 {
				most = plan
			}
		}
		out[most]++
		cut[most] = big.NewRat(-1, 1)
	}
	return out
}

// leftUnpaid reports whether the customer lost its last MRR, as of a day, because
// it did not pay: by the subscription that was worth most the day before.
func (c *counted) leftUnpaid(day int, currency money.Currency) bool {
	for c.on(day-1, currency, "") == 0 {
		day--
	}
	worst, most := -1, int64(0)
	for i, s := range c.at[day-1] {
		if s.facts == nil || s.facts.Currency != currency {
			continue
		}
		var by int64
		for _, micro := range s.worth {
			by += micro
		}
		if by > most {
			worst, most = i, by
		}
	}
	before, after := c.at[day-1][worst].facts, c.at[day][worst].facts
	wasDue := before.Status == billing.StatusPastDue || after.Status == billing.StatusUnpaid
	switch {
	case after.Status == billing.StatusCanceled && after.Reason != "":
		return after.Reason == "payment_failed"
	case after.Status == billing.StatusActive, after.Status == billing.StatusPastDue:
		return false // it goes on for nothing
	default:
		return wasDue
	}
}

// cohort is who had their first MRR in a month, at the end of another.
func (n *naive) cohort(began, month time.Time, currency money.Currency, plan string) analytics.CohortLevel {
	var out analytics.CohortLevel
	end := n.index(month.AddDate(0, 1, -1))
	for _, c := range n.customers {
		inCurrency, ok := c.first[currency]
		if !ok || inCurrency > end {
			continue
		}
		first := slices.Min(slices.Collect(maps.Values(c.first)))
		if n.days[first].Year() != began.Year() || n.days[first].Month() != began.Month() {
			continue
		}
		then := c.held[inCurrency][currency]
		main := ""
		for _, p := range slices.Sorted(maps.Keys(then)) {
			if main == "" || then[p] > then[main] {
				main = p
			}
		}
		if plan != "" && plan != main {
			continue
		}
		initial, now := c.on(inCurrency, currency, ""), c.on(end, currency, "")
		out.Customers++
		out.InitialMicro += initial
		out.MRRMicro += now
		out.GrossMicro += min(now, initial)
		if now > 0 {
			out.Active++
		}
	}
	return out
}

// pledged are the two levels beside MRR at the end of a day.
func (n *naive) pledged(day time.Time, currency money.Currency, plan string) (ending, trial int64) {
	i := n.index(day)
	if i < 0 {
		return 0, 0
	}
	for _, c := range n.customers {
		for _, s := range c.at[i] {
			if s.facts == nil || s.facts.Currency != currency {
				continue
			}
			for p, micro := range s.pledged {
				if plan == "" || p == plan {
					trial += micro
				}
			}
			for p, micro := range s.worth {
				if s.facts.EndsAt != 0 && (plan == "" || p == plan) {
					ending += micro
				}
			}
		}
	}
	return ending, trial
}
