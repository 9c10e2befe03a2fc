package handlers_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/promptforge/payments/handlers"
)

func TestSignUpSignsInAndOwns(t *testing.T) {
	b := setup(t)
	v := b.visitor()
	v.get("/signup").want(200).wantText("h1", "Create your account")
	a := v.post("/signup", url.Values{
		"name": {"Ada"}, "email": {"ada@example.com"}, "password": {password}, "organization": {"Engines"}, "next": {"/checkout?plan=pro"},
	}).want(303)
	if a.location() != "/checkout?plan=pro" {
		t.Errorf("signing up leads to %s", a.location())
	}
	if c := v.cookies["session"]; c == nil || !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookies = %v", v.cookies)
	}
	v.get("/billing").want(200).wantText("h1", "Billing").wantText("main", "Engines")
	if a := v.get("/signup").want(303); a.location() != "/billing" {
		t.Errorf("signed in already, /signup leads to %s", a.location())
	}
	if got := b.rows(`SELECT role FROM memberships`); !slices.Equal(got, []string{"owner"}) {
		t.Errorf("roles = %q", got)
	}
}

func TestWrongFormsComeBackWithWhatWasTyped(t *testing.T) {
	b := setup(t)
	b.signUp("taken@example.com", "First")
	v := b.visitor()
	b.unchanged("a wrong sign-up", func() {
		a := v.post("/signup", url.Values{"name": {"Grace"}, "email": {"taken@example.com"}, "password": {"short1!"}, "organization": {""}}).want(422)
		a.wantText(`#password-error, [id^="password"].error`, "Use at least 8 characters.")
		doc := a.doc()
		if got := doc.Find("#password-help").Length(); got != 0 || doc.Find("#organization-help").Length() != 1 {
			t.Errorf("the rule for passwords is told a second time, %d, or another help is gone", got)
		}
		if got, _ := doc.Find(`input[name="name"]`).Attr("value"); got != "Grace" {
			t.Errorf("the name typed comes back as %q", got)
		}
		if strings.Contains(a.body, "short1!") {
			t.Error("the password comes back")
		}
		v.post("/signup", url.Values{"name": {"Grace"}, "email": {"taken@example.com"}, "password": {password}, "organization": {"X"}}).want(422).
			wantText("main", "There is an account with this address already.")
	})
	wrong := v.post("/login", url.Values{"email": {"taken@example.com"}, "password": {"wrong password"}}).want(422)
	unknown := v.post("/login", url.Values{"email": {"nobody@example.com"}, "password": {"wrong password"}}).want(422)
	if strings.ReplaceAll(wrong.body, "taken@", "nobody@") != unknown.body {
		t.Error("a known and an unknown address are answered differently")
	}
	v.do(http.MethodPost, "/login", "text/plain", strings.NewReader("email=a")).want(415)
	v.post("/login", url.Values{"email": {strings.Repeat("a", 70<<10)}}).want(413)
}

func TestLogOutEndsTheSessionOnTheServer(t *testing.T) {
	b := setup(t)
	b.signUp("ada@example.com", "Engines")
	v := b.logIn("ada@example.com")
	first := v.cookies["session"].Value
	v.get("/billing").want(200)
	v.post("/login", url.Values{"email": {"ada@example.com"}, "password": {password}}).want(303)
	if v.cookies["session"].Value == first {
		t.Error("logging in did not renew the session")
	}
	old := *v.cookies["session"]
	v.post("/logout", nil).want(303)
	v.cookies["session"] = &old
	if a := v.get("/billing").want(303); a.location() != "/login?next=%2Fbilling" {
		t.Errorf("the ended session leads to %s", a.location())
	}
}

func TestADeletedAccountHasNoSession(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	b.exec(`DELETE FROM users`)
	v.get("/billing").want(303)
}

func TestLoggingInLeadsOnlyToUs(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	form := url.Values{"email": {"ada@example.com"}, "password": {password}, "next": {"//evil.example"}}
	if a := b.visitor().post("/login", form).want(303); a.location() != "/billing" {
		t.Errorf("logging in leads to %s", a.location())
	}
	if a := v.get("/login?next=%2F%5Cevil.example").want(303); a.location() != "/billing" {
		t.Errorf("logged in already, /login leads to %s", a.location())
	}
	if got, _ := b.visitor().get("/login?next=https%3A%2F%2Fevil.example").want(200).doc().Find(`input[name="next"]`).Attr("value"); got != "" {
		t.Errorf("the form keeps next = %q", got)
	}
}

