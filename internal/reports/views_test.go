package reports_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// table is what a query returns, each row as JSON with numbers as they are
// written.
func (b *bundle) table(sql string, args ...any) []map[string]any {
	b.Helper()
	rows, err := b.pool.Query(b.Context(), "SELECT row_to_json(t)::text FROM ("+sql+") t", args...)
	if err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	out := make([]map[string]any, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &out[i]); err != nil {
			b.Fatal(err)
		}
	}
	return out
}

// near reports whether a number of a query is a figure; both may be none.
func near(got any, want analytics.Value) bool {
	if !want.Defined() || got == nil {
		return got == nil && !want.Defined()
	}
	difference := got.(float64) - want.Float()
	return difference < 1e-9 && difference > -1e-9
}

func (b *bundle) wantFigure(what string, got any, key string, p analytics.Point) {
	b.Helper()
	m, ok := analytics.MetricByKey(key)
	if !ok {
		b.Fatalf("there is no metric %q", key)
	}
	want := m.Of(p)
	if want.Defined() && m.Unit == analytics.Money { // from micro-units of cents to dollars
		want.Rat = new(big.Rat).Quo(want.Rat, big.NewRat(100*money.Micro, 1))
	}
	if !near(got, want) {
		b.Errorf("%s: %v, the report has %s", what, got, want.Rat)
	}
}

func TestViewsByDayAreTheReportsFigures(t *testing.T) {
	t.Parallel()
	b := shop(t)
	for _, plan := range []string{"", "pilot", "pro", "enterprise"} {
		f, err := b.reports.Series(t.Context(), reports.Query{First: date(time.September, 1), Interval: analytics.Daily, Plan: plan})
		if err != nil {
			t.Fatal(err)
		}
		byDay := map[string]analytics.Point{}
		for _, p := range f.Points {
			byDay[p.Start.Format(time.DateOnly)] = p
		}
		sql := `SELECT * FROM analytics.mrr_daily WHERE currency = 'usd' AND day <= '2026-12-31' AND $1 = ''`
		columns := map[string]string{
			"mrr": "mrr", "customers": "customers", "net_new": "netNew", "new": "new", "reactivation": "reactivation", "expansion": "expansion",
			"contraction": "contraction", "churn": "churn", "committed_mrr": "committedMrr", "trial_mrr": "trialMrr",
		}
		if plan != "" {
			sql = `SELECT * FROM analytics.plan_daily WHERE currency = 'usd' AND day <= '2026-12-31' AND plan = $1`
			columns = map[string]string{"mrr": "mrr", "subscribers": "customers", "net_new": "netNew", "new": "new", "churn": "churn"}
		}
		rows := b.table(sql, plan)
		if len(rows) < 45 {
			t.Fatalf("%q has %d days", plan, len(rows))
		}
		for _, row := range rows {
			day := row["day"].(string)
			for column, key := range columns {
				b.wantFigure(fmt.Sprintf("%q, %s, %s", plan, day, column), row[column], key, byDay[day])
			}
		}
		if last := rows[len(rows)-1]["day"]; last != "2026-12-31" {
			t.Errorf("%q ends on %v", plan, last)
		}
	}
}

func TestTheSeriesIsTheReports(t *testing.T) {
	t.Parallel()
	b := shop(t)
	for _, interval := range []analytics.Interval{analytics.Daily, analytics.Weekly, analytics.Monthly} {
		for _, plan := range []string{"", "pilot", "pro", "enterprise"} {
			f, err := b.reports.Series(t.Context(), reports.Query{First: date(time.September, 14), Last: date(time.December, 31), Interval: interval, Plan: plan})
			if err != nil {
				t.Fatal(err)
			}
			rows := b.table(`SELECT * FROM analytics.series('2026-09-14', '2026-12-31', $1, 'usd', nullif($2, '')) ORDER BY first`, string(interval), plan)
			if len(rows) != len(f.Points) {
				t.Fatalf("%s of %q has %d periods, the report %d", interval, plan, len(rows), len(f.Points))
			}
			for i, row := range rows {
				p := f.Points[i]
				if row["first"] != p.Start.Format(time.DateOnly) || row["last"] != p.Last().Format(time.DateOnly) {
					t.Errorf("period %d of %s is from %v to %v, the report's %s", i, interval, row["first"], row["last"], p.Start)
				}
				for column, key := range map[string]string{
					"mrr": "mrr", "arr": "arr", "new": "new", "reactivation": "reactivation", "expansion": "expansion", "contraction": "contraction", "churn": "churn", "growth": "growth",
					"quick_ratio": "quickRatio", "customers": "customers", "new_customers": "newCustomers", "reactivated_customers": "reactivatedCustomers",
					"churned_customers": "churnedCustomers", "arpa": "arpa", "nrr": "nrr", "grr": "grr", "customer_churn": "logoChurn",
				} {
					b.wantFigure(fmt.Sprintf("%s of %q from %v, %s", interval, plan, row["first"], column), row[column], key, p)
				}
				if i == len(rows)-1 && interval == analytics.Monthly && row["is_running"] != true {
					t.Errorf("December is over")
				}
			}
		}
	}
}

