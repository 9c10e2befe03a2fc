package handlers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views/ui"
)

// subscriptionsPath is the list behind the figures.
const subscriptionsPath = "/admin/billing/subscriptions"

// overviewBuilder puts the figures of one currency into words and drawings.
type overviewBuilder struct {
	reports.CurrencyFigures
	plans billing.Plans
	// AsOf is now; isPast: the last month that is shown is over.
	AsOf   time.Time
	isPast bool
}

func (b overviewBuilder) micro(micro int64) string { return money.FormatMicro(micro, b.Currency) }

func (b overviewBuilder) minor(minor int64) string { return money.Format(minor, b.Currency) }

func (b overviewBuilder) last() analytics.Point { return b.Months[len(b.Months)-1] }

// previous is the month before the last that is shown.
func (b overviewBuilder) previous() analytics.Point {
	if len(b.Months) > 1 {
		return b.Months[len(b.Months)-2]
	}
	return b.Before
}

func (b overviewBuilder) previousFailed() reports.FailedMonth {
	if len(b.Failed) > 1 {
		return b.Failed[len(b.Failed)-2]
	}
	return b.BeforeFailed
}

// figures are the four that one look should tell.
func (b overviewBuilder) figures() []ui.KeyFigure {
	last, previous := b.last(), b.previous()
	before := "at the end of " + monthName(previous.Start, last.Start)
	open, openBefore, asked := b.Failed[len(b.Failed)-1].Open, b.previousFailed().Open, b.Failed[len(b.Failed)-1].AskedOpen
	figures := []ui.KeyFigure{
		{
			Label: "MRR", Value: b.micro(b.MRRMicro), Note: "ARR " + b.micro(b.ARRMicro),
			Delta: compare(last.Closing.MRRMicro-previous.Closing.MRRMicro, b.micro, before, ui.Good, ui.Bad),
			Spark: b.spark(func(p analytics.Point) int64 { return p.Closing.MRRMicro }),
			Link:  ui.Link{Text: "Who pays", Href: subscriptionsPath},
		},
		{
			Label: "Net new MRR this month", Value: b.micro(last.NetNewMicro()), Note: "So far.",
			Delta: compare(last.NetNewMicro()-previous.NetNewMicro(), b.micro, "in the whole of "+monthName(previous.Start, last.Start), ui.Neutral, ui.Neutral),
			Spark: b.spark(analytics.Point.NetNewMicro),
			Link:  ui.Link{Text: "Movements", Href: "#movements"},
		},
		{
			Label: "Active customers", Value: count(b.ActiveCustomers), Note: "Those with MRR.",
			Delta: compareCounts(last.Closing.Customers-previous.Closing.Customers, before, ui.Good, ui.Bad),
			Spark: b.spark(func(p analytics.Point) int64 { return p.Closing.Customers }),
			Link:  ui.Link{Text: "By month", Href: "#customers"},
		},
		{
			Label: "In recovery", Value: b.minor(open.AmountMinor), Note: plural(open.Count, "invoice.", "invoices."),
			Delta: compare(open.AmountMinor-openBefore.AmountMinor, b.minor, before, ui.Bad, ui.Good),
			Spark: ui.Spark{IsRunning: last.IsRunning},
			Link:  ui.Link{Text: "Who fails to pay", Href: subscriptionsPath + "?failing=1"},
		},
	}
	if asked.Count > 0 {
		figures[3].Note = fmt.Sprintf("%s %s to be confirmed.", figures[3].Note, plural(asked.Count, "more waits", "more wait"))
	}
	for _, m := range b.Failed {
		figures[3].Spark.Values = append(figures[3].Spark.Values, m.Open.AmountMinor)
	}
	if b.isPast {
		for i := range figures {
			figures[i].Label = strings.TrimSuffix(figures[i].Label, " this month") + " · " + last.Start.Format("Jan 2006")
		}
		figures[1].Note, figures[2].Note = "All of the month.", "At its end."
		figures[3].Link = ui.Link{Text: "Failed payments", Href: "#failed"} // the list knows only today's
	}
	return figures
}

