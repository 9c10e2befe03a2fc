package stripeshape_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/stripeshape"
)

// The same subscription in the shapes of ten years: what each version adds,
// moves and takes away.
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
	"2024-06-20, discounts beside the discount": `{
		"id": "sub_1", "customer": "cus_1", "status": "active", "currency": "usd", "created": 1700000000,
		"current_period_start": 1700000000, "current_period_end": 1702592000, "cancel_at_period_end": true, "cancel_at": 1702592000,
		"canceled_at": 1700000100, "cancellation_details": {"reason": "cancellation_requested"},
		"discount": {"id": "di_1", "start": 1700000000, "coupon": {"id": "HALF"}}, "discounts": ["di_1"],
		"pause_collection": {"behavior": "void"},
		"items": {"data": [{"id": "si_1", "quantity": 1, "price": "price_a"}, {"id": "si_2", "quantity": 3, "price": "price_b"}]}}`,
	"2025-03-31, periods on the items": `{
		"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "currency": "usd", "created": 1700000000,
		"cancel_at_period_end": true, "cancel_at": 1702592000, "canceled_at": 1700000100,
		"cancellation_details": {"reason": "cancellation_requested"},
		"discounts": [{"id": "di_1", "start": 1700000000, "coupon": {"id": "HALF", "duration": "forever", "percent_off": 50}}],
		"pause_collection": {"behavior": "void"},
		"items": {"data": [
			{"id": "si_1", "quantity": 1, "price": {"id": "price_a"}, "current_period_start": 1700000000, "current_period_end": 1702592000},
			{"id": "si_2", "quantity": 3, "price": {"id": "price_b"}, "current_period_start": 1700000000, "current_period_end": 1707776000}
		]}}`,
	"2025-09-30, an end without the flag and the coupon in its source": `{
		"id": "sub_1", "customer": "cus_1", "status": "active", "currency": "usd", "created": 1700000000, "billing_mode": {"type": "flexible"},
		"cancel_at_period_end": false, "cancel_at": 1702592000, "canceled_at": 1700000100,
		"cancellation_details": {"reason": "cancellation_requested"},
		"discounts": [{"id": "di_1", "start": 1700000000, "end": null, "source": {"type": "coupon", "coupon": "HALF"}}],
		"pause_collection": {"behavior": "void", "resumes_at": null},
		"items": {"data": [
			{"id": "si_2", "quantity": 3, "price": {"id": "price_b"}, "current_period_start": 1700000000, "current_period_end": 1702592000},
			{"id": "si_1", "quantity": 1, "price": {"id": "price_a"}, "current_period_start": 1700000000, "current_period_end": 1702592000}
		]}}`,
	"2019-2022, plan and quantity on top beside the items": `{
		"id": "sub_1", "customer": {"id": "cus_1"}, "status": "active", "created": 1700000000, "start_date": 1690000000,
		"current_period_start": 1700000000, "current_period_end": 1702592000, "cancel_at_period_end": true, "cancel_at": 1702592000,
		"canceled_at": 1700000100, "cancellation_details": {"reason": "cancellation_requested"}, "plan": null, "quantity": null,
		"discount": {"start": 1700000000, "end": null, "coupon": {"id": "HALF"}, "customer": "cus_1"},
		"pause_collection": {"behavior": "void", "resumes_at": null}, "metadata": [],
		"items": {"object": "list", "data": [
			{"id": "si_1", "quantity": 1, "plan": {"id": "price_a", "currency": "usd"}, "price": {"id": "price_a", "currency": "usd"}},
			{"id": "si_2", "quantity": 3, "plan": {"id": "price_b", "currency": "usd"}, "price": {"id": "price_b", "currency": "usd"}}]}}`,
	"2018, items with plans": `{
		"id": "sub_1", "object": "subscription", "customer": {"id": "cus_1", "object": "customer"}, "status": "active",
		"created": "1700000000", "current_period_start": 1700000000, "current_period_end": 1702592000, "cancel_at_period_end": true,
		"canceled_at": 1700000100, "cancellation_details": {"reason": "cancellation_requested"},
		"discount": {"start": 1700000000, "end": null, "coupon": "HALF"},
		"pause_collection": {"behavior": "void", "resumes_at": null}, "metadata": {"seats": 3},
		"items": {"data": [{"id": "si_1", "quantity": 1, "plan": {"id": "price_a", "currency": "usd", "usage_type": "licensed"}},
			{"id": "si_2", "quantity": "3", "plan": {"id": "price_b", "currency": "usd"}}]}}`,
	"what PHP makes of it": `{
		"id": "sub_1", "customer": "cus_1", "status": "active", "currency": "usd", "created": "1700000000.0", "livemode": "false",
		"current_period_start": "1700000000", "current_period_end": 1702592000.0, "cancel_at_period_end": 1, "cancel_at": "1702592000",
		"canceled_at": 1700000100, "ended_at": "", "cancellation_details": {"reason": "cancellation_requested"},
		"discount": {"start": 1700000000, "coupon": "HALF"}, "discounts": [], "metadata": [], "transfer_data": [], "latest_invoice": [],
		"default_tax_rates": {}, "pause_collection": {"behavior": "void", "resumes_at": ""},
		"items": [{"id": "si_1", "quantity": "1", "price": "price_a", "metadata": [7]}, {"id": "si_2", "quantity": 3.0, "price": {"id": "price_b", "metadata": []}}]}`,
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
			if got.CustomerID != "cus_1" || !got.CurrentPeriodEnd.Equal(time.Unix(1702592000, 0)) || !got.CreatedAt.Equal(time.Unix(1700000000, 0)) {
				t.Errorf("subscription = %+v", got)
			}
		})
	}
}

