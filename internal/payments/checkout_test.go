package payments_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

func refusal(t *testing.T, err error, code string) {
	t.Helper()
	var r *billing.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Errorf("error = %v, want a refusal %s", err, code)
	}
}

func TestStartCheckoutRefusesBeforeAskingStripe(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	memberOrg, member := b.org(billing.RoleMember)
	before := b.wire.requests.Load()
	for name, tt := range map[string]struct {
		request payments.CheckoutRequest
		code    string
	}{
		"an unknown plan":          {payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "gold", Interval: billing.Month}, billing.CodeInvalid},
		"an interval not sold":     {payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Week}, billing.CodeInvalid},
		"an unknown organization":  {payments.CheckoutRequest{UserID: user, OrgID: uuid.New(), Plan: "pro", Interval: billing.Month}, billing.CodeNotFound},
		"somebody else's":          {payments.CheckoutRequest{UserID: user, OrgID: memberOrg, Plan: "pro", Interval: billing.Month}, billing.CodeNotFound},
		"a member without billing": {payments.CheckoutRequest{UserID: member, OrgID: memberOrg, Plan: "pro", Interval: billing.Month}, billing.CodeForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.StartCheckout(t.Context(), tt.request)
			refusal(t, err, tt.code)
		})
	}
	if after := b.wire.requests.Load(); after != before {
		t.Errorf("Stripe was asked %d times", after-before)
	}
	b.want("attempts", []string{}, `SELECT state FROM checkout_attempts`)
}

func TestOneCustomerAndOneSessionHoweverOftenTheButtonIsPressed(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	doors := []*payments.Payments{b.Payments, b.replica()}
	sessions := make([]string, 8)
	var presses sync.WaitGroup
	for i := range sessions {
		presses.Go(func() {
			checkout, err := doors[i%2].StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month})
			if err != nil {
				t.Error(err)
			}
			sessions[i] = checkout.SessionID
		})
	}
	presses.Wait()
	for _, s := range sessions {
		if s == "" || s != sessions[0] {
			t.Fatalf("sessions = %q, want one", sessions)
		}
	}
	b.listed("/v1/customers", 1)
	b.listed("/v1/checkout/sessions", 1)
	b.want("attempts", []string{"open"}, `SELECT state FROM checkout_attempts`)
	b.want("started", []string{"1"}, `SELECT count(*)::text FROM payment_events WHERE kind = 'checkout_started'`)
}

func (b *bundle) listed(path string, want int) {
	b.t.Helper()
	var list struct {
		Data []any `json:"data"`
	}
	b.call("GET", path, nil, &list)
	if len(list.Data) != want {
		b.t.Errorf("%s lists %d, want %d", path, len(list.Data), want)
	}
}

func TestAnotherPlanExpiresTheEarlierSession(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	first := b.start(org, user, "pro", billing.Month)
	second := b.start(org, user, "pro", billing.Year)
	if first.SessionID == second.SessionID {
		t.Fatal("the session of the other price was given out again")
	}
	b.want("attempts", []string{"month expired", "year open"}, `SELECT "interval" || ' ' || state FROM checkout_attempts ORDER BY created_at`)
	b.want("abandoned", []string{first.SessionID}, `SELECT natural_key FROM payment_events WHERE kind = 'checkout_abandoned'`)
}

func TestALiveSubscriptionShutsTheDoor(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro") // and no webhook comes
	_, err := b.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "enterprise", Interval: billing.Month})
	refusal(t, err, billing.CodeSubscriptionExists)
	b.listed("/v1/checkout/sessions", 1)
	b.want("what the button learned", []string{"active pro"}, `SELECT status || ' ' || plan FROM subscriptions`)
}

func TestACrashBetweenStripeAndTheRowIsHealedByTheNextPress(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	first := b.start(org, user, "pro", billing.Month)
	b.exec(`UPDATE checkout_attempts SET state = 'creating', session_id = NULL, url = NULL, expires_at = NULL`)
	b.exec(`DELETE FROM customers`)
	if second := b.start(org, user, "pro", billing.Month); second != first {
		t.Errorf("after the crash %v, want %v again", second, first)
	}
	b.listed("/v1/customers", 1)
}

func TestARequestStripeForgotIsNotRepeated(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	first := b.start(org, user, "pro", billing.Month)
	b.exec(`UPDATE checkout_attempts SET state = 'creating', session_id = NULL, url = NULL, expires_at = NULL, created_at = now() - interval '24 hours'`)
	if second := b.start(org, user, "pro", billing.Month); second.SessionID == first.SessionID {
		t.Error("a request older than its key was repeated")
	}
	b.want("attempts", []string{"expired", "open"}, `SELECT state FROM checkout_attempts ORDER BY created_at`)
}

