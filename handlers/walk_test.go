package handlers_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/static"
)

// address is an example of a route's path.
func address(path string) string {
	if path == static.Prefix+"*" {
		return static.URL(static.Stylesheet)
	}
	return strings.TrimSuffix(path, "*")
}

// TestEveryPageCanBeAskedForByHead goes over a real connection, because there
// the server itself would let no body out, and a recorder takes one.
func TestEveryPageCanBeAskedForByHead(t *testing.T) {
	b := setup(t)
	front := httptest.NewServer(b.app)
	defer front.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(v *visitor, method, path string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, front.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range v.cookies {
			r.AddCookie(c)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(body)
	}
	admin, nobody := b.admin(), b.visitor()
	asked := 0
	for _, r := range handlers.Rules() {
		if r.Method != http.MethodGet {
			continue
		}
		asked++
		for name, v := range map[string]*visitor{"an administrator": admin, "nobody": nobody} {
			get, _ := ask(v, http.MethodGet, address(r.Path))
			head, body := ask(v, http.MethodHead, address(r.Path))
			if head.StatusCode != get.StatusCode || body != "" || head.Header.Get("Location") != get.Header.Get("Location") {
				t.Errorf("%s, HEAD %s: %d to %q with %q, GET %d", name, r.Path, head.StatusCode, head.Header.Get("Location"), body, get.StatusCode)
			}
			if get.StatusCode == 200 && head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
				t.Errorf("%s, HEAD %s is %q, GET is %q", name, r.Path, head.Header.Get("Content-Type"), get.Header.Get("Content-Type"))
			}
		}
	}
	if asked < 10 {
		t.Errorf("%d pages were asked for", asked)
	}
}

// TestNoFormOfAnotherSiteGetsAnywhere walks the table, so that a new form is
// held to the rule too.
func TestNoFormOfAnotherSiteGetsAnywhere(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	form := url.Values{
		"name": {"Eve"}, "email": {"eve@example.com"}, "password": {password}, "organization": {"Evil"}, "planId": {"pro"}, "isAnnual": {"false"},
	}
	tried := 0
	for _, r := range handlers.Rules() {
		if r.Method == http.MethodGet || strings.HasPrefix(r.Path, "/api/webhooks/") {
			continue
		}
		tried++
		for name, headers := range map[string][]string{
			"another origin":               {"Origin", "https://evil.example"},
			"an opaque origin":             {"Origin", "null"},
			"an empty origin":              {"Origin", ""},
			"ours with a slash":            {"Origin", baseURL + "/"},
			"ours as the start of a name":  {"Origin", baseURL + ".evil.example"},
			"ours by https":                {"Origin", strings.Replace(baseURL, "http:", "https:", 1)},
			"two origins":                  {"Origin", baseURL, "Origin", "https://evil.example"},
			"another site":                 {"Sec-Fetch-Site", "cross-site"},
			"a sister site":                {"Sec-Fetch-Site", "same-site"},
			"a relation that is empty":     {"Sec-Fetch-Site", ""},
			"two relations":                {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"},
			"another site with our origin": {"Sec-Fetch-Site", "cross-site", "Origin", baseURL},
			"its own host as ours":         {"Origin", "http://evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http"},
			"the host that httptest names": {"Origin", "http://example.com"},
		} {
			ask := v
			for i := 0; i < len(headers); i += 2 {
				ask = ask.with(headers[i], headers[i+1])
			}
			b.unchanged(r.Path+" from "+name, func() {
				page := ask.with("Accept", "text/html").post(r.Path, form)
				program := ask.with("Accept", "application/json").post(r.Path, form)
				if page.status != 403 || program.status != 403 || !strings.Contains(program.body, `"code":"cross_origin"`) {
					t.Errorf("%s from %s: %d, %d %s", r.Path, name, page.status, program.status, program.body)
				}
			})
		}
	}
	if tried < 5 {
		t.Errorf("%d forms were tried", tried)
	}
	v.get("/billing").want(200) // still logged in
}

// TestAWrongMethodIsToldTheRightOnes walks the table too.
func TestAWrongMethodIsToldTheRightOnes(t *testing.T) {
	b := setup(t)
	methods := map[string][]string{}
	for _, r := range handlers.Rules() {
		methods[r.Path] = append(methods[r.Path], r.Method)
	}
	for path, known := range methods {
		if strings.HasPrefix(path+"/", "/admin/") { // for the anonymous there is no such page, whatever they do
			continue
		}
		page := b.visitor().do(http.MethodDelete, address(path), "", nil)
		program := b.visitor().with("Accept", "application/json").do(http.MethodDelete, address(path), "", nil)
		if page.status != 405 || program.status != 405 {
			t.Errorf("DELETE %s = %d, %d", path, page.status, program.status)
			continue
		}
		if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
			t.Errorf("DELETE %s answers a browser %q", path, page.header.Get("Content-Type"))
		}
		wantError(t, "DELETE "+path, program, "method_not_allowed")
		for _, method := range known {
			if allow := page.header.Get("Allow"); !strings.Contains(allow, method) {
				t.Errorf("DELETE %s: Allow = %q, and %s is known", path, allow, method)
			}
		}
	}
}

