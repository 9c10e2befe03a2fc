package views_test

import (
	"time"

	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// year is a chart of twelve months, the last of which is running.
func year(id, title string) ui.Chart {
	chart := ui.Chart{ID: id, Title: title, Heading: "Month", Finding: "MRR rose by $124.00 in November so far, to $1,843.00.", Definition: "What subscriptions cost a month."}
	for i := range 12 {
		month := time.Date(2025, time.December, 1, 0, 0, 0, 0, time.UTC).AddDate(0, i, 0)
		m := ui.Slot{Short: month.Format("Jan"), Long: month.Format("January 2006"), IsRunning: i == 11}
		if i < 2 {
			m.Group = month.Format("2006")
		}
		chart.Slots = append(chart.Slots, m)
	}
	return chart
}

func series(name string, look ui.Look, values ...int64) ui.Series {
	s := ui.Series{Name: name, Look: look, Values: values}
	for range values {
		s.Texts = append(s.Texts, "$99.00")
	}
	return s
}

func ticked(chart ui.Chart) ui.Chart {
	for _, v := range ui.TickValues(chart.Extent()) {
		chart.Ticks = append(chart.Ticks, ui.Tick{Value: v, Text: "$1"})
	}
	return chart
}

func overview() views.AdminOverview {
	revenue, movements, customers, failed := year("mrr", "MRR"), year("movements", "Movements"), year("active", "Customers"), year("failures", "Failed payments")
	revenue.Lines = []ui.Series{series("MRR", ui.Plain, 0, 9900, 19800, 47700, 61100, 58200, 90900, 117600, 121000, 150300, 171900, 184300)}
	movements.Columns = []ui.Series{
		series("New", ui.Gain, 0, 9900, 9900, 27900, 23300, 0, 32700, 30000, 9900, 29300, 21600, 12400),
		series("Reactivation", ui.GainDotted, 0, 0, 0, 0, 0, 2900, 0, 0, 0, 0, 0, 9900),
		series("Churn", ui.Loss, 0, 0, 0, 0, -9900, -5800, 0, -3300, -6500, 0, 0, -9900),
	}
	movements.Marks = []ui.Series{series("Net", ui.Strong, 0, 9900, 9900, 27900, 13400, -2900, 32700, 26700, 3400, 29300, 21600, 12400)}
	customers.Lines = []ui.Series{series("Customers", ui.Plain, 0, 1, 2, 4, 6, 6, 9, 11, 12, 15, 18, 21)}
	failed.Empty = "Nothing to recover."
	return views.AdminOverview{
		Frame: administrator,
		Filter: views.OverviewFilter{
			Range:    []views.FilterOption{{Value: "12", Label: "Last 12"}, {Value: "custom", Label: "Custom", Selected: true}},
			IsCustom: true, From: []views.FilterOption{{Value: "2026-11", Label: "Nov 2026", Selected: true}}, To: []views.FilterOption{{Value: "2026-11", Label: "Nov 2026"}},
			Currency: []views.FilterOption{{Value: "eur", Label: "EUR"}, {Value: "usd", Label: "USD", Selected: true}},
			Errors:   map[string]string{"from": "The first month is after the last one."},
		},
		Figures: []ui.KeyFigure{
			{
				Label: "MRR", Value: "$1,843.00", Note: "ARR $22,116.00", Link: ui.Link{Text: "Subscriptions", Href: "/admin/billing/subscriptions"},
				Delta: ui.Delta{Text: "$124.00 more than at the end of October", Direction: ui.Up, Tone: ui.Good}, Spark: ui.Spark{Values: []int64{0, 9900, 184300}, IsRunning: true},
			},
			{Label: "Active customers", Value: "21", Delta: ui.Delta{Text: "The same as at the end of October"}},
		},
		Revenue: ticked(revenue), Movements: ticked(movements), Customers: ticked(customers), Failed: failed,
		Plans: ui.ShareTable{
			ID: "plan-shares", Title: "Plans by MRR", Finding: "Pro carries 57.3 % of MRR.", Heading: "Plan",
			Columns:   []ui.Column{{Label: "MRR"}, {Label: "Share"}},
			Shares:    []ui.Share{{Name: "Pilot", Percent: 12, Step: 1, Cells: []ui.Cell{{Text: "$222.33"}, {Text: "12.1 %", Note: "1 trial"}}}, {Name: "Pro", Percent: 57.3, Step: 2, Cells: []ui.Cell{{}, {}}}},
			TotalName: "All plans", Total: []ui.Cell{{Text: "$1,843.00"}, {Text: "100.0 %"}},
		},
		Stories: []views.Story{
			{What: "Bought Pro, monthly", Tone: ui.Good, Who: "Acme Compilers", WhoHref: "/admin/billing/organizations/1", Amount: "$99.00", When: ui.Instant{Text: "24 Nov, 09:22", ISO: "2026-11-24T09:22:00Z"}},
			{What: "Payment failed for Pilot, monthly", Tone: ui.Bad, Who: "Nobody we know", Amount: "$29.00", When: ui.Instant{Text: "23 Nov, 17:40", ISO: "2026-11-23T17:40:00Z"}},
		},
		AsOf: ui.Instant{Text: "24 Nov 2026, 09:24", Title: "24 Nov 2026, 09:24:10 UTC", ISO: "2026-11-24T09:24:10Z"},
		Zone: "UTC", Definition: "1", Lag: "1 active subscription has a price whose amount is not known yet.",
	}
}

func emptyOverview() views.AdminOverview {
	m := overview()
	m.Stories, m.Lag = nil, ""
	m.Figures = []ui.KeyFigure{{Label: "MRR", Value: "$0.00"}}
	m.Blank = views.Blank{Title: "No subscription yet", Text: "Figures appear here.", Action: ui.Action{Label: "Open the prices", Href: "/pricing"}}
	return m
}
