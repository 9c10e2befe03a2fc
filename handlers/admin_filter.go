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
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// section is a page of figures.
type section struct {
	path, heading string
	// without are the fields of the bar that mean nothing to it, which its
	// address then never has.
	without []string
	// keys are what its address may say beside the fields of the bar: the order
	// of a table, what a chart shows.
	keys []string
	// converts says that it can show all currencies together in the base one.
	converts bool
}

// covering is a report, which embeds its scope.
type covering interface{ Covers() reports.Scope }

// figuresPage shows a report for what the address asks for. There is one address
// for one view: another way to say the same leads there by redirect. What cannot
// be made out is said beside its field, with 422 and the figures that go without
// saying.
func figuresPage[T covering](
	s *server, c echo.Context, sec section,
	read func(context.Context, reports.Query) (T, error), draw func(T, figuresAsk) templ.Component,
) error {
	ask := parseFigures(sec, c.QueryParams())
	query := ask.query()
	query.Prefer = s.Plans.Currency
	// All that the page asks of the database is asked in here, so that who
	// refreshes it shares the answer.
	readFramed := func(ctx context.Context, query reports.Query) (framed[T], error) {
		report, err := read(ctx, query)
		if err != nil {
			return framed[T]{}, err
		}
		return framed[T]{report, s.integrityBanner(ctx)}, nil
	}
	page, err := shared(s, c, query, readFramed)
	var refusal *billing.Refusal
	if errors.As(err, &refusal) {
		for field, message := range refusal.Fields {
			ask.problems[field] = message
		}
		page, err = readFramed(c.Request().Context(), reports.Query{Prefer: s.Plans.Currency})
	}
	if err != nil {
		return err
	}
	scope := page.Covers()
	ask.settle(scope)
	if len(ask.problems) == 0 && !isPartial(c.Request()) && c.QueryParams().Encode() != ask.values().Encode() {
		return c.Redirect(http.StatusSeeOther, ask.here())
	}
	frame, body := s.figuresFrame(c, scope, ask), draw(page.report, ask)
	frame.Integrity = page.integrity
	status := http.StatusOK
	switch {
	case len(ask.problems) > 0:
		status = http.StatusUnprocessableEntity
		pushURL(c, "false") // who goes back does not want to be refused again
	case !isRefresh(c.Request()):
		pushURL(c, ask.here())
	}
	return s.renderStatus(c, status, views.FiguresPage(frame, body), views.FiguresReport(frame, body))
}

// framed is a report and what stands across its top.
type framed[T covering] struct {
	report    T
	integrity ui.Banner
}

// Covers is the report's scope.
func (f framed[T]) Covers() reports.Scope { return f.report.Covers() }

// figuresAsk is what the address of a page of figures asks for.
type figuresAsk struct {
	section section
	// rangeName is one of rangeNames; from and to are as they came, and empty
	// unless the range is custom.
	rangeName string
	from, to  string
	// The rest is empty for what goes without saying.
	interval, currency, plan, compare string
	// extra are the page's own keys.
	extra url.Values
	// problems say what is wrong with a field, by its name.
	problems map[string]string
}

const (
	rangeDefault = "12m"
	rangeCustom  = "custom"
	monthLayout  = "2006-01"
)

// rangeNames are the stretches of time that can be chosen by name.
var rangeNames = []struct {
	value, label string
	recent       reports.Recent
	interval     analytics.Interval
}{
	{"30d", "Last 30 days", reports.Recent{Days: 30}, analytics.Daily},
	{"90d", "Last 90 days", reports.Recent{Days: 90}, analytics.Daily},
	{"6m", "Last 6 months", reports.Recent{Months: 6}, analytics.Monthly},
	{rangeDefault, "Last 12 months", reports.Recent{Months: 12}, analytics.Monthly},
	{"24m", "Last 24 months", reports.Recent{Months: 24}, analytics.Monthly},
	{"year", "This year", reports.Recent{ThisYear: true}, analytics.Monthly},
	{"all", "All time", reports.Recent{All: true}, analytics.Monthly},
	{rangeCustom, "Custom days", reports.Recent{}, analytics.Monthly},
}

