package handlers_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/promptforge/payments/handlers"
)

var proMonthly = url.Values{"planId": {"pro"}, "isAnnual": {"false"}}

func TestAPriceFromTheBrowserHasNoEffect(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	cheap := b.rows(`SELECT stripe_price_id FROM prices WHERE plan = 'pilot' AND interval = 'month'`)
	if len(cheap) == 0 { // the copy learns of prices when they are sold; Stripe has them already
		for _, price := range b.sim.State(t)["price"] {
			if price["lookup_key"] == "promptforge_pilot_month" {
				cheap = append(cheap, price["id"].(string))
			}
		}
	}
	if len(cheap) != 1 {
		t.Fatalf("prices of pilot = %q", cheap)
	}
	v.post("/checkout", url.Values{
		"planId": {"pro"}, "isAnnual": {"false"}, "priceId": cheap, "price": cheap, "price_id": cheap, "customer": {"cus_other"}, "quantity": {"0"}, "amount": {"1"},
	}).want(303)
	session := b.rows(`SELECT session_id FROM checkout_attempts`)[0]
	if status, _ := b.sim.Complete(t, session, "4242424242424242"); status != http.StatusOK {
		t.Fatalf("paying answers %d", status)
	}
	v.get("/checkout/success?session_id=" + session).want(200)
	got := b.rows(`SELECT plan || ' ' || amount_minor || ' ' || currency FROM subscriptions`)
	if !slices.Equal(got, []string{"pro 9900 usd"}) {
		t.Errorf("subscriptions = %q", got)
	}
	for _, invoice := range b.sim.State(t)["invoice"] {
		if invoice["amount_paid"] != float64(9900) {
			t.Errorf("paid = %v", invoice["amount_paid"])
		}
	}
}

func TestPressingAtOnceMakesOneCustomerAndOneSession(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	var pressed sync.WaitGroup
	led := make([]string, 8)
	for i := range led {
		alone := *v // a browser's tabs share a session, and visitor's map is not for many
		alone.cookies = map[string]*http.Cookie{"session": v.cookies["session"]}
		pressed.Go(func() { led[i] = alone.post("/checkout", proMonthly).location() })
	}
	pressed.Wait()
	slices.Sort(led)
	if distinct := slices.Compact(led); len(distinct) != 1 || !strings.HasPrefix(distinct[0], b.sim.URL) {
		t.Errorf("eight presses lead to %q", distinct)
	}
	state := b.sim.State(t)
	if len(state["customer"]) != 1 || len(state["checkout.session"]) != 1 {
		t.Errorf("Stripe has %d customers and %d sessions", len(state["customer"]), len(state["checkout.session"]))
	}
}

func TestEveryRoleOrdersOrIsToldWhoMay(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	for _, role := range []string{"owner", "admin", "billing"} {
		b.exec(`UPDATE memberships SET role = $1`, role)
		v.post("/checkout", proMonthly).want(303)
	}
	b.exec(`UPDATE memberships SET role = 'member'`)
	b.unchanged("a member", func() {
		v.post("/checkout", proMonthly).want(403).wantText("main", "owner")
		wantError(t, "a member", v.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(403), "forbidden")
	})
	b.exec(`DELETE FROM memberships`)
	b.unchanged("somebody without an organization", func() {
		v.post("/checkout", proMonthly).want(404)
		wantError(t, "nobody's", v.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(404), "not_found")
		for _, path := range []string{"/billing", "/checkout?plan=pro"} {
			v.get(path).want(404)
		}
		v.get("/pricing").want(200)
		v.get("/checkout/cancel").want(200)
	})
}

func TestAnExpiredSessionSaysSoAndLeadsBack(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.post("/checkout", url.Values{"planId": {"enterprise"}, "isAnnual": {"true"}}).want(303)
	session := b.rows(`SELECT session_id FROM checkout_attempts`)[0]
	success := "/checkout/success?session_id=" + session
	waiting := v.get(success).want(200)
	poll, _ := waiting.doc().Find("#progress").Attr("hx-get")
	if !slices.Contains(waiting.header.Values("Vary"), "HX-Request") {
		t.Errorf("Vary = %q", waiting.header.Values("Vary"))
	}
	if status, body := b.sim.Do(t, http.MethodPost, "/v1/checkout/sessions/"+session+"/expire", ""); status != http.StatusOK {
		t.Fatalf("expiring answers %d %s", status, body)
	}
	page := v.get(success).want(200)
	if href, _ := page.doc().Find(`main a[href^="/checkout?"]`).Attr("href"); href != "/checkout?interval=year&plan=enterprise" {
		t.Errorf("an expired session leads back to %q: %s", href, page.text("main"))
	}
	part := v.with("HX-Request", "true").get(poll).want(200)
	if part.text("h1") != page.text("h1") || strings.Contains(part.body, "<html") || part.doc().Find("[hx-get]").Length() > 0 {
		t.Errorf("the part says %q and polls on: %s", part.text("h1"), part.body)
	}
	if !slices.Contains(part.header.Values("Vary"), "HX-Request") {
		t.Errorf("the part's Vary = %q", part.header.Values("Vary"))
	}
	if got := b.rows(`SELECT access FROM entitlements WHERE access <> 'none'`); len(got) > 0 {
		t.Errorf("access = %q", got)
	}
	v.post("/checkout", proMonthly).want(303) // and one may order again
}

