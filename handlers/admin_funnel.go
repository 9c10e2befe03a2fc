package handlers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// A look at the prices has no currency.
var funnelSection = section{path: "/admin/billing/funnel", heading: "Funnel", without: []string{"currency"}}

// adminFunnel shows how far those come who look at the prices.
func (s *server) adminFunnel(c echo.Context) error {
	return figuresPage(s, c, funnelSection, s.Reports.Funnel, func(r reports.Funnel, ask figuresAsk) templ.Component {
		return views.FunnelBody(s.funnelModel(r, ask))
	})
}

// funnelPage puts a report of the funnel into words and drawings.
type funnelPage struct {
	reports.Funnel
	drawing
	sum analytics.Funnel
	// plan is the name of the one that is asked for; empty: all.
	plan string
}

func (s *server) funnelModel(r reports.Funnel, ask figuresAsk) views.Funnel {
	if r.Began.IsZero() {
		return views.Funnel{Blank: views.Blank{
			Title: "Nobody has looked at the prices yet",
			Text: "Visitors are counted from the first look at the pricing page on. Looks of administrators, of programs, and of browsers that send " +
				"Global Privacy Control or Do Not Track are not: to see one, open the prices in a private window of another browser.",
			Action: ui.Action{Label: "Open the prices", Href: "/pricing"},
		}}
	}
	p := funnelPage{Funnel: r, drawing: drawing{r.Scope, ask}, sum: r.Sum()}
	if r.Plan != "" {
		p.plan = s.planName(r.Plan)
	}
	m := views.Funnel{
		Figures: p.keyFigures(), Steps: p.steps(), Direct: p.direct(), Windows: windows, Rates: p.rates(), Visitors: p.visitors(), Table: p.table(),
	}
	m.Plans, m.PlansNote = s.funnelPlans(p)
	return m
}

// windows says what the definition of the funnel pins (metrics.md 1.10).
const windows = "A visitor counts once, on the day of the look: who looks again within thirty days has not come anew. A checkout counts that is completed within seven days of the look, " +
	"and a payment up to fourteen days after the end of the trial or, without a trial, after the checkout. Whatever comes later is not counted. Medians are right within 5%."

// funnelStep names a step.
type funnelStep struct {
	step analytics.FunnelStep
	name string
	// metric is the rate of those who reached it, and of says of whom.
	metric, of string
}

var funnelSteps = []funnelStep{
	{analytics.FunnelViewed, "Looked at the prices", "visitors", ""},
	{analytics.FunnelStarted, "Began a checkout", "checkoutStartRate", "of visitors"},
	{analytics.FunnelCompleted, "Completed it", "checkoutCompletionRate", "of those begun"},
	{analytics.FunnelActivated, "On trial or active", "activationRate", "of completed"},
	{analytics.FunnelPaid, "Paid", "firstPaymentRate", "of active"},
}

// point is all that is shown together.
func (p funnelPage) point() analytics.Point { return analytics.Sum(p.Points) }

func (p funnelPage) keyFigures() []ui.KeyFigure {
	sum := p.point()
	visitors := p.keyFigure("visitors", "Visitors", sum, p.Points)
	conversion := p.keyFigure("visitorConversion", "Became paying", sum, p.Points)
	if p.IsOfPlan() {
		conversion.Note = "Nobody knows which plan a look at the prices was for."
		visitors.Note = conversion.Note
	} else if n := p.sum.Prices[analytics.FunnelViewed]; n > 0 {
		conversion.Note = fmt.Sprintf("%s of %s.", count(p.sum.Prices[analytics.FunnelPaid]), plural(n, "visitor", "visitors"))
	}
	conversion.Note += p.provisional(sum.Funnel, analytics.FunnelPaid)
	began := p.keyFigure("checkoutStartRate", "Began a checkout", sum, p.Points)
	if p.IsOfPlan() {
		began = ui.KeyFigure{Label: "Checkouts begun", Value: count(p.sum.Prices[analytics.FunnelStarted]), Note: "After a look at the prices."}
	}
	took := ui.KeyFigure{Label: "From the look to the payment", Value: "n/a", Note: "Nobody has paid yet."}
	if median := p.Took[analytics.FunnelViewed]; median != nil {
		took.Value, took.Note = tookInWords(*median), "Half of those who paid took no longer."
	}
	for _, f := range []struct {
		key    *ui.KeyFigure
		metric string
	}{{&conversion, "visitorConversion"}, {&began, "checkoutStartRate"}} {
		if len(p.Before) > 0 && !p.IsOfPlan() {
			f.key.Delta = p.changeOfRate(f.metric, sum, analytics.Sum(p.Before))
		}
	}
	if len(p.Before) > 0 && !p.IsOfPlan() {
		before := p.SumBefore()
		visitors.Delta = compareCounts(p.sum.Prices[analytics.FunnelViewed]-before.Prices[analytics.FunnelViewed], lowerFirst(comparedName(p.Scope)), ui.Good, ui.Bad)
	}
	return []ui.KeyFigure{visitors, began, conversion, took}
}

