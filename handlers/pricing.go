package handlers

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

func (s *server) pricing(c echo.Context) error {
	interval := billing.Interval(c.QueryParam("interval"))
	if interval != billing.Year {
		interval = billing.Month
	}
	b, err := s.buyer(c)
	if err != nil {
		return err
	}
	m := views.Pricing{Frame: s.frame(c)}
	m.Frame.Path = "/pricing"
	for _, i := range billing.Intervals() {
		m.Intervals = append(m.Intervals, views.PricingInterval{
			Code: string(i), Label: intervalNames[i], Href: "/pricing?interval=" + string(i), IsCurrent: i == interval, Saving: s.saving(i),
		})
	}
	for _, plan := range s.Plans.Plans {
		m.Plans = append(m.Plans, s.planCard(plan, interval, b))
	}
	m.Comparison = s.comparison()
	return s.render(c, views.PricingPage(m), views.PricingPlans(m))
}

// buyer is what the cards need to know about who looks at them.
type buyer struct {
	visitor
	// plan is that of the organization's live subscription; empty: none.
	plan string
	// isLive: the organization has a subscription that is not over.
	isLive bool
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
		if billing.Status(row.Status).IsLive() {
			b.isLive, b.plan = true, deref(row.Plan)
		}
	}
	return b, nil
}

func (s *server) planCard(plan billing.Plan, interval billing.Interval, b buyer) views.PricingPlan {
	card := views.PricingPlan{
		Code: plan.Code, Name: plan.Name, Summary: plan.Summary, IsRecommended: plan.Recommended, IsCurrent: plan.Code == b.plan,
		Price: money.FormatShort(plan.PricesMinor[billing.Month], s.Plans.Currency), Per: "a month", Billed: "Billed monthly",
		Features: s.highlights(plan),
	}
	if interval == billing.Year {
		yearly := plan.PricesMinor[billing.Year]
		card.Price = money.FormatShort(money.RoundMicro(yearly*money.Micro/12), s.Plans.Currency)
		card.Billed = money.FormatShort(yearly, s.Plans.Currency) + " billed yearly"
	}
	review := reviewURL(plan.Code, interval)
	choose := ui.Action{Label: "Choose " + plan.Name, Href: review, Quiet: !plan.Recommended}
	if plan.TrialDays > 0 && !b.hasHistory {
		choose.Label = fmt.Sprintf("Start %d-day trial", plan.TrialDays)
		card.Note = fmt.Sprintf("No charge before day %d", plan.TrialDays+1)
	}
	switch {
	case !b.isSignedIn():
		choose.Href = "/signup?next=" + url.QueryEscape(review)
		card.Action = choose
	case !b.hasOrganization():
		card.Note = "Plans are for organizations; this account has none."
	case card.IsCurrent:
		card.Action = ui.Action{Label: "See your plan", Href: "/billing", Quiet: true}
	case b.plan != "":
		card.Note = "Your organization has another plan."
	case !b.org.Role.CanManageBilling():
		card.Note = "Ask an owner of " + b.org.OrgName + " to choose a plan."
	default:
		card.Action = choose
	}
	return card
}

// highlights are what the card shows of limits and features.
func (s *server) highlights(plan billing.Plan) []string {
	var out []string
	for _, limit := range s.Plans.Limits {
		if n, ok := plan.Limits[limit.Code]; ok {
			out = append(out, count(n)+" "+lowerFirst(limit.Name))
		}
	}
	for _, feature := range s.Plans.Features {
		if plan.Has(feature.Code) {
			out = append(out, feature.Name)
		}
	}
	return out[:min(len(out), 8)]
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

func (s *server) comparison() []views.ComparisonRow {
	var rows []views.ComparisonRow
	for _, limit := range s.Plans.Limits {
		row := views.ComparisonRow{Name: limit.Name}
		for _, plan := range s.Plans.Plans {
			cell := views.ComparisonCell{}
			if n, ok := plan.Limits[limit.Code]; ok {
				cell.Text = count(n)
			}
			row.Cells = append(row.Cells, cell)
		}
		rows = append(rows, row)
	}
	for _, feature := range s.Plans.Features {
		row := views.ComparisonRow{Name: feature.Name}
		for _, plan := range s.Plans.Plans {
			row.Cells = append(row.Cells, views.ComparisonCell{IsIncluded: plan.Has(feature.Code)})
		}
		rows = append(rows, row)
	}
	return rows
}

func inWords(n int64) string {
	words := []string{"no", "one", "two", "three", "four", "five", "six"}
	if n < int64(len(words)) {
		return words[n]
	}
	return strconv.FormatInt(n, 10)
}
