package handlers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// TestBillingHasOneBannerForTheGravestProblem: what is wrong, what happens next
// and until when everything works.
func TestBillingHasOneBannerForTheGravestProblem(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	const day = 24 * time.Hour
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	says := func(t time.Time) string { return t.UTC().Format("2 Jan 2006") }
	for name, tt := range map[string]struct {
		set    string
		at     time.Time
		access string
		title  string // empty: no banner
		text   string
		status string
	}{
		"all is well":              {`status = 'active'`, in(day), "full", "", "", "Everything in the plan is yours to use."},
		"a trial that goes on":     {`status = 'trialing', trial_end = $1`, in(4 * day), "full", "", "", "Everything in the plan is yours to try"},
		"a trial about to end":     {`status = 'trialing', trial_end = $1`, in(2 * day), "full", "Your trial ends on " + says(in(2*day)), "costs $99.00 a month", "yours to try"},
		"a payment to be retried":  {`status = 'past_due', next_payment_attempt = $1`, in(3 * day), "grace", "Your last payment failed", "again on " + says(in(3*day)), "Everything goes on working until " + says(in(9*day))},
		"a payment given up":       {`status = 'past_due', next_payment_attempt = NULL, trial_end = $1`, in(0), "read_only", "Your last payment failed", "write to us", "You can read everything, and change nothing"},
		"several payments":         {`status = 'unpaid', trial_end = $1`, in(0), "read_only", "Several payments failed", "not tried again", "until an open invoice is paid"},
		"an end that is scheduled": {`status = 'active', cancel_at = $1`, in(20 * day), "full", "Your plan ends on " + says(in(20*day)), "does not renew", "yours to use"},
		"an end, and a retry":      {`status = 'past_due', next_payment_attempt = $1, cancel_at_period_end = true`, in(3 * day), "grace", "Your last payment failed", "again on", "Everything goes on working until"},
		"a trial that will end":    {`status = 'trialing', trial_end = $1, cancel_at = $1`, in(2 * day), "full", "Your trial ends on " + says(in(2*day)), "does not go on after it", "yours to try"},
		"an end, and no money":     {`status = 'unpaid', cancel_at = $1`, in(20 * day), "read_only", "Several payments failed", "not tried again", "until an open invoice is paid"},
	} {
		b.exec(`UPDATE subscriptions SET cancel_at = NULL, cancel_at_period_end = false, trial_end = NULL, next_payment_attempt = NULL`)
		args := []any{tt.at}
		if !strings.Contains(tt.set, "$1") {
			args = nil
		}
		b.exec(`UPDATE subscriptions SET `+tt.set, args...)
		if tt.access == "grace" {
			b.exec(`UPDATE entitlements SET access = 'grace', "until" = $1, then_access = 'read_only', then_reason = 'grace_over'`, in(9*day))
		} else {
			b.exec(`UPDATE entitlements SET access = $1, "until" = NULL, then_access = NULL, then_reason = NULL`, tt.access)
		}
		page := v.get("/billing").want(200)
		if got := page.doc().Find(".banner").Length(); got != min(1, len(tt.title)) {
			t.Errorf("%s: %d banners", name, got)
		}
		if got := page.text(".banner h2"); got != tt.title || !strings.Contains(page.text(".banner"), tt.text) || !strings.Contains(page.text("main"), tt.status) {
			t.Errorf("%s: the banner is %q: %q, in %s", name, got, page.text(".banner"), page.text("main"))
		}
	}
	b.exec(`UPDATE subscriptions SET cancel_at = NULL, cancel_at_period_end = false, status = 'trialing', trial_end = $1`, in(day))
	b.exec(`UPDATE memberships SET role = 'member'`)
	if text := v.get("/billing").want(200).wantText(".banner h2", "Your trial ends on").text("main"); strings.Contains(text, "$") {
		t.Errorf("a member without a billing role sees an amount: %s", text)
	}
}

func TestTheIntervalIsNamedHoweverOddItIs(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	for _, tt := range []struct {
		unit          string
		count         int
		billed, price string
	}{
		{"month", 1, "Monthly", "$99.00 a month"},
		{"month", 3, "Every 3 months", "$99.00 every 3 months"},
		{"week", 2, "Every 2 weeks", "$99.00 every 2 weeks"},
		{"day", 1, "Daily", "$99.00 a day"},
	} {
		b.exec(`UPDATE subscriptions SET "interval" = $1, interval_count = $2`, tt.unit, tt.count)
		v.get("/billing").want(200).wantText("main .definitions", tt.billed).wantText("main .definitions", tt.price)
	}
	b.exec(`UPDATE subscriptions SET "interval" = NULL, interval_count = NULL, amount_minor = NULL`)
	if text := v.get("/billing").want(200).text("main .definitions"); strings.Contains(text, "Billed") || strings.Contains(text, "Next payment") {
		t.Errorf("what is not known is told: %s", text)
	}
}

