package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/promptforge/payments/handlers"
)

const support = "help@promptforge.example"

func withSupport(d *handlers.Deps) { d.Support = support }

// TestEveryStateShowsOnBilling: a badge that is the same word for an
// administrator, what it means, and one way on.
func TestEveryStateShowsOnBilling(t *testing.T) {
	b := setup(t, withSupport)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	const day = 24 * time.Hour
	says := func(d time.Duration) string { return time.Now().Add(d).UTC().Format("2 Jan 2006") }
	soon := time.Now().Add(9 * day)
	for _, tt := range []struct {
		name           string
		set            string // of the subscription, with soon as $1
		access, reason string
		badge          string
		says           []string
		href           string // where the banner's button leads; empty: none
	}{
		{"active", `status = 'active'`, "full", "active", "Active", []string{"Everything in the plan is yours to use."}, ""},
		{"paused, invoices voided", `status = 'active', pause_behavior = 'void'`, "read_only", "collection_paused", "Payments paused", []string{"Payments are paused", "You can read everything, and change nothing, until they resume.", "write to us at " + support}, ""},
		{"paused, written off, until a day", `status = 'active', pause_behavior = 'mark_uncollectible', pause_resumes_at = $1`, "full", "active", "Payments paused", []string{"They resume by themselves on " + says(9*day), "Nothing is charged meanwhile, and everything goes on working.", "Payments resume on"}, ""},
		{"paused, kept as drafts", `status = 'active', pause_behavior = 'keep_as_draft'`, "full", "active", "Payments paused", []string{"Invoices are kept until payments resume"}, ""},
		{"an end on a day", `status = 'active', cancel_at = $1`, "full", "active", "Ending", []string{"Your plan ends on " + says(9*day)}, ""},
		{"a trial over without a card", `status = 'paused'`, "read_only", "paused", "Paused", []string{"The trial ended without a way to pay", support, "until there is a card"}, ""},
		{"unpaid", `status = 'unpaid'`, "read_only", "unpaid", "Unpaid", []string{"Several payments failed", "write to us at " + support}, ""},
		{"a price nobody claims", `status = 'active', plan = NULL, stripe_price_id = 'price_x'`, "none", "unknown_price", "Active", []string{"Custom plan", "Your plan is not set up yet", support}, ""},
		{"a price nobody claims beside what it had", `status = 'active', plan = 'pro', stripe_price_id = 'price_x'`, "full", "active", "Active", []string{"Pro", "yours to use"}, ""},
		{"Stripe does not answer", `status = 'active'`, "read_only", "not_confirmed", "Active", []string{"We cannot confirm your plan at the moment", "until Stripe has confirmed it"}, ""},
		{"several items, five times", `status = 'active', quantity = 5, facts = jsonb_set(facts, '{items}', '[{"price":"a","quantity":5},{"price":"b","quantity":1}]')`, "full", "active", "Active", []string{"5 times, and 1 more item"}, ""},
		{"not finished", `status = 'incomplete'`, "none", "payment_incomplete", "", []string{"Your first payment is not finished", "until " + time.Now().Add(23*time.Hour).UTC().Format("2 Jan 2006"), "No plan yet"}, "/pricing"},
	} {
		b.exec(`UPDATE subscriptions SET plan = 'pro', quantity = 1, pause_behavior = NULL, pause_resumes_at = NULL, cancel_at = NULL`)
		if strings.Contains(tt.set, "$1") {
			b.exec(`UPDATE subscriptions SET `+tt.set, soon)
		} else {
			b.exec(`UPDATE subscriptions SET ` + tt.set)
		}
		b.exec(`UPDATE entitlements SET access = $1, reason = $2, until = NULL, then_access = NULL, then_reason = NULL`, tt.access, tt.reason)
		page := v.get("/billing").want(200)
		if got := page.text(".card-head .badge"); got != tt.badge {
			t.Errorf("%s: the badge says %q, want %q", tt.name, got, tt.badge)
		}
		for _, want := range tt.says {
			if text := words(page.doc().Find("main")); !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in %s", tt.name, want, text)
			}
		}
		if got := page.doc().Find(".banner a").AttrOr("href", ""); got != tt.href {
			t.Errorf("%s: the banner leads to %q, want %q", tt.name, got, tt.href)
		}
	}
	b.exec(`UPDATE subscriptions SET status = 'incomplete_expired'`)
	v.get("/billing").want(200).wantText(".blank h2", "Your order has expired").wantText(".blank p", "The first payment of Pro was not finished in time")
}

