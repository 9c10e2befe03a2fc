package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/reports"
)

const organizationURL = "/admin/billing/organizations/"

// happened writes a business event.
func (b *bundle) happened(at time.Time, kind, customer, details string, amount any) {
	b.t.Helper()
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, org_id, stripe_customer_id, subscription_id, plan, "interval", currency, amount_minor,
			invoice_id, source_event_id, details, livemode)
		SELECT $1, gen_random_uuid()::text, $2, c.org_id, $3, 'sub_' || substr($3, 5), 'pro', 'month', 'usd', $4, CASE WHEN $1 LIKE 'payment%' THEN 'in_7' END,
			'evt_' || $1, $5, false FROM customers c WHERE c.stripe_customer_id = $3`, kind, at, customer, amount, details)
}

// days are the days of a time line, each with its entries.
func (a *answer) days() []string {
	a.t.Helper()
	var out []string
	a.doc().Find("#time-line .days > li").Each(func(_ int, day *goquery.Selection) {
		out = append(out, "= "+words(day.Find("h3")))
		day.Find(".moved, .happening").Each(func(_ int, s *goquery.Selection) { out = append(out, words(s)) })
	})
	return out
}

func TestTheTimeLineTellsALifeWithItsMovements(t *testing.T) {
	b, admin := desk(t)
	acme := b.rows(`SELECT id::text FROM organizations WHERE name = 'Acme'`)[0]
	born := today.AddDate(0, -5, 0)
	b.happened(born, "subscription_created", "cus_1", `{}`, 9_900)
	b.happened(born.Add(time.Minute), "payment_succeeded", "cus_1", `{"billing_reason": "subscription_create", "attempt": 1}`, 9_900)
	changed := today.AddDate(0, 0, -7)
	b.happened(changed, "plan_changed", "cus_1", `{"from_plan": "pilot"}`, 9_900)
	b.happened(changed.Add(time.Hour), "payment_failed", "cus_1", `{"billing_reason": "subscription_cycle", "attempt": 2}`, 9_900)
	b.happened(today, "cancellation_scheduled", "cus_1", `{"ends_at": "2026-04-10T12:00:00Z"}`, nil)
	// An event that names the organization alone, and one of somebody else.
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, org_id, plan, "interval", livemode) VALUES ('checkout_abandoned', 'cs_1', $1, $2, 'pro', 'year', false)`, born.AddDate(0, 0, -1), acme)
	b.happened(today, "payment_succeeded", "cus_2", `{}`, 399_000)
	// Acme had three seats for a week.
	b.exec(`INSERT INTO subscription_versions SELECT subscription_id, $1, stripe_customer_id, jsonb_set(facts, '{items,0,quantity}', '3'), 'event', 'evt_2'
		FROM subscription_versions WHERE subscription_id = 'sub_1'`, changed.AddDate(0, 0, -14))
	b.exec(`INSERT INTO subscription_versions SELECT subscription_id, $1, stripe_customer_id, jsonb_set(facts, '{items,0,quantity}', '1'), 'event', 'evt_3'
		FROM subscription_versions WHERE subscription_id = 'sub_1' AND source_id = 'evt_1'`, changed)
	b.exec(`INSERT INTO metric_dirty (customer_id) VALUES ('cus_1')`)
	b.derive()

	a := admin.get(organizationURL + acme).want(200)
	if diff := cmp.Diff([]string{
		"= 10 Mar 2026",
		"12:00 Cancellation scheduled Pro, monthly · ends on 10 Apr 2026 evt_cancellation_scheduled",
		"= 3 Mar 2026",
		"MRR −$198.00 Contraction: another quantity now $99.00",
		"13:00 Payment failed Renewal · attempt 2 · Pro, monthly in_7 evt_payment_failed $99.00",
		"12:00 Plan changed from Pilot to Pro, monthly · $99.00 a month evt_plan_changed",
		"= 17 Feb 2026",
		"MRR +$198.00 Expansion: another quantity now $297.00",
		"= 10 Oct 2025",
		"12:01 Payment succeeded First payment · Pro, monthly in_7 evt_payment_succeeded $99.00",
		"12:00 Subscription created Pro, monthly · $99.00 a month evt_subscription_created",
		"MRR +$99.00 New: a purchase now $99.00",
		"= 9 Oct 2025",
		"12:00 Checkout abandoned Pro, yearly",
	}, a.days()); diff != "" {
		t.Errorf("the time line differs (-want +got):\n%s", diff)
	}
	a.wantText("h1", "Acme").wantText("#time-line [role=status]", "9 entries")
	stats := words(a.doc().Find(".stats"))
	if stats != "MRR now $99.00 First on 10 Oct 2025 Highest MRR $297.00 Reached on 17 Feb 2026 Paid so far $99.00 In 1 payment" {
		t.Errorf("the figures say %q", stats)
	}
	members := words(a.doc().Find(".people"))
	if members != "Ada owner grace@acme.example since 10 Oct 2025" {
		t.Errorf("the members are %q", members)
	}
	current := words(a.doc().Find("section[aria-labelledby=current]"))
	if current != "Subscription Pro $99.00 a month Active MRR $99.00 Next payment $99.00 on 10 Apr 2026 Before discounts and taxes. Started on 10 Oct 2025 sub_1" {
		t.Errorf("the subscription is %q", current)
	}
	if ids := words(a.doc().Find(".ids")); ids != "Organization "+acme+" Customer at Stripe cus_1" {
		t.Errorf("the ids are %q", ids)
	}
}

