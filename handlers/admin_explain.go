package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// explainPath is where every figure is defined, and beneath it, by its key, where
// it is explained.
const explainPath = "/admin/billing/explain"

// What the address of an explanation says beside the question of the page.
const (
	atKey        = "at"    // the first day of the period that is explained
	rowsKindKey  = "kind"  // the only kind of movements to list
	rowsAfterKey = "after" // where a page of rows begins
)

// addressed is what an address asks for, and can be asked of other pages too.
type addressed interface {
	// href is the one address of the same question at another path.
	href(path string) string
}

// explainHref leads to the explanation of a figure, by its key in
// analytics.Metrics: of one of the periods that are asked for, or with nil of
// all of them together.
func explainHref(metric string, ask addressed, point *analytics.Period) string {
	href := ask.href(explainPath + "/" + metric)
	if point != nil {
		href = withQuery(href, atKey, point.Start.Format(time.DateOnly))
	}
	return href
}

// withQuery is an address with one more key.
func withQuery(href, key, value string) string {
	separator := "?"
	if strings.Contains(href, "?") {
		separator = "&"
	}
	return href + separator + key + "=" + url.QueryEscape(value)
}

// adminExplain explains a figure: on a page of its own, or as a panel over the
// page of figures that it is asked from.
func (s *server) adminExplain(c echo.Context) error {
	metric, ok := analytics.MetricByKey(c.Param("metric"))
	if !ok {
		return errNoSuchPage
	}
	sec := section{path: explainPath + "/" + metric.Key, heading: metric.Name, converts: true, without: []string{"compare"}, keys: []string{atKey, rowsKindKey, rowsAfterKey}}
	if metric.WholeMonths {
		sec.without = append(sec.without, "interval")
	}
	about, problem := explainAsk(c, metric)
	read := func(ctx context.Context, query reports.Query) (reports.Explanation, error) {
		asked := about
		about = reports.Ask{Metric: metric.Key} // whoever is refused asks again, about what goes without saying
		if asked.Metric == "" {
			return reports.Explanation{}, &billing.Refusal{Code: billing.CodeInvalid, Message: problem, Fields: map[string]string{atKey: problem}}
		}
		return s.Reports.Explain(ctx, query, asked)
	}
	if isPanel(c.Request()) {
		return s.explainPanel(c, sec, read)
	}
	return figuresPage(s, c, sec, read, func(e reports.Explanation, ask figuresAsk) templ.Component {
		return views.ExplainReport(s.explanationModel(e, ask))
	})
}

// explainAsk reads which part of a figure is to be explained; the zero Ask, and
// why, where that cannot be made out.
func explainAsk(c echo.Context, metric analytics.Metric) (reports.Ask, string) {
	ask := reports.Ask{Metric: metric.Key, Kind: analytics.MovementKind(c.QueryParam(rowsKindKey)), After: c.QueryParam(rowsAfterKey)}
	if at := c.QueryParam(atKey); at != "" {
		day, ok := parseDay(at, false)
		if !ok {
			return reports.Ask{}, fmt.Sprintf("“%s” is no day, so all of the time is explained.", shortened(at))
		}
		ask.At = day
	}
	if !slices.Contains(reports.PlanKinds, ask.Kind) {
		ask.Kind = ""
	}
	return ask, ""
}

// isPanel reports whether static/js/panel.js asks for what it shows over a page.
func isPanel(r *http.Request) bool {
	return isPartial(r) && r.Header.Get("HX-Target") == "dialog#panel"
}

// explainPanel answers with the part alone, for a panel.
func (s *server) explainPanel(c echo.Context, sec section, read func(context.Context, reports.Query) (reports.Explanation, error)) error {
	ask := parseFigures(sec, c.QueryParams())
	query := ask.query()
	query.Prefer = s.Plans.Currency
	e, err := read(c.Request().Context(), query)
	var refusal *billing.Refusal
	if errors.As(err, &refusal) {
		for field, message := range refusal.Fields {
			ask.problems[field] = message
		}
		e, err = read(c.Request().Context(), reports.Query{Prefer: s.Plans.Currency})
	}
	if err != nil {
		return err
	}
	ask.settle(e.Scope)
	status := http.StatusOK
	if len(ask.problems) > 0 {
		status = http.StatusUnprocessableEntity
	}
	m := s.explanationModel(e, ask)
	for _, field := range []string{"range", "from", "to", "interval", "currency", "plan"} { // a panel has no bar to say it in
		m.Problem = strings.TrimSpace(m.Problem + " " + ask.problems[field])
	}
	c.Response().Header().Add("Vary", "HX-Request, HX-Target")
	return s.page(c, status, views.ExplainPanel(m))
}

