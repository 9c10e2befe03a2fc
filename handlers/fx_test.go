package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/reports"
)

// abroad is a shop that also has a customer for a hundred euros since February,
// which were worth 110 dollars until the middle of May and are worth 120 since.
func abroad(t *testing.T) *shop {
	t.Helper()
	now := func() time.Time { return time.Date(2026, time.May, 20, 9, 30, 0, 0, time.UTC) }
	b := setup(t, func(d *handlers.Deps) {
		d.Now, d.Reports = now, &reports.Reports{Pool: d.Pool, Now: now, Base: "usd"}
	})
	s := (&shop{b, b.admin()}).live()
	s.flow("2026-02-01", "eur", "pro", "new", 100, 1)
	s.exec(`INSERT INTO exchange_rates (base, currency, day, rate) VALUES ('usd', 'eur', '2026-02-01', 1.10), ('usd', 'eur', '2026-05-15', 1.20)`)
	return s
}

func TestRevenueIsShownInABaseCurrency(t *testing.T) {
	s := abroad(t)
	plain := s.admin.get(revenue).want(200)
	if got, _ := plain.doc().Find(`#currency option[value="base"]`).Html(); got != "All in USD" {
		t.Errorf("the currencies offer %q", got)
	}
	page := s.admin.get(revenue + "?currency=base").want(200)
	// 558 dollars, and a hundred euros at 1.20.
	page.wantText("main", "$678.00").wantText("main", "All currencies in USD, each day at its rate")
	if got, _ := page.doc().Find(`#currency option[selected]`).Attr("value"); got != "base" {
		t.Errorf("%q is chosen", got)
	}
	steps := words(page.doc().Find("table.waterfall"))
	for _, want := range []string{"Exchange rates", "$10.00", "$678.00"} {
		if !strings.Contains(steps, want) {
			t.Errorf("the steps from opening to closing are %q, without %q", steps, want)
		}
	}
	page.wantText("main", "MRR grew by $678.00, from $0.00 to $678.00. Exchange rates did +$10.00 of that.")
	if live, _ := page.doc().Find("#figures").Attr("data-live"); live != revenue+"?currency=base" {
		t.Errorf("it is refreshed from %q", live)
	}
	explained := s.admin.get("/admin/billing/explain/mrr?at=2026-05-01&currency=base").want(200)
	explained.wantText("main", "$678.00").wantText("main", "$558.00").wantText("main", "€100.00")
	overview := s.admin.get("/admin/billing?currency=base").want(200).wantText("main", "All currencies in USD")
	overview.wantFigure("MRR", "$678.00 $138.00 more than at the end of April").wantFigure("Net new MRR", "$128.00").wantFigure("In recovery", "n/a")
	overview.wantText("main", "MRR rose by $138.00 in May so far, to $678.00.").wantText("main", "Exchange rates")
	for _, other := range []string{"/admin/billing/customers", "/admin/billing/payments"} {
		if to := s.admin.get(other + "?currency=base").want(303).location(); to != other {
			t.Errorf("%s in a base currency leads to %q", other, to)
		}
	}
	file := s.admin.get("/admin/billing/export/figures.csv?currency=base&range=6m").want(200)
	if !strings.Contains(file.body, "67800") {
		t.Errorf("the file of it is\n%s", file.body)
	}

	s.exec(`DELETE FROM exchange_rates WHERE day < '2026-05-01'`)
	without := s.admin.get(revenue + "?currency=base").want(200)
	without.wantText("main", "$558.00").wantText("main", "Not in the sum, for want of an exchange rate: EUR.")
	s.exec(`DELETE FROM exchange_rates`)
	s.admin.get(revenue+"?currency=base").want(422).wantText("main", "There is no base currency, or there are no exchange rates into it.")
}

func TestAProgramReadsAllCurrenciesInOne(t *testing.T) {
	s := abroad(t)
	program := s.program("sheet", auth.ReadMetrics)
	m := program.get("/api/v1/metrics?from=2026-04&currency=base").metrics()
	if m.Currency != "usd" || !m.IsConverted || len(m.LeftOut) != 0 || len(m.Points) != 2 {
		t.Fatalf("it covers %+v", m)
	}
	for i, want := range []map[string]string{
		{"mrr": "54000", "netNew": "-9800", "fx": "0"},
		{"mrr": "67800", "netNew": "12800", "fx": "1000"},
	} {
		for key, value := range want {
			if m.Points[i][key] != value {
				t.Errorf("%s of month %d is %v, want %s", key, i+1, m.Points[i][key], value)
			}
		}
	}
	if one := program.get("/api/v1/metrics?from=2026-05&currency=eur").metrics(); one.IsConverted || one.Currency != "eur" || one.Points[0]["mrr"] != "10000" {
		t.Errorf("euros by themselves: %+v", one)
	}
	s.exec(`DELETE FROM exchange_rates WHERE day < '2026-05-01'`)
	if m := program.get("/api/v1/metrics?from=2026-04&currency=base").metrics(); len(m.LeftOut) != 1 || m.LeftOut[0] != "eur" || m.Points[1]["mrr"] != "55800" {
		t.Errorf("without a rate: %+v", m)
	}
}
