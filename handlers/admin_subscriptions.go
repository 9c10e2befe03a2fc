package handlers

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

const (
	subscriptionList = "/admin/billing/subscriptions"
	exportPath       = "/admin/billing/export/subscriptions.csv"
	// longestWords bounds what is searched for, in characters.
	longestWords = 100
)

// adminSubscriptions lists the subscriptions that the address asks for. What it
// cannot make out it says above the list, with 422, and lists as if that had not
// been asked.
func (s *server) adminSubscriptions(c echo.Context) error {
	ctx := c.Request().Context()
	offered, err := s.subscriptionChoices(c)
	if err != nil {
		return err
	}
	ask := parseSubscriptions(c.Request().URL.RawQuery, offered)
	list, err := s.Reports.Subscriptions(ctx, s.subscriptionFilter(ask), ask.page)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if len(ask.problems) > 0 {
		status = http.StatusUnprocessableEntity
	}
	if ask.page > list.Pages { // an old address, perhaps, and no mistake
		ask.problems = append(ask.problems, fmt.Sprintf("There is no page %d. This is the last one.", ask.page))
	}
	ask.page = list.Page
	results := s.subscriptionResults(list, ask)
	pushURL(c, ask.href(nil))
	return s.renderStatus(c, status, views.AdminSubscriptionsPage(s.subscriptionsModel(c, ask, offered, results)), views.SubscriptionReport(results))
}

// subscriptionChoices are the values that the filters offer.
type subscriptionChoices struct {
	plans     []ui.Option
	intervals []ui.Option
}

// subscriptionChoices are what is sold and what anybody has.
func (s *server) subscriptionChoices(c echo.Context) (subscriptionChoices, error) {
	plans, intervals, err := s.Reports.PlansAndIntervals(c.Request().Context())
	if err != nil {
		return subscriptionChoices{}, err
	}
	var out subscriptionChoices
	for _, plan := range s.Plans.Plans {
		out.plans = append(out.plans, ui.Option{Value: plan.Code, Label: plan.Name})
	}
	for _, code := range plans {
		if _, ok := s.Plans.ByCode(code); !ok {
			out.plans = append(out.plans, ui.Option{Value: code, Label: s.planName(code)})
		}
	}
	for _, interval := range []billing.Interval{billing.Month, billing.Year, billing.Week, billing.Day} {
		isSold := interval == billing.Month || interval == billing.Year
		if isSold || slices.Contains(intervals, interval) {
			out.intervals = append(out.intervals, ui.Option{Value: string(interval), Label: intervalLabels[interval]})
		}
	}
	return out, nil
}

var intervalLabels = map[billing.Interval]string{
	billing.Day: "Daily", billing.Week: "Weekly", billing.Month: "Monthly", billing.Year: "Yearly",
}

// planName is how a plan is called, by its code or analytics.UnknownPlan.
func (s *server) planName(code string) string {
	if plan, ok := s.Plans.ByCode(code); ok {
		return plan.Name
	}
	if code == "" || code == analytics.UnknownPlan {
		return "Unknown price"
	}
	return code // a plan that is no longer in the file
}

// subscriptionQuery is what an address asks for.
type subscriptionQuery struct {
	status            billing.Status
	plan              string
	interval          billing.Interval
	isEnding, isFails bool
	words             string
	sort              reports.SubscriptionSort
	isDescending      bool
	page              int
	// problems say what could not be made out.
	problems []string
}

var statusOptions = optionsOf(billing.StatusTrialing, billing.StatusActive, billing.StatusPastDue, billing.StatusUnpaid,
	billing.StatusPaused, billing.StatusIncomplete, billing.StatusIncompleteExpired, billing.StatusCanceled)

func optionsOf(statuses ...billing.Status) []ui.Option {
	var out []ui.Option
	for _, status := range statuses {
		out = append(out, ui.Option{Value: string(status), Label: statusWords[status].Text})
	}
	return out
}

// subscriptionSorts are the columns in order, each with the order in which it
// is sorted at first.
var subscriptionSorts = []struct {
	sort         reports.SubscriptionSort
	label        string
	isDescending bool
}{
	{reports.SortOrganization, "Organization", false},
	{reports.SortPlan, "Plan", false},
	{reports.SortMRR, "MRR", true},
	{reports.SortStatus, "Status", false},
	{reports.SortStarted, "Started", true},
	{reports.SortRenews, "Renews", false},
}

