package handlers_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

const (
	baseURL       = "http://127.0.0.1:8080"
	webhookSecret = "whsec_test"
	password      = "correct horse"
)

// bundle is the real router on a database and before a Stripe of its own.
type bundle struct {
	t     *testing.T
	pool  *pgxpool.Pool
	sim   *simtest.Sim
	wire  *wire
	deps  handlers.Deps
	app   *echo.Echo
	clock atomic.Int64 // seconds that the machine's clock is ahead
}

// wire counts the requests to Stripe, and can be cut.
type wire struct {
	requests atomic.Int64
	isCut    atomic.Bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	if w.isCut.Load() {
		return nil, errors.New("the wire is cut")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func setup(t *testing.T, changes ...func(*handlers.Deps)) *bundle {
	t.Helper()
	t.Parallel()
	b := &bundle{t: t, pool: dbtest.New(t), sim: simtest.Start(t), wire: &wire{}}
	ahead := func() time.Duration { return time.Duration(b.clock.Load()) * time.Second }
	clock := func() time.Time { return time.Now().Add(ahead()) }
	// Windows of limits are those of a clock: a test must not see one turn.
	began := time.Now().Truncate(time.Hour)
	counting := func() time.Time { return began.Add(ahead()) }
	client := stripeapi.New(stripeapi.Config{Key: b.sim.SecretKey, Base: b.sim.URL, MaxRPS: 1000, Transport: b.wire})
	b.deps = handlers.Deps{
		Pool: b.pool, Auth: auth.New(b.pool, time.Now), Sessions: auth.NewSessions(b.pool, false), Keys: &auth.Keys{Pool: b.pool, Clock: clock}, Reports: &reports.Reports{Pool: b.pool, Now: time.Now},
		Shared: &ratelimit.Shared{Pool: b.pool, Now: counting}, Local: &ratelimit.Local{Now: counting},
		RateCheckout: ratelimit.Rate{N: 100, Per: time.Hour}, RateRead: ratelimit.Rate{N: 1000, Per: time.Hour},
		Plans: billing.DefaultPlans(), BaseURL: baseURL, FormOrigins: []string{b.sim.URL},
		Ready: func(context.Context) error { return nil }, Now: time.Now, Clock: clock, Log: slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&b.deps)
	}
	set, err := payments.SetUp(t.Context(), client, b.deps.Plans, payments.SetupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.deps.Payments = payments.New(payments.Payments{
		Pool: b.pool, Stripe: client, Plans: b.deps.Plans, Sold: set.Sold, Secrets: []string{webhookSecret}, BaseURL: b.deps.BaseURL,
		Now: time.Now, Clock: clock, Log: b.deps.Log,
	})
	b.app = handlers.New(b.deps)
	return b
}

// visitor is a browser: it keeps its cookies and follows nothing by itself.
type visitor struct {
	b       *bundle
	cookies map[string]*http.Cookie
	headers http.Header
	address string
}

func (b *bundle) visitor() *visitor {
	return &visitor{b: b, cookies: map[string]*http.Cookie{}, headers: http.Header{}, address: "203.0.113.7:1234"}
}

// with is the same visitor with one more header.
func (v *visitor) with(name, value string) *visitor {
	clone := *v
	clone.headers = v.headers.Clone()
	clone.headers.Add(name, value)
	return &clone
}

func (v *visitor) get(path string) *answer { return v.do(http.MethodGet, path, "", nil) }

func (v *visitor) post(path string, form url.Values) *answer {
	return v.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

func (v *visitor) json(path, body string) *answer {
	return v.do(http.MethodPost, path, "application/json", strings.NewReader(body))
}

func (v *visitor) do(method, path, kind string, body io.Reader) *answer {
	v.b.t.Helper()
	r := httptest.NewRequest(method, path, body)
	r.RemoteAddr = v.address
	for name, values := range v.headers {
		r.Header[name] = values
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	recorder := httptest.NewRecorder()
	v.b.app.ServeHTTP(recorder, r)
	for _, c := range recorder.Result().Cookies() {
		v.cookies[c.Name] = c
	}
	return &answer{t: v.b.t, status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
}

// answer is what came back.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status = %d, want %d; location %q, body:\n%.600s", a.status, status, a.location(), a.body)
	}
	return a
}

func (a *answer) location() string { return a.header.Get("Location") }

func (a *answer) doc() *goquery.Document {
	a.t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(a.body))
	if err != nil {
		a.t.Fatal(err)
	}
	return doc
}

// text is that of the first element, with its white space folded.
func (a *answer) text(selector string) string {
	a.t.Helper()
	return strings.Join(strings.Fields(a.doc().Find(selector).First().Text()), " ")
}

func (a *answer) wantText(selector, want string) *answer {
	a.t.Helper()
	if got := a.text(selector); !strings.Contains(got, want) {
		a.t.Errorf("%s says %q, want %q", selector, got, want)
	}
	return a
}

// signUp makes a visitor who owns an organization.
func (b *bundle) signUp(email, organization string) *visitor {
	b.t.Helper()
	v := b.visitor()
	v.post("/signup", url.Values{"name": {"Ada"}, "email": {email}, "password": {password}, "organization": {organization}}).want(303)
	return v
}

// admin makes an administrator who is logged in.
func (b *bundle) admin() *visitor {
	b.t.Helper()
	if _, err := b.deps.Auth.CreateUser(b.t.Context(), auth.NewUser{Name: "Root", Email: "root@example.com", Password: password, IsAdmin: true}); err != nil {
		b.t.Fatal(err)
	}
	return b.logIn("root@example.com")
}

func (b *bundle) logIn(email string) *visitor {
	b.t.Helper()
	v := b.visitor()
	v.post("/login", url.Values{"email": {email}, "password": {password}}).want(303)
	return v
}

// buy goes from the review page to the hosted page and pays.
func (b *bundle) buy(v *visitor, plan string) (sessionID string) {
	b.t.Helper()
	hosted := v.post("/checkout", url.Values{"planId": {plan}, "isAnnual": {"false"}}).want(303).location()
	if !strings.HasPrefix(hosted, b.sim.URL+"/c/pay/") {
		b.t.Fatalf("checkout leads to %s", hosted)
	}
	sessionID = b.rows(`SELECT session_id FROM checkout_attempts ORDER BY created_at DESC LIMIT 1`)[0]
	if status, _ := b.sim.Complete(b.t, sessionID, "4242424242424242"); status != http.StatusOK {
		b.t.Fatalf("paying answers %d", status)
	}
	return sessionID
}

func (b *bundle) derive() {
	b.t.Helper()
	l := &ledger.Ledger{Pool: b.pool, Now: time.Now, Logger: b.deps.Log}
	if _, err := l.Step(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

func (b *bundle) rows(sql string, args ...any) []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), sql, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// unchanged runs f, after which no payment row may differ and Stripe may not
// have been asked.
func (b *bundle) unchanged(what string, f func()) {
	b.t.Helper()
	state := func() []string {
		return b.rows(`SELECT concat_ws(' ', 'attempt', id, state) FROM checkout_attempts
			UNION ALL SELECT concat_ws(' ', 'customer', stripe_customer_id, org_id) FROM customers
			UNION ALL SELECT concat_ws(' ', 'happening', kind, natural_key) FROM payment_events
			UNION ALL SELECT concat_ws(' ', 'event', id, state) FROM webhook_events
			UNION ALL SELECT concat_ws(' ', 'queue', subject, wanted, ticket) FROM sync_queue
			UNION ALL SELECT concat_ws(' ', 'user', email) FROM users
			UNION ALL SELECT concat_ws(' ', 'organization', name) FROM organizations ORDER BY 1`)
	}
	before, requests := state(), b.wire.requests.Load()
	f()
	if after := state(); !slices.Equal(before, after) {
		b.t.Errorf("%s changed rows from\n%q to\n%q", what, before, after)
	}
	if asked := b.wire.requests.Load() - requests; asked != 0 {
		b.t.Errorf("%s asked Stripe %d times", what, asked)
	}
}
