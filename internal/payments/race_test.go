package payments_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

// slow is a Stripe whose answers about subscriptions pass through a test's
// hands: the answer is Stripe's own, and old by the time it is let go.
type slow struct {
	payments.Stripe
	pass func(payments.Answer) payments.Answer
}

func (s slow) Subscriptions(ctx context.Context, customer string) (payments.Answer, error) {
	answer, err := s.Stripe.Subscriptions(ctx, customer)
	return s.pass(answer), err
}

// slowReplica is a replica that asks through pass.
func (b *bundle) slowReplica(pass func(payments.Answer) payments.Answer) *payments.Payments {
	p := b.replica()
	p.Stripe = slow{b.client, pass}
	return p
}

func (b *bundle) customer() string {
	b.t.Helper()
	return b.rows(`SELECT stripe_customer_id FROM customers`)[0]
}

func TestAnAnswerThatWasOvertakenIsNotWritten(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	asked, goOn := make(chan bool), make(chan bool)
	old := b.slowReplica(func(a payments.Answer) payments.Answer {
		asked <- true
		<-goOn
		return a
	})
	done := make(chan error)
	go func() { done <- old.SyncCustomer(b.ctx, b.customer()) }()
	<-asked
	// Meanwhile the end is scheduled, and somebody else asks.
	subscription := field(b.object("/v1/subscriptions"), "id")
	b.call(http.MethodPost, "/v1/subscriptions/"+subscription, strings.NewReader("cancel_at_period_end=true"), nil)
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	goOn <- true
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.want("end scheduled", []string{"t"}, `SELECT concat(cancel_at_period_end) FROM subscriptions`)
	b.want("told", []string{"1"}, `SELECT count(*)::text FROM payment_events WHERE kind = 'cancellation_scheduled'`)
	b.want("taken back", []string{}, `SELECT kind FROM payment_events WHERE kind = 'cancellation_withdrawn'`)
}

func TestAnEventThatComesWhileStripeIsAskedIsDueAtOnce(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	events := b.ours()
	b.deliver(events[0])
	worker := b.slowReplica(func(a payments.Answer) payments.Answer {
		b.deliver(events[1])
		return a
	})
	if n, err := worker.Work(b.ctx); err != nil || n != 1 {
		t.Fatalf("work = %d, %v", n, err)
	}
	b.want("queue", []string{"1 t"}, `SELECT concat_ws(' ', wanted - done, due_at <= now() AND lease_until < now()) FROM sync_queue`)
	b.want("events", []string{"pending", "processed"}, `SELECT state FROM webhook_events ORDER BY state`)
	b.settle()
	b.want("events", []string{"processed", "processed"}, `SELECT state FROM webhook_events ORDER BY state`)
}

func TestAnAnswerOlderThanItsEventIsAskedAgain(t *testing.T) {
	for name, older := range map[string]func(payments.Answer) payments.Answer{
		"it lacks the subscription": func(a payments.Answer) payments.Answer {
			a.Subscriptions = nil
			return a
		},
		"it shows the state before": func(a payments.Answer) payments.Answer {
			for i := range a.Subscriptions {
				a.Subscriptions[i].Facts.Status = billing.StatusIncomplete
			}
			return a
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			org, user := b.org(billing.RoleOwner)
			b.buy(org, user, "pro")
			for _, e := range b.ours() {
				b.deliver(e)
			}
			stale := b.slowReplica(older)
			for asks := range 5 {
				if _, err := stale.Work(b.ctx); err != nil {
					t.Fatal(err)
				}
				b.want("written", []string{}, `SELECT status FROM subscriptions`)
				if got := b.rows(`SELECT concat_ws(' ', stale_asks, attempts, due_at > now()) FROM sync_queue`); got[0] != string(rune('1'+asks))+" 0 t" {
					t.Fatalf("after ask %d the queue has %q", asks+1, got)
				}
				b.exec(`UPDATE sync_queue SET due_at = now()`)
			}
			// The sixth is taken at its word, so that a lie cannot hold the subject for ever.
			if _, err := stale.Work(b.ctx); err != nil {
				t.Fatal(err)
			}
			b.want("events still pending", []string{}, `SELECT id FROM webhook_events WHERE state = 'pending'`)
			// And the truth wins when it is told.
			if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
				t.Fatal(err)
			}
			b.want("status", []string{"active t"}, `SELECT concat_ws(' ', status, is_verified) FROM subscriptions`)
		})
	}
}