func TestRetentionAndCohortsAreTheReports(t *testing.T) {
	t.Parallel()
	b := shop(t)
	for _, plan := range []string{"", "pilot", "pro", "enterprise"} {
		f, err := b.reports.Series(t.Context(), reports.Query{First: date(time.September, 1), Plan: plan})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, row := range b.table(`SELECT * FROM analytics.retention WHERE currency = 'usd' AND plan IS NOT DISTINCT FROM nullif($1, '') AND last_day <= '2026-12-31'`, plan) {
			for _, p := range f.Points {
				if row["months"] != 1.0 || row["first_day"] != p.Start.Format(time.DateOnly) {
					continue
				}
				found++
				for column, key := range map[string]string{
					"nrr": "nrr", "grr": "grr", "customer_churn": "logoChurn", "involuntary_customer_churn": "involuntaryLogoChurn",
					"revenue_churn": "revenueChurn", "churn_only_revenue_churn": "churnOnlyRevenueChurn",
				} {
					b.wantFigure(fmt.Sprintf("%q in %s, %s", plan, p.Start.Format(time.DateOnly), column), row[column], key, p)
				}
			}
		}
		defined := 0
		for _, p := range f.Points {
			if p.Month.BaseMicro > 0 {
				defined++
			}
		}
		if found != defined || found == 0 {
			t.Errorf("%q: %d months have retention, the report has %d", plan, found, defined)
		}
	}
	c, err := b.reports.Cohorts(t.Context(), reports.Query{First: date(time.September, 1)})
	if err != nil {
		t.Fatal(err)
	}
	rows := b.table(`SELECT * FROM analytics.cohorts WHERE currency = 'usd' AND month <= '2026-12-31' ORDER BY cohort, months`)
	i := 0
	for _, cohort := range c.Cohorts {
		for k, level := range cohort.Levels {
			row := rows[i]
			i++
			at := fmt.Sprintf("cohort %s after %d", cohort.Month.Format(time.DateOnly), k)
			if row["cohort"] != cohort.Month.Format(time.DateOnly) || row["months"] != float64(k) || row["customers"] != float64(level.Customers) || row["active"] != float64(level.Active) {
				t.Errorf("%s: %v, the report has %+v", at, row, level)
			}
			for column, measure := range map[string]analytics.CohortMeasure{
				"customer_retention": analytics.CohortLogos, "net_retention": analytics.CohortNet, "gross_retention": analytics.CohortGross,
			} {
				if want := level.Share(measure); !near(row[column], want) {
					t.Errorf("%s: %s is %v, the report has %s", at, column, row[column], want.Rat)
				}
			}
		}
	}
	if i != len(rows) || i == 0 {
		t.Errorf("there are %d cells, the report has %d", len(rows), i)
	}
}

