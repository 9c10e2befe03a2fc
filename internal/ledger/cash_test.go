package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
)

// moved records balance transactions as payments does.
func (b *bundle) moved(transactions ...db.BalanceTransaction) {
	b.Helper()
	for i := range transactions {
		transactions[i].NetMinor = transactions[i].AmountMinor - transactions[i].FeeMinor
		transactions[i].AvailableAt = transactions[i].CreatedAt
		if transactions[i].Currency == "" {
			transactions[i].Currency = "usd"
		}
	}
	rows, err := json.Marshal(transactions)
	b.must(err)
	_, err = b.q.RecordBalanceTransactions(b.ctx, rows)
	b.must(err)
}

const cashDays = `SELECT concat_ws(' ', day, currency, kind, amount_minor, fee_minor, net_minor, transactions) FROM cash_daily WHERE gen = $1 ORDER BY day, currency, kind`

// rows compares what a query returns, in any order.
func (b *bundle) rows(what string, want []string, sql string, args ...any) {
	b.Helper()
	got := strings.Split(b.lines(sql, args...), "\n")
	if len(want) == 0 {
		want = []string{""}
	}
	slices.Sort(got)
	slices.Sort(want)
	b.want(what, strings.Join(want, "\n"), strings.Join(got, "\n"))
}

func TestBalanceTransactionsAreCountedByDayOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	noon := time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC)
	late := time.Date(2026, 5, 3, 23, 30, 0, 0, time.UTC) // the next day in Berlin
	all := []db.BalanceTransaction{
		{ID: "txn_1", Type: "charge", ReportingCategory: "charge", AmountMinor: 9900, FeeMinor: 317, CreatedAt: noon},
		{ID: "txn_2", Type: "charge", ReportingCategory: "charge", AmountMinor: 2900, FeeMinor: 114, CreatedAt: late},
		{ID: "txn_3", Type: "refund", ReportingCategory: "refund", AmountMinor: -2900, CreatedAt: late},
		{ID: "txn_4", Type: "adjustment", ReportingCategory: "dispute", AmountMinor: -9900, FeeMinor: 1500, CreatedAt: late},
		{ID: "txn_5", Type: "charge", ReportingCategory: "charge", AmountMinor: 500, FeeMinor: 45, Currency: "eur", CreatedAt: noon},
		{ID: "txn_6", Type: "payout", ReportingCategory: "payout", AmountMinor: -5000, CreatedAt: noon},
	}
	want := []string{
		"2026-05-03 eur gross 500 45 455 1", "2026-05-03 usd dispute -9900 1500 -11400 1",
		"2026-05-03 usd gross 12800 431 12369 2", "2026-05-03 usd refund -2900 0 -2900 1",
	}
	for range 2 { // Stripe's list is read again and again
		b.moved(all...)
		b.settle()
		b.rows("cash by day", want, cashDays, 1)
	}
	b.exec(`INSERT INTO metric_dirty (customer_id) SELECT id FROM balance_transactions`)
	b.settle()
	b.rows("counted again", want, cashDays, 1)

	// Another zone is another generation, in which days are others.
	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{TimeZone: "Europe/Berlin"}))
	for range 20 {
		n, err := b.ledger.Step(b.ctx)
		b.must(err)
		if n == 0 {
			break
		}
	}
	b.must(b.ledger.Verify(b.ctx))
	b.rows("cash by day of Berlin", []string{
		"2026-05-03 eur gross 500 45 455 1", "2026-05-03 usd gross 9900 317 9583 1",
		"2026-05-04 usd dispute -9900 1500 -11400 1", "2026-05-04 usd gross 2900 114 2786 1", "2026-05-04 usd refund -2900 0 -2900 1",
	}, cashDays, 2)
}

