package payments_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripesim"
)

const (
	countCash    = `SELECT count(*)::text FROM balance_transactions`
	unmarkedCash = `SELECT id FROM balance_transactions WHERE id NOT IN (SELECT customer_id FROM metric_dirty)`
)

// crowd are that many customers who have paid once.
func (b *bundle) crowd(n int) {
	b.t.Helper()
	if _, err := b.sim.Server.Populate(stripesim.Population{Customers: n, Price: b.Sold[payments.Offer{Plan: "pro", Interval: billing.Month}]}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) syncCash() {
	b.t.Helper()
	if err := b.SyncCash(b.ctx); err != nil {
		b.t.Fatal(err)
	}
}

func TestWhatMovesTheBalanceIsRecordedOnce(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	for range 2 {
		b.syncCash()
		b.want("recorded", []string{"charge charge usd 9900 317 9583 ch_ f"},
			`SELECT concat_ws(' ', type, reporting_category, currency, amount_minor, fee_minor, net_minor, left(source_id, 3), livemode) FROM balance_transactions`)
		b.want("marked", []string{"1"}, `SELECT count(*)::text FROM metric_dirty WHERE customer_id LIKE 'txn_%'`)
	}
	var charges struct {
		Data []struct {
			ID                 string `json:"id"`
			BalanceTransaction string `json:"balance_transaction"`
		} `json:"data"`
	}
	b.call(http.MethodGet, "/v1/charges", nil, &charges)
	b.call(http.MethodPost, "/v1/refunds", strings.NewReader("charge="+charges.Data[0].ID), nil)
	b.syncCash()
	b.want("refunded", []string{"charge 9583", "refund -9900"}, `SELECT type || ' ' || net_minor FROM balance_transactions ORDER BY type`)
	b.want("what the charge says", []string{charges.Data[0].BalanceTransaction}, `SELECT id FROM balance_transactions WHERE type = 'charge'`)
}

func TestTheFirstReadingGoesOnWhereItWasCutOff(t *testing.T) {
	b := setup(t)
	now := time.Date(2026, 3, 5, 10, 0, 0, 0, time.UTC)
	b.Now = func() time.Time { return now }
	list := &kept{}
	for i := range 420 { // two a second, so that pages end in the middle of one
		list.add(fmt.Sprintf("txn_%03d", i), now.AddDate(0, -1, 0).Add(-time.Duration(i/2)*time.Second))
	}
	cut := &cutAfter{Stripe: list, pages: 3} // one ahead, and two of five back
	b.Stripe = cut
	if err := b.SyncCash(b.ctx); err == nil {
		t.Fatal("no error of the cut wire")
	}
	b.want("after the cut", []string{"200"}, countCash)
	for _, c := range []struct {
		sentence string
		pages    int
	}{{"the rest", 1 + 3}, {"once everything is there", 1}} {
		cut.pages = 100
		b.syncCash()
		if got := 100 - cut.pages; got != c.pages {
			t.Errorf("%s took %d pages, want %d", c.sentence, got, c.pages)
		}
		b.want(c.sentence, []string{"420"}, countCash)
		b.want("not marked", []string{}, unmarkedCash)
	}
}

// cutAfter is a Stripe that does not answer after so many pages.
type cutAfter struct {
	payments.Stripe
	pages int
}

func (c *cutAfter) BalanceTransactions(ctx context.Context, q payments.BalanceQuery) (payments.BalancePage, error) {
	if c.pages == 0 {
		return payments.BalancePage{}, fmt.Errorf("%w: the wire is cut", payments.ErrUnavailable)
	}
	c.pages--
	return c.Stripe.BalanceTransactions(ctx, q)
}

// TestWhatStripeListsLateIsReadAgain: its lists are eventually consistent, so
// that one created earlier may be seen later.
func TestWhatStripeListsLateIsReadAgain(t *testing.T) {
	b := setup(t)
	first := time.Date(2026, 3, 5, 10, 0, 0, 0, time.UTC)
	now := first
	b.Now = func() time.Time { return now }
	list := &kept{}
	b.Stripe = list
	b.syncCash()
	now = first.Add(2 * time.Hour)
	list.add("txn_2", first.Add(90*time.Minute))
	b.syncCash()
	list.add("txn_1", first.Add(-30*time.Minute)) // before the last reading began
	list.add("txn_3", first.Add(119*time.Minute))
	now = first.Add(2*time.Hour + 5*time.Minute)
	b.syncCash()
	b.want("recorded", []string{"txn_1", "txn_2", "txn_3"}, `SELECT id FROM balance_transactions ORDER BY id`)

	// After a long silence it is read a month at a time.
	list.asked = nil
	now = first.AddDate(0, 3, 0)
	b.syncCash()
	if len(list.asked) != 3 {
		t.Errorf("asked %d times, want 3: %v", len(list.asked), list.asked)
	}
	b.want("whole to", []string{now.Format(time.DateTime)}, `SELECT to_char(whole_to AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM cash_progress`)
}

// kept is a list of balance transactions in memory.
type kept struct {
	payments.Stripe
	all   []billing.BalanceTransaction
	asked []payments.BalanceQuery
}

func (k *kept) add(id string, at time.Time) {
	k.all = append(k.all, billing.BalanceTransaction{ID: id, Type: "charge", Category: "charge", Currency: "usd", CreatedAt: at, AvailableAt: at})
}

func (k *kept) BalanceTransactions(_ context.Context, q payments.BalanceQuery) (payments.BalancePage, error) {
	k.asked = append(k.asked, q)
	var page payments.BalancePage
	for _, t := range k.all {
		if !t.CreatedAt.Before(q.From) && (q.Before.IsZero() || t.CreatedAt.Before(q.Before)) {
			page.Transactions = append(page.Transactions, t)
		}
	}
	slices.SortStableFunc(page.Transactions, func(a, b billing.BalanceTransaction) int { return b.CreatedAt.Compare(a.CreatedAt) })
	if at := slices.IndexFunc(page.Transactions, func(t billing.BalanceTransaction) bool { return t.ID == q.After }); at >= 0 {
		page.Transactions = page.Transactions[at+1:]
	}
	if page.HasMore = len(page.Transactions) > 100; page.HasMore {
		page.Transactions = page.Transactions[:100]
	}
	return page, nil
}

func TestReplicasTakeTurnsWithTheList(t *testing.T) {
	b := setup(t)
	b.crowd(250)
	var all sync.WaitGroup
	faults := make(chan error, 4)
	for range 4 {
		all.Go(func() { faults <- b.replica().SyncCash(b.ctx) })
	}
	all.Wait()
	close(faults)
	for err := range faults {
		if err != nil {
			t.Error(err)
		}
	}
	b.want("recorded", []string{"250"}, countCash)
	b.want("marks", []string{"250"}, `SELECT count(*)::text FROM metric_dirty WHERE customer_id LIKE 'txn_%'`)
	b.want("held by nobody", []string{"true"}, `SELECT (lease_until < now())::text FROM cash_progress`)
}

// TestWhoDiesReadingHoldsNobodyUp for longer than the lease lasts.
func TestWhoDiesReadingHoldsNobodyUp(t *testing.T) {
	b := setup(t)
	b.crowd(1)
	b.syncCash()
	b.exec(`UPDATE cash_progress SET lease_until = now() + interval '1 minute'`)
	ctx, cancel := context.WithTimeout(b.ctx, 200*time.Millisecond)
	defer cancel()
	if err := b.SyncCash(ctx); err == nil {
		t.Error("two read at once")
	}
	b.exec(`UPDATE cash_progress SET lease_until = now() - interval '1 second'`)
	b.syncCash()
}

func TestAPaymentIsRecordedSoonAfterItsEvent(t *testing.T) {
	b := setup(t)
	b.syncCash()
	org, user := b.org(billing.RoleOwner)
	ctx, stop := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = b.Run(ctx) })
	defer running.Wait()
	defer stop()
	time.Sleep(200 * time.Millisecond) // the first reading is over
	b.buy(org, user, "pro")
	for _, event := range b.ours() {
		b.deliver(event)
	}
	for deadline := time.Now().Add(20 * time.Second); len(b.rows(`SELECT id FROM balance_transactions`)) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is recorded within twenty seconds")
		}
	}
}

// TestARenewalIsCountedAnew: its history is the same, and what is to come is not.
func TestARenewalIsCountedAnew(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	for _, event := range b.ours() {
		b.deliver(event)
	}
	b.settle()
	customer := b.rows(`SELECT stripe_customer_id FROM subscriptions`)[0]
	for _, c := range []struct {
		sentence, change string
		want             []string
	}{
		{"nothing is to come that was not", `SELECT`, []string{}},
		{"the copy was of the period before", `UPDATE subscriptions SET current_period_end = current_period_end - interval '1 month'`, []string{customer}},
		{"the copy had another end", `UPDATE subscriptions SET facts = facts || '{"ends_at": 1900000000}'`, []string{customer}},
		{"the copy was not believed", `UPDATE subscriptions SET is_verified = false`, []string{customer}},
	} {
		b.exec(`DELETE FROM metric_dirty`)
		b.exec(c.change)
		if err := b.SyncCustomer(b.ctx, customer); err != nil {
			t.Fatal(err)
		}
		b.want(c.sentence+": marked", c.want, `SELECT DISTINCT customer_id FROM metric_dirty`)
	}
}
