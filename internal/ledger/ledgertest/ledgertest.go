// Package ledgertest makes up customers for tests and benchmarks of figures:
// seeded lives of subscriptions, with trials, upgrades, seats, coupons, pauses,
// failed payments, scheduled ends, departures and returns. What it makes is the
// truth that a ledger is measured by; how much of it was observed, and in which
// order, is for whoever tests to say.
package ledgertest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// Population is a number of customers, each of whom follows from the seed and
// its number alone: they can be made in any order, at once, and again.
type Population struct {
	Seed uint64
	// Begin is when the shop opens, End when lives are cut short; whole seconds.
	Begin, End time.Time
	// Every is how long a subscription is left alone on average before something
	// happens to it.
	Every time.Duration
	// Loyalty is the share of those who would stop paying and stay after all.
	Loyalty float64
	// Currencies are those that customers pay in, the first by most.
	Currencies []money.Currency
}

// Customer is one customer of the ledger.
type Customer struct {
	// Org is the organization that owns it; the zero UUID: none does.
	Org uuid.UUID
	// StripeIDs are Stripe's customers: one, or two of an organization.
	StripeIDs     []string
	Subscriptions []Subscription
}

// Name is how the ledger calls the customer.
func (c Customer) Name() string {
	if c.Org == uuid.Nil {
		return c.StripeIDs[0]
	}
	return "org:" + c.Org.String()
}

// Subscription is the whole life of one, in ascending order of seconds. A state
// that was left within its second is followed by another of the same second.
type Subscription struct {
	ID, StripeID string
	States       []State
}

// State is how a subscription stands from a second on.
type State struct {
	At    time.Time
	Facts billing.Facts
}

// plans are what is sold, in order of their price, with it in whole units of any
// currency a month.
var plans = []struct {
	code  string
	price int64
}{{"pilot", 29}, {"pro", 99}, {"enterprise", 399}}

// Prices are all prices that the customers may have: each plan by month, year and
// week, seats of an add-on, and a metered one that is no part of MRR.
func Prices() []billing.Price {
	currencies := []money.Currency{"usd", "eur", "gbp", "jpy"}
	var out []billing.Price
	add := func(id, plan string, interval billing.Interval, usage string, whole int64) {
		p := billing.Price{ID: id, Plan: plan, Interval: interval, IntervalCount: 1, UsageType: usage, ProductID: "prod_" + plan, Amounts: map[money.Currency]billing.PriceAmount{}}
		for _, c := range currencies {
			p.Amounts[c] = billing.PriceAmount{UnitMicro: whole * 100 * money.Micro}
		}
		out = append(out, p)
	}
	for _, p := range plans {
		add(priceID(p.code, billing.Month), p.code, billing.Month, "licensed", p.price)
		add(priceID(p.code, billing.Year), p.code, billing.Year, "licensed", p.price*10)
		add(priceID(p.code, billing.Week), p.code, billing.Week, "licensed", p.price/4)
	}
	add(addon, "storage", billing.Month, "licensed", 7)
	add(metered, "pro", billing.Month, "metered", 1)
	return out
}

// Coupons are all coupons that the customers may have.
func Coupons() []billing.Coupon {
	off := map[money.Currency]int64{"usd": 1_000, "eur": 1_000, "gbp": 1_000, "jpy": 1_000}
	return []billing.Coupon{
		{ID: "third", Duration: "forever", PercentOff: "33.3"},
		{ID: "half", Duration: "repeating", PercentOff: "50"},
		{ID: "gift", Duration: "repeating", PercentOff: "100"},
		{ID: "ten", Duration: "repeating", AmountsOff: off},
		{ID: "welcome", Duration: "once", PercentOff: "20"},
	}
}

const (
	addon   = "price_storage_month"
	metered = "price_calls"
)

func priceID(plan string, interval billing.Interval) string {
	return "price_" + plan + "_" + string(interval)
}

