package ledger_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/pgembed"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/reports"
)

var (
	benchFigures   = flag.Bool("figures", false, "measure figures at scale")
	benchCustomers = flag.Int("figures.customers", 1_000_000, "how many customers the larger company has; the smaller one has a tenth of them")
	benchData      = flag.String("figures.data", "", "where companies are kept to be used again; empty: they are made anew and thrown away")
	benchRequests  = flag.Int("figures.requests", 8, "how often each page is asked for each of its presets")
	benchCosts     = flag.Bool("figures.costs", false, "also say what the database spends its time on")
	benchApplied   = flag.Int("figures.applied", 500, "how many changes are applied one by one")
)

// The targets. Figures beyond them are marked, not failed: they depend on the
// machine and on what else it does.
const (
	pageTarget   = 100 * time.Millisecond
	growthTarget = 1.5
	applyTarget  = 5 * time.Millisecond
	verifyTarget = 10_000 // customers a second
)

// TestFiguresAtScale makes up a company with a million customers and ten million
// movements, and one with a tenth of that, and measures what pages, a change and
// a verification cost. It fails for an invariant that does not hold or a page that
// is not shown.
func TestFiguresAtScale(t *testing.T) {
	if !*benchFigures {
		t.Skip("makes up a million customers and wants the machine for itself: make bench-analytics")
	}
	folder := *benchData
	if folder == "" {
		folder = t.TempDir()
	} else if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	small, large := newHistory(*benchCustomers/10), newHistory(*benchCustomers)
	makeUp(t, folder, map[string]*history{"small": small, "large": large})

	settings := map[string]string{"max_wal_size": "4GB", "shared_buffers": "1GB", "effective_cache_size": "4GB"}
	if *benchCosts {
		settings["shared_preload_libraries"] = "pg_stat_statements"
	}
	server := start(t, folder, settings)
	var costs [2]map[string]spread
	for i, h := range []*history{small, large} {
		c := open(t, server.URL([]string{"small", "large"}[i]), h)
		t.Logf("— a company of %d customers with %d movements", h.customers, c.count("SELECT count(*) FROM customer_movement"))
		c.sizes()
		c.baseline()
		c.forget()
		costs[i] = c.pages()
		c.dearest("pages")
		c.applies()
		c.dearest("changes")
		c.verifies()
		c.dearest("verification")
		c.pool.Close()
	}
	t.Log("— the larger company beside the smaller one, with ten times the movements")
	for _, page := range pages {
		s, l := costs[0][page], costs[1][page]
		if s.n == 0 || l.n == 0 {
			continue
		}
		growth := float64(l.quiet) / float64(s.quiet)
		t.Logf("%-36s undisturbed %6.2f ms -> %6.2f ms   p95 %6.2f -> %6.2f   × %.2f%s", page, ms(s.quiet), ms(l.quiet), ms(s.p95), ms(l.p95), growth,
			beyond(growth >= growthTarget))
	}
}

