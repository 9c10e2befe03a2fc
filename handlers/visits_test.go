package handlers_test

import (
	"net/http"
	"slices"
	"testing"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"

// looks are the looks at the prices that are kept, each by its visitor.
func (b *bundle) looks() []string {
	b.t.Helper()
	if err := b.deps.Payments.FlushViews(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return b.rows(`SELECT visitor_id::text FROM payment_events WHERE kind = 'pricing_viewed' ORDER BY at, id`)
}

func TestALookAtThePricesIsCountedOnceAVisitorAndDay(t *testing.T) {
	b := setup(t)
	v := b.visitor().with("User-Agent", firefox)
	first := v.get("/pricing").want(200)
	cookie := v.cookies["visitor"]
	if cookie == nil {
		t.Fatal("the browser was given no number")
	}
	if !cookie.HttpOnly || cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.MaxAge > 13*31*24*60*60 {
		t.Errorf("the cookie is %s", cookie)
	}
	first.wantText(".pricing", "We count who looks at this page")
	v.get("/").want(200)
	v.get("/pricing?interval=year").want(200)
	if got := b.looks(); !slices.Equal(got, []string{cookie.Value}) {
		t.Errorf("looks of %q, want one of %s", got, cookie.Value)
	}
	if v.cookies["visitor"].Value != cookie.Value {
		t.Error("a later look changed the number")
	}
	other := b.visitor().with("User-Agent", firefox)
	other.get("/pricing").want(200)
	if got := b.looks(); len(got) != 2 {
		t.Errorf("two visitors are %d looks", len(got))
	}
	if got := b.rows(`SELECT DISTINCT customer_id FROM metric_dirty WHERE customer_id LIKE 'visit:%'`); len(got) != 2 {
		t.Errorf("%q are marked, want both visitors", got)
	}
	// A day later it is another look, of the same visitor.
	b.exec(`UPDATE payment_events SET at = at - interval '1 day', natural_key = visitor_id || ':' || (at - interval '1 day')::date WHERE kind = 'pricing_viewed'`)
	v.get("/pricing").want(200)
	if got := b.looks(); len(got) != 3 {
		t.Errorf("%d looks, want one more of the next day", len(got))
	}
}

func TestWhoIsNotCountedLeavesNoTrace(t *testing.T) {
	b := setup(t)
	person := func() *visitor { return b.visitor().with("User-Agent", firefox) }
	known := person()
	known.cookies["visitor"] = &http.Cookie{Name: "visitor", Value: "11111111-2222-4333-8444-555555555555"}
	for name, tt := range map[string]struct {
		who          *visitor
		method, path string
	}{
		"Global Privacy Control":     {person().with("Sec-GPC", "1"), "GET", "/pricing"},
		"Do Not Track":               {person().with("DNT", "1"), "GET", "/"},
		"a prefetch":                 {person().with("Sec-Purpose", "prefetch;prerender"), "GET", "/pricing"},
		"an old browser's prefetch":  {person().with("X-Moz", "prefetch"), "GET", "/pricing"},
		"a HEAD":                     {person(), "HEAD", "/pricing"},
		"a part":                     {person().with("HX-Request", "true"), "GET", "/pricing?interval=year"},
		"an address that leads away": {person(), "GET", "/pricing?interval=decade"},
		"another page":               {person(), "GET", "/signup"},
		"an administrator":           {b.admin().with("User-Agent", firefox), "GET", "/pricing"},
		"a program":                  {b.visitor().with("User-Agent", "curl/8.9.1"), "GET", "/pricing"},
		"nobody":                     {b.visitor(), "GET", "/pricing"},
		"a search engine":            {b.visitor().with("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"), "GET", "/pricing"},
		"a messenger's preview":      {b.visitor().with("User-Agent", "Mozilla/5.0 (compatible; Slackbot-LinkExpanding 1.0)"), "GET", "/pricing"},
		"a browser without a person": {b.visitor().with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36"), "GET", "/pricing"},
	} {
		tt.who.do(tt.method, tt.path, "", nil)
		if tt.who.cookies["visitor"] != nil {
			t.Errorf("%s: given a number", name)
		}
		if got := b.looks(); len(got) > 0 {
			t.Errorf("%s: counted %q", name, got)
			b.exec(`DELETE FROM payment_events WHERE kind = 'pricing_viewed'`)
		}
	}
	answer := known.with("Sec-GPC", "1").get("/pricing").want(200)
	if taken := answer.header.Get("Set-Cookie"); taken == "" || b.looks() != nil && len(b.looks()) > 0 {
		t.Errorf("who was counted and does not want to be any more keeps the number (%q)", taken)
	}
	bad := person()
	bad.cookies["visitor"] = &http.Cookie{Name: "visitor", Value: "' OR 1=1"}
	bad.get("/pricing").want(200)
	if got := b.looks(); len(got) != 1 || bad.cookies["visitor"].Value != got[0] {
		t.Errorf("a number that is none became %q, and %s in the browser", got, bad.cookies["visitor"])
	}
}

// TestACheckoutFollowsTheLookInTheSameBrowser: through the sign-up in between.
func TestACheckoutFollowsTheLookInTheSameBrowser(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines").with("User-Agent", firefox)
	v.get("/pricing").want(200)
	b.buy(v, "pro")
	id := v.cookies["visitor"].Value
	if got := b.rows(`SELECT DISTINCT visitor_id::text FROM checkout_attempts WHERE in_funnel`); !slices.Equal(got, []string{id}) {
		t.Errorf("the checkout is of %q, want %s", got, id)
	}
	if got := b.rows(`SELECT visitor_id::text FROM payment_events WHERE kind = 'checkout_started'`); !slices.Equal(got, []string{id}) {
		t.Errorf("the event is of %q, want %s", got, id)
	}
	private := b.signUp("grace@example.com", "Compilers").with("User-Agent", firefox)
	private.cookies["visitor"] = &http.Cookie{Name: "visitor", Value: id}
	b.buy(private.with("Sec-GPC", "1"), "pro")
	if got := b.rows(`SELECT org_id::text FROM checkout_attempts WHERE visitor_id IS NULL AND in_funnel`); len(got) != 1 {
		t.Errorf("%d checkouts without a visitor, want that of who does not want to be counted", len(got))
	}
}
