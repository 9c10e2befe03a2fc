package handlers

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// billing is what the current organization has. A member without a billing role
// sees plan and limits; amounts are for those who may pay.
func (s *server) billing(c echo.Context) error {
	v := visitorOf(c)
	if !v.hasOrganization() {
		return errNoOrganization
	}
	ctx, q := c.Request().Context(), db.New(s.Pool)
	m := views.Billing{Frame: s.frame(c), Organization: v.org.OrgName, CanManage: v.org.Role.CanManageBilling()}
	if !m.CanManage {
		var err error
		if m.Managers, err = s.managers(ctx, v.org.OrgID); err != nil {
			return err
		}
	}
	subscriptions, err := q.SubscriptionsOfOrganization(ctx, v.org.OrgID)
	if err != nil {
		return fmt.Errorf("read subscriptions: %w", err)
	}
	m.Problem, err = s.unsettled(ctx, q, v, subscriptions)
	if err != nil {
		return err
	}
	mine := s.held(subscriptions)
	if !mine.has || billing.Status(mine.current.Status).IsTerminal() {
		return s.billingEnded(c, m, mine)
	}
	if err := s.billingPlan(ctx, q, &m, v, mine); err != nil {
		return err
	}
	return s.page(c, http.StatusOK, views.BillingPage(m))
}

// unsettled is what to say of a checkout whose money is on its way, or did not
// come; zero for any other.
func (s *server) unsettled(ctx context.Context, q *db.Queries, v visitor, subscriptions []db.Subscription) (ui.Banner, error) {
	attempt, err := q.NewestCompleteAttempt(ctx, v.org.OrgID)
	if db.IsNotFound(err) {
		return ui.Banner{}, nil
	}
	if err != nil {
		return ui.Banner{}, fmt.Errorf("read newest checkout: %w", err)
	}
	for _, row := range subscriptions {
		if row.StripeSubscriptionID == deref(attempt.SubscriptionID) && billing.Status(row.Status).IsTerminal() {
			return ui.Banner{}, nil // what was bought is over, whatever became of its money
		}
	}
	switch deref(attempt.PaymentStatus) {
	case "unpaid":
		return onItsWay(), nil
	case "failed":
		if mine := s.held(subscriptions); mine.has && billing.Status(mine.current.Status).IsLive() {
			return ui.Banner{}, nil // whose own words say what is owed
		}
		problem := ui.Banner{
			Title: "Your payment did not arrive", Tone: ui.Bad,
			Text: "Your bank did not send the money, so the plan has not begun and nothing was charged. Another way of paying, such as a card, works at once.",
		}
		if v.org.Role.CanManageBilling() {
			problem.Action = ui.Action{Label: "Order again", Href: reviewURL(attempt.Plan, billing.Interval(attempt.Interval))}
		}
		return problem, nil
	}
	return ui.Banner{}, nil
}

// billingEnded is the page of an organization that has nothing now.
func (s *server) billingEnded(c echo.Context, m views.Billing, mine holdings) error {
	if !mine.has {
		return s.page(c, http.StatusOK, views.BillingPage(m))
	}
	row := mine.current
	m.PlanName, m.Ended = s.customerPlan(row), "Nothing more is charged."
	switch {
	case billing.Status(row.Status) == billing.StatusIncompleteExpired:
		m.HasExpired, m.Ended = true, "The first payment of "+m.PlanName+" was not finished in time, so the order expired. Nothing was charged."
	case row.EndedAt != nil:
		m.Ended = "It ended on " + date(*row.EndedAt) + ". Nothing more is charged."
	}
	if m.CanManage && !m.HasExpired {
		if paid, err := s.lastPayment(c.Request().Context(), db.New(s.Pool), row); err != nil {
			return err
		} else if paid.Text != "" {
			m.Ended += " The last payment was " + paid.Text + "."
		}
	}
	return s.page(c, http.StatusOK, views.BillingPage(m))
}

// billingPlan fills in what an organization has.
func (s *server) billingPlan(ctx context.Context, q *db.Queries, m *views.Billing, v visitor, mine holdings) error {
	row := mine.current
	stored, err := q.Entitlement(ctx, v.org.OrgID)
	if err != nil && !db.IsNotFound(err) {
		return fmt.Errorf("read entitlement: %w", err)
	}
	entitlement, err := payments.EntitlementNow(stored, s.Plans, s.Now())
	if err != nil {
		return fmt.Errorf("read entitlement: %w", err)
	}
	about := circumstances{
		access: entitlement.Access, isOnItsWay: !m.Problem.IsZero(),
		seesAmounts: m.CanManage, support: s.Support, now: s.Now(),
	}
	if about.owed, err = owedFor(ctx, q, row); err != nil {
		return err
	}
	if about.payURL, err = s.payURL(ctx, q, row); err != nil {
		return err
	}
	words := inWordsFor(row, about)
	m.HasPlan, m.PlanName, m.Beside = billing.Status(row.Status).IsLive(), s.customerPlan(row), beside(row.Quantity, itemsOf(row))
	if !m.HasPlan { // an unfinished first payment
		if m.Problem.IsZero() {
			m.Problem = words.problem
		}
		return nil
	}
	m.Status, m.StatusText, m.Problem = words.badge, words.text, words.problem
	if m.CanManage {
		m.Next = words.next
		if paid, err := s.lastPayment(ctx, q, row); err != nil {
			return err
		} else if paid.Text != "" {
			m.Next = append(m.Next, paid)
		}
	}
	s.alsoHeld(m, mine.others)
	return s.included(ctx, q, m, v, row, entitlement)
}

