package seed

import (
	"cmp"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/internal/payments"
)

// View is a look at the prices, by a visitor's number.
type View struct {
	At      time.Time
	Visitor uuid.UUID
}

// Who looks at the prices.
const (
	// looksForEach is how many come, look and never sign up, for each one who does.
	looksForEach = 9
	// comesAgain is the share of them who look once more some days later.
	comesAgain = 0.25
	// isUncounted: every so many of those who sign up have a browser that asks not to
	// be counted.
	isUncounted = 9
	// thinksAbout is the share of customers who look some days before they sign up,
	// and hesitatesLong that of those who do so for longer than a week.
	thinksAbout   = 0.28
	hesitatesLong = 0.07
)

// visitors gives those who sign up a number, and tells when they and others look
// at the prices. They have chances of their own, so that nothing else of the year
// is told in another way for them.
func (p *Plan) visitors(r *rand.Rand) {
	for i := range p.Organizations {
		if i%isUncounted != isUncounted-1 {
			p.Organizations[i].Visitor = visitorID(r)
		}
	}
	between := func(low, high time.Duration) time.Duration {
		return low + time.Duration(r.Int64N(int64(high-low)))
	}
	look := func(visitor uuid.UUID, at time.Time) {
		if at.Before(p.Start) {
			at = p.Start
		}
		if at = at.Truncate(time.Second); visitor != uuid.Nil && !at.After(p.Present) {
			p.Views = append(p.Views, View{at, visitor})
		}
	}
	for _, a := range p.Acts {
		switch a.Kind {
		case SignUp:
			visitor := p.Organizations[a.Org].Visitor
			switch fate := r.Float64(); {
			case fate < hesitatesLong:
				look(visitor, a.At.Add(-between(8*day, 25*day)))
			case fate < hesitatesLong+thinksAbout:
				look(visitor, a.At.Add(-between(20*time.Hour, 5*day)))
			}
			look(visitor, a.At.Add(-between(time.Minute, 25*time.Minute)))
		case StartCheckout:
			look(p.Organizations[a.Org].Visitor, a.At.Add(-between(20*time.Second, 90*time.Second)))
		default:
		}
	}
	all := span{from: p.Start, to: p.Present}
	n := looksForEach * len(p.Organizations)
	for i := range n {
		visitor, at := visitorID(r), signUpAt(all, (float64(i)+r.Float64())/float64(n))
		look(visitor, at)
		if r.Float64() < comesAgain {
			look(visitor, at.Add(between(day, 12*day)))
		}
	}
	slices.SortFunc(p.Views, func(a, b View) int {
		return cmp.Or(a.At.Compare(b.At), slices.Compare(a.Visitor[:], b.Visitor[:]))
	})
}

func visitorID(r *rand.Rand) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // as random ones are marked
	return id
}

// viewsAtOnce is after how many looks those that wait are written: a year goes by
// faster than they are written by themselves.
const viewsAtOnce = 1000

// look lets everybody look who does until then. Looks are dated by themselves: no
// clock has to stop for them.
func (l *living) look(ctx context.Context, until time.Time) error {
	for ; l.looked < len(l.plan.Views) && !l.plan.Views[l.looked].At.After(until); l.looked++ {
		view := l.plan.Views[l.looked]
		l.Payments.ViewPricing(payments.PricingView{Visitor: view.Visitor, At: view.At})
		if l.looked%viewsAtOnce == viewsAtOnce-1 {
			if err := l.Payments.FlushViews(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
