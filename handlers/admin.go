package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// adminOverview shows the figures of the months and the currency that the
// address asks for. What it cannot make out it says beside the field, with 422
// and the figures of the last twelve months.
func (s *server) adminOverview(c echo.Context) error {
	ask := parseOverview(c.QueryParams())
	if ask.hasIgnored() && !isPartial(c.Request()) {
		return c.Redirect(http.StatusSeeOther, ask.href())
	}
	o, err := s.Reports.Overview(c.Request().Context(), ask.span)
	var refusal *billing.Refusal
	if errors.As(err, &refusal) {
		for field, message := range refusal.Fields {
			ask.problems[field] = message
		}
		o, err = s.Reports.Overview(c.Request().Context(), reports.Span{})
	}
	if err != nil {
		return err
	}
	open, err := s.Reports.Attention(c.Request().Context())
	if err != nil {
		return err
	}
	m := s.overviewModel(o, ask)
	m.Frame, m.Attention = s.frame(c), attention(open)
	if len(ask.problems) > 0 {
		if isPartial(c.Request()) {
			return s.page(c, http.StatusUnprocessableEntity, views.AdminOverviewReport(m))
		}
		return s.page(c, http.StatusUnprocessableEntity, views.AdminOverviewPage(m))
	}
	pushURL(c, ask.href())
	return s.render(c, views.AdminOverviewPage(m), views.AdminOverviewReport(m))
}

// overviewQuery is what an address asks for.
type overviewQuery struct {
	// span is what could be made out of it; rangeName is one of overviewRangeNames,
	// from and to are as they came.
	span      reports.Span
	rangeName string
	from, to  string
	currency  string
	problems  map[string]string
}

const (
	overviewRangeDefault = "12"
	rangeYear            = "year"
	overviewRangeCustom  = "custom"
	overviewMonthLayout  = "2006-01"
)

var overviewRangeNames = []struct{ value, label string }{
	{"6", "Last 6"}, {overviewRangeDefault, "Last 12"}, {"24", "Last 24"}, {rangeYear, "This year"}, {overviewRangeCustom, "Custom"},
}

func parseOverview(query url.Values) overviewQuery {
	ask := overviewQuery{
		rangeName: query.Get("range"), from: query.Get("from"), to: query.Get("to"), currency: strings.ToLower(query.Get("currency")),
		problems: map[string]string{},
	}
	switch ask.rangeName {
	case "":
		ask.rangeName = overviewRangeDefault
		if ask.from != "" || ask.to != "" {
			ask.rangeName = overviewRangeCustom
		}
	case "6", overviewRangeDefault, "24":
		ask.span.Months, _ = strconv.Atoi(ask.rangeName)
	case rangeYear:
		ask.span.ThisYear = true
	case overviewRangeCustom:
	default:
		ask.problems["range"] = "Choose one of the ranges in the list."
		ask.rangeName = overviewRangeDefault
	}
	if ask.rangeName == overviewRangeCustom {
		ask.span.From = ask.month("from", ask.from)
		ask.span.To = ask.month("to", ask.to)
		if len(ask.problems) > 0 {
			ask.span = reports.Span{}
		}
	}
	return ask
}

// hasIgnored is true of an address that names months beside a range that has its
// own, as the form does when its range is changed.
func (q overviewQuery) hasIgnored() bool {
	return len(q.problems) == 0 && q.rangeName != overviewRangeCustom && q.from+q.to != ""
}