// figureText is a figure in words: "$1,234.00", "12", "95.0%" or "4.0"; "n/a"
// where there is none.
func figureText(v analytics.Value, unit analytics.Unit, currency money.Currency) string {
	if !v.Defined() {
		return "n/a"
	}
	switch unit {
	case analytics.Money:
		return money.FormatMicro(v.Micro(), currency)
	case analytics.Count:
		return count(v.Micro())
	case analytics.Ratio:
		return fmt.Sprintf("%.1f%%", 100*v.Float())
	case analytics.Quotient:
	}
	return fmt.Sprintf("%.1f", v.Float())
}

// periodText names a period: "March 2026", "Week of 2 Mar 2026", "2 Mar 2026", or
// from when to when.
func periodText(p analytics.Period) string {
	switch {
	case p.IsMonth():
		return p.Start.Format("January 2006")
	case p.End.Equal(p.Start.AddDate(0, 0, 1)):
		return date(p.Start)
	case p.End.Equal(p.Start.AddDate(0, 0, 7)) && p.Start.Weekday() == time.Monday:
		return "Week of " + date(p.Start)
	}
	return date(p.Start) + " – " + date(p.Last())
}

// figureOf is the figure that a term of a formula is itself; it has an
// explanation of its own.
var figureOf = map[string]string{
	"MRR": "mrr", "net new MRR": "netNew", "new": "new", "reactivation": "reactivation", "expansion": "expansion", "contraction": "contraction", "churn": "churn",
	"active customers": "customers", "ARPA": "arpa",
}

// isLevel has the figures that tell how things stand at the end of a period, not
// what happened in it.
var isLevel = map[string]bool{"mrr": true, "arr": true, "committedMrr": true, "trialMrr": true, "customers": true, "arpa": true}

// endText is when a level of a period is told of: "end of March 2026", "end of the
// week of 2 Mar 2026", "end of 31 Mar 2026".
func endText(p analytics.Period) string {
	switch text := periodText(p); {
	case p.IsMonth():
		return "end of " + text
	case strings.HasPrefix(text, "Week"):
		return "end of the " + lowerFirst(text)
	}
	return "end of " + date(p.Last())
}

func (s *server) explanationModel(e reports.Explanation, ask figuresAsk) views.Explanation {
	value := e.Metric.Of(e.Point)
	metric := e.Metric
	if !e.IsConverted {
		metric = metric.WithoutRates()
	}
	text := func(t analytics.Term) string { return figureText(t.Value, t.Unit, e.Currency) }
	m := views.Explanation{
		Name: e.Metric.Name, Value: figureText(value, e.Metric.Unit, e.Currency), When: periodText(e.Point.Period), IsRunning: e.Point.IsRunning,
		Definition: e.Metric.Definition, Formula: metric.Name + " = " + metric.Formula, Stripe: stripeDiffers[e.Metric.Key],
		AsOf: instant(e.AsOf, "2 Jan 2006, 15:04"), Zone: e.Zone.String(), Number: count(int64(e.Scope.Definition)), Page: ask.here(), All: explainPath,
		Problem: ask.problems[atKey],
	}
	if isLevel[e.Metric.Key] {
		m.When = upperFirst(endText(e.Point.Period))
		if e.Point.IsRunning {
			m.When, m.IsRunning = "Now", false
		}
	}
	if value.Note != "" {
		m.Note = upperFirst(value.Note) + "."
	}
	if e.Plan != "" {
		m.When += ", " + s.planName(e.Plan)
	}
	if worked := metric.Worked(e.Point, text); worked != "" && value.Defined() {
		m.Worked = worked + " = " + m.Value
	}
	if before := e.Metric.Of(e.Before); before.Defined() {
		when := whenText(e.Before.Period)
		if isLevel[e.Metric.Key] {
			when = "at the " + endText(e.Before.Period)
		}
		m.Before = fmt.Sprintf("It was %s %s.", figureText(before, e.Metric.Unit, e.Currency), when)
	}
	at := func(p *analytics.Period) ui.Link {
		if p == nil {
			return ui.Link{}
		}
		return ui.Link{Text: periodText(*p), Href: explainHref(e.Metric.Key, ask, p)}
	}
	m.Earlier, m.Later = at(e.Earlier), at(e.Later)
	for _, t := range metric.Terms(e.Point) {
		term := ui.Definition{Term: upperFirst(t.Name), Text: text(t)}
		if key := figureOf[t.Name]; key != "" && key != e.Metric.Key {
			term.Link = ui.Link{Text: "Explain", Href: s.samePeriod(key, ask, e)}
		}
		m.Terms = append(m.Terms, term)
	}
	m.Evidence = s.evidenceModel(e, ask)
	return m
}

