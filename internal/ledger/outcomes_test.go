package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
)

// happens records a business event of an invoice and marks its customer, in one
// transaction as payments does. at is in hours since birth.
func (b *bundle) happens(customer, kind, key, subscription, invoice string, minor int64, at int) {
	b.Helper()
	b.must(db.InTx(b.ctx, b.pool, func(tx pgx.Tx, q *db.Queries) error {
		_, err := tx.Exec(b.ctx, `INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, invoice_id, currency, amount_minor, details, livemode)
			VALUES ($1, $2, $3, $4, $5, $6, 'usd', $7, '{"billing_reason": "subscription_cycle"}', false) ON CONFLICT DO NOTHING`,
			kind, key, birth.Add(time.Duration(at)*time.Hour), customer, subscription, invoice, minor)
		if err != nil {
			return err
		}
		return q.MarkDirty(b.ctx, []string{customer})
	}))
}

// declined remembers the charge of a decline.
func (b *bundle) declined(customer, charge, invoice, reason string, at int) {
	b.Helper()
	b.exec(`INSERT INTO stripe_objects (object_id, stripe_customer_id, invoice_id, created_at, failure_reason) VALUES ($1, $2, $3, $4, $5)`,
		charge, customer, invoice, birth.Add(time.Duration(at)*time.Hour), reason)
	b.must(b.q.MarkDirty(b.ctx, []string{customer}))
}

const (
	day  = 24 // hours
	week = 7 * day

	outcomesSQL = `SELECT concat_ws(' ', invoice_id, day, plan, amount_minor, fate, settled_day, nullif(reason, ''),
		CASE WHEN asked THEN 'asked' END, CASE WHEN failed_month THEN 'month' END, CASE WHEN failed_week THEN 'week' END, CASE WHEN failed_day THEN 'day' END)
		FROM invoice_outcome ORDER BY first_at, invoice_id`
	dailySQL = `SELECT concat_ws(' ', day, plan, nullif(reason, ''), 'attempted', attempted, attempted_minor, 'asked', asked, confirmed, 'recovered', recovered, recovered_minor,
		'retry', in_retry, 'lost', lost, lost_minor, 'open', open, open_minor, asked_open, 'customers', customers_day, customers_week, customers_month)
		FROM payment_daily ORDER BY day, plan, reason`
	outcomeTables = `SELECT 'invoice ' || t::text FROM invoice_outcome t UNION ALL SELECT 'hour ' || t::text FROM payment_hourly t UNION ALL
		SELECT 'daily ' || t::text FROM payment_daily t UNION ALL SELECT 'monthly ' || t::text FROM payment_monthly t UNION ALL
		SELECT 'trial ' || t::text FROM trial_outcome t UNION ALL SELECT 'trials ' || t::text FROM trial_daily t UNION ALL
		SELECT 'clock ' || t::text FROM metric_clock t ORDER BY 1`
)

