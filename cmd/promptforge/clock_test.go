package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

const (
	goodCard    = "4242424242424242"
	failingCard = "4000000000000341"
)

// world is the whole product before a stand-in whose clock stands still until
// it is advanced.
type world struct {
	*app
	t     *testing.T
	sim   *simtest.Sim
	start time.Time
}

func newWorld(t *testing.T, start time.Time) *world {
	t.Helper()
	sim := simtest.Start(t, simtest.WithoutMirror(), simtest.WithConfig(func(c *stripesim.Config) {
		c.Now = func() time.Time { return start }
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := stripeapi.New(stripeapi.Config{Key: sim.SecretKey, Base: sim.URL, MaxRPS: 10_000})
	setup, err := payments.SetUp(t.Context(), client, billing.DefaultPlans(), payments.SetupOptions{
		WebhookURL: "http://" + listener.Addr().String() + "/api/webhooks/stripe",
	})
	if err != nil {
		t.Fatal(err)
	}
	ever := ratelimit.Rate{N: 1_000_000, Per: time.Minute}
	a, err := assemble(t.Context(), settings{
		databaseURL: dbtest.New(t).Config().ConnString(), baseURL: "http://" + listener.Addr().String(), stripeKey: sim.SecretKey,
		stripeBase: sim.URL, maxRPS: 10_000, webhookSecrets: []string{setup.Endpoint.Secret}, plans: billing.DefaultPlans(),
		sold: setup.Sold, rateCheckout: ever, rateRead: ever, now: sim.Server.Now,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return &world{app: a, t: t, sim: sim, start: start}
}

// buy signs an organization up and pays for the plan; it answers its
// subscription.
func (w *world) buy(name, plan string, interval billing.Interval, card string) (subscription map[string]any) {
	w.t.Helper()
	user, owns, err := w.auth.SignUp(w.t.Context(), auth.SignUp{
		Name: "Ada", Email: name + "@customer.example", Password: "correct horse", Organization: name,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	checkout, err := w.payments.StartCheckout(w.t.Context(), payments.CheckoutRequest{
		UserID: user.ID, OrgID: owns.OrgID, Plan: plan, Interval: interval,
	})
	if err != nil {
		w.t.Fatalf("check out %s: %v", name, err)
	}
	if status, _ := w.sim.Complete(w.t, checkout.SessionID, card); status != http.StatusOK {
		w.t.Fatalf("pay for %s: %d", name, status)
	}
	all := w.sim.State(w.t)["subscription"]
	return all[len(all)-1]
}

func (w *world) do(path, form string) {
	w.t.Helper()
	if status, body := w.sim.Do(w.t, http.MethodPost, path, form); status != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s", path, form, status, body)
	}
}

func (w *world) advance(to time.Time) {
	w.t.Helper()
	w.do("/sim/clock/advance", fmt.Sprintf(`{"to":%q}`, to.Format(time.RFC3339)))
}

func (w *world) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		settled, err := w.isSettled(ctx)
		if err != nil {
			w.t.Fatalf("settle: %v", err)
		}
		if settled {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// begin is where both ways set out from: one of every kind of life.
func (w *world) begin() {
	w.buy("monthly", "pro", billing.Month, goodCard)
	w.buy("yearly", "pro", billing.Year, goodCard)
	w.buy("trial", "pilot", billing.Month, goodCard)
	w.buy("broken-trial", "pilot", billing.Month, failingCard)
	failing := w.buy("failing", "enterprise", billing.Month, goodCard)
	leaving := w.buy("leaving", "enterprise", billing.Month, goodCard)
	growing := w.buy("growing", "pro", billing.Month, goodCard)
	shrinking := w.buy("shrinking", "enterprise", billing.Month, goodCard)
	resting := w.buy("resting", "pro", billing.Month, goodCard)
	pauses := map[string]map[string]any{}
	for _, behavior := range []string{"void", "mark_uncollectible", "keep_as_draft"} {
		pauses[behavior] = w.buy("paused-"+strings.ReplaceAll(behavior, "_", "-"), "pro", billing.Month, goodCard)
	}
	w.settle()
	w.advance(w.start.AddDate(0, 0, 10))
	w.settle()
	customer := failing["customer"].(string)
	w.do("/v1/payment_methods/pm_card_chargeCustomerFail/attach", "customer="+customer)
	methods := w.sim.State(w.t)["payment_method"]
	w.do("/v1/customers/"+customer, "invoice_settings[default_payment_method]="+methods[len(methods)-1]["id"].(string))
	w.do("/v1/subscriptions/"+failing["id"].(string), "default_payment_method="+methods[len(methods)-1]["id"].(string))
	w.do("/v1/subscriptions/"+leaving["id"].(string), "cancel_at_period_end=true")
	w.change(growing, "enterprise", billing.Month)
	w.change(shrinking, "pilot", billing.Year)
	w.do("/v1/subscriptions/"+resting["id"].(string), fmt.Sprintf(
		"pause_collection[behavior]=void&pause_collection[resumes_at]=%d", w.start.AddDate(0, 0, 100).Unix()))
	for behavior, paused := range pauses {
		w.do("/v1/subscriptions/"+paused["id"].(string), "pause_collection[behavior]="+behavior)
	}
	w.settle()
}

func (w *world) change(subscription map[string]any, plan string, interval billing.Interval) {
	w.t.Helper()
	item := subscription["items"].(map[string]any)["data"].([]any)[0].(map[string]any)["id"].(string)
	price := w.payments.Sold[payments.Offer{Plan: plan, Interval: interval}]
	w.do("/v1/subscriptions/"+subscription["id"].(string), "items[0][id]="+item+"&items[0][price]="+price)
}

// rows are all that the product holds, with names in the place of Stripe's ids.
func (w *world) rows() []string {
	w.t.Helper()
	var all []string
	for _, query := range []string{
		`SELECT concat_ws(' ', 'subscription', o.name, s.status, s.plan, s."interval", s.quantity, s.amount_minor, s.current_period_start,
			s.current_period_end, s.trial_end, s.cancel_at_period_end, s.cancel_at, s.canceled_at, s.ended_at, s.pause_behavior,
			s.latest_invoice_status, s.next_payment_attempt, s.has_paid, s.is_verified)
			FROM subscriptions s JOIN customers c USING (stripe_customer_id) JOIN organizations o ON o.id = c.org_id`,
		`SELECT concat_ws(' ', 'version', o.name, v.at, v.source, v.facts ->> 'status', (SELECT string_agg(concat_ws('/', p.plan, p."interval",
				i ->> 'quantity'), ' ') FROM jsonb_array_elements(v.facts -> 'items') i JOIN prices p ON p.stripe_price_id = i ->> 'price'),
			v.facts ->> 'ends_at', v.facts ->> 'trial_end', v.facts ->> 'ended_at', v.facts ->> 'reason', v.facts ->> 'pause')
			FROM subscription_versions v JOIN customers c USING (stripe_customer_id) JOIN organizations o ON o.id = c.org_id`,
		`SELECT concat_ws(' ', 'movement', o.name, m.currency, m.day, m.kind, m.plan, m.amount_micro, m.customers, m.reason)
			FROM mrr_movements m JOIN organizations o ON m.customer = 'org:' || o.id`,
		`SELECT concat_ws(' ', 'metric', day, currency, plan, kind, amount_micro, customers) FROM payment_metrics`,
		`SELECT concat_ws(' ', 'event', o.name, e.kind, e.at, e.plan, e."interval", e.currency, e.amount_minor, 
			e.details - 'from_price' - 'to_price' - 'invoice')
			FROM payment_events e JOIN organizations o ON o.id = e.org_id`,
		`SELECT concat_ws(' ', 'entitlement', o.name, e.plan, e.status, e.access, e.reason, e.until, e.then_access, e.then_reason, e.limits)
			FROM entitlements e JOIN organizations o ON o.id = e.org_id`,
		`SELECT concat_ws(' ', 'heard', created, type, state, reason, count(*)) FROM webhook_events GROUP BY created, type, state, reason`,
	} {
		rows, err := w.pool.Query(w.t.Context(), query)
		if err != nil {
			w.t.Fatalf("%s: %v", query, err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			w.t.Fatalf("%s: %v", query, err)
		}
		all = append(all, lines...)
	}
	slices.Sort(all)
	return all
}

// TestThirteenMonthsAtOnceAndDayByDayEndInTheSameRows: whoever is told of a
// year in one burst knows what whoever was told every day knows. They renew on
// the 31st, and the first February has a leap day.
func TestThirteenMonthsAtOnceAndDayByDayEndInTheSameRows(t *testing.T) {
	t.Parallel()
	start := time.Date(2024, 1, 31, 9, 30, 0, 0, time.UTC)
	const days = 395
	atOnce, daily := newWorld(t, start), newWorld(t, start)
	atOnce.begin()
	atOnce.advance(start.AddDate(0, 0, 10+days))
	atOnce.settle()
	daily.begin()
	for day := range days {
		daily.advance(start.AddDate(0, 0, 11+day))
		daily.settle()
	}
	for _, w := range []*world{atOnce, daily} {
		if err := w.ledger.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	}
	got, want := atOnce.rows(), daily.rows()
	if len(want) < 250 {
		t.Fatalf("only %d rows to compare: %q", len(want), want)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rows differ (-395 daily calls +one call):\n%s", diff)
	}
	t.Logf("%d rows are the same", len(want))
}
