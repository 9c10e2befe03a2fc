package handlers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// The keys of a list of movements in an address: which kind, and after which one.
const (
	kindKey  = "kind"
	afterKey = "after"
)

var revenueSection = section{path: "/admin/billing/revenue", heading: "Revenue", converts: true, keys: []string{kindKey, afterKey}}

// adminRevenue shows MRR, what moved it, how much of it stays, and the movements
// one by one.
func (s *server) adminRevenue(c echo.Context) error {
	kind := analytics.MovementKind(c.QueryParam(kindKey))
	after, err := reports.ParseMovementKey(c.QueryParam(afterKey))
	if (kind != "" && !slices.Contains(reports.PlanKinds, kind)) || err != nil {
		query := c.QueryParams()
		query.Del(kindKey)
		query.Del(afterKey)
		return seeOther(c, withValues(revenueSection.path, query))
	}
	filter := reports.MovementFilter{After: after}
	if kind != "" {
		filter.Kinds = []analytics.MovementKind{kind}
	}
	read := func(ctx context.Context, query reports.Query) (reports.Revenue, error) {
		return s.Reports.Revenue(ctx, query, filter)
	}
	return figuresPage(s, c, revenueSection, read, func(r reports.Revenue, ask figuresAsk) templ.Component {
		return views.RevenueBody(s.revenueModel(r, ask))
	})
}

// revenuePage puts a report of revenue into words and drawings.
type revenuePage struct {
	reports.Revenue
	// drawing is of the periods, months of those that the rates are of.
	drawing, months drawing
}

func (s *server) revenueModel(r reports.Revenue, ask figuresAsk) views.Revenue {
	p := revenuePage{Revenue: r, drawing: drawing{r.Scope, ask}, months: monthly(r.Scope, ask, r.Rates)}
	m := views.Revenue{Figures: p.keyFigures(), Blank: s.noFigures(r.Scope)}
	if m.Blank.Title != "" {
		return m
	}
	m.Level, m.Movements, m.RollForward = p.level(), p.movements(), p.rollForward()
	m.Growth, m.Quick = p.growth(), p.quick()
	m.Retention, m.Trailing, m.Churn = p.retention(), p.trailing(), p.churn()
	m.RatesNote = ratesNote(r.Scope)
	m.Table = p.drawing.sheet("Revenue by period", revenueFigures, r.Points)
	m.Moves = s.movementList(r.Scope, r.Moved, ask)
	m.Outlook = views.OutlookSection(s.outlookModel(r.Scope, r.Ahead, ask))
	return m
}

// monthly draws the months that rates are of.
func monthly(scope reports.Scope, ask figuresAsk, points []analytics.Point) drawing {
	scope.Interval, scope.Periods = analytics.Monthly, nil
	for _, p := range points {
		scope.Periods = append(scope.Periods, p.Period)
	}
	return drawing{scope, ask}
}

// ratesNote says which months rates are of where the page shows other periods.
func ratesNote(scope reports.Scope) string {
	if scope.Interval == analytics.Monthly {
		return ""
	}
	first, last := scope.First(), scope.Last()
	months := "of " + first.Format("January 2006") + " as a whole"
	if first.Month() != last.Month() || first.Year() != last.Year() {
		months = "of the months from " + first.Format("January 2006") + " to " + last.Format("January 2006") + ", each as a whole"
	}
	return "Rates are of calendar months and of twelve months: here " + months + ", whatever days are shown above."
}

// noFigures says why there is nothing to show; zero where there is something.
func (s *server) noFigures(scope reports.Scope) views.Blank {
	if len(scope.Plans) > 0 {
		return views.Blank{}
	}
	return views.Blank{
		Title:  "Nobody pays yet",
		Text:   "Figures begin with the first period that is paid for, and appear here within seconds. To make one, open the prices in another window and buy a plan.",
		Action: ui.Action{Label: "Open the prices", Href: "/pricing"},
	}
}

// comparedName is how the periods that are compared with are called in a legend.
func comparedName(scope reports.Scope) string {
	if scope.Compare == reports.CompareYear {
		return "A year before"
	}
	return "The time before"
}

// earlier adds to a chart the figure of the periods that it is compared with, as
// a quiet second line.
func (d drawing) earlier(chart ui.Chart, metric string, before []analytics.Point) ui.Chart {
	if len(before) > 0 {
		chart.Lines = append(chart.Lines, d.line(metric, comparedName(d.scope), ui.Earlier, before))
	}
	return chart
}

