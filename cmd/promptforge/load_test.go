package main

import (
	"context"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeapi"
)

// The load tests print figures, which depend on the machine, and fail for what
// does not: something lost, something undone, somebody without what they bought.
var (
	load        = flag.Bool("load", false, "run the load tests")
	loadFor     = flag.Duration("load.for", 2*time.Minute, "how long events arrive")
	loadBacklog = flag.Int("load.backlog", 100_000, "customers in the backlog")
	loadCosts   = flag.Bool("load.costs", false, "also say what database and product spend their time on")
)

// usualBudget is what serve spends of a live account's limit by default.
const usualBudget = 80

// generous is a budget of requests that a stand-in has no reason to divide. Stripe
// allows a hundred reads a second by default, and more for who needs more.
const generous = 100_000

const (
	eventsASecond  = 1000
	eventsEach     = 5
	betweenBuyers  = time.Second * eventsEach / eventsASecond
	asksASecond    = 1000
	standstill     = 2 * time.Minute
	visibleSample  = 20 * time.Millisecond
	progressSample = 5 * time.Second
)

// TestLoadCheckouts: a thousand events a second, five of one customer at a time
// as a checkout makes them. The backlog stays flat, and access is there within a
// second of the first 200.
func TestLoadCheckouts(t *testing.T) {
	r := newRig(t, 0)
	n := int(loadFor.Seconds()) * eventsASecond / eventsEach
	buyers := r.populate(n)
	r.serve(generous)
	seen := r.watchAccess()
	var answered latencies
	costs, start := r.costs(t.Context()), r.spent()
	before := r.look()
	stop := every(progressSample, func(passed time.Duration) {
		before = r.progress(passed, before, seen)
	})
	r.arrive(buyers, betweenBuyers, &answered, seen)
	stop()
	t.Logf("from when an event was due until its 200:  %v", &answered)
	r.settles()
	r.costOf(start, n, "purchase of five events")
	costs()
	now, most := r.memory()
	t.Logf("from the first 200 until access is there:  %v (sampled each %v)", seen.stop(), visibleSample)
	t.Logf("memory of the product: %s, at most %s", now, most)
	r.stop()
	r.holds(n, n*eventsEach)
	if answered.failed > 0 {
		t.Errorf("%d deliveries were not answered 200", answered.failed)
	}
}

// TestLoadBacklog: the events of a hundred thousand customers wait when the
// workers start, with the budget that a live account has. Whoever buys then has
// access within two seconds while the backlog goes on; with a budget that does
// not count it comes to its end, with nothing lost.
func TestLoadBacklog(t *testing.T) {
	r := newRig(t, time.Hour) // they bought an hour ago
	n := *loadBacklog
	r.hoard(r.populate(n))
	r.behind.Store(0)

	const each = 20 // buyers
	for _, budget := range []int{usualBudget, generous} {
		r.serve(budget)
		t.Logf("with a budget of %d requests a second, %d customers in the backlog", budget, r.backlog())
		var served [2]latencies
		seen := r.watchAccess()
		costs := r.costs(t.Context())
		start, waiting := r.spent(), r.backlog()
		before := r.look()
		stop := every(progressSample, func(passed time.Duration) { before = r.progress(passed, before, seen) })
		visitors := make([]*visitor, each)
		for i := range visitors {
			visitors[i] = r.visitor(i)
		}
		openLoop(t.Context(), each, *loadFor/2/each, func(i int, _ time.Time) {
			from := time.Now()
			if i%2 == 0 {
				served[0].add(visitors[i].buyAndLeave(from))
			} else {
				served[1].add(visitors[i].buyAndReturn(from))
			}
		})
		t.Logf("from paying until access is there, the browser closed:  %v", &served[0])
		t.Logf("from paying until the success page says so:             %v", &served[1])
		if budget == generous {
			r.settles()
		}
		stop()
		seen.stop()
		r.costOf(start, max(waiting-r.backlog(), 1), "customer of the backlog")
		costs()
		if left := r.backlog(); budget != generous && left == 0 {
			t.Log("the backlog was over before the buyers were: take a larger one")
		}
		now, most := r.memory()
		t.Logf("memory of the product: %s, at most %s", now, most)
		r.stop()
		for i := range served {
			l := &served[i]
			if l.failed > 0 {
				t.Errorf("%d buyers were not served: %v", l.failed, l.fault)
			}
		}
	}
	r.holds(n+2*each, r.count("SELECT count(*) FROM webhook_events"))
}

