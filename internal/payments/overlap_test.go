package payments_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/payments"
)

// interrupted is a way to Stripe on which something happens around each question
// about a customer's subscriptions.
type interrupted struct {
	before, after func(customer string)
}

func (i *interrupted) RoundTrip(r *http.Request) (*http.Response, error) {
	customer := r.URL.Query().Get("customer")
	isAsk := r.Method == http.MethodGet && r.URL.Path == "/v1/subscriptions"
	if isAsk {
		i.before(customer)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if isAsk && err == nil {
		i.after(customer) // the answer has been given, and is held
	}
	return response, err
}

// TestAThousandEventsThatComeWhileTheirCustomerIsAskedAbout: each question about
// a customer is met by the next event of the same customer, before Stripe hears
// it or while the answer is on its way. Were one of them forgotten, nobody would
// ask again and the next would never come.
func TestAThousandEventsThatComeWhileTheirCustomerIsAskedAbout(t *testing.T) {
	t.Parallel()
	const customers, each = 8, 125
	w, done := newWorld(t, t.Context(), aNoon)
	defer done()
	s := w.shop("shop", dbtest.New(t))
	var buyers []buyer
	for range customers {
		buyers = append(buyers, w.sell("pro", "4242424242424242", s))
	}
	s.deliver(w.news()...)
	s.settle()
	w.pass(time.Hour)

	asked := map[string]*atomic.Int64{}
	for _, b := range buyers {
		asked[b.customer] = &atomic.Int64{}
	}
	come := func(customer string, n int64) {
		e, err := json.Marshal(map[string]any{
			"id": fmt.Sprintf("evt_%s_%d", customer, n), "object": "event", "type": "customer.updated", "created": w.sim.Now().Unix(),
			"livemode": false, "data": map[string]any{"object": map[string]any{"id": customer, "object": "customer"}},
		})
		if err != nil {
			t.Error(err)
			return
		}
		if err := s.Receive(t.Context(), sign(webhookSecret, time.Now(), e), e); err != nil {
			t.Errorf("event %d of %s: %v", n, customer, err)
		}
	}
	last := func(customer string) { // the one that counts: the answer that is held does not know it
		w.update(customer, "cancel_at_period_end", "true")
		come(customer, each)
	}
	road := &interrupted{
		before: func(customer string) {
			if n := asked[customer].Add(1); n%2 == 0 && n < each {
				come(customer, n)
			}
		},
		after: func(customer string) {
			switch n := asked[customer].Load(); {
			case n == each:
				last(customer)
			case n%2 == 1 && n < each:
				come(customer, n)
			}
		},
	}
	worker := payments.New(payments.Payments{
		Pool: s.pool, Stripe: w.client(road), Plans: s.Plans, Sold: s.Sold, Secrets: s.Secrets, BaseURL: s.BaseURL,
		Now: s.Now, Clock: s.Clock, Log: s.Log,
	})
	ctx, stop := context.WithCancel(t.Context())
	go w.run(ctx)
	running := make(chan error, 1)
	go func() { running <- worker.Run(ctx) }()
	for _, b := range buyers {
		come(b.customer, 0)
	}
	const waiting = `SELECT count(*)::text FROM webhook_events WHERE state = 'pending'`
	const known = `SELECT count(*)::text FROM subscriptions WHERE cancel_at_period_end`
	deadline := time.Now().Add(3 * time.Minute) // nobody waits for it but where something is stuck
	for time.Now().Before(deadline) {
		if s.rows(known)[0] == fmt.Sprint(customers) && s.rows(waiting)[0] == "0" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	if err := <-running; err != nil {
		t.Error(err)
	}
	for _, b := range buyers {
		if n := asked[b.customer].Load(); n != each+1 {
			t.Errorf("%s was asked about %d times, want %d", b.customer, n, each+1)
		}
	}
	for what, query := range map[string]string{
		"pending events":        `SELECT id FROM webhook_events WHERE state <> 'processed'`,
		"ends that nobody knew": `SELECT stripe_customer_id FROM subscriptions WHERE NOT cancel_at_period_end`,
		"wanted and not done":   `SELECT to_jsonb(q)::text || now() FROM sync_queue q WHERE wanted <> done`,
	} {
		if got := s.rows(query); len(got) > 0 {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := s.rows(`SELECT count(*)::text FROM webhook_events WHERE id LIKE 'evt_cus_%'`)[0]; got != fmt.Sprint(customers*(each+1)) {
		t.Errorf("%s events are stored, want %d", got, customers*(each+1))
	}
}

// TestThirtyOverlappingSyncsOfOneCustomer: in each of twenty rounds the customer
// changes, and buttons, workers and deliveries of two processes' doors fall over
// each other. Each change is told once, and nothing is left to do.
func TestThirtyOverlappingSyncsOfOneCustomer(t *testing.T) {
	t.Parallel()
	const rounds, atOnce = 20, 30
	w, done := newWorld(t, t.Context(), aNoon)
	defer done()
	pool := dbtest.New(t)
	doors := []*shop{w.shop("first", pool), w.shop("second", pool)}
	first := doors[0]
	b := w.sell("pro", "4242424242424242", first)
	first.deliver(w.news()...)
	first.settle()
	count := func(query string) string { return first.rows(query)[0] }
	told := count(`SELECT count(*)::text FROM payment_events`)
	acts := count(`SELECT count(*)::text FROM audit_log WHERE act = 'subscription_changed'`)
	for round := range rounds {
		w.pass(2 * time.Minute) // Stripe's lists have caught up
		plan := []string{"enterprise", "pro"}[round%2]
		w.move(b.customer, plan)
		events := w.news()
		var all sync.WaitGroup
		start := make(chan bool)
		for i := range atOnce {
			door := doors[i%2]
			all.Go(func() {
				<-start
				switch {
				case i < len(events)*2:
					e := events[i/2] // twice, once at each door
					if err := door.Receive(w.ctx, sign(webhookSecret, time.Now(), e), e); err != nil {
						t.Error(err)
					}
				case i%3 == 0:
					if _, err := door.Work(w.ctx); err != nil {
						t.Error(err)
					}
				default:
					if err := door.SyncCustomer(w.ctx, b.customer); err != nil {
						t.Error(err)
					}
				}
			})
		}
		close(start)
		all.Wait()
		first.settle()
		if got := first.rows(`SELECT plan FROM subscriptions`); !slices.Equal(got, []string{plan}) {
			t.Fatalf("round %d: the plan is %q, want %s", round, got, plan)
		}
	}
	for _, s := range doors { // what a button left due is done, too
		s.exec(`UPDATE sync_queue SET due_at = '-infinity'`)
		if _, err := s.Work(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct{ query, want string }{
		"plan changes":        {`SELECT count(*)::text FROM payment_events WHERE kind = 'plan_changed'`, fmt.Sprint(rounds)},
		"other happenings":    {`SELECT count(*)::text FROM payment_events WHERE kind <> 'plan_changed'`, told},
		"acts":                {`SELECT count(*)::text FROM audit_log WHERE act = 'subscription_changed'`, ""},
		"versions":            {`SELECT count(*)::text FROM subscription_versions`, fmt.Sprint(rounds + 1)},
		"versions by reads":   {`SELECT count(*)::text FROM subscription_versions WHERE source = 'read'`, "0"},
		"left in the queue":   {`SELECT count(*)::text FROM sync_queue WHERE wanted <> done OR attempts > 0 OR lease_until > now() OR stale_asks > 0`, "0"},
		"due at once":         {fmt.Sprintf(`SELECT count(*)::text FROM sync_queue WHERE due_at <= now() + interval '%d seconds'`, int(time.Until(w.sim.Now()).Seconds())), "0"},
		"events not taken up": {`SELECT count(*)::text FROM webhook_events WHERE state <> 'processed'`, "0"},
	} {
		want := c.want
		if what == "acts" { // one for each change, as the row changed once
			var before int
			if _, err := fmt.Sscan(acts, &before); err != nil {
				t.Fatal(err)
			}
			want = fmt.Sprint(before + rounds)
		}
		if got := count(c.query); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	first.derive()
	if err := first.ledger.Verify(w.ctx); err != nil {
		t.Error(err)
	}
}

// shuffledTwice are the events twice, in any order.
func shuffledTwice(chance *rand.Rand, events []json.RawMessage) []json.RawMessage {
	out := slices.Concat(events, events)
	chance.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// twin is a second event object for the same change.
func twin(e json.RawMessage) json.RawMessage {
	return bytes.Replace(e, []byte(id(e)), []byte(id(e)+"twin"), 1)
}