// value is a figure of a point in words.
func (d drawing) value(metric string, p analytics.Point) string {
	m, ok := analytics.MetricByKey(metric)
	if !ok {
		return ""
	}
	v := m.Of(p)
	if !v.Defined() {
		return "n/a"
	}
	return d.text(v, m.Unit)
}

// spark is a figure over the points, as small as a word.
func (d drawing) spark(metric string, points []analytics.Point) ui.Spark {
	line := d.line(metric, "", ui.Plain, points)
	spark := ui.Spark{IsRunning: len(points) > 0 && points[len(points)-1].IsRunning}
	for i, v := range line.Values {
		if !line.Missing[i] {
			spark.Values = append(spark.Values, v)
		}
	}
	return spark
}

// keyFigure is the card of a figure: of one of the points, where it is explained,
// or of all of them together.
func (d drawing) keyFigure(metric, label string, p analytics.Point, points []analytics.Point) ui.KeyFigure {
	m, _ := analytics.MetricByKey(metric)
	var of *analytics.Period
	if slices.ContainsFunc(points, func(one analytics.Point) bool { return one.Period == p.Period }) {
		of = &p.Period
	}
	f := ui.KeyFigure{
		Label: label, Value: d.value(metric, p), Spark: d.spark(metric, points),
		Explain: explainHref(metric, d.ask, of),
	}
	if v := m.Of(p); !v.Defined() && v.Note != "" {
		f.Note = upperFirst(v.Note) + "."
	}
	return f
}

// lastWhole is the last point whose period is over, or the last one where none
// is.
func lastWhole(points []analytics.Point) analytics.Point {
	for _, p := range slices.Backward(points) {
		if !p.IsRunning {
			return p
		}
	}
	if len(points) == 0 {
		return analytics.Point{}
	}
	return points[len(points)-1]
}

func (p revenuePage) micro(micro int64) string { return money.FormatMicro(micro, p.Currency) }

// last is the last period that is shown, in running text: "November 2026 so far".
func (p revenuePage) last() string {
	return soFar(p.Periods[len(p.Periods)-1], p.Interval)
}

func soFar(period analytics.Period, interval analytics.Interval) string {
	name := periodName(period, interval)
	if period.IsRunning {
		name += " so far"
	}
	return name
}

func (p revenuePage) keyFigures() []ui.KeyFigure {
	sum, month := p.Sum(), lastWhole(p.Rates)
	level := p.drawing.keyFigure("mrr", "MRR", sum, p.Points)
	level.Note = "ARR " + p.drawing.value("arr", sum)
	level.Delta = compare(sum.NetNewMicro(), p.micro, "when "+periodName(p.Periods[0], p.Interval)+" began", ui.Good, ui.Bad)
	net := p.drawing.keyFigure("netNew", "Net new MRR", sum, p.Points)
	net.Note = "In " + spanOf(p.Scope) + "."
	if before := analytics.Sum(p.Before); len(p.Before) > 0 {
		level.Delta = compare(sum.Closing.MRRMicro-before.Closing.MRRMicro, p.micro, lowerFirst(comparedName(p.Scope)), ui.Good, ui.Bad)
		net.Delta = compare(sum.NetNewMicro()-before.NetNewMicro(), p.micro, lowerFirst(comparedName(p.Scope)), ui.Good, ui.Bad)
	}
	nrr := p.months.keyFigure("nrrYear", "Net revenue retention", month, p.Rates)
	grr := p.months.keyFigure("grrYear", "Gross revenue retention", month, p.Rates)
	for _, f := range []*ui.KeyFigure{&nrr, &grr} {
		if f.Note == "" {
			f.Note = "Over the twelve months to " + soFar(month.Period, analytics.Monthly) + "."
		}
	}
	return []ui.KeyFigure{level, net, nrr, grr}
}

// spanOf is the range in words: "12 months".
func spanOf(scope reports.Scope) string {
	nouns := intervalNouns[scope.Interval]
	return plural(int64(len(scope.Periods)), nouns[0], nouns[1])
}

