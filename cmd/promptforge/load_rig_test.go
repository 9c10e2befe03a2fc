package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	_ "net/http/pprof" //nolint:gosec // of the product under test, on a loopback address
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/pgembed"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
	"github.com/promptforge/payments/migrations"
)

// watchedAt is the address at which a product under test can be looked into:
// how it spends its budget of requests, and its profiles.
const watchedAt = "PROMPTFORGE_TEST_WATCHED_AT"

// serveWatched is "promptforge serve", looked into.
func serveWatched(address string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a, listener, err := openServe(ctx, nil, stdio{os.Stdin, os.Stdout, os.Stderr})
	if err == nil {
		http.HandleFunc("/usage", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(a.stripe.Usage()) })
		go func() { _ = http.ListenAndServe(address, nil) }() //nolint:gosec // loopback, for the length of a test
		err = a.run(ctx, listener)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "promptforge serve:", err)
		return 1
	}
	return 0
}

// rig is the product as it is run in production, in a process of its own, with a
// Postgres that keeps its promises to the disk, before a stand-in.
type rig struct {
	t      *testing.T
	sim    *simtest.Sim
	pool   *pgxpool.Pool
	env    map[string]string
	base   string // of the product
	secret string // of the webhook endpoint
	sold   map[payments.Offer]string
	// behind is how far the stand-in's business lies in the past, in nanoseconds.
	behind  atomic.Int64
	door    *payments.Payments // into the same database, without workers
	logPath string
	// stripe delivers webhooks, programs asks the API: two who know nothing of
	// each other.
	stripe, programs *http.Client

	server *exec.Cmd
	watch  string
	// backend is a process of the database.
	backend int
	keeps   *pgx.Conn // it
}

const bulkPlan = "pro"

func newRig(t *testing.T, behind time.Duration) *rig {
	t.Helper()
	if !*load {
		t.Skip("load tests take minutes and want the machine for themselves: make load")
	}
	settings := map[string]string{"max_wal_size": "4GB"}
	if *loadCosts {
		settings["shared_preload_libraries"] = "pg_stat_statements"
	}
	postgres, err := pgembed.Start(t.Context(), pgembed.Config{Dir: filepath.Join(t.TempDir(), "postgres"), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = postgres.Stop(context.Background()) })
	if err := postgres.EnsureDatabase(t.Context(), "load"); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Up(t.Context(), postgres.URL("load")); err != nil {
		t.Fatal(err)
	}
	address := freeAddr(t)
	r := &rig{
		t: t, base: "http://" + address, logPath: filepath.Join(t.TempDir(), "serve.log"),
		stripe: newClient(), programs: newClient(),
	}
	if r.pool, err = db.Open(t.Context(), postgres.URL("load")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.pool.Close)
	r.behind.Store(int64(behind))
	r.sim = simtest.Start(t, simtest.WithoutMirror(), simtest.WithConfig(func(c *stripesim.Config) {
		c.Now = func() time.Time { return time.Now().Add(-time.Duration(r.behind.Load())) }
	}))
	set, err := payments.SetUp(t.Context(), stripeapi.New(stripeapi.Config{Key: r.sim.SecretKey, Base: r.sim.URL, MaxRPS: 10_000}),
		billing.DefaultPlans(), payments.SetupOptions{WebhookURL: r.base + webhookPath})
	if err != nil {
		t.Fatal(err)
	}
	r.secret, r.sold = set.Endpoint.Secret, set.Sold
	r.env = map[string]string{
		"DATABASE_URL": postgres.URL("load"), "BASE_URL": r.base, "ADDR": address,
		"STRIPE_SECRET_KEY": r.sim.SecretKey, "STRIPE_API_BASE": r.sim.URL,
		"TRUSTED_PROXIES": "127.0.0.0/8", // so that each visitor has an address of its own
	}
	for _, line := range environmentLines(billing.DefaultPlans(), set) {
		name, value, _ := strings.Cut(line, "=")
		r.env[name] = value
	}
	r.door = payments.New(payments.Payments{
		Pool: r.pool, Plans: billing.DefaultPlans(), Sold: r.sold, Secrets: []string{r.secret}, BaseURL: r.base,
		Now: time.Now, Clock: time.Now, Log: newLogger(io.Discard, "text", 0),
	})
	if r.keeps, err = pgx.Connect(t.Context(), postgres.URL("load")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.keeps.Close(context.Background()) })
	r.backend = int(r.keeps.PgConn().PID())
	var commit, fsync string
	if err := r.pool.QueryRow(t.Context(), "SELECT current_setting('synchronous_commit'), current_setting('fsync')").Scan(&commit, &fsync); err != nil {
		t.Fatal(err)
	}
	t.Logf("Postgres with synchronous_commit=%s fsync=%s; product, stand-in and this test share %s", commit, fsync, processors())
	return r
}

