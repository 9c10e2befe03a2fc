package handlers_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// autumn is a company of four customers in the evening of 31 December 2026, whose
// life went through the ledger:
//
//	           Sep         Oct          Nov            Dec (running)
//	Acme       pro 99                   enterprise 399
//	cus_b      pilot 29                 left           returned, 29
//	cus_c                  pilot 29                    did not pay
//	cus_d                  both, 128    pro 99
//	MRR        128         285          527            527
//	customers  2           4            3              3
type autumn struct {
	*bundle
	admin *visitor
}

func openAutumn(t *testing.T) *autumn {
	t.Helper()
	a := quietShop(t)
	a.exec(`INSERT INTO organizations (id, name, created_at) VALUES ('7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10', 'Acme', now())`)
	a.exec(`INSERT INTO customers (stripe_customer_id, org_id, is_current, livemode, created_at) VALUES
		('cus_a', '7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10', true, false, now()), ('cus_b', NULL, false, false, now()),
		('cus_c', NULL, false, false, now()), ('cus_d', NULL, false, false, now())`)
	a.version("09-10", "cus_a", "sub_a", "pro", billing.StatusActive, "")
	a.version("11-15", "cus_a", "sub_a", "enterprise", billing.StatusActive, "")
	a.version("09-20", "cus_b", "sub_b", "pilot", billing.StatusActive, "")
	a.version("11-05", "cus_b", "sub_b", "pilot", billing.StatusCanceled, "cancellation_requested")
	a.version("12-20", "cus_b", "sub_b2", "pilot", billing.StatusActive, "")
	a.version("10-01", "cus_c", "sub_c", "pilot", billing.StatusActive, "")
	a.version("12-10", "cus_c", "sub_c", "pilot", billing.StatusCanceled, "payment_failed")
	a.version("10-10", "cus_d", "sub_d", "pro", billing.StatusActive, "")
	a.version("10-10", "cus_d", "sub_d2", "pilot", billing.StatusActive, "")
	a.version("11-20", "cus_d", "sub_d2", "pilot", billing.StatusCanceled, "cancellation_requested")
	a.settle()
	return a
}

// quietShop is the same evening before anything was ever sold.
func quietShop(t *testing.T) *autumn {
	t.Helper()
	now := func() time.Time { return time.Date(2026, time.December, 31, 20, 0, 0, 0, time.UTC) }
	b := setup(t, func(d *handlers.Deps) { d.Now, d.Reports = now, &reports.Reports{Pool: d.Pool, Now: now} })
	return &autumn{b, b.admin()}
}

func (a *autumn) version(day, customer, subscription, plan string, status billing.Status, reason string) {
	a.t.Helper()
	at, err := time.Parse("2006-01-02 15", "2026-"+day+" 12")
	if err != nil {
		a.t.Fatal(err)
	}
	q, price := db.New(a.pool), "price_autumn_"+plan
	dollars := map[string]int64{"pilot": 29, "pro": 99, "enterprise": 399}[plan]
	if n, ok := strings.CutPrefix(plan, "old-"); ok {
		dollars = int64(len(n)) // "old-xxx" costs three
	}
	if _, err := q.RememberPrice(a.t.Context(), db.RememberPriceParams{
		StripePriceID: price, Plan: plan, Interval: "month", IntervalCount: 1, UsageType: "licensed", Product: "prod_" + plan,
		Amounts: fmt.Appendf(nil, `{"usd": {"unit_micro": %d}}`, dollars*100*money.Micro), SeenAt: at,
	}); err != nil {
		a.t.Fatal(err)
	}
	facts, err := json.Marshal(billing.Facts{Status: status, Currency: "usd", Items: []billing.Item{{PriceID: price, Quantity: 1}}, Reason: reason})
	if err != nil {
		a.t.Fatal(err)
	}
	rows, err := json.Marshal([]db.SubscriptionVersion{{SubscriptionID: subscription, At: at, StripeCustomerID: customer, Facts: facts, Source: "event", SourceID: "evt_" + day}})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := q.WriteVersions(a.t.Context(), rows); err != nil {
		a.t.Fatal(err)
	}
	if err := q.MarkDirty(a.t.Context(), []string{customer}); err != nil {
		a.t.Fatal(err)
	}
}

