package views_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"github.com/promptforge/payments/views"
)

func text(s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") }

func attr(t *testing.T, doc *goquery.Document, selector, name string) string {
	t.Helper()
	s := doc.Find(selector)
	if s.Length() != 1 {
		t.Fatalf("%d elements match %s, want 1", s.Length(), selector)
	}
	return s.AttrOr(name, "")
}

func TestPricingWorksAsLinksAndAsAPart(t *testing.T) {
	doc := parse(t, views.PricingPage(pricing(visitor, "year")))
	for name, want := range map[string]string{
		"href": "/pricing?interval=month", "hx-get": "/pricing?interval=month", "hx-target": "#plans", "hx-push-url": "true",
	} {
		if got := attr(t, doc, "#interval-month", name); got != want {
			t.Errorf("%s of the switch is %q, want %q", name, got, want)
		}
	}
	if got := doc.Find(".switch [aria-current]").AttrOr("id", ""); got != "interval-year" {
		t.Errorf("current interval %q", got)
	}
	part := parse(t, views.PricingPlans(pricing(visitor, "year")))
	if part.Find("#plans .plan").Length() != 3 || part.Find("h1, header.top").Length() != 0 {
		t.Error("the part is not the cards alone")
	}
}

func TestAFourthPlanIsACardAndAColumnMore(t *testing.T) {
	doc := parse(t, views.PricingPage(fourPlans()))
	if got := doc.Find(".plan").Length(); got != 4 {
		t.Errorf("%d cards, want 4", got)
	}
	doc.Find(".compare tr:not(.compare-group)").Each(func(_ int, s *goquery.Selection) {
		if got := s.Children().Length(); got != 5 {
			t.Errorf("row %q has %d cells, want 5", text(s), got)
		}
	})
}

func TestAGroupOfTheComparisonSpansAllPlans(t *testing.T) {
	doc := parse(t, views.PricingPage(fourPlans()))
	if got := attr(t, doc, ".compare-group:contains(Limits) th", "colspan"); got != "5" {
		t.Errorf("the group spans %s columns, want 5", got)
	}
}

// TestWhoMayNotBuyIsToldOnceAndLedOn instead of finding dead words on each card.
func TestWhoMayNotBuyIsToldOnceAndLedOn(t *testing.T) {
	for name, doc := range map[string]*goquery.Document{
		"a member":          parse(t, views.PricingPage(memberPricing())),
		"who has something": parse(t, views.PricingPage(signedInPricing())),
	} {
		if doc.Find(`.plan a[href^="/checkout"]`).Length() > 0 {
			t.Errorf("%s finds a way to buy", name)
		}
		doc.Find(".plan").Each(func(_ int, card *goquery.Selection) {
			if doc.Find(".plans-notice a").Length() == 0 && card.Find(`a[href="/billing"]`).Length() != 1 {
				t.Errorf("%s finds no way on in %q", name, text(card))
			}
		})
	}
	doc := parse(t, views.PricingPage(signedInPricing()))
	if got := text(doc.Find(".plan .badge-good")); got != "Your plan" || doc.Find(`[aria-labelledby="plan-pro"] .badge-good`).Length() != 1 {
		t.Errorf("the plan that is had is marked %q", got)
	}
}

func TestAWrongFormKeepsWhatWasTypedAndSaysWhatIsWrong(t *testing.T) {
	doc := parse(t, views.SignUpPage(views.SignUp{
		Values: views.SignUpValues{Name: "Grace", Email: `"><script>`, Next: "/checkout?plan=pro"},
		Errors: map[string]string{"email": "This is not an e-mail address."},
	}))
	if got := attr(t, doc, "#email", "value"); got != `"><script>` {
		t.Errorf("e-mail address %q", got)
	}
	if got := attr(t, doc, "#email", "aria-invalid"); got != "true" {
		t.Errorf("aria-invalid %q", got)
	}
	if got := text(doc.Find("#" + attr(t, doc, "#email", "aria-describedby"))); got != "This is not an e-mail address." {
		t.Errorf("described by %q", got)
	}
	if got := attr(t, doc, ".summary a", "href"); got != "#email" {
		t.Errorf("the summary leads to %q", got)
	}
	if got := attr(t, doc, "#password", "value"); got != "" {
		t.Errorf("the password was sent back: %q", got)
	}
	if got := attr(t, doc, "[name=next]", "value"); got != "/checkout?plan=pro" {
		t.Errorf("next %q", got)
	}
	if got := attr(t, doc, ".aside a", "href"); got != "/login?next=%2Fcheckout%3Fplan%3Dpro" {
		t.Errorf("the link to log in is %q", got)
	}
	if doc.Find("[autofocus]").Length() != 1 || doc.Find(".summary[autofocus]").Length() != 1 {
		t.Error("the focus is not on the summary alone")
	}
}

func TestCheckoutIsAPlainFormWithoutAPrice(t *testing.T) {
	doc := parse(t, views.CheckoutPage(trialCheckout()))
	form := doc.Find(`form[action="/checkout"]`)
	if got := attr(t, doc, `form[action="/checkout"] [name=isAnnual]`, "value"); got != "true" {
		t.Errorf("isAnnual %q", got)
	}
	if got := attr(t, doc, `form[action="/checkout"] [name=planId]`, "value"); got != "pilot" {
		t.Errorf("planId %q", got)
	}
	html, err := goquery.OuterHtml(form)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(html, "hx-") || strings.Contains(html, "price") {
		t.Errorf("the form asks htmx or names a price: %s", html)
	}
}

func TestOnlyAWaitingOrderAsksAgain(t *testing.T) {
	for _, state := range []views.CheckoutState{
		views.CheckoutWaiting, views.CheckoutActive, views.CheckoutPending, views.CheckoutExpired, views.CheckoutLate, "",
	} {
		doc := parse(t, views.CheckoutSuccessPage(views.CheckoutSuccess{State: state, PollURL: "/poll", RefreshURL: "/again"}))
		asks := doc.Find(`#progress[hx-get="/poll"][hx-trigger="every 1s"]`).Length() == 1
		refreshes := strings.Contains(draw(t, views.CheckoutSuccessPage(views.CheckoutSuccess{State: state, RefreshURL: "/again"})), `http-equiv="refresh"`)
		waits := state == views.CheckoutWaiting || state == ""
		if asks != waits || refreshes != waits {
			t.Errorf("state %q: asks by htmx %t, by refresh %t, want %t", state, asks, refreshes, waits)
		}
		if doc.Find(`[aria-live="polite"] #progress`).Length() != 1 {
			t.Errorf("state %q: what changes is not in a live region that stays", state)
		}
	}
}

func TestBillingShowsAMemberNoAmounts(t *testing.T) {
	doc := parse(t, views.BillingPage(billingMember()))
	if doc.Find(".definitions").Length() != 0 || strings.Contains(doc.Text(), "$") {
		t.Error("a member sees amounts")
	}
	if !strings.Contains(text(doc.Find("main")), "Ask Grace Hopper (owner).") {
		t.Error("a member is not told whom to ask")
	}
}

func TestBillingOfAPlanThatEndedLeadsToTheNext(t *testing.T) {
	doc := parse(t, views.BillingPage(views.Billing{PlanName: "Pro", Ended: "It ended on 3 Mar 2026.", CanManage: true}))
	if got := text(doc.Find("main h2")); got != "Pro has ended" {
		t.Errorf("the heading is %q", got)
	}
	if got := attr(t, doc, "main a.button", "href"); got != "/pricing" {
		t.Errorf("the way on is %q", got)
	}
}

func TestEveryErrorSaysWhatHappenedAndWhatToDo(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 502, 503, 418, 507, 0} {
		doc := parse(t, views.ErrorPage(views.Error{Status: status, RequestID: "req-1"}))
		if text(doc.Find("h1")) == "" || text(doc.Find(".problem h1 + p")) == "" || doc.Find(".problem a.button").Length() == 0 {
			t.Errorf("status %d leaves the reader alone", status)
		}
		if got := text(doc.Find(".problem code")); got != "req-1" {
			t.Errorf("status %d: request id %q", status, got)
		}
	}
	admin := parse(t, views.ErrorPage(views.Error{Status: 404, LoginURL: "/login?next=%2Fadmin%2Fbilling"}))
	if got := attr(t, admin, ".problem a.button:not(.button-quiet)", "href"); got != "/login?next=%2Fadmin%2Fbilling" {
		t.Errorf("the primary way on is %q", got)
	}
}

