package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/money"
)

const dollar = 100 * money.Micro

var birth = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

type bundle struct {
	*testing.T
	ctx    context.Context
	pool   *pgxpool.Pool
	q      *db.Queries
	ledger *ledger.Ledger
	now    time.Time
}

// setup is a shop with three monthly prices, a year after birth.
func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{T: t, ctx: t.Context(), pool: dbtest.New(t), now: birth.AddDate(1, 0, 0)}
	b.q = db.New(b.pool)
	b.ledger = &ledger.Ledger{
		Pool: b.pool, Now: func() time.Time { return b.now }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for plan, price := range map[string]int64{"pilot": 29, "pro": 99, "enterprise": 399} {
		b.price(plan, price)
	}
	b.must(b.q.RememberCoupon(b.ctx, db.RememberCouponParams{
		StripeCouponID: "half", Duration: "repeating", PercentOff: "50", AmountsOff: json.RawMessage(`{}`), SeenAt: birth,
	}))
	return b
}

func (b *bundle) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) price(plan string, dollars int64) {
	b.Helper()
	_, err := b.q.RememberPrice(b.ctx, db.RememberPriceParams{
		StripePriceID: "price_" + plan, Plan: plan, Interval: "month", IntervalCount: 1, UsageType: "licensed", Product: "prod_" + plan,
		Amounts: fmt.Appendf(nil, `{"usd": {"unit_micro": %d}}`, dollars*dollar), SeenAt: birth,
	})
	b.must(err)
}

func (b *bundle) exec(sql string, args ...any) {
	b.Helper()
	_, err := b.pool.Exec(b.ctx, sql, args...)
	b.must(err)
}

func facts(plan string, quantity int64) billing.Facts {
	return billing.Facts{
		Status: billing.StatusActive, Currency: "usd", Items: []billing.Item{{PriceID: "price_" + plan, Quantity: quantity}},
	}
}

// customer adds a Stripe customer, of an organization where one is given.
func (b *bundle) customer(id string, org *uuid.UUID) {
	b.Helper()
	b.exec(`INSERT INTO customers (stripe_customer_id, org_id, is_current, livemode, created_at) VALUES ($1, $2, false, false, $3)`, id, org, birth)
}

func (b *bundle) organization(name string) uuid.UUID {
	b.Helper()
	var id uuid.UUID
	b.must(b.pool.QueryRow(b.ctx, `INSERT INTO organizations (name, created_at) VALUES ($1, $2) RETURNING id`, name, birth).Scan(&id))
	return id
}

// version writes a version of a subscription and marks its customer, in one
// transaction as payments does.
func (b *bundle) version(customer, subscription string, day int, f billing.Facts) {
	b.Helper()
	raw, err := json.Marshal(f)
	b.must(err)
	b.must(db.InTx(b.ctx, b.pool, func(_ pgx.Tx, q *db.Queries) error {
		rows, err := json.Marshal([]db.SubscriptionVersion{{
			SubscriptionID: subscription, At: birth.AddDate(0, 0, day), StripeCustomerID: customer,
			Facts: raw, Source: "event", SourceID: fmt.Sprint("evt_", day),
		}})
		if err != nil {
			return err
		}
		if err := q.WriteVersions(b.ctx, rows); err != nil {
			return err
		}
		return q.MarkDirty(b.ctx, []string{customer})
	}))
}

// settle steps until nothing is left, checks the invariants and returns how
// much was done.
func (b *bundle) settle() int {
	b.Helper()
	done := 0
	for range 100 {
		settled, err := b.ledger.Settled(b.ctx)
		b.must(err)
		if settled {
			b.must(b.ledger.Verify(b.ctx))
			return done
		}
		n, err := b.ledger.Step(b.ctx)
		b.must(err)
		done += n
	}
	b.Fatal("a hundred steps did not settle the ledger")
	return done
}

// lines are the rows that a query returns, each as text.
func (b *bundle) lines(sql string, args ...any) string {
	b.Helper()
	rows, err := b.pool.Query(b.ctx, sql, args...)
	b.must(err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	b.must(err)
	return strings.Join(lines, "\n")
}

func (b *bundle) want(what, want, got string) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("%s differ (-want +got):\n%s", what, diff)
	}
}