// TestLoadEntitlements: another program asks what organizations may do, a
// thousand times a second, while nothing else happens and while people buy.
func TestLoadEntitlements(t *testing.T) {
	r := newRig(t, time.Hour)
	known := r.populate(5000)
	r.hoard(known)
	r.behind.Store(0)
	r.serve(generous)
	r.settles()
	keys := r.apiKeys(20) // each may ask a hundred times a second
	n, interval := int(loadFor.Seconds())/2*asksASecond, time.Second/asksASecond
	ask := func(asked *latencies) {
		openLoop(t.Context(), n, interval, func(i int, due time.Time) {
			err := r.mayUse(known[rand.IntN(len(known))].org, keys[i%len(keys)])
			asked.add(time.Since(due), err)
		})
	}
	var alone, beside, answered latencies
	ask(&alone)
	t.Logf("entitlements at %d a second, alone:                  %v", asksASecond, &alone)

	slowly := 5 * betweenBuyers
	buyers := r.populate(int(*loadFor / 2 / slowly))
	seen := r.watchAccess()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.arrive(buyers, slowly, &answered, seen)
	}()
	ask(&beside)
	<-done
	t.Logf("entitlements at %d a second, beside %d events a second: %v", asksASecond, eventsASecond/5, &beside)
	t.Logf("these events, until their 200:                         %v", &answered)
	r.settles()
	t.Logf("and from the first 200 until access is there:          %v", seen.stop())
	now, most := r.memory()
	t.Logf("memory of the product: %s, at most %s", now, most)
	r.stop()
	r.holds(len(known)+len(buyers), len(known)*hoardEach+len(buyers)*eventsEach)
	for _, l := range []*latencies{&alone, &beside, &answered} {
		if l.failed > 0 {
			t.Errorf("%d requests were not answered as they should: %v", l.failed, l.fault)
		}
	}
}

// arrive lets buyers pay one after the other.
func (r *rig) arrive(buyers []buyer, interval time.Duration, answered *latencies, seen *access) {
	stories := r.stories(buyers)
	openLoop(r.t.Context(), len(buyers), interval, func(_ int, due time.Time) {
		r.checkOut(<-stories, due, answered, seen)
	})
}

// told is a buyer with what Stripe has to say.
type told struct {
	buyer
	bodies [][]byte
}

// stories makes ready what is sent next, a little ahead.
func (r *rig) stories(buyers []buyer) <-chan told {
	ready := make(chan told, 400)
	go func() {
		defer close(ready)
		for _, b := range buyers {
			bodies, err := r.story(b)
			if err != nil {
				r.t.Error(err)
				return
			}
			ready <- told{b, bodies}
		}
	}()
	return ready
}

// checkOut delivers what a purchase tells, all at once.
func (r *rig) checkOut(b told, due time.Time, answered *latencies, seen *access) {
	answers := make(chan error)
	for _, body := range b.bodies {
		go func() {
			again, err := r.deliver(r.t.Context(), body)
			answered.add(time.Since(due), err)
			answered.again.Add(int64(again))
			answers <- err
		}()
	}
	isFirst := true
	for range b.bodies {
		if err := <-answers; err == nil && isFirst {
			isFirst = false
			seen.await(b.org, time.Now())
		}
	}
}

// look is what is known of the product's progress at a moment.
type look struct {
	at     time.Time
	claims int
	usage  stripeapi.Usage
}

func (r *rig) look() look {
	return look{time.Now(), r.count("SELECT coalesce(sum(ticket), 0) FROM sync_queue"), r.usage()}
}

// progress prints what happened since the last look.
func (r *rig) progress(passed time.Duration, before look, seen *access) look {
	now := r.look()
	a := now.at.Sub(before.at).Seconds()
	reads := func(lane payments.Lane) float64 { return float64(now.usage.Sent[lane]-before.usage.Sent[lane]) / a }
	memory, _ := r.memory()
	r.t.Logf("%4.0fs  backlog %6d customers  %5.0f syncs/s  reads of Stripe/s: %4.0f people %4.0f fresh %4.0f backlog  waiting for access %5d  memory %s",
		passed.Seconds(), r.backlog(), float64(now.claims-before.claims)/a,
		reads(payments.LanePeople), reads(payments.LaneFresh), reads(payments.LaneBacklog), seen.waiting(), memory)
	return now
}

// access watches for entitlements to become visible to another connection.
type access struct {
	latencies
	rig   *rig
	since map[uuid.UUID]time.Time
	end   func()
}

func (r *rig) watchAccess() *access {
	a := &access{rig: r, since: map[uuid.UUID]time.Time{}}
	a.end = every(visibleSample, func(time.Duration) { a.sample() })
	return a
}

func (a *access) await(org uuid.UUID, from time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since[org] = from
}

func (a *access) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.since)
}

func (a *access) sample() {
	a.mu.Lock()
	orgs := make([]uuid.UUID, 0, len(a.since))
	for org := range a.since {
		orgs = append(orgs, org)
	}
	a.mu.Unlock()
	if len(orgs) == 0 {
		return
	}
	rows, err := a.rig.pool.Query(context.Background(), "SELECT org_id FROM entitlements WHERE access = 'full' AND org_id = ANY($1)", orgs)
	if err != nil {
		a.rig.t.Error(err)
		return
	}
	entitled, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		a.rig.t.Error(err)
		return
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, org := range entitled {
		a.all = append(a.all, max(now.Sub(a.since[org]), 0))
		delete(a.since, org)
	}
}

// stop looks once more and ends the watch.
func (a *access) stop() *latencies {
	a.end()
	a.sample()
	return &a.latencies
}
