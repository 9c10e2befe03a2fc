package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

const paymentsPath = "/admin/billing/payments"

// told records what happened with an invoice on a day of 2026, at noon, and marks
// its customer.
func (a *autumn) told(kind, key, day, customer, invoice string, minor int64) {
	a.t.Helper()
	at, err := time.Parse("2006-01-02 15", "2026-"+day+" 12")
	if err != nil {
		a.t.Fatal(err)
	}
	a.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, invoice_id, currency, amount_minor, details, livemode)
		VALUES ($1, $2, $3, $4, replace($4, 'cus', 'sub'), $5, 'usd', $6, '{"billing_reason": "subscription_cycle"}', false)`, kind, key, at, customer, invoice, minor)
	if err := db.New(a.pool).MarkDirty(a.t.Context(), []string{customer}); err != nil {
		a.t.Fatal(err)
	}
}

// openRenewals is the autumn with its renewals: Acme's of 99 are paid at once, that
// of 399 is in retry; cus_b pays 29 at the second attempt, cus_c never; cus_d's bank
// asks twice, and is answered once.
func openRenewals(t *testing.T) *autumn {
	t.Helper()
	a := openAutumn(t)
	a.told("payment_succeeded", "in_a1", "10-10", "cus_a", "in_a1", 9900)
	a.told("payment_succeeded", "in_a2", "11-10", "cus_a", "in_a2", 9900)
	a.told("payment_failed", "in_b1:1", "10-30", "cus_b", "in_b1", 2900)
	a.told("payment_succeeded", "in_b1", "11-03", "cus_b", "in_b1", 2900)
	a.told("payment_failed", "in_c1:1", "11-28", "cus_c", "in_c1", 2900)
	a.told("payment_failed", "in_a3:1", "12-28", "cus_a", "in_a3", 39900)
	a.told("payment_action_required", "pi_d1", "11-12", "cus_d", "in_d1", 9900)
	a.told("payment_succeeded", "in_d1", "12-02", "cus_d", "in_d1", 9900)
	a.told("payment_action_required", "pi_d2", "12-12", "cus_d", "in_d2", 9900)
	a.exec(`INSERT INTO stripe_objects (object_id, stripe_customer_id, invoice_id, created_at, failure_reason) VALUES
		('ch_a', 'cus_a', 'in_a3', '2026-12-28T12:00:00Z', 'insufficient_funds'), ('ch_b', 'cus_b', 'in_b1', '2026-10-30T12:00:00Z', 'brand_new_reason')`)
	a.settle()
	return a
}

func TestThePageOfPaymentsAddsUp(t *testing.T) {
	a := openRenewals(t)
	page := a.admin.get(paymentsPath + "?from=2026-10&range=custom").want(200)
	page.wantFigure("Declined first", "53.6%").wantFigure("Declined first", "By amount; 3 of 7 renewals.")
	page.wantFigure("Recovered", "6.3%").wantFigure("Recovered", "$29.00 of $457.00. Provisional: 1 is tried again.")
	page.wantFigure("In retry now", "$399.00").wantFigure("In retry now", "1 invoice. 1 more waits to be confirmed.")
	page.wantFigure("Lost", "$29.00").wantFigure("Lost", "1 renewal.")
	page.wantRows("#rate details", "October 2026 | 50.0% (1 of 2) | 22.7% | 9.5% to 90.5%", "November 2026 | 33.3% (1 of 3) | 12.8% | 6.1% to 79.2%",
		"December 2026 so far | 50.0% (1 of 2) | 80.1% | 9.5% to 90.5%")
	page.wantRows("#outcomes details", "October 2026 | $29.00 (1) | $0.00 | $0.00", "November 2026 | $0.00 | $0.00 | $29.00 (1)", "December 2026 so far | $0.00 | $399.00 (1) | $0.00")
	page.wantText("#outcomes figcaption", "Of 3 renewals worth $457.00, $29.00 came back, $399.00 may still, and $29.00 is lost.")
	page.wantText("#recovery figcaption", "6.3% of what was declined first was paid after all.")
	page.wantCells("#reasons tbody th", "Not told, Brand new reason brand_new_reason, Insufficient funds insufficient_funds")
	page.wantText("#asked figcaption", "of 2 renewals worth $198.00; 1 were paid. Now 1 waits, worth $99.00.")
	page.wantRows("#declined-customers details", "October 2026 | 1", "November 2026 | 1", "December 2026 so far | 1")

	// The list leads to who owes, whatever time is shown.
	page.wantCells("#retrying tbody th, #retrying tbody td:nth-child(3)", "Acme, $399.00 Enterprise, cus_d, $99.00 Pro")
	if href, _ := page.doc().Find("#retrying tbody a").First().Attr("href"); href != "/admin/billing/organizations/7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10" {
		t.Errorf("the first leads to %q", href)
	}
	page.wantCells("#retrying tbody td:nth-child(2)", "Insufficient funds insufficient_funds, Waits for the customer's confirmation")

	// The table has its periods in the order of its head.
	page.wantCells("#figures-table thead th", "Figure, Dec 2026 so far, Nov 2026, Oct 2026")
	page.wantRows("#figures-table", "Attempted | $498.00 2 | $227.00 3 | $128.00 2", "Paid at once | $0.00 0 | $99.00 1 | $99.00 1",
		"To be confirmed | $99.00 1 | $99.00 1 | $0.00 0", "Declined first | $399.00 1 | $29.00 1 | $29.00 1", "Recovered | $0.00 0 | $0.00 0 | $29.00 1",
		"In retry | $399.00 1 | $0.00 0 | $0.00 0", "Lost | $0.00 0 | $29.00 1 | $0.00 0", "In retry at the end | $399.00 1 | $29.00 1 | $29.00 1",
		"Customers declined | 1 | 1 | 1", "Payment failure rate | 80.1% | 12.8% | 22.7%", "Recovery rate | 0.0% | 0.0% | 100.0%")
}

func TestPaymentsOfOnePlanAndBesideTheTimeBefore(t *testing.T) {
	a := openRenewals(t)
	a.admin.get(paymentsPath+"?from=2026-10&plan=pilot&range=custom").want(200).wantFigure("Declined first", "By amount; 2 of 2 renewals.").
		wantText("#retrying", "Every renewal is paid or lost; nothing is tried again.")
	page := a.admin.get(paymentsPath + "?compare=previous&from=2026-11&range=custom&to=2026-12").want(200)
	page.wantFigure("Declined first", "points more than the time before").wantFigure("Lost", "$29.00 more than the time before")
	page.wantText("#rate", "The time before")
}

func TestRatesByDayAreOfSevenDays(t *testing.T) {
	a := openRenewals(t)
	page := a.admin.get(paymentsPath + "?from=2026-12-08&range=custom&to=2026-12-31").want(200)
	// Twenty-four days are three and three times seven.
	page.wantRows("#rate details", "The week of 8 Dec 2026 | n/a: nothing was attempted | n/a: nothing was attempted | ", "The week of 11 Dec 2026 | 0.0% (0 of 1) | 0.0% | 0.0% to 79.3%",
		"The week of 18 Dec 2026 | n/a: nothing was attempted | n/a: nothing was attempted | ", "The week of 25 Dec 2026 so far | 100.0% (1 of 1) | 100.0% | 20.7% to 100.0%")
	page.wantText("#rate", "A point is seven days").wantText("#declined-customers figcaption", "Most were 1 customer on 28 Dec 2026.")
	if got := len(page.table("#declined-customers details")); got != 24 {
		t.Errorf("customers are told of %d days, want 24", got)
	}
}

func TestPaymentsWithoutAny(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(paymentsPath).want(200)
	page.wantFigure("Declined first", "n/a").wantFigure("In retry now", "$0.00")
	page.wantText("#rate", "No subscription was renewed in this time.").wantText("#reasons", "Nothing was declined in this time.")
	if page.doc().Find("#asked").Length() != 0 {
		t.Error("confirmations are shown of which nobody was asked")
	}
}

func TestPaymentsBeforeAnythingWasSold(t *testing.T) {
	quietShop(t).admin.get(paymentsPath).want(200).wantText("#blank", "Nobody pays yet")
}

func TestPaymentsArePartsToo(t *testing.T) {
	a := openRenewals(t)
	part := a.admin.with("HX-Request", "true").get(paymentsPath + "?range=30d").want(200)
	if part.doc().Find("html > body > header, .rail").Length() != 0 || part.doc().Find("#figures #rate").Length() != 1 {
		t.Error("the part is no part")
	}
	a.admin.get(paymentsPath+"?plan=none").want(422).wantText("#plan-error", "There are no figures of this plan.")
}

func TestPaymentsAsAFile(t *testing.T) {
	a := openRenewals(t)
	file := a.admin.get("/admin/billing/export/payments.csv?from=2026-10&range=custom").want(200)
	lines := strings.Split(strings.TrimSpace(file.body), "\n")
	if len(lines) != 4 {
		t.Fatalf("the file has %d lines, want 4:\n%s", len(lines), file.body)
	}
	head, november := strings.Split(strings.TrimSpace(lines[0]), ","), strings.Split(strings.TrimSpace(lines[2]), ",")
	got := map[string]string{}
	for i, name := range head {
		got[name] = november[i]
	}
	for name, want := range map[string]string{
		"start": "2026-11-01", "end": "2026-11-30", "is_running": "false", "currency": "usd", "attempted": "3", "attempted_minor": "22700",
		"paid_at_once": "1", "asked": "1", "confirmed_minor": "9900", "declined": "1", "recovered": "0", "lost_minor": "2900", "in_retry": "0",
		"open_at_end": "1", "asked_open_at_end_minor": "9900", "declined_customers": "1", "recoveryRate": "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestTrialsStandByWhenTheyBegan(t *testing.T) {
	a := openAutumn(t)
	trial := func(customer, from, to string) {
		a.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ($1, false, now())`, customer)
		a.exec(`INSERT INTO subscription_versions (subscription_id, at, stripe_customer_id, facts, source, source_id) VALUES
			(replace($1, 'cus', 'sub'), $2::text::timestamptz, $1, jsonb_build_object('status', 'trialing', 'currency', 'usd', 'trial_end', extract(epoch FROM $3::text::timestamptz)::bigint,
				'items', jsonb_build_array(jsonb_build_object('price', 'price_autumn_pilot', 'quantity', 1))), 'event', 'evt_' || $1)`,
			customer, "2026-"+from+"T12:00:00Z", "2026-"+to+"T12:00:00Z")
	}
	trial("cus_t1", "10-20", "11-03")
	a.version("11-03", "cus_t1", "sub_t1", "pilot", billing.StatusActive, "")
	a.told("payment_succeeded", "in_t1", "11-03", "cus_t1", "in_t1", 2900)
	trial("cus_t2", "10-25", "11-08")
	a.version("11-01", "cus_t2", "sub_t2", "pilot", billing.StatusCanceled, "cancellation_requested")
	trial("cus_t3", "12-10", "12-24") // over, and not paid for
	if err := db.New(a.pool).MarkDirty(t.Context(), []string{"cus_t3"}); err != nil {
		t.Fatal(err)
	}
	a.settle()
	page := a.admin.get(customersPath + "?from=2026-09&range=custom").want(200)
	page.wantRows("#trial-cohorts", "December 2026 so far | 1 | 0 | 0 | 1 | n/a", "October 2026 | 2 | 1 | 1 | 0 | 50.0%")
	page.wantCells("#trial-cohorts tfoot td", "3, 1, 1, 1, 50.0% provisional")
	page.wantRows("#trials details", "September 2026 | n/a: no trial ended", "October 2026 | n/a: no trial ended", "November 2026 | 50.0% (1 of 2)", "December 2026 so far | 0.0% (0 of 1)")
}
