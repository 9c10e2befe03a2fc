package payments_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// judge is what a world needs of a test, and a test of rapid's has it too.
type judge interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// world is a Stripe whose clock stands still until it is moved, so that what
// happens within one second is what a test says.
type world struct {
	judge
	ctx   context.Context
	sim   *stripesim.Server
	url   string
	clock atomic.Int64
	set   payments.Setup
	last  string // the newest event that was fetched
	// answers are what Stripe said about the customer's subscriptions, oldest
	// first.
	mu      sync.Mutex
	answers []answered
}

type answered struct {
	body []byte
	seen int64 // the last second at which it was known to be true
}

// newWorld begins at a moment. It ends when done is called.
func newWorld(j judge, ctx context.Context, begin time.Time) (w *world, done func()) {
	j.Helper()
	w = &world{judge: j, ctx: ctx}
	w.clock.Store(begin.Unix())
	server, err := stripesim.Open(stripesim.Config{
		SecretKey: simtest.SecretKey, PublicURL: "http://127.0.0.1:1", Now: func() time.Time { return time.Unix(w.clock.Load(), 0) },
	})
	if err != nil {
		j.Fatalf("open stand-in: %v", err)
	}
	front := httptest.NewServer(server.Handler())
	w.sim, w.url = server, front.URL
	if w.set, err = payments.SetUp(ctx, w.client(http.DefaultTransport), billing.DefaultPlans(), payments.SetupOptions{}); err != nil {
		j.Fatalf("set up: %v", err)
	}
	return w, func() {
		front.Close()
		if err := server.Close(); err != nil {
			j.Errorf("close stand-in: %v", err)
		}
	}
}

func (w *world) client(transport http.RoundTripper) *stripeapi.Client {
	return stripeapi.New(stripeapi.Config{Key: simtest.SecretKey, Base: w.url, MaxRPS: 1000, Transport: transport})
}

// pass lets time go by. The days are lived through in order, as they come.
func (w *world) pass(d time.Duration) {
	w.Helper()
	w.clock.Add(int64(d / time.Second))
	w.get("/v1/balance", nil) // whatever fell due is lived through with the next request
}

// run lets the clock go like any other until the context ends. What Run works off
// is due by it, and would never be while it stands still.
func (w *world) run(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
			w.clock.Add(1)
		}
	}
}

func (w *world) get(path string, into any) {
	w.Helper()
	if status, body := w.do(http.MethodGet, path, ""); status != http.StatusOK {
		w.Fatalf("GET %s: %d %s", path, status, body)
	} else if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			w.Fatalf("GET %s: %v", path, err)
		}
	}
}

// act asks Stripe for a change and says whether it was made: who lives is
// refused at times.
func (w *world) act(method, path, form string) bool {
	w.Helper()
	status, body := w.do(method, path, form)
	if status >= http.StatusInternalServerError || bytes.Contains(body, []byte("parameter_unknown")) {
		w.Fatalf("%s %s %s: %d %s", method, path, form, status, body)
	}
	return status == http.StatusOK
}

func (w *world) do(method, path, form string) (status int, body []byte) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.ctx, method, w.url+path, strings.NewReader(form))
	if err != nil {
		w.Fatalf("%v", err)
	}
	request.Header.Set("Authorization", "Bearer "+simtest.SecretKey)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, body
}

// object is what a test reads of Stripe's objects.
type object struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Paid    bool   `json:"paid"`
	Created int64  `json:"created"`
	Items   struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	} `json:"items"`
	PeriodEnd int64 `json:"current_period_end"`
}

// all lists objects, newest first.
func (w *world) all(path string) []object {
	w.Helper()
	var list struct {
		Data []object `json:"data"`
	}
	w.get(path, &list)
	return list.Data
}

// news are the events that our endpoint hears and that were not fetched yet, in
// order of creation.
func (w *world) news() []json.RawMessage {
	w.Helper()
	var all []json.RawMessage
	for after, more := "", true; more; {
		var page struct {
			Data    []json.RawMessage `json:"data"`
			HasMore bool              `json:"has_more"`
		}
		query := url.Values{"limit": {"100"}}
		if after != "" {
			query.Set("starting_after", after)
		}
		w.get("/v1/events?"+query.Encode(), &page)
		more = page.HasMore
		for _, e := range page.Data {
			if after = id(e); after == w.last {
				more = false
				break
			}
			all = append(all, e)
		}
	}
	if len(all) > 0 {
		w.last = id(all[0])
	}
	slices.Reverse(all)
	return slices.DeleteFunc(all, func(e json.RawMessage) bool { return !slices.Contains(payments.EventTypes, kind(e)) })
}

