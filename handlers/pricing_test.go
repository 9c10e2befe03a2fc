package handlers_test

import (
	"strings"
	"testing"

	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/billing"
)

func card(plan string) string { return `article[aria-labelledby="plan-` + plan + `"]` }

// TestThePlanIsMarkedAtItsIntervalOnly: who pays by the month has not got the
// yearly plan of the same name.
func TestThePlanIsMarkedAtItsIntervalOnly(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	monthly := v.get("/pricing?interval=month").want(200).wantText(card("pro")+" .badge", "Your plan")
	yearly := v.get("/pricing?interval=year").want(200).wantText(card("pro")+" .badge", "Recommended")
	for name, page := range map[string]*answer{"monthly": monthly, "yearly": yearly} {
		if page.doc().Find(`.plan a[href^="/checkout"]`).Length() > 0 {
			t.Errorf("%s: a second plan is offered", name)
		}
		for _, plan := range []string{"pilot", "pro", "enterprise"} {
			page.wantText(card(plan), "You have Pro, billed monthly.").wantText(card(plan)+` a[href="/billing"]`, "See your plan")
		}
	}
	b.exec(`UPDATE subscriptions SET "interval" = 'year', amount_minor = 99000`)
	if text := v.get("/pricing").want(200).text(card("pro") + " .badge"); text != "Recommended" {
		t.Errorf("the monthly side of who pays by the year is marked %q", text)
	}
	b.exec(`UPDATE subscriptions SET plan = NULL`)
	page := v.get("/pricing").want(200).wantText(card("pro"), "You have a subscription.")
	if page.doc().Find(`.plan a[href^="/checkout"]`).Length() > 0 {
		t.Error("who has a subscription of a plan that is not known is offered a second one")
	}
	b.exec(`UPDATE subscriptions SET plan = 'pro', status = 'canceled', ended_at = now()`)
	v.get("/pricing").want(200).wantText(card("pilot")+" a", "Choose Pilot") // and no second trial
}

func TestWhoMayNotBuyIsToldOnceWhy(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	b.exec(`INSERT INTO users (id, email, name, password_hash, created_at) SELECT gen_random_uuid(), 'grace@example.com', 'Grace', password_hash, now() FROM users`)
	b.exec(`INSERT INTO memberships (org_id, user_id, role, created_at) SELECT o.id, u.id, 'member', now() FROM organizations o, users u WHERE u.email = 'grace@example.com'`)
	for name, tt := range map[string]struct {
		who  *visitor
		says string
		href string
	}{
		"a member":         {b.logIn("grace@example.com"), "Ask Ada (owner).", "/billing"},
		"an administrator": {b.admin(), "this account is in none", "/admin/billing"},
	} {
		page := tt.who.get("/pricing").want(200).wantText(".plans-notice", tt.says)
		if page.doc().Find(`.plans-notice a[href="`+tt.href+`"]`).Length() != 1 || page.doc().Find(`.plan a`).Length() > 0 {
			t.Errorf("%s: %s", name, page.text("#plans"))
		}
	}
	if page := v.get("/pricing").want(200); page.doc().Find(".plans-notice").Length() > 0 || page.doc().Find(".plan a").Length() != 3 {
		t.Error("an owner is not offered the plans")
	}
}

// TestACardTellsFiveThingsAtMost: the limits, and what the plan adds to the one
// before it.
func TestACardTellsFiveThingsAtMost(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) {
		plans := billing.DefaultPlans()
		odd := plans.Plans[0]
		odd.Code, odd.Name, odd.Features = "odd", "Odd", []string{"api"} // without what Enterprise has
		plans.Plans = append(plans.Plans, odd)
		d.Plans = plans
	})
	page := b.visitor().get("/pricing").want(200)
	for plan, want := range map[string]string{
		"pilot":      "What you get|3 members|1,000 prompts a month|Version history of every prompt",
		"pro":        "Everything in Pilot, and|10 members|20,000 prompts a month|Shared prompt library|Automatic evaluations|API access",
		"enterprise": "Everything in Pro, and|100 members|250,000 prompts a month|Audit log export|Support within four working hours",
		"odd":        "What you get|3 members|1,000 prompts a month|API access",
	} {
		got := []string{page.text(card(plan) + " .plan-beyond")}
		list := page.doc().Find(card(plan) + " .ticks li")
		for i := range list.Nodes {
			got = append(got, strings.Join(strings.Fields(list.Eq(i).Text()), " "))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s tells %q, want %q", plan, got, want)
		}
	}
}

func TestAYearSaysWhatItCostsAndSaves(t *testing.T) {
	b := setup(t)
	page := b.visitor().get("/pricing?interval=year").want(200)
	page.wantText(card("pro")+" .plan-price", "$82.50 a month").wantText(card("pro")+" .plan-billed", "$990 billed yearly, you save $198")
	page.wantText("#interval-year", "two months free").wantText("#plans > .note", "Prices are in USD, before taxes.")
	b.visitor().get("/pricing").want(200).wantText(card("pro")+" .plan-price", "$99 a month").wantText(card("pro")+" .plan-billed", "billed monthly")
}

func TestSigningInRemembersTheChoice(t *testing.T) {
	b := setup(t)
	const order = "?next=%2Fcheckout%3Fplan%3Dpro%26interval%3Dyear"
	for _, path := range []string{"/signup", "/login"} {
		b.visitor().get(path+order).want(200).wantText(".form-head", "Next you review your order: Pro, $990.00 a year.")
		for _, other := range []string{"", "?next=%2Fbilling", "?next=%2Fcheckout%3Fplan%3Dgold", "?next=%2Fcheckout%3Fplan%3Dpro%26interval%3Dweek"} {
			if text := b.visitor().get(path + other).want(200).text(".form-head"); strings.Contains(text, "order") {
				t.Errorf("%s%s speaks of an order: %s", path, other, text)
			}
		}
	}
}