// wantError checks the shape of a JSON error, which is the same everywhere.
func wantError(t *testing.T, what string, a *answer, code string) {
	t.Helper()
	var e struct {
		Error struct {
			Code, Message string
			Fields        map[string]string
		}
	}
	decoder := json.NewDecoder(strings.NewReader(a.body))
	if err := decoder.Decode(&e); err != nil || e.Error.Code != code || e.Error.Message == "" || e.Error.Fields == nil {
		t.Errorf("%s: %v in %s, want code %s", what, err, a.body, code)
	}
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		t.Errorf("%s: JSON goes out as %q", what, a.header.Get("Content-Type"))
	}
}

// TestWhoeverIsKnownIsKnownOnPagesThatAreNotThere: a customer is shown the same
// by the dashboard's address as by any other that leads nowhere.
func TestWhoeverIsKnownIsKnownOnPagesThatAreNotThere(t *testing.T) {
	b := setup(t)
	customer := b.signUp("ada@example.com", "Engines")
	strip := func(a *answer, path string) string {
		body := strings.ReplaceAll(a.body, a.header.Get("X-Request-Id"), "ID")
		return strings.ReplaceAll(strings.ReplaceAll(body, url.QueryEscape(path), "PATH"), path, "PATH")
	}
	headers := func(a *answer) []string {
		var names []string
		for name, values := range a.header {
			if name != "X-Request-Id" {
				names = append(names, name+": "+strings.Join(values, ","))
			}
		}
		slices.Sort(names)
		return names
	}
	for _, path := range []string{"/admin/nothing", "/admin/billing/nothing"} {
		for name, v := range map[string]*visitor{
			"a customer": customer, "nobody": b.visitor(),
			"a customer's program": customer.with("Accept", "application/json"), "a customer's htmx": customer.with("HX-Request", "true"),
		} {
			there, nowhere := v.get("/admin/billing").want(404), v.get(path).want(404)
			if strip(there, "/admin/billing") != strip(nowhere, path) {
				t.Errorf("%s can tell the dashboard from %s:\n%s\n%s", name, path, there.body, nowhere.body)
			}
			if !slices.Equal(headers(there), headers(nowhere)) {
				t.Errorf("%s can tell the dashboard from %s:\n%q\n%q", name, path, headers(there), headers(nowhere))
			}
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodHead} {
		there, nowhere := customer.do(method, "/admin/billing", "", nil), customer.do(method, "/admin/nothing", "", nil)
		if there.status != 404 || nowhere.status != 404 || there.header.Get("Allow") != nowhere.header.Get("Allow") {
			t.Errorf("%s answers a customer %d and %d, Allow %q", method, there.status, nowhere.status, there.header.Get("Allow"))
		}
	}
	if page := customer.get("/nowhere").want(404); page.doc().Find(`form[action="/logout"]`).Length() == 0 || page.doc().Find(`a[href^="/login"]`).Length() > 0 {
		t.Errorf("a customer looks like nobody on a page that is not there:\n%s", page.body)
	}
}

func TestFilesAndErrorsCarryTheHeadersOfPages(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) {
		d.BaseURL = "https://billing.example.com"
		d.Sessions = auth.NewSessions(d.Pool, true)
	})
	v := b.visitor()
	file := v.get(static.URL(static.Stylesheet)).want(200)
	if !strings.Contains(file.header.Get("Cache-Control"), "immutable") || file.header.Get("Set-Cookie") != "" {
		t.Errorf("a file goes out with %v", file.header)
	}
	for name, a := range map[string]*answer{
		"a file": file, "a page": v.get("/"), "an error": v.get("/nowhere"), "JSON": v.json("/api/checkout", `{}`),
		"a wrong method": v.do(http.MethodPut, "/", "", nil), "a missing file": v.get("/static/none.css"), "readiness": v.get("/readyz"),
		"a refusal": v.with("Origin", "null").post("/login", nil), "a webhook": v.json("/api/webhooks/stripe", `{}`),
	} {
		if len(a.header.Values("Content-Security-Policy")) != 1 || strings.Contains(a.header.Get("Content-Security-Policy"), "unsafe-") {
			t.Errorf("%s: policy = %q", name, a.header.Values("Content-Security-Policy"))
		}
		if a.header.Get("Strict-Transport-Security") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: headers = %v", name, a.header)
		}
	}
}
