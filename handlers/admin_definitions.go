package handlers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// adminDefinitions lists every figure with the rule that it is counted by, what
// does not hold of them, and what has changed.
func (s *server) adminDefinitions(c echo.Context) error {
	d, err := s.Reports.Definitions(c.Request().Context())
	if err != nil {
		return err
	}
	m := views.Definitions{
		Frame: s.frame(c), AsOf: instant(d.AsOf, "2 Jan 2006, 15:04"), Zone: d.Zone.String(), Number: count(int64(d.Definition)),
		Checked: checkedInWords(d), Generations: s.generationTable(d), Differences: stripeDifferences,
	}
	for _, issue := range d.Issues {
		m.Issues = append(m.Issues, views.FigureIssue{
			What: "It should be true, and is not: " + issue.Check + ".", Range: issueRange(issue), Detail: issue.Detail, Since: instant(issue.FoundAt, "2 Jan 2006, 15:04"),
		})
	}
	for _, group := range definitionGroups {
		g := views.DefinitionGroup{Title: group.title}
		for _, metric := range analytics.Metrics {
			if slices.Contains(group.sections, metric.Source) {
				g.Figures = append(g.Figures, views.DefinedFigure{
					Key: metric.Key, Name: metric.Name, Href: explainPath + "/" + metric.Key, Definition: metric.Definition, Formula: metric.Formula,
				})
			}
		}
		m.Groups = append(m.Groups, g)
	}
	return s.render(c, views.DefinitionsPage(m), views.DefinitionsPage(m))
}

// definitionGroups are the figures that belong together, by the sections of the
// definitions that they come from; together they are all.
var definitionGroups = []struct {
	title    string
	sections []string
}{
	{"Recurring revenue", []string{"1.2", "1.2.10", "1.3", "1.4", "0.5", "0.7", "1.8"}},
	{"Customers", []string{"0.8", "1.6", "1.7"}},
	{"Retention and churn", []string{"1.5"}},
	{"Trials", []string{"1.9"}},
	{"Funnel", []string{"1.10"}},
	{"Payments", []string{"1.13"}},
	{"Cash", []string{"1.14"}},
}

func checkedInWords(d reports.Definitions) string {
	at := func(t time.Time) string { return t.Format("2 Jan 2006, 15:04") + " UTC" }
	switch {
	case !d.FullAt.IsZero() && !d.RecentAt.IsZero():
		return fmt.Sprintf("All figures were counted again on %s (%s one by one), those of the last weeks on %s.", at(d.FullAt), plural(d.Customers, "customer", "customers"), at(d.RecentAt))
	case !d.FullAt.IsZero():
		return fmt.Sprintf("All figures were counted again on %s (%s one by one).", at(d.FullAt), plural(d.Customers, "customer", "customers"))
	case !d.RecentAt.IsZero():
		return "The figures of the last weeks were counted again on " + at(d.RecentAt) + "."
	}
	return "The figures have not been counted again yet."
}

var discountWords = map[analytics.DiscountPolicy]string{
	"forever_only": "Only coupons that last for ever are taken off", "recurring": "Coupons that last are taken off, those for one invoice are not",
	"all": "All coupons are taken off", "none": "No coupon is taken off",
}

var generationStates = map[string]ui.Badge{"live": {Text: "Shown", Tone: ui.Good}, "building": {Text: "Being counted", Tone: ui.Warn}, "old": {Text: "Replaced"}}

func (s *server) generationTable(d reports.Definitions) ui.Table {
	table := ui.Table{Caption: "Definitions that figures were counted by", Columns: []ui.Column{
		{Label: "Counted", Numeric: true}, {Label: "State", Short: true}, {Label: "Since", Short: true}, {Label: "Rules", Numeric: true}, {Label: "Zone", Short: true}, {Label: "Discounts"},
	}}
	for _, g := range d.Generations {
		since := ui.Cell{Text: "the beginning"}
		if !g.LiveSince.IsZero() {
			since = ui.Cell{Instant: instant(g.LiveSince, "2 Jan 2006")}
		} else if g.State == "building" {
			since = ui.Cell{Text: "–"}
		}
		words, ok := discountWords[g.Discounts]
		if !ok {
			words = spaced(string(g.Discounts))
		}
		table.Rows = append(table.Rows, ui.Row{
			{Text: count(int64(g.Number))}, {Badge: generationStates[g.State]}, since, {Text: "definition " + count(int64(g.Definition))}, {Text: g.Zone}, {Text: words},
		})
	}
	return table
}

