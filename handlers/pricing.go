package handlers

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

func (s *server) pricing(c echo.Context) error {
	interval := billing.Month
	if asked := c.QueryParam("interval"); asked != "" {
		if interval = billing.Interval(asked); !slices.Contains(billing.Intervals(), interval) {
			return seeOther(c, "/pricing") // and not a page that claims to be what was asked for
		}
	}
	b, err := s.buyer(c)
	if err != nil {
		return err
	}
	m := views.Pricing{Frame: s.frame(c)}
	m.Frame.Path = "/pricing"
	m.Frame.Description = "Plans and prices of " + views.Product + ": version history, automatic evaluations and an API for a team's prompts."
	for _, i := range billing.Intervals() {
		m.Intervals = append(m.Intervals, views.PricingInterval{
			Code: string(i), Label: intervalNames[i], Href: "/pricing?interval=" + string(i), IsCurrent: i == interval, Saving: s.saving(i),
		})
	}
	if m.Notice, err = s.pricingNotice(c, b); err != nil {
		return err
	}
	for rank := range s.Plans.Plans {
		m.Plans = append(m.Plans, s.planCard(rank, interval, b))
	}
	m.Note = "Prices are in " + strings.ToUpper(string(s.Plans.Currency)) + ", before taxes."
	m.Comparison = s.comparison()
	s.countVisit(c)
	return s.render(c, views.PricingPage(m), views.PricingPlans(m))
}

// buyer is what the cards need to know about who looks at them.
type buyer struct {
	visitor
	// isLive: the organization has a subscription that is not over.
	isLive bool
	// has says what that is: "Pro, billed monthly".
	has string
	// plan and interval are those of it; empty where they are not for sale.
	plan     string
	interval billing.Interval
	// hasHistory: the organization has had a subscription, so no trial.
	hasHistory bool
}

func (s *server) buyer(c echo.Context) (buyer, error) {
	b := buyer{visitor: visitorOf(c)}
	if !b.hasOrganization() {
		return b, nil
	}
	subscriptions, err := db.New(s.Pool).SubscriptionsOfOrganization(c.Request().Context(), b.org.OrgID)
	if err != nil {
		return b, fmt.Errorf("read subscriptions: %w", err)
	}
	b.hasHistory = len(subscriptions) > 0
	for _, row := range subscriptions {
		if !billing.Status(row.Status).IsLive() {
			continue
		}
		b.isLive, b.has = true, "a subscription"
		plan, ok := s.Plans.ByCode(deref(row.Plan))
		if !ok {
			continue
		}
		b.plan, b.has = plan.Code, plan.Name
		if billed, _ := every(row); billed != "" {
			b.has += ", billed " + billed
		}
		if row.IntervalCount != nil && *row.IntervalCount == 1 {
			b.interval = billing.Interval(deref(row.Interval))
		}
	}
	return b, nil
}

// pricingNotice is for who may not buy: one sentence instead of one on each
// card.
func (s *server) pricingNotice(c echo.Context, b buyer) (views.PricingNotice, error) {
	switch {
	case !b.isSignedIn(), b.isLive:
		return views.PricingNotice{}, nil
	case !b.hasOrganization() && b.user.IsAdmin:
		return views.PricingNotice{
			Text:   "Plans belong to organizations, and this account is in none.",
			Action: ui.Action{Label: "Back to the overview", Href: "/admin/billing"},
		}, nil
	case !b.hasOrganization():
		return views.PricingNotice{Text: "Plans belong to organizations, and this account is in none."}, nil
	case b.org.Role.CanManageBilling():
		return views.PricingNotice{}, nil
	}
	managers, err := s.managers(c.Request().Context(), b.org.OrgID)
	if err != nil {
		return views.PricingNotice{}, err
	}
	text := "Choosing a plan for " + b.org.OrgName + " takes a billing role."
	if managers != "" {
		text += " Ask " + managers + "."
	}
	return views.PricingNotice{Text: text, Action: ui.Action{Label: "See what you have", Href: "/billing"}}, nil
}

func (s *server) planCard(rank int, interval billing.Interval, b buyer) views.PricingPlan {
	plan := s.Plans.Plans[rank]
	card := views.PricingPlan{
		Code: plan.Code, Name: plan.Name, Summary: plan.Summary, IsRecommended: plan.Recommended,
		Price: money.FormatShort(plan.PricesMinor[billing.Month], s.Plans.Currency), Per: "a month", Billed: "billed monthly",
	}
	if interval == billing.Year {
		yearly := plan.PricesMinor[billing.Year]
		card.Price = money.FormatShort(money.RoundMicro(yearly*money.Micro/12), s.Plans.Currency)
		card.Billed = money.FormatShort(yearly, s.Plans.Currency) + " billed yearly"
		if saved := 12*plan.PricesMinor[billing.Month] - yearly; saved > 0 {
			card.Billed += ", you save " + money.FormatShort(saved, s.Plans.Currency)
		}
	}
	card.Beyond, card.Features = s.difference(rank)
	s.offer(&card, plan, interval, b)
	return card
}