// level is the line of MRR, with what of it is committed and what trials would
// add.
func (p revenuePage) level() ui.Chart {
	chart := p.drawing.chart("mrr", "Monthly recurring revenue", "mrr")
	chart.Lines = []ui.Series{
		p.drawing.line("mrr", "MRR", ui.Plain, p.Points),
		p.drawing.line("committedMrr", "Committed", ui.Dashed, p.Points),
		p.drawing.line("trialMrr", "Trials", ui.Quiet, p.Points),
	}
	chart = p.drawing.earlier(chart, "mrr", p.Before)
	sum := p.Sum()
	chart.Finding = fmt.Sprintf("%s at the end of %s: %s a year. ", p.micro(sum.Closing.MRRMicro), p.last(), p.drawing.value("arr", sum))
	if sum.IsRunning {
		chart.Finding = fmt.Sprintf("%s now: %s a year. ", p.micro(sum.Closing.MRRMicro), p.drawing.value("arr", sum))
	}
	switch {
	case sum.EndingMicro > 0 && sum.TrialMicro > 0:
		chart.Finding += fmt.Sprintf("The end of %s is scheduled; trials would add %s.", p.micro(sum.EndingMicro), p.micro(sum.TrialMicro))
	case sum.EndingMicro > 0:
		chart.Finding += fmt.Sprintf("The end of %s is scheduled.", p.micro(sum.EndingMicro))
	case sum.TrialMicro > 0:
		chart.Finding += fmt.Sprintf("Trials under way would add %s.", p.micro(sum.TrialMicro))
	default:
		chart.Finding += "No end is scheduled, and no trial is under way."
	}
	chart.Empty = "There was no MRR in this time."
	chart.Definition += " Committed is without what is scheduled to end; trials are what those under way would be worth."
	return p.drawing.ticked(chart, analytics.Money)
}

// movements are what moved MRR in each period: gains from nought up, losses from
// nought down.
func (p revenuePage) movements() ui.Chart {
	chart := p.drawing.chart("movements", "Movements of MRR", "netNew")
	add := func(name string, look ui.Look, of func(analytics.Point) int64) {
		series := ui.Series{Name: name, Look: look}
		isAny := false
		for _, point := range p.Points {
			micro := of(point)
			isAny = isAny || micro != 0
			series.Values, series.Texts = append(series.Values, micro), append(series.Texts, p.micro(micro))
		}
		if isAny || look != ui.Quiet {
			chart.Columns = append(chart.Columns, series)
		}
	}
	for _, m := range movementSeries {
		add(m.name, m.look, func(point analytics.Point) int64 { return point.Moved[m.kind].MRRMicro })
	}
	if p.Plan != "" { // of the account they add up to nothing
		add("Changes of plan", ui.Quiet, transferred)
	} else {
		add("Exchange rates", ui.Quiet, func(point analytics.Point) int64 { return point.FXMicro })
	}
	chart.Marks = []ui.Series{p.drawing.line("netNew", "Net", ui.Strong, p.Points)}
	sum := p.Sum()
	var gained, lost int64
	for _, moved := range sum.Moved {
		gained, lost = gained+max(moved.MRRMicro, 0), lost-min(moved.MRRMicro, 0)
	}
	chart.Finding = fmt.Sprintf("%s gained, %s lost, %s net in %s.", p.micro(gained), p.micro(lost), p.micro(sum.NetNewMicro()), spanOf(p.Scope))
	chart.Empty = "Nobody came, left or changed plans in this time."
	chart.Definition = "By customer and day, from the balance at its beginning to that at its end. Who comes back is a reactivation, however long they were away; who leaves the last plan is churn on the day the subscription ends."
	chart.CSV = exportHref("movements", p.drawing.ask)
	return p.drawing.ticked(chart, analytics.Money)
}

// transferred is what a plan gained from other plans, less what it lost to them.
func transferred(p analytics.Point) int64 {
	return p.Moved[analytics.TransferIn].MRRMicro + p.Moved[analytics.TransferOut].MRRMicro
}