const (
	ascending  = "asc"
	descending = "desc"
)

// parseSubscriptions reads a query. Newest first is the order without one.
func parseSubscriptions(rawQuery string, offered subscriptionChoices) subscriptionQuery {
	ask := subscriptionQuery{sort: reports.SortStarted, isDescending: true, page: 1}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		ask.problem("A part of the address could not be read and was left out.")
	}
	ask.status = billing.Status(ask.oneOf(query, "status", "status", statusOptions))
	ask.plan = ask.oneOf(query, "plan", "plan", offered.plans)
	ask.interval = billing.Interval(ask.oneOf(query, "interval", "interval", offered.intervals))
	on := []ui.Option{{Value: "1"}}
	ask.isEnding = ask.oneOf(query, "ending", "value of “ending”", on) != ""
	ask.isFails = ask.oneOf(query, "failing", "value of “failing”", on) != ""
	ask.words = printable(query.Get("q"))
	if utf8.RuneCountInString(ask.words) > longestWords {
		ask.words = string([]rune(ask.words)[:longestWords])
		ask.problem(fmt.Sprintf("The search was cut to its first %d characters.", longestWords))
	}
	sorts := make([]ui.Option, len(subscriptionSorts))
	for i, s := range subscriptionSorts {
		sorts[i].Value = string(s.sort)
	}
	if sort := ask.oneOf(query, "sort", "column to sort by", sorts); sort != "" {
		ask.sort = reports.SubscriptionSort(sort)
		ask.isDescending = ask.descendsAtFirst()
	}
	if order := ask.oneOf(query, "order", "order", []ui.Option{{Value: ascending}, {Value: descending}}); order != "" {
		ask.isDescending = order == descending
	}
	if page := query.Get("page"); page != "" {
		n, err := strconv.Atoi(page)
		if err != nil || n < 1 {
			ask.problem(fmt.Sprintf("“%s” is no page. This is the first one.", shortened(page)))
			n = 1
		}
		ask.page = n
	}
	return ask
}

func (q *subscriptionQuery) problem(text string) { q.problems = append(q.problems, text) }

// oneOf is the value of a key, or empty with a problem where it is none of the
// options.
func (q *subscriptionQuery) oneOf(query url.Values, key, what string, options []ui.Option) string {
	value := query.Get(key)
	if value == "" || slices.ContainsFunc(options, func(o ui.Option) bool { return o.Value == value }) {
		return value
	}
	q.problem(fmt.Sprintf("There is no %s “%s”, so it was left out.", what, shortened(value)))
	return ""
}

// shortened is somebody's text as a message may repeat it.
func shortened(text string) string {
	const most = 40
	text = printable(text)
	if utf8.RuneCountInString(text) > most {
		return string([]rune(text)[:most]) + "…"
	}
	return text
}

// printable leaves out what cannot be shown, or be part of a text in the
// database.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.TrimSpace(text)
}

func (q *subscriptionQuery) descendsAtFirst() bool {
	i := slices.IndexFunc(subscriptionSorts, func(s struct {
		sort         reports.SubscriptionSort
		label        string
		isDescending bool
	},
	) bool {
		return s.sort == q.sort
	})
	return subscriptionSorts[i].isDescending
}

func (q *subscriptionQuery) isFiltered() bool {
	return q.status != "" || q.plan != "" || q.interval != "" || q.isEnding || q.isFails || q.words != ""
}

func (q *subscriptionQuery) order() string {
	if q.isDescending {
		return descending
	}
	return ascending
}

// href is the one address of this query after a change; nil: as it is. What goes
// without saying is left out.
func (q *subscriptionQuery) href(change func(*subscriptionQuery)) string {
	return q.at(subscriptionList, change)
}