// whenText says when: "in March 2026", "in the week of 2 Mar 2026", "on 2 Mar
// 2026", or from when to when.
func whenText(p analytics.Period) string {
	text := periodText(p)
	switch {
	case p.IsMonth():
		return "in " + text
	case strings.HasPrefix(text, "Week"):
		return "in the " + lowerFirst(text)
	case p.End.Equal(p.Start.AddDate(0, 0, 1)):
		return "on " + text
	}
	return "from " + date(p.Start) + " to " + date(p.Last())
}

// samePeriod leads to another figure of the same time.
func (s *server) samePeriod(key string, ask figuresAsk, e reports.Explanation) string {
	if e.IsRange {
		return explainHref(key, ask, nil)
	}
	return explainHref(key, ask, &e.Point.Period)
}

// evidenceModel puts the rows behind a figure into words.
func (s *server) evidenceModel(e reports.Explanation, ask figuresAsk) views.Evidence {
	m := views.Evidence{Columns: views.EvidenceColumns{Day: "Day", What: "What moved", Amount: "MRR"}}
	in := whenText(e.Point.Period)
	switch e.Evidence.Kind {
	case reports.ByMovement:
		m.Title, m.Empty = "Movements", "Nothing moved "+in+"."
		m.Lead = "Every movement behind the figure, newest first. All of them add up to what moved."
		if e.Evidence.IsCounted {
			m.Columns.Amount = "Customers"
		}
		m.Filters = kindFilters(e, ask)
	case reports.ByCustomer:
		m.Title, m.Empty = "Customers", "None of the customers who were there at the beginning has more or less at the end."
		switch {
		case strings.Contains(e.Metric.Key, "oluntary"):
			m.Empty = "None of the customers who were there at the beginning is gone at the end for such a reason."
		case e.Evidence.IsCounted, e.Metric.Key == "churnOnlyRevenueChurn":
			m.Empty = "None of the customers who were there at the beginning is gone at the end."
		}
		if !e.Metric.Of(e.Point).Defined() {
			m.Empty = "Nobody was there at the beginning."
		}
		m.Lead = "The customers who were there at the beginning and are the reason for the figure, by what they had then and what they have at the end. Whoever came and went in between does not count."
		m.Columns = views.EvidenceColumns{Day: "Moved last", What: "How", Before: "Then", After: "At the end", Amount: "Counts with"}
		if e.Evidence.Older != "" && len(e.Evidence.Rows) == 0 {
			m.Empty = "None of those who moved last is one of them. Go on with those before."
		}
	case reports.ByPledge:
		m.Title, m.Lead = "Customers", "Whose subscriptions are scheduled to end, with the MRR that ends then."
		m.Empty = "Nothing is scheduled to end."
		if e.Metric.Key == "trialMrr" {
			m.Lead, m.Empty = "Whose trials are under way, with what they would be worth.", "No trial is under way."
		}
		m.Columns = views.EvidenceColumns{Day: "Since", What: "What", Amount: "MRR"}
	case reports.ByInvoice:
		m.Title, m.Empty = "Declined renewals", "No renewal was declined "+in+"."
		m.Lead = "Every renewal that was declined at its first attempt, newest first, with what was due then and what became of it."
		m.Columns = views.EvidenceColumns{Day: "Attempted", What: "What became of it", Amount: "Due"}
	case reports.ByTrial:
		m.Title, m.Empty = "Trials", "No trial ended "+in+"."
		m.Lead = "Every trial that ended, newest first, with what became of it."
		m.Columns = views.EvidenceColumns{Day: "Ended", What: "What became of it", Amount: "Trials"}
	case reports.ByTransaction:
		m.Title, m.Empty = "Balance transactions", "Nothing of that went through the balance "+in+"."
		m.Lead = "Every transaction of the balance at Stripe behind the figure, newest first. All of them add up to it."
		m.Columns = views.EvidenceColumns{Day: "Made", What: "What", Amount: "Amount"}
	case reports.ByVisitor:
		m.Title, m.Empty = "Visitors", "Nobody who looked at the prices "+in+" has come that far."
		m.Lead = "Everybody who looked at the prices in this time and came that far, newest first. A visitor is a random number in a browser until a checkout says whose it is."
		m.Columns = views.EvidenceColumns{Day: "Looked", What: "Came to", Amount: "Visitors"}
	case reports.ByCurrency:
		m.Title, m.Lead = "Currencies", "What the figure is made of, each at the rate of its day. What the rates did is a line of its own."
		m.Table = s.currencyTable(e, ask)
		return m
	case reports.ByMonth:
		m.Title, m.Lead, m.Empty = "Months", "Each month counts the same in the mean; months that began without customers are left out.", "No month before has customers."
		m.Table = s.churnMonths(e, ask)
		return m
	case reports.ByNothing:
		return m
	}
	var micro, number int64
	for _, row := range e.Evidence.Rows {
		m.Rows = append(m.Rows, s.evidenceRow(e, row))
		micro, number = micro+row.AmountMicro, number+row.Count
	}
	m.Sum = money.FormatMicro(micro, e.Currency)
	if e.Evidence.IsCounted {
		m.Sum = signedCount(number, e.Evidence.Kind)
	}
	page := func(after string) string {
		values := ask
		values.extra = url.Values{}
		for key := range ask.extra {
			values.extra.Set(key, ask.value(key))
		}
		return values.with(rowsAfterKey, after)
	}
	if e.Evidence.Older != "" {
		m.Older = page(e.Evidence.Older)
	}
	if !e.Evidence.IsFirst {
		m.Newest = page("")
	}
	return m
}