// href is the one address of what was asked for. What goes without saying is
// left out.
func (q overviewQuery) href() string {
	const path = "/admin/billing"
	query := url.Values{}
	set := func(key, value string, isSaid bool) {
		if isSaid && value != "" {
			query.Set(key, value)
		}
	}
	isCustom := q.rangeName == overviewRangeCustom
	set("range", q.rangeName, q.rangeName != overviewRangeDefault)
	set("from", q.from, isCustom)
	set("to", q.to, isCustom)
	set("currency", q.currency, true)
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// month reads a month as browsers write it; zero where there is none or it
// cannot be read.
func (q overviewQuery) month(field, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	month, err := time.Parse(overviewMonthLayout, text)
	if err != nil {
		q.problems[field] = fmt.Sprintf("“%s” is no month. Choose one of the list; meanwhile the last twelve are shown.", shortened(text))
		return time.Time{}
	}
	return month
}

func (s *server) overviewModel(o reports.Overview, ask overviewQuery) views.AdminOverview {
	m := views.AdminOverview{
		AsOf: instant(o.AsOf, "2 Jan 2006, 15:04"), Zone: o.TimeZone, Definition: strconv.Itoa(o.DefinitionVersion),
		Stories: s.stories(o.Stories),
	}
	if n := o.UnpricedSubscriptions; n > 0 {
		m.Lag = fmt.Sprintf("%s a price whose amount is not known yet. The figures are without it.", plural(n, "active subscription has", "active subscriptions have"))
	}
	figures, currency := s.chosenCurrency(o, ask)
	m.Filter = overviewFilter(o, ask, currency)
	if len(o.Currencies) == 0 {
		m.Figures = emptyFigures(s.Plans.Currency)
		m.Blank = blankOverview(o)
		return m
	}
	b := overviewBuilder{CurrencyFigures: figures, plans: s.Plans, AsOf: o.AsOf, isPast: o.Last.Before(o.Running)}
	m.Figures = b.figures()
	m.Revenue, m.Movements, m.Customers = b.revenue(), b.movements(), b.customers()
	m.Plans, m.Failed = b.shares(), b.failed()
	return m
}

// chosenCurrency is the one asked for, else the one that plans are sold in, else
// the first.
func (s *server) chosenCurrency(o reports.Overview, ask overviewQuery) (reports.CurrencyFigures, money.Currency) {
	index := func(c money.Currency) int {
		return slices.IndexFunc(o.Currencies, func(f reports.CurrencyFigures) bool { return f.Currency == c })
	}
	i := index(money.Currency(ask.currency))
	if i < 0 && ask.currency != "" && len(o.Currencies) > 0 {
		ask.problems["currency"] = "There are no figures in this currency."
	}
	if i < 0 {
		i = max(index(s.Plans.Currency), 0)
	}
	if i >= len(o.Currencies) {
		return reports.CurrencyFigures{}, s.Plans.Currency
	}
	return o.Currencies[i], o.Currencies[i].Currency
}

// overviewFilter offers every month that may be asked for. Where the months are
// custom already they are the ones that were asked for, and else those that are
// shown, from which whoever chooses custom ones goes on.
func overviewFilter(o reports.Overview, ask overviewQuery, currency money.Currency) views.OverviewFilter {
	f := views.OverviewFilter{IsCustom: ask.rangeName == overviewRangeCustom, Errors: ask.problems}
	for _, r := range overviewRangeNames {
		f.Range = append(f.Range, views.FilterOption{Value: r.value, Label: r.label, Selected: r.value == ask.rangeName})
	}
	within := func(month time.Time) time.Time {
		if month.Before(o.Earliest) {
			return o.Earliest
		}
		return month
	}
	from, to := within(ask.chosen(ask.from, o.First)), within(ask.chosen(ask.to, o.Last))
	for month := o.Running; !month.Before(o.Earliest); month = month.AddDate(0, -1, 0) {
		option := views.FilterOption{Value: month.Format(overviewMonthLayout), Label: month.Format("Jan 2006")}
		f.From = append(f.From, views.FilterOption{Value: option.Value, Label: option.Label, Selected: month.Equal(from)})
		f.To = append(f.To, views.FilterOption{Value: option.Value, Label: option.Label, Selected: month.Equal(to)})
	}
	if len(o.Currencies) > 1 {
		for _, c := range o.Currencies {
			f.Currency = append(f.Currency, views.FilterOption{
				Value: string(c.Currency), Label: strings.ToUpper(string(c.Currency)), Selected: c.Currency == currency,
			})
		}
	}
	return f
}

// chosen keeps in the form what was asked for, also where it was refused.
func (q overviewQuery) chosen(text string, otherwise time.Time) time.Time {
	if month, err := time.Parse(overviewMonthLayout, text); err == nil && q.rangeName == overviewRangeCustom {
		return month
	}
	return otherwise
}

func emptyFigures(c money.Currency) []ui.KeyFigure {
	return []ui.KeyFigure{
		{Label: "MRR", Value: money.Format(0, c), Note: "Monthly recurring revenue"},
		{Label: "Net new MRR this month", Value: money.Format(0, c), Note: "What the month has added"},
		{Label: "Active customers", Value: "0", Note: "Those with MRR"},
		{Label: "In recovery", Value: money.Format(0, c), Note: "Failed payments that are retried"},
	}
}

// blankOverview says why there is nothing to draw.
func blankOverview(o reports.Overview) views.Blank {
	if o.Trialing > 0 {
		return views.Blank{
			Title: "Nobody pays yet",
			Text: fmt.Sprintf("%s under way. MRR begins with the first period that is paid for.",
				plural(o.Trialing, "trial is", "trials are")),
			Action: ui.Action{Label: "See the subscriptions", Href: subscriptionsPath},
		}
	}
	return views.Blank{
		Title:  "No subscription yet",
		Text:   "Figures appear here within seconds of the first purchase. To make one, open the prices in another window and buy a plan.",
		Action: ui.Action{Label: "Open the prices", Href: "/pricing"},
	}
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
