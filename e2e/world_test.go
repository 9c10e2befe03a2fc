package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/playwright-community/playwright-go"
)

// who is a person to whom a page can be shown.
type who string

const (
	stranger   who = "a stranger"
	newcomer   who = "an owner who has not bought yet"
	subscriber who = "an owner with a plan"
	trialist   who = "an owner in a trial"
	leaver     who = "an owner whose plan ends"
	debtor     who = "an owner whose payment failed"
	waiting    who = "an owner whose bank has not sent the money yet"
	refused    who = "an owner whose bank has not sent it at all"
	beginner   who = "an owner whose first payment is not finished"
	resting    who = "an owner whose payments are paused"
	// These come from the history.
	stalled who = "an owner whose trial ended without a card"
	unpaid  who = "an owner whose payments are not tried again"
	doubled who = "an owner with two subscriptions"
	staff   who = "an administrator"
)

// world is a demo with everybody in it whom a page can be shown to.
type world struct {
	demo    demo
	clients map[who]*client
	// bought is the checkout session that a buyer came back from.
	bought map[who]string
	// open is a checkout session that nobody has paid, expired one that nobody
	// can pay any more.
	open, expired string
	// org is the organization of a buyer.
	org map[who]string
	// storied is the customer to whom most has happened, disputed one who called
	// a payment wrong, refunded one who got money back, and unpriced one whose
	// price no plan claims.
	storied, disputed, refunded, unpriced string
	// stray is a customer with a plan that was made in Stripe's dashboard, and
	// that no organization of ours is.
	stray string
}

// client is one person's browser as far as cookies go: people are made through
// it, since a form filled in takes a second and a request none.
type client struct {
	http http.Client
	base *url.URL
}

// present is two weeks before the day that the pages show; the debtor's trial
// takes them.
const present = "2026-06-16T08:00:00Z"

// resumes is when the payments of who rests resume.
var resumes = time.Date(2026, time.August, 1, 0, 0, 0, 0, time.UTC)

// cast starts a demo with the same year of history each time, and lets everybody
// in the table of pages live up to what they show.
func cast(t *testing.T, args ...string) *world {
	t.Helper()
	args = append([]string{"--seed", "1", "--at", present}, args...)
	w := &world{demo: startDemo(t, args...), clients: map[who]*client{}, bought: map[who]string{}, org: map[who]string{}}
	w.clients[staff] = w.logIn(t, w.demo.Admin)
	w.clients[newcomer] = w.logIn(t, w.demo.Customer)

	// The bank refuses the debtor when the trial ends, two weeks from here.
	w.signUp(t, debtor, "Niels Owing", "Overdue Instruments")
	w.buy(t, debtor, "pilot", "4000000000000341")
	w.signUp(t, leaver, "Emmy Ring", "Invariant Labs")
	w.expired = w.order(t, leaver, "pro", true)
	w.signUp(t, refused, "Carl Sander", "Bounced Checks")
	w.buy(t, refused, "pro", "bank_debit_fails")
	w.control(t, "/sim/clock/advance", `{"by":"340h"}`)
	settle(t, w.demo)

	w.open = w.order(t, newcomer, "pilot", false)
	w.signUp(t, subscriber, "Hedy Kiesler", "Frequency Works")
	w.buy(t, subscriber, "pro", "4242424242424242")
	w.stray = w.dashboardCustomer(t)
	w.signUp(t, trialist, "Alan Bombe", "Bletchley Tools")
	w.buy(t, trialist, "pilot", "4242424242424242")
	w.buy(t, leaver, "enterprise", "4242424242424242")
	w.object(t, http.MethodPost, "/v1/subscriptions/"+w.subscription(t, leaver), url.Values{"cancel_at_period_end": {"true"}})
	w.signUp(t, waiting, "Vera Long", "Patient Pumps")
	w.buy(t, waiting, "pro", "bank_debit_succeeds")
	w.signUp(t, beginner, "Ida Start", "Unfinished Symphonies")
	w.begin(t)
	w.signUp(t, resting, "Otto Still", "Quiet Quarries")
	w.buy(t, resting, "pro", "4242424242424242")
	w.object(t, http.MethodPost, "/v1/subscriptions/"+w.subscription(t, resting), url.Values{
		"pause_collection[behavior]": {"mark_uncollectible"}, "pause_collection[resumes_at]": {strconv.FormatInt(resumes.Unix(), 10)},
	})
	settle(t, w.demo)
	w.findHistory(t)
	row := w.database(t).QueryRow(t.Context(), `SELECT org_id::text FROM payment_events
		JOIN subscriptions s USING (stripe_customer_id) WHERE org_id IS NOT NULL AND s.status = 'active'
		GROUP BY org_id ORDER BY count(DISTINCT kind) DESC, count(*) DESC, min(payment_events.at) LIMIT 1`)
	must(t, row.Scan(&w.storied), "find a life that is full")
	return w
}