// IsOfPlan says that the page is of one plan.
func (p funnelPage) IsOfPlan() bool { return p.Plan != "" }

// changeOfRate compares a rate with that of an earlier time, in points.
func (p funnelPage) changeOfRate(metric string, now, then analytics.Point) ui.Delta {
	is, was := valueOf(metric, now), valueOf(metric, then)
	if !is.Defined() || !was.Defined() {
		return ui.Delta{Text: "Nothing to compare with " + lowerFirst(comparedName(p.Scope))}
	}
	by := drawn(is, analytics.Ratio) - drawn(was, analytics.Ratio)
	return compare(by, func(n int64) string { return fmt.Sprintf("%.1f points", float64(n)*100/millionths) }, lowerFirst(comparedName(p.Scope)), ui.Good, ui.Bad)
}

// provisional says how many may still reach a step; empty: nobody.
func (p funnelPage) provisional(f *analytics.Funnel, step analytics.FunnelStep) string {
	if f == nil {
		return ""
	}
	n := f.PendingCheckouts
	if step > analytics.FunnelCompleted {
		n += f.PendingPayments
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" Provisional: %s time left.", plural(n, "still has", "still have"))
}

// steps are the bars of those who began with the prices; of one plan, from the
// checkout on.
func (p funnelPage) steps() ui.Bars {
	bars := ui.Bars{
		ID: "funnel-steps", Title: "Steps from the prices to a payment", Heading: "Step", ValueHeading: "Visitors",
		Columns: []ui.Column{{Label: "Of all", Numeric: true, Wide: true}},
		Empty:   "Nobody looked at the prices in this time.", Explain: explainHref("visitorConversion", p.ask, nil), CSV: exportHref("funnel", p.ask),
	}
	if p.IsOfPlan() {
		bars.Empty = "Nobody who looked at the prices began a checkout for " + p.plan + " in this time."
	}
	first := analytics.FunnelViewed
	if p.IsOfPlan() {
		first = analytics.FunnelStarted
	}
	bars.Rows = p.bars(p.sum.Prices, first, p.Took)
	bars.Finding = p.finding(first)
	return bars
}