// A subscription of one plan, from when it had no items to when they have its
// periods.
func TestTheOnePlanOf2016IsTheOneItemOfToday(t *testing.T) {
	want := billing.Facts{
		Status: billing.StatusTrialing, Currency: "eur", Items: []billing.Item{{PriceID: "gold", Quantity: 2}}, TrialEnd: 1701000000,
	}
	for version, raw := range map[string]string{
		"2016": `{"id": "sub_1", "customer": "cus_1", "status": "trialing", "start": 1690000000, "created": 1690000000,
			"current_period_start": 1700000000, "current_period_end": 1701000000, "trial_start": 1690000000, "trial_end": 1701000000,
			"cancel_at_period_end": false, "canceled_at": null, "ended_at": null, "discount": null, "quantity": 2, "tax_percent": null,
			"application_fee_percent": null, "metadata": {}, "plan": {"id": "gold", "object": "plan", "amount": 2000, "currency": "eur", "interval": "month", "name": "Gold"}}`,
		"2016, empty items": `{"id": "sub_1", "customer": "cus_1", "status": "trialing", "created": 1690000000,
			"current_period_start": 1700000000, "current_period_end": 1701000000, "trial_end": 1701000000, "cancel_at_period_end": false,
			"quantity": 2, "items": [], "plan": {"id": "gold", "currency": "eur"}}`,
		"2023-10-16": `{"id": "sub_1", "customer": "cus_1", "status": "trialing", "currency": "eur", "created": 1690000000,
			"current_period_start": 1700000000, "current_period_end": 1701000000, "trial_end": 1701000000, "cancel_at_period_end": false,
			"cancellation_details": {"reason": null}, "items": {"data": [{"id": "si_1", "quantity": 2, "price": {"id": "gold"}}]}}`,
		"2026": `{"id": "sub_1", "customer": "cus_1", "status": "trialing", "currency": "eur", "start_date": 1690000000, "created": 1690000000,
			"trial_end": 1701000000, "cancel_at_period_end": false, "discounts": [], "cancellation_details": {"reason": null},
			"items": {"data": [{"id": "si_1", "quantity": 2, "price": "gold", "current_period_start": 1700000000, "current_period_end": 1701000000}]}}`,
	} {
		t.Run(version, func(t *testing.T) {
			got, err := stripeshape.DecodeSubscription(json.RawMessage(raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Facts); diff != "" {
				t.Errorf("facts differ (-want +got):\n%s", diff)
			}
		})
	}
}

// What changed, in the shapes in which it is told: before and after are equal
// to those of today.
func TestEveryShapeOfOneChangeGivesEqualFactsBefore(t *testing.T) {
	const head = `"id": "sub_1", "customer": "cus_1", "status": "active", "currency": "usd", "created": 1700000000,`
	const period = `"current_period_start": 1700000000, "current_period_end": 1702592000,`
	want := billing.Facts{Status: billing.StatusTrialing, Currency: "usd", Items: []billing.Item{{PriceID: "price_a", Quantity: 1}}, TrialEnd: 1701000000}
	for version, tt := range map[string]struct{ object, previous string }{
		"2016": {
			`{` + head + period + `"trial_end": 1701000000, "quantity": 2, "plan": {"id": "price_b", "amount": 9900}}`,
			`{"status": "trialing", "quantity": 1, "plan": {"id": "price_a", "amount": 2900}}`,
		},
		"2018, where the items changed with the plan": {
			`{` + head + period + `"trial_end": 1701000000, "quantity": 2, "plan": {"id": "price_b"}, "items": {"data": [{"id": "si_1", "quantity": 2, "plan": {"id": "price_b"}}]}}`,
			`{"status": "trialing", "quantity": 1, "plan": {"id": "price_a"}, "items": {"data": [{"id": "si_1", "quantity": 1, "plan": {"id": "price_a"}}]}}`,
		},
		"2018, where only the plan on top says so": {
			`{` + head + period + `"trial_end": 1701000000, "quantity": 2, "plan": {"id": "price_b"}, "items": {"data": [{"id": "si_1", "quantity": 2, "plan": {"id": "price_b"}, "price": {"id": "price_b"}}]}}`,
			`{"status": "trialing", "quantity": 1, "plan": {"id": "price_a"}}`,
		},
		"2023-10-16": {
			`{` + head + period + `"trial_end": 1701000000, "items": {"data": [{"id": "si_1", "quantity": 2, "price": {"id": "price_b"}}]}}`,
			`{"status": "trialing", "items": {"data": [{"id": "si_1", "quantity": 1, "price": {"id": "price_a"}}]}}`,
		},
		"2025-03-31": {
			`{` + head + `"trial_end": 1701000000, "items": {"data": [{"id": "si_1", "quantity": 2, "price": {"id": "price_b"}, "current_period_start": 1701000000, "current_period_end": 1702592000}]}}`,
			`{"status": "trialing", "items": {"data": [{"id": "si_1", "quantity": 1, "price": {"id": "price_a"}, "current_period_start": 1700000000, "current_period_end": 1701000000}]}}`,
		},
	} {
		t.Run(version, func(t *testing.T) {
			before, err := stripeshape.Before(json.RawMessage(tt.object), json.RawMessage(tt.previous))
			if err != nil {
				t.Fatal(err)
			}
			got, err := stripeshape.DecodeSubscription(before)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Facts); diff != "" {
				t.Errorf("facts before differ (-want +got):\n%s", diff)
			}
		})
	}
	for name, tt := range map[string]struct {
		previous string
		ok       bool
	}{
		"PHP's empty list changes nothing": {`[]`, true},
		"a text is nothing to put back":    {`"status"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := stripeshape.Before(json.RawMessage(`{"a": 1}`), json.RawMessage(tt.previous))
			if (err == nil) != tt.ok || err == nil && string(before) != `{"a":1}` {
				t.Errorf("before = %s, %v", before, err)
			}
		})
	}
}

// What nobody needs may be as odd as it likes.
func TestWhatIsOddInAFieldThatNobodyNeedsSpoilsNothing(t *testing.T) {
	plain, err := stripeshape.DecodeSubscription(json.RawMessage(sameState["2023-10-16"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, odd := range []string{
		`"metadata": "none"`, `"metadata": {"a": {"b": []}}`, `"latest_invoice": {"amount_due": "much"}`, `"latest_invoice": 7`, `"schedule": []`,
		`"default_payment_method": {"id": 5}`, `"plan": [1, 2]`, `"description": "\u0000"`, `"pending_update": "soon"`, `"test_clock": false`,
		`"billing_cycle_anchor": 99999999999999999999999999`, `"application": {"id": {}}`,
	} {
		raw := strings.Replace(sameState["2023-10-16"], `"livemode": false,`, `"livemode": false, `+odd+`,`, 1)
		got, err := stripeshape.DecodeSubscription(json.RawMessage(raw))
		if err != nil || !got.Facts.Equal(plain.Facts) {
			t.Errorf("%s: %+v, %v", odd, got.Facts, err)
		}
	}
}

func TestDecodeSubscriptionSaysWhatIsIncomplete(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"no status":               {`"status": "active",`, ``, "no status"},
		"no currency":             {`"currency": "usd",`, ``, "no currency"},
		"an item without a price": {`"price": {"id": "price_a"}`, `"price": null`, "item si_1 has no price"},
		"no period":               {`"current_period_end": 1702592000,`, ``, "no period"},
		"an odd period":           {`"current_period_end": 1702592000,`, `"current_period_end": "soon",`, "current_period_end cannot be read"},
		"an end beyond all years": {`"cancel_at": 1702592000,`, `"cancel_at": 9e30,`, "cancel_at cannot be read"},
		"an odd trial":            {`"trial_end": null,`, `"trial_end": {},`, "trial_end cannot be read"},
		"an odd quantity":         {`"quantity": 3,`, `"quantity": "three",`, "quantity cannot be read"},
		"no quantity":             {`"quantity": 3, "price": {"id": "price_b"}`, `"price": {"id": "price_b", "recurring": {"usage_type": "licensed"}}`, "item si_2 has no quantity"},
		"more items than it has":  {`"object": "list", "data"`, `"object": "list", "has_more": true, "data"`, "more items than it shows"},
		"discounts as bare ids":   {`"discount": {"id": "di_1",`, `"discounts": ["di_2"], "discount": {"id": "di_1",`, "discount di_2 without its coupon"},
		"a discount as an id":     {`"discount": {`, `"discount": "di_1", "was": {`, "discount di_1 without its coupon"},
		"a coupon by no name":     {`"coupon": {"id": "HALF",`, `"coupon": {`, "discount di_1 without its coupon"},
		"a NUL in a price":        {`{"id": "price_b"}`, `"price\u0000"`, "item si_2 has no price"},
		"no reason of the end":    {`"cancellation_details"`, `"details"`, "no cancellation details"},
		"PHP's empty list":        {`"items": {`, `"items": [], "were": {`, "no items"},
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

func TestEveryShapeOfOneInvoiceIsTheSameInvoice(t *testing.T) {
	want := billing.Invoice{
		ID: "in_1", CustomerID: "cus_1", SubscriptionID: "sub_1", Status: "paid", Currency: "usd", BillingReason: "subscription_cycle",
		AmountDueMinor: 9900, AmountPaidMinor: 9900, AttemptCount: 1, PaymentIntentID: "pi_1", ChargeID: "ch_1",
	}
	const head = `"id": "in_1", "customer": "cus_1", "currency": "usd", "billing_reason": "subscription_cycle", "attempt_count": 1,`
	for version, raw := range map[string]string{
		"2016, flags instead of a status": `{` + head + `"amount_due": 9900, "paid": true, "closed": true, "forgiven": false, "subscription": "sub_1",
			"charge": "ch_1", "payment_intent": "pi_1"}`,
		"2023-10-16": `{` + head + `"amount_due": 9900, "amount_paid": 9900, "status": "paid", "paid": true, "subscription": "sub_1",
			"charge": "ch_1", "payment_intent": "pi_1"}`,
		"amounts as texts and decimals": `{` + head + `"amount_due": "9900", "amount_paid": 9900.00, "status": "paid", "subscription": {"id": "sub_1"},
			"charge": {"id": "ch_1"}, "payment_intent": {"id": "pi_1"}, "lines": [], "metadata": []}`,
		"2025-03-31": `{` + head + `"amount_due": 9900, "amount_paid": 9900, "status": "paid",
			"parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
			"payments": {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1", "charge": "ch_1"}}]}}`,
	} {
		t.Run(version, func(t *testing.T) {
			got, err := stripeshape.DecodeInvoice(json.RawMessage(raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("invoice differs (-want +got):\n%s", diff)
			}
		})
	}
	for raw, want := range map[string]string{
		`{"id": "in_1", "closed": false}`: "open", `{"id": "in_1", "closed": true}`: "void", `{"id": "in_1", "closed": true, "forgiven": true}`: "uncollectible",
		`{"id": "in_1"}`: "",
	} {
		if got, err := stripeshape.DecodeInvoice(json.RawMessage(raw)); err != nil || got.Status != want {
			t.Errorf("status of %s = %q, %v, want %q", raw, got.Status, err, want)
		}
	}
}

func TestASubjectIsTheCustomerOrWhateverHasOne(t *testing.T) {
	for name, tt := range map[string]struct{ object, previous, want string }{
		"a customer is itself":                        {`{"object": "customer", "id": "cus_1"}`, ``, "cus_1"},
		"an id":                                       {`{"object": "subscription", "customer": "cus_1"}`, ``, "cus_1"},
		"a custom id":                                 {`{"object": "subscription", "customer": "acme"}`, ``, "acme"},
		"expanded":                                    {`{"object": "invoice", "customer": {"id": "cus_1"}}`, ``, "cus_1"},
		"a dispute has its charge's":                  {`{"object": "dispute", "charge": "ch_1", "payment_intent": "pi_1"}`, ``, "charge:ch_1"},
		"a refund without a charge":                   {`{"object": "refund", "charge": null, "payment_intent": "pi_1"}`, ``, "payment_intent:pi_1"},
		"an expanded charge":                          {`{"object": "dispute", "charge": {"id": "ch_1", "customer": "cus_1"}}`, ``, "cus_1"},
		"an expanded charge that does not say":        {`{"object": "dispute", "charge": {"id": "ch_1"}}`, ``, "charge:ch_1"},
		"a detached method had one":                   {`{"object": "payment_method", "customer": null}`, `{"customer": "cus_1"}`, "cus_1"},
		"a guest's charge has none":                   {`{"object": "charge", "customer": null, "payment_intent": "pi_1"}`, ``, ""},
		"nothing":                                     {`null`, ``, ""},
		"PHP's nothing":                               {`[]`, ``, ""},
		"an id with a NUL is none":                    {`{"customer": "cus\u0000"}`, ``, ""},
		"an id too long for any index is none either": {`{"customer": "` + strings.Repeat("x", 256) + `"}`, ``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := stripeshape.Event{Object: json.RawMessage(tt.object), Previous: json.RawMessage(tt.previous)}
			if got := e.Subject(); got != tt.want {
				t.Errorf("subject = %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, raw := range sameState {
		f.Add([]byte(`{"id":"evt_1","type":"customer.subscription.updated","created":1,"data":{"object":`+raw+`}}`), []byte(`{"status":"trialing"}`))
	}
	for _, seed := range []string{
		`{"id":"ch_1","object":"charge","amount":"99.5","refunds":{"data":[{"id":"re_1"}]}}`,
		`{"id":"dp_1","object":"dispute","charge":{"id":"ch_1"},"evidence_details":{"due_by":1e9}}`,
		`{"id":"pm_1","object":"payment_method","type":"card","card":[]}`,
		`{"id":"in_1","parent":{"subscription_details":[]},"payments":[{"payment":{}}]}`,
		`{"id":"price_1","recurring":{"interval":"month"},"unit_amount_decimal":"1e400","currency_options":{"eur":[]},"tiers":[{"up_to":"inf"}]}`,
	} {
		f.Add([]byte(`{"id":"evt_1","type":"charge.refunded","created":"1","data":{"object":`+seed+`}}`), []byte(`[]`))
	}
	f.Fuzz(func(t *testing.T, body, previous []byte) {
		e, err := stripeshape.DecodeEvent(body)
		if err != nil {
			return
		}
		if subject := e.Subject(); strings.ContainsRune(subject, 0) || len(subject) > 300 || !utf8.ValidString(subject) {
			t.Fatalf("no column takes the subject %q", subject)
		}
		for _, v := range decodeAll(e.Object) {
			if stored, err := json.Marshal(v); err != nil || strings.Contains(strings.ReplaceAll(string(stored), `\\`, ``), `\u0000`) {
				t.Fatalf("no column takes %+v (%v)", v, err)
			}
		}
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
		if same, err := stripeshape.Before(e.Object, []byte(`{}`)); err != nil {
			t.Fatalf("nothing cannot be put back: %v", err)
		} else if again, err := stripeshape.DecodeSubscription(same); err != nil || !again.Facts.Equal(s.Facts) {
			t.Fatalf("nothing put back changes the facts: %v", err)
		}
	})
}

// decodeAll reads an object as each kind that there is.
func decodeAll(raw json.RawMessage) []any {
	var out []any
	add := func(v any, err error) {
		if err == nil {
			out = append(out, v)
		}
	}
	invoice, err := stripeshape.DecodeInvoice(raw)
	add(invoice, err)
	session, err := stripeshape.DecodeCheckoutSession(raw)
	add(session, err)
	charge, err := stripeshape.DecodeCharge(raw)
	add(charge, err)
	intent, err := stripeshape.DecodePaymentIntent(raw)
	add(intent, err)
	refund, err := stripeshape.DecodeRefund(raw)
	add(refund, err)
	dispute, err := stripeshape.DecodeDispute(raw)
	add(dispute, err)
	method, err := stripeshape.DecodePaymentMethod(raw)
	add(method, err)
	schedule, err := stripeshape.DecodeSchedule(raw)
	add(schedule, err)
	customer, err := stripeshape.DecodeCustomer(raw)
	add(customer, err)
	price, err := stripeshape.DecodePrice(raw)
	add(price, err)
	return out
}

func normal(t *testing.T, raw string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