func (a *autumn) settle() {
	a.t.Helper()
	l := &ledger.Ledger{Pool: a.pool, Now: a.deps.Now, Logger: slog.New(slog.DiscardHandler)}
	for range 100 {
		isSettled, err := l.Settled(a.t.Context())
		if err == nil && isSettled {
			return
		}
		if err == nil {
			_, err = l.Step(a.t.Context())
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
	a.t.Fatal("a hundred steps did not settle the ledger")
}

const (
	revenuePath   = "/admin/billing/revenue"
	customersPath = "/admin/billing/customers"
	plansPath     = "/admin/billing/plans"
	cohortsPath   = "/admin/billing/cohorts"
)

// cells are the texts of what a selector finds.
func (a *answer) cells(selector string) string {
	a.t.Helper()
	var out []string
	for i := range a.doc().Find(selector).Length() {
		out = append(out, words(a.doc().Find(selector).Eq(i)))
	}
	return strings.Join(out, ", ")
}

func (a *answer) wantCells(selector, want string) *answer {
	a.t.Helper()
	if got := a.cells(selector); got != want {
		a.t.Errorf("%s says %q, want %q", selector, got, want)
	}
	return a
}

func TestThePageOfRevenueAddsUp(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(revenuePath + "?from=2026-09&range=custom").want(200)
	page.wantFigure("MRR", "$527.00").wantFigure("MRR", "ARR $6,324.00").wantFigure("MRR", "$527.00 more than when September 2026 began")
	page.wantFigure("Net new MRR", "$527.00").wantFigure("Net revenue retention", "n/a")
	page.wantCells("#roll-forward tbody th", "Opening, New, Reactivation, Expansion, Churn, Contraction, Closing")
	page.wantCells("#roll-forward tbody td.num", "$0.00, +$285.00, +$29.00, +$300.00, -$58.00, -$29.00, $527.00")
	page.wantText("#movements figcaption", "$614.00 gained, $87.00 lost, $527.00 net in 4 months")
	// The last row of a chart's table is the running month.
	page.wantRows("#level details", "September 2026 | $128.00 | $128.00 | $0.00", "October 2026 | $285.00 | $285.00 | $0.00",
		"November 2026 | $527.00 | $527.00 | $0.00", "December 2026 so far | $527.00 | $527.00 | $0.00")
	page.wantText("#retention figcaption", "Of the MRR that was there when November 2026 began, 184.9% was left at its end, and 79.6% of it")
	page.wantText("#revenue-churn figcaption", "November 2026: 20.4% gross, of which 10.2% left and 0.0% did not pay; -84.9% net.")
	page.wantText("#quick-ratio figcaption", "6.72 gained for each 1.00 lost")
	if got := page.doc().Find("#figures-table thead th").Eq(1).Text(); got != "Dec 2026 so far" {
		t.Errorf("the first period of the table is %q, want the newest", got)
	}
	if href, _ := page.doc().Find("#figures-table tbody td a").First().Attr("href"); href != "/admin/billing/explain/mrr?from=2026-09&range=custom&at=2026-12-01" {
		t.Errorf("the newest MRR leads to %q", href)
	}
	if n := page.doc().Find("section[aria-labelledby=rates] > .note").Length(); n != 0 {
		t.Error("the months of rates are explained where they are those of the page")
	}
}

func TestMovementsAreListedNarrowedAndTurned(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(revenuePath).want(200)
	page.wantRows("#moves", "cus_b | 20 Dec 2026 | Reactivation | Pilot | +$29.00 | A return", "cus_c | 10 Dec 2026 | Churn | Pilot | -$29.00 | Payments that failed",
		"cus_d | 20 Nov 2026 | Contraction | Pilot | -$29.00 | Canceled by the customer", "Acme | 15 Nov 2026 | Expansion | Enterprise | +$300.00 | A change of plan",
		"cus_b | 5 Nov 2026 | Churn | Pilot | -$29.00 | Canceled by the customer", "cus_d | 10 Oct 2026 | New | Pilot | +$29.00 | A purchase",
		"cus_d | 10 Oct 2026 | New | Pro | +$99.00 | A purchase", "cus_c | 1 Oct 2026 | New | Pilot | +$29.00 | A purchase",
		"cus_b | 20 Sep 2026 | New | Pilot | +$29.00 | A purchase", "Acme | 10 Sep 2026 | New | Pro | +$99.00 | A purchase")
	if href, _ := page.doc().Find("#moves tbody tr").Eq(3).Find("a").Attr("href"); href != "/admin/billing/organizations/7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10" {
		t.Errorf("Acme leads to %q", href)
	}
	churn, _ := page.doc().Find(`#moves .views a:contains("Churn")`).Attr("href")
	narrow := a.admin.get(churn).want(200)
	narrow.wantCells("#moves .views [aria-current]", "Churn").wantCells("#moves tbody th", "cus_c, cus_b")
	for _, bad := range []string{"?kind=x", "?after=x", "?kind=churn&after=2026-13-01~a~b~c"} {
		if got := a.admin.get(revenuePath + bad).want(303).location(); got != revenuePath {
			t.Errorf("%s leads to %s", bad, got)
		}
	}
	// Of a plan, what came from others and went to them moves it too.
	a.admin.get(revenuePath+"?plan=pro").want(200).wantCells("#moves tbody th", "Acme, cus_d, Acme").wantText("#moves", "To another plan").
		wantCells("#roll-forward tbody th", "Opening, New, Reactivation, Expansion, Churn, Contraction, Changes of plan, Closing")

	// A page ends after fifty.
	gen := a.rows(`SELECT gen::text FROM metric_generation WHERE state = 'live'`)[0]
	a.exec(`INSERT INTO customer_movement (gen, customer, currency, day, kind, plan, amount_micro, customers, reason)
		SELECT $1::int, 'cus_' || n, 'usd', '2026-12-05', 'new', 'pro', 100000000, 1, 'purchase' FROM generate_series(100, 199) n`, gen)
	page = a.admin.get(revenuePath).want(200)
	seen := map[string]bool{}
	pages := 0
	for ; pages < 10; pages++ {
		rows := page.doc().Find("#moves tbody tr")
		for i := range rows.Length() {
			row := words(rows.Eq(i))
			if seen[row] {
				t.Fatalf("%q is on two pages", row)
			}
			seen[row] = true
		}
		older, ok := page.doc().Find("#moves-older").Attr("href")
		if !ok {
			break
		}
		page = a.admin.get(older).want(200)
		if href, _ := page.doc().Find("#moves-newest").Attr("href"); href != revenuePath {
			t.Errorf("newest leads to %q", href)
		}
	}
	kept := a.admin.get(revenuePath + "?after=2026-12-05~cus_150~new~pro&kind=new").want(200).doc()
	if kept.Find("#figures-bar input[name=kind][value=new]").Length() != 1 || kept.Find("#figures-bar input[name=after]").Length() != 0 {
		t.Error("the bar does not send the kind along, or it sends the page")
	}
	if len(seen) != 110 || pages != 2 {
		t.Errorf("%d movements were seen on %d pages, want 110 on 3", len(seen), pages+1)
	}
}

func TestRatesOfDaysAreThoseOfTheirMonths(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(revenuePath + "?from=2026-11-10&range=custom&to=2026-11-20").want(200)
	page.wantText("section[aria-labelledby=rates] > .note", "Rates are of calendar months and of twelve months: here of November 2026 as a whole")
	page.wantText("#retention figcaption", "184.9%").wantText("#level figcaption", "$527.00 at the end of 20 Nov 2026")
	if got := page.cells("#figures-table tbody th"); strings.Contains(got, "retention") {
		t.Errorf("the table by day has %s", got)
	}
	page = a.admin.get(customersPath + "?from=2026-11-10&range=custom&to=2026-11-20").want(200)
	page.wantText("section[aria-labelledby=rates] > .note", "of November 2026 as a whole").wantText("#churn figcaption", "1 of 4 left, 25.0%")
}

func TestThePageOfCustomersTellsWhoTheyAre(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(customersPath + "?from=2026-09&range=custom").want(200)
	page.wantFigure("Active customers", "3").wantFigure("Active customers", "5 came, 2 left").wantFigure("Customer churn", "25.0%").wantFigure("MRR a customer", "$175.67")
	page.wantFigure("Lifetime value", "n/a").wantFigure("Lifetime value", "Needs 3 full months.")
	// The interval of 1 of 4 is Wilson's.
	page.wantText("#churn figcaption", "November 2026: 1 of 4 left, 25.0%. Seen so often, the truth lies between 4.6% and 69.9%.")
	page.wantText("#churn details", "fewer than 30 customers began are greyed").wantText("#reasons figcaption", "Of 2 customers who left, 1 had payments that failed.")
	page.wantRows("#largest", "Acme | 10 Sep 2026 | $399.00", "cus_d | 10 Oct 2026 | $99.00", "cus_b | 20 Sep 2026 | $29.00")
	page.wantRows("#left", "cus_c Payments that failed | 10 Dec 2026 | $29.00 Pilot", "cus_b Canceled by the customer | 5 Nov 2026 | $29.00 Pilot")
	if href, _ := page.doc().Find("#left p a").Attr("href"); href != revenuePath+"?from=2026-09&kind=churn&range=custom#moves" {
		t.Errorf("who left is told at %q", href)
	}
	a.admin.get(customersPath+"?plan=pro").want(200).wantFigure("Active customers", "1").wantText("#left", "Nobody left in this time.").wantText("#active details", "counts on both")
}

func TestAComparisonIsAQuietSecondLine(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(revenuePath + "?compare=previous&from=2026-11&range=custom").want(200)
	page.wantFigure("MRR", "$242.00 more than the time before").wantText("#level .chart-legend", "The time before")
	page.wantRows("#level details", "November 2026 | $527.00 | $527.00 | $0.00 | $128.00", "December 2026 so far | $527.00 | $527.00 | $0.00 | $285.00")
	if page.doc().Find("#level svg .look-earlier").Length() == 0 {
		t.Error("the time before is not drawn")
	}
}

func TestPlansAreSetBesideEachOther(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(plansPath).want(200)
	page.wantCells("#plans thead th", "Plan, MRR, Subscribers, MRR each, New, Churn, Transfers, Lost in Nov, In a year, Trials")
	page.wantRows("#plans", "Pilot | $29.00 5.5% of all | 1 | $29.00 | $87.00 | -$58.00 | $0.00 | 33.3% 1 of 3 | n/a | n/a",
		"Pro | $99.00 18.8% of all | 1 | $99.00 | $198.00 | $0.00 | -$99.00 | 0.0% 0 of 2 | n/a | n/a",
		"Enterprise | $399.00 75.7% of all | 1 | $399.00 | $0.00 | $0.00 | $99.00 | n/a | n/a | n/a")
	page.wantCells("#plans tfoot th, #plans tfoot td", "All plans, $527.00, 3 customers, $175.67, $285.00, -$58.00, $0.00, 25.0% 1 of 4, n/a, n/a")
	page.wantText("#levels figcaption", "Enterprise carries 75.7% of MRR: $399.00 of $527.00.")
	page.wantRows("#transfers", "Pro | $0.00 | -$99.00 | -$99.00 | $0.00 | $0.00", "Enterprise | $99.00 | $0.00 | +$99.00 | $300.00 | $0.00")
	page.wantCells("#transfers tfoot td", "$99.00, -$99.00, $0.00, $300.00, $0.00")
	if n := page.doc().Find("#plans tbody svg.spark, #plans tbody .spark").Length(); n < 3 {
		t.Errorf("%d plans have a small line, want 3", n)
	}
	down, _ := page.doc().Find(`#plans thead a:contains("New")`).Attr("href")
	sorted := a.admin.get(down).want(200)
	sorted.wantCells("#plans tbody th", "Pro, Pilot, Enterprise").wantCells("#plans [aria-sort=descending]", "New")
	up, _ := sorted.doc().Find(`#plans thead a:contains("New")`).Attr("href")
	a.admin.get(up).want(200).wantCells("#plans tbody th", "Enterprise, Pilot, Pro").wantCells("#plans [aria-sort=ascending]", "New")
	a.admin.get(plansPath+"?sort=nothing").want(200).wantCells("#plans tbody th", "Pilot, Pro, Enterprise")
}

func TestTheSmallestOfManyPlansShareALine(t *testing.T) {
	a := openAutumn(t)
	for n := 1; n <= 5; n++ {
		id := fmt.Sprint("cus_old_", n)
		a.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ($1, false, now())`, id)
		a.version("12-01", id, fmt.Sprint("sub_old_", n), "old-"+strings.Repeat("x", n), billing.StatusActive, "")
	}
	a.settle()
	page := a.admin.get(plansPath).want(200)
	// Those that are sold come first; of the others the dearest three are drawn.
	page.wantCells("#levels details thead th", "Month, Pilot, Pro, Enterprise, old-xxx, old-xxxx, old-xxxxx, 2 other plans")
	page.wantRows("#levels details", "November 2026 | $29.00 | $99.00 | $399.00 | $0.00 | $0.00 | $0.00 | $0.00",
		"December 2026 so far | $29.00 | $99.00 | $399.00 | $3.00 | $4.00 | $5.00 | $3.00")
	page.wantCells("#plans tfoot td.num:nth-of-type(1)", "$542.00")
	if n := page.doc().Find("#plans tbody tr").Length(); n != 8 {
		t.Errorf("the table has %d plans, want all 8", n)
	}
}

func TestCohortsKeepTheirBeginning(t *testing.T) {
	a := openAutumn(t)
	page := a.admin.get(cohortsPath).want(200)
	page.wantCells("#cohorts thead th", "Began in, Customers, M0, M1, M2, M3")
	page.wantRows("#cohorts", "Sep 2026 | 2 | 100% | 100% | 50% | 100%", "Oct 2026 | 2 | 100% | 100% | 50% | ")
	page.wantCells("#cohorts tfoot td", "4, 100%, 100%, 50%, ").wantText("#cohorts figcaption", "100.0% of customers are left")
	page.wantText("#cohorts", "M0 is the state at the end of that month")
	if n := page.doc().Find("#cohorts tbody .heat-running").Length(); n != 2 {
		t.Errorf("%d cells are of the running month, want 2", n)
	}
	if title, _ := page.doc().Find("#cohorts tbody tr").First().Find("td").Eq(3).Attr("title"); title != "50.0%: 1 of 2 customers" {
		t.Errorf("the third month of September says %q", title)
	}
	net, _ := page.doc().Find(`#cohorts .views a:contains("Net revenue")`).Attr("href")
	a.admin.get(net).want(200).wantCells("#cohorts .views [aria-current]", "Net revenue").
		wantRows("#cohorts", "Sep 2026 | $128.00 | 100% | 100% | 312% | 334%", "Oct 2026 | $157.00 | 100% | 82% | 63% | ").
		wantCells("#cohorts tfoot td", "$285.00, 100%, 90%, 312%, ")
	a.admin.get(cohortsPath+"?measure=gross").want(200).wantRows("#cohorts", "Sep 2026 | $128.00 | 100% | 100% | 77% | 100%", "Oct 2026 | $157.00 | 100% | 82% | 63% | ")
	// A cell leads to who is in it, and what became of them by then.
	cell, _ := page.doc().Find("#cohorts tbody tr").Eq(1).Find("td").Eq(2).Find("a").Attr("href")
	if cell != cohortsPath+"/2026-10?m=1" {
		t.Errorf("the first month of October leads to %q", cell)
	}
	cohort := a.admin.get(cell).want(200).wantCells("h1", "Cohort of October 2026").wantCells("#members .views [aria-current]", "M1")
	cohort.wantRows("#members", "cus_c | 1 Oct 2026 | $29.00 | $29.00 | $0.00", "cus_d | 10 Oct 2026 | $128.00 | $99.00 | -$29.00")
	cohort.wantText("#members", "2 with MRR ÷ 2 who began = 100.0%").wantText("#members", "$128.00 ÷ $157.00 = 81.5%")
	cohort.wantText("#shares figcaption", "2 customers began; 1 is left now, in December 2026.")
	a.admin.get(cohortsPath+"/2026-10").want(200).wantCells("#members .views [aria-current]", "M2").wantText("#members", "1 with MRR ÷ 2 who began = 50.0%")
	a.admin.get(cohortsPath+"/2026-11").want(200).wantText(".blank", "Nobody began in this month")
	for _, bad := range []string{"/2026-08", "/2027-01", "/x", "/2026-13"} {
		a.admin.get(cohortsPath + bad).want(404)
	}
	for _, bad := range []string{"?m=x", "?m=-4", "?after=x"} {
		if got := a.admin.get(cohortsPath + "/2026-10" + bad).want(303).location(); got != cohortsPath+"/2026-10" {
			t.Errorf("%s leads to %s", bad, got)
		}
	}
	a.admin.get(cohortsPath+"?plan=pilot").want(200).wantCells("#cohorts tbody .heat-size", "1, 1")
}

func TestSectionsAnswerAsPartsAndAsPages(t *testing.T) {
	a := openAutumn(t)
	for path, heading := range map[string]string{revenuePath: "Revenue", customersPath: "Customers", plansPath: "Plans", cohortsPath: "Cohorts"} {
		whole := a.admin.get(path).want(200)
		whole.wantCells("h1", heading)
		part := a.admin.with("HX-Request", "true").get(path).want(200)
		if whole.doc().Find("html nav").Length() == 0 || part.doc().Find(".rail").Length() != 0 || part.doc().Find("#figures h1").Length() != 1 {
			t.Errorf("%s: a part has the frame, or the page has none", path)
		}
		if a.admin.with("HX-Request", "true").with("HX-Boosted", "true").get(path).want(200).doc().Find(".rail").Length() != 1 {
			t.Errorf("%s: a boosted link is answered with a part", path)
		}
		if a.admin.with("HX-Request", "true").with("HX-History-Restore-Request", "true").get(path).want(200).doc().Find(".rail").Length() != 1 {
			t.Errorf("%s: history is restored with a part", path)
		}
		a.admin.get(path+"?plan=nothing").want(422).wantText("#plan-error", "There are no figures of this plan.").wantCells("h1", heading)
		whole.doc().Find("figure.chart").Each(func(_ int, figure *goquery.Selection) {
			if figure.Find("figcaption").Text() == "" || (figure.Find("table").Length() == 0 && figure.Find(".chart-empty").Length() == 0) {
				t.Errorf("%s: %s has no finding or no table", path, figure.AttrOr("id", "a figure"))
			}
		})
	}
}

func TestSectionsOfACompanyThatSoldNothingSayWhatToDo(t *testing.T) {
	a := quietShop(t)
	for _, path := range []string{revenuePath, customersPath, plansPath, cohortsPath} {
		a.admin.get(path).want(200).wantText(".blank h2", "Nobody pays yet")
	}
}
