package payments_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

// TestAStoryLearnedLateIsTheStoryLearnedOnTime: whoever asks only at the end
// tells all that was passed over, at the moments that Stripe gives it.
func TestAStoryLearnedLateIsTheStoryLearnedOnTime(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pilot")
	b.deliverAll()
	subscription, item := field(b.object("/v1/subscriptions"), "id"), field(b.object("/v1/subscription_items?subscription="+
		field(b.object("/v1/subscriptions"), "id")), "id")
	to := func(plan string) string {
		return "items[0][id]=" + item + "&items[0][price]=" + b.Sold[payments.Offer{Plan: plan, Interval: billing.Month}]
	}
	var told []string
	for _, change := range []string{
		"cancel_at_period_end=true", "cancel_at_period_end=false", to("pro"), to("enterprise"), "cancel_at_period_end=true",
	} {
		time.Sleep(1100 * time.Millisecond) // what changes within one second is one change
		b.call(http.MethodPost, "/v1/subscriptions/"+subscription, strings.NewReader(change), nil)
		b.deliverAll()
	}
	story := `SELECT concat_ws(' ', kind, natural_key, at, plan, "interval", amount_minor, source_event_id, details)
		FROM payment_events WHERE kind <> 'checkout_started' ORDER BY at, kind`
	onTime := b.rows(story)
	for _, line := range onTime {
		told = append(told, strings.SplitN(line, " ", 2)[0])
	}
	want := []string{
		"checkout_completed", "payment_method_attached", "subscription_created", "trial_started",
		"cancellation_scheduled", "cancellation_withdrawn", "plan_changed", "plan_changed", "cancellation_scheduled",
	}
	if !slices.Equal(told, want) {
		t.Fatalf("told %q, want %q", told, want)
	}

	b.forget()
	events := b.ours()
	for _, e := range events {
		b.deliver(e)
	}
	b.settle() // one ask, after everything
	if diff := cmp.Diff(onTime, b.rows(story)); diff != "" {
		t.Errorf("learned late it differs (-on time +late):\n%s", diff)
	}

	// An answer that comes before its event dates what the event then moves.
	b.forget()
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	if got := b.rows(story); cmp.Equal(onTime, got) {
		t.Fatal("without events the whole story cannot be known")
	}
	for _, e := range slices.Backward(events) {
		b.deliver(e)
		b.settle()
	}
	if diff := cmp.Diff(onTime, b.rows(story)); diff != "" {
		t.Errorf("learned backwards it differs (-on time +backwards):\n%s", diff)
	}

	// One that comes after all the others changes what was before the next.
	for i, late := range events {
		b.forget()
		for j, e := range events {
			if j != i {
				b.deliver(e)
			}
		}
		b.settle()
		b.deliver(late)
		b.settle()
		if diff := cmp.Diff(onTime, b.rows(story)); diff != "" {
			t.Errorf("with %s late it differs (-on time +late):\n%s", kind(late), diff)
		}
	}
}

func (b *bundle) deliverAll() {
	b.t.Helper()
	for _, e := range b.ours() {
		b.deliver(e)
	}
	b.settle()
}

// TestOfTwoTellingsOfOneThingTheEarlierStays: a payment tried by hand carries
// the count of the one before it.
func TestOfTwoTellingsOfOneThingTheEarlierStays(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	invoice := b.object("/v1/invoices")
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	failed := func(id string, at time.Time) json.RawMessage {
		return b.event(id, "invoice.payment_failed", at, invoice)
	}
	for _, order := range [][]json.RawMessage{
		{failed("evt_first", begin), failed("evt_second", begin.Add(time.Minute))},
		{failed("evt_second", begin.Add(time.Minute)), failed("evt_first", begin)},
	} {
		b.exec(`DELETE FROM payment_events WHERE kind = 'payment_failed'`)
		b.exec(`DELETE FROM webhook_events WHERE type = 'invoice.payment_failed'`)
		for _, e := range order {
			b.deliver(e)
			b.settle()
		}
		b.want("failed", []string{"evt_first t"},
			`SELECT concat_ws(' ', source_event_id, at = $1) FROM payment_events WHERE kind = 'payment_failed'`, begin)
	}
}

// TestAPaymentThatNoEventToldIsFoundWhenTheInvoiceIsRead: of one paid out of
// band Stripe sends invoice.paid, which nothing here listens to.
func TestAPaymentThatNoEventToldIsFoundWhenTheInvoiceIsRead(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	found := `SELECT concat_ws(' ', plan, amount_minor, natural_key = invoice_id, coalesce(source_event_id, 'found'))
		FROM payment_events WHERE kind = 'payment_succeeded'`
	b.want("found", []string{"pro 9900 t found"}, found)
	b.deliverAll() // and the event that does tell is the same one
	told := b.rows(found)
	if len(told) != 1 || strings.Contains(told[0], "found") {
		t.Errorf("told %q, want the one payment with its event", told)
	}
}

// event is an event that Stripe could have sent about the object.
func (b *bundle) event(id, typ string, at time.Time, object json.RawMessage) json.RawMessage {
	b.t.Helper()
	e, err := json.Marshal(map[string]any{
		"id": id, "object": "event", "type": typ, "created": at.Unix(), "api_version": "2023-10-16",
		"livemode": false, "data": map[string]any{"object": object},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

// TestAnInvoiceThatWasSettledNeedsNobody, also where it is heard afterwards that
// it could not be issued at first.
func TestAnInvoiceThatWasSettledNeedsNobody(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	invoice := json.RawMessage(`{"id":"in_late","object":"invoice","customer":"` + b.customer() + `","currency":"usd","amount_due":9900}`)
	failed := b.event("evt_failed", "invoice.finalization_failed", time.Now().Add(-time.Minute), invoice)
	voided := b.event("evt_voided", "invoice.voided", time.Now(), invoice)
	for _, e := range []json.RawMessage{voided, failed} {
		b.deliver(e)
		b.settle()
	}
	b.want("alerts", []string{}, `SELECT rule || ' ' || state FROM payment_alerts WHERE state = 'firing'`)
}
