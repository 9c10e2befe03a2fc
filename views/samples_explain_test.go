package views_test

import (
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

func explanation() views.Explanation {
	when := ui.Instant{Text: "12:05", Title: "3 Mar 2026, 12:05:00 UTC", ISO: "2026-03-03T12:05:00Z"}
	return views.Explanation{
		Name: "Net revenue retention", Value: "96.0%", When: "March 2026", Note: "Provisional.", IsRunning: true, Before: "It was 101.2% in February 2026.",
		Problem: "“soon” is no day, so all of the time is explained.",
		Earlier: ui.Link{Text: "February 2026", Href: "/admin/billing/explain/nrr?at=2026-02-01"}, Later: ui.Link{Text: "April 2026", Href: "/admin/billing/explain/nrr?at=2026-04-01"},
		Definition: "What the customers of the beginning have at the end.", Formula: "MRR of the same customers now ÷ their MRR then", Worked: "$9,600.00 ÷ $10,000.00 = 96.0%",
		Terms:  []ui.Definition{{Term: "Their MRR then", Text: "$10,000.00", Link: ui.Link{Text: "Explain", Href: "/admin/billing/explain/mrr?at=2026-02-01"}}},
		Stripe: "movements are never added up.", AsOf: when, Zone: "UTC", Number: "2", All: "/admin/billing/explain",
		Evidence: views.Evidence{
			Title: "Customers", Lead: "Those of the base.", Sum: "-$400.00", Newest: "/admin/billing/explain/nrr", Older: "/admin/billing/explain/nrr?after=2026-03-03~cus_1",
			Filters: []views.EvidenceFilter{{Text: "All", Href: "/admin/billing/explain/nrr", IsOn: true}, {Text: "Churn", Href: "/admin/billing/explain/nrr?kind=churn"}},
			Columns: views.EvidenceColumns{Day: "Day", What: "How", Before: "Then", After: "At the end", Amount: "Counts with"},
			Rows: []views.EvidenceRow{
				{
					Day: ui.Instant{Text: "3 Mar 2026", ISO: "2026-03-03"}, Who: "Acme Compilers", Href: "/admin/billing/organizations/1", What: "Churn · a pause", Before: "$400.00", After: "$0.00", Amount: "-$400.00",
					IDs: []string{"in_1"}, EventCount: "1 event", Events: []views.TimeLineEvent{{At: when, Title: "Payments paused", IDs: []string{"evt_1"}}},
				},
				{Day: ui.Instant{Text: "2 Mar 2026", ISO: "2026-03-02"}, Who: "cus_1", IsID: true, Href: "/admin/billing/organizations/cus_1", Amount: "$0.00"},
				{Day: ui.Instant{Text: "2 Mar 2026", ISO: "2026-03-02"}, Who: "Nobody's", Amount: "$0.00"},
			},
		},
	}
}

func definitions() views.Definitions {
	when := ui.Instant{Text: "3 Mar 2026, 12:05", Title: "3 Mar 2026, 12:05:00 UTC", ISO: "2026-03-03T12:05:00Z"}
	return views.Definitions{
		Frame: at(administrator, "/admin/billing/explain"), AsOf: when, Zone: "Europe/Berlin", Number: "2", Checked: "All figures were counted again on 3 Mar 2026.",
		Issues:      []views.FigureIssue{{What: "It should be true, and is not: transfers add up to nothing.", Range: "March 2026", Detail: "2026-03-05 usd: 1", Since: when}},
		Groups:      []views.DefinitionGroup{{Title: "Recurring revenue", Figures: []views.DefinedFigure{{Key: "mrr", Name: "MRR", Href: "/admin/billing/explain/mrr", Definition: "What all pay a month.", Formula: "opening + net new"}}}},
		Generations: ui.Table{Caption: "Definitions", Columns: []ui.Column{{Label: "Counted"}}, Rows: []ui.Row{{{Text: "2"}}}},
		Differences: []ui.Definition{{Term: "Churn", Text: "Counted otherwise."}},
	}
}
