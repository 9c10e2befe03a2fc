package payments

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/promptforge/payments/db"
)

// FuzzTake: no event breaks the worker that takes it up, and whatever it tells
// can be written.
func FuzzTake(f *testing.F) {
	for typ, object := range map[string]string{
		"customer.subscription.updated":                `{"id":"sub_1","customer":"cus_1","status":"active","currency":"usd","created":1,"current_period_end":9,"items":{"data":[{"id":"si_1","price":"price_1","quantity":1}]}}`,
		"customer.subscription.trial_will_end":         `{"id":"sub_1","customer":"cus_1","status":"trialing","trial_end":253402300799}`,
		"customer.subscription.pending_update_applied": `{"id":"sub_1","customer":"cus_1","status":"active"}`,
		"customer.updated":                             `{"id":"cus_1","currency":"eur"}`,
		"customer.deleted":                             `{"id":"cus_1","deleted":true}`,
		"invoice.payment_failed":                       `{"id":"in_1","amount_due":"1e3","attempt_count":2}`,
		"invoice.finalization_failed":                  `{"id":"in_1","last_finalization_error":{"code":"x"}}`,
		"checkout.session.completed":                   `{"id":"cs_1","payment_status":"unpaid","amount_total":null}`,
		"checkout.session.expired":                     `{"id":"cs_1","status":"expired"}`,
		"charge.succeeded":                             `{"id":"ch_1","customer":"cus_1","created":1}`,
		"charge.refunded":                              `{"id":"ch_1","amount_refunded":500,"refunds":{"data":[{"id":"re_1","created":1}]}}`,
		"charge.refund.updated":                        `{"id":"re_1","status":"failed","charge":"ch_1"}`,
		"charge.dispute.closed":                        `{"id":"dp_1","status":"lost","evidence_details":{"due_by":253402300799}}`,
		"payment_method.attached":                      `{"id":"pm_1","type":"card","card":{"last4":"4242","exp_year":2030}}`,
		"subscription_schedule.released":               `{"id":"sub_sched_1","released_subscription":"sub_1"}`,
	} {
		f.Add(typ, []byte(object), []byte(`{"amount_refunded":100,"status":"incomplete"}`))
	}
	f.Fuzz(func(t *testing.T, typ string, object, previous []byte) {
		if !json.Valid(object) || !json.Valid(previous) {
			return
		}
		body, err := json.Marshal(map[string]any{
			"id": "evt_1", "type": typ, "created": 1700000000, "data": map[string]any{"object": json.RawMessage(object), "previous_attributes": json.RawMessage(previous)},
		})
		if err != nil {
			return
		}
		event := take(db.PendingEventsRow{Created: time.Unix(1700000000, 0), ID: "evt_1", Type: typ, Body: body})
		if event.parked != "" {
			return
		}
		if event.charge != nil && event.event.Type == "charge.refunded" {
			event.tellRefunds(nil) // as where Stripe cannot say which
		}
		for _, h := range event.happenings {
			row, err := json.Marshal(recording(occasion{at: event.event.Created, eventID: event.event.ID}, h))
			if err != nil || strings.Contains(strings.ReplaceAll(string(row), `\\`, ``), `\u0000`) || !utf8.Valid(row) {
				t.Fatalf("no row takes %+v: %s (%v)", h, row, err)
			}
			if h.kind == "" || h.key == "" || len(h.key) > 300 {
				t.Fatalf("%s has the key %q, which no index takes or everything shares", h.kind, h.key)
			}
		}
		if event.observation != nil {
			mustJSON(event.observation.After)
			if event.observation.ObjectCreated.Year() > 9999 {
				t.Fatalf("no row takes the year %d", event.observation.ObjectCreated.Year())
			}
		}
	})
}