func (q *subscriptionQuery) at(path string, change func(*subscriptionQuery)) string {
	ask := *q
	if change != nil {
		change(&ask)
	}
	query := url.Values{}
	set := func(key, value string, isSaid bool) {
		if isSaid {
			query.Set(key, value)
		}
	}
	set("status", string(ask.status), ask.status != "")
	set("plan", ask.plan, ask.plan != "")
	set("interval", string(ask.interval), ask.interval != "")
	set("ending", "1", ask.isEnding)
	set("failing", "1", ask.isFails)
	set("q", ask.words, ask.words != "")
	set("sort", string(ask.sort), ask.sort != reports.SortStarted)
	set("order", ask.order(), ask.isDescending != ask.descendsAtFirst())
	set("page", strconv.Itoa(ask.page), ask.page > 1)
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

func (s *server) subscriptionFilter(ask subscriptionQuery) reports.SubscriptionFilter {
	f := reports.SubscriptionFilter{
		Status: ask.status, Plan: ask.plan, Interval: ask.interval, IsEnding: ask.isEnding, IsFailing: ask.isFails, Words: ask.words,
		Sort: ask.sort, IsDescending: ask.isDescending,
	}
	for _, plan := range s.Plans.Plans {
		f.PlanOrder = append(f.PlanOrder, plan.Code)
	}
	return f
}

func (s *server) subscriptionsModel(c echo.Context, ask subscriptionQuery, offered subscriptionChoices, results views.SubscriptionResults) views.AdminSubscriptions {
	return views.AdminSubscriptions{
		Frame: s.frame(c), Results: results, IsNarrowed: ask.status != "" || ask.plan != "" || ask.interval != "" || ask.isEnding || ask.isFails,
		Search: ui.Search{
			Name: "q", Label: "Search", Placeholder: "Name, e-mail or Stripe id", Value: ask.words, MaxLength: longestWords,
		},
		Status:   choice("status", "Status", "Any status", string(ask.status), statusOptions),
		Plan:     choice("plan", "Plan", "Any plan", ask.plan, offered.plans),
		Interval: choice("interval", "Billed", "Any interval", string(ask.interval), offered.intervals),
		Ending:   ui.Check{Name: "ending", Label: "Ending", IsOn: ask.isEnding},
		Failing:  ui.Check{Name: "failing", Label: "Payment owed", IsOn: ask.isFails},
	}
}

// choice offers the options, and before them any.
func choice(name, label, whatever, chosen string, options []ui.Option) ui.Choice {
	out := ui.Choice{Name: name, Label: label, Options: []ui.Option{{Label: whatever, IsSelected: chosen == ""}}}
	for _, o := range options {
		o.IsSelected = o.Value == chosen
		out.Options = append(out.Options, o)
	}
	return out
}

func (s *server) subscriptionResults(list reports.SubscriptionPage, ask subscriptionQuery) views.SubscriptionResults {
	m := views.SubscriptionResults{
		Problems: ask.problems, Sort: string(ask.sort), Order: ask.order(),
		Count: plural(int64(list.Total), "subscription", "subscriptions"), Sum: s.sumInWords(list.Sums),
		IsBare: list.Total == 0 && !ask.isFiltered(),
		List:   ui.List{Caption: "Subscriptions"},
		Pager:  ui.Pager{Label: "Pages of subscriptions", Page: list.Page, Pages: list.Pages},
	}
	if ask.isFiltered() {
		m.ClearHref = (&subscriptionQuery{sort: ask.sort, isDescending: ask.isDescending}).href(nil)
	}
	if list.Total > 0 {
		m.CSVHref = ask.at(exportPath, func(q *subscriptionQuery) { q.page = 1 })
	}
	if list.Page > 1 {
		m.Pager.Previous = ask.href(func(q *subscriptionQuery) { q.page = list.Page - 1 })
	}
	if list.Page < list.Pages {
		m.Pager.Next = ask.href(func(q *subscriptionQuery) { q.page = list.Page + 1 })
	}
	for _, column := range subscriptionSorts {
		isNow := column.sort == ask.sort
		head := ui.ListColumn{Column: ui.Column{Label: column.label, Numeric: column.sort == reports.SortMRR, Short: column.sort == reports.SortStarted || column.sort == reports.SortRenews}}
		head.Href = ask.href(func(q *subscriptionQuery) {
			q.isDescending = column.isDescending != (isNow && q.isDescending == column.isDescending)
			q.sort, q.page = column.sort, 1
		})
		switch {
		case isNow && ask.isDescending:
			head.Order = "descending"
		case isNow:
			head.Order = "ascending"
		}
		m.List.Columns = append(m.List.Columns, head)
	}
	now := s.Now()
	for _, row := range list.Subscriptions {
		m.List.Rows = append(m.List.Rows, s.subscriptionRow(row, now))
	}
	return m
}

// sumInWords never adds up currencies; one without MRR is not worth a word
// beside others.
func (s *server) sumInWords(sums []reports.CurrencySum) string {
	var words []string
	for _, sum := range sums {
		if sum.MRRMicro > 0 {
			words = append(words, money.FormatMicro(sum.MRRMicro, sum.Currency))
		}
	}
	if len(words) == 0 {
		return money.Format(0, s.Plans.Currency) + " MRR"
	}
	return strings.Join(words, " and ") + " MRR"
}

func (s *server) subscriptionRow(row reports.Subscription, now time.Time) ui.ListRow {
	who, href := ui.Cell{Text: row.OrgName}, organizationPath(row.StripeCustomerID)
	if row.OrgID == nil {
		who = ui.Cell{Text: row.StripeCustomerID, Code: true}
	} else {
		href = organizationPath(row.OrgID.String())
	}
	return ui.ListRow{Href: href, Cells: []ui.Cell{
		who, {Text: s.planInWords(row)}, mrrCell(row), statusCell(row, now), dateCell(row.CreatedAt), dateCell(row.RenewsAt),
	}}
}

// planInWords is "Pro, yearly".
func (s *server) planInWords(row reports.Subscription) string {
	name := s.planName(row.Plan)
	if how := everyInWords(row.Interval, row.IntervalCount); how != "" {
		name += ", " + how
	}
	if row.Quantity > 1 {
		name += " × " + count(row.Quantity)
	}
	if row.Items > 1 {
		name += ", and " + plural(row.Items-1, "more item", "more items")
	}
	return name
}

// everyInWords is "monthly" or "every 3 months"; empty for an interval that is
// not known.
func everyInWords(interval billing.Interval, n int64) string {
	if n > 1 && interval != "" {
		return fmt.Sprintf("every %d %ss", n, interval)
	}
	return strings.ToLower(intervalLabels[interval])
}

func mrrCell(row reports.Subscription) ui.Cell {
	if row.MRRMicro == 0 && row.Status.CountsInMRR() && row.AmountMinor == nil {
		return ui.Cell{Text: "Not known", Title: "Nothing says yet what its price is"}
	}
	return ui.Cell{Text: money.FormatMicro(row.MRRMicro, row.Currency)}
}

func statusCell(row reports.Subscription, now time.Time) ui.Cell {
	badge, text := statusInWords(row, now)
	return ui.Cell{Badge: badge, Text: text, Term: stripesTerm(badge, row.Status)}
}

// stripesTerm is Stripe's own word for a status, where the badge beside it does
// not say that same word.
func stripesTerm(badge ui.Badge, status billing.Status) string {
	if strings.EqualFold(badge.Text, string(status)) {
		return ""
	}
	return string(status)
}

func dateCell(t time.Time) ui.Cell {
	if t.IsZero() {
		return ui.Cell{Text: "–"}
	}
	return ui.Cell{Instant: instant(t, "2 Jan 2006")}
}

// statusInWords says how a subscription stands: a word or two, and how it goes
// on from there. Stripe's own word is for the reader to see beside them.
func statusInWords(row reports.Subscription, now time.Time) (ui.Badge, string) {
	badge := statusBadge(row.Status, row.PauseBehavior != "", !row.EndsAt.IsZero())
	return badge, statusGoesOn(row, now)
}

func statusGoesOn(row reports.Subscription, now time.Time) string {
	on := func(prefix string, t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return prefix + nearDate(t, now)
	}
	switch row.Status {
	case billing.StatusTrialing:
		if !row.EndsAt.IsZero() {
			return on("ends for good on ", row.EndsAt)
		}
		return on("until ", row.TrialEnd)
	case billing.StatusActive:
		if row.PauseBehavior != "" {
			return on("until ", row.PauseResumesAt)
		}
		return on("on ", row.EndsAt)
	case billing.StatusPastDue:
		if row.NextAttemptAt.IsZero() {
			return "no retry is planned"
		}
		return on("retry on ", row.NextAttemptAt)
	case billing.StatusUnpaid:
		return "retries are over"
	case billing.StatusPaused:
		return "trial ended without a card"
	case billing.StatusIncomplete:
		return on("payable until ", row.CreatedAt.Add(finishing))
	case billing.StatusIncompleteExpired:
		return "never paid"
	case billing.StatusCanceled:
		return on("on ", row.EndedAt)
	default:
		return ""
	}
}

// nearDate leaves out the year where it is this one, and does not break.
func nearDate(t, now time.Time) string {
	if t.UTC().Year() == now.UTC().Year() {
		return t.UTC().Format("2\u00a0Jan")
	}
	return date(t)
}
