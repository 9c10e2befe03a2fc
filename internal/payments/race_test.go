package payments_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
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
	b.call(http.MethodPost, "/v1/products/"+b.rows(`SELECT product FROM prices`)[0], strings.NewReader("metadata[plan]="), nil)
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

// half adds a subscription that was begun and not paid to every answer.
func half(a payments.Answer) payments.Answer {
	a.Subscriptions = append(a.Subscriptions, billing.Subscription{
		ID: "sub_half", CreatedAt: a.At, CurrentPeriodStart: a.At, CurrentPeriodEnd: a.At.AddDate(0, 1, 0),
		Facts: billing.Facts{Status: billing.StatusIncomplete, Currency: "usd", Items: []billing.Item{}},
	})
	return a
}

func TestWhatIsHalfBegunIsCanceledBeforeAnother(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	request := payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month}
	const cancel = "DELETE /v1/subscriptions/sub_half"
	door := b.slowReplica(half)
	b.start(org, user, "pro", billing.Month)
	if _, err := door.StartCheckout(b.ctx, request); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(b.wire.seen(), cancel) {
		t.Error("what may belong to the open checkout was canceled")
	}
	// Its money may be on its way: the press is refused and touches nothing.
	b.exec(`UPDATE checkout_attempts SET state = 'complete', payment_status = 'unpaid', subscription_id = 'sub_half'`)
	_, err := door.StartCheckout(b.ctx, request)
	refusal(t, err, billing.CodePaymentUnderWay)
	if slices.Contains(b.wire.seen(), cancel) {
		t.Error("a payment on its way was canceled")
	}
	b.exec(`DELETE FROM checkout_attempts`)
	if _, err := door.StartCheckout(b.ctx, request); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(b.wire.seen(), cancel) {
		t.Errorf("what was half begun was not canceled: %q", b.wire.seen())
	}
}

// TestNothingIsSoldWhileAPurchaseArrives: the checkout is known to be complete,
// and its subscription has not reached our rows yet.
func TestNothingIsSoldWhileAPurchaseArrives(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	request := payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month}
	b.start(org, user, "pro", billing.Month)
	session := b.rows(`SELECT session_id FROM checkout_attempts`)[0]
	// The press has been told that there is nothing; then the customer pays.
	door := b.slowReplica(func(a payments.Answer) payments.Answer {
		b.pay(session)
		b.exec(`UPDATE checkout_attempts SET state = 'complete', payment_status = 'paid', subscription_id = $1`, field(b.object("/v1/subscriptions"), "id"))
		return a
	})
	_, err := door.StartCheckout(b.ctx, request)
	refusal(t, err, billing.CodeSubscriptionExists)
	b.listed("/v1/checkout/sessions", 1)
}

func TestAClaimedSubjectIsNotClaimedAgain(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliver(b.ours()[0])
	other := b.replica()
	worker := b.slowReplica(func(a payments.Answer) payments.Answer {
		if n, err := other.Work(b.ctx); err != nil || n != 0 {
			t.Errorf("while it is asked about, another worker claims %d, %v", n, err)
		}
		return a
	})
	if n, err := worker.Work(b.ctx); err != nil || n != 1 {
		t.Errorf("work = %d, %v", n, err)
	}
}

func TestASlowAnswerHoldsUpNobodyElse(t *testing.T) {
	b := setup(t)
	for range 2 {
		org, user := b.org(billing.RoleOwner)
		b.buy(org, user, "pro")
	}
	first := b.rows(`SELECT stripe_customer_id FROM customers ORDER BY 1`)[0]
	goOn := make(chan bool)
	worker := b.replica()
	worker.Stripe = slowFor{b.client, first, goOn}
	ctx, stop := context.WithCancel(b.ctx)
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()
	for _, e := range b.ours() {
		b.deliver(e)
	}
	deadline := time.Now().Add(20 * time.Second)
	for len(b.rows(`SELECT status FROM subscriptions WHERE status = 'active'`)) == 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	b.want("served meanwhile", []string{"t"}, `SELECT (stripe_customer_id <> $1)::text::char(1)::text FROM subscriptions`, first)
	close(goOn)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.want("after the stop", []string{"active", "active"}, `SELECT status FROM subscriptions`)
}

// slowFor answers about one customer only when told to.
type slowFor struct {
	payments.Stripe
	customer string
	goOn     chan bool
}

func (s slowFor) Subscriptions(ctx context.Context, customer string) (payments.Answer, error) {
	if customer == s.customer {
		<-s.goOn
	}
	return s.Stripe.Subscriptions(ctx, customer)
}