// begin asks for a first payment that its bank wants confirmed, as somebody in
// Stripe's dashboard may.
func (w *world) begin(t *testing.T) {
	t.Helper()
	w.order(t, beginner, "pilot", false) // which makes the customer
	var customer, org string
	row := w.database(t).QueryRow(t.Context(), `SELECT c.stripe_customer_id, o.id::text FROM customers c JOIN organizations o ON o.id = c.org_id WHERE o.name = $1`, "Unfinished Symphonies")
	must(t, row.Scan(&customer, &org), "find the customer of %s", beginner)
	price := w.object(t, http.MethodGet, "/v1/subscriptions/"+w.subscription(t, subscriber), nil).Items.Data[0].Price.ID
	w.object(t, http.MethodPost, "/v1/subscriptions", url.Values{
		"customer": {customer}, "items[0][price]": {price}, "payment_behavior": {"default_incomplete"},
	})
	w.org[beginner] = org
	settle(t, w.demo)
}

// findHistory finds those of the year whose states no visitor can bring about,
// and logs their owners in.
func (w *world) findHistory(t *testing.T) {
	t.Helper()
	const owner = `SELECT u.email, c.org_id::text FROM subscriptions s JOIN customers c USING (stripe_customer_id)
		JOIN memberships m USING (org_id) JOIN users u ON u.id = m.user_id WHERE m.role = 'owner' AND `
	for as, which := range map[who]string{
		stalled: `s.status = 'paused'`, unpaid: `s.status = 'unpaid'`,
		doubled: `s.status = 'active' AND EXISTS (SELECT FROM subscriptions o WHERE o.stripe_customer_id = s.stripe_customer_id
			AND o.stripe_subscription_id <> s.stripe_subscription_id AND o.status = 'active')`,
	} {
		var email, org string
		row := w.database(t).QueryRow(t.Context(), owner+which+` ORDER BY s.created_at, s.stripe_subscription_id LIMIT 1`)
		must(t, row.Scan(&email, &org), "find %s", as)
		w.clients[as], w.org[as] = w.logIn(t, login{Email: email, Password: w.demo.Customer.Password}), org
	}
	for kind, org := range map[string]*string{"dispute_closed": &w.disputed, "refund": &w.refunded} {
		row := w.database(t).QueryRow(t.Context(), `SELECT org_id::text FROM payment_events WHERE kind = $1 AND org_id IS NOT NULL ORDER BY at LIMIT 1`, kind)
		must(t, row.Scan(org), "find a customer with a %s", kind)
	}
	row := w.database(t).QueryRow(t.Context(), `SELECT org_id::text FROM payment_alerts WHERE rule = 'unknown_price' AND state = 'firing' ORDER BY id LIMIT 1`)
	must(t, row.Scan(&w.unpriced), "find a price that no plan claims")
}

// dashboardCustomer sells a plan past the product.
func (w *world) dashboardCustomer(t *testing.T) string {
	t.Helper()
	customer := w.object(t, http.MethodPost, "/v1/customers", url.Values{"email": {"buyer@elsewhere.example"}})
	card := w.object(t, http.MethodPost, "/v1/payment_methods/pm_card_visa/attach", url.Values{"customer": {customer.ID}})
	price := w.object(t, http.MethodGet, "/v1/subscriptions/"+w.subscription(t, subscriber), nil).Items.Data[0].Price.ID
	w.object(t, http.MethodPost, "/v1/subscriptions", url.Values{
		"customer": {customer.ID}, "default_payment_method": {card.ID}, "items[0][price]": {price},
	})
	return customer.ID
}

// logIn brings a session to a person who has an account.
func (w *world) logIn(t *testing.T, who login) *client {
	t.Helper()
	c := newClient(t, w.demo.App)
	c.post(t, "/login", url.Values{"email": {who.Email}, "password": {who.Password}}, http.StatusSeeOther)
	return c
}

// signUp makes an account for a person of the table.
func (w *world) signUp(t *testing.T, as who, name, organization string) {
	t.Helper()
	c := newClient(t, w.demo.App)
	address := strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@example.com"
	c.post(t, "/signup", url.Values{
		"name": {name}, "email": {address}, "password": {"a few words are better"}, "organization": {organization},
	}, http.StatusSeeOther)
	w.clients[as] = c
}

