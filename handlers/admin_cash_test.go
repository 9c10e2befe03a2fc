package handlers_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

// balance records a balance transaction of a day of 2026, at noon.
func (a *autumn) balance(day, kind, category, currency string, minor, fee int64) {
	a.t.Helper()
	at, err := time.Parse("2006-01-02 15", "2026-"+day+" 12")
	if err != nil {
		a.t.Fatal(err)
	}
	rows, err := json.Marshal([]db.BalanceTransaction{{
		ID: fmt.Sprintf("txn_%s_%s_%d", day, kind, minor), Type: kind, ReportingCategory: category, Currency: currency,
		AmountMinor: minor, FeeMinor: fee, NetMinor: minor - fee, CreatedAt: at, AvailableAt: at,
	}})
	if err == nil {
		_, err = db.New(a.pool).RecordBalanceTransactions(a.t.Context(), rows)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// cashRead says up to when Stripe's list has been read.
func (a *autumn) cashRead() {
	a.t.Helper()
	a.exec(`INSERT INTO cash_progress (livemode, whole_from, whole_to, holder, lease_until) VALUES (false, '2016-12-31', '2026-12-31 19:58Z', gen_random_uuid(), 'epoch')`)
}

func TestCashIsShownWithThePayments(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(paymentsPath).want(200)
	page.wantText("#cash", "has not been read from Stripe yet")

	a.balance("10-10", "charge", "charge", "usd", 9900, 317)
	a.balance("10-12", "payout", "payout", "usd", -5000, 0)
	a.balance("11-02", "refund", "refund", "usd", -2900, 0)
	a.balance("11-09", "adjustment", "dispute", "usd", -9900, 1500)
	a.balance("12-24", "charge", "charge", "usd", 39900, 1187)
	a.balance("12-25", "charge", "charge", "eur", 500, 45)
	a.cashRead()
	a.settle()
	page = a.admin.get(paymentsPath + "?from=2026-10&range=custom").want(200)
	page.wantText("#cash", "Read up to 31 Dec 2026, 19:58.").wantText("#cash", "There is also a balance in EUR, which is not added up.")
	page.wantFigure("Net volume", "$339.96").wantFigure("Gross volume", "$498.00").wantFigure("Refunds and disputes", "-$128.00").wantFigure("Fees", "$30.04")
	page.wantFigure("Fees", "6.0% of the gross volume.")
	page.wantText("#cash-flow figcaption", "Of $498.00 that came in, $339.96 is left after refunds, disputes and fees.")
	page.wantRows("#cash-flow details", "October 2026 | $99.00 | $0.00 | $0.00 | -$3.17 | $95.83",
		"November 2026 | $0.00 | -$29.00 | -$99.00 | -$15.00 | -$143.00", "December 2026 so far | $399.00 | $0.00 | $0.00 | -$11.87 | $387.13")
	page.wantRows("#cash-table", "Gross volume | $399.00 | $0.00 | $99.00", "Refunds | $0.00 | -$29.00 | $0.00", "Disputes | $0.00 | -$99.00 | $0.00",
		"Fees | $11.87 | $15.00 | $3.17", "Net volume | $387.13 | -$143.00 | $95.83")
	if href, _ := page.doc().Find("#cash-table .list-csv").Attr("href"); href != "/admin/billing/export/cash.csv?from=2026-10&range=custom" {
		t.Errorf("the file is at %q", href)
	}
	a.exec(`UPDATE cash_progress SET whole_to = '2026-12-31 09:00Z'`)
	a.admin.get(paymentsPath).want(200).wantText("#cash", "Read up to 31 Dec 2026, 09:00, and not since")
	page = a.admin.get(paymentsPath + "?compare=previous&from=2026-11&range=custom&to=2026-12").want(200)
	page.wantFigure("Gross volume", "$300.00 more than the time before")
	a.admin.get(paymentsPath+"?plan=pro").want(200).wantText("#cash", "Cash is counted for the account and not by plan")
}

// stands writes the copy of an active monthly subscription whose period ends on a
// day of 2027.
func (a *autumn) stands(customer, subscription, plan, end string, isLeaving bool) {
	a.t.Helper()
	at, err := time.Parse("2006-01-02 15", "2027-"+end+" 09")
	if err != nil {
		a.t.Fatal(err)
	}
	facts := billing.Facts{Status: billing.StatusActive, Currency: "usd", Items: []billing.Item{{PriceID: "price_autumn_" + plan, Quantity: 1}}}
	if isLeaving {
		facts.EndsAt = billing.At(at)
	}
	raw, err := json.Marshal(facts)
	if err != nil {
		a.t.Fatal(err)
	}
	a.exec(`INSERT INTO subscriptions (stripe_subscription_id, stripe_customer_id, status, plan, "interval", interval_count, quantity, currency,
		current_period_start, current_period_end, cancel_at_period_end, has_paid, livemode, facts, created_at, read_at)
		VALUES ($1, $2, 'active', $3, 'month', 1, 1, 'usd', $4::timestamptz - interval '1 month', $4, $5, true, false, $6, now(), now())`,
		subscription, customer, plan, at, isLeaving, raw)
	a.exec(`INSERT INTO metric_dirty (customer_id) VALUES ($1)`, customer)
}

func TestTheNextNinetyDaysAreShownWithRevenue(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get("/admin/billing/revenue").want(200)
	page.wantText("#outlook-weeks", "Nothing renews or ends in this time.").wantText("#endings", "No subscription is scheduled to end.")
	a.stands("cus_a", "sub_a", "enterprise", "01-02", false)
	a.stands("cus_d", "sub_d", "pro", "01-20", true)
	a.settle()
	for _, address := range []string{"/admin/billing/revenue", "/admin/billing/revenue?range=30d"} { // whatever time is shown
		page = a.admin.get(address).want(200)
		page.wantText("#outlook-weeks figcaption", "$1,197.00 is due at 3 renewals. 1 subscription ends, and $99.00 of MRR with it.")
		page.wantCells("#endings tbody th, #endings tbody td", "cus_d, 20 Jan 2027, Pro, $99.00")
	}
	if href, _ := page.doc().Find("#endings tbody a").First().Attr("href"); href != "/admin/billing/organizations/cus_d" {
		t.Errorf("whose it is leads to %q", href)
	}
	page.wantText("#outlook-weeks details", "31 Dec to 6 Jan 2027").wantText("#outlook-weeks details", "$399.00 (1)").wantText("#outlook-weeks details", "-$99.00 (1)")
	a.admin.get("/admin/billing/revenue?plan=pro").want(200).wantText("#outlook-weeks figcaption", "No renewal is due. 1 subscription ends, and $99.00 of MRR with it.")
}
