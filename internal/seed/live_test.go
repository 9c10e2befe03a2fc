package seed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/internal/seed"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// place is a product that runs before a stand-in whose clock stands still until
// it is advanced.
type place struct {
	seed.World
	t       *testing.T
	pool    *pgxpool.Pool
	sim     *simtest.Sim
	reports *reports.Reports
}

func newPlace(t *testing.T, start time.Time) *place {
	t.Helper()
	p := &place{t: t, pool: dbtest.New(t)}
	p.sim = simtest.Start(t, simtest.WithoutMirror(), simtest.WithConfig(func(c *stripesim.Config) {
		c.Now = func() time.Time { return start }
	}))
	p.Now = p.sim.Server.Now
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := stripeapi.New(stripeapi.Config{Key: p.sim.SecretKey, Base: p.sim.URL, MaxRPS: 100_000})
	setup, err := payments.SetUp(t.Context(), client, billing.DefaultPlans(), payments.SetupOptions{WebhookURL: "http://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	p.Auth = auth.New(p.pool, p.Now)
	p.Payments = payments.New(payments.Payments{
		Pool: p.pool, Stripe: client, Plans: billing.DefaultPlans(), Sold: setup.Sold, Secrets: []string{setup.Endpoint.Secret},
		BaseURL: "http://127.0.0.1:8080", Now: p.Now, Clock: time.Now, Log: quiet,
	})
	books := &ledger.Ledger{Pool: p.pool, Now: p.Now, Logger: quiet}
	p.reports = &reports.Reports{Pool: p.pool, Now: p.Now}
	p.Stripe = seed.Stripe{Base: p.sim.URL, Key: p.sim.SecretKey, HTTP: http.DefaultClient}
	p.Password = "nobody logs in here"
	p.Advance = func(ctx context.Context, to time.Time) error {
		_, err := p.sim.Server.Advance(ctx, to)
		return err
	}
	p.Settle = func(ctx context.Context) error { return p.settle(ctx, books) }

	server := &http.Server{Handler: http.HandlerFunc(p.receive), ReadHeaderTimeout: time.Minute}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 3)
	go func() { ended <- server.Serve(listener) }()
	go func() { ended <- p.Payments.Run(ctx) }()
	go func() { ended <- books.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		_ = server.Close()
		for range 3 {
			if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		}
	})
	return p
}