func TestManyWhoLearnTheSamePricesDoNotWaitForEachOther(t *testing.T) {
	b := setup(t)
	var customers []string
	for range 8 {
		org, user := b.org(billing.RoleOwner)
		b.buy(org, user, "pro")
	}
	customers = b.rows(`SELECT stripe_customer_id FROM customers`)
	// Each answer names every price there is.
	door := b.slowReplica(func(a payments.Answer) payments.Answer {
		for i := range a.Subscriptions {
			for _, price := range b.Sold {
				a.Subscriptions[i].Facts.Items = append(a.Subscriptions[i].Facts.Items, billing.Item{PriceID: price, Quantity: 1})
			}
		}
		return a
	})
	for range 3 {
		b.exec(`DELETE FROM prices`)
		var syncs sync.WaitGroup
		for _, c := range customers {
			syncs.Go(func() {
				if err := door.SyncCustomer(b.ctx, c); err != nil {
					t.Error(err)
				}
			})
		}
		syncs.Wait()
	}
}

func TestAnEventThatNoRowTakesIsParkedAndStopsNoOther(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	// Nothing that an event can say is refused by a row any more, so one is
	// made to refuse.
	b.exec(`ALTER TABLE payment_events ADD CONSTRAINT refuses CHECK (kind <> 'customer_deleted')`)
	bad := b.event("evt_refused", "customer.deleted", time.Now(), json.RawMessage(`{"id":"`+b.customer()+`","object":"customer"}`))
	b.deliver(bad)
	for _, e := range b.ours() {
		b.deliver(e)
	}
	b.settle()
	b.want("parked", []string{"evt_refused"}, `SELECT id FROM webhook_events WHERE state = 'parked' AND reason LIKE '%refuses%'`)
	b.want("pending", []string{}, `SELECT id FROM webhook_events WHERE state = 'pending'`)
	b.want("status", []string{"active"}, `SELECT status FROM subscriptions`)
}

func TestWhatIsOddInAnEventSpoilsNothingElse(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	for name, change := range map[string]map[string]any{
		"an unknown status": {"status": "hibernating"},
		"a NUL":             {"currency": "us\x00"},
		"a year beyond":     {"current_period_end": int64(9e15)},
	} {
		var bad map[string]any
		if err := json.Unmarshal(b.object("/v1/subscriptions"), &bad); err != nil {
			t.Fatal(err)
		}
		bad["id"] = "sub_bad"
		maps.Copy(bad, change)
		event, err := json.Marshal(map[string]any{
			"id": "evt_" + name, "type": "customer.subscription.updated", "created": time.Now().Unix(), "livemode": false,
			"data": map[string]any{"object": bad},
		})
		if err != nil {
			t.Fatal(err)
		}
		b.deliver(event)
	}
	for _, e := range b.ours() {
		b.deliver(e)
	}
	for range 8 { // an event that names what Stripe does not list is asked about five times
		b.exec(`UPDATE sync_queue SET due_at = now()`)
		if _, err := b.Work(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	b.want("pending", []string{}, `SELECT id FROM webhook_events WHERE state = 'pending'`)
	b.want("parked", []string{"evt_an unknown status"}, `SELECT id FROM webhook_events WHERE state = 'parked' ORDER BY id`)
	b.want("status", []string{"active"}, `SELECT status FROM subscriptions`)
}

func TestACustomerThatStripeDoesNotKnowKeepsTheEndOfItsHistory(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	events := b.ours()
	for _, e := range events {
		b.deliver(e)
	}
	b.settle()
	b.call(http.MethodDelete, "/v1/customers/"+b.customer(), nil, nil) // ends the subscription, too
	for _, e := range b.ours()[len(events):] {
		b.deliver(e)
	}
	gone := b.replica()
	gone.Stripe = goneCustomer{b.client}
	for range 8 {
		b.exec(`UPDATE sync_queue SET due_at = now()`)
		if _, err := gone.Work(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	b.want("pending", []string{}, `SELECT id FROM webhook_events WHERE state = 'pending'`)
	b.want("copy", []string{"canceled f"}, `SELECT concat_ws(' ', status, is_verified) FROM subscriptions`)
	b.want("access", []string{"none"}, `SELECT access FROM entitlements`)
}

// goneCustomer is a Stripe that does not know whom it is asked about.
type goneCustomer struct{ payments.Stripe }

func (goneCustomer) Subscriptions(context.Context, string) (payments.Answer, error) {
	return payments.Answer{At: time.Now().UTC().Truncate(time.Second)}, payments.ErrNoSuchObject
}

func (goneCustomer) Subscription(context.Context, string) (billing.Subscription, error) {
	return billing.Subscription{}, payments.ErrNoSuchObject
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