// kindFilters narrow the movements to those of one kind.
func kindFilters(e reports.Explanation, ask figuresAsk) []views.EvidenceFilter {
	if len(e.Evidence.Kinds) < 2 {
		return nil
	}
	href := func(kind analytics.MovementKind) string {
		other := ask
		other.extra = url.Values{}
		if at := ask.value(atKey); at != "" {
			other.extra.Set(atKey, at)
		}
		return other.with(rowsKindKey, string(kind))
	}
	chosen := analytics.MovementKind(ask.value(rowsKindKey))
	out := []views.EvidenceFilter{{Text: "All", Href: href(""), IsOn: chosen == ""}}
	for _, kind := range e.Evidence.Kinds {
		out = append(out, views.EvidenceFilter{Text: movementName(kind), Href: href(kind), IsOn: kind == chosen})
	}
	return out
}

func movementName(kind analytics.MovementKind) string {
	switch kind {
	case analytics.TransferIn:
		return "From another plan"
	case analytics.TransferOut:
		return "To another plan"
	default:
		return movementNames[kind]
	}
}

func signedCount(n int64, kind reports.EvidenceKind) string {
	if kind == reports.ByMovement && n > 0 {
		return "+" + count(n)
	}
	if n < 0 {
		return "−" + count(-n)
	}
	return count(n)
}