var intervalChoices = []struct {
	interval analytics.Interval
	label    string
}{{analytics.Daily, "By day"}, {analytics.Weekly, "By week"}, {analytics.Monthly, "By month"}}

var comparisonChoices = []struct {
	value reports.Comparison
	label string
}{{reports.CompareNone, "No comparison"}, {reports.ComparePrevious, "With the time before"}, {reports.CompareYear, "With the year before"}}

// parseFigures reads what it can. Values that are none are problems; what only
// the figures can tell, such as whether there are any of a plan, is not looked at.
func parseFigures(sec section, query url.Values) figuresAsk {
	ask := figuresAsk{section: sec, extra: url.Values{}, problems: map[string]string{}}
	get := func(field string) string {
		if slices.Contains(sec.without, field) {
			return ""
		}
		return strings.TrimSpace(query.Get(field))
	}
	ask.rangeName, ask.from, ask.to = get("range"), get("from"), get("to")
	switch {
	case ask.rangeName == "" && ask.from+ask.to != "":
		ask.rangeName = rangeCustom
	case ask.rangeName == "":
		ask.rangeName = rangeDefault
	case rangeIndex(ask.rangeName) < 0:
		ask.problems["range"] = "Choose one of the ranges in the list."
		ask.rangeName = rangeDefault
	}
	if ask.rangeName != rangeCustom {
		ask.from, ask.to = "", ""
	}
	for field, text := range map[string]string{"from": ask.from, "to": ask.to} {
		if _, ok := parseDay(text, false); text != "" && !ok {
			ask.problems[field] = fmt.Sprintf("“%s” is no day. Write it as 2026-11-24; meanwhile the last twelve months are shown.", shortened(text))
		}
	}
	if interval := get("interval"); interval != "" {
		if i, err := analytics.ParseInterval(interval); err != nil {
			ask.problems["interval"] = "Choose days, weeks or months."
		} else if i != ask.usualInterval() {
			ask.interval = interval
		}
	}
	switch compare := reports.Comparison(get("compare")); compare {
	case reports.CompareNone, reports.ComparePrevious, reports.CompareYear:
		ask.compare = string(compare)
	default:
		ask.problems["compare"] = "Choose one of the comparisons in the list."
	}
	ask.currency, ask.plan = strings.ToLower(get("currency")), get("plan")
	if ask.currency == string(reports.InBase) && !sec.converts {
		ask.currency = ""
	}
	for _, key := range sec.keys {
		if value := query.Get(key); value != "" {
			ask.extra.Set(key, value)
		}
	}
	return ask
}

func rangeIndex(name string) int {
	for i, r := range rangeNames {
		if r.value == name {
			return i
		}
	}
	return -1
}

// parseDay reads "2026-11-24", or "2026-11", which is its first day or, as an
// end, its last one.
func parseDay(text string, isEnd bool) (time.Time, bool) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, true
	}
	month, err := time.Parse(monthLayout, text)
	if err == nil && isEnd {
		month = month.AddDate(0, 1, -1)
	}
	return month, err == nil
}

// longestByDay is up to how many days that are chosen one by one are shown by
// day: a week in which nothing but the month around it is seen helps nobody.
const longestByDay = 92

// usualInterval is the interval that goes without saying: months where it cannot
// be chosen.
func (a figuresAsk) usualInterval() analytics.Interval {
	if slices.Contains(a.section.without, "interval") {
		return analytics.Monthly
	}
	if a.rangeName == rangeCustom && len(a.from) == len(time.DateOnly) {
		from, isFrom := parseDay(a.from, false)
		to, isTo := parseDay(a.to, true)
		if isFrom && isTo && !to.Before(from) && to.Before(from.AddDate(0, 0, longestByDay)) {
			return analytics.Daily
		}
	}
	return rangeNames[rangeIndex(a.rangeName)].interval
}

