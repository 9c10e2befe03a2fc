package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
)

func TestEveryRouteStandsInTheTableWithItsRule(t *testing.T) {
	b := setup(t)
	rules := map[string]handlers.Rule{}
	for _, r := range handlers.Rules() {
		rules[r.Method+" "+r.Path] = r
		if r.Audience == "" {
			t.Errorf("%s %s has no audience", r.Method, r.Path)
		}
		switch r.Limit {
		case "shared", "local":
		case "none":
			if r.Why == "" {
				t.Errorf("%s %s has no limit and no reason for it", r.Method, r.Path)
			}
		default:
			t.Errorf("%s %s has no limit", r.Method, r.Path)
		}
		writes := r.Method != http.MethodGet && !strings.HasPrefix(r.Path, "/api/webhooks/") && r.Path != "/logout"
		if writes && r.Limit != "shared" {
			t.Errorf("%s %s writes, and replicas do not count it together", r.Method, r.Path)
		}
	}
	registered := map[string]bool{}
	for _, r := range b.app.Routes() {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		registered[method+" "+r.Path] = true
		if _, ok := rules[method+" "+r.Path]; !ok {
			t.Errorf("%s %s is served without a rule", r.Method, r.Path)
		}
	}
	for key := range rules {
		if !registered[key] {
			t.Errorf("%s has a rule and is not served", key)
		}
	}
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	b := setup(t)
	v := b.visitor()
	for name, a := range map[string]*answer{
		"a page": v.get("/"), "an unknown page": v.get("/nowhere"), "a redirect": v.get("/billing"), "JSON": v.json("/api/checkout", `{}`),
		"a webhook": v.json("/api/webhooks/stripe", `{}`), "health": v.get("/healthz"), "a wrong method": v.do("DELETE", "/login", "", nil),
		"a file that is not there": v.get("/static/none.css"), "a refused form": v.with("Origin", "https://evil.example").post("/login", nil),
	} {
		policy := a.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "form-action 'self' "+b.sim.URL) {
			t.Errorf("%s: policy = %q", name, policy)
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("Referrer-Policy") == "" {
			t.Errorf("%s: headers = %v", name, a.header)
		}
		if a.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s promises https on plain http", name)
		}
		if !strings.HasPrefix(a.header.Get("X-Request-Id"), "req_") {
			t.Errorf("%s has no request id", name)
		}
	}
}

func TestHTTPSIsPromisedAndItsCookieIsHostBound(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) {
		d.BaseURL = "https://billing.example.com"
		d.Sessions = auth.NewSessions(d.Pool, true)
	})
	v := b.signUp("ada@example.com", "Engines")
	if c := v.cookies["__Host-session"]; c == nil || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookies = %v", v.cookies)
	}
	v.with("Origin", baseURL).post("/logout", nil).want(403)
	if got := b.visitor().get("/").header.Get("Strict-Transport-Security"); !strings.Contains(got, "max-age=") {
		t.Errorf("Strict-Transport-Security = %q", got)
	}
}

func TestErrorsSpeakHTMLToBrowsersAndJSONToPrograms(t *testing.T) {
	b := setup(t)
	v := b.visitor()
	v.get("/nowhere").want(404).wantText("h1", "There is nothing here")
	if body := v.with("Accept", "application/json").get("/nowhere").want(404).body; !strings.Contains(body, `"code":"not_found"`) {
		t.Errorf("JSON = %s", body)
	}
	wrong := v.do(http.MethodDelete, "/login", "", nil).want(405)
	if allow := wrong.header.Get("Allow"); !strings.Contains(allow, "POST") {
		t.Errorf("Allow = %q", allow)
	}
	if body := v.get("/api/nothing").want(404).body; !strings.Contains(body, `"error":{`) {
		t.Errorf("JSON = %s", body)
	}
}

func TestAPanicIsAnErrorThatSaysNothing(t *testing.T) {
	b := setup(t)
	b.app.GET("/panic", func(echo.Context) error { panic("SELECT secret") })
	b.app.GET("/error", func(echo.Context) error { return errors.New("SELECT secret") })
	for _, path := range []string{"/panic", "/error"} {
		for _, v := range []*visitor{b.visitor(), b.visitor().with("Accept", "application/json"), b.visitor().with("HX-Request", "true")} {
			a := v.get(path).want(500)
			if strings.Contains(a.body, "SELECT") || strings.Contains(a.body, ".go:") || strings.Contains(a.body, "panic:") ||
				!strings.Contains(a.body, a.header.Get("X-Request-Id")) {
				t.Errorf("%s answers %s", path, a.body)
			}
		}
		wantError(t, path, b.visitor().with("Accept", "application/json").get(path), "internal")
	}
}

func TestWithoutTheDatabaseAVisitorWithASessionGetsAnErrorPage(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	b.exec(`ALTER TABLE sessions RENAME TO away`)
	a := v.get("/billing").want(500).wantText("h1", "Something went wrong on our side")
	if strings.Contains(a.body, "sessions") || !strings.Contains(a.body, a.header.Get("X-Request-Id")) {
		t.Errorf("body = %s", a.body)
	}
	b.visitor().get("/pricing").want(200) // whoever has none needs no store
}