// alsoHeld are the subscriptions that live beside the one that the page is
// about. There should be none: two are charged for.
func (s *server) alsoHeld(m *views.Billing, others []db.Subscription) {
	for _, row := range others {
		other := views.BillingOther{
			PlanName: s.customerPlan(row), Beside: beside(row.Quantity, itemsOf(row)),
			Status: statusBadge(billing.Status(row.Status), row.PauseBehavior != nil, !scheduledEnd(row).IsZero()),
		}
		other.Status.Title = row.Status
		if m.CanManage {
			other.Next = whatFollows(row)
		}
		m.Others = append(m.Others, other)
	}
	if len(others) == 0 {
		return
	}
	m.OthersText = "Your organization has more than one subscription, and each of them is charged. If you did not mean that, " +
		writeTo(s.Support) + ": we end one and give back what was paid for it."
	if m.Problem.IsZero() {
		m.Problem = ui.Banner{Title: "You have " + inWords(int64(len(others)+1)) + " subscriptions", Text: m.OthersText, Tone: ui.Warn}
		m.OthersText = ""
	}
}

// included are limits and features of the plan. Where several subscriptions
// live, each is the best of all.
func (s *server) included(ctx context.Context, q *db.Queries, m *views.Billing, v visitor, row db.Subscription, entitlement billing.Entitlement) error {
	plan, _ := s.Plans.ByCode(deref(row.Plan))
	features, limits := bestOf(plan, entitlement)
	members, err := q.MemberCount(ctx, v.org.OrgID)
	if err != nil {
		return fmt.Errorf("count members: %w", err)
	}
	for _, limit := range s.Plans.Limits {
		allowed, ok := limits[limit.Code]
		if !ok {
			continue
		}
		meter := ui.Meter{Name: limit.Name, Allowed: count(allowed)}
		if limit.Code == "members" && allowed > 0 { // the one whose use is known here
			meter.Used, meter.Percent = count(members), int(100*members/allowed)
		}
		m.Limits = append(m.Limits, meter)
	}
	for _, feature := range s.Plans.Features {
		if features[feature.Code] {
			m.Features = append(m.Features, feature.Name)
		}
	}
	return nil
}

// bestOf is what a plan grants, and what else the organization may use.
func bestOf(plan billing.Plan, entitlement billing.Entitlement) (features map[string]bool, limits map[string]int64) {
	features, limits = map[string]bool{}, map[string]int64{}
	for _, feature := range slices.Concat(plan.Features, entitlement.Features) {
		features[feature] = true
	}
	for _, granted := range []map[string]int64{plan.Limits, entitlement.Limits} {
		for limit, n := range granted {
			limits[limit] = max(limits[limit], n)
		}
	}
	return features, limits
}

// customerPlan is how a customer's plan is called: one that is not for sale was
// made for them.
func (s *server) customerPlan(row db.Subscription) string {
	if plan, ok := s.Plans.ByCode(deref(row.Plan)); ok {
		return plan.Name
	}
	return "Custom plan"
}

// lastPayment is what was last paid for a subscription, when, and where the
// receipt is: "$99.00 on 24 Dec 2026". Zero: nothing yet.
func (s *server) lastPayment(ctx context.Context, q *db.Queries, row db.Subscription) (ui.Definition, error) {
	paid, err := q.LastPaymentOfSubscription(ctx, db.LastPaymentOfSubscriptionParams{
		StripeCustomerID: row.StripeCustomerID, SubscriptionID: row.StripeSubscriptionID, Currency: row.Currency,
	})
	if db.IsNotFound(err) {
		return ui.Definition{}, nil
	}
	if err != nil {
		return ui.Definition{}, fmt.Errorf("read last payment of %s: %w", row.StripeSubscriptionID, err)
	}
	told := ui.Definition{Term: "Last payment", Text: money.Format(paid.AmountMinor, money.Currency(row.Currency)) + " on " + date(paid.At)}
	if href := s.stripesPage(paid.InvoiceURL); href != "" {
		told.Link = ui.Link{Text: "Receipt", Href: href}
	}
	return told, nil
}

// payURL is Stripe's page of the invoice that is open; empty where none is
// known.
func (s *server) payURL(ctx context.Context, q *db.Queries, row db.Subscription) (string, error) {
	address, err := q.OpenInvoiceOfSubscription(ctx, db.OpenInvoiceOfSubscriptionParams{
		StripeCustomerID: row.StripeCustomerID, SubscriptionID: row.StripeSubscriptionID,
	})
	if db.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read open invoice of %s: %w", row.StripeSubscriptionID, err)
	}
	return s.stripesPage(address), nil
}

// owedFor is what is open of a subscription whose payments failed: "$99.00".
// Empty: nothing that we know of.
func owedFor(ctx context.Context, q *db.Queries, row db.Subscription) (string, error) {
	minor, err := q.OwedOfSubscription(ctx, db.OwedOfSubscriptionParams{
		StripeCustomerID: row.StripeCustomerID, SubscriptionID: row.StripeSubscriptionID, Currency: row.Currency,
	})
	if err != nil {
		return "", fmt.Errorf("read what is owed for %s: %w", row.StripeSubscriptionID, err)
	}
	if minor == 0 {
		return "", nil
	}
	return money.Format(minor, money.Currency(row.Currency)), nil
}

// managers are whom a member can ask: "Ada Lovelace (owner) or Grace Hopper
// (billing)".
func (s *server) managers(ctx context.Context, orgID uuid.UUID) (string, error) {
	managers, err := db.New(s.Pool).BillingManagers(ctx, orgID)
	if err != nil {
		return "", fmt.Errorf("read billing managers: %w", err)
	}
	names := make([]string, 0, len(managers))
	for _, manager := range managers {
		names = append(names, manager.Name+" ("+manager.Role+")")
	}
	return strings.Join(names, " or "), nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