// newClient keeps its connections, as a busy client does.
func newClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256}}
}

// serve starts the product with the budget of requests a second; it returns once
// it is ready.
func (r *rig) serve(maxRPS int) {
	r.t.Helper()
	r.watch = freeAddr(r.t)
	env := maps.Clone(r.env)
	env["STRIPE_MAX_RPS"], env[watchedAt] = strconv.Itoa(maxRPS), r.watch
	log, err := os.OpenFile(r.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	r.server = promptforge(r.t, env, "serve")
	r.server.Stdout, r.server.Stderr = log, log
	if err := r.server.Start(); err != nil {
		r.t.Fatal(err)
	}
	server := r.server
	r.t.Cleanup(func() { _ = server.Process.Kill() })
	waitFor(r.t, r.base+"/readyz")
}

// stop ends the product as an operator would.
func (r *rig) stop() {
	r.t.Helper()
	if err := r.server.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if err := r.server.Wait(); err != nil {
		r.t.Errorf("serve did not stop cleanly: %v", err)
	}
}

// usage is how the product has spent its budget.
func (r *rig) usage() (u stripeapi.Usage) {
	response, err := http.Get("http://" + r.watch + "/usage")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&u); err != nil {
		r.t.Fatal(err)
	}
	return u
}

// memory is what the product occupies now and at most, as Linux says.
func (r *rig) memory() (now, most string) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.server.Process.Pid))
	if err != nil {
		return "?", "?"
	}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "VmRSS":
			now = fmt.Sprintf("%d MB", kilobytes>>10)
		case "VmHWM":
			most = fmt.Sprintf("%d MB", kilobytes>>10)
		}
	}
	return now, most
}

// costs prints what the database has spent its time on since the last call, and
// keeps a profile of the product's processor time of the next seconds.
func (r *rig) costs(ctx context.Context) (done func()) {
	if !*loadCosts {
		return func() {}
	}
	if _, err := r.pool.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.pool.Exec(ctx, "SELECT pg_stat_statements_reset()"); err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(os.TempDir(), r.t.Name()+".pprof")
	profiled := make(chan error, 1)
	go func() { profiled <- r.profile(path, 15*time.Second) }()
	return func() {
		if err := <-profiled; err != nil {
			r.t.Error(err)
		}
		r.t.Logf("a profile of the product is in %s", path)
		rows, err := r.pool.Query(ctx, `SELECT format('%8s ms  %7s calls  %8s ms each  %7s rows  %s', round(total_exec_time), calls, round(mean_exec_time::numeric, 3), rows,
				left(regexp_replace(query, '\s+', ' ', 'g'), 110))
			FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 25`)
		if err != nil {
			r.t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Logf("what the database did:\n%s", strings.Join(lines, "\n"))
	}
}

func (r *rig) profile(path string, length time.Duration) error {
	response, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", r.watch, length.Seconds()))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

// spent is the processor time that the product, the database, and this test with
// the stand-in have used so far. Other than latencies it hardly depends on what
// else the machine does.
type spent struct{ product, database, rest time.Duration }

func (r *rig) spent() (s spent) {
	postmaster := 0
	for _, p := range processes() {
		if p.pid == r.backend {
			postmaster = p.parent
		}
	}
	for _, p := range processes() {
		switch {
		case p.pid == r.server.Process.Pid:
			s.product += p.own
		case p.pid == os.Getpid():
			s.rest += p.own
		case postmaster != 0 && p.pid == postmaster:
			s.database += p.own + p.children // of backends that have ended
		case postmaster != 0 && p.parent == postmaster:
			s.database += p.own
		}
	}
	return s
}

// costOf prints what n of something have cost.
func (r *rig) costOf(before spent, n int, what string) {
	now := r.spent()
	each := func(total time.Duration) time.Duration {
		return (total / time.Duration(n)).Round(10 * time.Microsecond)
	}
	r.t.Logf("processor time for each %s: product %v, database %v (this test and the stand-in: %v)",
		what, each(now.product-before.product), each(now.database-before.database), each(now.rest-before.rest))
}

// buyer is a customer of the stand-in with an organization of ours.
type buyer struct {
	stripesim.Populated
	org uuid.UUID
}

// populate makes buyers who have just paid, and of whom we have heard nothing
// but whose organization they are.
func (r *rig) populate(n int) []buyer {
	r.t.Helper()
	start := time.Now()
	buyers := make([]buyer, n)
	for i := range buyers {
		buyers[i].org = uuid.New()
	}
	crowd := r.sim.Populate(r.t, n, r.sold[payments.Offer{Plan: bulkPlan, Interval: billing.Month}], func(i int) map[string]string {
		return map[string]string{"org_id": buyers[i].org.String()}
	})
	for i := range buyers {
		buyers[i].Populated = crowd[i]
	}
	r.copyIn("organizations", []string{"id", "name", "created_at"}, n, func(i int) []any {
		return []any{buyers[i].org, fmt.Sprintf("Customer %d", i+1), start}
	})
	r.copyIn("customers", []string{"stripe_customer_id", "org_id", "livemode", "created_at"}, n, func(i int) []any {
		return []any{buyers[i].Customer, buyers[i].org, false, start}
	})
	r.t.Logf("%d customers with an active subscription at the stand-in, made in %v", n, time.Since(start).Round(time.Millisecond))
	return buyers
}

func (r *rig) copyIn(table string, columns []string, n int, row func(i int) []any) {
	r.t.Helper()
	source := pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil })
	if _, err := r.pool.CopyFrom(r.t.Context(), pgx.Identifier{table}, columns, source); err != nil {
		r.t.Fatal(err)
	}
}