func TestNextStaysWithUs(t *testing.T) {
	for next, want := range map[string]string{
		"/billing": "/billing", "/checkout?plan=pro&interval=year": "/checkout?plan=pro&interval=year", "/": "/",
		"": "home", "billing": "home", "//evil.example": "home", "/\\evil.example": "home", "https://evil.example/": "home",
		"javascript:alert(1)": "home", "/\nevil": "home", "/\t/evil.example": "home", "///evil.example": "home", "http:/evil.example": "home",
		"/%2f%2fevil.example": "/%2f%2fevil.example", // a path of ours that is not there
	} {
		if got := handlers.LocalPath(next, "home"); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	for name, tt := range map[string]struct {
		headers map[string]string
		status  int
	}{
		"neither header":              {nil, 303},
		"same origin":                 {map[string]string{"Sec-Fetch-Site": "same-origin"}, 303},
		"typed by the user":           {map[string]string{"Sec-Fetch-Site": "none"}, 303},
		"another site":                {map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"a sister site":               {map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"an unknown relation":         {map[string]string{"Sec-Fetch-Site": "friend"}, 403},
		"another site, our origin":    {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": baseURL}, 403},
		"our origin":                  {map[string]string{"Origin": baseURL}, 303},
		"another origin":              {map[string]string{"Origin": "https://evil.example"}, 403},
		"another port":                {map[string]string{"Origin": "http://127.0.0.1:9999"}, 403},
		"an opaque origin":            {map[string]string{"Origin": "null"}, 403},
		"the host that was asked for": {map[string]string{"Origin": "http://example.com", "Host": "example.com"}, 403},
	} {
		ask := v
		for k, value := range tt.headers {
			ask = ask.with(k, value)
		}
		a := ask.post("/logout", nil)
		if a.status != tt.status {
			t.Errorf("%s: status = %d, want %d", name, a.status, tt.status)
		}
		if tt.status == 403 {
			b.unchanged(name, func() {
				if body := ask.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(403).body; !strings.Contains(body, `"code":"cross_origin"`) {
					t.Errorf("%s: JSON = %s", name, body)
				}
			})
		}
	}
}

func TestAttemptsAreLimitedByAddressAndByAccount(t *testing.T) {
	b := setup(t)
	form := url.Values{"email": {"ada@example.com"}, "password": {"guess guess"}}
	v := b.visitor()
	for range 10 {
		v.post("/login", form).want(422)
	}
	a := v.post("/login", form).want(429)
	if a.header.Get("Retry-After") == "" || a.header.Get("Retry-After") == "0" {
		t.Errorf("Retry-After = %q", a.header.Get("Retry-After"))
	}
	a.wantText("h1", "Too many attempts")
	elsewhere := b.visitor()
	elsewhere.address = "198.51.100.9:1"
	elsewhere.post("/login", form).want(429) // the account has had its attempts
	elsewhere.post("/login", url.Values{"email": {"grace@example.com"}, "password": {"guess guess"}}).want(422)
	member := b.signUp("eve@example.com", "Evil")
	member.address = "198.51.100.10:1"
	member.post("/login", form).want(429) // being somebody gives no more of them
	b.clock.Add(60)
	v.post("/login", form).want(422)
}

func TestWithoutTheStoreLogInsAreRefused(t *testing.T) {
	b := setup(t)
	b.exec(`DROP TABLE rate_limits`)
	a := b.visitor().post("/login", url.Values{"email": {"ada@example.com"}, "password": {password}}).want(503)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestOnlyTrustedProxiesSayWhomTheySpeakFor(t *testing.T) {
	for name, tt := range map[string]struct {
		trusted []netip.Prefix
		limited bool
	}{
		"a stranger's header is not believed": {nil, true},
		"a trusted proxy's is":                {[]netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, false},
		"a proxy elsewhere is not":            {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(d *handlers.Deps) { d.TrustedProxies = tt.trusted })
			status := 0
			for i := range 11 {
				v := b.visitor().with("X-Forwarded-For", "192.0.2."+string(rune('0'+i%10)))
				status = v.post("/login", url.Values{"email": {string(rune('a'+i)) + "@example.com"}, "password": {"guess guess"}}).status
			}
			if limited := status == 429; limited != tt.limited {
				t.Errorf("limited = %v, want %v", limited, tt.limited)
			}
		})
	}
}

func TestReadsAreLimitedToo(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) { d.RateRead.N = 3 })
	v := b.visitor()
	for range 3 {
		v.get("/pricing").want(200)
	}
	v.get("/pricing").want(429)
	v.get("/healthz").want(200)
}

func TestOneVisitorHasAWholeNetworkOfIPv6(t *testing.T) {
	b := setup(t)
	status := 0
	for i := range 11 {
		v := b.visitor()
		v.address = fmt.Sprintf("[2001:db8::%x]:1", i+1)
		status = v.post("/login", url.Values{"email": {fmt.Sprintf("%d@example.com", i)}, "password": {"guess guess"}}).status
	}
	if status != 429 {
		t.Errorf("the eleventh address of one network is answered %d", status)
	}
	v := b.visitor()
	v.address = "[2001:db8:0:1::1]:1"
	v.post("/login", url.Values{"email": {"ada@example.com"}, "password": {"guess guess"}}).want(422)
}