const movementsSQL = `SELECT concat_ws(' ', day, kind, plan, amount_micro / 100000000, customers, reason)
	FROM mrr_movements ORDER BY day, customer, kind, plan`

// everything is all that the ledger keeps, as text.
func (b *bundle) everything() string {
	b.Helper()
	return b.lines(`
		SELECT 'day ' || t::text FROM customer_day t UNION ALL
		SELECT 'movement ' || t::text FROM customer_movement t UNION ALL
		SELECT 'subscription ' || t::text FROM customer_subscription t UNION ALL
		SELECT 'level ' || t::text FROM customer_level t UNION ALL
		SELECT 'daily ' || t::text FROM flow_daily t UNION ALL
		SELECT 'monthly ' || t::text FROM flow_monthly t UNION ALL
		SELECT 'pledge ' || t::text FROM customer_pledge t UNION ALL
		SELECT 'pledged ' || t::text FROM pledge_daily t UNION ALL
		SELECT 'pledged in ' || t::text FROM pledge_monthly t UNION ALL
		SELECT 'cohort ' || t::text FROM cohort_change t UNION ALL
		SELECT 'retention ' || t::text FROM retention_change t UNION ALL
		SELECT 'clock ' || t::text FROM metric_clock t UNION ALL
		SELECT 'customer ' || t::text FROM metric_customer t ORDER BY 1`)
}

func TestVersionsBecomeBalancesMovementsAndRollups(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.version("cus_1", "sub_1", 1, facts("enterprise", 1))
	b.version("cus_2", "sub_2", 1, facts("pro", 2))
	if n := b.settle(); n != 3 {
		t.Errorf("took %d marks, want 3", n)
	}
	b.want("movements", "2026-01-31 new pro 99 1 purchase\n"+
		"2026-02-01 expansion enterprise 300 0 plan_change\n2026-02-01 transfer_in enterprise 99 0 plan_change\n"+
		"2026-02-01 transfer_out pro -99 0 plan_change\n2026-02-01 new pro 198 1 purchase", b.lines(movementsSQL))
	b.want("balances", "cus_1 usd 2026-01-31 99\ncus_1 usd 2026-02-01 399\ncus_2 usd 2026-02-01 198",
		b.lines(`SELECT concat_ws(' ', customer, currency, day, mrr_micro / 100000000) FROM customer_day ORDER BY 1`))
	b.want("daily flows", "2026-01-31 pro new 99 1\n2026-02-01 enterprise expansion 300 0\n2026-02-01 enterprise transfer_in 99 0\n"+
		"2026-02-01 pro new 198 1\n2026-02-01 pro transfer_out -99 0",
		b.lines(`SELECT concat_ws(' ', day, plan, kind, amount_micro / 100000000, customers) FROM payment_metrics ORDER BY 1`))
	b.want("monthly flows", "2026-01-01 pro new 99 1\n2026-02-01 enterprise expansion 300 0\n2026-02-01 enterprise transfer_in 99 0\n"+
		"2026-02-01 pro new 198 1\n2026-02-01 pro transfer_out -99 0",
		b.lines(`SELECT concat_ws(' ', month, plan, kind, amount_micro / 100000000, customers) FROM flow_monthly ORDER BY 1`))
}

func TestAMarkWithoutAChangeWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.settle()
	// xmin tells which transaction wrote a row.
	const written = `SELECT 'day ' || xmin FROM customer_day UNION ALL SELECT 'movement ' || xmin FROM customer_movement
		UNION ALL SELECT 'subscription ' || xmin FROM customer_subscription
		UNION ALL SELECT 'daily ' || xmin FROM flow_daily UNION ALL SELECT 'monthly ' || xmin FROM flow_monthly`
	before := b.lines(written)
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_1"}))
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_1"}))
	b.settle()
	b.want("writing transactions", before, b.lines(written))
}

func TestStepsAtOnceCountEveryChangeOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	var steppers sync.WaitGroup
	errs := make(chan error, 4)
	for range 4 {
		// As many processes have a ledger each.
		l := &ledger.Ledger{Pool: b.pool, Now: b.ledger.Now, Logger: b.ledger.Logger}
		steppers.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.Step(b.ctx); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	// Marks of the same customers keep coming while earlier ones are taken up.
	for i := range 100 {
		c := i % 2
		b.version(fmt.Sprint("cus_", c), fmt.Sprint("sub_", c), i, facts("pro", int64(1+i*i%7)))
	}
	stop()
	steppers.Wait()
	close(errs)
	for err := range errs {
		b.must(err)
	}
	b.settle()
	b.want("MRR", fmt.Sprint(99*(1+98*98%7+1+99*99%7), " 2"),
		b.lines(`SELECT concat_ws(' ', (sum(amount_micro) / 100000000)::bigint, sum(customers)) FROM flow_daily`))
}

// Marks are deleted, so the database lets one transaction at a time have them;
// clocks are only read, and it is the ledger's lock that keeps two from adding
// the same difference.
func TestStepsAtOnceFollowAClockOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	discounted := facts("pro", 2)
	discounted.Discounts = []billing.Discount{{CouponID: "half", End: billing.At(birth.AddDate(0, 0, 90))}}
	b.now = birth
	for c := range 20 {
		b.version(fmt.Sprint("cus_", c), fmt.Sprint("sub_", c), 0, discounted)
	}
	b.settle()
	b.now = birth.AddDate(0, 0, 90)
	var steps sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		steps.Go(func() {
			_, err := b.ledger.Step(b.ctx)
			errs <- err
		})
	}
	steps.Wait()
	close(errs)
	for err := range errs {
		b.must(err)
	}
	b.settle()
	b.want("MRR", fmt.Sprint(20*2*99), b.lines(`SELECT (sum(amount_micro) / 100000000)::bigint::text FROM flow_daily`))
}

func TestEachSubscriptionKeepsWhatItIsWorthNow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme := b.organization("Acme")
	b.customer("cus_1", nil)
	ended := facts("pro", 1)
	ended.Status = billing.StatusCanceled
	discounted := facts("enterprise", 2)
	discounted.Discounts = []billing.Discount{{CouponID: "half", End: billing.At(birth.AddDate(0, 0, 90))}}
	b.now = birth.AddDate(0, 0, 60)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.version("cus_1", "sub_2", 10, facts("pilot", 1))
	b.version("cus_1", "sub_2", 20, discounted)
	b.version("cus_1", "sub_3", 70, facts("pilot", 1)) // not yet
	b.settle()
	const worth = `SELECT concat_ws(' ', split_part(customer, ':', 1), subscription_id, currency, mrr_micro / 100000000) FROM customer_subscription ORDER BY 1`
	b.want("subscriptions", "cus_1 sub_1 usd 99\ncus_1 sub_2 usd 399", b.lines(worth))

	// What ends has no row any more, and what changes by itself changes here too.
	b.version("cus_1", "sub_1", 30, ended)
	b.now = birth.AddDate(0, 0, 90)
	b.settle()
	b.want("subscriptions later", "cus_1 sub_2 usd 798\ncus_1 sub_3 usd 29", b.lines(worth))

	b.exec(`UPDATE customers SET org_id = $1 WHERE stripe_customer_id = 'cus_1'`, acme)
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_1"}))
	b.settle()
	b.want("subscriptions once linked", "org sub_2 usd 798\norg sub_3 usd 29", b.lines(worth))
}

func TestLinkingMovesTheContributionsToTheOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme, other := b.organization("Acme"), b.organization("Other")
	b.customer("cus_1", nil)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.version("cus_2", "sub_2", 10, facts("pilot", 1))
	b.settle()
	const who = `SELECT concat_ws(' ', customer, kind, amount_micro / 100000000) FROM customer_movement ORDER BY 1`
	b.want("movements", "cus_1 new 99\ncus_2 new 29", b.lines(who))

	b.exec(`UPDATE customers SET org_id = $1 WHERE stripe_customer_id = 'cus_1'`, acme)
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_1"}))
	b.settle()
	b.want("movements after linking", fmt.Sprintf("cus_2 new 29\norg:%s new 99", acme), b.lines(who))

	// A second Stripe customer of the same organization is one more subscription of one customer.
	b.customer("cus_2", &acme)
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_2"}))
	b.settle()
	b.want("movements after linking both", fmt.Sprintf("org:%[1]s expansion 29\norg:%[1]s new 99", acme), b.lines(who))

	// Linked elsewhere, it leaves the first organization though only it is marked.
	b.exec(`UPDATE customers SET org_id = $1 WHERE stripe_customer_id = 'cus_2'`, other)
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_2"}))
	b.settle()
	b.want("movements after linking elsewhere", strings.Join(sorted(
		fmt.Sprintf("org:%s new 99", acme), fmt.Sprintf("org:%s new 29", other)), "\n"), b.lines(who))

	// An organization that is deleted leaves its customers to themselves.
	b.exec(`DELETE FROM organizations WHERE id = $1`, acme)
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_1"}))
	b.settle()
	b.want("movements after the end of the organization", fmt.Sprintf("cus_1 new 99\norg:%s new 29", other), b.lines(who))
}

func sorted(a, b string) []string {
	if a > b {
		a, b = b, a
	}
	return []string{a, b}
}

func TestHistoryRewrittenByALateEventMovesTheLedgerByTheDifference(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	// A read found three seats in March; the event that dates them comes later.
	b.version("cus_1", "sub_1", 40, facts("pro", 3))
	b.version("cus_2", "sub_2", 40, facts("pro", 1))
	b.settle()
	const months = `SELECT concat_ws(' ', month, kind, amount_micro / 100000000, customers) FROM flow_monthly ORDER BY 1`
	b.want("flows", "2026-01-01 new 99 1\n2026-03-01 expansion 198 0\n2026-03-01 new 99 1", b.lines(months))

	b.q.DeleteVersion(b.ctx, []db.DeleteVersionParams{{SubscriptionID: "sub_1", At: birth.AddDate(0, 0, 40)}}).Exec(func(_ int, err error) { b.must(err) })
	b.version("cus_1", "sub_1", 20, facts("pro", 3))
	b.settle()
	b.want("flows after the event", "2026-01-01 new 99 1\n2026-02-01 expansion 198 0\n2026-03-01 new 99 1", b.lines(months))
}

func TestWhatChangesByItselfIsDueByTheClock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	discounted := facts("pro", 1)
	discounted.Discounts = []billing.Discount{{CouponID: "half", Start: billing.At(birth), End: billing.At(birth.AddDate(0, 0, 90))}}
	b.now = birth.AddDate(0, 0, 10)
	b.version("cus_1", "sub_1", 0, discounted)
	b.settle()
	b.want("clocks", "cus_1 2026-05-01", b.lines(`SELECT concat_ws(' ', customer_id, (next_at AT TIME ZONE 'UTC')::date) FROM metric_clock`))

	b.now = birth.AddDate(0, 0, 90).Add(-time.Second)
	if n := b.settle(); n != 0 {
		t.Errorf("%d things were due a second early", n)
	}
	b.now = b.now.Add(time.Second)
	if n := b.settle(); n != 1 {
		t.Errorf("%d things were due when the coupon ended, want 1", n)
	}
	b.want("movements", "2026-01-31 new pro 49 1 purchase\n2026-05-01 expansion pro 49 0 discount_expired", b.lines(movementsSQL))
	b.want("clocks after", "", b.lines(`SELECT customer_id FROM metric_clock`))
}

func TestARebuildGivesTheSameRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme := b.organization("Acme")
	b.customer("cus_0", &acme)
	b.customer("cus_1", &acme)
	plans := []string{"pilot", "pro", "enterprise"}
	// Grown change by change, with ends, reversals and corrections between.
	for i := range 60 {
		c := i * 7 % 5
		f := facts(plans[i%3], int64(1+i%3))
		if i%11 == 10 {
			f.Status = billing.StatusUnpaid
		}
		if i%13 == 12 {
			f.Discounts = []billing.Discount{{CouponID: "half", End: billing.At(birth.AddDate(0, 0, 380+i))}}
		}
		b.version(fmt.Sprint("cus_", c), fmt.Sprint("sub_", c, "_", i%2), i*6, f)
		if i%9 == 8 {
			b.exec(`DELETE FROM subscription_versions WHERE at = $1`, birth.AddDate(0, 0, (i-4)*6))
			b.exec(`INSERT INTO metric_dirty (customer_id) SELECT 'cus_' || generate_series(0, 4)`)
		}
		if i%4 == 0 {
			b.settle()
		}
	}
	b.settle()
	grown := b.everything()
	if strings.Count(grown, "movement") < 40 {
		t.Fatalf("too little happened to prove anything:\n%s", grown)
	}

	b.exec(`TRUNCATE customer_day, customer_movement, customer_subscription, flow_daily, flow_monthly, customer_pledge, pledge_daily, pledge_monthly,
		cohort_change, retention_change, metric_clock, metric_customer`)
	b.exec(`INSERT INTO metric_dirty (customer_id) SELECT DISTINCT stripe_customer_id FROM subscription_versions`)
	b.settle()
	b.want("rows after a rebuild", grown, b.everything())
}