// Customer makes up one customer.
func (p Population) Customer(n int) Customer {
	r := rand.New(rand.NewPCG(p.Seed, uint64(n))) //nolint:gosec // a number, and made up on purpose
	c := Customer{StripeIDs: []string{fmt.Sprintf("cus_%08d", n)}}
	if r.IntN(10) > 0 {
		binary.BigEndian.PutUint64(c.Org[:], p.Seed)
		binary.BigEndian.PutUint64(c.Org[8:], uint64(n)+1) //nolint:gosec // no negative
		c.Org[6], c.Org[8] = 0x40|c.Org[6]&0x0f, 0x80
		if r.IntN(20) == 0 {
			c.StripeIDs = append(c.StripeIDs, fmt.Sprintf("cus_%08db", n))
		}
	}
	for _, id := range c.StripeIDs {
		// More and more come: the later, the likelier.
		share := math.Sqrt(r.Float64())
		at := p.Begin.Add(time.Duration(share * float64(p.End.Sub(p.Begin)))).Truncate(time.Second)
		l := life{Population: p, Rand: r, stripeID: id, currency: p.Currencies[0]}
		if r.IntN(4) == 0 {
			l.currency = p.Currencies[r.IntN(len(p.Currencies))]
		}
		l.from(at)
		c.Subscriptions = append(c.Subscriptions, l.out...)
	}
	return c
}

// life is that of one of Stripe's customers.
type life struct {
	Population
	*rand.Rand
	stripeID string
	currency money.Currency
	out      []Subscription
}

// from lives from a moment on: one subscription, at times another beside it, and
// after its end at times another return.
func (l *life) from(at time.Time) {
	ended := l.subscribe(at)
	if l.IntN(12) == 0 {
		l.subscribe(l.later(at, 90*24*time.Hour))
	}
	if !ended.IsZero() && len(l.out) < 6 && l.IntN(3) == 0 {
		gap := time.Hour
		if l.IntN(4) > 0 { // the others come back on the same day
			gap = 120 * 24 * time.Hour
		}
		l.from(l.later(ended, gap))
	}
}

// later is some time after a moment, so long after it on average.
func (l *life) later(at time.Time, mean time.Duration) time.Time {
	return at.Add(time.Second + time.Duration(l.ExpFloat64()*float64(mean))).Truncate(time.Second)
}

// subscribe lives through one subscription and returns when it ended; zero: it
// lives on.
func (l *life) subscribe(at time.Time) time.Time {
	if !at.Before(l.End) {
		return time.Time{}
	}
	s := Subscription{ID: fmt.Sprintf("sub_%s_%d", l.stripeID[4:], len(l.out)), StripeID: l.stripeID}
	f := billing.Facts{Status: billing.StatusActive, Currency: l.currency, Items: []billing.Item{{PriceID: l.price(), Quantity: 1 + int64(l.IntN(3))}}}
	switch l.IntN(10) {
	case 0, 1, 2:
		f.Status, f.TrialEnd = billing.StatusTrialing, billing.At(at.AddDate(0, 0, 14))
	case 3:
		f.Status = billing.StatusIncomplete
	}
	if l.IntN(8) == 0 {
		f.Discounts = []billing.Discount{l.coupon(at)}
	}
	s.States = []State{{at, f}}
	for {
		last := s.States[len(s.States)-1]
		if last.Facts.Status.IsTerminal() {
			l.out = append(l.out, s)
			return last.At
		}
		next := l.next(last)
		if next.At.Before(last.At) { // never into the past
			next.At = last.At
		}
		if !next.At.Before(l.End) {
			l.out = append(l.out, s)
			return time.Time{}
		}
		if next.Facts.Status.IsTerminal() {
			next.Facts.EndedAt, next.Facts.EndsAt = billing.At(next.At), 0
		}
		s.States = append(s.States, next)
	}
}

func (l *life) price() string {
	interval := billing.Month
	switch l.IntN(10) {
	case 0, 1, 2:
		interval = billing.Year
	case 3:
		interval = billing.Week
	}
	return priceID(plans[l.IntN(len(plans))].code, interval)
}

func (l *life) coupon(at time.Time) billing.Discount {
	c := Coupons()[l.IntN(len(Coupons()))]
	d := billing.Discount{CouponID: c.ID, Start: billing.At(at)}
	if c.Duration == "repeating" {
		d.End = billing.At(at.AddDate(0, 1+l.IntN(6), 0))
	}
	return d
}