func TestRenewalsAreCountedWhereTheyWereAttemptedFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", -40, facts("pro", 1))
	b.version("cus_2", "sub_2", -40, facts("pilot", 1))
	// Paid at once, declined twice and then paid, declined and open, and asked about.
	b.happens("cus_1", "payment_succeeded", "in_fine", "sub_1", "in_fine", 9900, 0)
	b.happens("cus_2", "payment_failed", "in_back:1", "sub_2", "in_back", 2900, 1)
	b.happens("cus_2", "payment_failed", "in_back:2", "sub_2", "in_back", 2900, 3*day)
	b.happens("cus_2", "payment_succeeded", "in_back", "sub_2", "in_back", 2900, 4*day)
	b.happens("cus_1", "payment_failed", "in_open:1", "sub_1", "in_open", 9900, 360*day)
	b.happens("cus_1", "payment_action_required", "pi_1", "sub_1", "in_ask", 9900, 5*day)
	b.settle()
	b.want("outcomes", "in_fine 2026-01-31 pro 9900 paid 2026-01-31\nin_back 2026-01-31 pilot 2900 recovered 2026-02-04 month week day\n"+
		"in_ask 2026-02-05 pro 9900 lost 2026-04-06 asked\nin_open 2027-01-26 pro 9900 in_retry month week day", b.lines(outcomesSQL))
	b.want("days", `2026-01-31 pilot attempted 1 2900 asked 0 0 recovered 1 2900 retry 0 lost 0 0 open 1 2900 0 customers 1 1 1
2026-01-31 pro attempted 1 9900 asked 0 0 recovered 0 0 retry 0 lost 0 0 open 0 0 0 customers 0 0 0
2026-02-04 pilot attempted 0 0 asked 0 0 recovered 0 0 retry 0 lost 0 0 open -1 -2900 0 customers 0 0 0
2026-02-05 pro attempted 1 9900 asked 1 0 recovered 0 0 retry 0 lost 0 0 open 0 0 1 customers 0 0 0
2026-04-06 pro attempted 0 0 asked 0 0 recovered 0 0 retry 0 lost 0 0 open 0 0 -1 customers 0 0 0
2027-01-26 pro attempted 1 9900 asked 0 0 recovered 0 0 retry 1 lost 0 0 open 1 9900 0 customers 1 1 1`, b.lines(dailySQL))
	b.want("hours", "2026-01-31 12:00 pro 1 0 0\n2026-01-31 13:00 pilot 1 0 1\n2026-02-05 12:00 pro 1 1 0\n2027-01-26 12:00 pro 1 0 1",
		b.lines(`SELECT concat_ws(' ', to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), plan, attempted, asked, failed) FROM payment_hourly ORDER BY hour`))

	// The bank's reason is heard of later than the decline, and moves it to another row.
	b.declined("cus_1", "ch_1", "in_open", "insufficient_funds", 360*day)
	b.settle()
	b.want("the reason", "2027-01-26 pro insufficient_funds", b.lines(`SELECT concat_ws(' ', day, plan, reason) FROM payment_daily WHERE day = '2027-01-26'`))
	// It is voided: nothing is owed, and nothing was attempted.
	b.happens("cus_1", "invoice_voided", "in_open", "sub_1", "in_open", 9900, 361*day)
	b.settle()
	b.want("what is voided", "", b.lines(`SELECT t::text FROM payment_daily t WHERE day = '2027-01-26'`))
}

func TestAnOutcomeChangesWhenNothingHappens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.now = birth.AddDate(0, 0, 1)
	trial := facts("pro", 1)
	trial.Status, trial.TrialEnd = billing.StatusTrialing, billing.At(birth.AddDate(0, 0, 14))
	b.version("cus_1", "sub_1", 0, trial)
	b.version("cus_2", "sub_2", -40, facts("pro", 1))
	b.happens("cus_2", "payment_failed", "in_1:1", "sub_2", "in_1", 9900, 0)
	b.settle()
	const fates = `SELECT fate FROM trial_outcome UNION ALL SELECT fate FROM invoice_outcome`
	b.want("at first", "running\nin_retry", b.lines(fates))
	for _, step := range []struct {
		days int
		want string
	}{{13, "running\nin_retry"}, {14, "provisional\nin_retry"}, {28, "lapsed\nin_retry"}, {59, "lapsed\nin_retry"}, {60, "lapsed\nlost"}} {
		b.now = birth.AddDate(0, 0, step.days)
		b.settle()
		b.want(fmt.Sprint("after ", step.days, " days"), step.want, b.lines(fates))
	}
	b.want("clocks", "", b.lines(`SELECT customer_id FROM metric_clock`))
	b.want("trials", "2026-01-31 started 1 0 0 ended 0 0 0\n2026-02-14 started 0 0 0 ended 1 0 0", b.lines(
		`SELECT concat_ws(' ', day, 'started', started, started_converted, started_open, 'ended', ended, converted, provisional) FROM trial_daily ORDER BY day`))
}