func TestGenerationsAreComputedSideBySide(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO metric_generation (gen, time_zone, discount_policy, decoder, state) VALUES
		(2, 'Pacific/Auckland', 'none', 1, 'building'), (3, 'UTC', 'recurring', 1, 'old')`)
	discounted := facts("pro", 1)
	discounted.Discounts = []billing.Discount{{CouponID: "half"}}
	b.version("cus_1", "sub_1", 0, discounted)
	b.settle()
	b.want("movements by generation", "1 2026-01-31 4950\n2 2026-02-01 9900",
		b.lines(`SELECT concat_ws(' ', gen, day, amount_micro / 1000000) FROM customer_movement ORDER BY gen`))
	b.want("movements shown", "2026-01-31 new pro 49 1 purchase", b.lines(movementsSQL))
}

func TestUnreadableVersionsHoldUpNoOneElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.settle()
	b.exec(`INSERT INTO subscription_versions VALUES ('sub_1', $1, 'cus_1', '{"status": 7}', 'event', 'evt_x')`, birth.AddDate(0, 0, 5))
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_1"}))
	b.version("cus_2", "sub_2", 0, facts("pilot", 1))
	b.settle()
	b.want("movements", "2026-01-31 new pro 99 1 purchase\n2026-01-31 new pilot 29 1 purchase", b.lines(movementsSQL))

	// Mended, it is taken up by itself within the hour.
	b.exec(`DELETE FROM subscription_versions WHERE source_id = 'evt_x'`)
	b.exec(`UPDATE subscription_versions SET facts = jsonb_set(facts, '{items,0,quantity}', '2') WHERE subscription_id = 'sub_1'`)
	b.now = b.now.Add(time.Hour)
	b.settle()
	b.want("movements once mended", "2026-01-31 new pro 198 1 purchase\n2026-01-31 new pilot 29 1 purchase", b.lines(movementsSQL))
}

func TestAnUnknownPriceAddsNothingUntilItIsSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("gold", 1))
	b.settle()
	b.want("movements", "", b.lines(movementsSQL))
	b.price("gold", 1000)
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_1"}))
	b.settle()
	b.want("movements once known", "2026-01-31 new gold 1000 1 purchase", b.lines(movementsSQL))
}

func TestAStepThatFailsLeavesItsMarks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.exec(`UPDATE metric_generation SET time_zone = 'Nowhere/Never'`)
	if _, err := b.ledger.Step(b.ctx); err == nil {
		t.Fatal("a step with a time zone that does not exist succeeded")
	}
	b.want("marks", "cus_1", b.lines(`SELECT customer_id FROM metric_dirty`))
	b.exec(`UPDATE metric_generation SET time_zone = 'UTC'`)
	b.settle()
	b.want("movements", "2026-01-31 new pro 99 1 purchase", b.lines(movementsSQL))
}

func TestVerifyNamesTheFirstBrokenRow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ sql, check string }{
		"a daily flow that no movement is behind": {
			`UPDATE flow_daily SET amount_micro = amount_micro + 1 WHERE kind = 'new'`, "daily flows are a recount of the movements",
		},
		"a monthly flow that is missing": {
			`DELETE FROM flow_monthly WHERE kind = 'transfer_in'`, "monthly flows are the sum of the daily ones",
		},
		"a customer's balance that no flow made": {
			`UPDATE customer_day SET mrr_micro = mrr_micro + 1`, "flows are the change of the balances",
		},
		"a customer who is not counted": {
			`WITH a AS (UPDATE customer_movement SET customers = 0), b AS (UPDATE flow_daily SET customers = 0)
			 UPDATE flow_monthly SET customers = 0`, "flows are the change of the balances",
		},
		"a subscription that the balance does not hold": {
			`UPDATE customer_subscription SET mrr_micro = mrr_micro + 1`, "subscriptions add up to the balance of their customer",
		},
		"a subscription that is missing": {
			`DELETE FROM customer_subscription`, "subscriptions add up to the balance of their customer",
		},
		"a transfer that does not arrive": {
			`WITH m AS (UPDATE customer_movement SET kind = 'transfer_in', plan = 'x' WHERE kind = 'expansion'),
			 d AS (UPDATE flow_daily SET kind = 'transfer_in', plan = 'x' WHERE kind = 'expansion')
			 UPDATE flow_monthly SET kind = 'transfer_in', plan = 'x' WHERE kind = 'expansion'`, "transfers between plans add up to nothing",
		},
		"a cohort that is missing": {
			`DELETE FROM cohort_change`, "cohorts are a recount of the movements",
		},
		"a cohort that nobody is in": {
			`UPDATE cohort_change SET cohort = '2019-01-01'`, "cohorts are a recount of the movements",
		},
		"a retention that nobody is behind": {
			`UPDATE retention_change SET lost_customers = lost_customers + 1`, "retention is a recount of the movements",
		},
		"a movement under a name that is not its own": {
			`UPDATE customer_movement SET kind = 'reactivation' WHERE kind = 'new'`, "movements are legal and add up to a balance that is never negative",
		},
		"a month of pledges that no day is behind": {
			`INSERT INTO pledge_monthly VALUES (1, '2026-02-01', 'usd', 'pro', 5, 0)`, "pledges by month are the sum of the daily ones",
		},
		"a pledge that nobody made": {
			`INSERT INTO pledge_daily VALUES (1, '2026-02-01', 'usd', 'pro', 5, 0)`, "pledges by day are a recount of the customers'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.version("cus_1", "sub_1", 0, facts("pro", 1))
			b.version("cus_1", "sub_1", 5, facts("enterprise", 1))
			b.settle()
			b.exec(tt.sql)
			checked, err := b.ledger.Check(b.ctx)
			b.must(err)
			if !slices.ContainsFunc(checked.Findings, func(f ledger.Finding) bool { return f.Check == tt.check }) {
				t.Errorf("verify finds %v, want %q", checked.Findings, tt.check)
			}
			if slices.Contains(checked.Held, tt.check) {
				t.Errorf("%q is said to hold", tt.check)
			}
			var finding *ledger.Finding
			if err := b.ledger.Verify(b.ctx); !errors.As(err, &finding) || finding.Error() != checked.Findings[0].Error() {
				t.Errorf("verify says %v, want the first of %v", err, checked.Findings)
			}
		})
	}
}

func TestRunFollowsMarksUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, stop := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- b.ledger.Run(ctx) }()
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.ledger.Wake()
	deadline := time.After(10 * time.Second)
	for b.lines(movementsSQL) == "" {
		select {
		case <-deadline:
			t.Fatal("nothing was derived in ten seconds")
		case <-time.After(10 * time.Millisecond):
		}
	}
	// No one wakes it for this one.
	b.version("cus_2", "sub_2", 0, facts("pro", 1))
	for strings.Count(b.lines(movementsSQL), "new") != 2 {
		select {
		case <-deadline:
			t.Fatal("a mark without a call was not taken up in ten seconds")
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	b.must(<-done)
}
