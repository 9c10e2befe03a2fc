package reports_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// rowsOf are all rows behind a figure, page by page.
func (b *bundle) rowsOf(query reports.Query, ask reports.Ask) (reports.Explanation, []reports.EvidenceRow) {
	b.Helper()
	var rows []reports.EvidenceRow
	for pages := 0; ; pages++ {
		e, err := b.reports.Explain(b.Context(), query, ask)
		if err != nil {
			b.Fatal(err)
		}
		rows = append(rows, e.Evidence.Rows...)
		if ask.After = e.Evidence.Older; ask.After == "" {
			return e, rows
		}
		if pages > 10 {
			b.Fatalf("%s has no end", ask.Metric)
		}
	}
}

// TestTheRowsBehindAFigureAddUpToIt: for every figure that moves or compares, of
// every month, of the account and of each plan.
func TestTheRowsBehindAFigureAddUpToIt(t *testing.T) {
	t.Parallel()
	b := shop(t)
	for _, plan := range []string{"", "pilot", "pro", "enterprise"} {
		for _, m := range analytics.Metrics {
			for month := time.September; month <= time.December; month++ {
				query := autumn()
				query.Plan = plan
				e, rows := b.rowsOf(query, reports.Ask{Metric: m.Key, At: date(month, 1)})
				var micro, count int64
				for _, row := range rows {
					micro, count = micro+row.AmountMicro, count+row.Count
				}
				p := e.Point
				var want, got int64
				switch m.Key {
				case "mrr", "arr", "arpa", "growth", "netNew":
					want, got = p.Closing.MRRMicro-p.Opening.MRRMicro, micro
				case "customers":
					want, got = p.Closing.Customers-p.Opening.Customers, count
				case "new", "reactivation", "expansion", "contraction", "churn":
					want, got = m.Of(p).Micro(), micro
				case "newCustomers", "reactivatedCustomers":
					want, got = m.Of(p).Micro(), count
				case "churnedCustomers":
					want, got = -m.Of(p).Micro(), count
				case "nrr", "netRevenueChurn":
					want, got = p.Month.NetMicro, micro
				case "nrrYear":
					want, got = p.Year.NetMicro, micro
				case "grr", "revenueChurn":
					want, got = p.Month.GrossLostMicro, micro
				case "grrYear":
					want, got = p.Year.GrossLostMicro, micro
				case "logoChurn":
					want, got = p.Month.LostCustomers, count
				case "involuntaryLogoChurn":
					want, got = p.Month.InvoluntaryCustomers, count
				case "voluntaryLogoChurn":
					want, got = p.Month.LostCustomers-p.Month.InvoluntaryCustomers, count
				case "churnOnlyRevenueChurn":
					want, got = p.Month.LostMicro, micro
				case "involuntaryRevenueChurn":
					want, got = p.Month.InvoluntaryMicro, micro
				case "voluntaryRevenueChurn":
					want, got = p.Month.LostMicro-p.Month.InvoluntaryMicro, micro
				case "committedMrr":
					want, got = p.EndingMicro, micro
				case "trialMrr":
					want, got = p.TrialMicro, micro
				default:
					continue
				}
				if got != want {
					t.Errorf("%s of %q in %s: %d rows come to %d, want %d", m.Key, plan, month, len(rows), got, want)
				}
			}
		}
	}
}

func TestAnExplanationSaysWhatWasBefore(t *testing.T) {
	t.Parallel()
	b := shop(t)
	e, rows := b.rowsOf(autumn(), reports.Ask{Metric: "netNew", At: date(time.November, 17)})
	if e.IsRange || !e.Point.Start.Equal(date(time.November, 1)) || e.Earlier == nil || !e.Earlier.Start.Equal(date(time.October, 1)) || e.Later == nil {
		t.Errorf("it is of %+v", e.Point.Period)
	}
	b.wantMetric("November", "netNew", e.Point, 242*dollar)
	b.wantMetric("October", "netNew", e.Before, 157*dollar)
	// Acme went from pro to enterprise, cus_d gave one of two up, cus_b left.
	if len(rows) != 3 || rows[0].Kind != analytics.Contraction || rows[1].Customer.Name != "Acme" || rows[2].Kind != analytics.Churn {
		t.Errorf("the rows are %+v", rows)
	}
	whole, _ := b.rowsOf(autumn(), reports.Ask{Metric: "mrr"})
	if !whole.IsRange || whole.Point.Opening.MRRMicro != 0 || whole.Point.Closing.MRRMicro != 527*dollar || whole.Earlier != nil {
		t.Errorf("all of it is %+v", whole.Point)
	}
	last, _ := b.rowsOf(autumn(), reports.Ask{Metric: "nrr"})
	if last.IsRange || !last.Point.IsRunning || !last.Point.Start.Equal(date(time.December, 1)) {
		t.Errorf("a rate without a month is of %+v", last.Point.Period)
	}
	days := autumn()
	days.Interval = analytics.Daily
	month, _ := b.rowsOf(days, reports.Ask{Metric: "nrr", At: date(time.November, 17)})
	b.wantMetric("the month around a day", "nrr", month.Point, float64(285-29+300-29)/285)

	if _, err := b.reports.Explain(t.Context(), autumn(), reports.Ask{Metric: "happiness"}); !errors.Is(err, reports.ErrUnknownMetric) {
		t.Errorf("a figure that there is not: %v", err)
	}
	var refusal *billing.Refusal
	if _, err := b.reports.Explain(t.Context(), autumn(), reports.Ask{Metric: "mrr", At: date(time.March, 1)}); !errors.As(err, &refusal) || refusal.Fields["at"] == "" {
		t.Errorf("a day that lies in no period: %v", err)
	}
}

func TestAConvertedFigureIsMadeOfThatOfEachCurrency(t *testing.T) {
	t.Parallel()
	b := abroad(t)
	e, rows := b.rowsOf(inBase(), reports.Ask{Metric: "mrr", At: date(time.November, 1)})
	if e.Point.Closing.MRRMicro != 647*dollar || len(rows) > 0 || e.Evidence.Kind != reports.ByCurrency {
		t.Errorf("it is %s with %d rows by %s", money.DecimalMicro(e.Point.Closing.MRRMicro), len(rows), e.Evidence.Kind)
	}
	got := ""
	for _, part := range e.Evidence.Currencies {
		got += fmt.Sprintf("%s %s ", part.Currency, money.DecimalMicro(part.Point.Closing.MRRMicro))
	}
	if got != "eur 10000 usd 52700 " {
		t.Errorf("it is made of %s", got)
	}
}
