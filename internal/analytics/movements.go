package analytics

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// Definition is what figures depend on beside the facts: a generation of the
// ledger.
type Definition struct {
	// Zone is where a day begins and ends.
	Zone      *time.Location
	Discounts DiscountPolicy
	// PastDueCap is after how many days of an unbroken run of past due a
	// subscription counts as lost, though Stripe goes on asking; 0: never, it is
	// lost when Stripe gives up (metrics.md 0.4).
	PastDueCap int
}

// MovementKind is how a customer's MRR moved in a day (metrics.md 1.3), or how
// much of it went from one plan to another (1.11).
type MovementKind string

// The kinds. Amounts of churn, contraction and transfer out are negative.
const (
	New          MovementKind = "new"
	Reactivation MovementKind = "reactivation"
	Expansion    MovementKind = "expansion"
	Contraction  MovementKind = "contraction"
	Churn        MovementKind = "churn"
	TransferIn   MovementKind = "transfer_in"
	TransferOut  MovementKind = "transfer_out"
)

// CustomerDay is a customer's MRR in a currency at the end of a day on which
// it changed.
type CustomerDay struct {
	Currency money.Currency
	Day      time.Time // midnight UTC of the date in the definition's zone
	MRRMicro int64
}

// Movement is one row of a customer's ledger. The rows of a day and currency
// add up to the change of each plan and of the account; the transfers among
// them add up to nothing.
type Movement struct {
	Currency    money.Currency
	Day         time.Time // midnight UTC of the date in the definition's zone
	Kind        MovementKind
	Plan        string
	AmountMicro int64
	// Customers is 1 for new and reactivation and -1 for churn, on one plan's
	// row only; otherwise 0.
	Customers int
	// Subscribers is by how much the number of those changes who have MRR on this
	// plan: 1 where it was entered and -1 where it was left, on one row of the
	// plan only; otherwise 0. Who is on two plans counts on both.
	Subscribers int
	Reason      Reason
}

// Pledge is by how much two levels of a customer and plan, which are no part of
// the movements, changed in a day: the MRR whose end is scheduled, and what its
// trials under way would be worth.
type Pledge struct {
	Currency    money.Currency
	Day         time.Time // midnight UTC of the date in the definition's zone
	Plan        string
	EndingMicro int64
	TrialMicro  int64
}

// SubscriptionMRR is what one subscription is worth a month.
type SubscriptionMRR struct {
	SubscriptionID string
	Currency       money.Currency
	MRRMicro       int64
}

// Account is all that the ledger keeps of a customer.
type Account struct {
	// Days and Movements are in order of day, currency, kind and plan.
	Days      []CustomerDay
	Movements []Movement
	// Pledges are in order of day, currency and plan.
	Pledges []Pledge
	// Subscriptions are those that carry MRR now, in order of id; those of a
	// currency add up to its newest day.
	Subscriptions []SubscriptionMRR
	// Next is when the figures may change with nothing happening at Stripe: a
	// coupon ends, a pause bites, a version dated ahead of now begins. Zero
	// when never.
	Next time.Time
	// Missing are the prices and coupons of which too little is known.
	Missing []string
}

