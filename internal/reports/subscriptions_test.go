package reports_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/reports"
)

// many writes n subscriptions of as many organizations: copies, and what the
// ledger would count for them.
func many(tb testing.TB, pool *pgxpool.Pool, n int) {
	tb.Helper()
	for _, sql := range []string{
		`INSERT INTO organizations (id, name, created_at)
			SELECT md5('o' || i)::uuid, 'Organization ' || md5(i::text), now() - i * interval '1 minute' FROM generate_series(1, $1) i`,
		`INSERT INTO users (id, email, name, password_hash, created_at)
			SELECT md5('u' || i)::uuid, 'owner' || i || '@example.com', 'Ada', 'x', now() FROM generate_series(1, $1) i`,
		`INSERT INTO memberships (org_id, user_id, role, created_at) SELECT md5('o' || i)::uuid, md5('u' || i)::uuid, 'owner', now() FROM generate_series(1, $1) i`,
		`INSERT INTO customers (stripe_customer_id, org_id, livemode, created_at)
			SELECT 'cus_' || i, CASE WHEN i % 20 > 0 THEN md5('o' || i)::uuid END, false, now() FROM generate_series(1, $1) i`,
		`INSERT INTO subscriptions (stripe_subscription_id, stripe_customer_id, status, plan, stripe_price_id, "interval", interval_count, quantity, currency,
				amount_minor, current_period_start, current_period_end, cancel_at_period_end, has_paid, livemode, facts, created_at, read_at)
			SELECT 'sub_' || i, 'cus_' || i, (ARRAY['active', 'active', 'active', 'past_due', 'trialing', 'canceled'])[1 + i % 6],
				(ARRAY['pilot', 'pro', 'enterprise'])[1 + i % 3], 'price_' || i % 3, 'month', 1, 1, 'usd', 9900, now(), now() + i * interval '1 minute',
				i % 17 = 0, true, false, '{}', now() - i * interval '7 minutes', now() FROM generate_series(1, $1) i`,
		`INSERT INTO customer_subscription (gen, customer, subscription_id, currency, mrr_micro)
			SELECT 1, coalesce('org:' || c.org_id, c.stripe_customer_id), 'sub_' || substr(c.stripe_customer_id, 5), 'usd', 9900000000 FROM customers c LIMIT $1`,
	} {
		if _, err := pool.Exec(tb.Context(), sql, n); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
	if _, err := pool.Exec(tb.Context(), `ANALYZE`); err != nil {
		tb.Fatal(err)
	}
}

func TestEveryOrderHasEachSubscriptionOnOnePageOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 3*reports.SubscriptionsPerPage + 7
	many(t, b.pool, n)
	for _, sort := range []reports.SubscriptionSort{
		reports.SortOrganization, reports.SortPlan, reports.SortMRR, reports.SortStatus, reports.SortStarted, reports.SortRenews, "",
	} {
		for _, descending := range []bool{false, true} {
			filter := reports.SubscriptionFilter{Sort: sort, IsDescending: descending, PlanOrder: []string{"pilot", "pro", "enterprise"}}
			var paged, exported []string
			for page := 1; page <= 4; page++ {
				list, err := b.reports.Subscriptions(t.Context(), filter, page)
				if err != nil {
					t.Fatal(err)
				}
				if list.Total != n || list.Pages != 4 || list.Page != page {
					t.Fatalf("by %s: page %d of %d with %d in all", sort, list.Page, list.Pages, list.Total)
				}
				for _, s := range list.Subscriptions {
					paged = append(paged, s.ID)
				}
			}
			seen := map[string]bool{}
			for _, id := range paged {
				seen[id] = true
			}
			if len(paged) != n || len(seen) != n {
				t.Errorf("by %s, descending %v: %d rows on four pages, %d of them different", sort, descending, len(paged), len(seen))
			}
			if err := b.reports.EachSubscription(t.Context(), filter, func(batch []reports.Subscription) error {
				for _, s := range batch {
					exported = append(exported, s.ID)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(paged, exported); diff != "" {
				t.Errorf("by %s, descending %v, pages and export differ:\n%s", sort, descending, diff)
			}
		}
	}
}

func TestAnExportOfMoreThanABatchIsWholeAndStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	many(t, b.pool, 1234)
	batches, rows := 0, 0
	count := func(batch []reports.Subscription) error {
		batches, rows = batches+1, rows+len(batch)
		return nil
	}
	if err := b.reports.EachSubscription(t.Context(), reports.SubscriptionFilter{}, count); err != nil || rows != 1234 || batches < 2 {
		t.Errorf("%d rows in %d batches, %v", rows, batches, err)
	}
	batches = 0
	stop := errors.New("the reader has gone")
	err := b.reports.EachSubscription(t.Context(), reports.SubscriptionFilter{}, func([]reports.Subscription) error { batches++; return stop })
	if !errors.Is(err, stop) || batches != 1 {
		t.Errorf("after an error of the reader: %d batches, %v", batches, err)
	}
}

func TestMRROfASubscriptionIsThatOfTheLiveDefinitionAndItsCustomer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscription("sub_1", "cus_1", "active", new("pro"), new(int64(9900)))
	b.exec(`INSERT INTO metric_generation VALUES (2, 'UTC', 'none', 1, 'building')`)
	b.exec(`INSERT INTO customer_subscription VALUES (1, 'cus_1', 'sub_1', 'usd', 5000), (2, 'cus_1', 'sub_1', 'usd', 7000), (1, 'org:gone', 'sub_1', 'usd', 9000)`)
	mrr := func() int64 {
		t.Helper()
		list, err := b.reports.Subscriptions(t.Context(), reports.SubscriptionFilter{}, 1)
		if err != nil || len(list.Subscriptions) != 1 || len(list.Sums) != 1 || list.Sums[0].MRRMicro != list.Subscriptions[0].MRRMicro {
			t.Fatalf("the list is %+v, %v", list, err)
		}
		return list.Subscriptions[0].MRRMicro
	}
	if got := mrr(); got != 5000 {
		t.Errorf("MRR = %d, want that of the live definition", got)
	}
	b.exec(`UPDATE metric_generation SET state = 'old' WHERE gen = 1`)
	b.exec(`UPDATE metric_generation SET state = 'live' WHERE gen = 2`)
	if got := mrr(); got != 7000 {
		t.Errorf("MRR = %d under the next definition", got)
	}
	// Linked, it is counted under the organization once the ledger has followed.
	acme := uuid.New()
	b.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'Acme', now())`, acme)
	b.exec(`UPDATE customers SET org_id = $1`, acme)
	if got := mrr(); got != 0 {
		t.Errorf("MRR = %d before the ledger has followed", got)
	}
	b.exec(`INSERT INTO customer_subscription VALUES (2, $1, 'sub_1', 'usd', 7000)`, "org:"+acme.String())
	if got := mrr(); got != 7000 {
		t.Errorf("MRR = %d once linked", got)
	}
}

func TestWhenASubscriptionRenewsOrEndsByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	period := time.Date(2027, 1, 15, 9, 0, 0, 0, time.UTC)
	early := period.AddDate(0, 0, -5)
	b.subscription("sub_1", "cus_1", "active", new("pro"), new(int64(9900)))
	b.exec(`UPDATE subscriptions SET current_period_end = $1, trial_end = $2`, period, early)
	for name, tt := range map[string]struct {
		set          string
		renews, ends time.Time
	}{
		"an active one renews with its period":            {`status = 'active'`, period, time.Time{}},
		"so does one past due":                            {`status = 'past_due'`, period, time.Time{}},
		"a trial is first paid for at its end":            {`status = 'trialing'`, early, time.Time{}},
		"one that is canceled at the end ends then":       {`cancel_at_period_end = true`, time.Time{}, period},
		"one that is canceled at a moment ends then":      {`cancel_at = trial_end`, time.Time{}, early},
		"a moment goes before the period":                 {`cancel_at = trial_end, cancel_at_period_end = true`, time.Time{}, early},
		"nothing is collected while it is paused":         {`pause_behavior = 'void'`, time.Time{}, time.Time{}},
		"an unpaid one is not paid for":                   {`status = 'unpaid'`, time.Time{}, time.Time{}},
		"what has ended neither renews nor ends":          {`status = 'canceled', cancel_at_period_end = true`, time.Time{}, time.Time{}},
		"an unfinished one may end without ever renewing": {`status = 'incomplete', cancel_at = trial_end`, time.Time{}, early},
	} {
		b.exec(`ALTER TABLE subscriptions DISABLE TRIGGER ALL`) // what has ended begins anew here
		b.exec(`UPDATE subscriptions SET status = 'active', cancel_at_period_end = false, cancel_at = NULL, pause_behavior = NULL`)
		b.exec(`UPDATE subscriptions SET ` + tt.set)
		list, err := b.reports.Subscriptions(t.Context(), reports.SubscriptionFilter{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := list.Subscriptions[0]; !got.RenewsAt.Equal(tt.renews) || !got.EndsAt.Equal(tt.ends) {
			t.Errorf("%s: renews %v, ends %v", name, got.RenewsAt, got.EndsAt)
		}
		ending, err := b.reports.Subscriptions(t.Context(), reports.SubscriptionFilter{IsEnding: true}, 1)
		if err != nil || (ending.Total == 1) == tt.ends.IsZero() {
			t.Errorf("%s: %d are ending, %v", name, ending.Total, err)
		}
	}
}

// The days of a time line are those of the figures' zone.
func TestTheTimeLineFollowsTheZoneOfTheFigures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`UPDATE metric_generation SET time_zone = 'Pacific/Auckland'`)
	b.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ('cus_1', false, now())`)
	at := time.Date(2026, 5, 31, 20, 0, 0, 0, time.UTC) // 1 June there
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, livemode) VALUES ('trial_started', 'sub_1', $1, 'cus_1', false)`, at)
	b.exec(`INSERT INTO customer_movement VALUES (1, 'cus_1', 'usd', '2026-06-01', 'new', 'pro', 9900000000, 1, 'purchase')`)
	b.exec(`INSERT INTO customer_day VALUES (1, 'cus_1', 'usd', '2026-06-01', 9900000000)`)
	o, err := b.reports.Organization(t.Context(), "cus_1", 1)
	if err != nil {
		t.Fatal(err)
	}
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	if len(o.TimeLine) != 2 || !o.TimeLine[0].Day.Equal(june) || !o.TimeLine[1].Day.Equal(june) || o.TimeLine[0].Movement == nil || !o.TimeLine[1].Event.At.Equal(at) {
		t.Errorf("the time line is %+v", o.TimeLine)
	}
	if o.Total != 2 || o.TimeZone.String() != "Pacific/Auckland" {
		t.Errorf("%d entries in %s", o.Total, o.TimeZone)
	}
	for _, id := range []string{"cus_2", uuid.NewString(), "cus_1 ", "cus_\x00", ""} {
		if _, err := b.reports.Organization(t.Context(), id, 1); !errors.Is(err, reports.ErrUnknownCustomer) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A movement between plans is one entry, with what it left and what it entered.
func TestAChangeOfPlanIsOneMovement(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ('cus_1', false, now())`)
	for day, rows := range map[string]string{
		"2026-06-01": `('new', 'pro', 9900, 1)`,
		"2026-06-05": `('transfer_out', 'pro', -9900, 0), ('transfer_in', 'enterprise', 9900, 0), ('expansion', 'enterprise', 30000, 0)`,
		"2026-06-07": `('transfer_out', 'enterprise', -39900, 0), ('transfer_in', 'twin', 39900, 0)`,
	} {
		b.exec(`INSERT INTO customer_movement SELECT 1, 'cus_1', 'usd', '` + day + `', v.k, v.p, v.a * 1000000::bigint, v.c, 'plan_change' FROM (VALUES ` + rows + `) v (k, p, a, c)`)
	}
	b.exec(`INSERT INTO customer_day VALUES (1, 'cus_1', 'usd', '2026-06-01', 9900000000), (1, 'cus_1', 'usd', '2026-06-05', 39900000000)`)
	o, err := b.reports.Organization(t.Context(), "cus_1", 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range o.TimeLine {
		m := e.Movement
		got = append(got, fmt.Sprintf("%s %s %d to %d, %s>%s", e.Day.Format(time.DateOnly), m.Kind, m.AmountMicro/1_000_000, m.BalanceMicro/1_000_000, m.LeftPlan, m.EnteredPlan))
	}
	if diff := cmp.Diff([]string{
		"2026-06-07  0 to 39900, enterprise>twin", "2026-06-05 expansion 30000 to 39900, pro>enterprise", "2026-06-01 new 9900 to 9900, >",
	}, got); diff != "" {
		t.Errorf("the time line differs (-want +got):\n%s", diff)
	}
	if len(o.Balances) != 1 || o.Balances[0].BestMicro != 39_900_000_000 || o.Total != 3 {
		t.Errorf("balances are %+v, of %d entries", o.Balances, o.Total)
	}
}

// BenchmarkSubscriptions is a page of a list of ten thousand.
func BenchmarkSubscriptions(b *testing.B) {
	pool := dbtest.New(b)
	many(b, pool, 10_000)
	door := &reports.Reports{Pool: pool, Now: time.Now}
	for name, filter := range map[string]reports.SubscriptionFilter{
		"newest":       {Sort: reports.SortStarted, IsDescending: true},
		"organization": {Sort: reports.SortOrganization},
		"mrr":          {Sort: reports.SortMRR, IsDescending: true},
		"words":        {Sort: reports.SortStarted, Words: "owner42"},
	} {
		for _, page := range []int{1, 150} {
			b.Run(fmt.Sprintf("by=%s/page=%d", name, page), func(b *testing.B) {
				for b.Loop() {
					if _, err := door.Subscriptions(b.Context(), filter, page); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
