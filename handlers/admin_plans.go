package handlers

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

var plansSection = section{path: "/admin/billing/plans", heading: "Plans", without: []string{"compare"}, keys: []string{sortKey, orderKey}}

// The keys of the order of a table in an address.
const (
	sortKey  = "sort"
	orderKey = "order"
)

// adminPlans sets the plans beside each other.
func (s *server) adminPlans(c echo.Context) error {
	return figuresPage(s, c, plansSection, s.Reports.Plans, func(r reports.Plans, ask figuresAsk) templ.Component {
		return views.PlansBody(s.plansModel(r, ask))
	})
}

// plansPage puts a report of plans into words and drawings.
type plansPage struct {
	reports.Plans
	drawing drawing
	name    func(code string) string
	// sum is of the account.
	sum analytics.Point
}

func (s *server) plansModel(r reports.Plans, ask figuresAsk) views.Plans {
	if blank := s.noFigures(r.Scope); blank.Title != "" {
		return views.Plans{Blank: blank}
	}
	rank := sortedPlans(s.Plans, r.Scope.Plans)
	r.Plans = slices.Clone(r.Plans) // the report may be another request's, too
	slices.SortStableFunc(r.Plans, func(a, b reports.PlanPerformance) int {
		return cmp.Compare(slices.Index(rank, a.Plan), slices.Index(rank, b.Plan))
	})
	p := plansPage{Plans: r, drawing: drawing{r.Scope, ask}, name: s.planName, sum: r.Sum()}
	m := views.Plans{Table: p.table(), Note: p.note(), Levels: p.levels(), Subscribers: p.subscribers()}
	m.Transfers, m.TransfersNote = p.transfers()
	return m
}

func (p plansPage) micro(micro int64) string { return money.FormatMicro(micro, p.Currency) }

// planColumn is a column of the table. by is what it sorts by, the largest first
// unless isName.
type planColumn struct {
	key, label string
	title      string
	isName     bool
	by         func(reports.PlanPerformance) float64
	cell       func(reports.PlanPerformance) ui.Cell
	// footer is of the account.
	footer ui.Cell
}