func TestATrialIsForWhoNeverHadAnything(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pilot")
	customer := b.rows(`SELECT stripe_customer_id FROM customers`)[0]
	if err := b.SyncCustomer(b.ctx, customer); err != nil {
		t.Fatal(err)
	}
	b.call("DELETE", "/v1/subscriptions/"+b.rows(`SELECT stripe_subscription_id FROM subscriptions`)[0], nil, nil)
	b.buy(org, user, "pilot")
	if err := b.SyncCustomer(b.ctx, customer); err != nil {
		t.Fatal(err)
	}
	b.want("subscriptions", []string{"canceled", "active"}, `SELECT status FROM subscriptions ORDER BY trial_end IS NULL`)
}

func TestRedirectAndWebhookAtOnceActivateOnce(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	checkout := b.buy(org, user, "pro")
	other := b.replica()
	var both sync.WaitGroup
	for _, e := range b.ours() {
		both.Go(func() { b.deliver(e); _, _ = other.Work(b.ctx) })
	}
	for range 5 {
		both.Go(func() {
			if _, err := b.CheckoutProgress(b.ctx, user, checkout.SessionID, true); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	b.settle()
	progress, err := b.CheckoutProgress(b.ctx, user, checkout.SessionID, false)
	if err != nil || progress.State != payments.ProgressActive || progress.OrgID != org || progress.Plan != "pro" {
		t.Errorf("progress = %+v, %v", progress, err)
	}
	b.want("happenings", []string{"checkout_completed 1", "checkout_started 1", "payment_method_attached 1", "payment_succeeded 1", "subscription_activated 1", "subscription_created 1"},
		`SELECT kind || ' ' || count(*) FROM payment_events GROUP BY kind ORDER BY kind`)
	b.want("versions end", []string{"active"}, `SELECT facts->>'status' FROM subscription_versions ORDER BY at DESC LIMIT 1`)
}

func TestProgressBelongsToTheOrganization(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	checkout := b.start(org, user, "pro", billing.Month)
	progress, err := b.CheckoutProgress(b.ctx, user, checkout.SessionID, true)
	if err != nil || progress.State != payments.ProgressWaiting {
		t.Errorf("before paying, progress = %+v, %v", progress, err)
	}
	_, stranger := b.org(billing.RoleOwner)
	for name, tt := range map[string]struct {
		user    uuid.UUID
		session string
	}{
		"a stranger's session": {stranger, checkout.SessionID},
		"an unknown session":   {user, "cs_test_unknown"},
		"no session":           {user, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.CheckoutProgress(t.Context(), tt.user, tt.session, true)
			refusal(t, err, billing.CodeNotFound)
		})
	}
}

func TestCheckoutsPastTheirEndAreClosed(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	checkout := b.start(org, user, "pro", billing.Month)
	b.call("POST", "/v1/checkout/sessions/"+checkout.SessionID+"/expire", nil, nil)
	b.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	if err := b.SweepAttempts(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("attempts", []string{"expired"}, `SELECT state FROM checkout_attempts`)
	b.want("abandoned", []string{"pro"}, `SELECT plan FROM payment_events WHERE kind = 'checkout_abandoned'`)
	b.want("abandoned when it expired, not when that was noticed", []string{"t t"}, `SELECT concat_ws(' ', e.at = a.expires_at, a.ended_at = a.expires_at)
		FROM payment_events e JOIN checkout_attempts a ON a.session_id = e.natural_key WHERE e.kind = 'checkout_abandoned'`)
	if progress, err := b.CheckoutProgress(b.ctx, user, checkout.SessionID, true); err != nil || progress.State != payments.ProgressExpired {
		t.Errorf("progress = %+v, %v", progress, err)
	}
}

func TestStripeAwayIsARefusalWithAWayForward(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.wire.isCut.Store(true)
	_, err := b.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month})
	refusal(t, err, billing.CodeStripeUnavailable)
	b.want("attempts", []string{}, `SELECT state FROM checkout_attempts`)
}

func TestPressesAtOnceAllFindALiveSubscription(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.exec(`DELETE FROM checkout_attempts`) // as if it had been sold in Stripe's dashboard
	var presses sync.WaitGroup
	for _, door := range []*payments.Payments{b.Payments, b.replica(), b.replica(), b.replica(), b.replica(), b.replica()} {
		presses.Go(func() {
			_, err := door.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pilot", Interval: billing.Month})
			refusal(t, err, billing.CodeSubscriptionExists)
		})
	}
	presses.Wait()
	b.listed("/v1/checkout/sessions", 1)
}

func TestMoneyOnItsWayKeepsTheDoorShut(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	checkout := b.start(org, user, "pro", billing.Month)
	b.exec(`UPDATE checkout_attempts SET state = 'complete', payment_status = 'unpaid', subscription_id = 'sub_1'`)
	request := payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month}
	_, err := b.StartCheckout(b.ctx, request)
	refusal(t, err, billing.CodePaymentUnderWay)
	if progress, err := b.CheckoutProgress(b.ctx, user, checkout.SessionID, false); err != nil || progress.State != payments.ProgressPending {
		t.Errorf("progress = %+v, %v", progress, err)
	}
	// The money never comes, and Stripe gives the subscription up.
	b.exec(`INSERT INTO subscriptions (stripe_subscription_id, stripe_customer_id, status, quantity, currency, current_period_start,
		current_period_end, cancel_at_period_end, has_paid, livemode, facts, created_at, read_at)
		SELECT 'sub_1', stripe_customer_id, 'incomplete_expired', 1, 'usd', now(), now(), false, false, false, '{}', now(), now() FROM customers`)
	if _, err := b.StartCheckout(b.ctx, request); err != nil {
		t.Errorf("the door stays shut: %v", err)
	}
}

