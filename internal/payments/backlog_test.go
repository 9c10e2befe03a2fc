package payments_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

// aNoon is a moment with nothing odd about it.
var aNoon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// buyer is an organization of every shop, and its customer at Stripe.
type buyer struct {
	org, user uuid.UUID
	customer  string
}

// sell lets an organization buy a plan by the month; the first shop has the
// button, and the others know what it left.
func (w *world) sell(plan, card string, button *shop, others ...*shop) buyer {
	w.Helper()
	b := buyer{}
	b.org, b.user = organization(append([]*shop{button}, others...)...)
	checkout, err := button.StartCheckout(w.ctx, payments.CheckoutRequest{UserID: b.user, OrgID: b.org, Plan: plan, Interval: billing.Month})
	if err != nil {
		w.Fatalf("start checkout of %s: %v", plan, err)
	}
	for _, s := range others {
		button.share(s)
	}
	b.customer = button.rows(`SELECT stripe_customer_id FROM customers WHERE org_id = $1`, b.org)[0]
	w.must(http.MethodPost, "/sim/checkout/"+checkout.SessionID+"/complete", `{"card":"`+card+`"}`)
	return b
}

// must is act of what Stripe cannot refuse.
func (w *world) must(method, path, form string) {
	w.Helper()
	if status, body := w.do(method, path, form); status != http.StatusOK {
		w.Fatalf("%s %s %s: %d %s", method, path, form, status, body)
	}
}

// only is the customer's one subscription, ended or not.
func (w *world) only(customer string) object {
	w.Helper()
	all := w.all("/v1/subscriptions?status=all&customer=" + customer)
	if len(all) != 1 {
		w.Fatalf("%s has %d subscriptions", customer, len(all))
	}
	return all[0]
}

// update changes the customer's one subscription.
func (w *world) update(customer string, pairs ...string) {
	w.Helper()
	w.must(http.MethodPost, "/v1/subscriptions/"+w.only(customer).ID, form(pairs...).Encode())
}

// move puts the customer's one subscription on another plan.
func (w *world) move(customer, plan string) {
	w.Helper()
	s := w.only(customer)
	price := w.set.Sold[payments.Offer{Plan: plan, Interval: billing.Month}]
	w.must(http.MethodPost, "/v1/subscriptions/"+s.ID, url.Values{"items[0][id]": {s.Items.Data[0].ID}, "items[0][price]": {price}}.Encode())
}

// pays gives the customer a card.
func (w *world) pays(customer, card string) {
	w.Helper()
	status, body := w.do(http.MethodPost, "/v1/payment_methods/"+card+"/attach", "customer="+customer)
	if status != http.StatusOK {
		w.Fatalf("attach %s: %d %s", card, status, body)
	}
	w.update(customer, "default_payment_method", field(body, "id"))
}