// offer is what may be done about a plan by who looks at it. Whoever has a plan
// buys no second one.
func (s *server) offer(card *views.PricingPlan, plan billing.Plan, interval billing.Interval, b buyer) {
	review := reviewURL(plan.Code, interval)
	choose := ui.Action{Label: "Choose " + plan.Name, Href: review, Quiet: !plan.Recommended}
	note := ""
	if plan.TrialDays > 0 && !b.hasHistory {
		choose.Label = fmt.Sprintf("Start %d-day trial", plan.TrialDays)
		note = fmt.Sprintf("No charge before day %d", plan.TrialDays+1)
	}
	switch {
	case !b.isSignedIn():
		choose.Href = "/signup?next=" + url.QueryEscape(review)
		card.Action, card.Note = choose, note
	case b.isLive && plan.Code == b.plan && (interval == b.interval || b.interval == ""):
		card.Current = "Your plan"
		card.Action = ui.Action{Label: "See your plan", Href: "/billing", Quiet: true}
		card.Note = "You have " + b.has + "."
	case b.isLive:
		card.Note = "You have " + b.has + "."
		card.NoteLink = ui.Action{Label: "See your plan", Href: "/billing"}
	case b.hasOrganization() && b.org.Role.CanManageBilling():
		card.Action, card.Note = choose, note
	}
}

// difference is what a plan has over the one before it: its limits, and the
// features that it adds, five lines in all. A plan that lacks something of the
// one before it, or is the first, is told whole.
func (s *server) difference(rank int) (beyond string, lines []string) {
	plan := s.Plans.Plans[rank]
	var before billing.Plan
	if rank > 0 {
		before = s.Plans.Plans[rank-1]
		if slices.ContainsFunc(before.Features, func(f string) bool { return !plan.Has(f) }) {
			before = billing.Plan{}
		}
	}
	beyond = "What you get"
	if len(before.Features) > 0 {
		beyond = "Everything in " + before.Name + ", and"
	}
	lines = s.grants(plan, before)
	return beyond, lines[:min(len(lines), 5)]
}

// grants are limits and features in words, without the features of before.
func (s *server) grants(plan, before billing.Plan) []string {
	var out []string
	for _, limit := range s.Plans.Limits {
		if n, ok := plan.Limits[limit.Code]; ok {
			out = append(out, count(n)+" "+lowerFirst(limit.Name))
		}
	}
	for _, feature := range s.Plans.Features {
		if plan.Has(feature.Code) && !before.Has(feature.Code) {
			out = append(out, feature.Name)
		}
	}
	return out
}

// saving is said only where it is the same for every plan: what a year costs
// less than twelve months, in whole months.
func (s *server) saving(i billing.Interval) string {
	if i != billing.Year || len(s.Plans.Plans) == 0 {
		return ""
	}
	months := int64(0)
	for n, plan := range s.Plans.Plans {
		monthly, yearly := plan.PricesMinor[billing.Month], plan.PricesMinor[billing.Year]
		saved := (12*monthly - yearly) / monthly
		if saved <= 0 || n > 0 && saved != months {
			return ""
		}
		months = saved
	}
	if months == 1 {
		return "one month free"
	}
	return inWords(months) + " months free"
}

// comparison is everything about every plan.
func (s *server) comparison() []views.ComparisonGroup {
	row := func(name string, cell func(billing.Plan) views.ComparisonCell) views.ComparisonRow {
		row := views.ComparisonRow{Name: name}
		for _, plan := range s.Plans.Plans {
			row.Cells = append(row.Cells, cell(plan))
		}
		return row
	}
	price := func(i billing.Interval) func(billing.Plan) views.ComparisonCell {
		return func(plan billing.Plan) views.ComparisonCell {
			return views.ComparisonCell{Text: money.FormatShort(plan.PricesMinor[i], s.Plans.Currency)}
		}
	}
	prices := views.ComparisonGroup{Name: "Price", Rows: []views.ComparisonRow{
		row("A month, billed monthly", price(billing.Month)), row("A year, billed yearly", price(billing.Year)),
	}}
	if slices.ContainsFunc(s.Plans.Plans, func(plan billing.Plan) bool { return plan.TrialDays > 0 }) {
		prices.Rows = append(prices.Rows, row("Free trial", func(plan billing.Plan) views.ComparisonCell {
			if plan.TrialDays == 0 {
				return views.ComparisonCell{}
			}
			return views.ComparisonCell{Text: strconv.Itoa(plan.TrialDays) + " days"}
		}))
	}
	limits, features := views.ComparisonGroup{Name: "Limits"}, views.ComparisonGroup{Name: "Features"}
	for _, limit := range s.Plans.Limits {
		limits.Rows = append(limits.Rows, row(limit.Name, func(plan billing.Plan) views.ComparisonCell {
			n, ok := plan.Limits[limit.Code]
			if !ok {
				return views.ComparisonCell{}
			}
			return views.ComparisonCell{Text: "up to " + count(n)}
		}))
	}
	for _, feature := range s.Plans.Features {
		features.Rows = append(features.Rows, row(feature.Name, func(plan billing.Plan) views.ComparisonCell {
			return views.ComparisonCell{IsIncluded: plan.Has(feature.Code)}
		}))
	}
	return slices.DeleteFunc([]views.ComparisonGroup{prices, limits, features}, func(g views.ComparisonGroup) bool { return len(g.Rows) == 0 })
}

func inWords(n int64) string {
	words := []string{"no", "one", "two", "three", "four", "five", "six"}
	if n < int64(len(words)) {
		return words[n]
	}
	return strconv.FormatInt(n, 10)
}
