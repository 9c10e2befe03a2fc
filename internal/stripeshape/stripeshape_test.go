package stripeshape_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/stripeshape"
)

// The same subscription in the shape of 2023-10-16, of 2025-03-31 (period on
// the items), and of the years before prices (plans, expanded customer).
var sameState = map[string]string{
	"2023-10-16": `{
		"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "currency": "usd", "created": 1700000000,
		"current_period_start": 1700000000, "current_period_end": 1702592000, "cancel_at_period_end": true, "cancel_at": 1702592000,
		"canceled_at": 1700000100, "ended_at": null, "trial_end": null, "livemode": false,
		"cancellation_details": {"comment": null, "feedback": null, "reason": "cancellation_requested"},
		"discount": {"id": "di_1", "start": 1700000000, "end": null, "coupon": {"id": "HALF", "duration": "forever", "percent_off": 50.0, "amount_off": null}},
		"pause_collection": {"behavior": "void", "resumes_at": null},
		"items": {"object": "list", "data": [
			{"id": "si_2", "quantity": 3, "price": {"id": "price_b"}},
			{"id": "si_1", "quantity": 1, "price": {"id": "price_a"}}
		]}}`,
	"2025-03-31": `{
		"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "currency": "usd", "created": 1700000000,
		"cancel_at_period_end": true, "cancel_at": 1702592000, "canceled_at": 1700000100,
		"cancellation_details": {"reason": "cancellation_requested"},
		"discount": {"start": 1700000000, "coupon": {"id": "HALF", "duration": "forever", "percent_off": 50}},
		"pause_collection": {"behavior": "void"},
		"items": {"data": [
			{"id": "si_1", "quantity": 1, "price": {"id": "price_a"}, "current_period_start": 1700000000, "current_period_end": 1702592000},
			{"id": "si_2", "quantity": 3, "price": {"id": "price_b"}, "current_period_start": 1700000000, "current_period_end": 1702592000}
		]}}`,
	"2016 to 2019": `{
		"id": "sub_1", "object": "subscription", "customer": {"id": "cus_1", "object": "customer"}, "status": "active", "currency": "usd",
		"created": "1700000000", "current_period_start": 1700000000, "current_period_end": 1702592000, "cancel_at_period_end": true,
		"canceled_at": 1700000100, "cancellation_details": {"reason": "cancellation_requested"},
		"discount": {"start": 1700000000, "end": null, "coupon": "HALF"},
		"pause_collection": {"behavior": "void", "resumes_at": null},
		"items": {"data": [{"id": "si_1", "quantity": 1, "plan": {"id": "price_a"}}, {"id": "si_2", "quantity": 3, "plan": {"id": "price_b"}}]}}`,
}

func TestEveryShapeOfOneStateGivesEqualFacts(t *testing.T) {
	want := billing.Facts{
		Status: billing.StatusActive, Currency: "usd",
		Items:     []billing.Item{{PriceID: "price_a", Quantity: 1}, {PriceID: "price_b", Quantity: 3}},
		Discounts: []billing.Discount{{CouponID: "HALF", Start: 1700000000}},
		Pause:     &billing.Pause{Behavior: "void", PeriodEnd: 1702592000},
		EndsAt:    1702592000, Reason: "cancellation_requested",
	}
	for version, raw := range sameState {
		t.Run(version, func(t *testing.T) {
			got, err := stripeshape.DecodeSubscription(json.RawMessage(raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Facts); diff != "" {
				t.Errorf("facts differ (-want +got):\n%s", diff)
			}
			if !got.Facts.Equal(want) {
				t.Error("facts are not Equal although they do not differ")
			}
			if got.CustomerID != "cus_1" || !got.CurrentPeriodEnd.Equal(time.Unix(1702592000, 0)) {
				t.Errorf("subscription = %+v", got)
			}
		})
	}
}

func TestDecodeSubscriptionSaysWhatIsIncomplete(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"no status":               {`"status": "active",`, ``, "no status"},
		"no currency":             {`"currency": "usd",`, ``, "no currency"},
		"an item without a price": {`"price": {"id": "price_a"}`, `"price": null`, "item si_1 has no price"},
		"no period":               {`"current_period_end": 1702592000,`, ``, "no period"},
		"PHP's empty list":        {`"items": {`, `"items": [], "were": {`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			raw := strings.Replace(sameState["2023-10-16"], tt.old, tt.new, 1)
			_, err := stripeshape.DecodeSubscription(json.RawMessage(raw))
			if err == nil || tt.want != "" && (!errors.Is(err, stripeshape.ErrIncomplete) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want ErrIncomplete that says %q", err, tt.want)
			}
		})
	}
}

func TestBeforePutsPreviousAttributesBack(t *testing.T) {
	object := `{"status": "active", "pause_collection": {"behavior": "void"}, "items": {"data": [{"id": "si_1", "price": "b"}], "url": "/x"},
		"metadata": {"a": "1", "b": "2"}, "amount": 12345678901234567890, "cancel_at": null}`
	previous := `{"status": "incomplete", "pause_collection": null, "items": {"data": [{"id": "si_1", "price": "a"}]}, "metadata": {"b": "old"}, "cancel_at": 17}`
	want := `{"status": "incomplete", "pause_collection": null, "items": {"data": [{"id": "si_1", "price": "a"}], "url": "/x"},
		"metadata": {"a": "1", "b": "old"}, "amount": 12345678901234567890, "cancel_at": 17}`
	got, err := stripeshape.Before(json.RawMessage(object), json.RawMessage(previous))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(normal(t, want), normal(t, string(got))); diff != "" {
		t.Errorf("before differs (-want +got):\n%s", diff)
	}
	if !strings.Contains(string(got), "12345678901234567890") {
		t.Error("a large number lost digits")
	}
}

