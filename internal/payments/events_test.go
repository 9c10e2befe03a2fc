package payments_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeshape"
)

func TestTheEndpointHearsOnlyOfWhatStripeHasAndNeverOfDrafts(t *testing.T) {
	t.Parallel()
	if slices.Contains(payments.EventTypes, "invoice.created") {
		t.Error("an endpoint that fails to acknowledge invoice.created delays invoices by up to 72 hours")
	}
	if !slices.IsSorted(payments.EventTypes) || len(slices.Compact(slices.Clone(payments.EventTypes))) != len(payments.EventTypes) {
		t.Error("the types are compared as they stand: each once, in order")
	}
	known, err := os.ReadFile("../stripesim/event_types.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range payments.EventTypes {
		if !slices.Contains(strings.Fields(string(known)), typ) {
			t.Errorf("Stripe has no events of type %s", typ)
		}
	}
}

func (b *bundle) refund(charge, amount string) string {
	b.t.Helper()
	var refund struct{ ID string }
	b.call(http.MethodPost, "/v1/refunds", strings.NewReader("charge="+charge+"&amount="+amount), &refund)
	return refund.ID
}

// TestARefundIsToldOnceWhateverTellsIt: by its own id, with the invoice and the
// plan that it belongs to, in whatever order the events come.
func TestARefundIsToldOnceWhateverTellsIt(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	charge := b.object("/v1/charges")
	first := b.refund(id(charge), "1000")
	time.Sleep(1100 * time.Millisecond)
	second := b.refund(id(charge), "500")
	events := b.ours()
	// The first refund is known to both events, and is shown with its own.
	var by []string
	for _, e := range events {
		if kind(e) == "charge.refunded" {
			by = append(by, id(e))
		}
	}
	want := []string{"1000 " + first + " " + by[0], "500 " + second + " " + by[1]}
	told := func() []string {
		return b.rows(`SELECT concat_ws(' ', amount_minor, natural_key, source_event_id) FROM payment_events
			WHERE kind = 'refund' AND currency = 'usd' AND plan = 'pro' AND subscription_id IS NOT NULL AND invoice_id = $1 ORDER BY at`,
			field(charge, "invoice"))
	}
	for name, order := range map[string]func() []json.RawMessage{
		"in order":  func() []json.RawMessage { return events },
		"backwards": func() []json.RawMessage { return reversed(events) },
		"twice":     func() []json.RawMessage { return slices.Concat(events, events) },
	} {
		b.forget()
		for _, e := range order() {
			b.deliver(e)
			b.settle()
		}
		if diff := cmp.Diff(want, told()); diff != "" {
			t.Errorf("%s (-want +told):\n%s", name, diff)
		}
		b.want("not processed", []string{}, `SELECT type || ' ' || coalesce(reason, state) FROM webhook_events WHERE state <> 'processed'`)
	}
	b.forget()
	for _, e := range events {
		if id(e) == by[0] {
			b.deliver(e)
		}
	}
	b.settle()
	b.want("told by the first alone", []string{first}, `SELECT natural_key FROM payment_events WHERE kind = 'refund'`)
}

func reversed(events []json.RawMessage) []json.RawMessage {
	out := slices.Clone(events)
	slices.Reverse(out)
	return out
}

// TestARefundThatStripeCannotNameIsToldByItsAmount: what was given back before
// is not given back again.
func TestARefundThatStripeCannotNameIsToldByItsAmount(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	charge := json.RawMessage(`{"id":"ch_unknown","object":"charge","customer":"` + b.customer() + `","amount":"9900","amount_refunded":1500.0,"currency":"usd"}`)
	event := b.event("evt_refund", "charge.refunded", time.Now(), charge)
	b.deliver([]byte(strings.Replace(string(event), `"object":`, `"previous_attributes":{"amount_refunded":1000},"object":`, 1)))
	b.settle()
	// A shape before 2022-11-15 lists them.
	b.deliver(b.event("evt_listed", "charge.refunded", time.Now(), json.RawMessage(`{"id":"ch_listed","object":"charge","customer":"`+b.customer()+`",
		"amount":9900,"amount_refunded":700,"currency":"usd","refunds":{"object":"list","has_more":false,"data":[
			{"id":"re_a","amount":300,"currency":"usd","charge":"ch_listed","created":1700000000},
			{"id":"re_b","amount":400,"currency":"usd","charge":"ch_listed","created":1700000001}]}}`)))
	b.settle()
	b.want("refunds", []string{"ch_unknown:1500 500", "re_a 300", "re_b 400"},
		`SELECT concat_ws(' ', natural_key, amount_minor) FROM payment_events WHERE kind = 'refund' ORDER BY 1`)
}