// remember keeps what Stripe says about the customer now, so that it can be
// said again later.
func (w *world) remember(customer string) {
	w.Helper()
	if customer == "" {
		return
	}
	query := url.Values{"customer": {customer}, "status": {"all"}, "limit": {"100"}, "expand[0]": {"data.latest_invoice"}}
	status, body := w.do(http.MethodGet, "/v1/subscriptions?"+query.Encode(), "")
	if status != http.StatusOK {
		return // a customer who is gone
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.answers); n > 0 && bytes.Equal(w.answers[n-1].body, body) {
		w.answers[n-1].seen = w.clock.Load()
		return
	}
	w.answers = append(w.answers, answered{body, w.clock.Load()})
}

// stale is what Stripe said before the latest change, if that is less than a
// while ago; else nil.
func (w *world) stale(within time.Duration) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.answers)
	if n < 2 || w.clock.Load()-w.answers[n-2].seen >= int64(within/time.Second) {
		return nil
	}
	return w.answers[n-2].body
}

// weather is how Stripe can be reached.
type weather int32

const (
	clear weather = iota
	cut           // every request is answered 500
	stale         // a customer's subscriptions are listed as they were a moment ago
)

// sky is the way to Stripe under a weather.
type sky struct {
	world   *world
	weather atomic.Int32
	asks    atomic.Int64
	// within is how long ago what is told was true, and left how often it is told
	// yet: Stripe's lists catch up.
	within time.Duration
	left   atomic.Int32
}

// turn is a change of the weather.
func (s *sky) turn(w weather) {
	s.weather.Store(int32(w))
	s.left.Store(4)
}

func (s *sky) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asks.Add(1)
	answer := func(status int, body []byte) *http.Response {
		return &http.Response{
			Status: strconv.Itoa(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{
				"Content-Type": {"application/json"}, "Date": {s.world.sim.Now().Format(http.TimeFormat)},
				"Stripe-Should-Retry": {"false"},
			},
			Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		}
	}
	switch weather(s.weather.Load()) {
	case cut:
		return answer(http.StatusInternalServerError, []byte(`{"error":{"type":"api_error","message":"the wire is cut"}}`)), nil
	case stale:
		if r.Method == http.MethodGet && r.URL.Path == "/v1/subscriptions" {
			if old := s.world.stale(s.within); old != nil && s.left.Add(-1) >= 0 {
				return answer(http.StatusOK, old), nil
			}
		}
	case clear:
	}
	return http.DefaultTransport.RoundTrip(r)
}

// shop is a database with its door and its ledger before the world's Stripe.
type shop struct {
	*payments.Payments
	*world
	name   string
	pool   *pgxpool.Pool
	ledger *ledger.Ledger
	sky    *sky
}

func (w *world) shop(name string, pool *pgxpool.Pool) *shop {
	s := &shop{world: w, name: name, pool: pool, sky: &sky{world: w, within: time.Minute}}
	log := slog.New(slog.DiscardHandler)
	s.Payments = payments.New(payments.Payments{
		Pool: pool, Stripe: w.client(s.sky), Plans: billing.DefaultPlans(), Sold: w.set.Sold, Secrets: []string{webhookSecret},
		BaseURL: "http://127.0.0.1:8080", Now: w.sim.Now, Clock: time.Now, Log: log,
	})
	s.ledger = &ledger.Ledger{Pool: pool, Now: w.sim.Now, Logger: log}
	return s
}

func (s *shop) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.pool.Exec(s.ctx, sql, args...); err != nil {
		s.Fatalf("%s: %s: %v", s.name, sql, err)
	}
}