func TestDaysOfOutcomesAreThoseOfTheDefinition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`UPDATE metric_generation SET time_zone = 'Asia/Tokyo'`)
	b.version("cus_1", "sub_1", -40, facts("pro", 1))
	b.happens("cus_1", "payment_failed", "in_1:1", "sub_1", "in_1", 9900, 4) // 16:00 UTC on 31 January
	b.settle()
	b.want("the day", "2026-02-01 2026-02-01", b.lines(`SELECT concat_ws(' ', d.day, m.month) FROM payment_daily d, payment_monthly m WHERE d.attempted > 0 AND m.attempted > 0`))
}

func TestLinkingMovesOutcomesToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme := b.organization("Acme")
	b.customer("cus_1", nil)
	b.customer("cus_2", &acme)
	for _, c := range []string{"1", "2"} {
		b.version("cus_"+c, "sub_"+c, -40, facts("pro", 1))
		b.happens("cus_"+c, "payment_failed", "in_"+c+":1", "sub_"+c, "in_"+c, 9900, 1)
	}
	b.settle()
	const who = `SELECT concat_ws(' ', split_part(customer, ':', 1), invoice_id, failed_month) FROM invoice_outcome ORDER BY 1`
	b.want("customers", "cus_1 in_1 t\norg in_2 t", b.lines(who))
	b.exec(`UPDATE customers SET org_id = $1 WHERE stripe_customer_id = 'cus_1'`, acme)
	b.must(b.q.MarkDirty(b.ctx, []string{"cus_1"}))
	b.settle()
	b.want("one customer", "org in_1 t\norg in_2 f", b.lines(who))
	b.want("one customer in the sums", "2 1", b.lines(`SELECT concat_ws(' ', sum(lost), sum(customers)) FROM payment_monthly`))
}

// What is told in any order and step by step comes to the same as all of it
// counted at once.
func TestOutcomesFollowStepByStep(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			random := rand.New(rand.NewPCG(seed, 5))
			var acts []func()
			for c := range 6 {
				customer, subscription := fmt.Sprint("cus_", c%4), fmt.Sprint("sub_", c)
				plan := []string{"pilot", "pro"}[random.IntN(2)]
				first := facts(plan, 1)
				if random.IntN(2) == 0 {
					first.Status, first.TrialEnd = billing.StatusTrialing, billing.At(birth.AddDate(0, 0, 20))
				}
				acts = append(acts, func() { b.version(customer, subscription, 0, first) })
				later := facts(plan, 1)
				later.TrialEnd = first.TrialEnd
				acts = append(acts, func() { b.version(customer, subscription, 20, later) })
				if random.IntN(3) == 0 {
					ended := later
					ended.Status, ended.EndedAt = billing.StatusCanceled, billing.At(birth.AddDate(0, 0, 140))
					acts = append(acts, func() { b.version(customer, subscription, 140, ended) })
				}
				for i := range 6 {
					invoice, at := fmt.Sprint("in_", c, "_", i), (20+30*i)*day+random.IntN(48)
					for attempt := range random.IntN(4) {
						acts = append(acts, func() {
							b.happens(customer, "payment_failed", fmt.Sprint(invoice, ":", attempt), subscription, invoice, 2900, at+attempt*3*day)
						})
						if random.IntN(2) == 0 {
							acts = append(acts, func() {
								b.declined(customer, fmt.Sprint("ch_", invoice, attempt), invoice, []string{"a", "b"}[attempt%2], at+attempt*3*day)
							})
						}
					}
					for _, kind := range []string{"payment_succeeded", "payment_action_required", "invoice_voided", "invoice_marked_uncollectible"} {
						if kind == "payment_succeeded" && random.IntN(3) > 0 || random.IntN(6) == 0 {
							after := random.IntN(12 * day)
							acts = append(acts, func() { b.happens(customer, kind, invoice, subscription, invoice, 2900, at+after) })
						}
					}
				}
			}
			random.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
			for i, act := range acts {
				act()
				if i%9 == 0 {
					b.now = birth.AddDate(0, 0, 60+i)
					b.settle()
				}
			}
			b.now = birth.AddDate(1, 0, 0)
			b.settle()
			stepwise := b.lines(outcomeTables)
			if strings.Count(stepwise, "invoice ") < 10 {
				t.Fatalf("there are hardly any outcomes:\n%s", stepwise)
			}
			b.exec(`TRUNCATE invoice_outcome, payment_hourly, payment_daily, payment_monthly, trial_outcome, trial_daily`)
			b.must(b.q.MarkDirty(b.ctx, []string{"cus_0", "cus_1", "cus_2", "cus_3"}))
			b.settle()
			b.want("outcomes counted at once", stepwise, b.lines(outcomeTables))
		})
	}
}