// query is what is asked for, without what has a problem.
func (a figuresAsk) query() reports.Query {
	q := reports.Query{
		Recent: rangeNames[rangeIndex(a.rangeName)].recent, Interval: analytics.Interval(a.interval),
		Currency: money.Currency(a.currency), Plan: a.plan, Compare: reports.Comparison(a.compare),
	}
	if q.Interval == "" {
		q.Interval = a.usualInterval()
	}
	if a.rangeName == rangeCustom && a.problems["from"]+a.problems["to"] == "" {
		q.First, _ = parseDay(a.from, false)
		q.Last, _ = parseDay(a.to, true)
	}
	return q
}

// settle leaves out what goes without saying once it is known what that is.
func (a *figuresAsk) settle(scope reports.Scope) {
	if a.currency == string(scope.DefaultCurrency) {
		a.currency = ""
	}
}

// values are what the address says.
func (a figuresAsk) values() url.Values {
	out := a.common()
	for key := range a.extra {
		out.Set(key, a.extra.Get(key))
	}
	return out
}

// common are those of them that any page of figures understands.
func (a figuresAsk) common() url.Values {
	out := url.Values{}
	set := func(key, value string) {
		if value != "" {
			out.Set(key, value)
		}
	}
	if a.rangeName != rangeDefault {
		set("range", a.rangeName)
	}
	set("from", a.from)
	set("to", a.to)
	set("interval", a.interval)
	set("currency", a.currency)
	set("plan", a.plan)
	set("compare", a.compare)
	return out
}

// value is what the address says of one of the page's own keys.
func (a figuresAsk) value(key string) string { return a.extra.Get(key) }

// href is the same question at another path.
func (a figuresAsk) href(path string) string { return withValues(path, a.common()) }

// here is the address of the page itself.
func (a figuresAsk) here() string { return withValues(a.section.path, a.values()) }

// with is the address of the page with one of its own keys said otherwise; an
// empty value leaves it out.
func (a figuresAsk) with(key, value string) string {
	values := a.values()
	values.Del(key)
	if value != "" {
		values.Set(key, value)
	}
	return withValues(a.section.path, values)
}