func TestCustomersAreThoseOfTheLedger(t *testing.T) {
	t.Parallel()
	b := shop(t)
	for day, want := range map[string]float64{"2026-09-30": 128, "2026-10-31": 285, "2026-11-30": 527, "2026-12-12": 498, "2026-12-31": 527} {
		row := b.table(`SELECT analytics.mrr_at($1::text::date, 'usd') AS at, (SELECT sum(mrr) FROM analytics.customer_mrr($1::text::date)) AS customers`, day)[0]
		if row["at"] != want || row["customers"] != want {
			t.Errorf("on %s there is %v, of customers %v, want %v", day, row["at"], row["customers"], want)
		}
	}
	got := b.table(`SELECT customer LIKE 'org:%' AS owned, organization, mrr, is_active, first_day, cohort, changed_on FROM analytics.customers ORDER BY first_day, customer`)
	row := func(owned bool, organization any, mrr float64, isActive bool, first, cohort, changed string) map[string]any {
		return map[string]any{"owned": owned, "organization": organization, "mrr": mrr, "is_active": isActive, "first_day": first, "cohort": cohort, "changed_on": changed}
	}
	want := []map[string]any{
		row(true, "Acme", 399, true, "2026-09-10", "2026-09-01", "2026-11-15"), row(false, nil, 29, true, "2026-09-20", "2026-09-01", "2026-12-20"),
		row(false, nil, 0, false, "2026-10-01", "2026-10-01", "2026-12-10"), row(false, nil, 99, true, "2026-10-10", "2026-10-01", "2026-11-20"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("customers differ (-want +got):\n%s", diff)
	}
	sum := b.table(`SELECT sum(amount) AS amount, sum(customers) AS customers FROM analytics.mrr_movements`)[0]
	if sum["amount"] != 527.0 || sum["customers"] != 3.0 {
		t.Errorf("movements come to %v", sum)
	}
}

func TestTrialsPaymentsCashAndFunnelAreTheRollups(t *testing.T) {
	t.Parallel()
	b := shop(t)
	b.exec(`INSERT INTO trial_daily (gen, day, currency, plan, started, started_converted, started_open, ended, converted, provisional) VALUES (1, '2026-11-03', 'usd', 'pilot', 4, 1, 1, 3, 2, 1)`)
	b.exec(`INSERT INTO payment_daily (gen, day, currency, plan, reason, attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor,
		lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers_day, customers_week, customers_month)
		VALUES (1, '2026-11-03', 'usd', 'pilot', '', 9, 26100, 1, 2900, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
			(1, '2026-11-03', 'usd', 'pilot', 'do_not_honor', 3, 8700, 0, 0, 0, 0, 1, 2900, 1, 2900, 1, 2900, 1, 2900, 0, 0, 3, 3, 3)`)
	b.exec(`INSERT INTO payment_monthly (gen, month, currency, plan, reason, attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor,
		lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers)
		SELECT gen, '2026-11-01', currency, plan, reason, attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor,
			lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers_month FROM payment_daily`)
	b.exec(`INSERT INTO cash_daily VALUES (1, '2026-11-03', 'usd', 'gross', 10000, 320, 9680, 2), (1, '2026-11-03', 'usd', 'refund', -2900, 0, -2900, 1)`)
	b.exec(`INSERT INTO funnel_daily VALUES (1, '2026-11-03', 'viewed', 'pro', 12, 10, 9, 8, 7)`)
	f, err := b.reports.Series(t.Context(), reports.Query{First: date(time.November, 1), Last: date(time.November, 30)})
	if err != nil {
		t.Fatal(err)
	}
	p := f.Points[0]
	trials := b.table(`SELECT sum(started) AS started, sum(converted) / sum(ended) AS rate FROM analytics.trials WHERE day BETWEEN '2026-11-01' AND '2026-11-30'`)[0]
	b.wantFigure("trials", trials["rate"], "trialConversion", p)
	payments := b.table(`SELECT sum(failed_amount) / sum(attempted_amount) AS failed, sum(recovered_amount) / sum(failed_amount) AS recovered, sum(failed) AS n FROM analytics.payments WHERE day BETWEEN '2026-11-01' AND '2026-11-30'`)[0]
	b.wantFigure("failures", payments["failed"], "paymentFailureRate", p)
	b.wantFigure("recovery", payments["recovered"], "recoveryRate", p)
	if reason := b.table(`SELECT reason, failed, failed_amount FROM analytics.payment_failures`); len(reason) != 1 || reason[0]["reason"] != "do_not_honor" || reason[0]["failed"] != 3.0 || reason[0]["failed_amount"] != 87.0 {
		t.Errorf("failures are %v", reason)
	}
	cash := b.table(`SELECT sum(gross) AS gross, sum(refunds) AS refunds, sum(disputes) AS disputes, sum(fees) AS fees, sum(net) AS net FROM analytics.cash_daily WHERE day BETWEEN '2026-11-01' AND '2026-11-30'`)[0]
	if diff := cmp.Diff(map[string]any{"gross": 100.0, "refunds": -29.0, "disputes": 0.0, "fees": 3.2, "net": 67.8}, cash); diff != "" {
		t.Errorf("cash differs (-want +got):\n%s", diff)
	}
	for column, key := range map[string]string{"gross": "grossVolume", "refunds": "refunds", "disputes": "disputes", "fees": "fees", "net": "netVolume"} {
		if p.Cash != nil {
			b.wantFigure("cash", cash[column], key, p)
		}
	}
	if funnel := b.table(`SELECT viewed, started, completed, activated, paid FROM analytics.funnel`); funnel[0]["viewed"] != 12.0 || funnel[0]["paid"] != 7.0 {
		t.Errorf("the funnel is %v", funnel)
	}
}

// TestAmountsHaveTheDecimalsOfTheirCurrency: the database must not know the
// currencies otherwise than the program.
func TestAmountsHaveTheDecimalsOfTheirCurrency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, code := range []string{
		"usd", "eur", "isk", "ugx", "huf", "twd", "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf", "bhd", "jod", "kwd", "omr", "tnd",
	} {
		var got string
		if err := b.pool.QueryRow(t.Context(), `SELECT analytics.amount(1234567890123, $1)::text`, code).Scan(&got); err != nil {
			t.Fatal(err)
		}
		scale := map[int]int64{0: money.Micro, 2: 100 * money.Micro, 3: 1000 * money.Micro}[money.Currency(code).Exponent()]
		if rat, ok := new(big.Rat).SetString(got); !ok || rat.Cmp(big.NewRat(1234567890123, scale)) != 0 {
			t.Errorf("%s: %s, with %d decimals of the minor unit", code, got, money.Currency(code).Exponent())
		}
	}
}

