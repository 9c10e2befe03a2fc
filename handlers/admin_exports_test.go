package handlers_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// history is a shop whose customers have moved, on 20 June 2026.
type history struct {
	*bundle
	// org is Engines, which bought pro on 10 January, has two from 5 March and one
	// again from 7 May. cus_bare, which no organization owns, bought enterprise on
	// 3 February and left on 12 May. cus_late began a trial of pilot on 15 June.
	org uuid.UUID
}

var historyNow = time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)

func withHistory(t *testing.T) *history {
	t.Helper()
	b := setup(t, func(d *handlers.Deps) {
		d.Now = func() time.Time { return historyNow }
		d.Reports = &reports.Reports{Pool: d.Pool, Now: d.Now}
	})
	h := &history{bundle: b}
	if err := b.pool.QueryRow(t.Context(), `INSERT INTO organizations (name, created_at) VALUES ('=Engines', '2026-01-01') RETURNING id`).Scan(&h.org); err != nil {
		t.Fatal(err)
	}
	for customer, org := range map[string]*uuid.UUID{"cus_engines": &h.org, "cus_bare": nil, "cus_late": nil} {
		b.exec(`INSERT INTO customers (stripe_customer_id, org_id, is_current, livemode, created_at) VALUES ($1, $2, false, false, '2026-01-01')`, customer, org)
	}
	q := db.New(b.pool)
	for plan, dollars := range map[string]int64{"pilot": 29, "pro": 99, "enterprise": 399} {
		if _, err := q.RememberPrice(t.Context(), db.RememberPriceParams{
			StripePriceID: "price_of_" + plan, Plan: plan, Interval: "month", IntervalCount: 1, UsageType: "licensed", Product: "prod_" + plan,
			Amounts: fmt.Appendf(nil, `{"usd": {"unit_micro": %d}}`, dollars*100*money.Micro), SeenAt: historyNow,
		}); err != nil {
			t.Fatal(err)
		}
	}
	facts := func(status billing.Status, plan string, n int64) billing.Facts {
		return billing.Facts{Status: status, Currency: "usd", Items: []billing.Item{{PriceID: "price_of_" + plan, Quantity: n}}}
	}
	ended := facts(billing.StatusCanceled, "enterprise", 1)
	ended.EndedAt = billing.Second(day(5, 12).Unix())
	h.version("cus_engines", "sub_1", day(1, 10), facts(billing.StatusActive, "pro", 1))
	h.version("cus_engines", "sub_1", day(3, 5), facts(billing.StatusActive, "pro", 2))
	h.version("cus_engines", "sub_1", day(5, 7), facts(billing.StatusActive, "pro", 1))
	h.version("cus_bare", "sub_2", day(2, 3), facts(billing.StatusActive, "enterprise", 1))
	h.version("cus_bare", "sub_2", day(5, 12), ended)
	h.version("cus_late", "sub_3", day(6, 15), facts(billing.StatusTrialing, "pilot", 1))
	h.happened("subscription_created", "sub_1", day(1, 10), "cus_engines", "", 0)
	h.happened("payment_succeeded", "in_1 1", day(1, 10), "cus_engines", "in_1", 9900)
	h.happened("payment_failed", "in_2 1", day(2, 10), "cus_engines", "in_2", 9900)
	h.happened("payment_succeeded", "in_2 2", day(2, 12), "cus_engines", "in_2", 9900)
	h.happened("subscription_canceled", "sub_2", day(5, 12), "cus_bare", "", 0)
	l := &ledger.Ledger{Pool: b.pool, Now: b.deps.Now, Logger: slog.New(slog.DiscardHandler)}
	for {
		n, err := l.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return h
		}
	}
}

// day is an hour before noon of a day of 2026.
func day(month time.Month, d int) time.Time { return time.Date(2026, month, d, 11, 0, 0, 0, time.UTC) }

