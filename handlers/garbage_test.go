package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What no form of ours sends, and somebody does.
var garbage = map[string]string{
	"nothing":            "",
	"blanks":             "  \t ",
	"a zero byte":        "a\x00b@example.com",
	"no UTF-8":           "\xff\xfe@example.com",
	"a line break":       "ada@example.com\r\nSet-Cookie: x=y",
	"a script":           `"><script>alert(1)</script>`,
	"SQL":                "' OR 1=1 --",
	"more than an index": strings.Repeat("a", 20_000) + "@example.com",
	"right to left":      "\u202eada@example.com",
	"a lone surrogate":   "\xed\xa0\x80@example.com",
}

// TestGarbageIsRefusedAndNeverAFault puts it into every field of every form.
func TestGarbageIsRefusedAndNeverAFault(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	clean := func(t *testing.T, what string, a *answer) {
		t.Helper()
		if a.status < 200 || a.status >= 500 {
			t.Errorf("%s: %d %.300s", what, a.status, a.body)
		}
		for _, telltale := range []string{"panic", "SQLSTATE", "goroutine", ".go:", "<script>alert"} {
			if strings.Contains(a.body, telltale) {
				t.Errorf("%s: the answer holds %q", what, telltale)
			}
		}
		if a.header.Get("Set-Cookie") == "x=y" {
			t.Errorf("%s: a header was forged", what)
		}
	}
	forms := map[string]url.Values{
		"/signup":   {"name": {"Eve"}, "email": {""}, "password": {password}, "organization": {"Evil"}},
		"/login":    {"email": {"eve@example.com"}, "password": {password}},
		"/checkout": {"planId": {"gold"}, "isAnnual": {"false"}},
	}
	address := 0
	for what, text := range garbage {
		b.unchanged(what, func() {
			for path, form := range forms {
				for field := range form {
					address++
					wrong := url.Values{}
					for name, values := range form {
						wrong[name] = values
					}
					wrong.Set(field, text)
					wrong.Set("next", text)
					v.address = "198.51.100." + string(rune('0'+address%10)) + ":1"
					clean(t, path+" "+field+" "+what, v.post(path, wrong))
					b.clock.Add(60) // limits are another test's
				}
			}
			for _, query := range []string{
				"/login?next=", "/signup?next=", "/pricing?interval=", "/checkout?interval=month&plan=", "/checkout?plan=gold&interval=",
				"/checkout/success?since=1&session_id=", "/checkout/success?session_id=cs_test_x&since=",
			} {
				clean(t, query+what, v.get(query+url.QueryEscape(text)))
				clean(t, query+what+" by htmx", v.with("HX-Request", "true").with("HX-Current-URL", text).get(query+url.QueryEscape(text)))
			}
			clean(t, "a cookie of "+what, b.visitor().with("Cookie", "session="+url.QueryEscape(text)).get("/billing"))
			clean(t, "a path of "+what, v.get("/"+url.PathEscape(text)))
		})
	}
}

func TestBodiesThatAreNoFormAreRefused(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	b.unchanged("what is no form", func() {
		for _, path := range []string{"/login", "/signup", "/checkout"} {
			v.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader("email=%zz")).want(400)
			v.do(http.MethodPost, path, "multipart/form-data; boundary=x", strings.NewReader("--x--")).want(415)
			v.do(http.MethodPost, path, "application/json", strings.NewReader(`{}`)).want(415)
			v.do(http.MethodPost, path, "", strings.NewReader("email=a")).want(415)
			large := strings.NewReader("email=" + strings.Repeat("a", 64<<10))
			v.do(http.MethodPost, path, "application/x-www-form-urlencoded", large).want(413)
			unsaid := struct{ *strings.Reader }{strings.NewReader("email=" + strings.Repeat("a", 64<<10))}
			v.do(http.MethodPost, path, "application/x-www-form-urlencoded", unsaid).want(413)
		}
	})
}

// TestABodyThatSaysItIsTooLargeIsNotRead: a megabyte is refused at its length,
// not after sixty-four kilobytes.
func TestABodyThatSaysItIsTooLargeIsNotRead(t *testing.T) {
	b := setup(t)
	for path, size := range map[string]int64{"/login": 65 << 10, "/signup": 65 << 10, "/api/checkout": 65 << 10, "/api/webhooks/stripe": 1<<20 + 1} {
		r := httptest.NewRequest(http.MethodPost, path, unread{t})
		r.ContentLength = size
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Stripe-Signature", sign(webhookSecret, time.Now(), "x"))
		recorder := httptest.NewRecorder()
		b.app.ServeHTTP(recorder, r)
		if recorder.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", path, recorder.Code)
		}
	}
}

// TestAQueryFillsNoForm: what a link carries is not what somebody pressed.
func TestAQueryFillsNoForm(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	b.unchanged("a query", func() {
		v.post("/checkout?planId=pro&isAnnual=false", nil).want(422)
		v.post("/login?email=ada@example.com&password="+url.QueryEscape(password), nil).want(422)
	})
}

func TestWhatIsWrongStandsBesideItsField(t *testing.T) {
	b := setup(t)
	page := b.visitor().post("/signup", url.Values{"name": {""}, "email": {"ada"}, "password": {"short1!"}, "organization": {" "}}).want(422)
	doc := page.doc()
	for _, field := range []string{"name", "email", "password", "organization"} {
		input := doc.Find(`input[name="` + field + `"]`)
		describedBy, _ := input.Attr("aria-describedby")
		invalid, _ := input.Attr("aria-invalid")
		var said string
		for _, id := range strings.Fields(describedBy) {
			said += strings.TrimSpace(doc.Find("#" + id).Text())
		}
		if invalid != "true" || said == "" {
			t.Errorf("%s: aria-invalid=%q, described by %q saying %q", field, invalid, describedBy, said)
		}
	}
	if value, _ := doc.Find(`input[name="password"]`).Attr("value"); value != "" || strings.Contains(page.body, "short1!") {
		t.Error("the password comes back")
	}
	for _, email := range []string{"Taken@Example.com", " taken@example.com "} {
		b.visitor().post("/signup", url.Values{"name": {"A"}, "email": {"taken@example.com"}, "password": {password}, "organization": {"First"}})
		b.visitor().post("/signup", url.Values{"name": {"A"}, "email": {email}, "password": {password}, "organization": {"Second"}}).want(422)
	}
	if got := b.rows(`SELECT name FROM organizations`); len(got) != 1 {
		t.Errorf("organizations = %q", got)
	}
}