// TestThreeDaysOfBacklogGiveTheHistoryOfWorkingOnTime: nothing is delivered for
// three days in which a dozen customers live; then everything at once, in any
// order and twice, while Stripe cannot be asked at first.
func TestThreeDaysOfBacklogGiveTheHistoryOfWorkingOnTime(t *testing.T) {
	t.Parallel()
	w, done := newWorld(t, t.Context(), aNoon)
	defer done()
	first, second := pools(t)
	onTime, late := w.shop("on time", first), w.shop("late", second)

	var buyers []buyer
	for i := range 12 {
		buyers = append(buyers, w.sell([]string{"pilot", "pro", "enterprise"}[i%3], "4242424242424242", onTime, late))
	}
	var backlog []json.RawMessage
	hear := func() {
		for _, e := range w.news() {
			onTime.deliver(e)
			onTime.settle()
			backlog = append(backlog, e)
		}
		onTime.derive()
	}
	hear()
	lives := []func(customer string, day int){
		func(c string, day int) { w.move(c, []string{"pro", "enterprise", "pilot"}[day]) },
		func(c string, day int) { w.update(c, "cancel_at_period_end", fmt.Sprint(day%2 == 0)) },
		func(c string, day int) {
			w.update(c, "items[0][id]", w.only(c).Items.Data[0].ID, "items[0][quantity]", fmt.Sprint(day+2))
		},
		func(c string, day int) {
			if day == 1 {
				w.must(http.MethodDelete, "/v1/subscriptions/"+w.only(c).ID, "")
			}
		},
		func(c string, day int) {
			if day == 0 { // a trial cut short, or a period: the card fails at once
				w.pays(c, "pm_card_chargeCustomerFail")
			}
			if day == 1 {
				w.update(c, "billing_cycle_anchor", "now", "proration_behavior", "none")
			}
			if day == 2 {
				w.pays(c, "pm_card_visa")
				for _, i := range w.all("/v1/invoices?status=open&customer=" + c) {
					w.must(http.MethodPost, "/v1/invoices/"+i.ID+"/pay", "")
				}
			}
		},
		func(c string, day int) {
			if day < 2 {
				w.update(c, "pause_collection[behavior]", []string{"void", "mark_uncollectible"}[day])
				return
			}
			w.update(c, "pause_collection", "")
		},
	}
	for day := range 3 {
		for i, b := range buyers {
			w.pass(2 * time.Hour)
			lives[i%len(lives)](b.customer, day)
			hear()
		}
	}
	w.pass(time.Minute)
	hear()

	deliveries := shuffledTwice(rand.New(rand.NewPCG(1, 2)), backlog)
	late.sky.turn(cut)
	for i, e := range deliveries {
		late.deliver(e)
		if i%100 == 0 {
			late.work()
		}
	}
	late.sky.turn(clear)
	late.settle()
	for _, s := range []*shop{onTime, late} {
		s.ask()
		s.derive()
		if err := s.ledger.Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	t.Logf("%d events, %d deliveries, %d and %d asks, %d versions", len(backlog), len(deliveries), onTime.sky.asks.Load(), late.sky.asks.Load(),
		len(late.rows(`SELECT source FROM subscription_versions`)))
	if diff := differences(onTime.state(), late.state()); diff != "" {
		t.Errorf("the rows differ (-on time +late):\n%s", diff)
	}
	if got := late.rows(`SELECT source FROM subscription_versions WHERE source = 'read'`); len(got) > 0 {
		t.Errorf("%d versions are dated by reads though every event came", len(got))
	}
	// What is news of the last day is written to the customer, the rest is not.
	old := late.rows(`SELECT concat_ws(' ', o.kind, o.natural_key, e.at) FROM outbox o JOIN payment_events e
		ON e.natural_key = o.natural_key AND e.kind = CASE o.kind WHEN 'receipt' THEN 'payment_succeeded' ELSE 'payment_failed' END
		WHERE e.at <= $1`, w.sim.Now().Add(-24*time.Hour))
	if len(old) > 0 {
		t.Errorf("mails about what is a day old: %q", old)
	}
	if len(late.rows(`SELECT kind FROM outbox`)) == 0 {
		t.Error("there was news of the last day, and nobody was written to")
	}
}

// mrr is the monthly recurring revenue at the end of each day from one moment to
// another, as "2026-03-10 9900000000".
func (s *shop) mrr(from, to time.Time) []string {
	s.Helper()
	return s.rows(`SELECT concat_ws(' ', d::date, (
			SELECT coalesce(sum(amount_micro), 0) FROM flow_daily f WHERE f.day <= d::date))
		FROM generate_series($1::timestamptz, $2::timestamptz, interval '1 day') d`, from, to)
}

// TestAnEventLostForEverSpoilsTheHistoryForOneReadingInterval: the shop hears of
// everything but of one change. Until it next asks, it does not know; from then
// on it is right, and only the days in between are wrong.
func TestAnEventLostForEverSpoilsTheHistoryForOneReadingInterval(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(w *world, customer string){
		"an upgrade":  func(w *world, c string) { w.move(c, "enterprise") },
		"a downgrade": func(w *world, c string) { w.move(c, "pilot") },
		"more seats": func(w *world, c string) {
			w.update(c, "items[0][id]", w.only(c).Items.Data[0].ID, "items[0][quantity]", "7")
		},
		"a pause":                       func(w *world, c string) { w.update(c, "pause_collection[behavior]", "mark_uncollectible") },
		"a scheduled end":               func(w *world, c string) { w.update(c, "cancel_at_period_end", "true") },
		"a cancellation":                func(w *world, c string) { w.must(http.MethodDelete, "/v1/subscriptions/"+w.only(c).ID, "") },
		"an end that was known to come": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, done := newWorld(t, t.Context(), aNoon)
			defer done()
			first, second := pools(t)
			truth, lossy := w.shop("truth", first), w.shop("lossy", second)
			shops := []*shop{truth, lossy}
			b := w.sell("pro", "4242424242424242", truth, lossy)
			if act == nil {
				w.update(b.customer, "cancel_at", fmt.Sprint(aNoon.AddDate(0, 0, 9).Add(5*time.Hour).Unix()), "proration_behavior", "none")
			}
			// Every day the workers do what is due, by the business clock.
			day := func() {
				events := w.news()
				for _, s := range shops {
					s.deliver(events...)
					s.settle()
					if _, err := s.Work(s.ctx); err != nil {
						t.Fatal(err)
					}
					s.derive()
				}
				w.pass(24 * time.Hour)
			}
			for range 9 {
				day()
			}
			w.pass(5 * time.Hour)
			lostAt := w.sim.Now()
			if act != nil {
				act(w, b.customer)
			}
			events := w.news()
			truth.deliver(events...)
			truth.settle()
			lost := slices.DeleteFunc(events, func(e json.RawMessage) bool { return !strings.HasPrefix(kind(e), "customer.subscription.") })
			if len(lost) == 0 {
				t.Fatal("nothing was lost")
			}
			for range 60 {
				day()
			}
			for _, s := range shops {
				s.ask()
				s.derive()
			}
			end := w.sim.Now()

			// The end is right.
			const copies = `SELECT concat_ws(' ', status, plan, quantity, cancel_at_period_end, pause_behavior, ended_at, amount_minor, has_paid) FROM subscriptions`
			if got, want := lossy.rows(copies), truth.rows(copies); !slices.Equal(got, want) {
				t.Errorf("in the end the copy is %q, want %q", got, want)
			}
			const facts = `SELECT facts::text FROM subscription_versions ORDER BY at DESC LIMIT 1`
			if got, want := lossy.rows(facts), truth.rows(facts); !slices.Equal(got, want) {
				t.Errorf("in the end the history is at %q, want %q", got, want)
			}
			// The change is dated by the first answer that showed it, within a week, or
			// by what Stripe itself says of the end.
			found := lossy.rows(`SELECT extract(epoch FROM at)::bigint::text FROM subscription_versions
				WHERE source = 'read' ORDER BY at LIMIT 1`)
			if len(found) == 0 {
				t.Fatal("no answer has found the change")
			}
			var seconds1970 int64
			if _, err := fmt.Sscan(found[0], &seconds1970); err != nil {
				t.Fatal(err)
			}
			foundAt := time.Unix(seconds1970, 0).UTC()
			if late := foundAt.Sub(lostAt); late > 8*24*time.Hour {
				t.Errorf("found only after %s", late)
			}
			// Outside that interval every day's figure is the truth.
			got, want := lossy.mrr(aNoon, end), truth.mrr(aNoon, end)
			for i := range want {
				at := aNoon.AddDate(0, 0, i).Truncate(24 * time.Hour)
				within := !at.Before(lostAt.Truncate(24*time.Hour)) && at.Before(foundAt.Truncate(24*time.Hour))
				if got[i] != want[i] && !within {
					t.Errorf("figure of %s, want %s; lost on %s, found on %s", got[i], want[i], lostAt, foundAt)
				}
			}
			// And should it come after all, it takes its place.
			lossy.deliver(lost...)
			lossy.settle()
			lossy.derive()
			if got := lossy.mrr(aNoon, end); !slices.Equal(got, want) {
				t.Errorf("with the event the figures are %q, want %q", got, want)
			}
			if got := lossy.rows(`SELECT source FROM subscription_versions WHERE source = 'read'`); len(got) > 0 {
				t.Errorf("with the event %d versions are still dated by reads", len(got))
			}
		})
	}
}