// story is what Stripe sends of a purchase: five events, all of which have an
// effect.
func (r *rig) story(b buyer) ([][]byte, error) {
	bodies, err := r.sim.Server.Story(b.Populated)
	if err != nil {
		return nil, err
	}
	for i, body := range bodies {
		if bytes.Contains(body, []byte(`"type":"invoice.paid"`)) { // which we do not listen to
			bodies[i], err = completion(body, b)
		}
	}
	return bodies, err
}

// hoardEach is how many events of each customer wait in a backlog.
const hoardEach = 3

// hoard takes the events of buyers in while no worker runs.
func (r *rig) hoard(buyers []buyer) {
	r.t.Helper()
	start := time.Now()
	var taking errgroup.Group
	taking.SetLimit(64)
	for _, b := range buyers {
		bodies, err := r.story(b)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, body := range slices.Concat(bodies[:1], bodies[2:3], bodies[4:]) {
			taking.Go(func() error { return r.door.Receive(r.t.Context(), r.sign(body), body) })
		}
	}
	if err := taking.Wait(); err != nil {
		r.t.Fatal(err)
	}
	if got := r.count("SELECT count(*) FROM webhook_events WHERE state = 'pending'"); got != len(buyers)*hoardEach {
		r.t.Fatalf("%d events wait, want %d", got, len(buyers)*hoardEach)
	}
	r.t.Logf("%d events of %d customers stored in %v, while no worker runs", len(buyers)*hoardEach, len(buyers), time.Since(start).Round(time.Millisecond))
}

// apiKeys are keys that an operator made for other programs.
func (r *rig) apiKeys(n int) []string {
	r.t.Helper()
	keys := make([]string, n)
	for i := range keys {
		out, stderr, code := call(r.t, r.env, "", "api-key", "create", "--name", fmt.Sprint("load ", i), "--scope", "entitlements:read")
		if keys[i] = regexp.MustCompile(`pf_\S+`).FindString(out); code != 0 || keys[i] == "" {
			r.t.Fatalf("api-key create: exit %d, %s%s", code, out, stderr)
		}
	}
	return keys
}