// Movements computes a customer's account from the versions of all its
// subscriptions, in any order. It compares balances at the ends of days, so
// that what came and went within a day leaves no row; the running day ends at
// now for the time being.
//
// Balances are by currency, but whether a customer ever paid is not: who left
// in one currency and comes back in another is a reactivation. Of two
// currencies that begin on the customer's first paying day, the one first in
// the alphabet is new.
func Movements(history []Version, catalog Catalog, def Definition, now time.Time) Account {
	subscriptions := split(history, catalog, def)
	var account Account
	closings := map[time.Time]time.Time{} // day -> the last instant at which something changes
	for _, s := range subscriptions {
		for _, instant := range s.turns() {
			if instant.After(now) {
				if account.Next.IsZero() || instant.Before(account.Next) {
					account.Next = instant
				}
				continue
			}
			day := DayOf(instant, def.Zone)
			if instant.After(closings[day]) {
				closings[day] = instant
			}
		}
	}

	missing := map[string]bool{}
	before := make([]standing, len(subscriptions))
	ever := false
	for _, day := range slices.SortedFunc(maps.Keys(closings), time.Time.Compare) {
		after := make([]standing, len(subscriptions))
		for i, s := range subscriptions {
			after[i] = s.at(closings[day])
			for _, id := range after[i].amount.Missing {
				missing[id] = true
			}
		}
		ever = account.close(day, before, after, ever)
		before = after
	}
	for _, s := range before {
		if micro := s.amount.TotalMicro(); micro != 0 {
			account.Subscriptions = append(account.Subscriptions, SubscriptionMRR{s.id, s.facts.Currency, micro})
		}
	}
	account.Missing = slices.Sorted(maps.Keys(missing))
	return account
}

// DayOf is the date of an instant in a zone, as midnight UTC of that date.
func DayOf(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// close adds the rows of a day and returns whether the customer has ever paid.
func (a *Account) close(day time.Time, before, after []standing, ever bool) bool {
	currencies := map[money.Currency]bool{}
	for i := range after {
		currencies[after[i].facts.Currency] = true
		currencies[before[i].facts.Currency] = true
	}
	delete(currencies, "")
	for _, currency := range slices.Sorted(maps.Keys(currencies)) {
		opening, closing := balance(before, currency), balance(after, currency)
		s, e := sum(opening), sum(closing)
		kind := classify(s, e, ever)
		ever = ever || e > 0
		if s != e {
			a.Days = append(a.Days, CustomerDay{Currency: currency, Day: day, MRRMicro: e})
		}
		rows := spread(kind, opening, closing)
		countSubscribers(rows, opening, closing)
		reason := reasonOf(kind, rows, currency, before, after)
		for i := range rows {
			rows[i].Currency, rows[i].Day, rows[i].Reason = currency, day, reason
		}
		a.Movements = append(a.Movements, rows...)
		a.Pledges = append(a.Pledges, pledges(currency, day, before, after)...)
	}
	return ever
}

// countSubscribers notes on the first row of each plan whether it was entered or
// left.
func countSubscribers(rows []Movement, opening, closing map[string]int64) {
	seen := map[string]bool{}
	for i := range rows {
		plan := rows[i].Plan
		if !seen[plan] {
			seen[plan] = true
			rows[i].Subscribers = int(isPositive(closing[plan]) - isPositive(opening[plan]))
		}
	}
}

func pledges(currency money.Currency, day time.Time, before, after []standing) []Pledge {
	changes := map[string]Pledge{}
	add := func(standings []standing, sign int64) {
		for _, s := range standings {
			if s.facts.Currency != currency {
				continue
			}
			for plan, micro := range s.trial.ByPlan {
				p := changes[plan]
				p.TrialMicro += sign * micro
				changes[plan] = p
			}
			if s.facts.EndsAt == 0 {
				continue
			}
			for plan, micro := range s.amount.ByPlan {
				p := changes[plan]
				p.EndingMicro += sign * micro
				changes[plan] = p
			}
		}
	}
	add(before, -1)
	add(after, 1)
	var out []Pledge
	for _, plan := range slices.Sorted(maps.Keys(changes)) {
		if p := changes[plan]; p != (Pledge{}) {
			p.Currency, p.Day, p.Plan = currency, day, plan
			out = append(out, p)
		}
	}
	return out
}

// classify names the movement from a day's opening to its closing balance;
// empty when the balance did not change.
func classify(opening, closing int64, ever bool) MovementKind {
	switch {
	case opening == closing:
		return ""
	case opening == 0 && !ever:
		return New
	case opening == 0:
		return Reactivation
	case closing == 0:
		return Churn
	case opening < closing:
		return Expansion
	default:
		return Contraction
	}
}

// subscription is the history of one subscription and what it takes to price it.
type subscription struct {
	versions []Version
	bites    []time.Time
	// caps are from when each version is past due for too long; zero: never.
	caps    []time.Time
	catalog Catalog
	policy  DiscountPolicy
}

// standing is how a subscription stands at an instant; the zero value is that
// of one that does not exist yet.
type standing struct {
	id     string
	facts  billing.Facts
	paused bool
	// capped: it is past due for too long to count.
	capped bool
	amount Amount
	// trial is what a trial under way would be worth.
	trial Amount
}

func split(history []Version, catalog Catalog, def Definition) []subscription {
	sorted := slices.Clone(history)
	slices.SortFunc(sorted, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.SubscriptionID, b.SubscriptionID), a.At.Compare(b.At))
	})
	var out []subscription
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].SubscriptionID == sorted[0].SubscriptionID {
			n++
		}
		out = append(out, subscription{
			versions: sorted[:n], bites: PauseBites(sorted[:n]), caps: pastDueCaps(sorted[:n], def.PastDueCap),
			catalog: catalog, policy: def.Discounts,
		})
		sorted = sorted[n:]
	}
	return out
}

