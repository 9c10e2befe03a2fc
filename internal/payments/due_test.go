package payments_test

import (
	"context"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

// dueIn is how long until the customer is asked about again, in whole minutes.
func (b *bundle) dueIn() string {
	b.t.Helper()
	return b.rows(`SELECT round(extract(epoch FROM due_at - now()) / 60)::text FROM sync_queue`)[0]
}

func TestACustomerIsAskedAboutAgainWhenSomethingShouldHappen(t *testing.T) {
	in := func(d time.Duration, set func(*billing.Subscription, time.Time)) func(payments.Answer) payments.Answer {
		return func(a payments.Answer) payments.Answer {
			for i := range a.Subscriptions {
				set(&a.Subscriptions[i], a.At.Add(d))
			}
			return a
		}
	}
	for name, tt := range map[string]struct {
		pass func(payments.Answer) payments.Answer
		want string
	}{
		"nothing soon: in a week": {func(a payments.Answer) payments.Answer { return a }, "10080"},
		"the period ends": {
			in(30*time.Minute, func(s *billing.Subscription, at time.Time) { s.CurrentPeriodEnd = at }), "90",
		},
		"the trial ends": {
			in(2*time.Hour, func(s *billing.Subscription, at time.Time) { s.Facts.TrialEnd = billing.At(at) }), "180",
		},
		"the end is scheduled": {
			in(3*time.Hour, func(s *billing.Subscription, at time.Time) { s.Facts.EndsAt = billing.At(at) }), "240",
		},
		"a pause ends": {
			in(4*time.Hour, func(s *billing.Subscription, at time.Time) {
				s.Facts.Pause = &billing.Pause{Behavior: "void", ResumesAt: billing.At(at)}
			}), "300",
		},
		"Stripe tries to collect": {
			in(5*time.Hour, func(s *billing.Subscription, at time.Time) { s.LatestInvoice.NextAttemptAt = at }), "360",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			org, user := b.org(billing.RoleOwner)
			b.buy(org, user, "pro")
			if err := b.slowReplica(tt.pass).SyncCustomer(b.ctx, b.customer()); err != nil {
				t.Fatal(err)
			}
			if got := b.dueIn(); got != tt.want {
				t.Errorf("asked again in %s minutes, want %s", got, tt.want)
			}
		})
	}
}

// TestCopyAndHistoryMustMeet: the answer says more than the events do, whose
// newest is a moment old, so another event is on its way or the answer is wrong.
func TestCopyAndHistoryMustMeet(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	for _, e := range b.ours() {
		b.deliver(e)
	}
	door := b.slowReplica(func(a payments.Answer) payments.Answer {
		for i := range a.Subscriptions {
			a.Subscriptions[i].Facts.EndsAt = billing.At(a.At.AddDate(0, 1, 0))
		}
		return a
	})
	for range 3 { // as long as the newest event is young, and not only once
		if err := door.SyncCustomer(b.ctx, b.customer()); err != nil {
			t.Fatal(err)
		}
		b.want("asked again", []string{"t"}, `SELECT (due_at BETWEEN now() AND now() + interval '5 seconds')::text::char(1)::text FROM sync_queue`)
	}
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	if got := b.dueIn(); got != "10080" {
		t.Errorf("when they meet, asked again in %s minutes", got)
	}
}

func TestLinkingACustomerCountsItForTheOrganization(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.start(org, user, "pro", billing.Month)
	b.want("marked", []string{b.customer()}, `SELECT DISTINCT customer_id FROM metric_dirty WHERE customer_id NOT LIKE 'visit:%'`)
}

// paysBeforeExpire is a Stripe whose customer pays just before the session that
// is in the way is to be expired.
type paysBeforeExpire struct {
	payments.Stripe
	pay func(sessionID string)
}

func (p paysBeforeExpire) ExpireCheckoutSession(ctx context.Context, id string) (payments.CheckoutSession, error) {
	p.pay(id)
	return p.Stripe.ExpireCheckoutSession(ctx, id)
}

func TestStripeDecidesTheRaceBetweenPayingAndExpiring(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.start(org, user, "pro", billing.Month)
	door := b.replica()
	door.Stripe = paysBeforeExpire{b.client, b.pay}
	_, err := door.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pilot", Interval: billing.Year})
	refusal(t, err, billing.CodeSubscriptionExists)
	b.listed("/v1/checkout/sessions", 1)
	b.want("attempts", []string{"complete paid"}, `SELECT concat_ws(' ', state, payment_status) FROM checkout_attempts`)
	b.want("bought", []string{"active pro"}, `SELECT status || ' ' || plan FROM subscriptions`)
}
