package seed

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// shift is added to every seed, so that the usual one, 1, tells a year worth
// looking at: of the first dozen it has its dips, failures and returns spread best.
const shift = 9

// Make plans a history. The configuration has been checked.
func Make(c Config) Plan {
	number := uint64(c.Seed + shift) //nolint:gosec // any bits will do
	p := Plan{Start: c.Start(), Present: c.Present.UTC().Truncate(time.Second)}
	all := rand.New(rand.NewPCG(number, 0)) //nolint:gosec // a history is to be told again, not to be secret
	p.Organizations = organizations(all, c.Customers)
	hard := hardMonth(all, p, c.Months)
	for i := range c.Customers {
		// A source of its own, so that no life depends on the others.
		l := &life{
			rand: rand.New(rand.NewPCG(number, uint64(i)+1)), org: i, plans: c.Plans.Plans,
			start: p.Start, present: p.Present, hard: hard,
		}
		l.tell(roleOf(i, c), i, c.Customers)
		p.Acts = append(p.Acts, l.acts...)
	}
	for month := monthAfter(p.Start); !month.After(p.Present); month = addMonths(month, 1) {
		p.Acts = append(p.Acts, Act{At: month.Add(-time.Second), Kind: MonthEnds, Org: -1})
	}
	// Stable: what one organization does in a second stays in order.
	slices.SortStableFunc(p.Acts, func(a, b Act) int { return cmp.Or(a.At.Compare(b.At), a.Org-b.Org) })
	return p
}

// Count is how many acts of a kind the plan has.
func (p Plan) Count(kind Kind) int {
	n := 0
	for _, a := range p.Acts {
		if a.Kind == kind {
			n++
		}
	}
	return n
}

func monthAfter(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

// span is a stretch of time, its end not included.
type span struct{ from, to time.Time }

func (s span) has(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

// hardMonth is the one calendar month in which many leave, somewhat past the
// middle, where there is something to lose. Short histories have none.
func hardMonth(r *rand.Rand, p Plan, months int) span {
	if months < 6 {
		return span{}
	}
	from := addMonths(monthAfter(p.Start), months*6/10+r.IntN(2))
	return span{from: from, to: addMonths(from, 1)}
}

// role is what an organization's life must come to, so that every state can be
// seen at the present; most are free.
type role int

const (
	free role = iota
	onTrial
	inRetry
	leaving
	atCheckout
)

// castFrom is how many organizations it takes to have roles for some.
const castFrom = 6

func roleOf(i int, c Config) role {
	if c.Customers < castFrom {
		return free
	}
	switch i {
	case c.Customers - 1:
		return atCheckout
	case c.Customers - 2:
		return onTrial
	case c.Customers / 2:
		if c.Months > 1 {
			return inRetry
		}
	case c.Customers / 3:
		if c.Months > 1 {
			return leaving
		}
	}
	return free
}

// growth is how much faster organizations sign up at the end than at the start.
const growth = 3.2

// signUpAt spreads sign-ups evenly over a rate that rises in a straight line: a
// share of the organizations has come by the time that this returns.
func signUpAt(s span, share float64) time.Time {
	// The integral of 1 + (growth-1)x, normalised, solved for x.
	a, b := 1.0, growth-1
	x := (math.Sqrt(a*a+2*b*share*(a+b/2)) - a) / b
	return s.from.Add(time.Duration(x * float64(s.to.Sub(s.from))))
}
