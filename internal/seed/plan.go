package seed

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/billing"
)

// shift is added to every seed, so that the usual one, 1, tells a year worth
// looking at, whatever day it is told on: of some hundreds it has its dips,
// failures and returns spread best.
const shift = 1148

// Make plans a history. The configuration has been checked.
func Make(c Config) Plan {
	number := uint64(c.Seed + shift) //nolint:gosec // any bits will do
	p := Plan{Start: c.Start(), Present: c.Present.UTC().Truncate(time.Second)}
	all := rand.New(rand.NewPCG(number, 0)) //nolint:gosec // a history is to be told again, not to be secret
	p.Organizations = organizations(all, c.Customers)
	hard := hardMonth(all, p, c.Months)
	roles := cast(c)
	shared := &company{customers: c.Customers, failures: map[time.Time]int{}}
	var lives []*life
	for i := range c.Customers {
		l := &life{
			rand: rand.New(rand.NewPCG(number, uint64(i)+1)), org: i, plans: c.Plans.Plans, //nolint:gosec // as above
			start: p.Start, present: p.Present, hard: hard, company: shared,
		}
		l.tell(roles[i], i, c.Customers)
		lives = append(lives, l)
		if roles[i] == inRetry {
			p.Failing = append(p.Failing, i)
		}
	}
	if c.Customers >= castFrom {
		embellish(lives, all)
	}
	for _, l := range lives {
		p.Acts = append(p.Acts, l.acts...)
	}
	for month := monthAfter(p.Start); !month.After(p.Present); month = addMonths(month, 1) {
		p.Acts = append(p.Acts, Act{At: month.Add(-time.Second), Kind: MonthEnds, Org: -1})
	}
	// Stable: what one organization does in a second stays in order.
	slices.SortStableFunc(p.Acts, func(a, b Act) int { return cmp.Or(a.At.Compare(b.At), a.Org-b.Org) })
	p.visitors(rand.New(rand.NewPCG(number, 1<<32))) //nolint:gosec // as above
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

// Paying is the place of somebody whose payment for the plan has been in order
// for longest at the present, and who is not leaving; -1 where there is nobody.
func (p Plan) Paying(plan billing.Plan) int {
	type standing struct {
		plan  string
		pays  bool
		since time.Time
	}
	all := make([]standing, len(p.Organizations))
	for _, a := range p.Acts {
		if a.Org < 0 {
			continue
		}
		s := &all[a.Org]
		switch a.Kind {
		case StartCheckout, ChangePlan:
			s.plan, s.since = a.Plan, a.At
		case Pay, ReplaceCard:
			s.pays, s.since = !slices.Contains(failingCards, a.Card), a.At
		case CancelAtEnd, CancelNow, ScheduleChange, SecondSubscription, AgreePrice, OfferTrial:
			s.pays = false
		case WithdrawAtEnd:
			s.pays, s.since = true, a.At
		case SignUp, TryCard, PayInvoice, MonthEnds, Refund, AnswerDispute, KeepUnpaid, EndUnpaid:
		}
	}
	// Neither on trial nor waiting for a retry.
	first := p.Present.Add(-max(time.Duration(plan.TrialDays)*day, firstRetry+secondRetry+lastRetry))
	found := -1
	for i, s := range all {
		if s.pays && s.plan == plan.Code && s.since.Before(first) {
			found, first = i, s.since
		}
	}
	return found
}

func monthOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
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
// seen at the present and something happens in the month after it, in which
// nobody acts any more; most are free.
type role int

const (
	free role = iota
	// atCheckout has not paid yet.
	atCheckout
	// onTrial has a card that pays, onFailingTrial one that does not.
	onTrial
	onFailingTrial
	// leaving has said so, and has some weeks left.
	leaving
	// inRetry has a card that fails at each retry; inLastRetry waits for the one
	// after which Stripe gives up.
	inRetry
	inLastRetry
	// mended and mendedLate have failed and put in a card that pays at the next
	// retry, a first or a later one.
	mended
	mendedLate
	// failsSoon has a card that does not pay the renewal after the present.
	failsSoon
)

// part is a role for which there are enough months.
type part struct {
	role   role
	months int
}

// newcomers are the last who sign up, the very last one first; others are who
// has been here for months.
var (
	newcomers = []part{{atCheckout, 1}, {onTrial, 1}, {onFailingTrial, 1}, {onTrial, 1}}
	others    = []part{{mended, 2}, {leaving, 2}, {inRetry, 2}, {mendedLate, 2}, {inLastRetry, 3}, {failsSoon, 2}}
)

// castFrom organizations have the first of the roles, castFull have all.
const castFrom, castFull = 6, 24

// cast gives each organization its role.
func cast(c Config) []role {
	roles := make([]role, c.Customers)
	if c.Customers < castFrom {
		return roles
	}
	n := min(c.Customers, castFull)
	newcomers := newcomers[:(len(newcomers)*n+castFull-1)/castFull]
	others := others[:len(others)*n/castFull]
	give := func(i int, p part) {
		if c.Months >= p.months {
			roles[i] = p.role
		}
	}
	for i, p := range newcomers {
		give(c.Customers-1-i, p)
	}
	for i, p := range others { // spread evenly over the rest
		give((2*i+1)*(c.Customers-len(newcomers))/(2*len(others)), p)
	}
	return roles
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