func (p plansPage) columns() []planColumn {
	month := soFar(p.RateMonth, analytics.Monthly)
	lost := func(r analytics.Retained) ui.Cell {
		if r.BaseCustomers == 0 {
			return ui.Cell{Text: "n/a", Title: "Nobody was there then"}
		}
		return ui.Cell{Text: percentage(r.LostCustomers, r.BaseCustomers), Note: fmt.Sprintf("%s of %s", count(r.LostCustomers), count(r.BaseCustomers))}
	}
	rate := func(of func(reports.PlanPerformance) analytics.Retained) (func(reports.PlanPerformance) float64, func(reports.PlanPerformance) ui.Cell) {
		by := func(plan reports.PlanPerformance) float64 {
			r := of(plan)
			if r.BaseCustomers == 0 {
				return -1 // n/a is less than nothing
			}
			return float64(r.LostCustomers) / float64(r.BaseCustomers)
		}
		return by, func(plan reports.PlanPerformance) ui.Cell { return lost(of(plan)) }
	}
	byMonth, monthCell := rate(func(plan reports.PlanPerformance) analytics.Retained { return plan.Month })
	byYear, yearCell := rate(func(plan reports.PlanPerformance) analytics.Retained { return plan.Year })
	moved := func(kinds ...analytics.MovementKind) func(reports.PlanPerformance) int64 {
		return func(plan reports.PlanPerformance) int64 {
			sum, all := plan.Sum(), int64(0)
			for _, k := range kinds {
				all += sum.Moved[k].MRRMicro
			}
			return all
		}
	}
	amount := func(key, label, title string, of func(reports.PlanPerformance) int64, footer int64) planColumn {
		return planColumn{
			key: key, label: label, title: title, by: func(plan reports.PlanPerformance) float64 { return float64(of(plan)) },
			cell: func(plan reports.PlanPerformance) ui.Cell { return ui.Cell{Text: p.micro(of(plan))} }, footer: ui.Cell{Text: p.micro(footer)},
		}
	}
	account := p.sum.Moved
	return []planColumn{
		{key: "plan", label: "Plan", isName: true, cell: func(plan reports.PlanPerformance) ui.Cell {
			ask := p.drawing.ask
			ask.plan = plan.Plan
			return ui.Cell{Text: p.name(plan.Plan), Href: ask.href(revenueSection.path)}
		}, footer: ui.Cell{Text: "All plans"}},
		{key: "mrr", label: "MRR", by: func(plan reports.PlanPerformance) float64 { return float64(plan.Sum().Closing.MRRMicro) }, cell: func(plan reports.PlanPerformance) ui.Cell {
			return ui.Cell{Text: p.micro(plan.Sum().Closing.MRRMicro), Spark: p.drawing.spark("mrr", plan.Points), Note: percentage(plan.Sum().Closing.MRRMicro, p.sum.Closing.MRRMicro) + " of all"}
		}, footer: ui.Cell{Text: p.micro(p.sum.Closing.MRRMicro), Spark: p.drawing.spark("mrr", p.Points)}},
		{key: "subscribers", label: "Subscribers", by: func(plan reports.PlanPerformance) float64 { return float64(plan.Sum().Closing.Customers) }, cell: func(plan reports.PlanPerformance) ui.Cell {
			return ui.Cell{Text: count(plan.Sum().Closing.Customers)}
		}, footer: ui.Cell{Text: count(p.sum.Closing.Customers), Note: "customers"}},
		{key: "arpa", label: "MRR each", by: func(plan reports.PlanPerformance) float64 { return valueOf("arpa", plan.Sum()).Float() }, cell: func(plan reports.PlanPerformance) ui.Cell {
			return ui.Cell{Text: p.drawing.value("arpa", plan.Sum())}
		}, footer: ui.Cell{Text: p.drawing.value("arpa", p.sum)}},
		amount("new", "New", "MRR of new customers", moved(analytics.New), account[analytics.New].MRRMicro),
		amount("churn", "Churn", "MRR of customers who left", moved(analytics.Churn), account[analytics.Churn].MRRMicro),
		amount("transfers", "Transfers", "What came from other plans, less what went to them", moved(analytics.TransferIn, analytics.TransferOut), 0),
		{key: "logoChurn", label: "Lost in " + p.RateMonth.Start.Format("Jan"), title: "Customers lost in " + month, by: byMonth, cell: monthCell, footer: lost(p.Month)},
		{key: "logoChurnYear", label: "In a year", title: "Customers lost over the twelve months to " + month, by: byYear, cell: yearCell, footer: lost(p.Year)},
		{key: "trialConversion", label: "Trials", by: func(plan reports.PlanPerformance) float64 {
			v := valueOf("trialConversion", plan.Sum())
			if !v.Defined() {
				return -1
			}
			return v.Float()
		}, cell: func(plan reports.PlanPerformance) ui.Cell { return p.trials(plan.Sum()) }, footer: p.trials(p.sum)},
	}
}

func valueOf(metric string, p analytics.Point) analytics.Value {
	m, ok := analytics.MetricByKey(metric)
	if !ok {
		return analytics.Value{}
	}
	return m.Of(p)
}

func (p plansPage) trials(sum analytics.Point) ui.Cell {
	cell := ui.Cell{Text: p.drawing.value("trialConversion", sum)}
	if t := sum.Trials; t != nil && t.Ended > 0 {
		cell.Note = fmt.Sprintf("%s of %s", count(t.Converted), count(t.Ended))
	}
	return cell
}

