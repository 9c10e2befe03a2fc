package payments

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

// Part is what one subscription adds to what an organization may do.
type Part struct {
	ID, CustomerID, PriceID string
	// IsVerified is false where Stripe no longer knows the subscription.
	IsVerified bool
	// IsRemembered: no price of it means a plan, and its plan is the one that it
	// had before.
	IsRemembered bool
	Standing     billing.Standing
	// Since is when its status began, by the history; zero where the history
	// has not met the copy yet.
	Since  time.Time
	Course billing.Course
	// Decides: the organization's level is this one's.
	Decides bool
}

// Explain works out again, from the rows of an organization's subscriptions and
// their history, what each of them gives. They are in order of their creation.
func (p *Payments) Explain(ctx context.Context, orgID uuid.UUID, now time.Time) ([]Part, error) {
	q := db.New(p.Pool)
	rows, err := q.SubscriptionsOfOrganization(ctx, orgID)
	if err != nil {
		return nil, fmt.Errorf("read subscriptions of %s: %w", orgID, err)
	}
	var customers []string
	for _, row := range rows {
		customers = append(customers, row.StripeCustomerID)
	}
	versions, err := q.VersionsOfCustomers(ctx, customers)
	if err != nil {
		return nil, fmt.Errorf("read versions of %s: %w", orgID, err)
	}
	standings, err := standingsOf(rows, versions)
	if err != nil {
		return nil, err
	}
	plans, err := plansOfPrices(ctx, q, standings)
	if err != nil {
		return nil, err
	}
	policy := billing.DefaultAccessPolicy()
	deciding := policy.Deciding(standings, p.Plans, now)
	parts := make([]Part, len(rows))
	for i, row := range rows {
		parts[i] = Part{
			ID: row.StripeSubscriptionID, CustomerID: row.StripeCustomerID, PriceID: deref(row.StripePriceID), IsVerified: row.IsVerified,
			Standing: standings[i], Course: policy.Course(standings[i]), Decides: i == deciding,
		}
		parts[i].IsRemembered = parts[i].Standing.Plan != "" && !slices.ContainsFunc(standings[i].Facts.Items, func(item billing.Item) bool {
			return plans[item.PriceID] != ""
		})
		if parts[i].Since, err = since(row, versions); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// plansOfPrices are the plans that prices mean, as far as anything says.
func plansOfPrices(ctx context.Context, q *db.Queries, standings []billing.Standing) (map[string]string, error) {
	var ids []string
	for _, s := range standings {
		for _, item := range s.Facts.Items {
			ids = append(ids, item.PriceID)
		}
	}
	rows, err := q.PricesByID(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	plans := map[string]string{}
	for _, row := range rows {
		plans[row.StripePriceID] = deref(row.Plan)
	}
	return plans, nil
}

// since is when a subscription's status began.
func since(row db.Subscription, versions []db.SubscriptionVersion) (time.Time, error) {
	var begun time.Time
	for _, v := range slices.Backward(versions) {
		if v.SubscriptionID != row.StripeSubscriptionID {
			continue
		}
		var facts billing.Facts
		if err := unmarshalFacts(v.Facts, &facts); err != nil {
			return begun, err
		}
		if string(facts.Status) != row.Status {
			break
		}
		begun = v.At.UTC()
	}
	return begun, nil
}
