package payments_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/billing"
)

// TestWhoIsMetWhilePaymentFailsMayHavePaidBefore: access depends on it, and the
// latest invoice, which is the one that is owed, does not say.
func TestWhoIsMetWhilePaymentFailsMayHavePaidBefore(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	var attached struct {
		ID string `json:"id"`
	}
	b.call(http.MethodPost, "/v1/payment_methods/pm_card_chargeCustomerFail/attach", strings.NewReader("customer="+b.customer()), &attached)
	subscription := field(b.object("/v1/subscriptions"), "id")
	b.call(http.MethodPost, "/v1/subscriptions/"+subscription, strings.NewReader("default_payment_method="+attached.ID), nil)
	b.call(http.MethodPost, "/sim/clock/advance", strings.NewReader(`{"by":"768h"}`), nil) // 32 days: renewed, and tried once
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	b.want("owing", []string{"past_due t t"}, `SELECT concat_ws(' ', status, has_paid, next_payment_attempt > read_at) FROM subscriptions`)
}
