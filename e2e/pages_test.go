package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
)

// view is a page in one of its states. The browser tests look at every one of
// them, and the screenshots show them.
type view struct {
	// name is that of its test and of its picture.
	name string
	// route is the row of handlers/routes.go that answers, or of the
	// stand-in's routes. It is empty for what no route does.
	route string
	as    who
	// path leads there, and may be an address of the stand-in.
	path func(w *world) string
	// act goes on from the path to the state; nil: the path is all.
	act func(t *testing.T, w *world, page playwright.Page)
	// status is of the last answer; 0: 200.
	status int
	// breaks is a table without which the page is looked at.
	breaks string
}

func at(path string) func(*world) string { return func(*world) string { return path } }

// standIn is an address of the Stripe stand-in.
func standIn(path string) func(*world) string {
	return func(w *world) string { return w.demo.Stripe + path }
}

var views = []view{
	{name: "pricing", route: "/", as: stranger, path: at("/")},
	{name: "pricing-yearly", route: "/pricing", as: stranger, path: at("/pricing?interval=year")},
	{name: "pricing-newcomer", route: "/pricing", as: newcomer, path: at("/pricing")},
	{name: "pricing-subscriber", route: "/pricing", as: subscriber, path: at("/pricing")},
	{name: "pricing-staff", route: "/pricing", as: staff, path: at("/pricing")},
	{name: "signup", route: "/signup", as: stranger, path: at("/signup")},
	{name: "signup-mistaken", route: "/signup", as: stranger, path: at("/signup"), act: press("Create account"), status: 422},
	{name: "login", route: "/login", as: stranger, path: at("/login?next=/billing")},
	{name: "login-mistaken", route: "/login", as: stranger, path: at("/login"), act: press("Log in"), status: 422},

	{name: "review", route: "/checkout", as: newcomer, path: at("/checkout?plan=pro&interval=month")},
	{name: "review-trial", route: "/checkout", as: newcomer, path: at("/checkout?plan=pilot&interval=year")},
	{name: "review-second", route: "/checkout", as: subscriber, path: at("/checkout?plan=enterprise&interval=month"), status: 409},
	{name: "success", route: "/checkout/success", as: subscriber, path: cameBack(subscriber)},
	{name: "success-trial", route: "/checkout/success", as: trialist, path: cameBack(trialist)},
	{name: "success-waiting", route: "/checkout/success", as: newcomer, path: func(w *world) string { return "/checkout/success?session_id=" + w.open }},
	{name: "success-on-its-way", route: "/checkout/success", as: waiting, path: cameBack(waiting)},
	{name: "success-refused", route: "/checkout/success", as: refused, path: cameBack(refused)},
	{name: "cancel", route: "/checkout/cancel", as: newcomer, path: at("/checkout/cancel")},
	{name: "billing-empty", route: "/billing", as: newcomer, path: at("/billing")},
	{name: "billing", route: "/billing", as: subscriber, path: at("/billing")},
	{name: "billing-trial", route: "/billing", as: trialist, path: at("/billing")},
	{name: "billing-ending", route: "/billing", as: leaver, path: at("/billing")},
	{name: "billing-owing", route: "/billing", as: debtor, path: at("/billing")},
	{name: "billing-on-its-way", route: "/billing", as: waiting, path: at("/billing")},
	{name: "billing-refused", route: "/billing", as: refused, path: at("/billing")},
	{name: "billing-not-finished", route: "/billing", as: beginner, path: at("/billing")},
	{name: "billing-payments-paused", route: "/billing", as: resting, path: at("/billing")},
	{name: "billing-paused", route: "/billing", as: stalled, path: at("/billing")},
	{name: "billing-unpaid", route: "/billing", as: unpaid, path: at("/billing")},
	{name: "billing-two", route: "/billing", as: doubled, path: at("/billing")},
	{name: "billing-staff", route: "/billing", as: staff, path: at("/billing"), status: 404},

	{name: "overview", route: "/admin/billing", as: staff, path: at("/admin/billing")},
	{name: "overview-days", route: "/admin/billing", as: staff, path: at("/admin/billing?compare=previous&range=90d")},
	{name: "overview-mistaken", route: "/admin/billing", as: staff, path: at("/admin/billing?range=forever"), status: 422},
	{name: "overview-custom", route: "/admin/billing", as: staff, path: at("/admin/billing?from=2026-03-05&range=custom")},
	{name: "revenue", route: "/admin/billing/revenue", as: staff, path: at("/admin/billing/revenue?compare=year")},
	{name: "revenue-weeks", route: "/admin/billing/revenue", as: staff, path: at("/admin/billing/revenue?interval=week&plan=pro&range=90d")},
	{name: "customers", route: "/admin/billing/customers", as: staff, path: at("/admin/billing/customers")},
	{name: "funnel", route: "/admin/billing/funnel", as: staff, path: at("/admin/billing/funnel")},
	{name: "plans", route: "/admin/billing/plans", as: staff, path: at("/admin/billing/plans")},
	{name: "cohorts", route: "/admin/billing/cohorts", as: staff, path: at("/admin/billing/cohorts")},
	{name: "cohort", route: "/admin/billing/cohorts/:month", as: staff, path: at("/admin/billing/cohorts/2026-03")},
	{name: "payments", route: "/admin/billing/payments", as: staff, path: at("/admin/billing/payments")},
	{name: "definitions", route: "/admin/billing/explain", as: staff, path: at("/admin/billing/explain")},
	{name: "explanation", route: "/admin/billing/explain/:metric", as: staff, path: at("/admin/billing/explain/mrr")},
	{name: "explanation-of-rate", route: "/admin/billing/explain/:metric", as: staff, path: at("/admin/billing/explain/nrr")},
	{name: "explanation-of-nothing", route: "/admin/billing/explain/:metric", as: staff, path: at("/admin/billing/explain/happiness"), status: 404},
	{name: "subscriptions", route: "/admin/billing/subscriptions", as: staff, path: at("/admin/billing/subscriptions")},
	{name: "subscriptions-failing", route: "/admin/billing/subscriptions", as: staff, path: at("/admin/billing/subscriptions?failing=1&sort=organization")},
	{name: "subscriptions-none", route: "/admin/billing/subscriptions", as: staff, path: at("/admin/billing/subscriptions?q=nobody+is+called+so")},
	{name: "subscriptions-mistaken", route: "/admin/billing/subscriptions", as: staff, path: at("/admin/billing/subscriptions?status=happy&page=0"), status: 422},
	{name: "organization", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.storied }},
	{name: "organization-new", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.org[subscriber] }},
	{name: "organization-owing", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.org[debtor] }},
	{name: "organization-without-plan", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.demo.Customer.OrgID }},
	{name: "organization-two", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.org[doubled] }},
	{name: "organization-disputed", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.disputed }},
	{name: "organization-refunded", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.refunded }},
	{name: "organization-unpriced", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.unpriced }},
	{name: "organization-not-finished", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.org[beginner] }},
	{name: "customer-unlinked", route: "/admin/billing/organizations/:id", as: staff, path: func(w *world) string { return "/admin/billing/organizations/" + w.stray }},
	{name: "organization-unknown", route: "/admin/billing/organizations/:id", as: staff, path: at("/admin/billing/organizations/nobody"), status: 404},

	{name: "mailbox", route: "/demo/mailbox", as: stranger, path: at("/demo/mailbox")},
	{name: "mailbox-empty", route: "/demo/mailbox", as: stranger, path: at("/demo/mailbox?to=nobody@customer.example")},
	{name: "mail", route: "/demo/mailbox/:id", as: stranger, path: at("/demo/mailbox"), act: openNewestMail},
	{name: "mail-unknown", route: "/demo/mailbox/:id", as: stranger, path: at("/demo/mailbox/0"), status: 404},

	{name: "not-found", as: stranger, path: at("/nowhere")},
	{name: "not-yours", route: "/admin/billing", as: stranger, path: at("/admin/billing"), status: 404},
	{name: "wrong-method", as: newcomer, path: at("/logout"), status: 405},
	{name: "cross-origin", as: newcomer, path: at("/pricing"), act: postFromElsewhere, status: 403},
	{name: "failed", as: newcomer, path: at("/pricing"), breaks: "memberships", status: 500},
	{name: "busy", as: stranger, path: at("/login"), act: press("Log in"), breaks: "rate_limits", status: 503},
	{name: "too-many", as: stranger, path: at("/signup"), act: tooOften, status: 429},

	{name: "stripe-home", route: "GET /{$}", as: stranger, path: standIn("/")},
	{name: "stripe-checkout", route: "GET /c/pay/{id}", as: stranger, path: func(w *world) string { return w.demo.Stripe + "/c/pay/" + w.open }},
	{name: "stripe-declined", route: "GET /c/pay/{id}", as: stranger, path: func(w *world) string { return w.demo.Stripe + "/c/pay/" + w.open }, act: payWith("4000000000000002"), status: 402},
	{name: "stripe-confirmation", route: "GET /c/pay/{id}/confirmation", as: stranger, path: func(w *world) string { return w.demo.Stripe + "/c/pay/" + w.open }, act: payWith("4000002500003155")},
	{name: "stripe-paid", route: "GET /c/pay/{id}", as: stranger, path: func(w *world) string { return w.demo.Stripe + "/c/pay/" + w.bought[subscriber] }},
	{name: "stripe-expired", route: "GET /c/pay/{id}", as: stranger, path: func(w *world) string { return w.demo.Stripe + "/c/pay/" + w.expired }, status: 410},
	{name: "stripe-not-found", as: stranger, path: standIn("/nowhere"), status: 404},
}