// TestTheEndOfATrialIsToldWhenItBegins, with the price after it, to those who
// may see amounts.
func TestTheEndOfATrialIsToldWhenItBegins(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout?plan=pilot").want(200).wantText(`form[action="/checkout"] button`, "Continue to card details").wantText(".order-total strong", "$0.00")
	v.get("/checkout?plan=pro").want(200).wantText(`form[action="/checkout"] button`, "Continue to payment").wantText(".order-total strong", "$99.00")
	success := "/checkout/success?session_id=" + b.buy(v, "pilot")
	v.get(success).want(200)
	ends := b.rows(`SELECT to_char(trial_end AT TIME ZONE 'UTC', 'FMDD Mon YYYY') FROM subscriptions`)[0]
	v.get(success).want(200).wantText("#progress", "The trial lasts until "+ends+"; after that the plan costs $29.00 a month.")
	b.exec(`UPDATE memberships SET role = 'member'`)
	if text := v.get(success).want(200).wantText("h1", "Your trial of Pilot has begun").text("#progress"); strings.Contains(text, "$") {
		t.Errorf("a member without a billing role sees an amount: %s", text)
	}
}

// TestWhoOwesIsToldWhatAndWhatHappens: how much, when it is tried again, what
// comes where it fails, and a way on that there is today.
func TestWhoOwesIsToldWhatAndWhatHappens(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	const day = 24 * time.Hour
	until, next := time.Now().Add(9*day), time.Now().Add(3*day)
	happened := func(kind, key, invoice string, ago time.Duration, minor int64) {
		b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, currency, amount_minor, invoice_id, livemode)
			SELECT $1, $2, $3, stripe_customer_id, stripe_subscription_id, 'usd', $4, $5, false FROM subscriptions`, kind, key, time.Now().Add(-ago), minor, invoice)
	}
	b.exec(`DELETE FROM payment_events`)
	happened("payment_failed", "in_old:1", "in_old", 40*day, 4900)
	happened("payment_succeeded", "in_old", "in_old", 38*day, 4900)
	happened("payment_failed", "in_void:1", "in_void", 35*day, 1900)
	happened("invoice_voided", "in_void", "in_void", 34*day, 1900)
	happened("payment_failed", "in_new:1", "in_new", 5*day, 12000)
	happened("payment_failed", "in_new:2", "in_new", 2*day, 9900) // a credit in between

	b.exec(`UPDATE subscriptions SET status = 'past_due', next_payment_attempt = $1`, next)
	b.exec(`UPDATE entitlements SET access = 'grace', "until" = $1, then_access = 'read_only', then_reason = 'grace_over'`, until)
	says := func(t time.Time) string { return t.UTC().Format("2 Jan 2006") }
	const wayOn = "To pay it now, or with another card, write to us and we send you a link. Changing the card on this page comes later."
	wantBanner := func(name, text, hint string) {
		t.Helper()
		page := v.get("/billing").want(200)
		var got []string
		page.doc().Find(".banner p").Each(func(_ int, p *goquery.Selection) { got = append(got, strings.Join(strings.Fields(p.Text()), " ")) })
		want := []string{text}
		if hint != "" {
			want = append(want, hint)
		}
		if !slices.Equal(got, want) || page.doc().Find(".banner :is(a, button)").Length() > 0 {
			t.Errorf("%s: the banner says\n%q, want\n%q", name, got, want)
		}
	}
	wantBanner("in grace", "$99.00 is owed. We try it again on "+says(next)+". If it is not paid by "+says(until)+
		", you can read everything and change nothing. If no try goes through, the plan may end.", wayOn)
	b.exec(`UPDATE entitlements SET access = 'read_only', "until" = NULL, then_access = NULL, then_reason = NULL`)
	retried := "We try it again on " + says(next) + ". If it goes through, everything works again at once. If no try goes through, the plan may end."
	wantBanner("read only", "$99.00 is owed. "+retried, wayOn)
	b.exec(`UPDATE memberships SET role = 'member'`)
	wantBanner("to a member without a billing role", retried, "")
	b.exec(`UPDATE memberships SET role = 'owner'`)
	b.exec(`UPDATE subscriptions SET status = 'unpaid', next_payment_attempt = NULL`)
	wantBanner("unpaid", "$99.00 is owed. They are not tried again by themselves.", wayOn)
}

// TestTheLastPaymentIsTold: its amount and its day, to those who may see
// amounts, as long as the plan lasts and after it.
func TestTheLastPaymentIsTold(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	const last = `.definitions div:contains("Last payment") dd`
	v.get("/billing").want(200).wantText(last, "$99.00 on ")
	b.exec(`DELETE FROM payment_events`)
	if text := v.get("/billing").want(200).text(last); text != "" {
		t.Errorf("nothing was paid, and it says %q", text)
	}
	paid := func(at time.Time, key string, minor int64) {
		b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, currency, amount_minor, invoice_id, livemode)
			SELECT 'payment_succeeded', $1, $2, stripe_customer_id, stripe_subscription_id, 'usd', $3, $1, false FROM subscriptions`, key, at, minor)
	}
	paid(time.Date(2026, 12, 24, 9, 0, 0, 0, time.UTC), "in_2", 9900)
	paid(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), "in_1", 4900)
	if got := v.get("/billing").want(200).text(last); got != "$99.00 on 24 Dec 2026" {
		t.Errorf("it says %q", got)
	}
	b.exec(`UPDATE memberships SET role = 'member'`)
	if text := v.get("/billing").want(200).text("main"); strings.Contains(text, "Last payment") {
		t.Errorf("a member without a billing role is told: %s", text)
	}
	b.exec(`UPDATE memberships SET role = 'owner'`)
	b.exec(`UPDATE subscriptions SET status = 'canceled', ended_at = '2027-01-24T09:00:00Z'`)
	v.get("/billing").want(200).wantText(".blank", "It ended on 24 Jan 2027. Nothing more is charged. The last payment was $99.00 on 24 Dec 2026.")
}
