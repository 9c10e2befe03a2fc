package payments_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

func TestAPurchaseArrivesByWebhookAlone(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.want("entitlement before any delivery", []string{"none"}, `SELECT access FROM entitlements`)
	for _, e := range b.ours() {
		b.deliver(e)
	}
	b.settle()

	b.want("subscription", []string{"active pro month 9900 usd t"},
		`SELECT concat_ws(' ', status, plan, "interval", amount_minor, currency, has_paid) FROM subscriptions`)
	b.want("entitlement", []string{"full active pro active"}, `SELECT concat_ws(' ', access, reason, plan, status) FROM entitlements`)
	b.want("happenings", []string{
		"checkout_completed pro", "checkout_started pro", "payment_method_attached", "payment_succeeded pro", "subscription_activated pro", "subscription_created pro",
	}, `SELECT concat_ws(' ', kind, plan) FROM payment_events ORDER BY kind`)
	b.want("reads kept although the events say it all", []string{}, `SELECT source_id FROM subscription_observations WHERE source = 'read'`)
	b.want("attempt", []string{"complete paid"}, `SELECT concat_ws(' ', state, payment_status) FROM checkout_attempts`)
	b.want("events not processed", []string{}, `SELECT id FROM webhook_events WHERE state <> 'processed'`)
	b.want("dirty customers", b.rows(`SELECT stripe_customer_id FROM customers`), `SELECT DISTINCT customer_id FROM metric_dirty WHERE customer_id LIKE 'cus%'`)
	b.want("dirty visits", b.rows(`SELECT 'visit:org:' || id FROM organizations`), `SELECT DISTINCT customer_id FROM metric_dirty WHERE customer_id LIKE 'visit%'`)
}

func TestATrialBeginsWithoutAPayment(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleBilling)
	b.buy(org, user, "pilot")
	for _, e := range b.ours() {
		b.deliver(e)
	}
	b.settle()
	b.want("subscription", []string{"trialing pilot f"}, `SELECT concat_ws(' ', status, plan, has_paid) FROM subscriptions`)
	b.want("entitlement", []string{"full trialing read_only"}, `SELECT concat_ws(' ', access, reason, then_access) FROM entitlements`)
	b.want("payments", []string{}, `SELECT kind FROM payment_events WHERE kind LIKE 'payment%' AND kind <> 'payment_method_attached'`)
}

func TestOrderAndDuplicatesDoNotMatter(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	events := b.ours()
	for _, e := range events {
		b.deliver(e)
	}
	b.settle()
	want := b.state()

	for range 8 {
		b.forget()
		shuffled := slices.Concat(events, events[:len(events)/2])
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, e := range shuffled {
			b.deliver(e)
			if rand.N(2) == 0 {
				b.settle()
			}
		}
		b.settle()
		if diff := cmp.Diff(want, b.state()); diff != "" {
			order := []string{}
			for _, e := range shuffled {
				order = append(order, kind(e))
			}
			t.Fatalf("after %q the rows differ (-in order +shuffled):\n%s", order, diff)
		}
	}
}

// forget empties everything that came from Stripe after the checkout began.
func (b *bundle) forget() {
	b.t.Helper()
	b.exec(`TRUNCATE webhook_events, sync_queue, subscriptions, subscription_observations, subscription_versions, entitlements, metric_dirty`)
	b.exec(`DELETE FROM payment_events WHERE kind <> 'checkout_started'`)
	b.exec(`UPDATE checkout_attempts SET state = 'open', payment_status = NULL, ended_at = NULL`)
}

func TestEveryTypeIsAcceptedAndSyncs(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	customer := b.rows(`SELECT stripe_customer_id FROM customers`)[0]
	subscription, invoice := b.object("/v1/subscriptions?customer="+customer), b.object("/v1/invoices?customer="+customer)
	session := b.object("/v1/checkout/sessions?customer=" + customer)
	for typ, object := range map[string]json.RawMessage{
		"checkout.session.completed":    session,
		"customer.subscription.created": subscription, "customer.subscription.updated": subscription,
		"customer.subscription.deleted": subscription, "customer.subscription.paused": subscription,
		"customer.subscription.resumed": subscription, "customer.subscription.trial_will_end": subscription,
		"invoice.payment_succeeded": invoice, "invoice.payment_failed": invoice, "invoice.payment_action_required": invoice,
		"invoice.voided": invoice, "invoice.marked_uncollectible": invoice,
	} {
		before := b.rows(`SELECT done::text FROM sync_queue`)
		b.deliver(b.event("evt_"+typ, typ, time.Now(), object))
		b.settle()
		b.want(typ, []string{"processed"}, `SELECT state FROM webhook_events WHERE type = $1`, typ)
		if slices.Equal(before, b.rows(`SELECT done::text FROM sync_queue`)) {
			t.Errorf("%s did not make Stripe be asked", typ)
		}
	}
}

func (b *bundle) object(path string) json.RawMessage {
	b.t.Helper()
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	b.call("GET", path, nil, &list)
	if len(list.Data) == 0 {
		b.t.Fatalf("%s lists nothing", path)
	}
	return list.Data[0]
}