func TestASessionThatCannotBeSavedBeginsNothing(t *testing.T) {
	b := setup(t)
	b.signUp("ada@example.com", "Engines")
	b.exec(`ALTER TABLE sessions RENAME TO away`)
	v := b.visitor()
	a := v.post("/login", url.Values{"email": {"ada@example.com"}, "password": {password}}).want(500)
	if len(v.cookies) > 0 || !strings.Contains(a.body, a.header.Get("X-Request-Id")) {
		t.Errorf("cookies = %v, body = %q", v.cookies, a.body)
	}
}

func TestAFailedRequestIsOneLineThatNamesIt(t *testing.T) {
	var lines bytes.Buffer
	b := setup(t, func(d *handlers.Deps) { d.Log = slog.New(slog.NewJSONHandler(&lines, nil)) })
	v := b.signUp("ada@example.com", "Engines")
	lines.Reset()
	b.exec(`ALTER TABLE subscriptions RENAME TO away`)
	a := v.with("X-Request-Id", "req_of_my_own").get("/billing?token=secret").want(500)
	var line struct {
		Level, Msg, Route, User, Organization, Error string
		RequestID                                    string `json:"request_id"`
		Status                                       int
	}
	if err := json.Unmarshal(lines.Bytes(), &line); err != nil { // two lines are no JSON
		t.Fatalf("%v in %s", err, lines.String())
	}
	if line.Level != "ERROR" || line.Status != 500 || line.Route != "/billing" || line.User == "" || line.Organization == "" ||
		!strings.Contains(line.Error, "subscriptions") || line.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("line = %s", lines.String())
	}
	if line.RequestID == "req_of_my_own" || strings.Contains(lines.String(), "secret") {
		t.Errorf("line repeats what came from outside: %s", lines.String())
	}
}

func TestPagesWithoutPartsAreWholeHoweverTheyAreAskedFor(t *testing.T) {
	b := setup(t)
	customer, admin := b.signUp("ada@example.com", "Engines"), b.admin()
	bought := "/checkout/success?session_id=" + b.buy(customer, "pro")
	customer.get(bought).want(200)
	for path, v := range map[string]*visitor{
		"/signup": b.visitor(), "/login": b.visitor(), "/checkout?plan=pro": b.signUp("grace@example.com", "Compilers"), "/checkout/cancel": customer,
		"/billing": customer, "/admin/billing": admin, bought: customer,
	} {
		for name, ask := range map[string]*visitor{
			"plain": v, "htmx": v.with("HX-Request", "true"), "boosted": v.with("HX-Request", "true").with("HX-Boosted", "true"),
			"history": v.with("HX-Request", "true").with("HX-History-Restore-Request", "true"),
		} {
			a := ask.get(path).want(200)
			if a.doc().Find("h1").Length() != 1 || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s, %s: %s", path, name, a.body)
			}
			isPart := (path == bought || path == "/admin/billing") && name == "htmx"
			if whole := strings.Contains(a.body, "<html"); whole == isPart {
				t.Errorf("%s, %s: whole = %v", path, name, whole)
			}
			if got := a.header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
				t.Errorf("%s, %s: Cache-Control = %q", path, name, got)
			}
		}
	}
}

func TestHeadAnswersLikeGetWithoutABody(t *testing.T) {
	b := setup(t)
	for _, path := range []string{"/", "/login", "/healthz", "/nowhere"} {
		head, get := b.visitor().do(http.MethodHead, path, "", nil), b.visitor().get(path)
		if head.status != get.status {
			t.Errorf("HEAD %s = %d, GET = %d", path, head.status, get.status)
		}
	}
}

func TestHealth(t *testing.T) {
	reasons := make(chan error, 2)
	b := setup(t, func(d *handlers.Deps) { d.Ready = func(context.Context) error { return <-reasons } })
	reasons <- nil
	reasons <- errors.New("no database at 10.0.0.1")
	b.visitor().get("/healthz").want(200)
	b.visitor().get("/readyz").want(200)
	if a := b.visitor().get("/readyz").want(503); strings.Contains(a.body, "10.0.0.1") {
		t.Errorf("/readyz tells %q", a.body)
	}
}

func TestPartsGoToHtmxAndPagesToEveryoneElse(t *testing.T) {
	b := setup(t)
	v := b.visitor()
	for name, tt := range map[string]struct {
		headers []string
		part    bool
	}{
		"plain":           {nil, false},
		"htmx":            {[]string{"HX-Request"}, true},
		"a boosted link":  {[]string{"HX-Request", "HX-Boosted"}, false},
		"history restore": {[]string{"HX-Request", "HX-History-Restore-Request"}, false},
	} {
		ask := v
		for _, h := range tt.headers {
			ask = ask.with(h, "true")
		}
		a := ask.get("/pricing?interval=year").want(200)
		if isPart := !strings.Contains(a.body, "<html"); isPart != tt.part {
			t.Errorf("%s: part = %v, want %v", name, isPart, tt.part)
		}
		if a.doc().Find("#plans").Length() != 1 || !strings.Contains(a.body, "$990 billed yearly") {
			t.Errorf("%s: the plans are not there", name)
		}
		if !slices.Contains(a.header.Values("Vary"), "HX-Request") || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: headers = %v", name, a.header)
		}
	}
}
