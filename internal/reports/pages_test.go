package reports_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/reports"
)

// shop is a small company whose figures can be computed by hand. Its history goes
// through the ledger, as everything does.
//
//	           Sep         Oct          Nov            Dec (running)
//	Acme       pro 99                   enterprise 399
//	cus_b      pilot 29                 left           returned, 29
//	cus_c                  pilot 29                    did not pay
//	cus_d                  both, 128    pro 99
//	MRR        128         285          527            527
//	customers  2           4            3              3
func shop(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	acme := b.organization("Acme")
	for plan, dollars := range map[string]int64{"pilot": 29, "pro": 99, "enterprise": 399} {
		_, err := db.New(b.pool).RememberPrice(b.Context(), db.RememberPriceParams{
			StripePriceID: "price_" + plan, Plan: plan, Interval: "month", IntervalCount: 1, UsageType: "licensed", Product: "prod_" + plan,
			Amounts: fmt.Appendf(nil, `{"usd": {"unit_micro": %d}}`, dollars*dollar), SeenAt: b.reports.Now(),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.exec(`INSERT INTO customers (stripe_customer_id, org_id, is_current, livemode, created_at) VALUES ('cus_a', $1, true, false, now()), ('cus_b', NULL, false, false, now()), ('cus_c', NULL, false, false, now()), ('cus_d', NULL, false, false, now())`, acme)
	b.on(day(time.September, 10), "cus_a", "pro")
	b.on(day(time.November, 15), "cus_a", "enterprise")
	b.on(day(time.September, 20), "cus_b", "pilot")
	b.off(day(time.November, 5), "cus_b", "pilot", "cancellation_requested")
	b.write(day(time.December, 20), "cus_b", "sub_b_again", "pilot", billing.StatusActive, "")
	b.on(day(time.October, 1), "cus_c", "pilot")
	b.off(day(time.December, 10), "cus_c", "pilot", "payment_failed")
	b.on(day(time.October, 10), "cus_d", "pro")
	b.write(day(time.October, 10), "cus_d", "sub_d_pilot", "pilot", billing.StatusActive, "")
	b.write(day(time.November, 20), "cus_d", "sub_d_pilot", "pilot", billing.StatusCanceled, "cancellation_requested")
	b.settle()
	return b
}

func day(m time.Month, d int) time.Time { return time.Date(2026, m, d, 12, 0, 0, 0, time.UTC) }

func date(m time.Month, d int) time.Time { return time.Date(2026, m, d, 0, 0, 0, 0, time.UTC) }

func (b *bundle) on(at time.Time, customer, plan string) {
	b.Helper()
	b.write(at, customer, "sub_"+customer, plan, billing.StatusActive, "")
}

func (b *bundle) off(at time.Time, customer, plan, reason string) {
	b.Helper()
	b.write(at, customer, "sub_"+customer, plan, billing.StatusCanceled, reason)
}

func (b *bundle) write(at time.Time, customer, subscription, plan string, status billing.Status, reason string) {
	b.Helper()
	facts, err := json.Marshal(billing.Facts{Status: status, Currency: "usd", Items: []billing.Item{{PriceID: "price_" + plan, Quantity: 1}}, Reason: reason})
	if err != nil {
		b.Fatal(err)
	}
	rows, err := json.Marshal([]db.SubscriptionVersion{{
		SubscriptionID: subscription, At: at, StripeCustomerID: customer, Facts: facts, Source: "event", SourceID: "evt_" + at.Format("0102") + subscription,
	}})
	if err != nil {
		b.Fatal(err)
	}
	q := db.New(b.pool)
	if err := q.WriteVersions(b.Context(), rows); err != nil {
		b.Fatal(err)
	}
	if err := q.MarkDirty(b.Context(), []string{customer}); err != nil {
		b.Fatal(err)
	}
}

// settle lets the ledger count everything, and checks what came of it.
func (b *bundle) settle() {
	b.Helper()
	l := &ledger.Ledger{Pool: b.pool, Now: b.reports.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for range 100 {
		isSettled, err := l.Settled(b.Context())
		if err == nil && isSettled {
			err = l.Verify(b.Context())
			if err == nil {
				return
			}
		}
		if err == nil {
			_, err = l.Step(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Fatal("a hundred steps did not settle the ledger")
}

func autumn() reports.Query { return reports.Query{First: date(time.September, 1)} }

func metric(t *testing.T, key string, p analytics.Point) float64 {
	t.Helper()
	m, ok := analytics.MetricByKey(key)
	if !ok {
		t.Fatalf("there is no metric %q", key)
	}
	return m.Of(p).Float()
}

func (b *bundle) wantMetric(what, key string, p analytics.Point, want float64) {
	b.Helper()
	if got := metric(b.T, key, p); math.Abs(got-want) > 1e-12*max(1, math.Abs(want)) {
		b.Errorf("%s: %s is %v, want %v", what, key, got, want)
	}
}

func TestRevenueIsComputedFromWhatHappened(t *testing.T) {
	t.Parallel()
	b := shop(t)
	r, err := b.reports.Revenue(t.Context(), autumn(), reports.MovementFilter{AtMost: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Points) != 4 || len(r.Rates) != 4 {
		t.Fatalf("there are %d points and %d months of rates, want 4 and 4", len(r.Points), len(r.Rates))
	}
	if len(r.Moved.Movements) != 2 || r.Moved.Older.IsZero() {
		t.Errorf("the page of movements is %+v", r.Moved)
	}
	for i, want := range []float64{128, 285, 527, 527} {
		b.wantMetric(r.Points[i].Start.Format("Jan"), "mrr", r.Points[i], want*dollar)
	}
	for i, want := range []float64{2, 4, 3, 3} {
		b.wantMetric(r.Points[i].Start.Format("Jan"), "customers", r.Points[i], want)
	}
	november, december := r.Rates[2], r.Rates[3]
	b.wantMetric("November", "nrr", november, 527.0/285)
	b.wantMetric("November", "grr", november, 227.0/285)
	b.wantMetric("November", "logoChurn", november, 1.0/4)
	b.wantMetric("December", "nrr", december, 498.0/527) // who returns was not there
	b.wantMetric("December", "logoChurn", december, 1.0/3)
	b.wantMetric("December", "involuntaryLogoChurn", december, 1.0/3)
	b.wantMetric("autumn", "netNew", r.Sum(), 527*dollar)
	b.wantMetric("autumn", "quickRatio", r.Sum(), (128+157+300)/(29+29+29.0))

	// Days have no rates of their own, but those of their months.
	query := autumn()
	query.First, query.Last, query.Interval = date(time.November, 10), date(time.November, 20), analytics.Daily
	r, err = b.reports.Revenue(t.Context(), query, reports.MovementFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Points) != 11 || len(r.Rates) != 1 {
		t.Fatalf("there are %d points and %d months of rates, want 11 and 1", len(r.Points), len(r.Rates))
	}
	b.wantMetric("November by day", "nrr", r.Rates[0], 527.0/285)
	b.wantMetric("20 November", "mrr", r.Points[10], 527*dollar)
	b.wantMetric("10 November", "mrr", r.Points[0], 256*dollar)
}

// movementLines are movements as text, in their order.
func movementLines(movements []reports.CustomerMovement) string {
	var out []string
	for _, m := range movements {
		name := m.Name
		if name == "" {
			name = m.ID
		}
		out = append(out, fmt.Sprint(m.Day.Format("01-02 "), name, " ", m.Kind, " ", m.Plan, " ", m.AmountMicro/dollar, " ", m.Reason))
	}
	return strings.Join(out, "\n")
}

const allMovements = `12-20 cus_b reactivation pilot 29 return
12-10 cus_c churn pilot -29 cancel_involuntary
11-20 cus_d contraction pilot -29 cancel_voluntary
11-15 Acme expansion enterprise 300 plan_change
11-05 cus_b churn pilot -29 cancel_voluntary
10-10 cus_d new pilot 29 purchase
10-10 cus_d new pro 99 purchase
10-01 cus_c new pilot 29 purchase
09-20 cus_b new pilot 29 purchase
09-10 Acme new pro 99 purchase`

func TestMovementsArePagedByTheLastOne(t *testing.T) {
	t.Parallel()
	b := shop(t)
	page := func(query reports.Query, filter reports.MovementFilter) reports.Movements {
		t.Helper()
		m, err := b.reports.Movements(t.Context(), query, filter)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, atMost := range []int{1, 3, 6, 10, 50} { // six ends between the two rows of one customer and day
		var all []reports.CustomerMovement
		filter := reports.MovementFilter{AtMost: atMost}
		for range 20 {
			m := page(autumn(), filter)
			all = append(all, m.Movements...)
			if m.Older.IsZero() {
				break
			}
			key, err := reports.ParseMovementKey(m.Older.String())
			if err != nil {
				t.Fatal(err)
			}
			filter.After = key
		}
		if diff := cmp.Diff(allMovements, movementLines(all)); diff != "" {
			t.Errorf("movements, %d at a time, differ (-want +got):\n%s", atMost, diff)
		}
	}
	losses := page(autumn(), reports.MovementFilter{Kinds: []analytics.MovementKind{analytics.Churn, analytics.Contraction}})
	if diff := cmp.Diff("12-10 cus_c churn pilot -29 cancel_involuntary\n11-20 cus_d contraction pilot -29 cancel_voluntary\n11-05 cus_b churn pilot -29 cancel_voluntary", movementLines(losses.Movements)); diff != "" {
		t.Errorf("losses differ (-want +got):\n%s", diff)
	}
	pro := autumn()
	pro.Plan = "pro"
	if diff := cmp.Diff("11-15 Acme transfer_out pro -99 plan_change\n10-10 cus_d new pro 99 purchase\n09-10 Acme new pro 99 purchase", movementLines(page(pro, reports.MovementFilter{}).Movements)); diff != "" {
		t.Errorf("movements of a plan differ (-want +got):\n%s", diff)
	}
	november := reports.Query{First: date(time.November, 1), Last: date(time.November, 30)}
	if got := len(page(november, reports.MovementFilter{}).Movements); got != 3 {
		t.Errorf("November has %d movements, want 3", got)
	}
	for _, bad := range []string{"x", "2026-11-31~a~b~c", "2026-11-01~a~b", "2026-11-01~a\x00~b~c"} {
		if key, err := reports.ParseMovementKey(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, key)
		}
	}
}

func TestTheCustomersWhoMatterMost(t *testing.T) {
	t.Parallel()
	b := shop(t)
	c, err := b.reports.Customers(t.Context(), autumn())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range c.Largest {
		lines = append(lines, fmt.Sprint(l.Name, " ", l.MRRMicro/dollar, l.Since.Format(" 01-02")))
	}
	if diff := cmp.Diff("Acme 399 09-10\n 99 10-10\n 29 09-20", strings.Join(lines, "\n")); diff != "" {
		t.Errorf("largest customers differ (-want +got):\n%s", diff)
	}
	if _, err := uuid.Parse(c.Largest[0].ID); err != nil || c.Largest[1].ID != "cus_d" {
		t.Errorf("ids are %q and %q, want an organization's and cus_d", c.Largest[0].ID, c.Largest[1].ID)
	}
	left := []reports.LeftCustomer{
		{Customer: reports.Customer{ID: "cus_c"}, Day: date(time.December, 10), LostMicro: 29 * dollar, Plans: []string{"pilot"}, Reason: analytics.ReasonCancelInvoluntary},
		{Customer: reports.Customer{ID: "cus_b"}, Day: date(time.November, 5), LostMicro: 29 * dollar, Plans: []string{"pilot"}, Reason: analytics.ReasonCancelVoluntary},
	}
	if diff := cmp.Diff(left, c.Left); diff != "" {
		t.Errorf("customers who left differ (-want +got):\n%s", diff)
	}
	query := autumn()
	query.Plan = "pilot"
	if c, err = b.reports.Customers(t.Context(), query); err != nil || len(c.Largest) != 1 || c.Largest[0].ID != "cus_b" || len(c.Left) != 2 {
		t.Errorf("of pilot there are %+v and %+v, %v", c.Largest, c.Left, err)
	}
	query.Plan = "pro"
	if c, err = b.reports.Customers(t.Context(), query); err != nil || len(c.Left) != 0 || len(c.Largest) != 1 {
		t.Errorf("of pro %+v left, %v", c.Left, err)
	}

	// Who leaves two plans at once is one customer, who had both.
	b.off(day(time.December, 30), "cus_d", "pro", "")
	b.on(day(time.December, 29), "cus_b", "enterprise")
	b.write(day(time.December, 30), "cus_b", "sub_b_again", "pilot", billing.StatusCanceled, "")
	b.off(day(time.December, 30), "cus_b", "enterprise", "")
	b.settle()
	if c, err = b.reports.Customers(t.Context(), autumn()); err != nil || len(c.Left) != 4 {
		t.Fatalf("%d left, want 4: %v", len(c.Left), err)
	}
	if got := c.Left[0]; got.ID != "cus_b" || got.LostMicro != 428*dollar || strings.Join(got.Plans, " ") != "enterprise pilot" {
		t.Errorf("who left two plans is %+v", got)
	}
}

func TestPlansAddUpToTheAccount(t *testing.T) {
	t.Parallel()
	b := shop(t)
	p, err := b.reports.Plans(t.Context(), autumn())
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		plan                    string
		mrr, in, out, won, lost int64
		subscribers             []int64
		base, left, yearBase    int64
	}
	var got []row
	for _, plan := range p.Plans {
		r := row{plan: plan.Plan, base: plan.Month.BaseCustomers, left: plan.Month.LostCustomers, yearBase: plan.Year.BaseCustomers}
		sum := plan.Sum()
		r.mrr, r.in, r.out = sum.Closing.MRRMicro/dollar, sum.Moved[analytics.TransferIn].MRRMicro/dollar, sum.Moved[analytics.TransferOut].MRRMicro/dollar
		r.won, r.lost = sum.Moved[analytics.New].MRRMicro/dollar, sum.Moved[analytics.Churn].MRRMicro/dollar
		for _, point := range plan.Points {
			r.subscribers = append(r.subscribers, point.Closing.Customers)
		}
		got = append(got, r)
	}
	want := []row{
		{plan: "enterprise", mrr: 399, in: 99, subscribers: []int64{0, 0, 1, 1}},
		// Of November's three subscribers one left the company; another only the plan.
		{plan: "pilot", mrr: 29, won: 87, lost: -58, subscribers: []int64{1, 3, 1, 1}, base: 3, left: 1},
		{plan: "pro", mrr: 99, out: -99, won: 198, subscribers: []int64{1, 2, 1, 1}, base: 2},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("plans differ (-want +got):\n%s", diff)
	}
	if !p.RateMonth.Start.Equal(date(time.November, 1)) {
		t.Errorf("rates are of %s, want November", p.RateMonth.Start)
	}
	if p.Month.BaseCustomers != 4 || p.Month.LostCustomers != 1 || p.Year.BaseCustomers != 0 {
		t.Errorf("of the account there left %+v in the month, %+v in the year", p.Month, p.Year)
	}
	for i, point := range p.Points {
		var closing, moved int64
		for _, plan := range p.Plans {
			closing += plan.Points[i].Closing.MRRMicro
			moved += plan.Points[i].NetNewMicro()
		}
		if closing != point.Closing.MRRMicro || moved != point.NetNewMicro() {
			t.Errorf("%s: plans come to %d and moved by %d, the account to %d and by %d", point.Start, closing, moved, point.Closing.MRRMicro, point.NetNewMicro())
		}
	}
	// By day they are the same at the same day, and the rates those of the month.
	query := reports.Query{First: date(time.November, 10), Last: date(time.November, 20), Interval: analytics.Daily}
	if p, err = b.reports.Plans(t.Context(), query); err != nil || len(p.Plans) != 3 {
		t.Fatalf("by day there are %d plans, %v", len(p.Plans), err)
	}
	pilot := p.Plans[1]
	if len(pilot.Points) != 11 || pilot.Points[0].Closing.MRRMicro != 58*dollar || pilot.Points[10].Closing.MRRMicro != 29*dollar || pilot.Month.LostCustomers != 1 {
		t.Errorf("pilot by day is %+v", pilot)
	}
}

func TestCohortsAreOfTheMonthsInWhichCustomersBegan(t *testing.T) {
	t.Parallel()
	b := shop(t)
	c, err := b.reports.Cohorts(t.Context(), autumn())
	if err != nil {
		t.Fatal(err)
	}
	level := func(mrr, gross, active, initial, customers int64) analytics.CohortLevel {
		return analytics.CohortLevel{MRRMicro: mrr * dollar, GrossMicro: gross * dollar, Active: active, InitialMicro: initial * dollar, Customers: customers}
	}
	want := []analytics.Cohort{
		{Month: date(time.September, 1), Levels: []analytics.CohortLevel{
			level(128, 128, 2, 128, 2), level(128, 128, 2, 128, 2), level(399, 99, 1, 128, 2), level(428, 128, 2, 128, 2),
		}},
		{Month: date(time.October, 1), Levels: []analytics.CohortLevel{
			level(157, 157, 2, 157, 2), level(128, 128, 2, 157, 2), level(99, 99, 1, 157, 2),
		}},
	}
	if diff := cmp.Diff(want, c.Cohorts); diff != "" {
		t.Errorf("cohorts differ (-want +got):\n%s", diff)
	}
	averages := []analytics.CohortLevel{level(285, 285, 4, 285, 4), level(256, 256, 4, 285, 4), level(399, 99, 1, 128, 2)}
	if diff := cmp.Diff(averages, c.Averages); diff != "" || c.Columns != 4 {
		t.Errorf("averages over %d months differ (-want +got):\n%s", c.Columns, diff)
	}
	// The plan is that of the first day, and the range that of the beginnings.
	query := reports.Query{First: date(time.October, 1), Last: date(time.October, 31), Plan: "pro", Interval: analytics.Daily}
	if c, err = b.reports.Cohorts(t.Context(), query); err != nil || len(c.Cohorts) != 1 || c.Cohorts[0].Began() != level(99, 99, 1, 128, 1) {
		t.Errorf("the cohort of October on pro is %+v, %v", c.Cohorts, err)
	}
}

func TestACohortTellsWhoIsInIt(t *testing.T) {
	t.Parallel()
	b := shop(t)
	members := func(query reports.Query, k int) string {
		t.Helper()
		d, err := b.reports.Cohort(t.Context(), query, reports.CohortAsk{Month: date(time.October, 1), K: k})
		if err != nil {
			t.Fatal(err)
		}
		out := []string{fmt.Sprint("M", d.K, " ", d.Cohort.Levels[d.K].MRRMicro/dollar, " of ", d.Cohort.Levels[d.K].InitialMicro/dollar)}
		for _, m := range d.Members {
			out = append(out, fmt.Sprint(m.ID, m.Day.Format(" 01-02 "), m.InitialMicro/dollar, " ", m.MRRMicro/dollar))
		}
		return strings.Join(out, ", ")
	}
	for k, want := range map[int]string{
		0:  "M0 157 of 157, cus_c 10-01 29 29, cus_d 10-10 128 128",
		1:  "M1 128 of 157, cus_c 10-01 29 29, cus_d 10-10 128 99",
		2:  "M2 99 of 157, cus_c 10-01 29 0, cus_d 10-10 128 99",
		9:  "M2 99 of 157, cus_c 10-01 29 0, cus_d 10-10 128 99",
		-1: "M2 99 of 157, cus_c 10-01 29 0, cus_d 10-10 128 99",
	} {
		if got := members(reports.Query{}, k); got != want {
			t.Errorf("month %d: %s, want %s", k, got, want)
		}
	}
	// cus_d began with more on pro.
	if got, want := members(reports.Query{Plan: "pro"}, 1), "M1 99 of 128, cus_d 10-10 128 99"; got != want {
		t.Errorf("of pro: %s, want %s", got, want)
	}
	if got, want := members(reports.Query{Plan: "pilot"}, 1), "M1 29 of 29, cus_c 10-01 29 29"; got != want {
		t.Errorf("of pilot: %s, want %s", got, want)
	}
	for _, month := range []time.Time{date(time.August, 1), month(2027, time.January)} {
		if _, err := b.reports.Cohort(t.Context(), reports.Query{}, reports.CohortAsk{Month: month}); !errors.Is(err, reports.ErrNoCohort) {
			t.Errorf("the cohort of %s is answered with %v", month, err)
		}
	}
	if d, err := b.reports.Cohort(t.Context(), reports.Query{}, reports.CohortAsk{Month: date(time.November, 1)}); err != nil || len(d.Members) != 0 || len(d.Cohort.Levels) != 0 {
		t.Errorf("a month in which nobody began has %+v, %v", d.Members, err)
	}
	// Pages end after fifty, within a day too.
	b.exec(`INSERT INTO customer_movement (gen, customer, currency, day, kind, plan, amount_micro, customers, reason)
		SELECT 1, 'cus_' || n, 'usd', '2026-10-01'::date + n % 3, 'new', 'pro', 100, 1, 'purchase' FROM generate_series(100, 219) n`)
	ask, seen := reports.CohortAsk{Month: date(time.October, 1)}, map[string]bool{}
	for range 5 {
		d, err := b.reports.Cohort(t.Context(), reports.Query{}, ask)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range d.Members {
			if seen[m.ID] {
				t.Errorf("%s is on two pages", m.ID)
			}
			seen[m.ID] = true
		}
		if ask.After, err = reports.ParseMemberKey(d.Next.String()); err != nil || ask.After.IsZero() {
			break
		}
	}
	if len(seen) != 122 {
		t.Errorf("%d members were seen, want 122", len(seen))
	}
}

func TestTenYearsOfCohortsAreShownThreeYearsAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2020-01-01", "usd", "pro", "new", 99, 1)
	for _, cohort := range []string{"2020-01-01", "2024-01-01", "2026-02-01"} {
		b.exec(`INSERT INTO cohort_change VALUES (1, $1::text::date, $1::text::date, 'usd', 'pro', 100, 100, 1, 100, 1)`, cohort)
	}
	c, err := b.reports.Cohorts(t.Context(), reports.Query{First: month(2020, time.January)})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Cohorts) != 2 || !c.HasOlder || !c.First().Equal(month(2024, time.January)) || c.Columns != reports.MaxCohorts {
		t.Errorf("%d cohorts of %d months from %s, older: %v", len(c.Cohorts), c.Columns, c.First(), c.HasOlder)
	}
}
