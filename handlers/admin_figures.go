package handlers

import (
	"fmt"
	"strings"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views/ui"
)

// subscriptionsPath is the list behind the figures.
const subscriptionsPath = "/admin/billing/subscriptions"

// overviewPage puts an overview into words and drawings.
type overviewPage struct {
	reports.Overview
	drawing drawing
}

func (p overviewPage) micro(micro int64) string { return money.FormatMicro(micro, p.Currency) }

func (p overviewPage) minor(minor int64) string { return money.Format(minor, p.Currency) }

func (p overviewPage) last() analytics.Point { return p.Points[len(p.Points)-1] }

// previous is the period before the last that is shown.
func (p overviewPage) previous() analytics.Point {
	if len(p.Points) > 1 {
		return p.Points[len(p.Points)-2]
	}
	return p.Ahead
}

func (p overviewPage) previousPayments() reports.PaymentPoint {
	if len(p.Payments) > 1 {
		return p.Payments[len(p.Payments)-2]
	}
	return p.PaymentsAhead
}

// figures are the four that one look should tell: where each stands, and what
// the last period made of it.
func (p overviewPage) figures() []ui.KeyFigure {
	last, previous := p.last(), p.previous()
	before := "at the end of " + p.beside(previous.Period)
	card := func(metric, label string) ui.KeyFigure {
		return ui.KeyFigure{
			Label: label, Value: p.drawing.value(metric, last), Spark: p.drawing.spark(metric, p.Points),
			Explain: explainHref(metric, p.drawing.ask, &last.Period),
		}
	}
	mrr := card("mrr", "MRR")
	mrr.Note = "ARR " + p.drawing.value("arr", last)
	mrr.Delta = compare(last.Closing.MRRMicro-last.Opening.MRRMicro, p.micro, before, ui.Good, ui.Bad)
	net := card("netNew", "Net new MRR "+p.thisPeriod())
	net.Delta = compare(last.NetNewMicro()-previous.NetNewMicro(), p.micro, "in the whole of "+p.beside(previous.Period), ui.Neutral, ui.Neutral)
	customers := card("customers", "Active customers")
	customers.Note = "Those with MRR."
	customers.Delta = compareCounts(last.Closing.Customers-last.Opening.Customers, before, ui.Good, ui.Bad)
	recovery := p.recovery(before)
	out := []ui.KeyFigure{mrr, net, customers, recovery}
	if !last.IsRunning {
		when := " · " + shortPeriod(last.Period, p.Interval)
		for i := range out {
			out[i].Label += when
		}
		out[1].Label, out[1].Note = "Net new MRR"+when, "All of it."
		out[2].Note = "At its end."
		out[3].Link = ui.Link{} // the list knows only today's
	}
	return out
}

// recovery is what failed and is retried. Currencies are not added up in it.
func (p overviewPage) recovery(before string) ui.KeyFigure {
	last := p.last()
	if len(p.Payments) == 0 {
		return ui.KeyFigure{Label: "In recovery", Value: "n/a", Note: "Choose one currency."}
	}
	now, earlier := p.Payments[len(p.Payments)-1], p.previousPayments()
	recovery := ui.KeyFigure{
		Label: "In recovery", Value: p.minor(now.Open.AmountMinor), Note: plural(now.Open.Count, "invoice.", "invoices."),
		Delta: compare(now.Open.AmountMinor-earlier.Open.AmountMinor, p.minor, before, ui.Bad, ui.Good),
		Spark: ui.Spark{IsRunning: last.IsRunning}, Link: ui.Link{Text: "Who fails to pay", Href: subscriptionsPath + "?failing=1"},
		Explain: explainHref("recoveryRate", p.drawing.ask, &last.Period),
	}
	if n := now.AskedOpen.Count; n > 0 {
		recovery.Note = fmt.Sprintf("%s %s to be confirmed.", recovery.Note, plural(n, "more waits", "more wait"))
	}
	for _, point := range p.Payments {
		recovery.Spark.Values = append(recovery.Spark.Values, point.Open.AmountMinor)
	}
	return recovery
}

// thisPeriod is how the running period is called.
func (p overviewPage) thisPeriod() string {
	return map[analytics.Interval]string{analytics.Daily: "today", analytics.Weekly: "this week", analytics.Monthly: "this month"}[p.Interval]
}

// beside names a period beside the last one: the year of a month is said where
// it is another.
func (p overviewPage) beside(period analytics.Period) string {
	if p.Interval == analytics.Monthly && period.Start.Year() == p.last().Start.Year() {
		return period.Start.Format("January")
	}
	return periodName(period, p.Interval)
}

// shortPeriod is a period as a heading has room for it: "Apr 2026", "3 Apr 2026".
func shortPeriod(p analytics.Period, interval analytics.Interval) string {
	if interval == analytics.Monthly {
		return p.Start.Format("Jan 2006")
	}
	return strings.TrimPrefix(periodName(p, interval), "the ")
}

// compare says how an amount differs from an earlier one. more and less are how
// good the news is.
func compare(by int64, format func(int64) string, than string, more, less ui.Tone) ui.Delta {
	switch {
	case by > 0:
		return ui.Delta{Text: format(by) + " more than " + than, Direction: ui.Up, Tone: more}
	case by < 0:
		return ui.Delta{Text: format(-by) + " less than " + than, Direction: ui.Down, Tone: less}
	}
	return ui.Delta{Text: "The same as " + than}
}