func (b overviewBuilder) spark(of func(analytics.Point) int64) ui.Spark {
	spark := ui.Spark{IsRunning: b.last().IsRunning}
	for _, p := range b.Months {
		spark.Values = append(spark.Values, of(p))
	}
	return spark
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

// worth says how many invoices there are and what all of them come to.
func (b overviewBuilder) worth(i reports.Invoices) string {
	if i.Count == 1 {
		return "1 invoice of " + b.minor(i.AmountMinor)
	}
	return count(i.Count) + " invoices worth " + b.minor(i.AmountMinor) + " in all"
}

// monthName names the year where it is another than that of the month beside.
func monthName(month, beside time.Time) string {
	if month.Year() != beside.Year() {
		return month.Format("January 2006")
	}
	return month.Format("January")
}

// revenue is the line of MRR.
func (b overviewBuilder) revenue() ui.Chart {
	chart := b.chart("mrr", "Monthly recurring revenue")
	line := ui.Series{Name: "MRR", Look: ui.Plain}
	for _, p := range b.Months {
		line.Values = append(line.Values, money.RoundMicro(p.Closing.MRRMicro))
		line.Texts = append(line.Texts, b.micro(p.Closing.MRRMicro))
	}
	chart.Lines = []ui.Series{line}
	chart.Finding, chart.Empty = b.revenueFinding(), "There was no MRR in these months."
	chart.Definition = "At the end of each month: what active and past-due subscriptions cost a month: yearly prices by twelve, recurring discounts taken off, without tax, trials and what is metered."
	return b.amounts(chart)
}

func (b overviewBuilder) revenueFinding() string {
	last := b.last()
	level, overall := b.micro(last.Closing.MRRMicro), last.Closing.MRRMicro-b.Months[0].Opening.MRRMicro
	months := plural(int64(len(b.Months)), "month", "months")
	if !last.IsRunning {
		end := "at the end of " + last.Start.Format("January 2006")
		if overall == 0 {
			return fmt.Sprintf("MRR was %s %s, as it was %s before.", level, end, months)
		}
		return fmt.Sprintf("MRR %s in %s, to %s %s.", b.rise(overall), months, level, end)
	}
	finding := fmt.Sprintf("MRR %s in %s so far, to %s.", b.rise(last.NetNewMicro()), last.Start.Format("January"), level)
	if last.NetNewMicro() == 0 {
		finding = fmt.Sprintf("MRR stayed at %s in %s so far.", level, last.Start.Format("January"))
	}
	if len(b.Months) > 1 && overall != 0 {
		finding += fmt.Sprintf(" It %s in %s.", b.rise(overall), months)
	}
	return finding
}

func (b overviewBuilder) rise(by int64) string {
	if by < 0 {
		return "fell by " + b.micro(-by)
	}
	return "rose by " + b.micro(by)
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

// movements are what moved MRR in each month.
func (b overviewBuilder) movements() ui.Chart {
	chart := b.chart("movements", "Movements of MRR")
	for _, m := range movementSeries {
		series := ui.Series{Name: m.name, Look: m.look}
		for _, p := range b.Months {
			micro := p.Moved[m.kind].MRRMicro
			series.Values = append(series.Values, money.RoundMicro(micro))
			series.Texts = append(series.Texts, b.micro(micro))
		}
		chart.Columns = append(chart.Columns, series)
	}
	net := ui.Series{Name: "Net", Look: ui.Strong}
	for _, p := range b.Months {
		net.Values = append(net.Values, money.RoundMicro(p.NetNewMicro()))
		net.Texts = append(net.Texts, b.micro(p.NetNewMicro()))
	}
	chart.Marks = []ui.Series{net}
	chart.Finding, chart.Empty = b.movementsFinding(), "Nobody came, left or changed plans in these months."
	chart.Definition = "By customer and day, from the balance at its beginning to that at its end. Who comes back is a reactivation, however long they were away; who leaves the last plan is churn on the day the subscription ends."
	return b.amounts(chart)
}

func (b overviewBuilder) movementsFinding() string {
	last := b.last()
	var gained, lost int64
	for _, level := range last.Moved {
		gained += max(level.MRRMicro, 0)
		lost += max(-level.MRRMicro, 0)
	}
	so := ""
	if last.IsRunning {
		so = " so far"
	}
	if gained == 0 && lost == 0 {
		return fmt.Sprintf("Nothing moved in %s%s.", last.Start.Format("January 2006"), so)
	}
	return fmt.Sprintf("%s%s: %s gained, %s lost, %s net.", last.Start.Format("January 2006"), so, b.micro(gained), b.micro(lost), b.micro(last.NetNewMicro()))
}

// customers is the line of active customers.
func (b overviewBuilder) customers() ui.Chart {
	chart := b.chart("active", "Active customers")
	line := ui.Series{Name: "Customers", Look: ui.Plain}
	for _, p := range b.Months {
		line.Values = append(line.Values, p.Closing.Customers)
		line.Texts = append(line.Texts, count(p.Closing.Customers))
	}
	chart.Lines = []ui.Series{line}
	came, left := int64(0), int64(0)
	for _, p := range b.Months {
		came += p.Moved[analytics.New].Customers + p.Moved[analytics.Reactivation].Customers
		left -= p.Moved[analytics.Churn].Customers
	}
	chart.Finding = fmt.Sprintf("%s now; %s came and %s left in these months.", plural(b.ActiveCustomers, "customer", "customers"), count(came), count(left))
	if b.isPast {
		chart.Finding = fmt.Sprintf("%s at the end of %s; %s came and %s left in these months.",
			plural(b.ActiveCustomers, "customer", "customers"), b.last().Start.Format("January 2006"), count(came), count(left))
	}
	chart.Empty = "Nobody had MRR in these months."
	chart.Definition = "At the end of each month, customers with MRR; an organization counts once, however many subscriptions it has. Trials do not count."
	for _, v := range ui.TickValues(chart.Extent()) {
		chart.Ticks = append(chart.Ticks, ui.Tick{Value: v, Text: count(v)})
	}
	return chart
}

// shares are the plans by their part of MRR, in the order in which they are
// sold. Customers are only known as of now.
func (b overviewBuilder) shares() ui.ShareTable {
	table := ui.ShareTable{
		ID: "plan-shares", Title: "Plans by MRR", Heading: "Plan", TotalName: "All plans",
		Columns: []ui.Column{{Label: "MRR"}, {Label: "Share"}},
		Total:   []ui.Cell{{Text: b.micro(b.MRRMicro)}, {Text: percentage(b.MRRMicro, b.MRRMicro)}},
		Finding: "No plan carries MRR.",
	}
	if !b.isPast {
		table.Columns = append(table.Columns, ui.Column{Label: "Customers"})
		table.Total = append(table.Total, ui.Cell{Text: count(b.ActiveCustomers)})
		table.Definition = "Customers are those with MRR on the plan now; who has it on two counts for both."
	}
	sold := slices.Clone(b.Plans)
	slices.SortStableFunc(sold, func(x, y reports.PlanFigures) int { return cmp.Compare(b.rank(x.Plan), b.rank(y.Plan)) })
	var top reports.PlanFigures
	for i, p := range sold {
		cells := []ui.Cell{
			{Text: b.micro(p.MRRMicro), Note: signed(p.MRRMicro-p.OpeningMicro, b.micro)}, {Text: percentage(p.MRRMicro, b.MRRMicro)},
		}
		if !b.isPast {
			customers := ui.Cell{Text: count(p.Customers)}
			if p.Trialing > 0 {
				customers.Note = plural(p.Trialing, "trial", "trials")
			}
			cells = append(cells, customers)
		}
		table.Shares = append(table.Shares, ui.Share{Name: b.planName(p.Plan), Percent: ratio(p.MRRMicro, b.MRRMicro), Step: i + 1, Cells: cells})
		if p.MRRMicro > top.MRRMicro {
			top = p
		}
	}
	if b.MRRMicro > 0 {
		month := b.last().Start
		table.Finding = fmt.Sprintf("%s carries %s of MRR. Beneath each: what %s changed.",
			b.planName(top.Plan), percentage(top.MRRMicro, b.MRRMicro), monthName(month, b.AsOf))
	}
	return table
}

// rank is the place of a plan among those that are sold; others come after them.
func (b overviewBuilder) rank(code string) int {
	for i, plan := range b.plans.Plans {
		if plan.Code == code {
			return i
		}
	}
	return len(b.plans.Plans)
}

// signed is a difference with its sign.
func signed(by int64, format func(int64) string) string {
	if by > 0 {
		return "+" + format(by)
	}
	return format(by)
}

// planName is a plan as people know it.
func (b overviewBuilder) planName(code string) string {
	if plan, ok := b.plans.ByCode(code); ok {
		return plan.Name
	}
	if code == analytics.UnknownPlan {
		return "Unknown price"
	}
	return code
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// percentage has one decimal; a part of nothing is none.
func percentage(part, whole int64) string {
	if whole == 0 {
		return "n/a"
	}
	return fmt.Sprintf("%.1f%%", ratio(part, whole))
}

// failed is what became of the payments that failed in each month.
func (b overviewBuilder) failed() ui.Chart {
	chart := b.chart("failures", "Failed payments by what became of them")
	recovered := ui.Series{Name: "Recovered", Look: ui.Gain}
	retry := ui.Series{Name: "In retry", Look: ui.Quiet}
	lost := ui.Series{Name: "Lost", Look: ui.LossStriped}
	var all, back, asked reports.Invoices
	for _, m := range b.Failed {
		for _, s := range []struct {
			series   *ui.Series
			invoices reports.Invoices
		}{{&recovered, m.Recovered}, {&retry, m.InRetry}, {&lost, m.Lost}} {
			s.series.Values = append(s.series.Values, s.invoices.AmountMinor)
			s.series.Texts = append(s.series.Texts, b.minor(s.invoices.AmountMinor))
		}
		all, back, asked = all.Plus(m.Failed()), back.Plus(m.Recovered), asked.Plus(m.Asked)
	}
	chart.Columns = []ui.Series{recovered, retry, lost}
	chart.Finding = fmt.Sprintf("%s failed at the first try; %s of that was recovered.", b.worth(all), percentage(back.AmountMinor, all.AmountMinor))
	if all.Count == 0 {
		chart.Finding, chart.Empty = "No payment failed in these months.", "Nothing to recover: no renewal was declined."
	}
	if asked.Count > 0 {
		chart.Finding += fmt.Sprintf(" Not among them: %s that the customer was asked to confirm.", b.worth(asked))
	}
	chart.Definition = "Each renewal once, in the month in which its payment was declined first, with what was due then. The first invoice of a subscription is left out, and so is the first after a trial, known by being tried within three days of its end; what is voided is not owed and leaves the figure. Recovered is paid later by any means; lost is unpaid when the subscription ends, when the invoice is marked uncollectible, or sixty days after the last try. Where the bank asked for the customer's confirmation at the first try, the invoice is counted apart, whatever came after."
	return b.amounts(chart)
}

// chart is one without its series.
func (b overviewBuilder) chart(id, title string) ui.Chart {
	chart := ui.Chart{ID: id, Title: title, Heading: "Month"}
	for i, p := range b.Months {
		month := ui.Slot{Short: p.Start.Format("Jan"), Long: p.Start.Format("January 2006"), IsRunning: p.IsRunning}
		if p.Start.Month() == time.January || (i == 0 && b.hasRoomForTheFirstYear()) {
			month.Group = p.Start.Format("2006")
		}
		chart.Slots = append(chart.Slots, month)
	}
	return chart
}

// hasRoomForTheFirstYear: the name of the first year would otherwise run into
// that of the second.
func (b overviewBuilder) hasRoomForTheFirstYear() bool {
	untilJanuary := 13 - int(b.Months[0].Start.Month())
	return untilJanuary >= len(b.Months) || untilJanuary >= max(3, len(b.Months)/6)
}

// amounts gives a chart of amounts its lines across.
func (b overviewBuilder) amounts(chart ui.Chart) ui.Chart {
	for _, v := range ui.TickValues(chart.Extent()) {
		chart.Ticks = append(chart.Ticks, ui.Tick{Value: v, Text: money.FormatShort(v, b.Currency)})
	}
	return chart
}