func TestARefundThatFailedIsToldBesideTheRefund(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	charge := b.object("/v1/charges")
	b.deliver(b.event("evt_failed", "charge.refund.updated", time.Now(), json.RawMessage(`{"id":"re_1","object":"refund","charge":"`+id(charge)+`",
		"amount":9900,"currency":"usd","status":"failed","failure_reason":"expired_or_canceled_card","created":`+fmt.Sprint(time.Now().Unix()-60)+`}`)))
	b.settle()
	b.want("told", []string{"refund re_1 pro", "refund_failed re_1 pro expired_or_canceled_card"},
		`SELECT concat_ws(' ', kind, natural_key, plan, details->>'failure_reason') FROM payment_events WHERE kind LIKE 'refund%' ORDER BY kind`)
}

// TestADisputeFindsItsCustomer whether the charge was heard of or not.
func TestADisputeFindsItsCustomer(t *testing.T) {
	for name, tt := range map[string]struct {
		hears bool // of the purchase before the dispute
		asks  int
	}{
		"a charge that we heard of is not asked about": {hears: true, asks: 0},
		"one that we did not is asked about once":      {hears: false, asks: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			org, user := b.org(billing.RoleOwner)
			b.buy(org, user, "pro")
			if tt.hears {
				b.deliverAll()
			}
			charge := b.object("/v1/charges")
			begin := time.Now().Add(-time.Hour).Truncate(time.Second)
			dispute := func(status string) json.RawMessage {
				return json.RawMessage(`{"id":"dp_1","object":"dispute","charge":"` + id(charge) + `","payment_intent":"` + field(charge, "payment_intent") +
					`","amount":9900,"currency":"usd","reason":"fraudulent","status":"` + status + `","created":` + fmt.Sprint(begin.Unix()) +
					`,"evidence_details":{"due_by":` + fmt.Sprint(begin.Add(9*24*time.Hour).Unix()) + `}}`)
			}
			// The end is heard of first.
			b.deliver(b.event("evt_3", "charge.dispute.closed", begin.Add(time.Minute), dispute("lost")))
			b.deliver(b.event("evt_2", "charge.dispute.funds_withdrawn", begin.Add(time.Second), dispute("needs_response")))
			b.deliver(b.event("evt_1", "charge.dispute.created", begin, dispute("needs_response")))
			b.settle()
			asks := 0
			for _, line := range b.wire.seen() {
				if line == "GET /v1/charges/"+id(charge) {
					asks++
				}
			}
			if asks != tt.asks {
				t.Errorf("asked %d times for the charge, want %d", asks, tt.asks)
			}
			if !tt.hears {
				b.deliverAll() // and the story learns its plan when the purchase is heard of
			}
			b.want("disputes", []string{"dispute_closed dp_1 9900 pro lost evt_3 00:01:00", "dispute_opened dp_1 9900 pro evt_1 00:00:00"},
				`SELECT concat_ws(' ', kind, natural_key, amount_minor, plan, details->>'status', source_event_id, at - $1)
				FROM payment_events WHERE kind LIKE 'dispute%' AND org_id IS NOT NULL AND invoice_id IS NOT NULL ORDER BY kind`, begin)
			b.want("not processed", []string{}, `SELECT type || ' ' || coalesce(reason, state) FROM webhook_events WHERE state <> 'processed'`)
			b.want("queue of the charge", []string{"t t"}, `SELECT concat_ws(' ', wanted = done, due_at > now() + interval '1 year')
				FROM sync_queue WHERE subject = $1`, "charge:"+id(charge))
		})
	}
}