func TestLoggingOutIsAFormPost(t *testing.T) {
	for _, s := range []sample{{"customer", views.BillingPage(billing())}, {"administrator", views.FiguresPage(figuresFrame(), views.OverviewBody(overview()))}} {
		doc := parse(t, s.page)
		if doc.Find(`form[method=post][action="/logout"] button`).Length() != 1 || doc.Find(`a[href="/logout"]`).Length() != 0 {
			t.Errorf("%s: no way to log out, or a link that logs out", s.name)
		}
	}
}

func TestTheHeaderLeadsNobodyAstray(t *testing.T) {
	for name, test := range map[string]struct {
		account views.Account
		want    []string
	}{
		"a visitor":                    {views.Account{}, []string{"/pricing", "/login", "/signup"}},
		"a member of an organization":  {customer.Account, []string{"/pricing", "/billing"}},
		"an administrator without one": {views.Account{Name: "Ada", Email: "ada@example.com", IsAdmin: true}, []string{"/pricing", "/admin/billing"}},
	} {
		t.Run(name, func(t *testing.T) {
			doc := parse(t, views.ErrorPage(views.Error{Frame: views.Frame{Account: test.account}}))
			var got []string
			doc.Find(".top-links a").Each(func(_ int, s *goquery.Selection) { got = append(got, s.AttrOr("href", "")) })
			if !slices.Equal(got, test.want) {
				t.Errorf("links to %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheStripSaysWhenNoRealMoneyMoves(t *testing.T) {
	m := figuresFrame()
	for _, test := range []bool{true, false} {
		m.TestMode = test
		if got := parse(t, views.FiguresPage(m, views.OverviewBody(overview()))).Find(".mode-strip").Length() == 1; got != test {
			t.Errorf("strip %t in mode test %t", got, test)
		}
	}
}