func beyond(is bool) string {
	if is {
		return "   BEYOND THE TARGET"
	}
	return ""
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func start(t *testing.T, folder string, settings map[string]string) *pgembed.Server {
	t.Helper()
	server, err := pgembed.Start(t.Context(), pgembed.Config{Dir: filepath.Join(folder, "postgres"), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	return server
}

// makeUp writes what is not there yet, by a server that trades safety for speed:
// what is measured is not the writing.
func makeUp(t *testing.T, folder string, companies map[string]*history) {
	t.Helper()
	server := start(t, folder, map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0",
		"autovacuum": "off", "max_wal_size": "4GB", "checkpoint_timeout": "1h", "shared_buffers": "1GB", "maintenance_work_mem": "1GB",
	})
	for name, h := range companies {
		if h.isThere(t.Context(), server.URL(name)) {
			continue
		}
		admin, err := pgx.Connect(t.Context(), server.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = admin.Exec(t.Context(), "DROP DATABASE IF EXISTS "+name)
		_ = admin.Close(t.Context())
		if err == nil {
			err = server.EnsureDatabase(t.Context(), name)
		}
		if err == nil {
			err = h.load(t.Context(), server.URL(name), func(format string, args ...any) { t.Logf(name+": "+format, args...) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// company is one that is measured.
type company struct {
	*testing.T
	*history
	pool   *pgxpool.Pool
	ledger *ledger.Ledger
	server *httptest.Server
	client *http.Client
}

const rootPassword = "correct horse battery"

// open assembles the product over a company, with an administrator logged in.
func open(t *testing.T, url string, h *history) *company {
	t.Helper()
	pool, err := db.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return h.now }
	log := slog.New(slog.DiscardHandler)
	c := &company{T: t, history: h, pool: pool, ledger: &ledger.Ledger{Pool: pool, Now: now, Logger: log}}
	c.server = httptest.NewUnstartedServer(nil)
	base := "http://" + c.server.Listener.Addr().String()
	often := ratelimit.Rate{N: 1_000_000, Per: time.Minute}
	people := auth.New(pool, time.Now)
	c.server.Config.Handler = handlers.New(handlers.Deps{
		Pool: pool, Auth: people, Sessions: auth.NewSessions(pool, false), Keys: &auth.Keys{Pool: pool, Clock: time.Now},
		Payments: payments.New(payments.Payments{
			Pool: pool, Plans: billing.DefaultPlans(), BaseURL: base, Now: now, Clock: time.Now, Log: log,
		}),
		Reports: &reports.Reports{Pool: pool, Now: now},
		Shared:  &ratelimit.Shared{Pool: pool, Now: time.Now}, Local: &ratelimit.Local{Now: time.Now}, RateCheckout: often, RateRead: often,
		Plans: billing.DefaultPlans(), BaseURL: base, Ready: func(ctx context.Context) error { return pool.Ping(ctx) },
		Now: now, Clock: time.Now, Log: log,
	})
	c.server.Start()
	t.Cleanup(c.server.Close)
	jar, _ := cookiejar.New(nil) // never fails
	c.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	email := fmt.Sprintf("root%d@example.com", time.Now().UnixNano())
	if _, err := people.CreateUser(t.Context(), auth.NewUser{Name: "Root", Email: email, Password: rootPassword, IsAdmin: true}); err != nil {
		t.Fatal(err)
	}
	form := strings.NewReader(urlValues("email", email, "password", rootPassword))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/login", form)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", base)
	answer, err := c.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("log in: %s", answer.Status)
	}
	return c
}

func urlValues(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func (c *company) count(sql string) int64 {
	c.Helper()
	var n int64
	if err := c.pool.QueryRow(c.Context(), sql).Scan(&n); err != nil {
		c.Fatal(err)
	}
	return n
}

// sizes prints what each table takes up, with each of its indexes.
func (c *company) sizes() {
	c.Helper()
	rows, err := c.pool.Query(c.Context(), `SELECT t.relname, t.reltuples::bigint, pg_relation_size(t.oid) / 1e6, coalesce(
			(SELECT string_agg(i.relname || ' ' || round(pg_relation_size(i.oid) / 1e6) || ' MB', ', ' ORDER BY pg_relation_size(i.oid) DESC)
				FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = t.oid), 'no index')
		FROM pg_class t WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace AND pg_relation_size(t.oid) > 100000
		ORDER BY pg_total_relation_size(t.oid) DESC`)
	if err != nil {
		c.Fatal(err)
	}
	var table, indexes string
	var n int64
	var mb float64
	if _, err := pgx.ForEachRow(rows, []any{&table, &n, &mb, &indexes}, func() error {
		c.Logf("%-24s %10d rows %8.0f MB   %s", table, n, mb, indexes)
		return nil
	}); err != nil {
		c.Fatal(err)
	}
	c.Logf("the database takes up %d MB", c.count("SELECT pg_database_size(current_database()) / 1000000"))
}

// spread is how long something took, many times.
type spread struct {
	n                    int
	least, p50, p95, max time.Duration
	// quiet is the mean of what each preset took when it took least: what a page
	// costs where nothing else is going on.
	quiet time.Duration
}

func spreadOf(took []time.Duration) spread {
	slices.Sort(took)
	n := len(took)
	if n == 0 {
		return spread{}
	}
	return spread{n, took[0], took[n/2], took[min(n-1, n*95/100)], took[n-1], took[0]}
}

func (s spread) String() string {
	return fmt.Sprintf("least %6.2f ms   p50 %6.2f ms   p95 %6.2f ms   most %6.2f ms   (%d)", ms(s.least), ms(s.p50), ms(s.p95), ms(s.max), s.n)
}

// baseline is what the same path costs with nothing at its end.
func (c *company) baseline() {
	c.Helper()
	var took []time.Duration
	for range 200 {
		began := time.Now()
		c.get("/readyz")
		took = append(took, time.Since(began))
	}
	c.Logf("%-36s %v", "a ping of the database, over HTTP", spreadOf(took[20:]))
	if _, err := c.pool.Exec(c.Context(), "CREATE TABLE IF NOT EXISTS nothing (n bigint)"); err != nil {
		c.Fatal(err)
	}
	took = nil
	for i := range 200 {
		began := time.Now()
		if _, err := c.pool.Exec(c.Context(), "INSERT INTO nothing VALUES ($1)", i); err != nil {
			c.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	c.Logf("%-36s %v", "an insert with its commit", spreadOf(took[20:]))
}

// pages are all that show figures.
var pages = []string{
	"/admin/billing", "/admin/billing/revenue", "/admin/billing/customers", "/admin/billing/plans", "/admin/billing/cohorts",
	"/admin/billing/funnel", "/admin/billing/payments", "/admin/billing/explain/mrr", "/admin/billing/explain/churn", "/admin/billing/explain/nrr", "/admin/billing/explain/trialMrr",
	"/admin/billing/explain/recoveryRate", "/admin/billing/explain/trialConversion", "/admin/billing/explain/netVolume", "/admin/billing/subscriptions",
}

// presets are what the bar offers.
var presets = []string{
	"", "range=30d", "range=90d", "range=6m", "range=24m", "range=year", "range=all", "interval=week", "interval=day", "interval=week&range=90d",
	"compare=previous", "compare=year", "plan=pro", "currency=eur", "compare=year&plan=enterprise&range=24m",
}

// pages asks for each page with each preset, once unseen and then so many times.
func (c *company) pages() map[string]spread {
	c.Helper()
	out := map[string]spread{}
	for _, page := range pages {
		var all, least []time.Duration
		var worst spread
		slowest := ""
		for _, preset := range presets {
			address := page
			if preset != "" && page != "/admin/billing/subscriptions" {
				address += "?" + preset
			}
			status, to := c.get(address)
			if status == http.StatusSeeOther {
				if address = to; strings.HasPrefix(to, "/login") {
					c.Fatalf("%s leads to %s", page, to)
				}
				status, _ = c.get(address)
			}
			if status == http.StatusNotFound && preset == "" {
				c.Logf("%-36s there is no such page yet", page)
				break
			}
			if status != http.StatusOK {
				c.Errorf("%s is answered %d", address, status)
				continue
			}
			var took []time.Duration
			for range *benchRequests {
				began := time.Now()
				c.get(address)
				took = append(took, time.Since(began))
			}
			all = append(all, took...)
			s := spreadOf(took)
			least = append(least, s.least)
			if s.least > worst.least {
				worst, slowest = s, preset
			}
			if page == "/admin/billing/subscriptions" {
				break
			}
		}
		if len(all) == 0 {
			continue
		}
		s := spreadOf(all)
		s.quiet = 0
		for _, d := range least {
			s.quiet += d / time.Duration(len(least))
		}
		out[page] = s
		c.Logf("%-36s %v   slowest %q with %.2f ms at least%s", page, s, slowest, ms(worst.least), beyond(s.p95 >= pageTarget))
	}
	return out
}

// forget begins to add up what statements cost.
func (c *company) forget() {
	c.Helper()
	if !*benchCosts {
		return
	}
	for _, sql := range []string{"CREATE EXTENSION IF NOT EXISTS pg_stat_statements", "SELECT pg_stat_statements_reset()"} {
		if _, err := c.pool.Exec(c.Context(), sql); err != nil {
			c.Fatal(err)
		}
	}
}

// dearest prints the statements that took longest in all, and begins anew.
func (c *company) dearest(of string) {
	c.Helper()
	if !*benchCosts {
		return
	}
	rows, err := c.pool.Query(c.Context(), `SELECT format('%s × %s ms, %s rows: %s', calls, round(mean_exec_time::numeric, 2), rows / calls,
			left(regexp_replace(query, '\s+', ' ', 'g'), 160))
		FROM pg_stat_statements WHERE calls > 0 ORDER BY total_exec_time DESC LIMIT 25`)
	if err != nil {
		c.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		c.Fatal(err)
	}
	c.Logf("what %s ask for:\n%s", of, strings.Join(lines, "\n"))
	c.forget()
}

// get is one request, read to its end.
func (c *company) get(address string) (status int, to string) {
	c.Helper()
	answer, err := c.client.Get(c.server.URL + address)
	if err != nil {
		c.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		c.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Location")
}

// applies changes one customer after another, each by a version dated within the
// last ninety days, and measures the ledger's transaction. As in payments, whoever
// writes the version has read the customer's history and copies to do so.
func (c *company) applies() {
	c.Helper()
	r := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano()))) //nolint:gosec // other customers each time
	var took []time.Duration
	for len(took) < *benchApplied {
		customer := c.Customer(r.IntN(c.customers))
		last := customer.Subscriptions
		if len(last) == 0 {
			continue
		}
		s := last[len(last)-1]
		state := s.States[len(s.States)-1]
		at := c.now.Add(-time.Duration(r.Int64N(int64(90 * 24 * time.Hour)))).Truncate(time.Second)
		if state.Facts.Status.IsTerminal() || state.At.After(at) {
			continue
		}
		state.Facts.Items = slices.Clone(state.Facts.Items)
		state.Facts.Items[0].Quantity += 1 + r.Int64N(20)
		facts, err := json.Marshal(state.Facts)
		if err != nil {
			c.Fatal(err)
		}
		if err := db.InTx(c.Context(), c.pool, func(_ pgx.Tx, q *db.Queries) error {
			rows, err := json.Marshal([]db.SubscriptionVersion{{
				SubscriptionID: s.ID, At: at, StripeCustomerID: s.StripeID, Facts: facts, Source: "event", SourceID: fmt.Sprint("evt_", len(took)),
			}})
			if err != nil {
				return err
			}
			if _, err := q.VersionsOfCustomers(c.Context(), customer.StripeIDs); err != nil {
				return err
			}
			if _, err := q.SubscriptionsOfCustomers(c.Context(), customer.StripeIDs); err != nil {
				return err
			}
			if err := q.WriteVersions(c.Context(), rows); err != nil {
				return err
			}
			return q.MarkDirty(c.Context(), []string{s.StripeID})
		}); err != nil {
			c.Fatal(err)
		}
		began := time.Now()
		if _, err := c.ledger.Step(c.Context()); err != nil {
			c.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	s := spreadOf(took[len(took)/10:])
	c.Logf("%-36s %v%s", "one customer's change, applied", s, beyond(s.p95 >= applyTarget))
}

// verifies checks every invariant there is.
func (c *company) verifies() {
	c.Helper()
	began := time.Now()
	checked, err := c.ledger.Check(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	took := time.Since(began)
	for _, f := range checked.Findings {
		c.Errorf("%s: %s", f.Check, f.Detail)
	}
	rate := float64(checked.Customers) / took.Seconds()
	c.Logf("%d invariants over %d customers verified in %v: %.0f customers a second%s", len(checked.Held), checked.Customers, took.Round(time.Millisecond), rate,
		beyond(rate < verifyTarget))
}