// TestTwoEventObjectsForOneChange: Stripe says that it may make two events of
// one change; only their ids differ.
func TestTwoEventObjectsForOneChange(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	events := b.ours()
	for _, e := range events {
		b.deliver(e)
	}
	b.settle()
	happenings := b.rows(`SELECT kind || natural_key FROM payment_events ORDER BY 1`)
	versions := b.rows(`SELECT facts::text FROM subscription_versions ORDER BY at`)
	for _, e := range events {
		b.deliver(bytes.Replace(e, []byte(id(e)), []byte(id(e)+"twin"), 1))
		b.settle()
	}
	b.want("happenings", happenings, `SELECT kind || natural_key FROM payment_events ORDER BY 1`)
	b.want("versions", versions, `SELECT facts::text FROM subscription_versions ORDER BY at`)
}

func TestAnEventOfOneOrganizationChangesNothingOfAnother(t *testing.T) {
	b := setup(t)
	ours, user := b.org(billing.RoleOwner)
	b.start(ours, user, "pro", billing.Month)
	theirs, other := b.org(billing.RoleOwner)
	b.buy(theirs, other, "pro")
	attempt := b.rows(`SELECT session_id FROM checkout_attempts WHERE org_id = $1`, ours)[0]
	for _, e := range b.ours() {
		if kind(e) == "checkout.session.completed" { // their customer, our session
			var event map[string]any
			if err := json.Unmarshal(e, &event); err != nil {
				t.Fatal(err)
			}
			event["data"].(map[string]any)["object"].(map[string]any)["id"] = attempt
			forged, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			b.deliver(forged)
		}
	}
	b.settle()
	b.want("our attempt", []string{"open"}, `SELECT state FROM checkout_attempts WHERE org_id = $1`, ours)
	b.want("our entitlement", []string{"none"}, `SELECT access FROM entitlements WHERE org_id = $1`, ours)
}

func TestAPriceThatNobodyKnowsAnyMoreKeepsThePlan(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	forgetful := b.replica()
	forgetful.Sold = nil
	forgetful.Plans.Plans = slices.DeleteFunc(slices.Clone(b.Plans.Plans), func(p billing.Plan) bool { return p.Code == "pro" })
	b.exec(`UPDATE prices SET plan = NULL`)
	if err := forgetful.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	b.want("plan", []string{"pro"}, `SELECT plan FROM subscriptions`)
	b.want("what it means", []string{}, `SELECT plan FROM prices WHERE plan IS NOT NULL`)
}

func TestACustomerPaysInOneCurrency(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.start(org, user, "pro", billing.Month)
	b.exec(`UPDATE customers SET currency = 'eur'`)
	_, err := b.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month})
	refusal(t, err, billing.CodeCurrencyMismatch)
}

func TestWhatIsHalfBegunIsCanceledBeforeAnother(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	half := func() {
		b.exec(`INSERT INTO subscriptions (stripe_subscription_id, stripe_customer_id, status, quantity, currency, current_period_start,
			current_period_end, cancel_at_period_end, has_paid, livemode, facts, created_at, read_at)
			SELECT 'sub_half', stripe_customer_id, 'incomplete', 1, 'usd', now(), now(), false, false, false, '{}', now(), now() FROM customers
			ON CONFLICT DO NOTHING`)
	}
	b.start(org, user, "pro", billing.Month)
	half()
	b.start(org, user, "pro", billing.Month) // it may be the open checkout's own
	if slices.Contains(b.wire.seen(), "DELETE /v1/subscriptions/sub_half") {
		t.Error("what belongs to the open checkout was canceled")
	}
	b.exec(`DELETE FROM checkout_attempts`)
	b.start(org, user, "pilot", billing.Month)
	if !slices.Contains(b.wire.seen(), "DELETE /v1/subscriptions/sub_half") {
		t.Errorf("what was half begun was not canceled: %q", b.wire.seen())
	}
}

func TestAnEventThatCannotBeReadIsParkedAndStopsNoOther(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	bad := []byte(`{"id":"evt_bad","type":"customer.subscription.updated","created":` + time.Now().Format("20060102") + `,"livemode":false,"data":{"object":{"customer":"` + b.customer() + `","items":"none"}}}`)
	b.deliver(bad)
	for _, e := range b.ours() {
		b.deliver(e)
	}
	b.settle()
	b.want("parked", []string{"evt_bad"}, `SELECT id FROM webhook_events WHERE state = 'parked' AND reason <> ''`)
	b.want("status", []string{"active"}, `SELECT status FROM subscriptions`)
}