func (h *history) version(customer, subscription string, at time.Time, f billing.Facts) {
	h.t.Helper()
	raw, err := json.Marshal(f)
	if err != nil {
		h.t.Fatal(err)
	}
	err = db.InTx(h.t.Context(), h.pool, func(_ pgx.Tx, q *db.Queries) error {
		rows, err := json.Marshal([]db.SubscriptionVersion{{
			SubscriptionID: subscription, At: at, StripeCustomerID: customer, Facts: raw, Source: "event", SourceID: "evt_" + subscription + at.Format("0102"),
		}})
		if err != nil {
			return err
		}
		if err := q.WriteVersions(h.t.Context(), rows); err != nil {
			return err
		}
		return q.MarkDirty(h.t.Context(), []string{customer})
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) happened(kind, key string, at time.Time, customer, invoice string, minor int64) {
	h.t.Helper()
	h.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, invoice_id, plan, "interval", currency, amount_minor, source_event_id, details, livemode)
		VALUES ($1, $2, $3, $4, 'sub_1', nullif($5, ''), 'pro', 'month', CASE WHEN $6 > 0 THEN 'usd' END, nullif($6, 0), 'evt_' || $2, '{"billing_reason": "subscription_cycle"}', false)`,
		kind, key, at, customer, invoice, minor)
}

// records are the lines of a file.
func records(t *testing.T, a *answer) [][]string {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(a.want(200).body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func lines(rows [][]string) []string {
	out := make([]string, len(rows))
	for i, row := range rows {
		out[i] = strings.Join(row, ",")
	}
	return out
}

func TestMovementsAreAFileOfEveryRowOfTheRange(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	file := admin.get("/admin/billing/export/movements.csv")
	org := h.org.String()
	want := []string{
		"day,customer_id,customer,currency,kind,plan,amount_minor,customers,subscribers,reason",
		"2026-01-10," + org + ",'=Engines,usd,new,pro,9900,1,1,purchase",
		"2026-02-03,cus_bare,,usd,new,enterprise,39900,1,1,purchase",
		"2026-03-05," + org + ",'=Engines,usd,expansion,pro,9900,0,0,quantity",
		"2026-05-07," + org + ",'=Engines,usd,contraction,pro,-9900,0,0,quantity",
		"2026-05-12,cus_bare,,usd,churn,enterprise,-39900,-1,-1,cancel_voluntary",
	}
	if got := lines(records(t, file)); !slices.Equal(got, want) {
		t.Errorf("movements are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := file.header.Get("Content-Disposition"); got != `attachment; filename="movements-2026-06-20.csv"` {
		t.Errorf("the file is %q", got)
	}
	if got := file.header.Get("Content-Type"); got != "text/csv; charset=utf-8; header=present" {
		t.Errorf("its type is %q", got)
	}
	if !strings.Contains(file.body, "\r\n") || strings.Count(file.body, "\n") != strings.Count(file.body, "\r\n") {
		t.Error("its lines do not end as RFC 4180 says")
	}
	narrow := lines(records(t, admin.get("/admin/billing/export/movements.csv?from=2026-03-01&to=2026-05-10&plan=pro")))
	if !slices.Equal(narrow, []string{want[0], want[3], want[4]}) {
		t.Errorf("a range of a plan is %q", narrow)
	}
}

func TestFilesAnswerTheQuestionOfAPage(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	org := h.org.String()
	for path, want := range map[string][]string{
		"customers.csv": {
			"cus_bare,,usd,,0,2026-02,2026-02-03,2026-05-12",
			org + ",'=Engines,usd,pro,9900,2026-01,2026-01-10,2026-05-07",
		},
		"customers.csv?to=2026-04&from=2026-01": {
			"cus_bare,,usd,enterprise,39900,2026-02,2026-02-03,2026-02-03",
			org + ",'=Engines,usd,pro,19800,2026-01,2026-01-10,2026-03-05",
		},
		"invoices.csv": {
			"in_1,'=Engines," + org + ",cus_engines,sub_1,pro,month,usd,subscription_cycle,9900,9900,0,2026-01-10T11:00:00Z,,,2026-01-10T11:00:00Z,,",
			"in_2,'=Engines," + org + ",cus_engines,sub_1,pro,month,usd,subscription_cycle,9900,9900,1,2026-02-10T11:00:00Z,2026-02-10T11:00:00Z,,2026-02-12T11:00:00Z,,",
		},
	} {
		if got := lines(records(t, admin.get("/admin/billing/export/"+path))[1:]); !slices.Equal(got, want) {
			t.Errorf("%s is\n%s\nwant\n%s", path, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for path, want := range map[string][]string{
		"plans.csv?from=2026-01&to=2026-06": {
			"2026-01-01,2026-06-30,enterprise,usd,0,0,0,,0,39900,0,0,0,-39900,0,,2026-05,1,0,0",
			"2026-01-01,2026-06-30,pro,usd,9900,1,1,9900,9900,9900,0,9900,-9900,0,0,,2026-05,0,0.5,0.5",
		},
		"cohorts.csv?from=2026-02&to=2026-02": {
			"2026-02,0,2026-02,false,usd,,1,1,39900,39900,39900,1,1,1",
			"2026-02,1,2026-03,false,usd,,1,1,39900,39900,39900,1,1,1",
			"2026-02,2,2026-04,false,usd,,1,1,39900,39900,39900,1,1,1",
			"2026-02,3,2026-05,false,usd,,1,0,39900,0,0,0,0,0",
			"2026-02,4,2026-06,true,usd,,1,0,39900,0,0,0,0,0",
		},
	} {
		if got := lines(records(t, admin.get("/admin/billing/export/"+path))[1:]); !slices.Equal(got, want) {
			t.Errorf("%s is\n%s\nwant\n%s", path, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if cash := records(t, admin.get("/admin/billing/export/cash.csv?range=6m")); len(cash) != 7 || cash[1][0] != "2026-01-01" {
		t.Errorf("cash is %q", cash)
	}
	events := records(t, admin.get("/admin/billing/export/events.csv"))
	if len(events) != 6 || events[1][2] != "subscription_created" || events[2][12] != "9900" || events[2][13] != "evt_in_1 1" || events[2][14] != `{"billing_reason": "subscription_cycle"}` {
		t.Errorf("events are %q", events)
	}
	figures := records(t, admin.get("/admin/billing/export/figures.csv?from=2026-04&to=2026-06"))
	column := func(name string) []string {
		i := slices.Index(figures[0], name)
		if i < 0 {
			t.Fatalf("there is no column %s in %q", name, figures[0])
		}
		var out []string
		for _, row := range figures[1:] {
			out = append(out, row[i])
		}
		return out
	}
	for name, want := range map[string][]string{
		"start": {"2026-04-01", "2026-05-01", "2026-06-01"}, "is_running": {"false", "false", "true"}, "mrr": {"59700", "9900", "9900"},
		"churn": {"0", "-39900", "0"}, "nrr": {"1", "0.165829", "1"}, "logoChurn": {"0", "0.5", "0"}, "quickRatio": {"", "0", ""}, "trialMrr": {"0", "0", "2900"},
	} {
		if got := column(name); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestAFileThatCannotBeIsRefused(t *testing.T) {
	h := withHistory(t)
	admin := h.admin()
	admin.get("/admin/billing/export/nothing.csv").want(404)
	admin.get("/admin/billing/export/movements").want(404)
	admin.get("/admin/billing/export/movements.csv?plan=none").want(422).wantText("main", "There are no figures of this plan")
	admin.get("/admin/billing/export/movements.csv?from=yesterday").want(422).wantText("main", "is no day")
	h.visitor().get("/admin/billing/export/movements.csv").want(404)
	if head := admin.do("HEAD", "/admin/billing/export/movements.csv", "", nil).want(200); head.body != "" || head.header.Get("Content-Disposition") == "" {
		t.Errorf("HEAD answers %q with %v", head.body, head.header)
	}
}

func TestNoFieldIsAFormulaAndNumbersStayNumbers(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"": "", "-9900": "-9900", "-0.000001": "-0.000001", "12": "12", "-": "'-", "-1+1": "'-1+1", "-1e5": "'-1e5", "--1": "'--1", "-.5": "'-.5", "-1.": "'-1.",
		"-1\n=2": "'-1\n=2", "=1": "'=1", "+1": "'+1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "＝1": "'＝1", "－1": "'－1", "a=1": "a=1", "-２": "'-２",
	} {
		if got := handlers.Harmless(field); got != want {
			t.Errorf("%q becomes %q, want %q", field, got, want)
		}
	}
}

// TestEveryFileIsDocumented with its columns in their order.
func TestEveryFileIsDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/figures.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, columns := range handlers.Files() {
		_, rest, ok := strings.Cut(string(raw), "### "+name+".csv\n")
		if !ok {
			t.Errorf("docs/figures.md does not tell of %s.csv", name)
			continue
		}
		rest, _, _ = strings.Cut(rest, "\n### ")
		if name == "figures" { // the figures stand in the product itself
			columns = columns[:5]
		}
		if list := "`" + strings.Join(columns, "`, `") + "`"; !strings.Contains(rest, "\n"+list+"\n") {
			t.Errorf("docs/figures.md has other columns of %s.csv than %s", name, list)
		}
	}
}

// TestFilesWaitForTheirReadersAndLeaveRoomForPages: four that nobody reads on hold
// four connections, and the fifth is told to come back.
func TestFilesWaitForTheirReadersAndLeaveRoomForPages(t *testing.T) {
	h := withHistory(t)
	h.exec(`INSERT INTO customer_movement (gen, customer, currency, day, kind, plan, amount_micro, customers, subscribers, reason)
		SELECT 1, 'cus_' || i, 'usd', '2026-04-01', 'new', 'pro', 9900000000, 1, 1, repeat('x', 1000) FROM generate_series(1, 20000) i`)
	front := httptest.NewServer(h.app)
	defer front.Close()
	admin := h.admin()
	ask := func() *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/admin/billing/export/movements.csv", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range admin.cookies {
			r.AddCookie(c)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	var begun []*http.Response
	for range 4 {
		answer := ask()
		defer answer.Body.Close()
		begun = append(begun, answer)
	}
	late := ask()
	late.Body.Close()
	if late.StatusCode != http.StatusTooManyRequests || late.Header.Get("Retry-After") == "" || late.Header.Get("Content-Disposition") != "" {
		t.Errorf("the fifth answers %d with %v", late.StatusCode, late.Header)
	}
	admin.get("/admin/billing/explain/mrr").want(200) // pages go on
	lines, err := csv.NewReader(begun[0].Body).ReadAll()
	if err != nil || len(lines) != 20006 {
		t.Errorf("whoever reads on gets %d lines, %v", len(lines), err)
	}
	for range 100 { // the place is given back just after the last byte
		again := ask()
		again.Body.Close()
		if again.StatusCode == http.StatusOK {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the place of a file that was read is not given back")
}
