package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/promptforge/payments/handlers"
)

func TestAddressesThatPeopleTypeLeadSomewhere(t *testing.T) {
	b := setup(t)
	customer, admin := b.signUp("ada@example.com", "Engines"), b.admin()
	for name, tt := range map[string]struct {
		who      *visitor
		path     string
		status   int
		location string
	}{
		"a slash too many":                           {b.visitor(), "/pricing/", 301, "/pricing"},
		"a slash too many, and a query":              {b.visitor(), "/pricing/?interval=year", 301, "/pricing?interval=year"},
		"a slash too many, before the log-in":        {b.visitor(), "/billing/", 301, "/billing"},
		"a slash too many, at no page":               {b.visitor(), "/nowhere/", 404, ""},
		"two slashes, which name another host":       {b.visitor(), "//evil.example/", 404, ""},
		"a slash too many, at what programs ask for": {b.visitor(), "/healthz/", 404, ""},
		"the overview, to a customer":                {customer, "/admin/billing/", 404, ""},
		"the overview, to an administrator":          {admin, "/admin/billing/", 301, "/admin/billing"},
		"the administration, to a stranger":          {b.visitor(), "/admin", 404, ""},
		"the administration, to a customer":          {customer, "/admin", 404, ""},
		"the administration, to an administrator":    {admin, "/admin", 303, "/admin/billing"},
		"an interval that is not sold":               {b.visitor(), "/pricing?interval=week", 303, "/pricing"},
	} {
		if a := tt.who.get(tt.path); a.status != tt.status || a.location() != tt.location {
			t.Errorf("%s: %s answers %d and leads to %q, want %d and %q", name, tt.path, a.status, a.location(), tt.status, tt.location)
		}
	}
	if href, _ := b.visitor().get("/admin").doc().Find(`main a[href^="/login"]`).Attr("href"); href != "/login?next=%2Fadmin" {
		t.Errorf("the log-in of /admin is %q", href)
	}
	b.visitor().do(http.MethodPost, "/login/", "", nil).want(404)
}

func TestRobotsAndTheIconAreThere(t *testing.T) {
	b := setup(t)
	robots := b.visitor().get("/robots.txt").want(200)
	if !strings.HasPrefix(robots.header.Get("Content-Type"), "text/plain") || strings.Contains(robots.body, "admin") {
		t.Errorf("robots.txt is %q: %s", robots.header.Get("Content-Type"), robots.body)
	}
	icon := b.visitor().get("/favicon.ico").want(302)
	if kind := b.visitor().get(icon.location()).want(200).header.Get("Content-Type"); kind != "image/svg+xml" {
		t.Errorf("%s is %q", icon.location(), kind)
	}
}

// TestAnOrderForAnIntervalThatIsNotSoldIsRefused and not quietly monthly.
func TestAnOrderForAnIntervalThatIsNotSoldIsRefused(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout?plan=pro&interval=week").want(422).wantText("main", "by the month or by the year").wantText(`main a[href="/pricing"]`, "See plans and prices")
	v.get("/checkout?plan=pro").want(200).wantText("main", "$99.00 a month")
}

// TestErrorsSayWhatIsTrueOfWhoAsks: each has its own words and a way on.
func TestErrorsSayWhatIsTrueOfWhoAsks(t *testing.T) {
	b := setup(t)
	admin := b.admin()
	a := admin.get("/billing").want(404).wantText("h1", "There is no billing here").wantText(`.problem a[href="/admin/billing"]`, "Open the overview")
	if a.doc().Find(`.top-links a[href="/admin/billing"]`).Length() != 1 {
		t.Error("an administrator finds no way back in the header")
	}
	foreign := b.visitor().with("Sec-Fetch-Site", "cross-site").post("/login", nil).want(403).wantText("main", "another site")
	if strings.Contains(foreign.text("main"), "role") {
		t.Errorf("who has no role is told of roles: %s", foreign.text("main"))
	}
}

func TestAWaitIsNamed(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) { d.RateRead.N = 1 })
	v := b.visitor()
	v.get("/pricing").want(200)
	v.get("/pricing").want(429).wantText("main", "Wait 60 minutes, then try again.")
}
