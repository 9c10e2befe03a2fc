package handlers

import (
	"fmt"
	"slices"

	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views/ui"
)

// trialCohorts is a table of trials by when they began, the newest first: what
// became of each period's, which changes until the last of them is settled.
// Conversion elsewhere is counted by when trials end.
func (d drawing) trialCohorts(points []reports.TrialPoint) ui.Table {
	table := ui.Table{
		Caption: "Trials by when they began",
		Columns: []ui.Column{
			{Label: "Began", Short: true},
			{Label: "Trials", Numeric: true},
			{Label: "Paid for", Numeric: true},
			{Label: "Not", Numeric: true},
			{Label: "Open", Numeric: true},
			{Label: "Rate", Numeric: true},
		},
		Empty: "No trial began in this time.",
	}
	var all reports.TrialCohort
	row := func(name string, c reports.TrialCohort) ui.Row {
		rate := ui.Cell{Text: "n/a"}
		if settled := c.Started - c.Open; settled > 0 {
			rate.Text = percentage(c.Converted, settled)
			if c.Open > 0 {
				rate.Note = "provisional"
			}
		}
		return ui.Row{
			{Text: name}, {Text: count(c.Started)}, {Text: count(c.Converted)}, {Text: count(c.Lapsed())}, {Text: count(c.Open)}, rate,
		}
	}
	for _, p := range slices.Backward(points) {
		if p.Cohort.Started == 0 {
			continue
		}
		all.Started += p.Cohort.Started
		all.Converted += p.Cohort.Converted
		all.Open += p.Cohort.Open
		if len(table.Rows) < sheetPeriods {
			table.Rows = append(table.Rows, row(upperFirst(soFar(p.Period, d.scope.Interval)), p.Cohort))
		}
	}
	if len(table.Rows) > 0 {
		nouns := intervalNouns[d.scope.Interval]
		table.Footer = row(fmt.Sprintf("All %s", plural(int64(len(points)), nouns[0], nouns[1])), all)
	}
	return table
}