// TestARefundThatNamesOnlyItsPaymentIntentFindsItsCustomer, its invoice and its
// plan, as one of a payment that no charge was made for does.
func TestARefundThatNamesOnlyItsPaymentIntentFindsItsCustomer(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	intent := field(b.object("/v1/charges"), "payment_intent")
	b.deliver(b.event("evt_1", "charge.refund.updated", time.Now(), json.RawMessage(
		`{"id":"re_1","object":"refund","charge":null,"payment_intent":"`+intent+`","amount":9900,"currency":"usd","status":"succeeded","created":1700000000}`)))
	b.settle()
	b.deliverAll()
	b.want("told", []string{"re_1 pro t"}, `SELECT concat_ws(' ', natural_key, plan, invoice_id IS NOT NULL) FROM payment_events WHERE kind = 'refund'`)
}

// TestWhatBelongsToNobodyEndsWithAReason and is asked about no more.
func TestWhatBelongsToNobodyEndsWithAReason(t *testing.T) {
	b := setup(t)
	b.exec(`INSERT INTO stripe_objects (object_id) VALUES ('pi_guest')`) // heard of, and of a guest as far as was told
	guest := `{"id":"ch_guest","object":"charge","customer":null,"amount":100,"currency":"usd"}`
	b.deliver(b.event("evt_guest", "charge.succeeded", time.Now(), json.RawMessage(guest)))
	b.deliver(b.event("evt_unknown", "charge.dispute.created", time.Now(), json.RawMessage(`{"id":"dp_1","object":"dispute","charge":"ch_unknown","amount":1,"currency":"usd"}`)))
	b.deliver(b.event("evt_nobody", "charge.dispute.created", time.Now(), json.RawMessage(`{"id":"dp_2","object":"dispute","amount":1,"currency":"usd"}`)))
	for range 10 {
		b.exec(`UPDATE sync_queue SET due_at = now() WHERE wanted > done`)
		if _, err := b.Work(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	b.want("events", []string{
		"evt_guest ignored it names no customer, as that of a guest",
		"evt_nobody parked it names no customer",
		"evt_unknown ignored Stripe knows no charge ch_unknown",
	}, `SELECT concat_ws(' ', id, state, reason) FROM webhook_events ORDER BY id`)
	b.want("customers", []string{}, `SELECT stripe_customer_id FROM customers`)
	b.want("open", []string{}, `SELECT subject FROM sync_queue WHERE wanted > done`)
}

// guestCharges is a Stripe whose charges are all of guests.
type guestCharges struct{ payments.Stripe }

func (guestCharges) Charge(_ context.Context, id string) (stripeshape.Charge, error) {
	return stripeshape.Charge{ID: id}, nil
}

// refusedCharges is a Stripe that does not let us see charges, as with a
// restricted key.
type refusedCharges struct{ payments.Stripe }

func (refusedCharges) Charge(context.Context, string) (stripeshape.Charge, error) {
	return stripeshape.Charge{}, payments.ErrRefused
}

// TestADisputeThatMayNotBeAskedAboutWaits and is heard of in the end; what was
// raised about its charge is over then.
func TestADisputeThatMayNotBeAskedAboutWaits(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	charge := id(b.object("/v1/charges"))
	b.deliver(b.event("evt_1", "charge.dispute.created", time.Now(), json.RawMessage(`{"id":"dp_1","object":"dispute","charge":"`+charge+`","amount":1,"currency":"usd"}`)))
	refused := b.replica()
	refused.Stripe = refusedCharges{b.client}
	for range 6 {
		b.exec(`UPDATE sync_queue SET due_at = now() WHERE subject LIKE 'charge:%'`)
		if _, err := refused.Work(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	alert := `SELECT state FROM payment_alerts WHERE rule = 'sync_failing' AND object_id = 'charge:` + charge + `'`
	b.want("alert while refused", []string{"firing"}, alert)
	b.want("event while refused", []string{"pending"}, `SELECT state FROM webhook_events`)
	b.settle()
	b.want("alert afterwards", []string{"resolved"}, alert)
	b.want("told", []string{"dp_1"}, `SELECT natural_key FROM payment_events WHERE kind = 'dispute_opened'`)
}

func TestAChargeWithoutACustomerEndsItsDisputes(t *testing.T) {
	b := setup(t)
	door := b.replica()
	door.Stripe = guestCharges{b.client}
	b.deliver(b.event("evt_1", "charge.dispute.created", time.Now(), json.RawMessage(`{"id":"dp_1","object":"dispute","charge":"ch_1","amount":1,"currency":"usd"}`)))
	if n, err := door.Work(b.ctx); n != 1 || err != nil {
		t.Fatalf("work = %d, %v", n, err)
	}
	b.want("event", []string{"ignored its charge ch_1 has no customer"}, `SELECT concat_ws(' ', state, reason) FROM webhook_events`)
	b.want("remembered", []string{"ch_1 t"}, `SELECT concat_ws(' ', object_id, stripe_customer_id IS NULL) FROM stripe_objects`)
}

// whileAsked is a Stripe that does something while it is asked for a charge.
type whileAsked struct {
	payments.Stripe
	do func()
}

func (w whileAsked) Charge(ctx context.Context, id string) (stripeshape.Charge, error) {
	w.do()
	return w.Stripe.Charge(ctx, id)
}

// TestAnEventWhileItsChargeIsAskedAboutIsNotLost, and whoever has been overtaken
// meanwhile hands nothing over.
func TestAnEventWhileItsChargeIsAskedAboutIsNotLost(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	charge := id(b.object("/v1/charges"))
	dispute := func(n string) json.RawMessage {
		return b.event("evt_"+n, "charge.dispute.created", time.Now(), json.RawMessage(
			`{"id":"dp_`+n+`","object":"dispute","charge":"`+charge+`","amount":1,"currency":"usd"}`))
	}
	disputes := `SELECT concat_ws(' ', id, subject LIKE 'charge:%', state) FROM webhook_events WHERE type LIKE 'charge.dispute%' ORDER BY id`
	b.deliver(dispute("1"))

	overtaken := b.replica()
	overtaken.Stripe = whileAsked{b.client, func() { b.exec(`UPDATE sync_queue SET ticket = ticket + 1 WHERE subject LIKE 'charge:%'`) }}
	if _, err := overtaken.Work(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("after being overtaken", []string{"evt_1 t pending"}, disputes)
	b.want("customers raised", []string{}, `SELECT subject FROM sync_queue WHERE subject LIKE 'cus_%' AND wanted > done`)

	b.exec(`UPDATE sync_queue SET lease_until = '-infinity'`)
	busy := b.replica()
	busy.Stripe = whileAsked{b.client, func() { b.deliver(dispute("2")) }}
	if _, err := busy.Work(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.settle()
	b.want("in the end", []string{"evt_1 f processed", "evt_2 f processed"}, disputes)
	b.want("told", []string{"dp_1", "dp_2"}, `SELECT natural_key FROM payment_events WHERE kind = 'dispute_opened' ORDER BY 1`)
}

func TestAnAbandonedCheckoutEndsByItsEvent(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	checkout := b.start(org, user, "pro", billing.Month)
	b.call(http.MethodPost, "/v1/checkout/sessions/"+checkout.SessionID+"/expire", strings.NewReader(""), nil)
	b.deliverAll()
	b.want("attempt", []string{"expired"}, `SELECT concat_ws(' ', state, payment_status) FROM checkout_attempts`)
	b.want("told", []string{checkout.SessionID + " pro month t"},
		`SELECT concat_ws(' ', natural_key, plan, "interval", source_event_id IS NOT NULL) FROM payment_events WHERE kind = 'checkout_abandoned'`)
	b.start(org, user, "pro", billing.Month) // and another may begin
}

// TestMoneyOnItsWayArrivesOrDoesNot: whatever comes first, the result stands.
func TestMoneyOnItsWayArrivesOrDoesNot(t *testing.T) {
	for name, tt := range map[string]struct {
		acts   []string
		status string
		may    bool // another checkout begin
		kinds  []string
	}{
		"on its way":               {[]string{"completed"}, "unpaid", false, []string{"checkout_completed"}},
		"failed":                   {[]string{"completed", "async_payment_failed"}, "failed", true, []string{"checkout_async_failed", "checkout_completed"}},
		"failed, heard of first":   {[]string{"async_payment_failed", "completed"}, "failed", true, []string{"checkout_async_failed", "checkout_completed"}},
		"arrived":                  {[]string{"completed", "async_payment_succeeded"}, "paid", true, []string{"checkout_async_succeeded", "checkout_completed"}},
		"arrived, heard of first":  {[]string{"async_payment_succeeded", "completed"}, "paid", true, []string{"checkout_async_succeeded", "checkout_completed"}},
		"failed, and paid by hand": {[]string{"completed", "async_payment_failed", "async_payment_succeeded"}, "paid", true, []string{"checkout_async_failed", "checkout_async_succeeded", "checkout_completed"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			org, user := b.org(billing.RoleOwner)
			checkout := b.start(org, user, "pro", billing.Month)
			for i, act := range tt.acts {
				b.deliver(b.event(fmt.Sprintf("evt_%d", i), "checkout.session."+act, time.Now(), json.RawMessage(
					`{"id":"`+checkout.SessionID+`","object":"checkout.session","customer":"`+b.rows(`SELECT stripe_customer_id FROM customers`)[0]+
						`","status":"complete","payment_status":"`+map[bool]string{true: "paid", false: "unpaid"}[act == "async_payment_succeeded"]+`","currency":"usd","amount_total":9900}`)))
				b.settle()
			}
			b.want("attempt", []string{"complete " + tt.status}, `SELECT concat_ws(' ', state, payment_status) FROM checkout_attempts`)
			b.want("told", tt.kinds, `SELECT kind FROM payment_events WHERE kind <> 'checkout_started' AND plan = 'pro' ORDER BY kind`)
			progress, err := b.CheckoutProgress(b.ctx, user, checkout.SessionID, false)
			want := map[string]payments.ProgressState{"unpaid": payments.ProgressPending, "failed": payments.ProgressExpired, "paid": payments.ProgressWaiting}[tt.status]
			if err != nil || progress.State != want {
				t.Errorf("progress = %s, %v, want %s", progress.State, err, want)
			}
			_, err = b.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month})
			if (err == nil) != tt.may {
				t.Errorf("another checkout: %v, want it to begin: %t", err, tt.may)
			}
		})
	}
}

// deletedCustomer is a Stripe that lists nothing of whom it has deleted. Its
// first answer is too close to the last event to be believed about the history,
// the later ones are not.
type deletedCustomer struct {
	payments.Stripe
	asked *atomic.Int64
}

func (d deletedCustomer) Subscriptions(context.Context, string) (payments.Answer, error) {
	at := time.Now().UTC().Truncate(time.Second)
	if d.asked.Add(1) > 1 {
		at = at.Add(30 * time.Second)
	}
	return payments.Answer{At: at}, payments.ErrNoSuchObject
}

// TestADeletedCustomersSubscriptionsEnd although no event of theirs arrives.
func TestADeletedCustomersSubscriptionsEnd(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	b.call(http.MethodDelete, "/v1/customers/"+b.customer(), nil, nil)
	door := b.replica()
	door.Stripe = deletedCustomer{b.client, &atomic.Int64{}}
	for _, e := range b.ours() {
		if kind(e) == "customer.deleted" {
			b.deliver(e)
		}
	}
	for range 3 {
		b.exec(`UPDATE sync_queue SET due_at = now()`)
		if _, err := door.Work(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	b.want("copy", []string{"canceled t"}, `SELECT concat_ws(' ', status, is_verified) FROM subscriptions`)
	b.want("access", []string{"none"}, `SELECT access FROM entitlements`)
	b.want("told", []string{"customer_deleted", "subscription_canceled"},
		`SELECT kind FROM payment_events WHERE kind IN ('customer_deleted', 'subscription_canceled') ORDER BY kind`)
}

// TestACustomerWhoPaysInAnotherCurrencyIsToldSo although no subscription says
// so: the currency of an invoice that was sent by hand is the customer's.
func TestACustomerWhoPaysInAnotherCurrencyIsToldSo(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.start(org, user, "pro", billing.Month)
	b.exec(`UPDATE checkout_attempts SET state = 'expired'`)
	b.deliver(b.event("evt_1", "customer.updated", time.Now(), json.RawMessage(`{"id":"`+b.customer()+`","object":"customer","currency":"eur"}`)))
	b.settle()
	b.want("currency", []string{"eur"}, `SELECT currency FROM customers`)
	_, err := b.StartCheckout(b.ctx, payments.CheckoutRequest{UserID: user, OrgID: org, Plan: "pro", Interval: billing.Month})
	var refusal *billing.Refusal
	if !errors.As(err, &refusal) || refusal.Code != billing.CodeCurrencyMismatch {
		t.Errorf("another checkout: %v, want it refused", err)
	}
}

// TestWhatElseHappensIsToldByItsNaturalKey twice delivered under two ids, as
// Stripe sometimes makes two events of one thing.
func TestWhatElseHappensIsToldByItsNaturalKey(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	b.exec(`DELETE FROM payment_events`)
	customer, subscription := b.customer(), b.object("/v1/subscriptions")
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	second := fmt.Sprint(at.Unix())
	with := func(s string) json.RawMessage {
		return json.RawMessage(strings.NewReplacer("$customer", customer, "$subscription", id(subscription)).Replace(s))
	}
	card := `{"id":"pm_1","object":"payment_method","customer":"$customer","type":"card","card":{"brand":"visa","last4":"4242","exp_month":4,"exp_year":2030}}`
	schedule := `{"id":"sub_sched_1","object":"subscription_schedule","customer":"$customer","subscription":null,"released_subscription":"$subscription","status":"released"}`
	for i, tt := range []struct {
		typ    string
		object json.RawMessage
		want   string // kind and key
	}{
		{"payment_method.attached", with(card), "payment_method_attached pm_1"},
		{"payment_method.updated", with(card), "payment_method_updated pm_1:" + second},
		{"payment_method.automatically_updated", with(card), "payment_method_updated pm_1:" + second},
		{"subscription_schedule.created", with(schedule), ""},
		{"subscription_schedule.updated", with(schedule), ""},
		{"subscription_schedule.expiring", with(schedule), ""},
		{"subscription_schedule.released", with(schedule), "schedule_released sub_sched_1"},
		{"subscription_schedule.canceled", with(schedule), "schedule_canceled sub_sched_1"},
		{"subscription_schedule.aborted", with(schedule), "schedule_aborted sub_sched_1"},
		{"subscription_schedule.completed", with(schedule), "schedule_completed sub_sched_1"},
		{"customer.subscription.pending_update_applied", subscription, "pending_update_applied " + id(subscription) + ":" + second},
		{"customer.subscription.pending_update_expired", subscription, "pending_update_expired " + id(subscription) + ":" + second},
		{"invoice.finalization_failed", with(`{"id":"in_1","customer":"$customer","subscription":"$subscription","currency":"usd","amount_due":9900,
			"last_finalization_error":{"code":"customer_tax_location_invalid","message":"x"}}`), "invoice_finalization_failed in_1"},
		{"invoice.voided", with(`{"id":"in_1","customer":"$customer","subscription":"$subscription"}`), "invoice_voided in_1"},
		{"customer.updated", with(`{"id":"$customer","object":"customer","delinquent":true}`), ""},
		{"customer.deleted", with(`{"id":"$customer","object":"customer","deleted":true}`), "customer_deleted " + customer},
	} {
		b.exec(`DELETE FROM payment_events WHERE NOT kind = ANY ('{subscription_created,subscription_activated,payment_succeeded}')`)
		for _, eventID := range []string{fmt.Sprintf("evt_%d_b", i), fmt.Sprintf("evt_%d_a", i)} {
			b.deliver(b.event(eventID, tt.typ, at, tt.object))
			b.settle()
		}
		want := []string{fmt.Sprintf("%s evt_%d_a", tt.want, i)}
		if tt.want == "" {
			want = []string{}
		}
		b.want(tt.typ, want, `SELECT concat_ws(' ', kind, natural_key, source_event_id) FROM payment_events
			WHERE NOT kind = ANY ('{subscription_created,subscription_activated,payment_succeeded}')`)
	}
	detached := b.event("evt_detached", "payment_method.detached", at, json.RawMessage(`{"id":"pm_1","object":"payment_method","customer":null,"type":"card"}`))
	b.deliver([]byte(strings.Replace(string(detached), `"object":{`, `"previous_attributes":{"customer":"`+customer+`"},"object":{`, 1)))
	b.settle()
	b.want("detached", []string{"pm_1 " + customer}, `SELECT concat_ws(' ', natural_key, stripe_customer_id) FROM payment_events WHERE kind = 'payment_method_detached'`)
	b.want("not processed", []string{}, `SELECT type || ' ' || coalesce(reason, state) FROM webhook_events WHERE state <> 'processed'`)
}

func (b *bundle) payWith(sessionID, card string) {
	b.t.Helper()
	b.call(http.MethodPost, "/sim/checkout/"+sessionID+"/complete", strings.NewReader(`{"card":"`+card+`"}`), nil)
}

// live lets five days pass at Stripe and for the business clock.
func (b *bundle) live() {
	b.t.Helper()
	b.call(http.MethodPost, "/sim/clock/advance", strings.NewReader(`{"by":"120h"}`), nil)
	now := b.Now
	b.Now = func() time.Time { return now().Add(120 * time.Hour) }
}

// card gives the customer one to pay with from now on.
func (b *bundle) card(testMethod string) {
	b.t.Helper()
	var method struct{ ID string }
	b.call(http.MethodPost, "/v1/payment_methods/"+testMethod+"/attach", strings.NewReader("customer="+b.customer()), &method)
	b.call(http.MethodPost, "/v1/customers/"+b.customer(), strings.NewReader("invoice_settings[default_payment_method]="+method.ID), nil)
	b.call(http.MethodPost, "/v1/subscriptions/"+field(b.object("/v1/subscriptions"), "id"), strings.NewReader("default_payment_method="+method.ID), nil)
}

// upgradeWithABadCard asks for a dearer plan that is to begin once it is paid,
// and answers the invoice that waits.
func (b *bundle) upgradeWithABadCard() string {
	b.t.Helper()
	b.card("pm_card_chargeCustomerFail")
	subscription := field(b.object("/v1/subscriptions"), "id")
	item := field(b.object("/v1/subscription_items?subscription="+subscription), "id")
	var changed struct {
		LatestInvoice string `json:"latest_invoice"`
	}
	b.call(http.MethodPost, "/v1/subscriptions/"+subscription, strings.NewReader("items[0][id]="+item+"&items[0][price]="+
		b.Sold[payments.Offer{Plan: "enterprise", Interval: billing.Month}]+"&payment_behavior=pending_if_incomplete&proration_behavior=always_invoice"), &changed)
	return changed.LatestInvoice
}

// TestWhatStripeDoesByItselfIsTold: the stand-in lives what its test cards and
// test accounts stand for, and only its events are listened to.
func TestWhatStripeDoesByItselfIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		card    string
		act     func(b *bundle)
		told    []string // kinds beyond the purchase's own, in order of the alphabet
		attempt string
	}{
		"a bank that pays after days": {
			card: "000123456789",
			told: []string{"checkout_async_succeeded", "payment_succeeded"}, attempt: "complete paid",
		},
		"a bank that does not pay": {
			card: "000222222227",
			told: []string{"checkout_async_failed", "payment_failed", "subscription_past_due"}, attempt: "complete failed",
		},
		"a card that is disputed": {
			card: "4000000000000259",
			told: []string{"dispute_opened", "payment_succeeded"}, attempt: "complete paid",
		},
		"a dispute that is accepted": {
			card: "4000000000000259",
			act: func(b *bundle) {
				b.call(http.MethodPost, "/v1/disputes/"+field(b.object("/v1/disputes"), "id")+"/close", strings.NewReader(""), nil)
			},
			told: []string{"dispute_closed", "dispute_opened", "payment_succeeded"}, attempt: "complete paid",
		},
		"a refund that fails later": {
			card: "4000000000005126",
			act:  func(b *bundle) { b.refund(field(b.object("/v1/charges"), "id"), "500") },
			told: []string{"payment_succeeded", "refund", "refund_failed"}, attempt: "complete paid",
		},
		"an update that waits for a payment that does not come": {
			card: "4242424242424242",
			act:  func(b *bundle) { b.upgradeWithABadCard() },
			told: []string{"invoice_voided", "payment_failed", "payment_succeeded", "pending_update_expired"}, attempt: "complete paid",
		},
		"an update that waits for a payment that comes": {
			card: "4242424242424242",
			act: func(b *bundle) {
				invoice := b.upgradeWithABadCard()
				time.Sleep(1100 * time.Millisecond) // what changes within one second is one change
				b.card("pm_card_visa")
				b.call(http.MethodPost, "/v1/invoices/"+invoice+"/pay", strings.NewReader(""), nil)
			},
			told: []string{"payment_failed", "payment_succeeded", "payment_succeeded", "pending_update_applied", "plan_changed"}, attempt: "complete paid",
		},
		"a schedule that is released": {
			card: "4242424242424242",
			act: func(b *bundle) {
				var schedule struct{ ID string }
				b.call(http.MethodPost, "/v1/subscription_schedules",
					strings.NewReader("from_subscription="+field(b.object("/v1/subscriptions"), "id")), &schedule)
				b.call(http.MethodPost, "/v1/subscription_schedules/"+schedule.ID+"/release", strings.NewReader(""), nil)
			},
			told: []string{"payment_succeeded", "schedule_released"}, attempt: "complete paid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			org, user := b.org(billing.RoleOwner)
			checkout := b.start(org, user, "pro", billing.Month)
			b.payWith(checkout.SessionID, tt.card)
			b.deliverAll()
			if tt.act != nil {
				tt.act(b)
			}
			b.live()
			b.deliverAll()
			b.want("told", tt.told, `SELECT kind FROM payment_events WHERE NOT kind = ANY
				('{checkout_started,checkout_completed,payment_method_attached,subscription_created,subscription_activated}') AND plan IS NOT NULL ORDER BY kind`)
			b.want("attempt", []string{tt.attempt}, `SELECT concat_ws(' ', state, payment_status) FROM checkout_attempts`)
			b.want("not processed", []string{}, `SELECT type || ' ' || coalesce(reason, state) FROM webhook_events WHERE state <> 'processed'`)

			// However late and in whatever order it is learned.
			story := `SELECT concat_ws(' ', kind, natural_key, at, plan, amount_minor, invoice_id, subscription_id, source_event_id)
				FROM payment_events WHERE kind <> 'checkout_started' ORDER BY kind, natural_key`
			onTime := b.rows(story)
			b.forget()
			for _, e := range reversed(b.ours()) {
				b.deliver(e)
			}
			b.settle()
			if diff := cmp.Diff(onTime, b.rows(story)); diff != "" {
				t.Errorf("learned late it differs (-on time +late):\n%s", diff)
			}
		})
	}
}