// table sorts the plans as the address says, else as they are sold.
func (p plansPage) table() ui.FigureTable {
	t := ui.FigureTable{
		ID: "plans-table", Caption: "Plans side by side", Empty: "No plan has MRR.",
		Explain: explainHref("mrr", p.drawing.ask, nil), CSV: exportHref("plans", p.drawing.ask),
	}
	columns := p.columns()
	sort, order := p.drawing.ask.value(sortKey), p.drawing.ask.value(orderKey)
	rows := slices.Clone(p.Plans.Plans)
	for _, c := range columns {
		head := ui.ListColumn{Column: ui.Column{Label: c.label, Numeric: !c.isName, Short: c.isName}}
		next := p.drawing.ask
		next.extra = nil
		head.Href = next.here()
		if !c.isName {
			head.Href = next.with(sortKey, c.key)
		}
		if c.key == sort && c.by != nil {
			head.Order, head.Href = "descending", withQuery(next.with(sortKey, c.key), orderKey, ascending)
			descends := order != ascending
			if !descends {
				head.Order, head.Href = "ascending", next.with(sortKey, c.key)
			}
			slices.SortStableFunc(rows, func(a, b reports.PlanPerformance) int {
				if descends {
					a, b = b, a
				}
				return cmp.Compare(c.by(a), c.by(b))
			})
		}
		t.Columns = append(t.Columns, head)
		t.Footer = append(t.Footer, c.footer)
	}
	for _, plan := range rows {
		row := ui.Row{}
		for _, c := range columns {
			cell := c.cell(plan)
			if cell.Title == "" {
				cell.Title = c.title
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// note says what the columns of the table are of.
func (p plansPage) note() string {
	nouns := intervalNouns[p.Interval]
	return fmt.Sprintf("MRR and subscribers at the end of %s; new, churn and transfers, which are what came from other plans less what went to them, in %s. Who was lost is of who was on the plan when %s began, and of who was twelve months before its end: who only changed plans is not lost. A customer of two plans counts on both, so that subscribers may add up to more than all customers; amounts add up exactly.",
		soFar(p.Periods[len(p.Periods)-1], p.Interval), plural(int64(len(p.Periods)), nouns[0], nouns[1]), soFar(p.RateMonth, analytics.Monthly))
}

// plansDrawn is how many plans have a line of their own; the rest share one.
const plansDrawn = 6

// planColumns are the looks of plans that are stacked, planLines those of lines,
// which have no patterns and differ in colour and dashes.
var (
	planColumns = []ui.Look{ui.Step1, ui.Step2, ui.Step3, ui.Step4, ui.Step5, ui.Step6}
	planLines   = []ui.Look{ui.Plain, ui.Strong, ui.Dashed, ui.Step3, ui.Step1, ui.Earlier}
)

// drawn are the plans that are drawn, those with most MRR at the end or at its
// beginning, in the order in which they are sold, and the others.
func (p plansPage) drawn() (own, rest []reports.PlanPerformance) {
	if len(p.Plans.Plans) <= plansDrawn {
		return p.Plans.Plans, nil
	}
	byLevel := slices.Clone(p.Plans.Plans)
	size := func(plan reports.PlanPerformance) int64 {
		sum := plan.Sum()
		return max(sum.Opening.MRRMicro, sum.Closing.MRRMicro)
	}
	slices.SortStableFunc(byLevel, func(a, b reports.PlanPerformance) int { return -cmp.Compare(size(a), size(b)) })
	for _, plan := range p.Plans.Plans {
		if slices.ContainsFunc(byLevel[:plansDrawn], func(one reports.PlanPerformance) bool { return one.Plan == plan.Plan }) {
			own = append(own, plan)
		} else {
			rest = append(rest, plan)
		}
	}
	return own, rest
}

// series are a figure of each plan, of the smallest together.
func (p plansPage) series(looks []ui.Look, of func(analytics.Point) int64, text func(int64) string) []ui.Series {
	own, rest := p.drawn()
	var out []ui.Series
	for i, plan := range own {
		series := ui.Series{Name: p.name(plan.Plan), Look: looks[i%len(looks)]}
		for _, point := range plan.Points {
			series.Values, series.Texts = append(series.Values, of(point)), append(series.Texts, text(of(point)))
		}
		out = append(out, series)
	}
	if len(rest) > 0 {
		others := ui.Series{Name: plural(int64(len(rest)), "other plan", "other plans"), Look: ui.Quiet}
		for i := range p.Periods {
			var sum int64
			for _, plan := range rest {
				sum += of(plan.Points[i])
			}
			others.Values, others.Texts = append(others.Values, sum), append(others.Texts, text(sum))
		}
		out = append(out, others)
	}
	return out
}

func (p plansPage) levels() ui.Chart {
	chart := p.drawing.chart("plan-mrr", "MRR by plan", "mrr")
	chart.Columns = p.series(planColumns, func(point analytics.Point) int64 { return point.Closing.MRRMicro }, p.micro)
	chart.Finding = "No plan carries MRR."
	if all := p.sum.Closing.MRRMicro; all > 0 {
		top := slices.MaxFunc(p.Plans.Plans, func(a, b reports.PlanPerformance) int {
			return cmp.Compare(a.Sum().Closing.MRRMicro, b.Sum().Closing.MRRMicro)
		})
		chart.Finding = fmt.Sprintf("%s carries %s of MRR: %s of %s.", p.name(top.Plan), percentage(top.Sum().Closing.MRRMicro, all), p.micro(top.Sum().Closing.MRRMicro), p.micro(all))
	}
	chart.Empty = "No plan had MRR in this time."
	chart.CSV = exportHref("plans", p.drawing.ask)
	return p.drawing.ticked(chart, analytics.Money)
}

func (p plansPage) subscribers() ui.Chart {
	chart := p.drawing.chart("plan-subscribers", "Subscribers by plan", "customers")
	chart.Lines = p.series(planLines, func(point analytics.Point) int64 { return point.Closing.Customers }, count)
	chart.Finding = "Nobody is on any plan."
	if len(p.Plans.Plans) > 0 {
		top := slices.MaxFunc(p.Plans.Plans, func(a, b reports.PlanPerformance) int {
			return cmp.Compare(a.Sum().Closing.Customers, b.Sum().Closing.Customers)
		})
		if n := top.Sum().Closing.Customers; n > 0 {
			chart.Finding = fmt.Sprintf("Most customers are on %s: %s of %s.", p.name(top.Plan), count(n), count(p.sum.Closing.Customers))
		}
	}
	chart.Empty = "Nobody had MRR in this time."
	chart.Definition = "Customers with MRR on the plan at the end of the period. Who is on two plans counts on both."
	chart.CSV = exportHref("plans", p.drawing.ask)
	return p.drawing.ticked(chart, analytics.Count)
}

// transfers are what each plan gained from others and lost to them.
func (p plansPage) transfers() (ui.Table, string) {
	t := ui.Table{
		Caption: "What went from plan to plan", Empty: "Nobody changed plans in this time.",
		Columns: []ui.Column{{Label: "Plan", Short: true}, {Label: "Came", Numeric: true}, {Label: "Went", Numeric: true}, {Label: "Net", Numeric: true}, {Label: "Grew by", Numeric: true}, {Label: "Shrank by", Numeric: true}},
	}
	var in, out, grew, shrank int64
	for _, plan := range p.Plans.Plans {
		moved := plan.Sum().Moved
		came, went := moved[analytics.TransferIn].MRRMicro, moved[analytics.TransferOut].MRRMicro
		if came == 0 && went == 0 {
			continue
		}
		more, less := moved[analytics.Expansion].MRRMicro, moved[analytics.Contraction].MRRMicro
		in, out, grew, shrank = in+came, out+went, grew+more, shrank+less
		t.Rows = append(t.Rows, ui.Row{{Text: p.name(plan.Plan)}, {Text: p.micro(came)}, {Text: p.micro(went)}, {Text: signed(came+went, p.micro)}, {Text: p.micro(more)}, {Text: p.micro(less)}})
	}
	if len(t.Rows) == 0 {
		return t, ""
	}
	t.Footer = ui.Row{{Text: "Together"}, {Text: p.micro(in)}, {Text: p.micro(out)}, {Text: p.micro(in + out)}, {Text: p.micro(grew)}, {Text: p.micro(shrank)}}
	return t, "Who changes plans takes what they paid along: it leaves one plan and arrives at the other, so that all plans together gain nothing by it. What they pay more or less from then on is an expansion or a contraction of the plan that they came to; beside these it counts other changes of the plan's customers, such as more seats."
}