// TestWhatStripeNamesIsLedToOnlyAtStripe: an event may name any address.
func TestWhatStripeNamesIsLedToOnlyAtStripe(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) { d.FormOrigins = append(d.FormOrigins, "http://127.0.0.1:8081") })
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	b.exec(`UPDATE subscriptions SET status = 'past_due'`)
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, currency, amount_minor, invoice_id, details, livemode)
		SELECT 'payment_failed', 'in_9:1', now(), stripe_customer_id, stripe_subscription_id, 'usd', 9900, 'in_9', '{}', false FROM subscriptions`)
	for address, isLed := range map[string]bool{
		"https://invoice.stripe.com/i/acct_1/test_1": true, "https://stripe.com/i/1": true, "http://127.0.0.1:8081/invoice/1": true,
		"http://invoice.stripe.com/i": false, "https://stripe.com.evil.example/": false, "https://evilstripe.com/": false, "javascript:alert(1)": false,
		"https://a@invoice.stripe.com/": false, "http://127.0.0.1:8082/": false, "//invoice.stripe.com/": false, "": false,
	} {
		b.exec(`UPDATE payment_events SET details = jsonb_build_object('invoice_url', $1::text)`, address)
		page := v.get("/billing").want(200)
		if got := page.doc().Find(".banner a").AttrOr("href", ""); (got == address && got != "") != isLed || got != "" && !isLed {
			t.Errorf("%q: the banner leads to %q", address, got)
		}
		if got := page.doc().Find(`.definitions a`).Length(); got != map[bool]int{true: 1}[isLed] {
			t.Errorf("%q: %d links to the receipt", address, got)
		}
	}
	b.exec(`UPDATE payment_events SET details = '{"invoice_url": "https://invoice.stripe.com/i/1"}'`)
	b.exec(`UPDATE memberships SET role = 'member'`)
	if page := v.get("/billing").want(200); page.doc().Find(`a[href*="stripe.com"]`).Length() > 0 {
		t.Error("a member without a billing role is led to the invoice")
	}
}

// TestASecondSubscriptionIsListedAndExplained, and what several subscriptions
// include is the best of each.
func TestASecondSubscriptionIsListedAndExplained(t *testing.T) {
	b := setup(t, withSupport)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pilot")).want(200)
	b.exec(`INSERT INTO subscriptions SELECT (jsonb_populate_record(s, '{"stripe_subscription_id": "sub_second", "plan": "pro", "status": "active", "trial_end": null, "amount_minor": 9900}')).* FROM subscriptions s`)
	b.exec(`UPDATE entitlements SET granted_by = ARRAY['pilot', 'enterprise']`)
	page := v.get("/billing").want(200).wantText(".banner h2", "You have two subscriptions").wantText(".banner", support).wantText("#plan", "Pro")
	page.wantText("#also-0", "Also Pilot").wantText("section[aria-labelledby=also-0]", "$29.00 a month")
	if got := page.text(".meters"); !strings.Contains(got, "1 of 100") {
		t.Errorf("the limits are %q", got)
	}
	b.exec(`UPDATE memberships SET role = 'member'`)
	if text := v.get("/billing").want(200).wantText("#also-0", "Also Pilot").text("main"); strings.Contains(text, "$") {
		t.Errorf("a member sees an amount: %s", text)
	}
	b.exec(`UPDATE subscriptions SET status = 'unpaid' WHERE plan = 'pilot'`)
	b.exec(`UPDATE subscriptions SET status = 'past_due' WHERE plan = 'pro'`)
	v.get("/billing").want(200).wantText(".banner h2", "Your last payment failed").wantText("section[aria-labelledby=also-0]", "more than one subscription")
}

// TestMoneyOnItsWayIsToldUntilItHasArrivedOrNot for a way of paying that
// answers after days.
func TestMoneyOnItsWayIsToldUntilItHasArrivedOrNot(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	session := b.buy(v, "pro")
	success := "/checkout/success?session_id=" + session
	v.get(success).want(200)
	b.exec(`UPDATE checkout_attempts SET payment_status = 'unpaid'`)
	v.get("/billing").want(200).wantText(".banner h2", "Your payment is on its way").wantText(".card-head .badge", "Payment on its way")
	b.exec(`UPDATE checkout_attempts SET payment_status = 'failed'`)
	b.exec(`UPDATE subscriptions SET status = 'incomplete'`)
	page := v.get("/billing").want(200).wantText(".banner h2", "Your payment did not arrive")
	if got := page.doc().Find(".banner a").AttrOr("href", ""); got != "/checkout?interval=month&plan=pro" {
		t.Errorf("the banner leads to %q", got)
	}
	v.with("HX-Request", "true").with("HX-Target", "progress").get(success).want(200).wantText("h1", "Your payment did not arrive").wantText("p", "nothing was charged")
	b.exec(`UPDATE checkout_attempts SET payment_status = 'paid'`)
	b.exec(`UPDATE subscriptions SET status = 'active'`)
	if n := v.get("/billing").want(200).doc().Find(".banner").Length(); n != 0 {
		t.Errorf("%d banners once the money has arrived", n)
	}
}

// TestEveryStateHasTheSameWordEverywhere: what a customer reads is what an
// administrator finds in the list, in its filter and on the page.
func TestEveryStateHasTheSameWordEverywhere(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	id := b.rows(`SELECT id::text FROM organizations`)[0]
	admin := b.admin()
	for set, want := range map[string]string{
		`status = 'trialing', trial_end = now()`: "Trial", `status = 'active'`: "Active", `status = 'past_due'`: "Payment failed", `status = 'unpaid'`: "Unpaid",
		`status = 'paused'`: "Paused", `status = 'active', pause_behavior = 'void'`: "Payments paused", `status = 'active', cancel_at_period_end = true`: "Ending",
	} {
		b.exec(`UPDATE subscriptions SET pause_behavior = NULL, cancel_at_period_end = false, trial_end = NULL`)
		b.exec(`UPDATE subscriptions SET ` + set)
		list := admin.get("/admin/billing/subscriptions").want(200)
		page := admin.get("/admin/billing/organizations/" + id).want(200)
		status := b.rows(`SELECT status FROM subscriptions`)[0]
		for where, got := range map[string]string{
			"billing": v.get("/billing").want(200).text(".card-head .badge"), "the list": list.text("tbody .badge"), "the page": page.text(".current-status .badge"),
		} {
			if got != want {
				t.Errorf("%s: %s says %q, want %q", set, where, got, want)
			}
		}
		if got := list.text(fmt.Sprintf("#status option[value=%s]", status)); !strings.Contains(set, ", ") && got != want {
			t.Errorf("%s: the filter says %q, want %q", set, got, want)
		}
	}
}

// TestEveryKindOfEventHasWordsMarksAndAmounts on the time line, and one that
// nobody has given words to shows decently.
func TestEveryKindOfEventHasWordsMarksAndAmounts(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	id := b.rows(`SELECT id::text FROM organizations`)[0]
	admin := b.admin()
	for _, tt := range []struct{ kind, details, title, text, amount, class string }{
		{"refund", `{"charge":"ch_1","reason":"requested_by_customer"}`, "Refund", "the customer asked for it", "−$12.00", "happening-refund"},
		{"refund_failed", `{"charge":"ch_1","failure_reason":"lost_or_stolen_card"}`, "Refund failed", "the customer has not got it · card lost or stolen", "$12.00", "happening-refund"},
		{"dispute_opened", `{"charge":"ch_1","reason":"fraudulent","evidence_due_at":"2026-12-24T00:00:00Z"}`, "Dispute opened", "called fraudulent · answer it by 24 Dec 2026", "$12.00", "happening-dispute"},
		{"dispute_closed", `{"charge":"ch_1","reason":"general","status":"won"}`, "Dispute won", "no reason given", "$12.00", "happening-dispute"},
		{"dispute_closed", `{"status":"lost"}`, "Dispute lost", "", "$12.00", "happening-dispute"},
		{"dispute_closed", `{"status":"warning_closed"}`, "Inquiry closed", "", "$12.00", "happening-dispute"},
		{"invoice_finalization_failed", `{"billing_reason":"subscription_cycle","error":"customer_tax_location_invalid"}`, "Invoice could not be issued", "Renewal · the customer's address does not tell the tax", "$12.00", "happening-bad"},
		{"checkout_async_succeeded", `{}`, "Payment by bank arrived", "", "$12.00", "happening-good"},
		{"checkout_async_failed", `{}`, "Payment by bank failed", "", "$12.00", "happening-bad"},
		{"payment_method_attached", `{"type":"card","brand":"visa","last4":"4242","exp_month":2,"exp_year":2031}`, "Payment method added", "Visa ending in 4242, valid until 02/2031", "", ""},
		{"payment_method_updated", `{"type":"us_bank_account","last4":"6789"}`, "Payment method updated", "US bank account ending in 6789", "", ""},
		{"customer_deleted", `{}`, "Customer deleted at Stripe", "", "", "happening-bad"},
		{"pending_update_expired", `{}`, "Change dropped, its payment never came", "", "", "happening-warn"},
		{"schedule_released", `{}`, "Schedule released", "", "", ""},
		{"subscription_canceled", `{"from_status":"past_due"}`, "Subscription ended", "was: payment failed", "", "happening-bad"},
		{"collection_paused", `{"behavior":"keep_as_draft"}`, "Payments paused", "invoices are kept as drafts", "", "happening-warn"},
		{"something_quite_new", `{"unheard":["of"]}`, "Something quite new", "", "", ""},
	} {
		b.exec(`DELETE FROM payment_events`)
		b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, currency, amount_minor, details, livemode)
			SELECT $1, 'x', now(), stripe_customer_id, 'usd', 1200, $2::text::jsonb, false FROM subscriptions`, tt.kind, tt.details)
		event := admin.get("/admin/billing/organizations/" + id).want(200).doc().Find(".happening")
		if got := words(event.Find(".happening-title")); got != tt.title {
			t.Errorf("%s: the title is %q, want %q", tt.kind, got, tt.title)
		}
		if got := words(event.Find(".happening-title + .soft")); got != tt.text {
			t.Errorf("%s: the text is %q, want %q", tt.kind, got, tt.text)
		}
		if got := words(event.ChildrenFiltered(".num")); got != tt.amount {
			t.Errorf("%s: the amount is %q, want %q", tt.kind, got, tt.amount)
		}
		if tt.class != "" && !event.HasClass(tt.class) {
			t.Errorf("%s: %q is not of %s", tt.kind, event.AttrOr("class", ""), tt.class)
		}
		if strings.HasPrefix(tt.kind, "payment_method_") {
			continue // the overview has no room for cards
		}
		story := admin.get("/admin/billing").want(200).doc().Find(".stories > li")
		if got := words(story.Find(".story")); got == "" || strings.Contains(got, "_") {
			t.Errorf("%s: the overview says %q", tt.kind, got)
		}
		if got := words(story.Find(".story-amount")); got != tt.amount {
			t.Errorf("%s: the overview's amount is %q, want %q", tt.kind, got, tt.amount)
		}
	}
}