// unseen are the routes that answer a GET with something that is no page.
var unseen = []string{
	"/healthz", "/readyz", "*", "/favicon.ico", "/robots.txt", "/admin",
	"/admin/billing/export/subscriptions.csv", "/admin/billing/export/:file", "/api/v1/orgs/:orgId/entitlements", "/api/v1/metrics", "/admin/billing/stream",
	"GET /c/assets/{name}",
}

// TestEveryPageIsLookedAt holds the table to the routes: whoever adds a page
// adds its row.
func TestEveryPageIsLookedAt(t *testing.T) {
	t.Parallel()
	for file, pattern := range map[string]string{
		"handlers/routes.go":           `\{"GET", (?:static\.Prefix \+ )?"([^"]+)"`,
		"internal/stripesim/routes.go": `HandleFunc\("(GET /(?:c/|\{\$\})[^"]*)"`,
	} {
		source, err := os.ReadFile(filepath.Join(projectRoot(), file))
		must(t, err, "read the routes")
		rows := regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1)
		if len(rows) < 3 {
			t.Errorf("%s: only %d routes found, so this test does not understand the file any more", file, len(rows))
		}
		for _, row := range rows {
			isSeen := slices.ContainsFunc(views, func(v view) bool { return v.route == row[1] })
			if isSeen == slices.Contains(unseen, row[1]) {
				t.Errorf("%s has %s: give it a row in the table of views, or say in unseen that it is no page", file, row[1])
			}
		}
	}
	names := map[string]bool{}
	for _, v := range views {
		if names[v.name] {
			t.Errorf("two views are named %s", v.name)
		}
		names[v.name] = true
	}
}