func (s *server) evidenceRow(e reports.Explanation, row reports.EvidenceRow) views.EvidenceRow {
	m := views.EvidenceRow{
		Day: ui.Instant{Text: date(row.Day), ISO: row.Day.Format(time.DateOnly)},
		Who: row.Customer.Name, Href: organizationPath(row.Customer.ID), Amount: money.FormatMicro(row.AmountMicro, e.Currency),
	}
	switch {
	case row.Customer.ID == "" && e.Evidence.Kind == reports.ByVisitor:
		m.Who, m.Href = "Not known", ""
	case row.Customer.ID == "": // money that belongs to no customer, such as a fee of Stripe's own
		m.Who, m.Href = "Nobody's", ""
	case m.Who == "":
		m.Who = row.Customer.ID
		_, err := uuid.Parse(row.Customer.ID)
		m.IsID = err != nil
	}
	var words []string
	if row.Kind != "" {
		words = append(words, movementName(row.Kind))
	}
	if row.Plan != "" {
		words = append(words, s.planName(row.Plan))
	}
	if reason := movementReasons[row.Reason]; reason != "" {
		words = append(words, reason)
	}
	if fate := fateWords[row.Fate]; fate != "" {
		words = append(words, fate)
	} else if row.Fate != "" {
		words = append(words, upperFirst(spaced(row.Fate)))
	}
	if e.Evidence.Kind == reports.ByVisitor {
		words = append(words, reachedWords[row.Reached])
	}
	if row.Decline != "" {
		words = append(words, stripesReason(row.Decline))
	}
	m.What = strings.Join(words, " · ")
	for _, id := range []string{row.ID, row.Source} {
		if id != "" {
			m.IDs = append(m.IDs, id)
		}
	}
	switch e.Evidence.Kind {
	case reports.ByMovement:
		if row.AmountMicro > 0 {
			m.Amount = "+" + m.Amount
		}
		if e.Evidence.IsCounted {
			m.Amount = signedCount(row.Count, e.Evidence.Kind)
		}
	case reports.ByCustomer:
		m.Before, m.After = money.FormatMicro(row.OpeningMicro, e.Currency), money.FormatMicro(row.ClosingMicro, e.Currency)
		if e.Evidence.IsCounted {
			m.Amount = count(row.Count)
		}
	case reports.ByTrial, reports.ByVisitor:
		m.Amount = count(row.Count)
	case reports.ByPledge, reports.ByInvoice, reports.ByTransaction, reports.ByCurrency, reports.ByMonth, reports.ByNothing:
	}
	for _, event := range row.Events {
		m.Events = append(m.Events, s.eventInWords(event, reports.Organization{TimeZone: e.Zone}))
	}
	m.EventCount = plural(int64(len(row.Events)), "event", "events")
	return m
}

// fateWords are what became of an invoice or a trial.
var fateWords = map[string]string{
	"recovered": "Paid later", "in_retry": "In retry", "lost": "Lost", "converted": "Became a subscription", "lapsed": "Was not paid for",
	"provisional": "Not paid for yet", "running": "Under way",
}

// reachedWords are the steps of the funnel.
var reachedWords = map[analytics.FunnelStep]string{
	analytics.FunnelViewed: "Looked at the prices", analytics.FunnelStarted: "Began a checkout", analytics.FunnelCompleted: "Completed it",
	analytics.FunnelActivated: "Has what was bought", analytics.FunnelPaid: "Has paid",
}

// currencyTable is what a figure in the base currency is made of.
func (s *server) currencyTable(e reports.Explanation, ask figuresAsk) ui.Table {
	table := ui.Table{Caption: e.Metric.Name + " by currency", Columns: []ui.Column{{Label: "Currency", Short: true}, {Label: e.Metric.Name, Numeric: true}}}
	for _, part := range e.Evidence.Currencies {
		other := ask
		other.currency = string(part.Currency)
		table.Rows = append(table.Rows, ui.Row{
			{Text: strings.ToUpper(string(part.Currency)), Href: s.samePeriod(e.Metric.Key, other, e)},
			{Text: figureText(e.Metric.Of(part.Point), e.Metric.Unit, part.Currency)},
		})
	}
	return table
}

// churnMonths are the months that the lifetime of a customer is computed from.
func (s *server) churnMonths(e reports.Explanation, ask figuresAsk) ui.Table {
	table := ui.Table{Caption: "Customer churn of the months before", Columns: []ui.Column{
		{Label: "Month", Short: true}, {Label: "Lost", Numeric: true}, {Label: "At the start", Numeric: true}, {Label: "Customer churn", Numeric: true},
	}}
	churn, _ := analytics.MetricByKey("logoChurn")
	for i, r := range e.Point.Earlier {
		month := analytics.Period{Start: e.Point.Start.AddDate(0, -1-i, 0), End: e.Point.Start.AddDate(0, -i, 0)}
		// The month may be out of the range that is shown; its own explanation is not.
		ask := figuresAsk{section: ask.section, rangeName: rangeCustom, from: month.Start.Format(monthLayout), to: month.Start.Format(monthLayout), currency: ask.currency, plan: ask.plan}
		table.Rows = append(table.Rows, ui.Row{
			{Text: periodText(month), Href: explainHref("logoChurn", ask, &month)},
			{Text: count(r.LostCustomers)},
			{Text: count(r.BaseCustomers)},
			{Text: figureText(churn.Of(analytics.Point{Month: &r}), analytics.Ratio, e.Currency)},
		})
	}
	return table
}