// stripeDifferences are the usual reasons why Stripe's dashboard shows another
// figure of the same name.
var stripeDifferences = []ui.Definition{
	{Term: "Coupons", Text: "Here a coupon that lasts lowers MRR while it lasts, and one for a single invoice never does. At Stripe both are settings of the account."},
	{Term: "Paused payments", Text: "A subscription whose invoices are voided or written off while it is paused has no MRR here from the end of the paid period. Stripe calls it active and goes on counting it."},
	{Term: "Free and fully discounted plans", Text: "Whoever pays nothing is no active customer, here as there: going there is churn."},
	{Term: "Churn", Text: stripeDiffers["logoChurn"]},
	{Term: "Trial conversion", Text: stripeDiffers["trialConversion"]},
	{Term: "Customer lifetime value", Text: stripeDiffers["ltv"]},
	{Term: "Retention over a year", Text: stripeDiffers["nrr"]},
	{Term: "Days and months", Text: "They begin at midnight in the zone that is named beside the figures. Stripe's begin at midnight in the zone of the account, those of its cohorts in UTC."},
	{Term: "Currencies", Text: "They are never added up here unless a base currency was chosen, and then the exchange rate is a line of its own. Stripe converts to the currency of the account."},
	{Term: "Cash", Text: stripeDiffers["netVolume"]},
}

// stripeDiffers says of a figure, by its key, what Stripe's dashboard counts
// otherwise under that name.
var stripeDiffers = map[string]string{
	"mrr":                  "the same subscriptions count, but one-time coupons and paused payments may not be treated alike.",
	"logoChurn":            "who left within thirty days is divided by those who were there before and those who joined meanwhile. Here only those who were there when the month began count, above and below the line.",
	"trialConversion":      "conversions of thirty days are divided by trials that ended in them, which can exceed 100%. Here both are the same trials, by the day of their end.",
	"ltv":                  "revenue by customer is divided by the churn of the last thirty days. Here it is the mean of six whole months. Both take churn to be 1 in 60 at least.",
	"nrr":                  "what customers have at the end is compared with what the same customers had at the beginning, never by adding up movements: who grows and leaves takes no more along than they had.",
	"paymentFailureRate":   "renewals count once, by their first attempt, without the first after a trial, as Stripe does; a confirmation that the bank asks for is no decline here.",
	"recoveryRate":         "what was paid later by any means counts as recovered, in the month of its first attempt.",
	"grossVolume":          "amounts are dated by when Stripe made the transaction, in the zone of the figures.",
	"netVolume":            "net volume is what balance transactions add up to, without payouts, transfers and top-ups, as on Stripe's balance page.",
	"churnedCustomers":     "a customer is churned once the last paid subscription ended, as here.",
	"reactivatedCustomers": "a customer who comes back is never new again, as here.",
}

// integrityBanner says across the top which figures are under verification; zero:
// none are.
func (s *server) integrityBanner(ctx context.Context) ui.Banner {
	issues, err := s.Reports.Integrity(ctx)
	if err != nil { // a page does without the strip rather than not at all
		s.Log.WarnContext(ctx, "read what does not hold of the figures", "error", err)
		return ui.Banner{}
	}
	if len(issues) == 0 {
		return ui.Banner{}
	}
	text := upperFirst(issueRange(issues[0])) + ". A check does not hold: " + issues[0].Check + "."
	if n := len(issues) - 1; n > 0 {
		text += " " + plural(int64(n), "more check does not.", "more checks do not.")
	}
	return ui.Banner{
		Title: "Figures under verification", Text: text, Tone: ui.Warn,
		Action: ui.Action{Label: "What was found", Href: explainPath + "#verification", Quiet: true},
	}
}

// issueRange says which days an issue concerns.
func issueRange(issue reports.IntegrityIssue) string {
	switch {
	case issue.First.IsZero() && issue.Last.IsZero():
		return "all days"
	case issue.First.Equal(issue.Last):
		return "the figures of " + date(issue.First)
	case issue.First.IsZero():
		return "the figures up to " + date(issue.Last)
	case issue.Last.IsZero():
		return "the figures from " + date(issue.First) + " on"
	}
	return "the figures from " + date(issue.First) + " to " + date(issue.Last)
}
