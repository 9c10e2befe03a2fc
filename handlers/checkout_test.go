package handlers_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/billing"
)

func TestWrongOrdersAreRefusedAsDocumented(t *testing.T) {
	b := setup(t)
	owner := b.signUp("ada@example.com", "Engines")
	foreign := b.rows(`SELECT id::text FROM organizations`)[0]
	v := b.signUp("grace@example.com", "Compilers")
	member := b.signUp("mary@example.com", "Elsewhere")
	b.exec(`UPDATE memberships SET role = 'member' WHERE user_id = (SELECT id FROM users WHERE email = 'mary@example.com')`)
	_ = owner
	large := `{"planId":"` + strings.Repeat("a", 65<<10) + `"}`
	for name, tt := range map[string]struct {
		who    *visitor
		kind   string
		body   io.Reader
		status int
		code   string
		fields []string
	}{
		"no session":               {b.visitor(), "application/json", strings.NewReader(`{"planId":"pro","isAnnual":false}`), 401, "unauthenticated", nil},
		"another type":             {v, "text/plain", strings.NewReader(`{"planId":"pro","isAnnual":false}`), 415, "unsupported_media_type", nil},
		"a form":                   {v, "application/x-www-form-urlencoded", strings.NewReader(`planId=pro&isAnnual=false`), 415, "unsupported_media_type", nil},
		"no type":                  {v, "", strings.NewReader(`{"planId":"pro","isAnnual":false}`), 415, "unsupported_media_type", nil},
		"no body":                  {v, "application/json", strings.NewReader(``), 400, "not_json", nil},
		"no JSON":                  {v, "application/json", strings.NewReader(`planId=pro`), 400, "not_json", nil},
		"a list":                   {v, "application/json", strings.NewReader(`[]`), 400, "not_json", nil},
		"null":                     {v, "application/json", strings.NewReader(`null`), 400, "not_json", nil},
		"something behind it":      {v, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":false} {}`), 400, "not_json", nil},
		"too large":                {v, "application/json", strings.NewReader(large), 413, "too_large", nil},
		"too large, length unsaid": {v, "application/json", io.MultiReader(strings.NewReader(large)), 413, "too_large", nil},
		"nothing in it":            {v, "application/json", strings.NewReader(`{}`), 422, "invalid", []string{"isAnnual", "planId"}},
		"an unknown plan":          {v, "application/json", strings.NewReader(`{"planId":"gold","isAnnual":false}`), 422, "invalid", []string{"planId"}},
		"a plan that is a number":  {v, "application/json", strings.NewReader(`{"planId":7,"isAnnual":false}`), 422, "invalid", []string{"planId"}},
		"no interval":              {v, "application/json", strings.NewReader(`{"planId":"pro"}`), 422, "invalid", []string{"isAnnual"}},
		"an interval in words":     {v, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":"true"}`), 422, "invalid", []string{"isAnnual"}},
		"an interval of null":      {v, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":null}`), 422, "invalid", []string{"isAnnual"}},
		"an organization by name":  {v, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":false,"orgId":"Compilers"}`), 422, "invalid", []string{"orgId"}},
		"an empty organization":    {v, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":false,"orgId":""}`), 422, "invalid", []string{"orgId"}},
		"an id in another form":    {v, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":false,"orgId":"` + strings.ReplaceAll(foreign, "-", "") + `"}`), 422, "invalid", []string{"orgId"}},
		"a foreign organization":   {v, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":false,"orgId":"` + foreign + `"}`), 404, "not_found", nil},
		"an unknown organization":  {v, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":false,"orgId":"` + uuid.NewString() + `"}`), 404, "not_found", nil},
		"a member who may not pay": {member, "application/json", strings.NewReader(`{"planId":"pro","isAnnual":false}`), 403, "forbidden", nil},
	} {
		b.unchanged(name, func() {
			a := tt.who.do(http.MethodPost, "/api/checkout", tt.kind, tt.body)
			var e struct {
				Error struct {
					Code, Message string
					Fields        map[string]string
				}
			}
			if err := json.Unmarshal([]byte(a.body), &e); err != nil {
				t.Errorf("%s: body %q", name, a.body)
			}
			fields := []string{}
			for f := range e.Error.Fields {
				fields = append(fields, f)
			}
			slices.Sort(fields)
			if a.status != tt.status || e.Error.Code != tt.code || e.Error.Message == "" || !slices.Equal(fields, append([]string{}, tt.fields...)) {
				t.Errorf("%s: status %d, %s", name, a.status, a.body)
			}
		})
	}
	// The same by form, for a browser.
	for name, tt := range map[string]struct {
		form   url.Values
		status int
	}{
		"an unknown plan": {url.Values{"planId": {"gold"}, "isAnnual": {"false"}}, 422},
		"no interval":     {url.Values{"planId": {"pro"}}, 422},
		"yes":             {url.Values{"planId": {"pro"}, "isAnnual": {"1"}}, 422},
		"another's":       {url.Values{"planId": {"pro"}, "isAnnual": {"false"}, "orgId": {foreign}}, 404},
	} {
		b.unchanged("by form, "+name, func() {
			a := v.post("/checkout", tt.form).want(tt.status)
			if a.doc().Find("main a").Length() == 0 {
				t.Errorf("%s: there is no way back", name)
			}
		})
	}
	if a := b.visitor().post("/checkout", url.Values{"planId": {"pro"}, "isAnnual": {"false"}}).want(303); a.location() != "/login?next=%2Fcheckout" {
		t.Errorf("without a session the form leads to %s", a.location())
	}
	if a := v.get("/checkout").want(303); a.location() != "/pricing" {
		t.Errorf("no plan leads to %s", a.location())
	}
}

func TestAnOrderLeadsToStripeAndBack(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout?plan=pro&interval=year").want(200).wantText("main", "$990.00 a year")
	v.get("/checkout?plan=gold").want(422)
	a := v.json("/api/checkout", `{"planId":"pro","isAnnual":false,"priceId":"price_of_my_own","price":1}`).want(200)
	var opened struct{ SessionID, URL string }
	if err := json.Unmarshal([]byte(a.body), &opened); err != nil || !strings.HasPrefix(opened.SessionID, "cs_test_") || !strings.HasPrefix(opened.URL, b.sim.URL) {
		t.Fatalf("checkout = %s", a.body)
	}
	if again := v.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(200); again.body != a.body {
		t.Errorf("a second press gives %s, the first gave %s", again.body, a.body)
	}
	success := "/checkout/success?session_id=" + opened.SessionID
	v.get(success).want(200).wantText("h1", "Activating Pro")
	stranger := b.signUp("eve@example.com", "Evil")
	stranger.get(success).want(404)
	b.visitor().get(success).want(303)
	for _, id := range []string{"", "%00", "%ff", "cs_%27", strings.Repeat("a", 300)} {
		v.get("/checkout/success?session_id=" + id).want(404)
	}

	if status, _ := b.sim.Complete(t, opened.SessionID, "4242424242424242"); status != 200 {
		t.Fatalf("paying answers %d", status)
	}
	// No webhook has come: the return alone activates.
	v.get(success).want(200).wantText("h1", "Pro is active")
	v.get("/billing").want(200).wantText("main", "Active").wantText("main", "$99.00").wantText("main", "1 of 10")
	v.get("/pricing").want(200).wantText(`article[aria-labelledby="plan-pro"]`, "Your plan")

	v.get("/checkout?plan=enterprise").want(409).wantText("h1", "You already have a subscription").wantText(".problem h1 + p", "Nothing was ordered")
	refused := v.json("/api/checkout", `{"planId":"enterprise","isAnnual":true}`).want(409)
	if !strings.Contains(refused.body, `"code":"subscription_exists"`) || !strings.Contains(refused.body, `"url":"/billing"`) {
		t.Errorf("a second subscription: %s", refused.body)
	}
	v.post("/checkout", url.Values{"planId": {"pilot"}, "isAnnual": {"false"}}).want(409).wantText("h1", "You already have a subscription").wantText(".problem h1 + p", "Nothing was ordered")
}

func TestTheSuccessPagePollsOurRowsAndKnowsWhenToStop(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.post("/checkout", url.Values{"planId": {"pro"}, "isAnnual": {"false"}}).want(303)
	session := b.rows(`SELECT session_id FROM checkout_attempts`)[0]
	poll, _ := v.get("/checkout/success?session_id=" + session).want(200).doc().Find("#progress").Attr("hx-get")
	htmx := v.with("HX-Request", "true")
	b.unchanged("polling", func() { htmx.get(poll).want(204) })
	v.get("/checkout/cancel").want(200).wantText("main", "Pro").wantText(`main a[href="/checkout?interval=month&plan=pro"]`, "Review the order again")
	if a := b.visitor().with("HX-Request", "true").get(poll).want(200); !strings.HasPrefix(a.header.Get("HX-Redirect"), "/login?next=") {
		t.Errorf("a poll without a session is answered %v", a.header)
	}
	if a := htmx.get("/checkout/success?session_id=cs_other").want(404); a.header.Get("HX-Retarget") != "body" {
		t.Errorf("an error in a part is answered %v", a.header)
	}
	b.clock.Add(40)
	htmx.get(poll).want(200).wantText("h1", "This takes longer than usual")
	if status, _ := b.sim.Complete(t, session, "4242424242424242"); status != 200 {
		t.Fatal("paying failed")
	}
	v.get("/checkout/success?session_id=" + session).want(200)
	htmx.get(poll).want(200).wantText("h1", "Pro is active")
}

func TestStripeAwayIs502(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	b.wire.isCut.Store(true)
	if a := v.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(502); !strings.Contains(a.body, `"code":"stripe_unavailable"`) {
		t.Errorf("body = %s", a.body)
	}
	v.post("/checkout", url.Values{"planId": {"pro"}, "isAnnual": {"false"}}).want(502).
		wantText("h1", "Review your order").wantText("main", "The payment page could not be opened").wantText("main form button", "Continue to payment")
}

func TestCheckoutsAreLimited(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) { d.RateCheckout.N = 2 })
	v := b.signUp("ada@example.com", "Engines")
	for range 2 {
		v.json("/api/checkout", `{"planId":"gold","isAnnual":false}`).want(422)
	}
	v.post("/checkout", url.Values{"planId": {"pro"}, "isAnnual": {"false"}}).want(429) // by form or by JSON, it is one limit
	b.unchanged("one too many", func() {
		a := v.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(429)
		if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"code":"too_many_requests"`) {
			t.Errorf("answer = %v %s", a.header, a.body)
		}
		elsewhere := *v
		elsewhere.address = "198.51.100.9:1"
		elsewhere.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(429) // it is the same account
	})
	grace := b.signUp("grace@example.com", "Compilers")
	grace.json("/api/checkout", `{"planId":"gold","isAnnual":false}`).want(429) // it is the same address
	grace.address = "198.51.100.10:1"
	grace.json("/api/checkout", `{"planId":"gold","isAnnual":false}`).want(422)
}

// TestAFourthPlanIsAnEditOfOneFile adds a plan to a copy of the file, changes
// nothing else, and buys it.
func TestAFourthPlanIsAnEditOfOneFile(t *testing.T) {
	raw, err := os.ReadFile("../internal/billing/plans.json")
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(raw), `  "plans": [`, `  "plans": [
    {
      "code": "team-plus", "name": "Team Plus", "summary": "For teams that grew.",
      "prices_minor": { "month": 19900, "year": 199000 },
      "limits": { "members": 40 }, "features": ["api"]
    },`, 1)
	plans, err := billing.ParsePlans([]byte(edited))
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(d *handlers.Deps) { d.Plans = plans })
	b.visitor().get("/").want(200).wantText(`article[aria-labelledby="plan-team-plus"]`, "$199")
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout?plan=team-plus&interval=month").want(200).wantText("main", "$199.00 a month")
	session := b.buy(v, "team-plus")
	v.get("/checkout/success?session_id="+session).want(200).wantText("h1", "Team Plus is active")
	v.get("/billing").want(200).wantText("main", "Team Plus").wantText("main", "1 of 40")
	if got := b.rows(`SELECT plan || ' ' || access FROM entitlements`); !slices.Equal(got, []string{"team-plus full"}) {
		t.Errorf("entitlement = %q", got)
	}
}