// turns are all instants at which the subscription's MRR may change: where its
// versions begin, and within them where a coupon ends and a pause bites.
func (s subscription) turns() []time.Time {
	var out []time.Time
	for i, v := range s.versions {
		out = append(out, v.At)
		within := func(t time.Time) bool {
			return t.After(v.At) && (i+1 == len(s.versions) || t.Before(s.versions[i+1].At))
		}
		if !v.Facts.Status.CountsInMRR() && v.Facts.Status != billing.StatusTrialing {
			continue
		}
		for _, d := range v.Facts.Discounts {
			// A coupon that is not known takes off nothing, so its end changes nothing.
			coupon, known := s.catalog.Coupons[d.CouponID]
			if known && s.policy.subtracts(coupon.Duration) && d.End != 0 && within(d.End.Time()) {
				out = append(out, d.End.Time())
			}
		}
		if stopsMRR(v.Facts.Pause) && within(s.bites[i]) {
			out = append(out, s.bites[i])
		}
		if within(s.caps[i]) {
			out = append(out, s.caps[i])
		}
	}
	return out
}

func (s subscription) at(t time.Time) standing {
	for i, v := range slices.Backward(s.versions) {
		if !v.At.After(t) {
			out := standing{
				id: v.SubscriptionID, facts: v.Facts, paused: isPaused(v.Facts, s.bites[i], t),
				amount: MRR(v.Facts, s.catalog, s.policy, s.bites[i], t),
			}
			if from := s.caps[i]; !from.IsZero() && !t.Before(from) {
				out.capped, out.amount = true, Amount{}
			}
			if v.Facts.Status == billing.StatusTrialing {
				paid := v.Facts
				paid.Status = billing.StatusActive
				out.trial = MRR(paid, s.catalog, s.policy, s.bites[i], t)
			}
			return out
		}
	}
	return standing{}
}

// pastDueCaps are, for each version, when its unbroken run of past due has lasted
// so many days of 24 hours; the zero time where it is not past due, or where
// there is no limit.
func pastDueCaps(versions []Version, days int) []time.Time {
	caps := make([]time.Time, len(versions))
	if days <= 0 {
		return caps
	}
	var since time.Time
	for i, v := range versions {
		if v.Facts.Status != billing.StatusPastDue {
			since = time.Time{}
			continue
		}
		if since.IsZero() {
			since = v.At
		}
		caps[i] = since.Add(time.Duration(days) * 24 * time.Hour)
	}
	return caps
}

// balance is the MRR in a currency by plan.
func balance(standings []standing, currency money.Currency) map[string]int64 {
	out := map[string]int64{}
	for _, s := range standings {
		if s.facts.Currency == currency {
			for plan, micro := range s.amount.ByPlan {
				out[plan] += micro
			}
		}
	}
	return out
}

func sum(byPlan map[string]int64) int64 { return Amount{ByPlan: byPlan}.TotalMicro() }