// wanted is the status that the page must have.
func (v view) wanted() int {
	switch {
	case v.status != 0:
		return v.status
	case v.route == "":
		return http.StatusNotFound
	}
	return http.StatusOK
}

// visit opens the view in a page of the browser and returns the status of the
// last answer that was a page.
func (v view) visit(t *testing.T, w *world, page playwright.Page) {
	t.Helper()
	if v.breaks != "" {
		if v.act == nil {
			defer w.away(t, v.breaks)()
		} else {
			act := v.act
			v.act = func(t *testing.T, w *world, page playwright.Page) {
				defer w.away(t, v.breaks)()
				act(t, w, page)
			}
		}
	}
	status := 0
	page.OnResponse(func(r playwright.Response) {
		if r.Request().IsNavigationRequest() {
			status = r.Status()
		}
	})
	path := v.path(w)
	if strings.HasPrefix(path, "/") {
		path = w.demo.App + path
	}
	_, err := page.Goto(path)
	must(t, err, "open %s", path)
	if v.act != nil {
		v.act(t, w, page)
	}
	if status != v.wanted() {
		t.Errorf("%s answers %d, want %d", path, status, v.wanted())
	}
}

// cameBack is the page that a buyer comes back to.
func cameBack(as who) func(*world) string {
	return func(w *world) string { return "/checkout/success?" + url.Values{"session_id": {w.bought[as]}}.Encode() }
}

// press sends a form as it stands.
func press(button string) func(*testing.T, *world, playwright.Page) {
	return func(t *testing.T, _ *world, page playwright.Page) {
		t.Helper()
		navigate(t, page, func() error {
			return page.GetByRole("button", playwright.PageGetByRoleOptions{Name: button, Exact: playwright.Bool(true)}).Click()
		})
	}
}

// openNewestMail opens the first of the list.
func openNewestMail(t *testing.T, _ *world, page playwright.Page) {
	t.Helper()
	navigate(t, page, func() error { return page.Locator(".row-link").First().Click() })
}

// navigate waits until what act does has brought another page.
func navigate(t *testing.T, page playwright.Page, act func() error) {
	t.Helper()
	_, err := page.Evaluate("() => { window.isBefore = true }")
	must(t, err, "mark the page")
	must(t, act(), "act")
	waitUntil(t, page, "() => !window.isBefore && document.readyState === 'complete'")
}

// waitUntil asks again and again. Playwright's own way evaluates text within the
// page, which our policy refuses; and a page that is about to go cannot answer.
func waitUntil(t *testing.T, page playwright.Page, condition string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds, err := page.Evaluate(condition); err == nil && holds == true {
			return
		}
	}
	t.Fatalf("it never came true that %s", condition)
}

// payWith presses the button of a test card on the hosted page.
func payWith(card string) func(*testing.T, *world, playwright.Page) {
	return func(t *testing.T, _ *world, page playwright.Page) {
		t.Helper()
		navigate(t, page, func() error { return page.Locator(fmt.Sprintf("button.test-card[value=%q]", card)).Click() })
	}
}

// postFromElsewhere is what another site would make a browser do.
func postFromElsewhere(t *testing.T, w *world, page playwright.Page) {
	t.Helper()
	_, err := page.Goto("about:blank")
	must(t, err, "leave")
	must(t, page.SetContent(`<form method="post" action="`+w.demo.App+`/logout"><button>Win</button></form>`), "set the trap")
	navigate(t, page, func() error { return page.GetByRole("button").Click() })
}

// tooOften signs up until it is enough, and once more.
func tooOften(t *testing.T, w *world, page playwright.Page) {
	t.Helper()
	c := newClient(t, w.demo.App)
	for range 20 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.demo.App+"/signup", http.NoBody)
		must(t, err, "sign up again")
		response, err := c.http.Do(request)
		must(t, err, "sign up again")
		response.Body.Close()
		if response.StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	press("Create account")(t, w, page)
}