// rollForward is how the range got from its first MRR to its last.
func (p revenuePage) rollForward() ui.Waterfall {
	sum := p.Sum()
	w := ui.Waterfall{
		ID: "waterfall", Title: "From the opening to the closing MRR", Heading: "Movement",
		Explain: explainHref("mrr", p.drawing.ask, nil), CSV: exportHref("movements", p.drawing.ask),
		Definition: "The opening MRR and all movements add up to the closing one, to the last digit.",
	}
	total := func(name string, micro int64) {
		w.Steps = append(w.Steps, ui.WaterfallStep{Name: name, Value: micro, Text: p.micro(micro), IsTotal: true})
	}
	step := func(name string, micro int64, look ui.Look, metric string) {
		s := ui.WaterfallStep{Name: name, Value: micro, Text: signed(micro, p.micro), Look: look}
		if metric != "" {
			s.Href = explainHref(metric, p.drawing.ask, nil)
		}
		w.Steps = append(w.Steps, s)
	}
	total("Opening", sum.Opening.MRRMicro)
	for _, m := range movementSeries {
		step(m.name, sum.Moved[m.kind].MRRMicro, m.look, string(m.kind))
	}
	if by := transferred(sum); p.Plan != "" && by != 0 {
		step("Changes of plan", by, ui.Quiet, "")
	}
	if sum.FXMicro != 0 {
		step("Exchange rates", sum.FXMicro, ui.Quiet, "")
	}
	total("Closing", sum.Closing.MRRMicro)
	switch by := sum.Closing.MRRMicro - sum.Opening.MRRMicro; {
	case by > 0:
		w.Finding = fmt.Sprintf("MRR grew by %s, from %s to %s.", p.micro(by), p.micro(sum.Opening.MRRMicro), p.micro(sum.Closing.MRRMicro))
	case by < 0:
		w.Finding = fmt.Sprintf("MRR fell by %s, from %s to %s.", p.micro(-by), p.micro(sum.Opening.MRRMicro), p.micro(sum.Closing.MRRMicro))
	default:
		w.Finding = fmt.Sprintf("MRR is %s, as it was.", p.micro(sum.Closing.MRRMicro))
	}
	if sum.FXMicro != 0 {
		w.Finding += fmt.Sprintf(" Exchange rates did %s of that.", signed(sum.FXMicro, p.micro))
	}
	return w
}

func (p revenuePage) growth() ui.Chart {
	chart := p.drawing.chart("growth", "Growth of MRR", "growth")
	chart.Lines = []ui.Series{p.drawing.line("growth", "Growth", ui.Plain, p.Points)}
	chart = p.drawing.earlier(chart, "growth", p.Before)
	chart.References = []ui.Tick{{Value: 0, Text: "0%"}}
	last := p.Points[len(p.Points)-1]
	chart.Finding = fmt.Sprintf("%s in %s.", p.drawing.value("growth", last), p.last())
	if all := p.drawing.value("growth", p.Sum()); all != "n/a" {
		chart.Finding = fmt.Sprintf("%s in %s; %s in %s.", p.drawing.value("growth", last), p.last(), all, spanOf(p.Scope))
	}
	chart.Empty = "There is no MRR yet that could have grown."
	return p.drawing.ticked(chart, analytics.Ratio)
}

// quickDrawn is up to which a quick ratio is drawn: where next to nothing is lost
// it has no bounds, and would press all others to the ground.
const quickDrawn = 10 * millionths

func (p revenuePage) quick() ui.Chart {
	chart := p.drawing.chart("quick", "Quick ratio", "quickRatio")
	chart.Lines = []ui.Series{p.drawing.line("quickRatio", "Quick ratio", ui.Plain, p.Points)}
	chart = p.drawing.earlier(chart, "quickRatio", p.Before)
	isCut := false
	for _, line := range chart.Lines {
		for i, v := range line.Values {
			if v > quickDrawn {
				line.Values[i], isCut = quickDrawn, true
			}
		}
	}
	if isCut {
		chart.Definition += " What is more than 10 is drawn as 10."
	}
	chart.References = []ui.Tick{{Value: millionths, Text: "1: no growth"}, {Value: 4 * millionths, Text: "4"}}
	chart.Finding = "Nothing was lost in this time."
	if ratio := p.drawing.value("quickRatio", p.Sum()); ratio != "n/a" {
		chart.Finding = fmt.Sprintf("%s gained for each 1.00 lost, reactivations not counted. There is a gap where nothing was lost.", ratio)
	}
	chart.Empty = "Nothing was lost in this time, so there is nothing to divide by."
	return p.drawing.ticked(chart, analytics.Quotient)
}

func (p revenuePage) retention() ui.Chart {
	chart := p.months.chart("retained", "Net and gross revenue retention by month", "nrr")
	chart.Lines = []ui.Series{p.months.line("nrr", "Net", ui.Plain, p.Rates), p.months.line("grr", "Gross", ui.Dashed, p.Rates)}
	if p.Interval == analytics.Monthly {
		chart = p.months.earlier(chart, "nrr", p.Before)
	}
	month := lastWhole(p.Rates)
	chart.Finding = fmt.Sprintf("Of the MRR that was there when %s began, %s was left at its end, and %s of it without what anybody added.",
		soFar(month.Period, analytics.Monthly), p.months.value("nrr", month), p.months.value("grr", month))
	if p.months.value("nrr", month) == "n/a" {
		chart.Finding = "Nobody had MRR when " + soFar(month.Period, analytics.Monthly) + " began."
	}
	return p.hundred(chart)
}