// order begins a checkout and returns its session.
func (w *world) order(t *testing.T, as who, plan string, isAnnual bool) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"planId": plan, "isAnnual": isAnnual})
	must(t, err, "encode the order")
	var session struct {
		ID string `json:"sessionId"`
	}
	c := w.clients[as]
	answer := c.do(t, http.MethodPost, "/api/checkout", "application/json", bytes.NewReader(body), http.StatusOK)
	must(t, json.Unmarshal(answer, &session), "read the session")
	return session.ID
}

// buy orders a plan a month and pays with a card.
func (w *world) buy(t *testing.T, as who, plan, card string) {
	t.Helper()
	w.bought[as] = w.order(t, as, plan, false)
	w.control(t, "/sim/checkout/"+w.bought[as]+"/complete", fmt.Sprintf(`{"card":%q}`, card))
	settle(t, w.demo)
	var org string
	row := w.database(t).QueryRow(t.Context(), "SELECT org_id::text FROM checkout_attempts WHERE session_id = $1", w.bought[as])
	must(t, row.Scan(&org), "find the organization of %s", as)
	w.org[as] = org
}

// subscription is the one that a buyer has.
func (w *world) subscription(t *testing.T, as who) string {
	t.Helper()
	return w.object(t, http.MethodGet, "/v1/checkout/sessions/"+w.bought[as], nil).Subscription
}

// object is what we need of whatever Stripe answers.
type object struct {
	ID           string `json:"id"`
	Subscription string `json:"subscription"`
	Items        struct {
		Data []struct {
			Price struct {
				ID string `json:"id"`
			} `json:"price"`
		} `json:"data"`
	} `json:"items"`
}

// object calls the API of the stand-in, as Stripe's dashboard would.
func (w *world) object(t *testing.T, method, path string, form url.Values) object {
	t.Helper()
	var o object
	answer := w.call(t, method, path, "application/x-www-form-urlencoded", form.Encode())
	must(t, json.Unmarshal(answer, &o), "read the answer of %s", path)
	return o
}

// control calls a route of the stand-in's own.
func (w *world) control(t *testing.T, path, body string) []byte {
	t.Helper()
	return w.call(t, http.MethodPost, path, "application/json", body)
}

func (w *world) call(t *testing.T, method, path, mediaType, body string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.demo.Stripe+path, strings.NewReader(body))
	must(t, err, "ask for %s", path)
	request.Header.Set("Authorization", "Bearer "+w.demo.Secret)
	request.Header.Set("Content-Type", mediaType)
	response, err := http.DefaultClient.Do(request)
	must(t, err, "ask for %s", path)
	return readAnswer(t, response, http.StatusOK)
}

// database is a connection to the demo's rows, for what no page can bring about.
func (w *world) database(t *testing.T) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), w.demo.Database)
	must(t, err, "reach the demo's database")
	t.Cleanup(func() { _ = connection.Close(t.Context()) })
	return connection
}

// away renames a table, so that whatever needs it fails, and brings it back.
func (w *world) away(t *testing.T, table string) (back func()) {
	t.Helper()
	rename := func(from, to string) {
		_, err := w.database(t).Exec(t.Context(), fmt.Sprintf("ALTER TABLE %s RENAME TO %s", from, to))
		must(t, err, "rename %s", from)
	}
	rename(table, table+"_away")
	return func() { rename(table+"_away", table) }
}

// cookies are those of a person, for a browser to hold.
func (w *world) cookies(as who) []playwright.OptionalCookie {
	c := w.clients[as]
	if c == nil {
		return nil
	}
	var out []playwright.OptionalCookie
	for _, cookie := range c.http.Jar.Cookies(c.base) {
		out = append(out, playwright.OptionalCookie{Name: cookie.Name, Value: cookie.Value, URL: playwright.String(c.base.String())})
	}
	return out
}

func newClient(t *testing.T, app string) *client {
	t.Helper()
	base, err := url.Parse(app)
	must(t, err, "read the address of the demo")
	jar, err := cookiejar.New(nil)
	must(t, err, "make a jar")
	return &client{base: base, http: http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) post(t *testing.T, path string, form url.Values, want int) {
	t.Helper()
	c.do(t, http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), want)
}

func (c *client) do(t *testing.T, method, path, mediaType string, body io.Reader, want int) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.base.String()+path, body)
	must(t, err, "ask for %s", path)
	request.Header.Set("Content-Type", mediaType)
	response, err := c.http.Do(request)
	must(t, err, "ask for %s", path)
	return readAnswer(t, response, want)
}

func readAnswer(t *testing.T, response *http.Response, want int) []byte {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err, "read the answer")
	if response.StatusCode != want {
		t.Fatalf("%s %s answers %s, want %d: %.300s", response.Request.Method, response.Request.URL.Path, response.Status, want, body)
	}
	return body
}