// bars are a row a step from the first on.
func (p funnelPage) bars(counts analytics.FunnelCounts, first analytics.FunnelStep, took reports.FunnelTimes) []ui.Bar {
	if counts[first] == 0 {
		return nil
	}
	var rows []ui.Bar
	for _, s := range funnelSteps {
		if s.step < first {
			continue
		}
		row := ui.Bar{Name: s.name, Value: counts[s.step], Text: count(counts[s.step]), Href: explainHref(s.metric, p.ask, nil), Cells: []ui.Cell{{}}}
		if s.step > first {
			row.ShareOf = s.of
			row.Share = percentage(counts[s.step], counts[s.step-1])
			row.Cells[0].Text = percentage(counts[s.step], counts[first])
			if median := took[s.step]; median != nil {
				row.Note = "Half took up to " + tookInWords(*median)
				if *median == 0 {
					row.Note = "Half of them at once"
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func (p funnelPage) finding(first analytics.FunnelStep) string {
	all, paid := p.sum.Prices[first], p.sum.Prices[analytics.FunnelPaid]
	who := plural(all, "visitor who looked at the prices", "visitors who looked at the prices")
	if p.IsOfPlan() {
		who = plural(all, "visitor who began a checkout for "+p.plan, "visitors who began a checkout for "+p.plan)
	}
	if all == 0 {
		return "Nobody came in this time."
	}
	finding := fmt.Sprintf("Of %s, %s paid: %s.", who, count(paid), percentage(paid, all))
	worst, lost := first, int64(0)
	for _, s := range funnelSteps {
		if s.step > first && p.sum.Prices[s.step-1] > 0 {
			if gone := p.sum.Prices[s.step-1] - p.sum.Prices[s.step]; gone > lost {
				worst, lost = s.step, gone
			}
		}
	}
	if lost > 0 {
		finding += fmt.Sprintf(" Most, %s, are lost before %s.", count(lost), lowerFirst(stepNouns[worst]))
	}
	return finding + p.provisional(&p.sum, analytics.FunnelPaid)
}

// stepNouns are the steps as what somebody is lost before.
var stepNouns = map[analytics.FunnelStep]string{
	analytics.FunnelStarted: "a checkout", analytics.FunnelCompleted: "the end of the checkout", analytics.FunnelActivated: "the plan begins",
	analytics.FunnelPaid: "the first payment",
}

// direct are the bars of those who began with a checkout.
func (p funnelPage) direct() ui.Bars {
	bars := ui.Bars{
		ID: "funnel-direct", Title: "Steps of those who began with a checkout", Heading: "Step", ValueHeading: "Customers",
		Columns:    []ui.Column{{Label: "Of all", Numeric: true, Wide: true}},
		Definition: "They came by a link of their own, returned after more than thirty days, or do not want to be counted. With them in the steps above there would be more checkouts than looks; they are no part of any rate above.",
		Empty:      "Everybody who began a checkout in this time had looked at the prices.", CSV: exportHref("funnel", p.ask),
	}
	bars.Rows = p.bars(p.sum.Direct, analytics.FunnelStarted, p.TookDirect)
	for i := range bars.Rows {
		bars.Rows[i].Href = ""
	}
	all := p.sum.Direct[analytics.FunnelStarted]
	bars.Finding = "Nobody began a checkout without a look at the prices."
	if all > 0 {
		paid := p.sum.Direct[analytics.FunnelPaid]
		bars.Finding = fmt.Sprintf("%s without a look at the prices, and %s paid: %s.", plural(all, "checkout was begun", "checkouts were begun"), count(paid), percentage(paid, all))
	}
	return bars
}

// fewVisitors is below how many a rate is greyed.
const fewVisitors = 30

// rates are the rates of those who entered in each period.
func (p funnelPage) rates() ui.Chart {
	metric, name, first := "visitorConversion", "Paid, of those who looked", analytics.FunnelViewed
	second, secondName := "checkoutStartRate", "Began a checkout"
	if p.IsOfPlan() {
		metric, name, first = "firstPaymentRate", "Paid, of those on trial or active", analytics.FunnelActivated
		second, secondName = "checkoutCompletionRate", "Completed, of those who began"
	}
	chart := p.chart("funnel-rates", "Conversion by period", metric)
	paid, began := p.line(metric, name, ui.Plain, p.Points), p.line(second, secondName, ui.Dashed, p.Points)
	hasFew, provisional := false, 0
	for i, point := range p.Points {
		n := point.Funnel.Prices[first]
		isFew := n > 0 && n < fewVisitors
		hasFew = hasFew || isFew
		paid.Soft, began.Soft = append(paid.Soft, isFew), append(began.Soft, isFew)
		if valueOf(metric, point).Note == "provisional" {
			paid.Texts[i] += ", provisional"
			provisional++
		}
		if valueOf(second, point).Note == "provisional" {
			began.Texts[i] += ", provisional"
		}
	}
	chart.Lines = []ui.Series{paid, began}
	chart = p.earlier(chart, metric, p.Before)
	chart.CSV = exportHref("funnel", p.ask)
	chart.Empty = "There is no rate in this time: nobody came."
	chart.Finding = fmt.Sprintf("%s over the whole of this time: %s.", name, p.value(metric, p.point()))
	if provisional > 0 {
		nouns := intervalNouns[p.scope.Interval]
		last := nouns[0]
		if provisional > 1 {
			last = count(int64(provisional)) + " " + nouns[1]
		}
		chart.Finding += fmt.Sprintf(" What is of the last %s is provisional: it is not over for everybody.", last)
	}
	if hasFew {
		chart.Definition += fmt.Sprintf(" Where there were fewer than %d it is greyed.", fewVisitors)
	}
	return p.ticked(chart, analytics.Ratio)
}

// visitors are who entered in each period, by how they began.
func (p funnelPage) visitors() ui.Chart {
	chart := p.chart("funnel-visitors", "Visitors by period", "visitors")
	looked, direct := ui.Series{Name: "Looked at the prices", Look: ui.Plain}, ui.Series{Name: "Straight to the checkout", Look: ui.Quiet}
	step := analytics.FunnelViewed
	if p.IsOfPlan() {
		step, looked.Name = analytics.FunnelStarted, "Checkout after a look at the prices"
		chart.Title, chart.Definition, chart.Explain = "Checkouts by period", "Who began a checkout for "+p.plan+", by whether a look at the prices goes before.", ""
	}
	for _, point := range p.Points {
		for series, n := range map[*ui.Series]int64{&looked: point.Funnel.Prices[step], &direct: point.Funnel.Direct[analytics.FunnelStarted]} {
			series.Values, series.Texts = append(series.Values, n), append(series.Texts, count(n))
		}
	}
	chart.Columns = []ui.Series{looked, direct}
	chart.CSV = exportHref("funnel", p.ask)
	chart.Empty = "Nobody came in this time."
	chart.Finding = fmt.Sprintf("%s, and %s.", plural(p.sum.Prices[step], "visitor looked at the prices", "visitors looked at the prices"),
		plural(p.sum.Direct[analytics.FunnelStarted], "began a checkout without a look", "began a checkout without a look"))
	if p.IsOfPlan() {
		chart.Finding = fmt.Sprintf("%s for %s.", plural(p.sum.Prices[step]+p.sum.Direct[step], "checkout was begun", "checkouts were begun"), p.plan)
	}
	return p.ticked(chart, analytics.Count)
}

// funnelPlans are those who began a checkout, by what it was for.
func (s *server) funnelPlans(p funnelPage) (ui.Table, string) {
	table := ui.Table{
		Caption: "The funnel by plan", Empty: "Nobody began a checkout in this time.",
		Columns: []ui.Column{
			{Label: "Plan", Short: true},
			{Label: "Began", Numeric: true},
			{Label: "Completed", Numeric: true},
			{Label: "On trial or active", Numeric: true},
			{Label: "Paid", Numeric: true},
		},
	}
	codes := make([]string, len(p.Plans))
	for i, plan := range p.Plans {
		codes[i] = plan.Plan
	}
	var all analytics.FunnelCounts
	cells := func(counts analytics.FunnelCounts) []ui.Cell {
		out := []ui.Cell{{Text: count(counts[analytics.FunnelStarted])}}
		for step := analytics.FunnelCompleted; step <= analytics.FunnelPaid; step++ {
			out = append(out, ui.Cell{Text: count(counts[step]), Note: percentage(counts[step], counts[step-1])})
		}
		return out
	}
	for _, code := range sortedPlans(s.Plans, codes) {
		plan := p.Plans[slices.Index(codes, code)]
		counts := plan.Prices.Plus(plan.Direct)
		all = all.Plus(counts)
		ask := p.ask
		ask.plan = code
		table.Rows = append(table.Rows, append(ui.Row{{Text: s.planName(code), Href: ask.href(funnelSection.path)}}, cells(counts)...))
	}
	if len(table.Rows) > 1 {
		table.Footer = append(ui.Row{{Text: "All plans"}}, cells(all)...)
	}
	return table, "All who began a checkout, whether or not a look at the prices goes before. Shares are of the step before. Who began more than one checkout counts for the one that came furthest."
}

// table has the counts and rates of each period.
func (p funnelPage) table() views.FigureSheet {
	sheet := p.sheet("The funnel by period", []string{"checkoutStartRate", "checkoutCompletionRate", "activationRate", "firstPaymentRate", "visitorConversion"}, p.Points)
	sheet.CSV = exportHref("funnel", p.ask)
	points := slices.Clone(p.Points)
	slices.Reverse(points) // as those of the sheet
	points = points[:min(len(points), sheetPeriods)]
	var rows []ui.Row
	row := func(name, title string, of func(analytics.Funnel) int64) {
		out := ui.Row{{Text: name, Title: title}}
		for _, point := range points {
			out = append(out, ui.Cell{Text: count(of(*point.Funnel))})
		}
		rows = append(rows, out)
	}
	for _, s := range funnelSteps {
		if s.step == analytics.FunnelViewed && p.IsOfPlan() {
			continue
		}
		row(s.name, "Of those who entered in the period, whenever they did.", func(f analytics.Funnel) int64 { return f.Prices[s.step] })
	}
	row("Straight to the checkout", "Who began a checkout without a look at the prices.", func(f analytics.Funnel) int64 { return f.Direct[analytics.FunnelStarted] })
	row("Of those, paid", "Who began a checkout without a look at the prices.", func(f analytics.Funnel) int64 { return f.Direct[analytics.FunnelPaid] })
	row("Not over yet", "Who may still come further within the windows.", func(f analytics.Funnel) int64 { return f.PendingCheckouts + f.PendingPayments })
	sheet.Table.Rows = append(rows, sheet.Table.Rows...)
	return sheet
}

// tookInWords is a duration as exactly as medians are known: "at once", "40 s", "12 min",
// "3 h 20 min", "26 h", "3 days 4 h", "14 days".
func tookInWords(took time.Duration) string {
	const day = 24 * time.Hour
	two := func(unit time.Duration, name string, rest time.Duration, restName string) string {
		took := took.Round(rest)
		if rest := took % unit / rest; rest > 0 {
			return fmt.Sprintf("%d %s %d %s", took/unit, name, rest, restName)
		}
		return fmt.Sprintf("%d %s", took/unit, name)
	}
	switch {
	case took < time.Second:
		return "at once"
	case took < 100*time.Second:
		return fmt.Sprintf("%d s", took.Round(time.Second)/time.Second)
	case took < time.Hour:
		return fmt.Sprintf("%d min", took.Round(time.Minute)/time.Minute)
	case took < 10*time.Hour:
		return two(time.Hour, "h", time.Minute, "min")
	case took < 2*day:
		return fmt.Sprintf("%d h", took.Round(time.Hour)/time.Hour)
	case took < 10*day:
		return two(day, "days", time.Hour, "h")
	}
	return fmt.Sprintf("%d days", took.Round(day)/day)
}

// funnelExport has a row a period, with how many reached each step by how they
// began, and the rates of those who began with the prices.
func funnelExport() export {
	names := [analytics.FunnelSteps]string{"viewed", "started", "completed", "activated", "paid"}
	rates := []string{"checkoutStartRate", "checkoutCompletionRate", "activationRate", "firstPaymentRate", "visitorConversion"}
	e := export{name: "funnel", columns: []string{"start", "end", "is_running", "plan"}}
	e.columns = append(e.columns, names[:]...)
	for _, name := range names[1:] {
		e.columns = append(e.columns, "direct_"+name)
	}
	e.columns = append(append(e.columns, "pending_checkouts", "pending_payments"), rates...)
	e.write = func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
		funnel, err := s.Reports.Funnel(ctx, query)
		if err != nil {
			return err
		}
		for _, p := range funnel.Points {
			record := []string{p.Start.Format(time.DateOnly), p.Last().Format(time.DateOnly), strconv.FormatBool(p.IsRunning), funnel.Plan}
			for step, n := range p.Funnel.Prices {
				if analytics.FunnelStep(step) == analytics.FunnelViewed && p.Funnel.IsOfPlan {
					record = append(record, "")
					continue
				}
				record = append(record, strconv.FormatInt(n, 10))
			}
			for _, n := range p.Funnel.Direct[1:] {
				record = append(record, strconv.FormatInt(n, 10))
			}
			record = append(record, strconv.FormatInt(p.Funnel.PendingCheckouts, 10), strconv.FormatInt(p.Funnel.PendingPayments, 10))
			for _, key := range rates {
				m, _ := analytics.MetricByKey(key)
				record = append(record, numeral(m.Of(p), m.Unit))
			}
			if err := write(record); err != nil {
				return err
			}
		}
		return nil
	}
	return e
}