func (p revenuePage) trailing() ui.Chart {
	chart := p.months.chart("retained-year", "Net and gross revenue retention over twelve months", "nrrYear")
	chart.Lines = []ui.Series{p.months.line("nrrYear", "Net", ui.Plain, p.Rates), p.months.line("grrYear", "Gross", ui.Dashed, p.Rates)}
	month := lastWhole(p.Rates)
	chart.Finding = fmt.Sprintf("Over the twelve months to %s: %s net, %s gross.", soFar(month.Period, analytics.Monthly), p.months.value("nrrYear", month), p.months.value("grrYear", month))
	if p.months.value("nrrYear", month) == "n/a" {
		chart.Finding = "Nobody had MRR twelve months before the end of " + periodName(month.Period, analytics.Monthly) + "."
	}
	return p.hundred(chart)
}

// hundred is a chart of retention, with the line at which everything stays.
func (p revenuePage) hundred(chart ui.Chart) ui.Chart {
	chart.References = []ui.Tick{{Value: millionths, Text: "100%"}}
	chart.Empty = "It needs customers who had MRR before."
	return p.months.ticked(chart, analytics.Ratio)
}

// churn is what left, by whether it was wanted, with all that was lost and what
// is left of that after expansions.
func (p revenuePage) churn() ui.Chart {
	chart := p.months.chart("lost", "Revenue churn", "revenueChurn")
	chart.Columns = []ui.Series{
		p.months.line("voluntaryRevenueChurn", "Left", ui.Loss, p.Rates),
		p.months.line("involuntaryRevenueChurn", "Did not pay", ui.LossStriped, p.Rates),
	}
	chart.Lines = []ui.Series{
		p.months.line("revenueChurn", "Gross, with downgrades", ui.Strong, p.Rates), p.months.line("netRevenueChurn", "Net of expansions", ui.Dashed, p.Rates),
	}
	month := lastWhole(p.Rates)
	chart.Finding = fmt.Sprintf("%s: %s gross, of which %s left and %s did not pay; %s net.", upperFirst(soFar(month.Period, analytics.Monthly)), p.months.value("revenueChurn", month),
		p.months.value("voluntaryRevenueChurn", month), p.months.value("involuntaryRevenueChurn", month), p.months.value("netRevenueChurn", month))
	if p.months.value("revenueChurn", month) == "n/a" {
		chart.Finding = "Nobody had MRR when " + soFar(month.Period, analytics.Monthly) + " began."
	}
	chart.Empty = "Nothing was lost in these months."
	return p.months.ticked(chart, analytics.Ratio)
}

// revenueFigures are those of the table, by key.
var revenueFigures = []string{
	"mrr", "arr", "committedMrr", "trialMrr", "new", "reactivation", "expansion", "contraction", "churn", "netNew", "growth", "quickRatio",
	"nrr", "grr", "nrrYear", "grrYear", "revenueChurn", "voluntaryRevenueChurn", "involuntaryRevenueChurn", "netRevenueChurn",
}

// sheetPeriods is how many periods a table of figures has: a year and the month
// that it is compared with.
const sheetPeriods = 13

// sheet is a table of figures by period, each with the way to its explanation.
func (d drawing) sheet(caption string, keys []string, points []analytics.Point) views.FigureSheet {
	sheet := views.FigureSheet{CSV: exportHref("figures", d.ask)}
	if surplus := len(points) - sheetPeriods; surplus > 0 {
		points = points[surplus:]
		nouns := intervalNouns[d.scope.Interval]
		sheet.Note = fmt.Sprintf("The last %s; the file has all %d.", plural(sheetPeriods, nouns[0], nouns[1]), surplus+sheetPeriods)
	}
	sheet.Table = ui.Table{Caption: caption, Columns: []ui.Column{{Label: "Figure", Short: true}}, Empty: "There is no period to show."}
	layout := map[analytics.Interval]string{analytics.Daily: "2 Jan", analytics.Weekly: "2 Jan", analytics.Monthly: "Jan 2006"}[d.scope.Interval]
	points = slices.Clone(points)
	slices.Reverse(points) // what is newest is what is looked for
	for _, p := range points {
		label := p.Start.Format(layout)
		if p.IsRunning {
			label += " so far"
		}
		sheet.Table.Columns = append(sheet.Table.Columns, ui.Column{Label: label, Numeric: true})
	}
	for _, key := range keys {
		m, ok := analytics.MetricByKey(key)
		if !ok || (m.WholeMonths && d.scope.Interval != analytics.Monthly) {
			continue
		}
		row := ui.Row{{Text: m.Name, Title: m.Definition, Href: explainHref(key, d.ask, nil)}}
		for _, p := range points {
			cell := ui.Cell{Text: d.value(key, p)}
			if v := m.Of(p); v.Defined() {
				cell.Href = explainHref(key, d.ask, &p.Period)
			} else {
				cell.Title = v.Note
			}
			row = append(row, cell)
		}
		sheet.Table.Rows = append(sheet.Table.Rows, row)
	}
	return sheet
}

