package handlers_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
)

// program is a client with a key of these scopes, which knows no cookie.
func (b *bundle) program(name string, scopes ...auth.Scope) *visitor {
	b.t.Helper()
	secret, err := b.deps.Keys.Create(b.t.Context(), auth.NewKey{Name: name, Scopes: scopes, By: "command", At: time.Now()})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.visitor().with("Authorization", "Bearer "+secret)
}

func entitlementsOf(org string) string { return "/api/v1/orgs/" + org + "/entitlements" }

// entitlementAnswer is the contract's, read strictly.
type entitlementAnswer struct {
	OrgID       string           `json:"orgId"`
	Plan        *string          `json:"plan"`
	Status      *string          `json:"status"`
	Access      string           `json:"access"`
	Reason      string           `json:"reason"`
	Until       *time.Time       `json:"until"`
	Features    map[string]bool  `json:"features"`
	Limits      map[string]int64 `json:"limits"`
	AsOf        *time.Time       `json:"asOf"`
	Explanation *struct {
		Rule          string           `json:"rule"`
		Subscriptions []map[string]any `json:"subscriptions"`
	} `json:"explanation"`
}

func (a *answer) entitlement() entitlementAnswer {
	a.t.Helper()
	a.want(200)
	var e entitlementAnswer
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil || e.Features == nil || e.Limits == nil {
		a.t.Fatalf("%v in %s", err, a.body)
	}
	return e
}

func (b *bundle) orgID() string {
	b.t.Helper()
	return b.rows(`SELECT id::text FROM organizations`)[0]
}

func TestAProgramAsksWhatAnOrganizationMayDo(t *testing.T) {
	b := setup(t)
	ada := b.signUp("ada@example.com", "Engines")
	program, org := b.program("wiki", auth.ReadEntitlements), b.orgID()

	before := program.get(entitlementsOf(org))
	if e := before.entitlement(); e.Access != "none" || e.Reason != "no_subscription" || e.Plan != nil || e.Status != nil || e.Until != nil || e.AsOf != nil || len(e.Limits) != 0 {
		t.Errorf("without a subscription: %s", before.body)
	}
	if !strings.HasPrefix(before.header.Get("Content-Type"), "application/json") || before.header.Get("Cache-Control") != "no-store" || before.header.Get("Set-Cookie") != "" {
		t.Errorf("headers = %v", before.header)
	}

	ada.get("/checkout/success?session_id=" + b.buy(ada, "pro")).want(200)
	after := program.get(entitlementsOf(org))
	e := after.entitlement()
	if e.OrgID != org || e.Access != "full" || e.Reason != "active" || *e.Plan != "pro" || *e.Status != "active" || e.AsOf == nil {
		t.Errorf("after buying: %s", after.body)
	}
	if !e.Features["api"] || e.Features["audit_export"] || len(e.Features) != len(b.deps.Plans.Features) || e.Limits["members"] != 10 {
		t.Errorf("features and limits: %s", after.body)
	}
	if e.Until == nil || e.Until.Before(time.Now().AddDate(0, 1, 0)) || e.Explanation != nil {
		t.Errorf("until: %s", after.body)
	}

	// What the row knows of later is looked up, not computed: weeks after the
	// renewal that nobody could ask about.
	b.exec(`UPDATE entitlements SET "until" = now() - interval '1 second', then_access = 'read_only', then_reason = 'not_confirmed'`)
	late := program.get(entitlementsOf(org))
	if e := late.entitlement(); e.Access != "read_only" || e.Reason != "not_confirmed" || *e.Plan != "pro" || e.Until != nil || e.Features["api"] || len(e.Limits) != 0 {
		t.Errorf("when nothing was confirmed: %s", late.body)
	}
}

func TestAnAnswerCanBeExplained(t *testing.T) {
	b := setup(t)
	ada := b.signUp("ada@example.com", "Engines")
	program, org := b.program("wiki", auth.ReadEntitlements), b.orgID()
	if e := program.get(entitlementsOf(org) + "?explain=1").entitlement(); e.Explanation == nil || e.Explanation.Subscriptions == nil || len(e.Explanation.Subscriptions) != 0 {
		t.Errorf("without a subscription: %+v", e.Explanation)
	}
	ada.get("/checkout/success?session_id=" + b.buy(ada, "pro")).want(200)
	a := program.get(entitlementsOf(org) + "?explain=1")
	e := a.entitlement()
	if e.Explanation == nil || len(e.Explanation.Subscriptions) != 1 {
		t.Fatalf("explanation: %s", a.body)
	}
	s := e.Explanation.Subscriptions[0]
	if s["plan"] != "pro" || s["status"] != "active" || s["decides"] != true || s["access"] != e.Access || s["reason"] != e.Reason || s["rule"] == "" || s["since"] == nil || s["isKnownAtStripe"] != true {
		t.Errorf("subscription: %v", s)
	}
	then, _ := s["then"].([]any)
	if len(then) != 1 || then[0].(map[string]any)["reason"] != "not_confirmed" || s["until"] != e.Until.Format(time.RFC3339) {
		t.Errorf("what comes then: %v until %v, the answer says %v", then, s["until"], e.Until)
	}
	if strings.Contains(strings.ToLower(a.body), "amount") {
		t.Errorf("amounts are told: %s", a.body)
	}
	program.get(entitlementsOf(org) + "?explain=yes").want(400)
}

