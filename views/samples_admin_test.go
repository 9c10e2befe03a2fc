package views_test

import (
	"strconv"
	"time"

	"github.com/a-h/templ"

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

// figuresFrame is what stands around a report, with a field that is wrong.
func figuresFrame() views.FiguresFrame {
	frame := administrator
	frame.FiguresQuery = "?range=custom"
	return views.FiguresFrame{
		Frame: frame, Heading: "Overview",
		Bar: views.FiguresBar{
			Action: "/admin/billing",
			Choices: []ui.Choice{
				{Name: "range", Label: "Time", Options: []ui.Option{{Value: "12m", Label: "Last 12 months"}, {Value: "custom", Label: "Custom days", IsSelected: true}}},
				{Name: "currency", Label: "Currency", Options: []ui.Option{{Value: "eur", Label: "In EUR"}, {Label: "In USD", IsSelected: true}}},
				{Name: "plan", Label: "Plan"},
			},
			IsCustom: true, From: "2026-11-24", To: "2026-11-01", First: "2025-01-01", Last: "2026-11-24",
			Kept:   []ui.Kept{{Name: "sort", Value: "mrr"}},
			Errors: map[string]string{"from": "The first day is after the last one."},
		},
		AsOf: ui.Instant{Text: "24 Nov 2026, 09:24", Title: "24 Nov 2026, 09:24:10 UTC", ISO: "2026-11-24T09:24:10Z"},
		Zone: "UTC", Definition: "1", DefinitionHref: "/admin/billing/explain", Live: "/admin/billing?range=custom", Version: 7,
		Integrity: ui.Banner{Title: "Figures under verification", Text: "Those from March on may be wrong.", Tone: ui.Warn},
		Notes:     []ui.Flash{{Text: "Rates of two days are missing.", Tone: ui.Warn}},
	}
}

func overview() views.Overview {
	revenue, movements := year("mrr", "MRR"), year("moved", "Movements")
	revenue.Lines = []ui.Series{series("MRR", ui.Plain, 0, 9900, 19800, 47700, 61100, 58200, 90900, 117600, 121000, 150300, 171900, 184300)}
	movements.Columns = []ui.Series{
		series("New", ui.Gain, 0, 9900, 9900, 27900, 23300, 0, 32700, 30000, 9900, 29300, 21600, 12400),
		series("Reactivation", ui.GainDotted, 0, 0, 0, 0, 0, 2900, 0, 0, 0, 0, 0, 9900),
		series("Churn", ui.Loss, 0, 0, 0, 0, -9900, -5800, 0, -3300, -6500, 0, 0, -9900),
	}
	movements.Marks = []ui.Series{series("Net", ui.Strong, 0, 9900, 9900, 27900, 13400, -2900, 32700, 26700, 3400, 29300, 21600, 12400)}
	return views.Overview{
		Figures: []ui.KeyFigure{
			{
				Label: "MRR", Value: "$1,843.00", Note: "ARR $22,116.00", Link: ui.Link{Text: "Subscriptions", Href: "/admin/billing/subscriptions"},
				Delta: ui.Delta{Text: "$124.00 more than at the end of October", Direction: ui.Up, Tone: ui.Good}, Spark: ui.Spark{Values: []int64{0, 9900, 184300}, IsRunning: true},
				Explain: "/admin/billing/explain/mrr",
			},
			{Label: "Active customers", Value: "21", Delta: ui.Delta{Text: "The same as at the end of October"}},
		},
		Revenue: ticked(revenue), Movements: ticked(movements),
		Stories: []views.Story{
			{What: "Bought Pro, monthly", Tone: ui.Good, Who: "Acme Compilers", WhoHref: "/admin/billing/organizations/1", Amount: "$99.00", When: ui.Instant{Text: "24 Nov, 09:22", ISO: "2026-11-24T09:22:00Z"}},
			{What: "Payment failed for Pilot, monthly", Tone: ui.Bad, Who: "Nobody we know", Amount: "$29.00", When: ui.Instant{Text: "23 Nov, 17:40", ISO: "2026-11-23T17:40:00Z"}},
		},
		Lag: "1 active subscription has a price whose amount is not known yet.",
	}
}

func emptyOverview() views.Overview {
	m := overview()
	m.Stories, m.Lag = nil, ""
	m.Figures = []ui.KeyFigure{{Label: "MRR", Value: "$0.00"}}
	m.Blank = views.Blank{Title: "No subscription yet", Text: "Figures appear here.", Action: ui.Action{Label: "Open the prices", Href: "/pricing"}}
	return m
}

// everyFigure has what the overview has not.
func everyFigure() templ.Component {
	chart := year("everything", "All a chart may have")
	chart.Explain, chart.CSV = "/admin/billing/explain/nrr", "/admin/billing/export/figures.csv"
	for i := range chart.Slots {
		chart.Slots[i].Href = "/admin/billing/explain/nrr?at=" + strconv.Itoa(i)
	}
	rate := series("NRR", ui.Plain, 900, 1100, 0, 1000, 990, 980, 970, 1040, 1010, 1000, 995, 990)
	rate.Missing, rate.Soft = []bool{false, false, true}, []bool{true, true}
	chart.Lines = []ui.Series{rate, series("The year before", ui.Earlier, 800, 900, 950)}
	chart.Bands = []ui.Band{{Name: "95% interval", Low: []int64{700, 800, 1, 900}, High: []int64{1000, 1200, 0, 1100}, Texts: []string{"70% to 100%"}}}
	chart.References = []ui.Tick{{Value: 1000, Text: "100%"}}
	links := "/admin/billing/explain/churn"
	return templ.Join(
		ui.ChartFigure(ticked(chart)),
		ui.BarsFigure(ui.Bars{
			ID: "steps", Title: "From views to payments", Finding: "4 of 100 visitors pay.", Heading: "Step", ValueHeading: "Visitors",
			Columns: []ui.Column{{Label: "Median time", Numeric: true}},
			Rows: []ui.Bar{
				{Name: "Saw the prices", Value: 100, Text: "100", Href: links, Cells: []ui.Cell{{}}},
				{Name: "Paid", Note: "within 30 days", Value: 4, Text: "4", Share: "4.0%", ShareOf: "of views", Cells: []ui.Cell{{Text: "2 h"}}},
			},
			Note: "Within 30 days.", Explain: links, CSV: links,
		}),
		ui.BarsFigure(ui.Bars{Title: "Nothing", Finding: "Nobody looked.", Empty: "No visitor yet."}),
		ui.WaterfallFigure(ui.Waterfall{
			ID: "waterfall", Title: "From the first to the last MRR", Finding: "MRR fell by $1.00.", Heading: "Movement",
			Steps: []ui.WaterfallStep{
				{Name: "Opening", Value: 10, Text: "$10.00", IsTotal: true},
				{Name: "Expansion", Value: 4, Text: "+$4.00", Look: ui.GainStriped, Href: links},
				{Name: "Churn", Value: -5, Text: "-$5.00"},
				{Name: "Closing", Value: 9, Text: "$9.00", IsTotal: true},
			},
			Definition: "All movements.", Explain: links,
		}),
		ui.HeatFigure(ui.HeatTable{
			ID: "cohorts", Title: "Customers left", Finding: "Half of them stay.", RowHeading: "Began in", SizeHeading: "Customers", Columns: []string{"0", "1", "2"},
			Rows: []ui.HeatRow{
				{Name: "Oct 2026", Href: links, Size: "4", Cells: []ui.HeatCell{{Text: "100%", Share: 1, Title: "4 of 4"}, {Text: "50%", Share: 0.5, IsRunning: true}}},
				{Name: "Nov 2026", Size: "0", Cells: []ui.HeatCell{{}}},
			},
			Average: ui.HeatRow{Name: "Weighted average", Size: "4", Cells: []ui.HeatCell{{Text: "100%", Share: 1}}},
		}),
		ui.HeatFigure(ui.HeatTable{Title: "Nobody", Finding: "Nobody began.", Empty: "No cohort yet."}),
		ui.FiguresTable(ui.FigureTable{
			ID: "by-plan", Caption: "Plans",
			Columns: []ui.ListColumn{{Column: ui.Column{Label: "Plan"}}, {Column: ui.Column{Label: "MRR", Numeric: true}, Href: "/admin/billing/plans?sort=mrr", Order: "descending"}},
			Rows:    []ui.Row{{{Text: "Pro"}, {Text: "$99.00", Spark: ui.Spark{Values: []int64{1, 2, 3}, IsRunning: true}}}},
			Footer:  ui.Row{{Text: "All plans"}, {Text: "$99.00"}},
		}),
	)
}
