package handlers

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

func (s *server) adminOverview(c echo.Context) error {
	o, err := s.Reports.Overview(c.Request().Context())
	if err != nil {
		return err
	}
	m := views.AdminOverview{
		Frame: s.frame(c), AsOf: instant(o.AsOf, "2 Jan 2006, 15:04"), Zone: o.TimeZone, Definition: strconv.Itoa(o.DefinitionVersion),
		Plans: s.plansTable(o), Events: s.eventsTable(o.Events), IsEmpty: len(o.Currencies) == 0,
	}
	if n := o.UnpricedSubscriptions; n > 0 {
		m.Lag = fmt.Sprintf("%d active subscriptions have a price whose amount is not known yet. The figures are without them.", n)
	}
	var active int64
	for _, plan := range o.Plans {
		active += plan.Active
	}
	for _, f := range o.Currencies {
		m.Stats = append(m.Stats, currencyStats(f, len(o.Currencies) > 1)...)
	}
	if m.IsEmpty {
		m.Stats = []ui.Stat{
			{Label: "MRR", Value: money.Format(0, s.Plans.Currency), Note: "Monthly recurring revenue"},
			{Label: "ARR", Value: money.Format(0, s.Plans.Currency), Note: "Twelve times MRR"},
		}
	} else {
		m.Revenue = revenueChart(o.Currencies[0])
	}
	m.Stats = append(m.Stats, ui.Stat{Label: "Active subscriptions", Value: count(active), Note: "Active or past due, trials not counted"})
	return s.page(c, http.StatusOK, views.AdminOverviewPage(m))
}

// currencyStats name the currency only where there are several: they are never
// added up.
func currencyStats(f reports.CurrencyFigures, named bool) []ui.Stat {
	in := ""
	if named {
		in = " in " + strings.ToUpper(string(f.Currency))
	}
	return []ui.Stat{
		{Label: "MRR" + in, Value: money.FormatMicro(f.MRRMicro, f.Currency), Note: "Monthly recurring revenue"},
		{Label: "ARR" + in, Value: money.FormatMicro(f.ARRMicro, f.Currency), Note: "Twelve times MRR"},
	}
}

func revenueChart(f reports.CurrencyFigures) ui.MonthChart {
	chart := ui.MonthChart{
		ID: "mrr", Title: "Monthly recurring revenue, last 12 months", ValueHeading: "MRR at the end of the month (" + strings.ToUpper(string(f.Currency)) + ")",
		Finding: finding(f),
	}
	values := make([]int64, 0, len(f.Months))
	for _, p := range f.Months {
		minor := money.RoundMicro(p.Closing.MRRMicro)
		values = append(values, minor)
		chart.Months = append(chart.Months, ui.Month{
			Short: p.Month.Format("Jan"), Long: p.Month.Format("January 2006"), Value: minor,
			Text: money.Format(minor, f.Currency), IsRunning: p.IsRunning,
		})
	}
	for _, v := range ui.TickValues(values) {
		chart.Ticks = append(chart.Ticks, ui.Tick{Value: v, Text: money.FormatShort(v, f.Currency)})
	}
	return chart
}

// finding is the sentence that a reader should take away from the chart.
func finding(f reports.CurrencyFigures) string {
	if len(f.Months) == 0 {
		return ""
	}
	last := f.Months[len(f.Months)-1]
	return fmt.Sprintf("MRR %s in %s so far, to %s.", change(last, f.Currency), last.Month.Format("January"), money.FormatMicro(last.Closing.MRRMicro, f.Currency))
}

func change(p analytics.Point, c money.Currency) string {
	switch net := p.NetNewMicro(); {
	case net > 0:
		return "rose by " + money.FormatMicro(net, c)
	case net < 0:
		return "fell by " + money.FormatMicro(-net, c)
	default:
		return "has not changed"
	}
}

func (s *server) plansTable(o reports.Overview) ui.Table {
	table := ui.Table{
		Caption: "Active subscriptions by plan",
		Columns: []ui.Column{{Label: "Plan"}, {Label: "Active", Numeric: true}, {Label: "In trial", Numeric: true}},
		Empty:   "No subscription yet.",
	}
	var active, trialing int64
	for _, p := range o.Plans {
		name := p.Plan
		if plan, ok := s.Plans.ByCode(p.Plan); ok {
			name = plan.Name
		} else if name == "" {
			name = "Unknown price"
		}
		table.Rows = append(table.Rows, ui.Row{{Text: name}, {Text: count(p.Active)}, {Text: count(p.Trialing)}})
		active, trialing = active+p.Active, trialing+p.Trialing
	}
	if len(table.Rows) > 1 {
		table.Footer = ui.Row{{Text: "All plans"}, {Text: count(active)}, {Text: count(trialing)}}
	}
	return table
}

func (s *server) eventsTable(events []reports.Event) ui.Table {
	table := ui.Table{
		Caption: "Newest events",
		Columns: []ui.Column{{Label: "Event"}, {Label: "Customer"}, {Label: "Amount", Numeric: true}},
		Empty:   "Nothing has happened yet. The first checkout shows up here.",
	}
	for _, e := range events {
		who := e.OrgName
		if who == "" {
			who = e.StripeCustomerID
		}
		when := instant(e.At, "2 Jan, 15:04")
		row := ui.Row{{Text: happening(e.Kind), Note: when.Text, Title: when.Title}, {Text: who}, {}}
		if plan, ok := s.Plans.ByCode(e.Plan); ok {
			row[1].Note = plan.Name
		}
		if e.AmountMinor != nil && e.Currency != "" {
			row[2].Text = money.Format(*e.AmountMinor, e.Currency)
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}