// next is what happens to a subscription next.
func (l *life) next(now State) State {
	f := now.Facts
	f.Items, f.Discounts = slices.Clone(f.Items), slices.Clone(f.Discounts)
	day := 24 * time.Hour
	switch f.Status {
	case billing.StatusIncomplete:
		if f.Status = billing.StatusActive; l.IntN(3) == 0 {
			f.Status = billing.StatusIncompleteExpired
		}
		return State{l.later(now.At, 3*time.Hour), f}
	case billing.StatusTrialing:
		at := f.TrialEnd.Time()
		switch l.IntN(6) {
		case 0:
			f.Status, f.Reason = billing.StatusCanceled, "cancellation_requested"
			at = l.later(now.At, 5*day)
		case 1:
			f.Status = billing.StatusPaused
		case 2:
			if f.EndsAt == 0 {
				f.EndsAt = f.TrialEnd
				return State{l.later(now.At, 3*day), f}
			}
			f.Status, f.Reason = billing.StatusCanceled, "cancellation_requested"
		case 3:
			f.Status = billing.StatusPastDue
		default:
			f.Status, f.EndsAt = billing.StatusActive, 0
		}
		return State{at, f}
	case billing.StatusPastDue:
		switch l.IntN(6) {
		case 0:
			f.Status, f.Reason = billing.StatusCanceled, "payment_failed"
		case 1:
			f.Status = billing.StatusCanceled // nobody says why
		case 2:
			f.Status = billing.StatusUnpaid
		default:
			f.Status = billing.StatusActive
		}
		return State{l.later(now.At, 9*day), f}
	case billing.StatusUnpaid, billing.StatusPaused:
		if f.Status = billing.StatusActive; l.IntN(2) == 0 {
			f.Status, f.Reason = billing.StatusCanceled, "cancellation_requested"
		}
		return State{l.later(now.At, 40*day), f}
	case billing.StatusActive, billing.StatusCanceled, billing.StatusIncompleteExpired:
	}
	return l.change(now, f)
}

// change is what happens to one that is active.
func (l *life) change(now State, f billing.Facts) State {
	day := 24 * time.Hour
	at := l.later(now.At, l.Every)
	if l.IntN(40) == 0 {
		at = now.At // two changes within a second
	}
	if f.EndsAt != 0 && l.IntN(3) > 0 {
		f.Status, f.Reason = billing.StatusCanceled, "cancellation_requested"
		return State{f.EndsAt.Time(), f}
	}
	what := l.IntN(20)
	if what >= 12 && what != 15 && what != 19 && l.Loyalty > 0 && l.Float64() < l.Loyalty {
		what = 4
	}
	switch what {
	case 0, 1, 2, 3:
		f.Items[0].PriceID = l.price()
	case 4, 5, 6, 7, 8:
		f.Items[0].Quantity = 1 + int64(l.IntN(8))
	case 9:
		if f.Items = f.Items[:1]; len(now.Facts.Items) == 1 {
			f.Items = append(f.Items, billing.Item{PriceID: addon, Quantity: 1 + int64(l.IntN(4))})
			if l.IntN(3) == 0 {
				f.Items[1].PriceID = metered
			}
		}
	case 10, 11:
		if f.Discounts = nil; len(now.Facts.Discounts) < 2 {
			f.Discounts = append(now.Facts.Discounts[:len(now.Facts.Discounts):len(now.Facts.Discounts)], l.coupon(at))
		}
	case 12, 13, 14:
		f.Status = billing.StatusPastDue
	case 15:
		if f.Pause = nil; now.Facts.Pause == nil {
			behaviors := []string{"void", "mark_uncollectible", "keep_as_draft"}
			f.Pause = &billing.Pause{Behavior: behaviors[l.IntN(3)], PeriodEnd: billing.At(l.later(at, 15*day))}
		}
	case 16, 17:
		if f.EndsAt = 0; now.Facts.EndsAt == 0 {
			f.EndsAt = billing.At(l.later(at, 20*day))
		}
	case 18:
		f.Status, f.Reason = billing.StatusCanceled, "cancellation_requested"
		if l.IntN(5) == 0 {
			f.Reason = "payment_disputed"
		}
	case 19:
		if p := now.Facts.Pause; p != nil { // a paused one shows a later period
			f.Pause = &billing.Pause{Behavior: p.Behavior, PeriodEnd: billing.At(l.later(at, 30*day))}
		}
	}
	return State{at, f}
}