func TestMoneyThatArrivesOpensThePlan(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	checkout := b.buy(org, user, "pro")
	b.exec(`UPDATE checkout_attempts SET state = 'complete', payment_status = 'unpaid', subscription_id = $1`, field(b.object("/v1/subscriptions"), "id"))
	for _, e := range b.ours() {
		b.deliver(e)
	}
	b.settle()
	if progress, err := b.CheckoutProgress(b.ctx, user, checkout.SessionID, false); err != nil || progress.State != payments.ProgressActive {
		t.Errorf("progress = %+v, %v", progress, err)
	}
}

func TestAButtonThatFailsPutsNoWorkerOff(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	customer := b.rows(`SELECT stripe_customer_id FROM customers`)[0]
	b.deliver(b.ours()[0])
	b.wire.isCut.Store(true)
	for range 3 {
		if err := b.SyncCustomer(b.ctx, customer); err == nil {
			t.Error("a cut wire is no error")
		}
	}
	b.want("queue", []string{"0 t"}, `SELECT concat_ws(' ', attempts, due_at <= now() AND lease_until < now()) FROM sync_queue`)
	b.wire.isCut.Store(false)
	gone, leave := context.WithCancel(b.ctx)
	leave()
	if err := b.SyncCustomer(gone, customer); err != nil {
		t.Errorf("whoever asked has left, and the sync with them: %v", err)
	}
}

func TestAPriceThatStripeDoesNotKnowBlocksNobodyForLong(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	request := payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month}
	mistaken := b.replica()
	mistaken.Sold = map[payments.Offer]string{{Plan: "pro", Interval: billing.Month}: "price_none"}
	_, err := mistaken.StartCheckout(b.ctx, request)
	refusal(t, err, billing.CodeStripeUnavailable)
	b.want("attempts", []string{"expired"}, `SELECT state FROM checkout_attempts`)
	if _, err := b.StartCheckout(b.ctx, request); err != nil {
		t.Errorf("after the variable is mended: %v", err)
	}
}

func TestASessionThatStripeDoesNotKnowIsOver(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.start(org, user, "pro", billing.Month)
	b.exec(`UPDATE checkout_attempts SET session_id = 'cs_test_none'`)
	b.start(org, user, "pro", billing.Month)
	b.want("attempts", []string{"expired", "open"}, `SELECT state FROM checkout_attempts ORDER BY created_at`)
	b.exec(`UPDATE checkout_attempts SET session_id = 'cs_test_nil', expires_at = now() - interval '1 day' WHERE state = 'open'`)
	if err := b.SweepAttempts(b.ctx); err != nil {
		t.Error(err)
	}
	b.want("attempts", []string{"expired", "expired"}, `SELECT state FROM checkout_attempts`)
}

func TestANameThatStripeRefusesKeepsNobodyFromPaying(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	door := b.replica()
	door.Stripe = nameless{b.client}
	if _, err := door.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month}); err != nil {
		t.Error(err)
	}
	b.want("linked", []string{org.String()}, `SELECT org_id::text FROM customers`)
}

// nameless is a Stripe that takes no customer's name.
type nameless struct{ payments.Stripe }

func (nameless) UpdateCustomer(context.Context, string, string, string) error {
	return payments.ErrRefused
}