func TestWhatIsWrongWithCashIsFound(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ sql, check string }{
		"a day that nobody moved":                  {`UPDATE cash_daily SET net_minor = net_minor + 1`, "cash by day is a recount of the balance transactions that are counted"},
		"an entry that says otherwise than Stripe": {`UPDATE balance_transactions SET amount_minor = 1, net_minor = 1, fee_minor = 0`, "what is counted of a balance transaction is what Stripe says"},
		"a transaction that was forgotten":         {`WITH gone AS (DELETE FROM cash_entry) DELETE FROM cash_daily`, "every balance transaction is counted"},
		"an outlook that nobody has":               {`INSERT INTO outlook_daily VALUES (1, 'usd', '2026-01-01', 'pro', 'renewal', 1, 1)`, "the outlook by day is a recount of the customers'"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.moved(db.BalanceTransaction{ID: "txn_1", Type: "charge", ReportingCategory: "charge", AmountMinor: 9900, FeeMinor: 317, CreatedAt: birth})
			b.settle()
			b.exec(c.sql)
			var finding *ledger.Finding
			if err := b.ledger.Verify(b.ctx); !errors.As(err, &finding) || finding.Check != c.check {
				t.Errorf("found %v, want that %s", err, c.check)
			}
		})
	}
}

// stands writes the copy of a monthly subscription.
func (b *bundle) stands(customer, subscription string, f billing.Facts, periodEnd time.Time) {
	b.Helper()
	raw, err := json.Marshal(f)
	b.must(err)
	plan, interval, count := f.Items[0].PriceID[len("price_"):], "month", int32(1)
	rows, err := json.Marshal([]db.Subscription{{
		StripeSubscriptionID: subscription, StripeCustomerID: customer, Status: string(f.Status), Plan: &plan, Interval: &interval, IntervalCount: &count,
		Quantity: 1, Currency: string(f.Currency), CurrentPeriodStart: periodEnd.AddDate(0, -1, 0), CurrentPeriodEnd: periodEnd, Facts: raw,
		CreatedAt: birth, ReadAt: birth, IsVerified: true,
	}})
	b.must(err)
	b.must(b.q.WriteSubscriptions(b.ctx, rows))
	b.must(b.q.MarkDirty(b.ctx, []string{customer}))
}

const outlookDays = `SELECT concat_ws(' ', day, plan, kind, amount_micro / 1000000, subscriptions) FROM outlook_daily WHERE gen = 1 ORDER BY day, plan, kind`

func TestTheOutlookFollowsTheCopies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	org := b.organization("Acme")
	b.customer("cus_1", &org)
	b.customer("cus_2", nil)
	end := time.Date(2027, 2, 10, 9, 0, 0, 0, time.UTC)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.version("cus_2", "sub_2", 0, facts("pilot", 1))
	b.stands("cus_1", "sub_1", facts("pro", 1), end)
	leaving := facts("pilot", 1)
	leaving.EndsAt = billing.At(end)
	b.stands("cus_2", "sub_2", leaving, end)
	b.settle()
	b.rows("outlook", []string{
		"2027-02-10 pilot ending 2900 1", "2027-02-10 pro renewal 9900 1", "2027-03-10 pro renewal 9900 1",
		"2027-04-10 pro renewal 9900 1", "2027-05-10 pro renewal 9900 1",
	}, outlookDays)

	// It renews, and whoever wanted to leave stays.
	b.stands("cus_1", "sub_1", facts("pro", 1), end.AddDate(0, 1, 0))
	b.stands("cus_2", "sub_2", facts("pilot", 1), end.AddDate(0, 3, 0))
	b.settle()
	var want []string
	for month, plans := range map[int][]string{3: {"pro"}, 4: {"pro"}, 5: {"pilot", "pro"}, 6: {"pilot"}, 7: {"pilot"}} {
		for _, plan := range plans {
			want = append(want, fmt.Sprintf("2027-%02d-10 %s renewal %d 1", month, plan, map[string]int{"pro": 9900, "pilot": 2900}[plan]))
		}
	}
	b.rows("outlook a month later", want, outlookDays)

	// What is over, or unknown to Stripe, has nothing to come.
	b.exec(`UPDATE subscriptions SET is_verified = false WHERE stripe_subscription_id = 'sub_2'`)
	over := facts("pro", 1)
	over.Status = billing.StatusCanceled
	b.stands("cus_1", "sub_1", over, end.AddDate(0, 1, 0))
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_2"}))
	b.settle()
	b.rows("outlook in the end", []string{}, outlookDays)
}
