package handlers_test

import (
	"strings"
	"testing"
)

func TestMembersSeeThePlanAndPayersTheAmounts(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/billing").want(200).wantText("main", "No plan yet").wantText("main", "Choose a plan")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	b.exec(`UPDATE memberships SET role = 'member'`)
	a := v.get("/billing").want(200).wantText("main", "Pro").wantText("main", "1 of 10")
	if strings.Contains(a.text("main"), "$99") {
		t.Error("a member without a billing role sees the amount")
	}
	v.get("/checkout?plan=pro&interval=month").want(403)
	if a := b.visitor().get("/billing").want(303); a.location() != "/login?next=%2Fbilling" {
		t.Errorf("the anonymous are led to %s", a.location())
	}
}

func TestTheDashboardIsForAdministrators(t *testing.T) {
	b := setup(t)
	a := b.visitor().get("/admin/billing").want(404)
	if href, _ := a.doc().Find(`main a[href^="/login"]`).Attr("href"); href != "/login?next=%2Fadmin%2Fbilling" {
		t.Errorf("the anonymous 404 leads to %q", href)
	}
	customer := b.signUp("ada@example.com", "Engines")
	theirs, nowhere := customer.get("/admin/billing").want(404), customer.get("/admin/nothing").want(404)
	if theirs.text("main h1") != nowhere.text("main h1") || theirs.doc().Find(`main a[href^="/login"]`).Length() > 0 {
		t.Errorf("a customer is told %q, of a page that is not there %q", theirs.text("main"), nowhere.text("main"))
	}
	admin := b.admin()
	admin.get("/admin/billing").want(200).wantText("main", "$0.00").wantText("main", "No subscription yet")

	customer.get("/checkout/success?session_id=" + b.buy(customer, "pro")).want(200)
	b.derive()
	page := admin.get("/admin/billing").want(200)
	page.wantText("main", "$99.00").wantText("main", "$1,188.00").wantText("figure", "MRR rose by $99.00").wantText("#events", "Bought Pro, monthly")
	if n := page.doc().Find("#revenue figure details table tbody tr").Length(); n != 12 {
		t.Errorf("the chart's table has %d months, want 12", n)
	}
}

// TestAnAdministratorWhoErrsStaysAtTheDesk: the rail stays, nothing is said to be
// somebody else's, and the way on leads to where the mistake was made. To anyone
// else there is no desk.
func TestAnAdministratorWhoErrsStaysAtTheDesk(t *testing.T) {
	b := setup(t)
	admin := b.admin()
	const unknown = "/admin/billing/organizations/7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10"
	for path, want := range map[string]struct{ title, href string }{
		unknown:                  {"No such organization", "/admin/billing/subscriptions"},
		"/admin/billing/nothing": {"There is no such page", "/admin/billing"},
		"/admin/nothing":         {"There is no such page", "/admin/billing"},
	} {
		doc := admin.get(path).want(404).wantText("main h1", want.title).doc()
		if got, _ := doc.Find("main a.button").Attr("href"); got != want.href || doc.Find(".rail nav a").Length() == 0 {
			t.Errorf("%s leads to %q, with %d links in the rail", path, got, doc.Find(".rail nav a").Length())
		}
		if text := doc.Find("main").Text(); strings.Contains(text, "yours") {
			t.Errorf("%s says %q", path, text)
		}
	}
	for name, v := range map[string]*visitor{"a stranger": b.visitor(), "a customer": b.signUp("ada@example.com", "Engines")} {
		if a := v.get(unknown).want(404); a.text("main h1") != "There is nothing here" || a.doc().Find(".rail").Length() > 0 {
			t.Errorf("%s is told %q", name, a.text("main"))
		}
	}
}

func TestBillingSaysWhatAccessThereIsNow(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	b.exec(`UPDATE subscriptions SET status = 'past_due'`)
	b.exec(`UPDATE entitlements SET access = 'grace', reason = 'payment_failed', until = now() + interval '1 day', then_access = 'read_only', then_reason = 'grace_over'`)
	v.get("/billing").want(200).wantText("main", "Payment failed").wantText("main", "Everything goes on working")
	b.exec(`UPDATE entitlements SET until = now() - interval '1 second'`)
	v.get("/billing").want(200).wantText("main", "You can read everything, and change nothing")
	b.exec(`UPDATE subscriptions SET status = 'active', pause_behavior = 'void'`)
	v.get("/billing").want(200).wantText("main", "You can read everything, and change nothing, until they resume")
}