// movementList is a page of movements with the ways to narrow and to turn it.
func (s *server) movementList(scope reports.Scope, page reports.MovementPage, ask figuresAsk) views.MovementList {
	kind := analytics.MovementKind(ask.value(kindKey))
	list := views.MovementList{CSV: exportHref("movements", ask), Empty: "Nothing moved in this time.", List: ui.List{
		Caption: "Movements, newest first",
		Columns: listColumns(ui.Column{Label: "Customer"}, ui.Column{Label: "Day", Short: true}, ui.Column{Label: "Kind", Short: true},
			ui.Column{Label: "Plan", Short: true}, ui.Column{Label: "Amount", Numeric: true}, ui.Column{Label: "Because of"}),
	}}
	if kind != "" {
		list.Empty = "Nothing moved in this way in this time."
	}
	first := ask
	first.extra = nil // the first page of all kinds
	kinds := reports.AccountKinds
	if scope.Plan != "" {
		kinds = reports.PlanKinds
	}
	list.Kinds = []views.ViewLink{{Text: "All", Href: first.here(), IsCurrent: kind == ""}}
	for _, k := range kinds {
		list.Kinds = append(list.Kinds, views.ViewLink{Text: kindName(k), Href: first.with(kindKey, string(k)), IsCurrent: kind == k})
	}
	for _, m := range page.Movements {
		list.List.Rows = append(list.List.Rows, ui.ListRow{Href: customerHref(m.ID), Cells: []ui.Cell{
			customerCell(m.Customer),
			{Instant: dayInstant(m.Day)},
			{Text: kindName(m.Kind)},
			{Text: s.planName(m.Plan)},
			{Text: signed(m.AmountMicro, func(micro int64) string { return money.FormatMicro(micro, scope.Currency) })},
			{Text: upperFirst(reasonText(m.Reason))},
		}})
	}
	if !page.Older.IsZero() {
		list.Older = ask.with(afterKey, page.Older.String())
	}
	if ask.value(afterKey) != "" {
		list.Newest = ask.with(afterKey, "")
	}
	return list
}

func listColumns(columns ...ui.Column) []ui.ListColumn {
	out := make([]ui.ListColumn, len(columns))
	for i, c := range columns {
		out[i].Column = c
	}
	return out
}

// kindName is what a movement is called, those between plans too.
func kindName(kind analytics.MovementKind) string {
	switch kind {
	case analytics.TransferIn:
		return "From another plan"
	case analytics.TransferOut:
		return "To another plan"
	case analytics.New, analytics.Reactivation, analytics.Expansion, analytics.Contraction, analytics.Churn:
	}
	return movementNames[kind]
}

// reasonText is why something moved: "a purchase".
func reasonText(reason analytics.Reason) string {
	if text, ok := movementReasons[reason]; ok {
		return text
	}
	return "other reasons"
}

// customerHref is the page of a customer: an organization's, or that of one at
// Stripe whom none owns.
func customerHref(id string) string { return "/admin/billing/organizations/" + id }

// customerCell names a customer and leads to its page.
func customerCell(c reports.Customer) ui.Cell {
	cell := ui.Cell{Text: c.Name, Href: customerHref(c.ID)}
	if c.Name == "" {
		cell.Text, cell.Code = c.ID, true
	}
	return cell
}

// dayInstant is a day of the figures, which has no time.
func dayInstant(day time.Time) ui.Instant {
	return ui.Instant{Text: date(day), Title: day.Format("Monday, 2 January 2006"), ISO: day.Format(time.DateOnly)}
}