// mayUse asks what an organization that has paid may do.
func (r *rig) mayUse(org uuid.UUID, key string) error {
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.base+"/api/v1/orgs/"+org.String()+"/entitlements", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := r.programs.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	var answer struct{ Access, Plan string }
	if err == nil && (json.Unmarshal(body, &answer) != nil || response.StatusCode != http.StatusOK || answer.Access != "full" || answer.Plan != bulkPlan) {
		err = fmt.Errorf("%s %s", response.Status, body)
	}
	return err
}

// visitor is a person with a browser, before the hosted page of a checkout.
type visitor struct {
	rig     *rig
	client  *http.Client
	address string
	session string
	org     uuid.UUID
}

// visitor signs an organization up and goes to pay.
func (r *rig) visitor(number int) *visitor {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	v := &visitor{rig: r, address: fmt.Sprintf("198.51.100.%d", number+1)}
	v.client = &http.Client{Timeout: 30 * time.Second, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	form := url.Values{
		"email": {uuid.NewString() + "@example.com"}, "password": {"correct horse battery"}, "name": {"Buyer"}, "organization": {"Buyers of " + v.address},
	}
	if _, err := v.send(http.MethodPost, r.base+"/signup", "application/x-www-form-urlencoded", form.Encode(), http.StatusSeeOther); err != nil {
		r.t.Fatal(err)
	}
	raw, err := v.send(http.MethodPost, r.base+"/api/checkout", "application/json", `{"planId":"`+bulkPlan+`","isAnnual":false}`, http.StatusOK)
	if err != nil {
		r.t.Fatal(err)
	}
	var answer struct{ SessionID string }
	if err := json.Unmarshal(raw, &answer); err != nil {
		r.t.Fatal(err)
	}
	v.session = answer.SessionID
	if err := r.pool.QueryRow(r.t.Context(), "SELECT org_id FROM checkout_attempts WHERE session_id = $1", v.session).Scan(&v.org); err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (v *visitor) send(method, address, kind, body string, want int) ([]byte, error) {
	request, err := http.NewRequestWithContext(v.rig.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Forwarded-For", v.address)
	if body != "" {
		request.Header.Set("Content-Type", kind)
	}
	if strings.HasPrefix(address, v.rig.sim.URL) {
		request.Header.Set("Authorization", "Bearer "+v.rig.sim.SecretKey)
	}
	response, err := v.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != want {
		err = fmt.Errorf("%s %s: %s\n%s", method, address, response.Status, answer)
	}
	return answer, err
}

// pay pays as on the hosted page.
func (v *visitor) pay() error {
	_, err := v.send(http.MethodPost, v.rig.sim.URL+"/sim/checkout/"+v.session+"/complete", "application/json", `{"card":"`+goodCard+`"}`, http.StatusOK)
	return err
}

// tooLate is when a visitor gives up.
const tooLate = time.Minute

// buyAndLeave pays and closes the browser: the webhooks alone bring access. It
// answers how long that took.
func (v *visitor) buyAndLeave(from time.Time) (time.Duration, error) {
	if err := v.pay(); err != nil {
		return 0, err
	}
	for time.Since(from) < tooLate {
		var entitled bool
		err := v.rig.pool.QueryRow(v.rig.t.Context(), "SELECT EXISTS (SELECT FROM entitlements WHERE org_id = $1 AND access = 'full')", v.org).Scan(&entitled)
		if err != nil || entitled {
			return time.Since(from), err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, errors.New("no access within " + tooLate.String())
}

// buyAndReturn pays and looks at the success page until it no longer waits.
func (v *visitor) buyAndReturn(from time.Time) (time.Duration, error) {
	if err := v.pay(); err != nil {
		return 0, err
	}
	for time.Since(from) < tooLate {
		page, err := v.send(http.MethodGet, v.rig.base+"/checkout/success?session_id="+v.session, "", "", http.StatusOK)
		if err != nil {
			return 0, err
		}
		if !bytes.Contains(page, []byte("mark-wait")) {
			return time.Since(from), nil
		}
		time.Sleep(time.Second) // as the page does
	}
	return 0, errors.New("no success within " + tooLate.String())
}

// completion is a checkout.session.completed in the envelope of another event.
func completion(other []byte, b buyer) ([]byte, error) {
	var event map[string]any
	if err := json.Unmarshal(other, &event); err != nil {
		return nil, err
	}
	event["type"] = "checkout.session.completed"
	event["data"] = map[string]any{"object": map[string]any{
		"id": "cs_test_" + strings.TrimPrefix(b.Subscription, "sub_"), "object": "checkout.session", "mode": "subscription",
		"customer": b.Customer, "subscription": b.Subscription, "invoice": b.Invoice, "status": "complete", "payment_status": "paid",
		"currency": "usd", "amount_total": 9900, "client_reference_id": b.org.String(), "livemode": false,
	}}
	return json.Marshal(event)
}

// sign is the header of a delivery made now.
func (r *rig) sign(body []byte) string {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(r.secret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// deliver posts an event until it is answered 200, as Stripe does, though Stripe
// takes longer between two tries. It answers how often it had to try again.
func (r *rig) deliver(ctx context.Context, body []byte) (again int, err error) {
	for ; again < 60; again++ {
		if err = r.deliverOnce(ctx, body); err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(time.Second)
	}
	return again, err
}

func (r *rig) deliverOnce(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+webhookPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Stripe-Signature", r.sign(body))
	response, err := r.stripe.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s", response.Status, answer)
	}
	return err
}

// count answers a query of one number.
func (r *rig) count(sql string, args ...any) (n int) {
	r.t.Helper()
	if err := r.pool.QueryRow(r.t.Context(), sql, args...).Scan(&n); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (r *rig) backlog() int { return r.count("SELECT count(*) FROM sync_queue WHERE wanted > done") }

// settles waits until nothing is left to do. It gives up when there is no progress
// for longer than a lease holds, not because a machine is slow.
func (r *rig) settles() {
	r.t.Helper()
	left := func() [2]int { return [2]int{r.backlog(), r.count("SELECT count(*) FROM metric_dirty")} }
	start := time.Now()
	before, progressed := left(), start
	for before != [2]int{} {
		time.Sleep(100 * time.Millisecond)
		now := left()
		if now != before {
			before, progressed = now, time.Now()
		}
		if time.Since(progressed) > standstill {
			r.complain()
			r.t.Fatalf("nothing has moved for %v: %d customers wait to be asked about and %d to be counted", standstill, now[0], now[1])
		}
	}
	r.t.Logf("nothing is left to do after another %v", time.Since(start).Round(10*time.Millisecond))
}

// holds reports what must be true of so many buyers and events, however fast or
// slow the machine is.
func (r *rig) holds(buyers, events int) {
	r.t.Helper()
	for what, tt := range map[string]struct {
		sql  string
		want int
	}{
		"events stored":                      {"SELECT count(*) FROM webhook_events", events},
		"events done with":                   {"SELECT count(*) FROM webhook_events WHERE state IN ('processed', 'ignored')", events},
		"subscriptions active":               {"SELECT count(*) FROM subscriptions WHERE status = 'active' AND has_paid", buyers},
		"organizations entitled":             {"SELECT count(*) FROM entitlements WHERE access = 'full' AND plan = '" + bulkPlan + "'", buyers},
		"histories that do not end in copy":  {"SELECT count(*) FROM subscriptions s WHERE s.facts IS DISTINCT FROM (SELECT v.facts FROM subscription_versions v WHERE v.subscription_id = s.stripe_subscription_id ORDER BY v.at DESC LIMIT 1)", 0},
		"new movements":                      {"SELECT count(*) FROM mrr_movements WHERE kind = 'new'", buyers},
		"subjects that failed and still are": {"SELECT count(*) FROM sync_queue WHERE attempts > 0", 0},
	} {
		if got := r.count(tt.sql); got != tt.want {
			r.t.Errorf("%s: %d, want %d", what, got, tt.want)
		}
	}
	if r.t.Failed() {
		r.complain()
	}
}

// complain shows what the product had to say, by message.
func (r *rig) complain() {
	raw, err := os.ReadFile(r.logPath)
	if err != nil {
		r.t.Log(err)
	}
	counts, sample := map[string]int{}, map[string]string{}
	for line := range strings.Lines(string(raw)) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) != nil {
			entry.Level, entry.Msg = "?", strings.TrimSpace(line)
		}
		if entry.Level != "INFO" {
			counts[entry.Level+" "+entry.Msg]++
			sample[entry.Level+" "+entry.Msg] = strings.TrimSpace(line)
		}
	}
	for message, n := range counts {
		r.t.Logf("the log has %d × %s, such as\n%s", n, message, sample[message])
	}
}