// TestEverythingInTheSchemaIsDescribed, for whoever finds it by its comments.
func TestEverythingInTheSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, row := range b.table(`
		SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'analytics'::regnamespace AND c.relkind = 'v' AND obj_description(c.oid) IS NULL
		UNION ALL SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'analytics'::regnamespace AND obj_description(p.oid) IS NULL`) {
		t.Errorf("%v has no comment", row["name"])
	}
	if n := b.table(`SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'analytics'::regnamespace`)[0]["n"]; n.(float64) < 15 {
		t.Errorf("there are %v views", n)
	}
}

// TestTheExamplesOfTheDocumentationRun, in their order, by somebody who may read
// the schema and nothing else once that is set up.
func TestTheExamplesOfTheDocumentationRun(t *testing.T) {
	t.Parallel()
	b := shop(t)
	raw, err := os.ReadFile("../../docs/figures.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(raw), "```sql\n")[1:]
	if len(examples) < 10 {
		t.Fatalf("there are %d examples", len(examples))
	}
	// A role is the whole server's, on which other tests run.
	role := fmt.Sprintf("analyst_%d", rand.Int64())
	statements := func(text string) string {
		text, _, _ = strings.Cut(text, "```")
		return strings.ReplaceAll(text, "analyst", role)
	}
	connection, err := b.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Release()
	run := func(sql string) int {
		results, err := connection.Conn().PgConn().Exec(t.Context(), sql).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return len(results[len(results)-1].Rows)
	}
	run(statements(examples[0]))
	defer func() {
		_, _ = connection.Exec(context.WithoutCancel(t.Context()), "RESET ROLE; DROP OWNED BY "+role+"; DROP ROLE "+role)
	}()
	run("SET ROLE " + role)
	if _, err := connection.Exec(t.Context(), "SELECT * FROM customer_movement"); err == nil {
		t.Error("the role may read the tables too, so that this proves nothing")
	}
	for _, example := range examples[1:] {
		rows := run(statements(example))
		if rows == 0 && !strings.Contains(example, "payment_failures") && !strings.Contains(example, "trials") && !strings.Contains(example, "kind = 'churn'") {
			t.Errorf("this finds nothing:\n%s", example)
		}
	}
}
