package handlers

import (
	"context"
	"fmt"
	"net/http"
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
	row, ok := current(subscriptions)
	if !ok {
		return s.page(c, http.StatusOK, views.BillingPage(m))
	}
	plan, known := s.Plans.ByCode(deref(row.Plan))
	m.PlanName = plan.Name
	if !known {
		m.PlanName = "Your plan"
	}
	if billing.Status(row.Status).IsTerminal() {
		m.Ended = "Nothing more is charged."
		if row.EndedAt != nil {
			m.Ended = "It ended on " + date(*row.EndedAt) + ". Nothing more is charged."
		}
		if m.CanManage {
			if paid, err := lastPayment(ctx, q, row); err != nil {
				return err
			} else if paid != "" {
				m.Ended += " The last payment was " + paid + "."
			}
		}
		return s.page(c, http.StatusOK, views.BillingPage(m))
	}
	entitlement, err := q.Entitlement(ctx, v.org.OrgID)
	if err != nil && !db.IsNotFound(err) {
		return fmt.Errorf("read entitlement: %w", err)
	}
	owed, err := owedFor(ctx, q, row)
	if err != nil {
		return err
	}
	words := inWordsFor(row, payments.AccessNow(entitlement, s.Now()), owed, m.CanManage, s.Now())
	m.HasPlan, m.Status, m.StatusText, m.Problem = true, words.badge, words.text, words.problem
	if m.CanManage {
		m.Next = words.next
		if paid, err := lastPayment(ctx, q, row); err != nil {
			return err
		} else if paid != "" {
			m.Next = append(m.Next, ui.Definition{Term: "Last payment", Text: paid})
		}
	}
	members, err := q.MemberCount(ctx, v.org.OrgID)
	if err != nil {
		return fmt.Errorf("count members: %w", err)
	}
	for _, limit := range s.Plans.Limits {
		allowed, ok := plan.Limits[limit.Code]
		if !ok {
			continue
		}
		meter := ui.Meter{Name: limit.Name, Allowed: count(allowed)}
		if limit.Code == "members" { // the one whose use is known here
			meter.Used, meter.Percent = count(members), int(100*members/allowed)
		}
		m.Limits = append(m.Limits, meter)
	}
	for _, feature := range s.Plans.Features {
		if plan.Has(feature.Code) {
			m.Features = append(m.Features, feature.Name)
		}
	}
	return s.page(c, http.StatusOK, views.BillingPage(m))
}

// lastPayment is what was last paid for a subscription, and when: "$99.00 on
// 24 Dec 2026". Empty: nothing yet.
func lastPayment(ctx context.Context, q *db.Queries, row db.Subscription) (string, error) {
	paid, err := q.LastPaymentOfSubscription(ctx, db.LastPaymentOfSubscriptionParams{
		StripeCustomerID: row.StripeCustomerID, SubscriptionID: row.StripeSubscriptionID, Currency: row.Currency,
	})
	if db.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read last payment of %s: %w", row.StripeSubscriptionID, err)
	}
	return money.Format(paid.AmountMinor, money.Currency(row.Currency)) + " on " + date(paid.At), nil
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

// current is the subscription a page is about: the newest that lives, else the
// newest that has begun and ended. An unfinished first payment is no plan.
func current(subscriptions []db.Subscription) (db.Subscription, bool) {
	var ended db.Subscription
	hasEnded := false
	for i := len(subscriptions) - 1; i >= 0; i-- {
		row := subscriptions[i]
		if billing.Status(row.Status).IsLive() {
			return row, true
		}
		if billing.Status(row.Status) == billing.StatusCanceled && !hasEnded {
			ended, hasEnded = row, true
		}
	}
	return ended, hasEnded
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