func (s *shop) rows(sql string, args ...any) []string {
	s.Helper()
	rows, err := s.pool.Query(s.ctx, sql, args...)
	if err != nil {
		s.Fatalf("%s: %s: %v", s.name, sql, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.Fatalf("%s: %s: %v", s.name, sql, err)
	}
	return out
}

// deliver posts events as Stripe would, and each must be taken.
func (s *shop) deliver(events ...json.RawMessage) {
	s.Helper()
	for _, e := range events {
		if err := s.Receive(s.ctx, sign(webhookSecret, time.Now(), e), e); err != nil {
			s.Fatalf("%s: deliver %s: %v", s.name, id(e), err)
		}
	}
}

// work does what is due, and what was put off as well.
func (s *shop) work() {
	s.Helper()
	s.exec(`UPDATE sync_queue SET due_at = '-infinity' WHERE wanted > done`)
	if _, err := s.Work(s.ctx); err != nil {
		s.Fatalf("%s: work: %v", s.name, err)
	}
}

// settle works until nothing is wanted that is not done.
func (s *shop) settle() {
	s.Helper()
	for range 50 {
		if len(s.rows(`SELECT subject FROM sync_queue WHERE wanted > done`)) == 0 {
			return
		}
		s.work()
	}
	s.Fatalf("%s: the queue does not settle: %q", s.name, s.rows(`SELECT concat_ws(' ', subject, attempts, stale_asks, last_error) FROM sync_queue WHERE wanted > done`))
}

// ask asks Stripe about every customer once more.
func (s *shop) ask() {
	s.Helper()
	for _, customer := range s.rows(`SELECT stripe_customer_id FROM customers`) {
		if err := s.SyncCustomer(s.ctx, customer); err != nil {
			s.Fatalf("%s: sync %s: %v", s.name, customer, err)
		}
	}
}

// derive brings the ledger up to date.
func (s *shop) derive() {
	s.Helper()
	for range 50 {
		if n, err := s.ledger.Step(s.ctx); err != nil {
			s.Fatalf("%s: derive: %v", s.name, err)
		} else if n == 0 {
			return
		}
	}
	s.Fatalf("%s: the ledger does not settle", s.name)
}

// empty forgets everything but the schema.
func empty(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `DO $$ DECLARE tables text; BEGIN
		SELECT string_agg(format('%I', tablename), ', ') INTO tables FROM pg_tables
		WHERE schemaname = 'public' AND tablename NOT IN ('goose_db_version', 'metric_generation') AND tablename NOT LIKE 'river%';
		SET LOCAL session_replication_role = 'replica'; -- the record of acts refuses to be emptied
		EXECUTE 'TRUNCATE ' || tables || ' CASCADE';
	END $$`)
	if err != nil {
		t.Fatalf("empty the database: %v", err)
	}
}

