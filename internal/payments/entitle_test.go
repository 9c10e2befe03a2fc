package payments_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

// bespoke makes a price of which nothing says which plan it means.
func (b *bundle) bespoke() string {
	b.t.Helper()
	var product, price struct {
		ID string `json:"id"`
	}
	b.call(http.MethodPost, "/v1/products", strings.NewReader("name=Bespoke"), &product)
	b.call(http.MethodPost, "/v1/prices", strings.NewReader("product="+product.ID+"&currency=usd&unit_amount=77700&recurring[interval]=month"), &price)
	return price.ID
}

// reprice moves the only subscription to a price.
func (b *bundle) reprice(price string) {
	b.t.Helper()
	var list struct {
		Data []struct {
			ID    string `json:"id"`
			Items struct {
				Data []struct {
					ID string `json:"id"`
				} `json:"data"`
			} `json:"items"`
		} `json:"data"`
	}
	b.call(http.MethodGet, "/v1/subscriptions", nil, &list)
	s := list.Data[0]
	b.call(http.MethodPost, "/v1/subscriptions/"+s.ID, strings.NewReader("items[0][id]="+s.Items.Data[0].ID+"&items[0][price]="+price), nil)
}

const entitlement = `SELECT concat_ws(' ', access, reason, plan, granted_by) FROM entitlements`

// TestAPriceThatMeansNoPlanTakesNothingAway: whoever pays it had a plan before,
// and keeps it, in whatever order we hear of that.
func TestAPriceThatMeansNoPlanTakesNothingAway(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.call(http.MethodPost, "/sim/clock/advance", strings.NewReader(`{"by":"1h"}`), nil)
	b.reprice(b.bespoke())
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	b.want("as long as nothing told of the plan before", []string{"none unknown_price {}"}, entitlement)
	b.deliverAll()
	b.want("once the events have come", []string{"full active pro {pro}"}, entitlement)
	b.want("the price", []string{"unknown"}, `SELECT CASE WHEN p.plan IS NULL THEN 'unknown' ELSE p.plan END FROM subscriptions s JOIN prices p USING (stripe_price_id)`)
	parts, err := b.Explain(b.ctx, org, time.Now())
	if err != nil || len(parts) != 1 || !parts[0].IsRemembered || !parts[0].Decides || parts[0].Since.IsZero() {
		t.Errorf("explained: %+v, %v", parts, err)
	}
	before := b.state()
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	if after := b.state(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("asking again changes\n%s\ninto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// TestAccessOutlivesAStripeThatDoesNotAnswer, and not for ever.
func TestAccessOutlivesAStripeThatDoesNotAnswer(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	row, err := db.New(b.pool).Entitlement(b.ctx, org)
	if err != nil {
		t.Fatal(err)
	}
	var end time.Time
	if err := b.pool.QueryRow(b.ctx, `SELECT current_period_end FROM subscriptions`).Scan(&end); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		past   time.Duration
		level  billing.Level
		reason string
		api    bool
	}{
		{-time.Second, billing.AccessFull, "active", true},
		{7*24*time.Hour - time.Second, billing.AccessFull, "active", true},
		{7 * 24 * time.Hour, billing.AccessReadOnly, "not_confirmed", false},
	} {
		e, err := payments.EntitlementNow(row, billing.DefaultPlans(), end.Add(tt.past))
		if err != nil || e.Level != tt.level || e.Reason != tt.reason || e.Plan != "pro" || (len(e.Features) > 0) != tt.api {
			t.Errorf("%s after the period: %+v, %v", tt.past, e, err)
		}
		if got := payments.AccessNow(row, end.Add(tt.past)); got != e.Access {
			t.Errorf("%s after the period: pages say %+v", tt.past, got)
		}
	}
}

// TestFeaturesFollowThePlansFile: an edit of it holds for everybody at once.
func TestFeaturesFollowThePlansFile(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	row, err := db.New(b.pool).Entitlement(b.ctx, org)
	if err != nil {
		t.Fatal(err)
	}
	plans := billing.DefaultPlans()
	plans.Plans[plans.Rank("pro")].Limits = map[string]int64{"members": 25}
	e, err := payments.EntitlementNow(row, plans, time.Now())
	if err != nil || e.Limits["members"] != 25 || e.Limits["prompts"] != 0 {
		t.Errorf("limits = %v, %v", e.Limits, err)
	}
}

func TestNobodyHasNothing(t *testing.T) {
	t.Parallel()
	e, err := payments.EntitlementNow(db.Entitlement{OrgID: uuid.New()}, billing.DefaultPlans(), time.Now())
	if err != nil || e.Level != billing.AccessNone || e.Reason != "no_subscription" || len(e.Features) > 0 {
		t.Errorf("%+v, %v", e, err)
	}
}
