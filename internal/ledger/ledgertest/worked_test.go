package ledgertest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// street is a shop before a Stripe whose clock stands still until it is moved:
// what a worked example tells happens there, and figures are read where people
// read them.
type street struct {
	*testing.T
	sim      *simtest.Sim
	pool     *pgxpool.Pool
	payments *payments.Payments
	ledger   *ledger.Ledger
	reports  *reports.Reports
	clock    atomic.Int64
	prices   map[string]string
	made     int
	// mail are the events so far, heard their ids.
	mail  []json.RawMessage
	heard map[string]bool
}

const hookSecret = "whsec_worked"

func openStreet(t *testing.T, begins time.Time) *street {
	t.Helper()
	s := &street{T: t, pool: dbtest.New(t), prices: map[string]string{}, heard: map[string]bool{}}
	s.clock.Store(begins.Unix())
	now := func() time.Time { return time.Unix(s.clock.Load(), 0).UTC() }
	s.sim = simtest.Start(t, simtest.WithoutMirror(), simtest.WithConfig(func(c *stripesim.Config) { c.Now = now }))
	log := slog.New(slog.DiscardHandler)
	client := stripeapi.New(stripeapi.Config{Key: s.sim.SecretKey, Base: s.sim.URL, MaxRPS: 10_000})
	set, err := payments.SetUp(t.Context(), client, billing.DefaultPlans(), payments.SetupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.payments = payments.New(payments.Payments{
		Pool: s.pool, Stripe: client, Plans: billing.DefaultPlans(), Sold: set.Sold, Secrets: []string{hookSecret},
		BaseURL: "http://127.0.0.1:8080", Now: now, Clock: time.Now, Log: log,
	})
	s.ledger = &ledger.Ledger{Pool: s.pool, Now: now, Logger: log}
	s.reports = &reports.Reports{Pool: s.pool, Now: now}
	return s
}

// ask is one request of Stripe's API; form is pairs of names and values.
func (s *street) ask(method, path string, form ...string) map[string]any {
	s.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	status, body := s.sim.Do(s.T, method, path, values.Encode())
	if status != http.StatusOK {
		s.Fatalf("%s %s %v: %d %s", method, path, form, status, body)
	}
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		s.Fatal(err)
	}
	return out
}

// until moves the clock; whatever falls due is lived through on the way, and what
// Stripe says of it is kept, for Stripe forgets its events after a month.
func (s *street) until(at time.Time) {
	s.Helper()
	for s.clock.Load() < at.Unix() {
		s.clock.Store(min(at.Unix(), s.clock.Load()+20*24*60*60))
		s.ask(http.MethodGet, "/v1/balance")
		s.collect()
	}
}