// organization is one with an owner who may buy, the same in every shop.
func organization(shops ...*shop) (org, user uuid.UUID) {
	org, user = uuid.New(), uuid.New()
	for _, s := range shops {
		s.Helper()
		s.exec(`INSERT INTO users (id, email, name, password_hash, created_at) VALUES ($1, $2, 'Ada', 'x', $3)`, user, user.String()+"@example.com", s.Now())
		s.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'Acme', $2)`, org, s.Now())
		s.exec(`INSERT INTO memberships (org_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)`, org, user, string(billing.RoleOwner), s.Now())
	}
	return org, user
}

// share gives another shop what a press of the button left in this one: it is
// the same company with two memories, and only one of them can have pressed. A
// press that begins a checkout has asked about the one before, and ended it.
func (s *shop) share(with *shop) {
	s.Helper()
	const attempts = `SELECT id::text FROM checkout_attempts ORDER BY id`
	if !slices.Equal(s.rows(attempts), with.rows(attempts)) {
		for _, row := range s.rows(`SELECT to_jsonb(a)::text FROM checkout_attempts a WHERE state IN ('complete', 'expired')`) {
			with.exec(`UPDATE checkout_attempts a SET state = e.state, payment_status = e.payment_status, subscription_id = e.subscription_id, ended_at = e.ended_at
				FROM jsonb_populate_record(NULL::checkout_attempts, $1) e WHERE a.id = e.id AND a.state = 'open'`, row)
		}
	}
	for _, table := range []string{"customers", "checkout_attempts"} {
		for _, row := range s.rows(`SELECT to_jsonb(x)::text FROM ` + table + ` x WHERE org_id IS NOT NULL`) {
			with.exec(fmt.Sprintf(`INSERT INTO %s SELECT * FROM jsonb_populate_record(NULL::%[1]s, $1) ON CONFLICT DO NOTHING`, table), row)
		}
	}
	for _, row := range s.rows(`SELECT to_jsonb(e)::text FROM payment_events e
		WHERE kind = 'checkout_started' OR kind = 'checkout_abandoned' AND source_event_id IS NULL`) {
		with.exec(`INSERT INTO payment_events (kind, natural_key, at, org_id, stripe_customer_id, plan, "interval", details, livemode)
			SELECT kind, natural_key, at, org_id, stripe_customer_id, plan, "interval", details, livemode
			FROM jsonb_populate_record(NULL::payment_events, $1) ON CONFLICT DO NOTHING`, row)
	}
}

// state is all that must come out equal whatever way events took. Left out is
// what says when or how often we looked, not what was seen: read_at, as_of,
// recorded_at, received_at, processed_at and seen_at are dates of answers and of
// our own clocks, a customer's created_at is the answer that first named it, and
// an attempt's ended_at the news that first ended it (checkout_completed has the
// day itself); sync_queue holds tickets and appointments; observations of reads
// are the reads that each made, and only the events' are compared; of a read that
// dates a version the second counts and not the ticket. A twin is a second event
// object for one change, which only the late shop is sent. Of alerts those count
// that are open and not about how Stripe could be reached. The record of acts
// follows the copy, which passes states over that nobody saw: in each shop alone
// every entry must begin where the last of its object ended. Mails have a test of
// their own, for they are not written of what is a day old.
func (s *shop) state() []string {
	s.Helper()
	return slices.Concat(
		s.rows(`SELECT 'customer ' || (to_jsonb(c) - '{created_at}'::text[])::text FROM customers c ORDER BY stripe_customer_id`),
		s.rows(`SELECT 'subscription ' || (to_jsonb(s) - 'read_at')::text FROM subscriptions s ORDER BY stripe_subscription_id`),
		s.rows(`SELECT 'version ' || (to_jsonb(v) || jsonb_build_object('source_id', regexp_replace(source_id, '^([0-9]+)-[0-9]+$', '\1')))::text
			FROM subscription_versions v ORDER BY subscription_id, at`),
		s.rows(`SELECT 'observation ' || (to_jsonb(o) - 'recorded_at')::text FROM subscription_observations o
			WHERE source = 'event' AND source_id NOT LIKE '%twin' ORDER BY subscription_id, source_id`),
		s.rows(`SELECT 'entitlement ' || (to_jsonb(e) - 'as_of')::text FROM entitlements e ORDER BY org_id`),
		s.rows(`SELECT concat_ws(' ', 'event', id, type, subject, state, reason) FROM webhook_events WHERE id NOT LIKE '%twin' ORDER BY created, id`),
		s.rows(`SELECT 'happening ' || (to_jsonb(e) - '{id,recorded_at}'::text[])::text FROM payment_events e ORDER BY kind, natural_key`),
		s.rows(`SELECT 'attempt ' || (to_jsonb(a) - 'ended_at')::text FROM checkout_attempts a ORDER BY created_at, id`),
		s.rows(`SELECT 'charge ' || (to_jsonb(o) - 'seen_at')::text FROM stripe_objects o ORDER BY object_id`),
		s.rows(`SELECT concat_ws(' ', 'alert', rule, fingerprint, severity) FROM payment_alerts
			WHERE state <> 'resolved' AND rule NOT IN ('sync_failing', 'stripe_unreachable') ORDER BY rule, fingerprint`),
		s.rows(`SELECT concat_ws(' ', $1::text, 'has a gap in the acts on', object_id) FROM (
			SELECT object_id, before, id, lag(after) OVER (PARTITION BY object_kind, object_id ORDER BY id) AS was FROM audit_log
			WHERE act LIKE 'subscription%' OR act = 'access_changed') a WHERE was IS NOT NULL AND before - 'reason' IS DISTINCT FROM was - 'reason'`, s.name),
		s.rows(`SELECT concat_ws(' ', 'waiting', subject, wanted - done) FROM sync_queue WHERE wanted <> done ORDER BY subject`),
		s.rows(`SELECT 'movement ' || to_jsonb(m)::text FROM customer_movement m ORDER BY m::text`),
		s.rows(`SELECT 'day ' || to_jsonb(d)::text FROM customer_day d ORDER BY d::text`),
		s.rows(`SELECT 'flow ' || to_jsonb(f)::text FROM flow_daily f WHERE amount_micro <> 0 OR customers <> 0 ORDER BY f::text`),
		s.rows(`SELECT 'month ' || to_jsonb(f)::text FROM flow_monthly f WHERE amount_micro <> 0 OR customers <> 0 ORDER BY f::text`),
		s.rows(`SELECT 'renewal ' || to_jsonb(o)::text FROM invoice_outcome o ORDER BY o::text`),
		s.rows(`SELECT 'trial ' || to_jsonb(o)::text FROM trial_outcome o ORDER BY o::text`),
	)
}

// differences are the lines that only one of the two has.
func differences(onTime, late []string) string {
	var out strings.Builder
	for _, side := range []struct {
		sign    string
		of, not []string
	}{{"-", onTime, late}, {"+", late, onTime}} {
		for _, line := range side.of {
			if !slices.Contains(side.not, line) {
				out.WriteString(side.sign + " " + line + "\n")
			}
		}
	}
	return out.String()
}

// pools are two databases that a test empties again and again.
func pools(t *testing.T) (onTime, late *pgxpool.Pool) {
	t.Helper()
	return dbtest.New(t), dbtest.New(t)
}