func (p *place) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = p.Payments.Receive(r.Context(), r.Header.Get("Stripe-Signature"), body)
	}
	if err != nil {
		p.t.Errorf("receive: %v", err)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (p *place) settle(ctx context.Context, books *ledger.Ledger) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		pending := p.sim.Server.PendingDeliveries() // first: what arrives raises the backlog
		backlog, err := db.New(p.pool).QueueBacklog(ctx)
		if err != nil {
			return err
		}
		settled, err := books.Settled(ctx)
		if err != nil || settled && backlog == 0 && pending == 0 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// live lives the plan and returns MRR at the end of each calendar month, summed
// from the stand-in's own state while it was that month.
func (p *place) live(plan seed.Plan) map[time.Time]int64 {
	p.t.Helper()
	sums := map[time.Time]int64{}
	err := p.Live(p.t.Context(), plan, func(progress seed.Progress) error {
		if progress.Act.Kind == seed.MonthEnds {
			sums[analytics.MonthOf(progress.Act.At, time.UTC)] = naiveMRR(p.t, p.sim)
		}
		return nil
	})
	if err != nil {
		p.t.Fatalf("live: %v", err)
	}
	return sums
}

// naiveMRR adds up what is in force, knowing nothing of versions, movements or
// rollups: in millionths of a cent, each subscription rounded by itself.
func naiveMRR(t *testing.T, sim *simtest.Sim) int64 {
	t.Helper()
	var sum int64
	for _, s := range sim.State(t)["subscription"] {
		if s["status"] != "active" && s["status"] != "past_due" {
			continue
		}
		for _, item := range s["items"].(map[string]any)["data"].([]any) {
			item := item.(map[string]any)
			price := item["price"].(map[string]any)
			amount := int64(price["unit_amount"].(float64)) * int64(item["quantity"].(float64)) * 1_000_000
			switch interval := price["recurring"].(map[string]any)["interval"]; interval {
			case "month":
				sum += amount
			case "year":
				sum += (amount + 6) / 12
			default:
				t.Fatalf("nobody sells by the %s", interval)
			}
		}
	}
	return sum
}

// figures are MRR at the end of each month as the dashboard has it.
func (p *place) figures() []analytics.Point {
	p.t.Helper()
	overview, err := p.reports.Overview(p.t.Context(), reports.Query{})
	if err != nil {
		p.t.Fatal(err)
	}
	if len(overview.Currencies) != 1 {
		p.t.Fatalf("%d currencies, want one", len(overview.Currencies))
	}
	return overview.Points
}

// TestTheDashboardHasTheMRRThatTheStandInHad recomputes each month end of five
// lived years from the stand-in's own state. The last seed is another one each
// time; its name says which.
func TestTheDashboardHasTheMRRThatTheStandInHad(t *testing.T) {
	t.Parallel()
	for _, number := range []int64{1, 7, 42, 20231016, rand.Int64N(1_000_000)} {
		t.Run(fmt.Sprintf("seed %d", number), func(t *testing.T) {
			t.Parallel()
			plan := seed.Make(config(14, 12, number))
			p := newPlace(t, plan.Start)
			naive := p.live(plan)
			months, compared := p.figures(), 0
			for _, month := range months {
				want, known := naive[month.Start]
				if month.IsRunning {
					want, known = naiveMRR(t, p.sim), true
				}
				if !known {
					t.Errorf("no sum was taken at the end of %s", month.Start.Format("January 2006"))
				}
				if month.Closing.MRRMicro != want {
					t.Errorf("%s: the dashboard has %d, the stand-in had %d", month.Start.Format("January 2006"), month.Closing.MRRMicro, want)
				}
				if want > 0 {
					compared++
				}
			}
			if compared < 6 {
				t.Errorf("only %d months had any MRR", compared)
			}
			p.checkFunnel(plan)
			p.checkExamples(plan)
			p.checkMonthAfter(plan)
		})
	}
}

// checkFunnel wants the visitors of the plan in the funnel, some of whom pay.
func (p *place) checkFunnel(plan seed.Plan) {
	p.t.Helper()
	f, err := p.reports.Funnel(p.t.Context(), reports.Query{Recent: reports.Recent{Months: 24}})
	if err != nil {
		p.t.Fatal(err)
	}
	sum := f.Sum()
	visitors, paid := sum.Prices[analytics.FunnelViewed], sum.Prices[analytics.FunnelPaid]
	if n := int64(len(plan.Organizations)); visitors < 8*n || visitors > 13*n || paid == 0 || paid > visitors/5 {
		p.t.Errorf("of %d visitors %d paid; %d signed up", visitors, paid, n)
	}
	if took := f.Took[analytics.FunnelStarted]; took == nil || *took > time.Hour {
		p.t.Errorf("half of them took up to %v to begin a checkout", took)
	}
}

// checkExamples wants who is said to pay, and to fail, to do so.
func (p *place) checkExamples(plan seed.Plan) {
	p.t.Helper()
	want := map[string]string{} // status by organization
	for _, sold := range billing.DefaultPlans().Plans {
		if i := plan.Paying(sold); i >= 0 {
			want[plan.Organizations[i].Name] = sold.Code + " active"
		}
	}
	for _, i := range plan.Failing {
		want[plan.Organizations[i].Name] = "pro past_due"
	}
	if len(plan.Failing) == 0 || len(want) == len(plan.Failing) {
		p.t.Errorf("examples are %v", want)
	}
	for name, standing := range want {
		var got string
		err := p.pool.QueryRow(p.t.Context(), `SELECT coalesce(string_agg(l.plan || ' ' || l.status, ', '), '')
			FROM subscription_list l JOIN organizations o ON o.id = l.org_id WHERE o.name = $1 AND l.status <> 'canceled'`, name).Scan(&got)
		if err != nil || got != standing {
			p.t.Errorf("%s has %q, %v; the plan says %q", name, got, err, standing)
		}
	}
}

// checkMonthAfter wants something to come well and something to end badly in the
// month after the present, in which nobody acts.
func (p *place) checkMonthAfter(plan seed.Plan) {
	p.t.Helper()
	if err := p.Advance(p.t.Context(), plan.Present.AddDate(0, 0, 31)); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Settle(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	for _, kind := range []string{"subscription_recovered", "subscription_activated", "subscription_canceled", "payment_failed", "payment_succeeded"} {
		var n int
		err := p.pool.QueryRow(p.t.Context(), "SELECT count(*) FROM payment_events WHERE kind = $1 AND at > $2", kind, plan.Present).Scan(&n)
		if err != nil || n == 0 {
			p.t.Errorf("%d of %s in the month after the present, %v", n, kind, err)
		}
	}
}

// TestTheRarerThingsHappenToo wants each of them to have come to what it was meant
// to, and the figures to be right all the same.
func TestTheRarerThingsHappenToo(t *testing.T) {
	t.Parallel()
	plan := seed.Make(config(44, 9, 5))
	p := newPlace(t, plan.Start)
	p.live(plan)
	state, got := p.sim.State(t), map[string]int{}
	count := func(kind, field string) {
		for _, object := range state[kind] {
			if value, ok := object[field].(string); ok {
				got[kind+" "+value]++
			}
		}
	}
	for kind, field := range map[string]string{
		"refund": "status", "dispute": "status", "subscription_schedule": "status", "subscription": "status", "payment_method": "type",
	} {
		count(kind, field)
	}
	for _, want := range []string{
		"refund succeeded", "dispute won", "dispute lost", "subscription_schedule active", "subscription paused", "subscription unpaid",
		"payment_method us_bank_account",
	} {
		if got[want] == 0 {
			t.Errorf("no %s; there are %v", want, got)
		}
	}
	live, agreed := map[string]int{}, 0
	for _, s := range state["subscription"] {
		if s["status"] == "active" {
			live[s["customer"].(string)]++
		}
		item := s["items"].(map[string]any)["data"].([]any)[0].(map[string]any)
		if item["price"].(map[string]any)["lookup_key"] == nil {
			agreed++
		}
	}
	if most := slices.Max(slices.Collect(maps.Values(live))); most != 2 || agreed != 1 {
		t.Errorf("somebody has %d live subscriptions, and %d have a price of their own", most, agreed)
	}
	months := p.figures()
	if closing, want := months[len(months)-1].Closing.MRRMicro, naiveMRR(t, p.sim); closing != want {
		t.Errorf("the dashboard has %d, the stand-in has %d", closing, want)
	}
}

// TestTheSamePlanLivedTwiceEndsInTheSameFigures, whatever overtakes what.
func TestTheSamePlanLivedTwiceEndsInTheSameFigures(t *testing.T) {
	t.Parallel()
	plan := seed.Make(config(14, 7, 3))
	var figures [2][]analytics.Point
	var happened [2][]string
	for i := range figures {
		p := newPlace(t, plan.Start)
		p.live(plan)
		figures[i] = p.figures()
		rows, err := p.pool.Query(t.Context(), `SELECT concat_ws(' ', o.name, e.kind, e.at, e.plan, e."interval", e.amount_minor)
			FROM payment_events e JOIN organizations o ON o.id = e.org_id ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		if happened[i], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(figures[0], figures[1]); diff != "" {
		t.Errorf("the figures differ (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(happened[0], happened[1]); diff != "" || len(happened[0]) < 80 {
		t.Errorf("of %d events some differ (-first +second):\n%s", len(happened[0]), diff)
	}
}