func TestTheFirstChargeAfterATrialIsNoRenewal(t *testing.T) {
	b, admin := desk(t)
	acme := b.rows(`SELECT id::text FROM organizations WHERE name = 'Acme'`)[0]
	ended := today.AddDate(0, -2, 0)
	b.exec(`UPDATE subscriptions SET trial_end = $1 WHERE stripe_subscription_id = 'sub_1'`, ended)
	const cycle = `{"billing_reason": "subscription_cycle", "attempt": %d}`
	b.happened(ended.Add(time.Hour), "payment_failed", "cus_1", fmt.Sprintf(cycle, 1), 9_900)
	b.happened(ended.AddDate(0, 0, 3), "payment_succeeded", "cus_1", fmt.Sprintf(cycle, 2), 9_900)
	b.happened(ended.AddDate(0, 1, 0).Add(time.Hour), "payment_failed", "cus_1", fmt.Sprintf(cycle, 1), 9_900)
	got := strings.Join(admin.get(organizationURL+acme).want(200).days(), "\n")
	for _, want := range []string{
		"13:00 Payment failed First charge after the trial · Pro, monthly", "Payment succeeded First charge after the trial · attempt 2 · Pro, monthly",
		"13:00 Payment failed Renewal · Pro, monthly",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestTheTimeLineTellsWhatWasGivenUp(t *testing.T) {
	b, admin := desk(t)
	b.happened(today.AddDate(0, 0, -2), "invoice_marked_uncollectible", "cus_1", `{"billing_reason": "subscription_cycle", "attempt": 4}`, 9_900)
	b.happened(today.AddDate(0, 0, -1), "invoice_voided", "cus_1", `{"billing_reason": "subscription_cycle", "attempt": 4}`, 9_900)
	acme := b.rows(`SELECT id::text FROM organizations WHERE name = 'Acme'`)[0]
	got := strings.Join(admin.get(organizationURL+acme).want(200).days(), "\n")
	for _, want := range []string{"Invoice written off Renewal · Pro, monthly", "Invoice voided Renewal · Pro, monthly"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestACustomerThatNoOrganizationOwnsHasAPage(t *testing.T) {
	b, admin := desk(t)
	b.happened(today.AddDate(0, 0, -3), "trial_started", "cus_3", `{}`, 2_900)
	a := admin.get(organizationURL + "cus_3").want(200)
	a.wantText("h1", "cus_3").wantText("section[aria-labelledby=access]", "none owns this customer").wantText(".customer-head", "no organization owns")
	if a.doc().Find("section[aria-labelledby=members]").Length() > 0 {
		t.Error("it has members")
	}
	if got := words(a.doc().Find("section[aria-labelledby=current]")); !strings.HasPrefix(got, "Subscription Pilot $29.00 a month Trial until 7 Apr trialing MRR $0.00 Next payment $29.00 on 7 Apr 2026") {
		t.Errorf("its subscription is %q", got)
	}
	if got := a.text(".stats"); !strings.Contains(got, "It never had any") || !strings.Contains(got, "No payment yet") {
		t.Errorf("its figures say %q", got)
	}
	// One that an organization owns has its page there, however it is asked for.
	acme := b.rows(`SELECT id::text FROM organizations WHERE name = 'Acme'`)[0]
	if to := admin.get(organizationURL + "cus_1").want(303).location(); to != organizationURL+acme {
		t.Errorf("cus_1 leads to %s", to)
	}
}

func TestAccessIsSaidWithItsReasonAndItsEnd(t *testing.T) {
	b, admin := desk(t)
	acorn := b.rows(`SELECT id::text FROM organizations WHERE name = 'acorn'`)[0]
	access := func() string {
		return words(admin.get(organizationURL + acorn).want(200).doc().Find("section[aria-labelledby=access]"))
	}
	if got := access(); got != "Access None It has no subscription." {
		t.Errorf("without an entitlement: %q", got)
	}
	b.exec(`INSERT INTO entitlements VALUES ($1, 'pro', 'past_due', 'grace', 'payment_failed', $2, 'read_only', 'grace_over', '[]', '{}', $3)`, acorn, today.AddDate(0, 0, 4), today)
	if got := access(); got != "Access Grace A payment failed; everything goes on working for a while. From 14 Mar 2026 on: read only." {
		t.Errorf("in grace: %q", got)
	}
	b.exec(`UPDATE entitlements SET until = $1`, today)
	if got := access(); got != "Access Read only A payment failed, and the time to make it good is over." {
		t.Errorf("after it: %q", got)
	}
}

func TestUnknownCustomersAreNotThere(t *testing.T) {
	b, admin := desk(t)
	acme := b.rows(`SELECT id::text FROM organizations WHERE name = 'Acme'`)[0]
	admin.get("/admin/billing/nothing").want(404).wantText("main h1", "There is no such page")
	for _, id := range []string{
		"7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10", "cus_unknown", "cus_", "sub_1", "acme", strings.ToUpper(acme), "{" + acme + "}", strings.ReplaceAll(acme, "-", ""),
		"00000000-0000-0000-0000-000000000000", "%00", "cus_%00", "cus_%ff", "a%2Fb", "..%2F", strings.Repeat("x", 3000),
	} {
		if a := admin.get(organizationURL + id).want(404); a.text("main h1") != "No such organization" && a.text("main h1") != "There is no such page" {
			t.Errorf("%.60s is answered with %q", id, a.text("main"))
		}
	}
}

func TestPagesOfTheTimeLine(t *testing.T) {
	b, admin := desk(t)
	acme := b.rows(`SELECT id::text FROM organizations WHERE name = 'Acme'`)[0]
	for i := range reports.EntriesPerPage { // the 51st entry is the movement of the purchase
		b.happened(today.Add(-time.Duration(i)*time.Hour), "payment_succeeded", "cus_1", fmt.Sprintf(`{"attempt": %d}`, i+2), 100)
	}
	entries := func(a *answer) int { return a.doc().Find("#time-line .moved, #time-line .happening").Length() }
	first := admin.get(organizationURL + acme).want(200)
	if n := entries(first); n != reports.EntriesPerPage || first.doc().Find("#page-next").AttrOr("href", "") != organizationURL+acme+"?page=2" {
		t.Errorf("the first page has %d entries and leads to %q", n, first.doc().Find("#page-next").AttrOr("href", ""))
	}
	part := admin.with("HX-Request", "true").get(organizationURL + acme + "?page=2").want(200)
	if part.doc().Find("h1").Length() > 0 || entries(part) != 1 || part.doc().Find(".moved").Length() != 1 {
		t.Errorf("the part of the second page is\n%s", part.body)
	}
	if a := admin.get(organizationURL+acme+"?page=7").want(200).wantText("#time-line [role=alert]", "There is no page 7"); entries(a) != 1 {
		t.Error("a page past the end is not the last one")
	}
	if a := admin.get(organizationURL+acme+"?page=x%00").want(422).wantText("#time-line [role=alert]", "is no page"); entries(a) != reports.EntriesPerPage {
		t.Error("a page that is no number is not the first one")
	}
	restored := admin.with("HX-Request", "true").with("HX-History-Restore-Request", "true").get(organizationURL + acme + "?page=2").want(200)
	if restored.doc().Find("h1").Length() != 1 {
		t.Error("a restored page is not whole")
	}
}

func TestAnOrganizationWithoutAnythingHasAPage(t *testing.T) {
	b := setup(t, atToday)
	admin := b.admin()
	b.signUp("ada@example.com", "Engines")
	id := b.rows(`SELECT id::text FROM organizations WHERE name = 'Engines'`)[0]
	a := admin.get(organizationURL + id).want(200)
	for selector, want := range map[string]string{
		"section[aria-labelledby=current]": "No subscription yet.",
		"#time-line":                       "Nothing has happened yet.", ".ids": "None yet; the first checkout makes one.", ".people": "ada@example.com",
		"section[aria-labelledby=access]": "It has no subscription.",
	} {
		a.wantText(selector, want)
	}
}

func TestOfSeveralSubscriptionsTheOneWorthMostIsCurrent(t *testing.T) {
	b := setup(t, atToday)
	b.subscribe(1, subscribed{org: "Acme", plan: "enterprise", started: today.AddDate(0, -2, 0)})
	b.subscribe(2, subscribed{plan: "pro", started: today.AddDate(0, -1, 0)})
	b.subscribe(3, subscribed{plan: "pro", status: billing.StatusCanceled, started: today.AddDate(0, 0, -9)})
	b.exec(`UPDATE customers SET org_id = (SELECT id FROM organizations), is_current = stripe_customer_id = 'cus_2'`)
	b.derive()
	id := b.rows(`SELECT id::text FROM organizations`)[0]
	a := b.admin().get(organizationURL + id).want(200)
	if got := words(a.doc().Find("section[aria-labelledby=current]")); !strings.HasPrefix(got, "Subscription Enterprise $399.00 a month") {
		t.Errorf("the current one is %q", got)
	}
	if got := words(a.doc().Find(".held")); got != "Pro, monthly $0.00 MRR Ended on 10 Mar canceled since 1 Mar 2026 sub_3 "+
		"Pro, monthly $99.00 MRR Active since 10 Feb 2026 sub_2" {
		t.Errorf("the others are %q", got)
	}
	a.wantText(".stats", "$498.00")
	if got := words(a.doc().Find(".ids")); !strings.HasSuffix(got, "Customer at Stripe cus_2 Earlier customer at Stripe cus_3 Earlier customer at Stripe cus_1") {
		t.Errorf("its customers are %q", got)
	}
}