// TestTheSuccessPageBelongsToWhoeverIsAMember, whatever organization is current.
func TestTheSuccessPageBelongsToWhoeverIsAMember(t *testing.T) {
	b := setup(t)
	ada := b.signUp("ada@example.com", "Engines")
	success := "/checkout/success?session_id=" + b.buy(ada, "pro")
	eve := b.signUp("eve@example.com", "Evil")
	b.unchanged("a stranger", func() {
		stranger, unknown := eve.get(success).want(404), eve.get("/checkout/success?session_id=cs_test_unknown").want(404)
		if stranger.text("main h1") != unknown.text("main h1") {
			t.Errorf("a stranger's session says %q, an unknown one %q", stranger.text("main"), unknown.text("main"))
		}
		eve.with("HX-Request", "true").get(success).want(404)
	})
	b.exec(`INSERT INTO memberships (org_id, user_id, role, created_at) SELECT o.id, u.id, 'member', now() FROM organizations o, users u WHERE o.name = 'Engines' AND u.email = 'eve@example.com'`)
	eve.get(success).want(200).wantText("h1", "Pro is active").wantText("main", "Engines")
	eve.get("/billing").want(200).wantText("main", "Evil")
}

func TestBillingSaysWhenAndHowMuch(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.post("/checkout", url.Values{"planId": {"pro"}, "isAnnual": {"true"}}).want(303)
	session := b.rows(`SELECT session_id FROM checkout_attempts`)[0]
	b.sim.Complete(t, session, "4242424242424242")
	v.get("/checkout/success?session_id=" + session).want(200)
	renewal := b.rows(`SELECT to_char(current_period_end AT TIME ZONE 'UTC', 'FMDD Mon YYYY') FROM subscriptions`)[0]
	says := func(term, want string) {
		t.Helper()
		page := v.get("/billing").want(200)
		got := page.doc().Find("main dt").FilterFunction(func(_ int, dt *goquery.Selection) bool { return strings.TrimSpace(dt.Text()) == term }).Next().Text()
		if !strings.Contains(got, want) {
			t.Errorf("%s says %q, want %q, in %s", term, got, want, page.text("main"))
		}
	}
	says("Renews on", renewal)
	says("Next payment", "$990.00 a year")
	says("Billed", "Yearly")
	b.exec(`UPDATE subscriptions SET cancel_at_period_end = true`)
	says("Ends on", renewal)
	if text := v.get("/billing").text("main"); strings.Contains(text, "Renews on") {
		t.Errorf("what ends is said to renew: %s", text)
	}
	b.exec(`UPDATE subscriptions SET cancel_at_period_end = false`)
	for _, is := range []struct{ status, says string }{
		{"incomplete", "No plan yet"}, {"trialing", "Trial"}, {"past_due", "Payment failed"}, {"unpaid", "Unpaid"}, {"paused", "Paused"}, {"active", "Active"},
	} {
		b.exec(`UPDATE subscriptions SET status = $1`, is.status)
		v.get("/billing").want(200).wantText("main", is.says)
	}
	b.exec(`UPDATE subscriptions SET status = 'canceled', ended_at = current_period_end`)
	v.get("/billing").want(200).wantText("main h2", "Pro has ended").wantText("main", "It ended on "+renewal).wantText(`main a[href="/pricing"]`, "Choose a plan")
}

func TestTheWebhookIs503WithoutADatabase(t *testing.T) {
	b := setup(t)
	b.pool.Close()
	body := `{"id":"evt_1","type":"invoice.sent","created":1700000000}`
	began := time.Now()
	a := b.deliver(sign(webhookSecret, began, body), body).want(503)
	if a.header.Get("Retry-After") == "" || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(began), a.header)
	}
	wantError(t, "a webhook", a, "unavailable")
	b.deliver("", body).want(400) // which needs none
	b.visitor().get("/healthz").want(200)
}

func TestWithoutTheStoreNothingIsSold(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	b.exec(`ALTER TABLE rate_limits RENAME TO away`)
	b.unchanged("an order that cannot be counted", func() {
		for _, a := range []*answer{v.post("/checkout", proMonthly).want(503), v.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(503)} {
			if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "rate_limits") {
				t.Errorf("answer = %v %s", a.header, a.body)
			}
		}
		b.visitor().post("/signup", url.Values{"name": {"A"}, "email": {"a@example.com"}, "password": {password}, "organization": {"A"}}).want(503)
	})
}

// TestEveryWriteIsLimited walks the table: whatever replicas count together
// ends in 429 for one who goes on and on.
func TestEveryWriteIsLimited(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) { d.RateCheckout.N = 10 })
	v := b.signUp("ada@example.com", "Engines")
	for _, r := range handlers.Rules() {
		if r.Limit != "shared" {
			continue
		}
		b.unchanged(r.Path, func() {
			var last *answer
			for range 11 {
				last = v.with("Accept", "application/json").post(r.Path, url.Values{"email": {"nobody"}})
			}
			if last.status != 429 || last.header.Get("Retry-After") == "" {
				t.Errorf("%s: the eleventh answers %d, Retry-After %q", r.Path, last.status, last.header.Get("Retry-After"))
				return
			}
			wantError(t, r.Path, last, "too_many_requests")
		})
	}
}

// TestASessionOfAnothersChoiceBecomesNobodys plants a session that is real, as
// somebody would who has an account and a moment at another's browser.
func TestASessionOfAnothersChoiceBecomesNobodys(t *testing.T) {
	b := setup(t)
	b.signUp("ada@example.com", "Engines")
	eve := b.signUp("eve@example.com", "Evil")
	planted := *eve.cookies["session"]
	v := b.visitor()
	v.cookies["session"] = &planted
	v.post("/login", url.Values{"email": {"ada@example.com"}, "password": {password}}).want(303)
	v.get("/billing").want(200).wantText("main", "Engines")
	eve.cookies["session"] = &planted
	eve.get("/billing").want(303)
}