func TestDecodeEvent(t *testing.T) {
	body := `{"id": "evt_1", "object": "event", "type": "invoice.paid", "created": 1700000000, "livemode": true, "api_version": "2016-03-07",
		"account": "acct_1", "request": "req_1", "data": {"object": {"customer": {"id": "cus_9"}}, "previous_attributes": {"a": 1}}}`
	e, err := stripeshape.DecodeEvent([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if e.ID != "evt_1" || e.Type != "invoice.paid" || !e.Livemode || e.Account != "acct_1" || e.APIVersion != "2016-03-07" ||
		!e.Created.Equal(time.Unix(1700000000, 0)) || e.Subject() != "cus_9" || e.Previous == nil {
		t.Errorf("event = %+v", e)
	}
	for name, bad := range map[string]string{
		"nothing":          ``,
		"no object":        `[]`,
		"no id":            `{"type": "a", "created": 1}`,
		"an id too long":   `{"id": "` + strings.Repeat("x", 256) + `", "type": "a", "created": 1}`,
		"an id with NUL":   `{"id": "evt\u0000", "type": "a", "created": 1}`,
		"no type":          `{"id": "evt_1", "created": 1}`,
		"no time":          `{"id": "evt_1", "type": "a"}`,
		"a time in vain":   `{"id": "evt_1", "type": "a", "created": "soon"}`,
		"a time too large": `{"id": "evt_1", "type": "a", "created": 99999999999999}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := stripeshape.DecodeEvent([]byte(bad)); !errors.Is(err, stripeshape.ErrNotAnEvent) {
				t.Errorf("error = %v, want ErrNotAnEvent", err)
			}
		})
	}
	for name, odd := range map[string]string{
		"created as a string": `{"id": "evt_1", "type": "a", "created": "1700000000"}`,
		"data is null":        `{"id": "evt_1", "type": "a", "created": 1, "data": null}`,
	} {
		t.Run(name, func(t *testing.T) {
			if e, err := stripeshape.DecodeEvent([]byte(odd)); err != nil || e.Subject() != "" {
				t.Errorf("event = %+v, error = %v", e, err)
			}
		})
	}
}

func TestDecodePriceKeepsCurrenciesTiersAndFractions(t *testing.T) {
	price, err := stripeshape.DecodePrice(json.RawMessage(`{
		"id": "price_1", "currency": "usd", "unit_amount": null, "unit_amount_decimal": "0.5", "livemode": false, "lookup_key": null,
		"recurring": {"interval": "month", "interval_count": 3, "usage_type": "licensed"},
		"product": {"id": "prod_1", "metadata": {"plan": "pro"}},
		"currency_options": {"eur": {"unit_amount": 900, "unit_amount_decimal": "900"}, "jpy": {"unit_amount": null, "tiers": [
			{"up_to": 5, "unit_amount_decimal": "100", "flat_amount_decimal": null}, {"up_to": null, "unit_amount_decimal": "80", "flat_amount_decimal": "7"}]}},
		"tiers_mode": "graduated"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := billing.Price{
		ID: "price_1", Plan: "pro", Interval: billing.Month, IntervalCount: 3, UsageType: "licensed", ProductID: "prod_1",
		Amounts: map[money.Currency]billing.PriceAmount{
			"usd": {UnitMicro: 500_000},
			"eur": {UnitMicro: 900 * money.Micro},
			"jpy": {TiersMode: "graduated", Tiers: []billing.Tier{
				{UpTo: 5, UnitMicro: 100 * money.Micro},
				{UnitMicro: 80 * money.Micro, FlatMicro: 7 * money.Micro},
			}},
		},
	}
	if diff := cmp.Diff(want, price); diff != "" {
		t.Errorf("price differs (-want +got):\n%s", diff)
	}
}

func TestDecodeInvoiceFindsItsSubscriptionInEveryShape(t *testing.T) {
	for name, raw := range map[string]string{
		"an id":          `{"id": "in_1", "subscription": "sub_1"}`,
		"expanded":       `{"id": "in_1", "subscription": {"id": "sub_1"}}`,
		"in its parent":  `{"id": "in_1", "parent": {"subscription_details": {"subscription": "sub_1"}}}`,
		"with strings":   `{"id": "in_1", "subscription": "sub_1", "amount_due": "100", "attempt_count": "2"}`,
		"both, old wins": `{"id": "in_1", "subscription": "sub_1", "parent": {"subscription_details": {"subscription": "sub_2"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if i, err := stripeshape.DecodeInvoice(json.RawMessage(raw)); err != nil || i.SubscriptionID != "sub_1" {
				t.Errorf("invoice = %+v, error = %v", i, err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, raw := range sameState {
		f.Add([]byte(`{"id":"evt_1","type":"customer.subscription.updated","created":1,"data":{"object":`+raw+`}}`), []byte(`{"status":"trialing"}`))
	}
	f.Fuzz(func(t *testing.T, body, previous []byte) {
		e, err := stripeshape.DecodeEvent(body)
		if err != nil {
			return
		}
		e.Subject()
		_, _ = stripeshape.DecodeInvoice(e.Object)
		_, _ = stripeshape.DecodeCheckoutSession(e.Object)
		s, err := stripeshape.DecodeSubscription(e.Object)
		if err != nil {
			return
		}
		// Whatever is decoded can be stored and compared.
		var back billing.Facts
		stored, err := json.Marshal(s.Facts)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(stored, &back); err != nil || !back.Equal(s.Facts) {
			t.Fatalf("facts do not survive storage: %s (%v)", stored, err)
		}
		if before, err := stripeshape.Before(e.Object, previous); err == nil && !json.Valid(before) {
			t.Fatalf("Before made invalid JSON: %q", before)
		}
	})
}

func normal(t *testing.T, raw string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
