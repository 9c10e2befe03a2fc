package payments_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/billing"
)

// TestAStoryLearnedLateIsTheStoryLearnedOnTime: whoever asks only at the end
// tells all that was passed over, at the moments that Stripe gives it.
func TestAStoryLearnedLateIsTheStoryLearnedOnTime(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pilot")
	b.deliverAll()
	subscription := field(b.object("/v1/subscriptions"), "id")
	var told []string
	for _, change := range []string{"cancel_at_period_end=true", "cancel_at_period_end=false", "cancel_at_period_end=true"} {
		time.Sleep(1100 * time.Millisecond) // what changes within one second is one change
		b.call(http.MethodPost, "/v1/subscriptions/"+subscription, strings.NewReader(change), nil)
		b.deliverAll()
	}
	story := `SELECT concat_ws(' ', kind, natural_key, at, plan, "interval", amount_minor, source_event_id)
		FROM payment_events WHERE kind <> 'checkout_started' ORDER BY at, kind`
	onTime := b.rows(story)
	for _, line := range onTime {
		told = append(told, strings.SplitN(line, " ", 2)[0])
	}
	want := []string{
		"checkout_completed", "subscription_created", "trial_started",
		"cancellation_scheduled", "cancellation_withdrawn", "cancellation_scheduled",
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
}

func (b *bundle) deliverAll() {
	b.t.Helper()
	for _, e := range b.ours() {
		b.deliver(e)
	}
	b.settle()
}