func TestAnEventWhileStripeIsAskedIsNotLost(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	events := b.ours()
	// Workers of two processes run while the events come in one by one.
	ctx, stop := context.WithCancel(b.ctx)
	var workers sync.WaitGroup
	for _, p := range []interface{ Run(context.Context) error }{b.Payments, b.replica()} {
		workers.Go(func() { _ = p.Run(ctx) })
	}
	for _, e := range events {
		b.deliver(e)
		time.Sleep(rand.N(20 * time.Millisecond))
	}
	deadline := time.Now().Add(20 * time.Second)
	for len(b.rows(`SELECT subject FROM sync_queue WHERE wanted > done`)) > 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	workers.Wait()
	b.want("events not processed", []string{}, `SELECT id FROM webhook_events WHERE state <> 'processed'`)
	b.want("subscription", []string{"active"}, `SELECT status FROM subscriptions`)
	b.want("claims still held", []string{}, `SELECT subject FROM sync_queue WHERE lease_until > now()`)
}

func TestALaterClaimMakesTheEarlierWriteNothing(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	customer := b.rows(`SELECT stripe_customer_id FROM customers`)[0]
	// 30 asks overlap; each is overtaken by whoever claimed later.
	var asks sync.WaitGroup
	for range 30 {
		asks.Go(func() {
			if err := b.SyncCustomer(b.ctx, customer); err != nil {
				t.Error(err)
			}
		})
	}
	asks.Wait()
	b.settle()
	b.want("subscription", []string{"active"}, `SELECT status FROM subscriptions`)
	b.want("created", []string{"1"}, `SELECT count(*)::text FROM payment_events WHERE kind = 'subscription_created'`)
	b.want("activated", []string{"1"}, `SELECT count(*)::text FROM payment_events WHERE kind = 'subscription_activated'`)
}

func TestWhatIsOverStaysOver(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	customer := b.rows(`SELECT stripe_customer_id FROM customers`)[0]
	if err := b.SyncCustomer(b.ctx, customer); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE subscriptions SET status = 'canceled'`) // the answer to come still says active
	if err := b.SyncCustomer(b.ctx, customer); err != nil {
		t.Fatal(err)
	}
	b.want("status", []string{"canceled"}, `SELECT status FROM subscriptions`)
	if _, err := b.pool.Exec(b.ctx, `UPDATE subscriptions SET status = 'active'`); err == nil {
		t.Error("the database let a canceled subscription come back to life")
	}
}

func TestAFailedSyncIsPutOffAndNotGivenUp(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	events := b.ours()
	b.exec(`ALTER TABLE entitlements RENAME TO away`)
	b.deliver(events[0])
	if _, err := b.Work(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("queue", []string{"1 t t"}, `SELECT concat_ws(' ', attempts, due_at > now(), last_error IS NOT NULL) FROM sync_queue WHERE wanted > done`)
	b.want("event", []string{"pending"}, `SELECT state FROM webhook_events`)
	b.exec(`ALTER TABLE away RENAME TO entitlements`)
	b.settle()
	b.want("event", []string{"processed"}, `SELECT state FROM webhook_events`)
	b.want("queue", []string{"0"}, `SELECT attempts::text FROM sync_queue`)
}

// panicking is a Stripe whose answer about one customer nobody foresaw.
type panicking struct {
	payments.Stripe
	customer string
}

// Subscriptions panics for the customer.
func (p panicking) Subscriptions(ctx context.Context, customer string) (payments.Answer, error) {
	if customer == p.customer {
		panic("nobody foresaw this")
	}
	return p.Stripe.Subscriptions(ctx, customer)
}

// TestAPanicIsOneSubjectsFailure and not the end of the process, which would
// begin again with the same subject.
func TestAPanicIsOneSubjectsFailure(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	events := b.ours()
	b.Stripe = panicking{b.Stripe, "cus_odd"}
	b.exec(`INSERT INTO sync_queue (subject) VALUES ('cus_odd')`)
	b.deliver(events[0])
	if _, err := b.Work(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("odd one", []string{"1 t f t"}, `SELECT concat_ws(' ', attempts, due_at > now(), lease_until > now(), last_error LIKE '%nobody foresaw%') FROM sync_queue WHERE subject = 'cus_odd'`)
	b.want("the other", []string{"processed"}, `SELECT state FROM webhook_events`)
}

func TestAPriceLearnedLateCountsForWhoeverHadIt(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	other, otherUser := b.org(billing.RoleOwner)
	b.buy(other, otherUser, "pro")
	for _, e := range b.ours() {
		b.deliver(e)
	}
	b.settle()
	b.exec(`TRUNCATE metric_dirty`)
	b.exec(`DELETE FROM prices`)
	// One of them teaches us the price; both have to be counted again.
	if err := b.SyncCustomer(b.ctx, b.rows(`SELECT stripe_customer_id FROM customers LIMIT 1`)[0]); err != nil {
		t.Fatal(err)
	}
	b.want("dirty customers", b.rows(`SELECT stripe_customer_id FROM customers ORDER BY 1`), `SELECT DISTINCT customer_id FROM metric_dirty ORDER BY 1`)
}