// compareCounts is compare for what is counted, of which there are more or fewer.
func compareCounts(by int64, than string, more, fewer ui.Tone) ui.Delta {
	if by < 0 {
		return ui.Delta{Text: count(-by) + " fewer than " + than, Direction: ui.Down, Tone: fewer}
	}
	return compare(by, count, than, more, fewer)
}

// revenue is the line of MRR.
func (p overviewPage) revenue() ui.Chart {
	chart := p.drawing.chart("mrr", "Monthly recurring revenue", "mrr")
	chart.Lines = []ui.Series{p.drawing.line("mrr", "MRR", ui.Plain, p.Points)}
	chart = p.drawing.earlier(chart, "mrr", p.Before)
	chart.Finding, chart.Empty = p.revenueFinding(), "There was no MRR in this time."
	return p.drawing.ticked(chart, analytics.Money)
}

func (p overviewPage) revenueFinding() string {
	last := p.last()
	level, overall := p.micro(last.Closing.MRRMicro), last.Closing.MRRMicro-p.Points[0].Opening.MRRMicro
	if !last.IsRunning {
		nouns := intervalNouns[p.Interval]
		periods := plural(int64(len(p.Points)), nouns[0], nouns[1])
		end := "at the end of " + periodName(last.Period, p.Interval)
		if overall == 0 {
			return fmt.Sprintf("MRR was %s %s, as it was %s before.", level, end, periods)
		}
		return fmt.Sprintf("MRR %s in %s, to %s %s.", p.rise(overall), periods, level, end)
	}
	by := last.Closing.MRRMicro - last.Opening.MRRMicro // exchange rates are in it
	if by == 0 {
		return fmt.Sprintf("MRR stayed at %s %s so far.", level, p.inLast())
	}
	return fmt.Sprintf("MRR %s %s so far, to %s.", p.rise(by), p.inLast(), level)
}

// inLast is "in May", "today", "this week".
func (p overviewPage) inLast() string {
	if p.Interval == analytics.Monthly {
		return "in " + p.last().Start.Format("January")
	}
	return p.thisPeriod()
}

func (p overviewPage) rise(by int64) string {
	if by < 0 {
		return "fell by " + p.micro(-by)
	}
	return "rose by " + p.micro(by)
}

// movementSeries are the movements as they are stacked: gains from nought up,
// losses from nought down.
var movementSeries = []struct {
	kind analytics.MovementKind
	name string
	look ui.Look
}{
	{analytics.New, "New", ui.Gain},
	{analytics.Reactivation, "Reactivation", ui.GainDotted},
	{analytics.Expansion, "Expansion", ui.GainStriped},
	{analytics.Churn, "Churn", ui.Loss},
	{analytics.Contraction, "Contraction", ui.LossStriped},
}

// movements are what moved MRR in each period.
func (p overviewPage) movements() ui.Chart {
	chart := p.drawing.chart("moved", "Movements of MRR", "netNew")
	for _, m := range movementSeries {
		chart.Columns = append(chart.Columns, p.drawing.line(string(m.kind), m.name, m.look, p.Points))
	}
	if p.IsConverted {
		rates := ui.Series{Name: "Exchange rates", Look: ui.Quiet}
		for _, point := range p.Points {
			rates.Values, rates.Texts = append(rates.Values, point.FXMicro), append(rates.Texts, p.micro(point.FXMicro))
		}
		chart.Columns = append(chart.Columns, rates)
	}
	chart.Marks = []ui.Series{p.drawing.line("netNew", "Net", ui.Strong, p.Points)}
	chart.CSV = exportHref("movements", p.drawing.ask)
	chart.Finding, chart.Empty = p.movementsFinding(), "Nobody came, left or changed plans in this time."
	return p.drawing.ticked(chart, analytics.Money)
}

func (p overviewPage) movementsFinding() string {
	last := p.last()
	var gained, lost int64
	for _, level := range last.Moved {
		gained += max(level.MRRMicro, 0)
		lost += max(-level.MRRMicro, 0)
	}
	when := soFar(last.Period, p.Interval)
	if gained == 0 && lost == 0 {
		return fmt.Sprintf("Nothing moved %s %s.", periodPreposition(p.Interval), when)
	}
	if last.IsRunning && p.Interval == analytics.Monthly {
		when = last.Start.Format("January") + " so far" // nobody takes it for another year's
	}
	return fmt.Sprintf("%s: %s gained, %s lost, %s net.", upperFirst(when), p.micro(gained), p.micro(lost), p.micro(last.NetNewMicro()))
}

// periodPreposition goes before the name of a period.
func periodPreposition(interval analytics.Interval) string {
	if interval == analytics.Daily {
		return "on"
	}
	return "in"
}

// signed is a difference with its sign.
func signed(by int64, format func(int64) string) string {
	if by > 0 {
		return "+" + format(by)
	}
	return format(by)
}

// percentage has one decimal; a part of nothing is none.
func percentage(part, whole int64) string {
	if whole == 0 {
		return "n/a"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}
