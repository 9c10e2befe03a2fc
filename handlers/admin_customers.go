package handlers

import (
	"fmt"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

var customersSection = section{path: "/admin/billing/customers", heading: "Customers"}

// adminCustomers shows how many customers there are, who came and who left, and
// those who matter most.
func (s *server) adminCustomers(c echo.Context) error {
	return figuresPage(s, c, customersSection, s.Reports.Customers, func(r reports.Customers, ask figuresAsk) templ.Component {
		return views.CustomersBody(s.customersModel(r, ask))
	})
}

// customersPage puts a report of customers into words and drawings.
type customersPage struct {
	reports.Customers
	// drawing is of the periods, months of those that the rates are of.
	drawing, months drawing
}

func (s *server) customersModel(r reports.Customers, ask figuresAsk) views.Customers {
	p := customersPage{Customers: r, drawing: drawing{r.Scope, ask}, months: monthly(r.Scope, ask, r.Rates)}
	m := views.Customers{Figures: p.keyFigures(), Blank: s.noFigures(r.Scope)}
	if m.Blank.Title != "" {
		return m
	}
	m.Active, m.Moves = p.active(), p.moves()
	m.Churn, m.Reasons, m.Average, m.Lifetime = p.churn(), p.reasons(), p.average(), p.lifetime()
	m.Trials, m.RatesNote = p.trials(), ratesNote(r.Scope)
	m.TrialCohorts = p.drawing.trialCohorts(r.Trials)
	m.Largest, m.Left = s.largestList(r, ask), s.leftList(r, ask)
	m.Table = p.drawing.sheet("Customers by period", customerFigures, r.Points)
	return m
}

// customerFigures are those of the table, by key.
var customerFigures = []string{
	"customers", "newCustomers", "reactivatedCustomers", "churnedCustomers", "logoChurn", "voluntaryLogoChurn", "involuntaryLogoChurn",
	"arpa", "ltv", "trialConversion",
}

func (p customersPage) last() string { return soFar(p.Periods[len(p.Periods)-1], p.Interval) }

func (p customersPage) keyFigures() []ui.KeyFigure {
	sum, month := p.Sum(), lastWhole(p.Rates)
	active := p.drawing.keyFigure("customers", "Active customers", sum, p.Points)
	active.Note = fmt.Sprintf("%s came, %s left.", count(sum.Moved[analytics.New].Customers+sum.Moved[analytics.Reactivation].Customers), count(-sum.Moved[analytics.Churn].Customers))
	active.Delta = compareCounts(sum.Closing.Customers-sum.Opening.Customers, "when "+periodName(p.Periods[0], p.Interval)+" began", ui.Good, ui.Bad)
	average := p.drawing.keyFigure("arpa", "MRR a customer", sum, p.Points)
	if before := analytics.Sum(p.Before); len(p.Before) > 0 {
		active.Delta = compareCounts(sum.Closing.Customers-before.Closing.Customers, lowerFirst(comparedName(p.Scope)), ui.Good, ui.Bad)
	}
	churn := p.months.keyFigure("logoChurn", "Customer churn", month, p.Rates)
	if churn.Note == "" {
		churn.Note = fmt.Sprintf("%s: %s of %s left.", upperFirst(soFar(month.Period, analytics.Monthly)), count(month.Month.LostCustomers), count(month.Month.BaseCustomers))
	}
	lifetime := p.months.keyFigure("ltv", "Lifetime value", month, p.Rates)
	if lifetime.Note == "" {
		lifetime.Note = "Revenue, not margin."
	}
	return []ui.KeyFigure{active, churn, average, lifetime}
}

func (p customersPage) active() ui.Chart {
	chart := p.drawing.chart("customers", "Active customers", "customers")
	chart.Lines = []ui.Series{p.drawing.line("customers", "Customers", ui.Plain, p.Points)}
	chart = p.drawing.earlier(chart, "customers", p.Before)
	sum := p.Sum()
	chart.Finding = fmt.Sprintf("%s at the end of %s, %s before.", plural(sum.Closing.Customers, "customer", "customers"), p.last(), count(sum.Opening.Customers))
	if sum.IsRunning {
		chart.Finding = fmt.Sprintf("%s now, %s before %s.", plural(sum.Closing.Customers, "customer", "customers"), count(sum.Opening.Customers), periodName(p.Periods[0], p.Interval))
	}
	chart.Empty = "Nobody had MRR in this time."
	if p.Plan == "" {
		chart.Definition += " An organization counts once, however many subscriptions it has. Trials do not count."
	} else {
		chart.Definition = "Customers with MRR on this plan at the end of the period; who is on two plans counts on both."
	}
	return p.drawing.ticked(chart, analytics.Count)
}

// moves are who came and who left: upwards and downwards.
func (p customersPage) moves() ui.Chart {
	chart := p.drawing.chart("came", "Customers who came and who left", "newCustomers")
	for _, kind := range []struct {
		kind analytics.MovementKind
		name string
		look ui.Look
	}{
		{analytics.New, "New", ui.Gain},
		{analytics.Reactivation, "Came back", ui.GainDotted},
		{analytics.Churn, "Left", ui.Loss},
		{analytics.TransferIn, "From another plan", ui.GainStriped},
		{analytics.TransferOut, "To another plan", ui.LossStriped},
	} {
		series := ui.Series{Name: kind.name, Look: kind.look}
		isAny := false
		for _, point := range p.Points {
			n := point.Moved[kind.kind].Customers
			isAny = isAny || n != 0
			series.Values, series.Texts = append(series.Values, n), append(series.Texts, count(max(n, -n)))
		}
		if isAny || (kind.kind != analytics.TransferIn && kind.kind != analytics.TransferOut) {
			chart.Columns = append(chart.Columns, series)
		}
	}
	sum := p.Sum()
	chart.Finding = fmt.Sprintf("%s new, %s came back and %s left.", count(sum.Moved[analytics.New].Customers),
		count(sum.Moved[analytics.Reactivation].Customers), count(-sum.Moved[analytics.Churn].Customers))
	chart.Empty = "Nobody came or left in this time."
	chart.Definition = "Who gets MRR for the first time is new, however long the trial was; who had some once comes back; who loses the last of it leaves, on the day the subscription ends."
	chart.CSV = exportHref("movements", p.drawing.ask)
	return p.drawing.ticked(chart, analytics.Count)
}

// fewCustomers is below how many a share of them is greyed: one more or less
// would move it by more than three points.
const fewCustomers = 30

// churn is the line of customer churn, in the interval in which the truth lies:
// of a few customers a month tells little.
func (p customersPage) churn() ui.Chart {
	chart := p.months.chart("logo-churn", "Customer churn by month", "logoChurn")
	line := p.months.line("logoChurn", "Customer churn", ui.Plain, p.Rates)
	band := ui.Band{Name: "95% interval"}
	hasFew := false
	for i, point := range p.Rates {
		isFew, low, high, text := false, int64(1), int64(0), ""
		if month := point.Month; month != nil && month.BaseCustomers > 0 {
			from, to := analytics.Wilson(month.LostCustomers, month.BaseCustomers, analytics.Z95)
			low, high = int64(from*millionths+0.5), int64(to*millionths+0.5)
			text = fmt.Sprintf("%.1f%% to %.1f%%", 100*from, 100*to)
			isFew = month.BaseCustomers < fewCustomers
			line.Texts[i] += fmt.Sprintf(" (%s of %s)", count(month.LostCustomers), count(month.BaseCustomers))
		}
		hasFew = hasFew || isFew
		line.Soft = append(line.Soft, isFew)
		band.Low, band.High, band.Texts = append(band.Low, low), append(band.High, high), append(band.Texts, text)
	}
	chart.Lines, chart.Bands = []ui.Series{line}, []ui.Band{band}
	if p.Interval == analytics.Monthly {
		chart = p.months.earlier(chart, "logoChurn", p.Before)
	}
	month := lastWhole(p.Rates)
	chart.Finding = "Nobody was there when " + soFar(month.Period, analytics.Monthly) + " began."
	if r := month.Month; r != nil && r.BaseCustomers > 0 {
		low, high := analytics.Wilson(r.LostCustomers, r.BaseCustomers, analytics.Z95)
		chart.Finding = fmt.Sprintf("%s: %s of %s left, %s. Seen so often, the truth lies between %.1f%% and %.1f%%.", upperFirst(soFar(month.Period, analytics.Monthly)),
			count(r.LostCustomers), count(r.BaseCustomers), p.months.value("logoChurn", month), 100*low, 100*high)
	}
	if hasFew {
		chart.Definition += fmt.Sprintf(" Months that fewer than %d customers began are greyed.", fewCustomers)
	}
	chart.Definition += " The interval is Wilson's, at 95%."
	chart.Empty = "Nobody left in these months."
	return p.months.ticked(chart, analytics.Ratio)
}

// reasons are the two parts of customer churn.
func (p customersPage) reasons() ui.Chart {
	chart := p.months.chart("wanted", "Customer churn by reason", "involuntaryLogoChurn")
	chart.Columns = []ui.Series{
		p.months.line("voluntaryLogoChurn", "Wanted to leave", ui.Loss, p.Rates), p.months.line("involuntaryLogoChurn", "Did not pay", ui.LossStriped, p.Rates),
	}
	var left, unpaid int64
	for _, point := range p.Rates {
		if point.Month != nil {
			left, unpaid = left+point.Month.LostCustomers, unpaid+point.Month.InvoluntaryCustomers
		}
	}
	chart.Finding = fmt.Sprintf("Of %s who left, %s had payments that failed.", plural(left, "customer", "customers"), count(unpaid))
	if left == 0 {
		chart.Finding = "Nobody left in these months."
	}
	chart.Empty = "Nobody left in these months."
	return p.months.ticked(chart, analytics.Ratio)
}

func (p customersPage) average() ui.Chart {
	chart := p.drawing.chart("arpa", "MRR a customer", "arpa")
	chart.Lines = []ui.Series{p.drawing.line("arpa", "MRR a customer", ui.Plain, p.Points)}
	chart = p.drawing.earlier(chart, "arpa", p.Before)
	chart.Finding = fmt.Sprintf("A customer paid %s a month on average at the end of %s.", p.drawing.value("arpa", p.Sum()), p.last())
	if p.Sum().IsRunning {
		chart.Finding = fmt.Sprintf("A customer pays %s a month on average.", p.drawing.value("arpa", p.Sum()))
	}
	if p.Sum().Closing.Customers == 0 {
		chart.Finding = "Nobody has MRR."
	}
	chart.Empty = "Nobody had MRR in this time."
	return p.drawing.ticked(chart, analytics.Money)
}

// lifetime is the line of the lifetime value, marked where so few leave that it
// is cut to five years.
func (p customersPage) lifetime() ui.Chart {
	chart := p.months.chart("ltv", "Customer lifetime value", "ltv")
	line := p.months.line("ltv", "Lifetime value", ui.Plain, p.Rates)
	capped := ui.Series{Name: "Cut to five years", Look: ui.Strong}
	isCapped := false
	m, _ := analytics.MetricByKey("ltv")
	for i, point := range p.Rates {
		value := m.Of(point)
		isCut := value.Defined() && strings.HasPrefix(value.Note, "capped")
		isCapped = isCapped || isCut
		text := ""
		if isCut {
			text = "yes"
			line.Texts[i] += " (capped)"
		}
		capped.Values, capped.Texts, capped.Missing = append(capped.Values, line.Values[i]), append(capped.Texts, text), append(capped.Missing, !isCut)
	}
	chart.Lines = []ui.Series{line}
	if isCapped {
		chart.Marks = []ui.Series{capped}
		chart.Definition += " Where fewer than one in sixty leaves a month, one in sixty is counted: nobody is believed to stay for more than five years."
	}
	month := lastWhole(p.Rates)
	switch value := m.Of(month); {
	case value.Defined():
		chart.Finding = fmt.Sprintf("A customer of %s brings %s until they leave, if customers go on leaving as in the six months before. This is revenue, not margin.",
			soFar(month.Period, analytics.Monthly), p.months.value("ltv", month))
	default:
		chart.Finding = upperFirst(value.Note) + "."
	}
	chart.Empty = "It needs three full months with customers."
	return p.months.ticked(chart, analytics.Money)
}

// trials is the line of trial conversion; nothing where trials are not told.
func (p customersPage) trials() ui.Chart {
	sum := p.Sum()
	if sum.Trials == nil {
		return ui.Chart{}
	}
	chart := p.drawing.chart("trial", "Trial conversion", "trialConversion")
	line := p.drawing.line("trialConversion", "Converted", ui.Plain, p.Points)
	for i, point := range p.Points {
		if t := point.Trials; t != nil && t.Ended > 0 {
			line.Soft = append(line.Soft, t.Provisional > 0)
			line.Texts[i] += fmt.Sprintf(" (%s of %s)", count(t.Converted), count(t.Ended))
			continue
		}
		line.Soft = append(line.Soft, false)
	}
	chart.Lines = []ui.Series{line}
	chart = p.drawing.earlier(chart, "trialConversion", p.Before)
	t := sum.Trials
	chart.Finding = fmt.Sprintf("%s began and %s ended; %s of these were paid for.", plural(t.Started, "trial", "trials"), count(t.Ended), count(t.Converted))
	if t.Provisional > 0 {
		chart.Finding += fmt.Sprintf(" %s may still be.", count(t.Provisional))
	}
	chart.Empty = "No trial ended in this time."
	return p.drawing.ticked(chart, analytics.Ratio)
}

func (s *server) largestList(r reports.Customers, ask figuresAsk) views.CustomerList {
	list := views.CustomerList{
		Note: "As of now, whatever time is shown above.", CSV: exportHref("customers", ask),
		More: ui.Link{Text: "All subscriptions by MRR", Href: subscriptionsPath + "?sort=mrr"},
		Table: ui.Table{
			Caption: "Customers with most MRR now", Empty: "Nobody has MRR now.",
			Columns: []ui.Column{{Label: "Customer"}, {Label: "Since", Short: true}, {Label: "MRR", Numeric: true}},
		},
	}
	for _, c := range r.Largest {
		list.Table.Rows = append(list.Table.Rows, ui.Row{customerCell(c.Customer), {Instant: dayInstant(c.Since)}, {Text: money.FormatMicro(c.MRRMicro, r.Currency)}})
	}
	return list
}

func (s *server) leftList(r reports.Customers, ask figuresAsk) views.CustomerList {
	list := views.CustomerList{Table: ui.Table{
		Caption: "Customers who left, newest first", Empty: "Nobody left in this time.",
		Columns: []ui.Column{{Label: "Customer"}, {Label: "Day", Short: true}, {Label: "Had", Numeric: true}},
	}}
	for _, c := range r.Left {
		var plans []string
		for _, plan := range c.Plans {
			plans = append(plans, s.planName(plan))
		}
		who := customerCell(c.Customer)
		who.Note = upperFirst(reasonText(c.Reason))
		list.Table.Rows = append(list.Table.Rows, ui.Row{who, {Instant: dayInstant(c.Day)}, {Text: money.FormatMicro(c.LostMicro, r.Currency), Note: strings.Join(plans, ", ")}})
	}
	if left := -r.Sum().Moved[analytics.Churn].Customers; left > int64(len(r.Left)) && r.Plan == "" {
		list.Note = fmt.Sprintf("The newest %d of %s.", len(r.Left), count(left))
	}
	if len(r.Left) > 0 {
		all := ask
		all.section, all.extra = revenueSection, nil
		list.More = ui.Link{Text: "All who left, and why", Href: all.with(kindKey, string(analytics.Churn)) + "#moves"}
	}
	return list
}
