package payments_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
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
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

const webhookSecret = "whsec_test"

// bundle is a door on a database of its own before a Stripe of its own, whose
// every request is also judged by stripe-mock.
type bundle struct {
	*payments.Payments
	t      *testing.T
	ctx    context.Context
	pool   *pgxpool.Pool
	sim    *simtest.Sim
	wire   *wire
	client *stripeapi.Client
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	b := &bundle{t: t, ctx: t.Context(), pool: dbtest.New(t), sim: simtest.Start(t), wire: &wire{}}
	b.client = stripeapi.New(stripeapi.Config{Key: b.sim.SecretKey, Base: b.sim.URL, MaxRPS: 1000, Transport: b.wire})
	set, err := payments.SetUp(b.ctx, b.client, billing.DefaultPlans(), payments.SetupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.Payments = payments.New(payments.Payments{
		Pool: b.pool, Stripe: b.client, Plans: billing.DefaultPlans(), Sold: set.Sold, Secrets: []string{webhookSecret},
		BaseURL: "http://127.0.0.1:8080", Now: time.Now, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	return b
}

// wire counts the requests to Stripe, and can be cut.
type wire struct {
	requests atomic.Int64
	isCut    atomic.Bool

	mu    sync.Mutex
	lines []string
}

// seen are the requests so far, by method and path.
func (w *wire) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	w.mu.Lock()
	w.lines = append(w.lines, r.Method+" "+r.URL.Path)
	w.mu.Unlock()
	if w.isCut.Load() {
		return nil, errors.New("the wire is cut")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// replica is a second process on the same database and the same Stripe.
func (b *bundle) replica() *payments.Payments {
	return payments.New(payments.Payments{
		Pool: b.pool, Stripe: b.client, Plans: b.Plans, Sold: b.Sold, Secrets: b.Secrets, BaseURL: b.BaseURL,
		Now: time.Now, Clock: time.Now, Log: b.Log,
	})
}

// org is an organization with a member of the role.
func (b *bundle) org(role billing.Role) (org, user uuid.UUID) {
	b.t.Helper()
	user = b.user()
	org = uuid.New()
	b.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'Acme', now())`, org)
	b.exec(`INSERT INTO memberships (org_id, user_id, role, created_at) VALUES ($1, $2, $3, now())`, org, user, string(role))
	return org, user
}

func (b *bundle) user() uuid.UUID {
	b.t.Helper()
	user := uuid.New()
	b.exec(`INSERT INTO users (id, email, name, password_hash, created_at) VALUES ($1, $2, 'Ada', 'x', now())`, user, user.String()+"@example.com")
	return user
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.ctx, sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// rows are the rows of a query as text, to be compared.
func (b *bundle) rows(sql string, args ...any) []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.ctx, sql, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func (b *bundle) want(what string, want []string, sql string, args ...any) {
	b.t.Helper()
	if got := b.rows(sql, args...); !slices.Equal(got, want) {
		b.t.Errorf("%s = %q, want %q", what, got, want)
	}
}

// buy starts a checkout of the plan and pays at the hosted page.
func (b *bundle) buy(org, user uuid.UUID, plan string) payments.Checkout {
	b.t.Helper()
	checkout := b.start(org, user, plan, billing.Month)
	b.pay(checkout.SessionID)
	return checkout
}

func (b *bundle) start(org, user uuid.UUID, plan string, interval billing.Interval) payments.Checkout {
	b.t.Helper()
	checkout, err := b.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: plan, Interval: interval})
	if err != nil {
		b.t.Fatalf("start checkout of %s: %v", plan, err)
	}
	return checkout
}

func (b *bundle) pay(sessionID string) {
	b.t.Helper()
	b.call(http.MethodPost, "/sim/checkout/"+sessionID+"/complete", strings.NewReader(`{"card":"4242424242424242"}`), nil)
}

// events are all that Stripe has to tell, in order of creation.
func (b *bundle) events() []json.RawMessage {
	b.t.Helper()
	var all []json.RawMessage
	for after := ""; ; {
		var page struct {
			Data    []json.RawMessage `json:"data"`
			HasMore bool              `json:"has_more"`
		}
		query := url.Values{"limit": {"100"}}
		if after != "" {
			query.Set("starting_after", after)
		}
		b.call(http.MethodGet, "/v1/events?"+query.Encode(), nil, &page)
		all = append(all, page.Data...)
		if !page.HasMore {
			slices.Reverse(all) // the list has the newest first
			return all
		}
		after = id(page.Data[len(page.Data)-1])
	}
}

// ours are the events that our endpoint is subscribed to.
func (b *bundle) ours() []json.RawMessage {
	b.t.Helper()
	return slices.DeleteFunc(b.events(), func(e json.RawMessage) bool { return !slices.Contains(payments.EventTypes, kind(e)) })
}

func (b *bundle) call(method, path string, body io.Reader, into any) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.ctx, method, b.sim.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+b.sim.SecretKey)
	if strings.HasPrefix(path, "/v1/") && body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s %s: %d %s %v", method, path, response.StatusCode, raw, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(raw, into); err != nil {
		b.t.Fatal(err)
	}
}

// deliver posts an event as Stripe would.
func (b *bundle) deliver(event json.RawMessage) {
	b.t.Helper()
	if err := b.Receive(b.ctx, sign(webhookSecret, time.Now(), event), event); err != nil {
		b.t.Fatalf("deliver %s: %v", id(event), err)
	}
}

// settle works the queue off until nothing is due.
func (b *bundle) settle() {
	b.t.Helper()
	for range 100 {
		n, err := b.Work(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		if n == 0 && len(b.rows(`SELECT subject FROM sync_queue WHERE wanted > done`)) == 0 {
			return
		}
		if n == 0 {
			b.exec(`UPDATE sync_queue SET due_at = now() WHERE wanted > done`) // do not wait for back-offs
		}
	}
	b.t.Fatalf("the queue does not settle: %q", b.rows(`SELECT subject || ' ' || coalesce(last_error, '') FROM sync_queue WHERE wanted > done`))
}

func id(event json.RawMessage) string   { return field(event, "id") }
func kind(event json.RawMessage) string { return field(event, "type") }

func field(event json.RawMessage, name string) string {
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(event))
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	return fmt.Sprint(v[name])
}

// state is all that must come out equal whatever way events took: everything
// but the times at which we happened to look.
func (b *bundle) state() []string {
	b.t.Helper()
	return slices.Concat(
		b.rows(`SELECT 'subscription ' || (to_jsonb(s) - 'read_at')::text FROM subscriptions s ORDER BY stripe_subscription_id`),
		b.rows(`SELECT 'version ' || to_jsonb(v)::text FROM subscription_versions v ORDER BY subscription_id, at`),
		b.rows(`SELECT 'observation ' || (to_jsonb(o) - 'recorded_at')::text FROM subscription_observations o
			WHERE source = 'event' ORDER BY subscription_id, source_id`),
		b.rows(`SELECT 'entitlement ' || (to_jsonb(e) - 'as_of')::text FROM entitlements e ORDER BY org_id`),
		b.rows(`SELECT 'event ' || id || ' ' || state FROM webhook_events ORDER BY created, id`),
		b.rows(`SELECT 'happening ' || kind || ' ' || natural_key || ' ' || coalesce(plan, '') FROM payment_events ORDER BY kind, natural_key`),
		b.rows(`SELECT 'attempt ' || state || ' ' || coalesce(payment_status, '') FROM checkout_attempts ORDER BY created_at`),
	)
}
