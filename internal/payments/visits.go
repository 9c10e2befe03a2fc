package payments

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
)

const (
	// maxViews is how many looks at the prices wait in memory at most, and viewsAtOnce
	// how many are worth a statement before the second is over.
	maxViews    = 4096
	viewsAtOnce = 512
	// viewsEvery is how often those that wait are written, viewsPatience how long
	// that may take, and viewsTold how often it is said at most that some were
	// dropped.
	viewsEvery    = time.Second
	viewsPatience = 5 * time.Second
	viewsTold     = time.Minute
)

// PricingView is a look at the prices.
type PricingView struct {
	// Visitor is the random number that the browser was given.
	Visitor uuid.UUID
	// At is when, by the business clock.
	At time.Time
}

// ViewPricing counts a look at the prices, once a visitor and day. It never waits
// and never fails: the look is written within about a second while Run runs, with
// those of others in one statement, and at the latest when Run ends. Beyond 4096
// that wait, as when the database is away, looks are dropped and counted in the
// log.
func (p *Payments) ViewPricing(view PricingView) { p.views.add(view) }

// FlushViews writes the looks at the prices that wait. Those that cannot be
// written wait on.
func (p *Payments) FlushViews(ctx context.Context) error {
	p.views.flushing.Lock()
	defer p.views.flushing.Unlock()
	views := p.views.take()
	if len(views) == 0 {
		return nil
	}
	params := db.RecordPricingViewsParams{Livemode: p.Livemode}
	for _, v := range views {
		params.VisitorIds = append(params.VisitorIds, v.Visitor)
		params.At = append(params.At, v.At)
	}
	if err := db.New(p.Pool).RecordPricingViews(ctx, params); err != nil {
		p.views.putBack(views)
		return fmt.Errorf("record %d looks at the prices: %w", len(views), err)
	}
	return nil
}

// DroppedViews is how many looks at the prices this process has dropped.
func (p *Payments) DroppedViews() int64 {
	p.views.lock.Lock()
	defer p.views.lock.Unlock()
	return p.views.dropped
}

// writeViewsEverySecond writes the looks that wait until the context ends, and
// then what is left.
func (p *Payments) writeViewsEverySecond(ctx context.Context) {
	tick := time.NewTicker(viewsEvery)
	defer tick.Stop()
	var told int64
	var toldAt time.Time
	flush := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, viewsPatience)
		defer cancel()
		if err := p.FlushViews(ctx); err != nil {
			p.Log.WarnContext(ctx, "looks at the prices wait", "error", err)
		}
		if dropped := p.DroppedViews(); dropped > told && p.Clock().Sub(toldAt) >= viewsTold {
			p.Log.WarnContext(ctx, "looks at the prices dropped", "count", dropped-told)
			told, toldAt = dropped, p.Clock()
		}
	}
	for {
		select {
		case <-ctx.Done():
			flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		case <-p.views.many:
		}
		flush(ctx)
	}
}

// viewBuffer holds the looks at the prices that are not written yet.
type viewBuffer struct {
	// flushing is held by whoever writes, one at a time.
	flushing sync.Mutex
	// many says that there are enough for a statement.
	many chan struct{}

	lock    sync.Mutex
	waiting []PricingView
	dropped int64
}

func newViewBuffer() *viewBuffer { return &viewBuffer{many: make(chan struct{}, 1)} }

func (b *viewBuffer) add(view PricingView) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if len(b.waiting) >= maxViews {
		b.dropped++
		return
	}
	b.waiting = append(b.waiting, view)
	if len(b.waiting) >= viewsAtOnce {
		select {
		case b.many <- struct{}{}:
		default: // it has been said
		}
	}
}

func (b *viewBuffer) take() []PricingView {
	b.lock.Lock()
	defer b.lock.Unlock()
	taken := b.waiting
	b.waiting = nil
	return taken
}

// putBack lets what could not be written wait again, before what came meanwhile,
// as far as there is room.
func (b *viewBuffer) putBack(views []PricingView) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.waiting = append(views, b.waiting...)
	if over := len(b.waiting) - maxViews; over > 0 {
		b.waiting = b.waiting[:maxViews]
		b.dropped += int64(over)
	}
}

// funnelKinds are the kinds, by subscription, that say how far a checkout has
// come; the first payment alone does.
var funnelKinds = []string{"trial_started", "subscription_activated"}

// visitsOf gathers whose way through the funnel a batch may have changed: by the
// checkouts that it ended or told of, and by what happened to what they bought.
func (b *batch) visitsOf() db.MarkVisitsParams {
	var out db.MarkVisitsParams
	for _, a := range b.changes.attempts {
		if a.attempt.SessionID != nil {
			out.SessionIds = append(out.SessionIds, *a.attempt.SessionID)
		}
	}
	for _, e := range b.changes.recorded {
		switch {
		case strings.HasPrefix(e.Kind, "checkout_"):
			out.SessionIds = append(out.SessionIds, e.NaturalKey)
		case slices.Contains(funnelKinds, e.Kind), e.Kind == "payment_succeeded" && b.isFirstPayment(e):
			out.SubscriptionIds = append(out.SubscriptionIds, deref(e.SubscriptionID))
		}
	}
	out.SubscriptionIds = append(out.SubscriptionIds, b.changes.reconsidered...)
	return out
}

// isFirstPayment reports whether no earlier payment of the subscription is known.
func (b *batch) isFirstPayment(e db.PaymentEvent) bool {
	return !slices.ContainsFunc(b.rows.events[deref(e.StripeCustomerID)], func(known db.PaymentEvent) bool {
		return known.Kind == e.Kind && known.NaturalKey != e.NaturalKey && deref(known.SubscriptionID) == deref(e.SubscriptionID) && known.At.Before(e.At)
	})
}