func withValues(path string, values url.Values) string {
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// figuresFrame is what stands around a report.
func (s *server) figuresFrame(c echo.Context, scope reports.Scope, ask figuresAsk) views.FiguresFrame {
	m := views.FiguresFrame{
		Frame: s.frame(c), Heading: ask.section.heading, Bar: s.figuresBar(scope, ask),
		AsOf: instant(scope.AsOf, "2 Jan 2006, 15:04"), Zone: scope.Zone.String(),
		Definition: count(int64(scope.Definition)), DefinitionHref: explainPath,
		Live: ask.here(), Version: scope.FiguresVersion,
	}
	m.FiguresQuery = ask.href("")
	m.Notes = append(m.Notes, conversionNotes(scope)...)
	return m
}

// figuresBar is the form. The option that goes without saying has no value, so
// that it follows when another field changes what that is: who goes from a year
// to thirty days wants days, unless they chose weeks.
func (s *server) figuresBar(scope reports.Scope, ask figuresAsk) views.FiguresBar {
	bar := views.FiguresBar{Action: ask.section.path, IsCustom: ask.rangeName == rangeCustom, Errors: ask.problems}
	ranges := ui.Choice{Name: "range", Label: "Time"}
	for _, r := range rangeNames {
		ranges.Options = append(ranges.Options, ui.Option{Value: r.value, Label: r.label, IsSelected: r.value == ask.rangeName})
	}
	intervals := ui.Choice{Name: "interval", Label: "Interval"}
	for _, i := range intervalChoices {
		usual := ask.usualInterval()
		chosen := analytics.Interval(ask.interval)
		if chosen == "" {
			chosen = usual
		}
		option := ui.Option{Value: string(i.interval), Label: i.label, IsSelected: i.interval == chosen}
		if i.interval == usual {
			option.Value = ""
		}
		intervals.Options = append(intervals.Options, option)
	}
	compare := ui.Choice{Name: "compare", Label: "Comparison"}
	for _, o := range comparisonChoices {
		compare.Options = append(compare.Options, ui.Option{Value: string(o.value), Label: o.label, IsSelected: string(o.value) == ask.compare})
	}
	for _, choice := range []ui.Choice{ranges, intervals, currencyChoice(scope, ask), s.planChoice(scope, ask), compare} {
		if !slices.Contains(ask.section.without, choice.Name) {
			bar.Choices = append(bar.Choices, choice)
		}
	}
	for _, key := range ask.section.keys {
		if key == afterKey { // other figures have other rows: their list begins anew
			continue
		}
		if value := ask.value(key); value != "" {
			bar.Kept = append(bar.Kept, ui.Kept{Name: key, Value: value})
		}
	}
	bar.First, bar.Last = scope.Earliest.Format(time.DateOnly), scope.Today.Format(time.DateOnly)
	bar.From, bar.To = ask.from, ask.to
	if day, ok := parseDay(ask.from, false); ok {
		bar.From = day.Format(time.DateOnly)
	} else if ask.from == "" {
		bar.From = scope.First().Format(time.DateOnly)
	}
	if day, ok := parseDay(ask.to, true); ok {
		bar.To = day.Format(time.DateOnly)
	} else if ask.to == "" {
		last := scope.Last()
		if scope.Today.Before(last) {
			last = scope.Today
		}
		bar.To = last.Format(time.DateOnly)
	}
	return bar
}

// currencyChoice is empty where there is nothing to choose.
func currencyChoice(scope reports.Scope, ask figuresAsk) ui.Choice {
	choice := ui.Choice{Name: "currency", Label: "Currency"}
	inBase := ask.section.converts && scope.Base != ""
	if len(scope.Currencies) < 2 && !inBase {
		return choice
	}
	for _, c := range scope.Currencies {
		option := ui.Option{Value: string(c), Label: "In " + strings.ToUpper(string(c)), IsSelected: c == scope.Currency && !scope.IsConverted}
		if c == scope.DefaultCurrency {
			option.Value = ""
		}
		choice.Options = append(choice.Options, option)
	}
	if inBase {
		choice.Options = append(choice.Options, ui.Option{
			Value: string(reports.InBase), Label: "All in " + strings.ToUpper(string(scope.Base)), IsSelected: scope.IsConverted,
		})
	}
	return choice
}

// conversionNotes say how currencies were added up, and what is not in the sum.
func conversionNotes(scope reports.Scope) []ui.Flash {
	if !scope.IsConverted {
		return nil
	}
	base := strings.ToUpper(string(scope.Base))
	text := "All currencies in " + base + ", each day at its rate. Today goes by the rate of yesterday until it has one of its own. Retention is at the rates at which its months began, and single movements are listed in " + base + " alone."
	if until := scope.RatesUntil; !until.IsZero() && until.Before(scope.Today.AddDate(0, 0, -staleRates)) {
		text += " The last rates are of " + until.Format("2 Jan 2006") + "."
	}
	notes := []ui.Flash{{Text: text, Tone: ui.Neutral}}
	if len(scope.Unconverted) > 0 {
		var codes []string
		for _, c := range scope.Unconverted {
			codes = append(codes, strings.ToUpper(string(c)))
		}
		notes = append(notes, ui.Flash{Text: "Not in the sum, for want of an exchange rate: " + strings.Join(codes, ", ") + ".", Tone: ui.Warn})
	}
	return notes
}

// staleRates is how many days old rates may be before a page says so: markets
// close over holidays.
const staleRates = 7

// planChoice offers the plans that there are figures of, in the order in which
// they are sold.
func (s *server) planChoice(scope reports.Scope, ask figuresAsk) ui.Choice {
	choice := ui.Choice{Name: "plan", Label: "Plan"}
	if len(scope.Plans) == 0 {
		return choice
	}
	choice.Options = []ui.Option{{Label: "All plans"}}
	for _, code := range sortedPlans(s.Plans, scope.Plans) {
		choice.Options = append(choice.Options, ui.Option{Value: code, Label: s.planName(code), IsSelected: code == ask.plan})
	}
	return choice
}

// sortedPlans are codes in the order in which they are sold, others after them.
func sortedPlans(plans billing.Plans, codes []string) []string {
	rank := func(code string) int {
		i := slices.IndexFunc(plans.Plans, func(p billing.Plan) bool { return p.Code == code })
		if i < 0 {
			return len(plans.Plans)
		}
		return i
	}
	out := slices.Clone(codes)
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}