// collect keeps the events that are not kept yet.
func (s *street) collect() {
	s.Helper()
	var fresh []json.RawMessage
	var ids []string
	defer func() {
		s.mail = append(s.mail, fresh...)
		for _, id := range ids {
			s.heard[id] = true
		}
	}()
	for after, more := "", true; more; {
		path := "/v1/events?limit=100"
		if after != "" {
			path += "&starting_after=" + after
		}
		_, body := s.sim.Do(s.T, http.MethodGet, path, "")
		var page struct {
			Data    []json.RawMessage `json:"data"`
			HasMore bool              `json:"has_more"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			s.Fatal(err)
		}
		more = page.HasMore
		for _, raw := range page.Data {
			var event struct{ ID string }
			if err := json.Unmarshal(raw, &event); err != nil {
				s.Fatal(err)
			}
			if after = event.ID; s.heard[after] {
				return // the newest come first
			}
			fresh = append(fresh, raw)
			ids = append(ids, event.ID)
		}
	}
}

// price is one in dollars for so many intervals, e.g. "3 month".
func (s *street) price(dollars int64, per string) string {
	s.Helper()
	key := fmt.Sprint(dollars, per)
	if s.prices[key] == "" {
		count, interval, found := strings.Cut(per, " ")
		if !found {
			count, interval = "1", per
		}
		product := s.ask(http.MethodPost, "/v1/products", "name", "Pro", "metadata[plan]", "pro")
		price := s.ask(http.MethodPost, "/v1/prices", "product", product["id"].(string), "currency", "usd", "unit_amount", strconv.FormatInt(dollars*100, 10),
			"recurring[interval]", interval, "recurring[interval_count]", count)
		s.prices[key] = price["id"].(string)
	}
	return s.prices[key]
}

// customer is one whose card pays.
func (s *street) customer() string {
	s.Helper()
	s.made++
	id := s.ask(http.MethodPost, "/v1/customers", "name", fmt.Sprint("Customer ", s.made))["id"].(string)
	card := s.ask(http.MethodPost, "/v1/payment_methods/pm_card_visa/attach", "customer", id)["id"].(string)
	s.ask(http.MethodPost, "/v1/customers/"+id, "invoice_settings[default_payment_method]", card)
	return id
}

// subscribe begins a subscription and returns it with its only item.
func (s *street) subscribe(customer string, dollars int64, per string, form ...string) (subscription, item string) {
	s.Helper()
	sub := s.ask(http.MethodPost, "/v1/subscriptions", append([]string{"customer", customer, "items[0][price]", s.price(dollars, per)}, form...)...)
	items := sub["items"].(map[string]any)["data"].([]any)
	return sub["id"].(string), items[0].(map[string]any)["id"].(string)
}

func (s *street) change(subscription, item string, dollars int64, form ...string) {
	s.Helper()
	s.ask(http.MethodPost, "/v1/subscriptions/"+subscription, append([]string{"items[0][id]", item, "items[0][price]", s.price(dollars, "month")}, form...)...)
}

func (s *street) cancel(subscription string) {
	s.Helper()
	s.ask(http.MethodDelete, "/v1/subscriptions/"+subscription)
}

// tell delivers all events there are, in no order and some of them twice, lets
// the doors do their work and verifies the figures.
func (s *street) tell() {
	s.Helper()
	s.collect()
	events := s.mail
	r := rand.New(rand.NewPCG(5, uint64(len(events)))) //nolint:gosec // an order, and the same one each time
	events = append(slices.Clone(events), events[:len(events)/5]...)
	r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	for _, e := range events {
		at := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(hookSecret))
		fmt.Fprintf(mac, "%s.%s", at, e)
		if err := s.payments.Receive(s.Context(), "t="+at+",v1="+hex.EncodeToString(mac.Sum(nil)), e); err != nil {
			s.Fatal(err)
		}
	}
	for range 100 {
		var waiting int
		if err := s.pool.QueryRow(s.Context(), `SELECT count(*) FROM sync_queue WHERE wanted > done`).Scan(&waiting); err != nil {
			s.Fatal(err)
		}
		if waiting == 0 {
			break
		}
		if _, err := s.pool.Exec(s.Context(), `UPDATE sync_queue SET due_at = '-infinity' WHERE wanted > done`); err != nil {
			s.Fatal(err)
		}
		if _, err := s.payments.Work(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
	if err := s.payments.SyncCash(s.Context()); err != nil {
		s.Fatal(err)
	}
	for {
		n, err := s.ledger.Step(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	if err := s.ledger.Verify(s.Context()); err != nil {
		s.Fatal(err)
	}
}

// month is what is known of a month.
func (s *street) month(at time.Time) analytics.Point {
	s.Helper()
	day := analytics.DayOf(at, time.UTC)
	figures, err := s.reports.Series(s.Context(), reports.Query{First: day, Last: day, Currency: "usd"})
	if err != nil {
		s.Fatal(err)
	}
	return figures.Points[0]
}

// figure compares a figure with a fraction, of dollars where it is money, to the
// cent or a twentieth of a percentage point.
func (s *street) figure(p analytics.Point, key, want string) {
	s.Helper()
	metric, ok := analytics.MetricByKey(key)
	if !ok {
		s.Fatalf("there is no figure %q", key)
	}
	expected, ok := new(big.Rat).SetString(want)
	if !ok {
		s.Fatalf("%q is no fraction", want)
	}
	tolerance := big.NewRat(5, 10_000)
	if metric.Unit == analytics.Money {
		expected.Mul(expected, big.NewRat(100*money.Micro, 1))
		tolerance = big.NewRat(money.Micro/2, 1)
	}
	got := metric.Of(p)
	if !got.Defined() {
		s.Errorf("%s of %s is not there: %s", key, p.Start.Format("2006-01"), got.Note)
		return
	}
	if off := new(big.Rat).Sub(got.Rat, expected); off.Abs(off).Cmp(tolerance) > 0 {
		s.Errorf("%s of %s is %s, want %s", key, p.Start.Format("2006-01"), got.Rat.FloatString(6), expected.FloatString(6))
	}
}

// moved are the movements, as "day kind dollars reason".
func (s *street) moved(want ...string) {
	s.Helper()
	page, err := s.reports.Movements(s.Context(), reports.Query{Currency: "usd", Recent: reports.Recent{All: true}}, reports.MovementFilter{AtMost: 100})
	if err != nil {
		s.Fatal(err)
	}
	var got []string
	for _, m := range slices.Backward(page.Movements) {
		got = append(got, fmt.Sprintf("%s %s %.2f", m.Day.Format("01-02"), m.Kind, float64(m.AmountMicro)/(100*money.Micro)))
	}
	differ(s.T, "movements", want, got)
}

// TestWorkedExamplesByTheDoorsOfProduction lets the published examples that have a
// history happen at Stripe's stand-in, tells of it by shuffled webhooks, and reads
// the figures where pages read them. What is on the left is the number of the
// example among the definitions.
func TestWorkedExamplesByTheDoorsOfProduction(t *testing.T) {
	t.Parallel()
	march := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return march.AddDate(0, 0, n-1) }
	for name, example := range map[string]func(*street){
		"G01, G23, G27: prices of any interval": func(s *street) {
			s.subscribe(s.customer(), 100, "month", "items[0][quantity]", "100")
			s.subscribe(s.customer(), 600, "year", "items[0][quantity]", "50")
			s.tell()
			s.figure(s.month(march), "mrr", "12500")
			for _, tt := range []struct {
				dollars int64
				per     string
				worth   string
			}{{1200, "year", "100"}, {10, "week", "130/3"}, {90, "3 month", "30"}} {
				before := s.month(march).Closing.MRRMicro
				s.until(time.Unix(s.clock.Load()+60, 0))
				s.subscribe(s.customer(), tt.dollars, tt.per)
				s.tell()
				by := s.month(march)
				by.Closing.MRRMicro -= before
				s.figure(by, "mrr", tt.worth)
			}
		},
		"G02: the roll-forward": func(s *street) {
			var opening [10][2]string
			for i := range opening {
				opening[i][0], opening[i][1] = s.subscribe(s.customer(), 100, "month")
			}
			s.until(march.AddDate(0, 1, 0))
			s.subscribe(s.customer(), 100, "month", "trial_period_days", "5")
			s.until(march.AddDate(0, 1, 10))
			s.change(opening[0][0], opening[0][1], 150)
			s.until(march.AddDate(0, 1, 11))
			s.change(opening[1][0], opening[1][1], 60)
			s.until(march.AddDate(0, 1, 12))
			s.cancel(opening[1][0])
			s.until(march.AddDate(0, 1, 20))
			s.tell()
			p := s.month(march.AddDate(0, 1, 0))
			for key, want := range map[string]string{"new": "100", "expansion": "50", "contraction": "-40", "churn": "-60", "netNew": "50", "mrr": "1050"} {
				s.figure(p, key, want)
			}
		},
		"G04: gross and net revenue churn": func(s *street) {
			leaves, _ := s.subscribe(s.customer(), 10, "month")
			shrinks, item := s.subscribe(s.customer(), 20, "month")
			grows, grown := s.subscribe(s.customer(), 30, "month")
			s.subscribe(s.customer(), 40, "month")
			s.until(march.AddDate(0, 1, 5))
			s.cancel(leaves)
			s.change(shrinks, item, 10)
			s.change(grows, grown, 40)
			s.until(march.AddDate(0, 2, 0))
			s.tell()
			p := s.month(march.AddDate(0, 1, 0))
			for key, want := range map[string]string{"revenueChurn": "0.2", "netRevenueChurn": "0.1", "grr": "0.8", "nrr": "0.9"} {
				s.figure(p, key, want)
			}
		},
		"G08, G17, G31: who stays, and how much of it": func(s *street) {
			small, item := s.subscribe(s.customer(), 1000, "month")
			large, _ := s.subscribe(s.customer(), 5000, "month")
			s.until(march.AddDate(0, 1, 9))
			s.cancel(large)
			s.until(march.AddDate(0, 2, 9))
			s.change(small, item, 1200)
			s.until(march.AddDate(0, 3, 0))
			s.tell()
			p := s.month(march.AddDate(0, 1, 0))
			s.figure(s.month(march), "arpa", "3000")
			s.figure(p, "logoChurn", "0.5")
			s.figure(p, "revenueChurn", "5/6")
			p = s.month(march.AddDate(0, 2, 0))
			s.figure(p, "grr", "1")
			s.figure(p, "nrr", "1.2")
		},
		"G12: of a hundred trials fifteen are paid for": func(s *street) {
			var subs []string
			for range 100 {
				sub, _ := s.subscribe(s.customer(), 29, "month", "trial_period_days", "7")
				subs = append(subs, sub)
			}
			s.until(day(4))
			for _, sub := range subs[15:] {
				s.cancel(sub)
			}
			s.until(day(25))
			s.tell()
			s.figure(s.month(march), "trialConversion", "0.15")
		},
		"G33: what a switch costs in between is no MRR": func(s *street) {
			sub, item := s.subscribe(s.customer(), 10, "month")
			s.until(march.Add(31 * 24 * time.Hour / 2))
			s.change(sub, item, 20, "proration_behavior", "always_invoice")
			invoices := s.ask(http.MethodGet, "/v1/invoices?subscription="+sub)["data"].([]any)
			if paid := invoices[0].(map[string]any)["amount_paid"]; paid != 500.0 {
				s.Errorf("the switch was charged %v, want 500", paid)
			}
			s.tell()
			s.moved("03-01 new 10.00", "03-16 expansion 10.00")
		},
		"G35: a refund is cash and no movement": func(s *street) {
			s.subscribe(s.customer(), 250, "year")
			s.until(day(5))
			charge := s.ask(http.MethodGet, "/v1/charges")["data"].([]any)[0].(map[string]any)["id"].(string)
			s.ask(http.MethodPost, "/v1/refunds", "charge", charge)
			s.until(day(28))
			s.tell()
			s.moved("03-01 new 20.83")
			p := s.month(march)
			s.figure(p, "mrr", "125/6")
			s.figure(p, "grossVolume", "250")
			s.figure(p, "refunds", "-250")
		},
		"G37: the first of two ends, then the last": func(s *street) {
			customer := s.customer()
			first, _ := s.subscribe(customer, 30, "month")
			second, _ := s.subscribe(customer, 20, "month")
			s.until(day(10))
			s.cancel(first)
			s.until(day(20))
			s.cancel(second)
			s.tell()
			s.moved("03-01 new 50.00", "03-10 contraction -30.00", "03-20 churn -20.00")
			if lost := -s.month(march).Moved[analytics.Churn].Customers; lost != 1 {
				s.Errorf("%d customers were lost, want 1", lost)
			}
		},
		"G42: one cohort over three months": func(s *street) {
			var subs []string
			for range 100 {
				sub, _ := s.subscribe(s.customer(), 29, "month")
				subs = append(subs, sub)
			}
			for month, left := range []int{100, 92, 85, 80} {
				s.until(march.AddDate(0, month, 9))
				for ; len(subs) > left; subs = subs[1:] {
					s.cancel(subs[0])
				}
			}
			s.tell()
			report, err := s.reports.Cohorts(s.Context(), reports.Query{})
			if err != nil {
				s.Fatal(err)
			}
			var got []int64
			for _, level := range report.Cohorts[0].Levels {
				got = append(got, level.Active)
			}
			differ(s.T, "who is left", []int64{100, 92, 85, 80}, got)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			example(openStreet(t, march))
		})
	}
}

// TestTheMatrixOfPublishedCohorts puts the published table of sixteen cohorts,
// 2,997 customers, through the ledger and reads it back: the shares of each
// cohort as they were printed, and the weighted average row, which the source
// rounds from figures that it does not print.
func TestTheMatrixOfPublishedCohorts(t *testing.T) {
	t.Parallel()
	type cohort struct {
		Size    int64
		Percent []int64
		Active  []int64
	}
	var examples []struct {
		ID        string
		Cohorts   []cohort
		Weighted  []float64
		Tolerance float64
	}
	readJSON(t, "../../analytics/testdata/cohorts.json", &examples)
	for _, tt := range examples {
		t.Run(tt.ID, func(t *testing.T) {
			c := found(t, "UTC")
			months := 0
			for i, cohort := range tt.Cohorts {
				months = max(months, i+len(cohort.Percent), i+len(cohort.Active))
			}
			first := time.Date(2025, 1, 1, 12, 0, 0, 0, time.UTC)
			now := first.AddDate(0, months, -1) // the last day of the last month
			c.now.Store(&now)
			var want [][]int64
			made := 0
			for i, cohort := range tt.Cohorts {
				size := min(cohort.Size, 1000) // G15 has a hundred thousand of the same kind
				var active []int64
				for _, percent := range cohort.Percent {
					active = append(active, (2*percent*size+100)/200)
				}
				for _, n := range cohort.Active {
					active = append(active, n*size/cohort.Size)
				}
				want = append(want, active)
				begins := first.AddDate(0, i, 0)
				c.exec(`INSERT INTO subscription_versions (subscription_id, at, stripe_customer_id, facts, source, source_id)
					SELECT 'sub_' || n, $1, 'cus_' || n, '{"status": "active", "currency": "usd", "items": [{"price": "price_pro_month", "quantity": 1}]}', 'event', 'a'
					FROM generate_series($2::int, $3::int) n`, begins, made, made+int(size)-1)
				left := size
				for k, n := range active {
					c.exec(`INSERT INTO subscription_versions (subscription_id, at, stripe_customer_id, facts, source, source_id)
						SELECT 'sub_' || n, $1, 'cus_' || n, '{"status": "canceled", "currency": "usd", "items": [{"price": "price_pro_month", "quantity": 1}]}', 'event', 'b'
						FROM generate_series($2::int, $3::int) n`, begins.AddDate(0, k, 5), made+int(n), made+int(left)-1)
					left = min(left, n)
				}
				made += int(size)
			}
			c.exec(`INSERT INTO metric_dirty (customer_id) SELECT DISTINCT stripe_customer_id FROM subscription_versions`)
			c.settle()
			r := &reports.Reports{Pool: c.pool, Now: c.clock}
			report, err := r.Cohorts(t.Context(), reports.Query{Recent: reports.Recent{All: true}})
			if err != nil {
				t.Fatal(err)
			}
			for i, cohort := range report.Cohorts {
				for k, level := range cohort.Levels[:len(want[i])] {
					if level.Active != want[i][k] || level.Customers != want[i][0] {
						t.Errorf("month %d of cohort %d has %d of %d, want %d of %d", k, i, level.Active, level.Customers, want[i][k], want[i][0])
					}
				}
			}
			if len(report.Cohorts) != len(tt.Cohorts) {
				t.Errorf("there are %d cohorts, want %d", len(report.Cohorts), len(tt.Cohorts))
			}
		})
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