func TestOnlyAKeyOfTheScopeOpensTheAPI(t *testing.T) {
	b := setup(t)
	ada := b.signUp("ada@example.com", "Engines")
	org := b.orgID()
	good := b.program("wiki", auth.ReadEntitlements)
	good.get(entitlementsOf(org)).want(200)
	for name, v := range map[string]*visitor{
		"nobody": b.visitor(), "a session": ada, "an administrator": b.admin(),
		"an unknown key":    b.visitor().with("Authorization", "Bearer "+auth.NewSecret()),
		"what is no key":    b.visitor().with("Authorization", "Bearer pf_x"),
		"another scheme":    b.visitor().with("Authorization", "Basic "+strings.TrimPrefix(good.headers.Get("Authorization"), "Bearer ")),
		"two keys":          good.with("Authorization", "Bearer "+auth.NewSecret()),
		"a key in a header": b.visitor().with("X-Api-Key", strings.TrimPrefix(good.headers.Get("Authorization"), "Bearer ")),
	} {
		a := v.get(entitlementsOf(org)).want(401)
		wantError(t, name, a, "unauthenticated")
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") || strings.Contains(a.body, "pf_x") {
			t.Errorf("%s: %v %s", name, a.header, a.body)
		}
	}
	lacking := b.program("charts", auth.ReadMetrics).get(entitlementsOf(org)).want(403)
	wantError(t, "a key for something else", lacking, "forbidden")

	b.exec(`UPDATE api_keys SET revoked_at = now() WHERE name = 'wiki'`)
	b.clock.Add(int64(auth.KeyTrust / time.Second))
	wantError(t, "a revoked key", good.get(entitlementsOf(org)).want(401), "unauthenticated")
}

func TestAddressesOfTheAPIAreReadStrictly(t *testing.T) {
	b := setup(t)
	b.signUp("ada@example.com", "Engines")
	program, org := b.program("wiki", auth.ReadEntitlements), b.orgID()
	wantError(t, "an unknown organization", program.get(entitlementsOf(uuid.NewString())).want(404), "not_found")
	for _, id := range []string{"1", "engines", org + "0", "urn:uuid:" + org, "{" + org + "}", strings.ReplaceAll(org, "-", ""), "%00"} {
		wantError(t, id, program.get(entitlementsOf(id)).want(400), "bad_request")
	}
	program.get(entitlementsOf(strings.ToUpper(org))).want(200)
	wantError(t, "a part of the address", program.get("/api/v1/orgs/"+org).want(404), "not_found")
	if a := program.do(http.MethodPost, entitlementsOf(org), "application/json", strings.NewReader("{}")); a.status != 405 {
		t.Errorf("POST = %d", a.status)
	}
	head := program.do(http.MethodHead, entitlementsOf(org), "", nil)
	if head.status != 200 {
		t.Errorf("HEAD = %d", head.status)
	}
}

func TestAKeyMayAskSixThousandTimesAMinute(t *testing.T) {
	b := setup(t)
	program, other := b.program("wiki", auth.ReadEntitlements), b.program("docs", auth.ReadEntitlements)
	refused := func(v *visitor, n int) int {
		for i := range n {
			v.address = "203.0.113." + string(rune('1'+i%9)) + ":1" // however many machines the program runs on
			if a := v.get(entitlementsOf("x")); a.status == 429 {
				if a.header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				wantError(t, "too many", a, "too_many_requests")
				return i
			}
		}
		return n
	}
	if n := refused(program, 6001); n != 6000 {
		t.Errorf("refused after %d", n)
	}
	if n := refused(other, 1); n != 1 {
		t.Error("another key is refused as well")
	}
	b.clock.Add(60)
	if n := refused(program, 1); n != 1 {
		t.Error("a minute later it is still refused")
	}
}

// TestAProgramIsToldToComeBack: it keeps what it knew, instead of locking people
// out.
func TestAProgramIsToldToComeBack(t *testing.T) {
	b := setup(t)
	b.signUp("ada@example.com", "Engines")
	program, org := b.program("wiki", auth.ReadEntitlements), b.orgID()
	program.get(entitlementsOf(org)).want(200)
	for _, table := range []string{"entitlements", "api_keys"} {
		b.clock.Add(10) // no key is believed without looking
		b.exec(`ALTER TABLE ` + table + ` RENAME TO away`)
		a := program.get(entitlementsOf(org)).want(503)
		wantError(t, table, a, "unavailable")
		if a.header.Get("Retry-After") == "" || strings.Contains(a.body, table) {
			t.Errorf("without %s: %v %s", table, a.header, a.body)
		}
		b.exec(`ALTER TABLE away RENAME TO ` + table)
		program.get(entitlementsOf(org)).want(200)
	}
}

func TestWhoTriesKeysIsSlowedDown(t *testing.T) {
	b := setup(t)
	good := b.program("wiki", auth.ReadEntitlements)
	statuses := map[int]int{}
	for range 130 {
		statuses[b.visitor().with("Authorization", "Bearer "+auth.NewSecret()).get(entitlementsOf("x")).status]++
	}
	if statuses[401] != 120 || statuses[429] != 10 {
		t.Errorf("statuses = %v", statuses)
	}
	good.get(entitlementsOf("x")).want(400) // from the same address, and no stranger
}

func TestEveryScopeIsOneThatKeysCanHave(t *testing.T) {
	t.Parallel()
	for audience, scope := range handlers.KeyScopes() {
		if !slices.Contains(auth.Scopes(), scope) {
			t.Errorf("%s asks for %q", audience, scope)
		}
	}
}