func TestVerifyFindsOutcomesThatDoNotAddUp(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ sql, want string }{
		"a day too many":       {`UPDATE payment_daily SET lost = lost + 1`, "payments by day"},
		"a day without reason": {`DELETE FROM payment_daily WHERE open < 0`, "payments by day"},
		"a month":              {`UPDATE payment_monthly SET open_minor = 7`, "payments by month"},
		"an hour":              {`UPDATE payment_hourly SET failed = 9`, "payments by hour"},
		"an invoice":           {`UPDATE invoice_outcome SET amount_minor = 1`, "payments by day"},
		"a trial":              {`UPDATE trial_daily SET converted = 1`, "trials by day"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			trial := facts("pro", 1)
			trial.Status, trial.TrialEnd = billing.StatusTrialing, billing.At(birth.AddDate(0, 0, 14))
			b.version("cus_1", "sub_1", 0, trial)
			b.version("cus_2", "sub_2", -40, facts("pro", 1))
			b.happens("cus_2", "payment_failed", "in_1:1", "sub_2", "in_1", 9900, 0)
			b.happens("cus_2", "payment_succeeded", "in_1", "sub_2", "in_1", 9900, week)
			b.settle()
			b.exec(tt.sql)
			err := b.ledger.Verify(b.ctx)
			if finding, ok := err.(*ledger.Finding); !ok || !strings.HasPrefix(finding.Check, tt.want) { //nolint:errorlint // that it is one, unwrapped, is promised
				t.Errorf("it is said: %v, want %s", err, tt.want)
			}
		})
	}
}

func TestASampleIsCountedAnewFromWhatWasTold(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		// What no recount of the rows can find.
		`UPDATE invoice_outcome SET attempts = 7`,
		`UPDATE trial_outcome SET started_at = started_at - interval '1 minute'`,
	} {
		b := setup(t)
		// The customers of a day's sample, by their names.
		sampled := strings.Split(b.lines(`SELECT 'cus_' || i FROM generate_series(1, 2000) i WHERE abs(hashtext('cus_' || i)) % 100 = $1::int LIMIT 2`,
			b.now.Unix()/86400%100), "\n")
		trial := facts("pro", 1)
		trial.Status, trial.TrialEnd = billing.StatusTrialing, billing.At(birth.AddDate(0, 0, 14))
		b.version(sampled[0], "sub_1", 0, trial)
		b.version(sampled[0], "sub_1", 14, facts("pro", 1))
		b.version(sampled[1], "sub_2", -40, facts("pro", 1))
		b.happens(sampled[1], "payment_failed", "in_1:1", "sub_2", "in_1", 9900, 0)
		b.settle()
		b.exec(sql)
		err := b.ledger.Verify(b.ctx)
		if finding, ok := err.(*ledger.Finding); !ok || !strings.HasSuffix(finding.Detail, "renewals or trials") { //nolint:errorlint // that it is one, unwrapped, is promised
			t.Errorf("%s: it is said: %v", sql, err)
		}
	}
}