// TestWhatNeedsAttentionIsOnTheOverviewAndWithItsCustomer, the gravest first,
// and what is over is not.
func TestWhatNeedsAttentionIsOnTheOverviewAndWithItsCustomer(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	id, customer := b.rows(`SELECT id::text FROM organizations`)[0], b.rows(`SELECT stripe_customer_id FROM subscriptions`)[0]
	b.exec(`DELETE FROM payment_alerts`)
	admin := b.admin()
	page := admin.get("/admin/billing").want(200).wantText("#attention", "Nothing needs attention.")
	if n := page.doc().Find(`.rail-count`).Length(); n != 0 {
		t.Errorf("%d counts of nothing", n)
	}
	alert := func(rule, severity, state, customer, message, proposal string, seen int) {
		b.exec(`INSERT INTO payment_alerts (rule, fingerprint, severity, state, opened_at, last_seen_at, resolved_at, seen, stripe_customer_id, message, proposal)
			VALUES ($1, $1 || $3 || $5, $2, $3, '2026-03-05T10:00:00Z', '2026-03-07T10:00:00Z', CASE WHEN $3 = 'resolved' THEN now() END, $4, nullif($5, ''), $6, nullif($7, ''))`,
			rule, severity, state, seen, customer, message, proposal)
	}
	alert("version_drift", "info", "firing", "", "Events come in 2026-09-30.", "", 3)
	alert("unknown_price", "warning", "firing", customer, "No plan claims price_x.", "Set plan on its product.", 1)
	alert("second_subscription", "critical", "firing", "cus_elsewhere", "Two live subscriptions.", "", 1)
	alert("dispute_opened", "critical", "resolved", customer, "It is over.", "", 1)
	alert("stripe_unreachable", "critical", "pending", "", "Not for long enough.", "", 1)
	alert("quite_new", "info", "firing", "cus_elsewhere", "No words yet.", "", 1)
	page = admin.get("/admin/billing").want(200).wantText("#attention .note", "4 open")
	var titles []string
	page.doc().Find("#attention h3").Each(func(_ int, s *goquery.Selection) { titles = append(titles, words(s)) })
	if got := strings.Join(titles, "; "); got != "Critical Two subscriptions of one organization; Warning No plan claims a price; Notice Quite new; Notice Events come in another API version" {
		t.Errorf("the alerts are %s", got)
	}
	text := words(page.doc().Find("#attention"))
	for _, want := range []string{"Set plan on its product.", "since 5 Mar 2026, 10:00", "seen 3 times, last on 7 Mar 2026", "Engines"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if n := page.doc().Find(`#attention a[href="/admin/billing/organizations/` + id + `"]`).Length(); n != 1 {
		t.Errorf("%d links to the organization", n)
	}
	page.wantText(".rail-count", "4")
	own := words(admin.get("/admin/billing/organizations/" + id).want(200).doc().Find("#attention"))
	if !strings.Contains(own, "No plan claims price_x.") || strings.Contains(own, "Two live") || strings.Contains(own, "It is over") {
		t.Errorf("the organization's page says %s", own)
	}
}
