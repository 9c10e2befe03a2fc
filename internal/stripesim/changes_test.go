package stripesim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// planShop is a shop with a clock, a larger plan and yearly prices, whose
// customer pays for the monthly one since the first of June.
type planShop struct {
	*shop
	clock        *clock
	subscription *stripe.Subscription
	visa         *stripe.PaymentMethod
	enterprise   *stripe.Price // 399 a month
	yearly       *stripe.Price // 990 a year
}

var firstOfJune = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func openPlanShop(t *testing.T, with ...simtest.Option) *planShop {
	t.Helper()
	s := &planShop{clock: newClock(firstOfJune)}
	s.shop = openShop(t, append(with, simtest.WithSchemas(), simtest.WithConfig(func(c *stripesim.Config) { c.Now = s.clock.now }))...)
	s.enterprise = s.newPrice(t, "Enterprise", 39900, "month")
	s.yearly = s.newPrice(t, "Pro by the year", 99000, "year")
	s.visa = s.attach(t, "pm_card_visa")
	s.makeDefault(t, s.visa.ID)
	s.subscription = s.subscribe(t, &stripe.SubscriptionParams{})
	return s
}

func (s *planShop) newPrice(t *testing.T, product string, amount int64, interval string) *stripe.Price {
	t.Helper()
	price, err := s.api.Prices.New(&stripe.PriceParams{
		ProductData: &stripe.PriceProductDataParams{Name: stripe.String(product)}, Currency: stripe.String("usd"),
		UnitAmount: stripe.Int64(amount), Recurring: &stripe.PriceRecurringParams{Interval: stripe.String(interval)},
	})
	must(t, err)
	return price
}

func (s *planShop) subscribe(t *testing.T, params *stripe.SubscriptionParams) *stripe.Subscription {
	t.Helper()
	params.Customer = stripe.String(s.customer.ID)
	params.Items = []*stripe.SubscriptionItemsParams{{Price: stripe.String(s.price.ID)}}
	subscription, err := s.api.Subscriptions.New(params)
	must(t, err)
	return subscription
}

// change asks for another price, a quantity or both for the only item.
func (s *planShop) change(price *stripe.Price, quantity int64) *stripe.SubscriptionParams {
	item := &stripe.SubscriptionItemsParams{ID: stripe.String(s.subscription.Items.Data[0].ID)}
	if price != nil {
		item.Price = stripe.String(price.ID)
	}
	if quantity > 0 {
		item.Quantity = stripe.Int64(quantity)
	}
	return &stripe.SubscriptionParams{Items: []*stripe.SubscriptionItemsParams{item}}
}

func (s *planShop) update(t *testing.T, params *stripe.SubscriptionParams) *stripe.Subscription {
	t.Helper()
	subscription, err := s.api.Subscriptions.Update(s.subscription.ID, params)
	must(t, err)
	return subscription
}

// pending answers description and amount of what waits for the next invoice,
// newest first.
func (s *planShop) pending(t *testing.T) (texts []string) {
	t.Helper()
	params := &stripe.InvoiceItemListParams{Customer: stripe.String(s.customer.ID), Pending: stripe.Bool(true)}
	it := s.api.InvoiceItems.List(params)
	for it.Next() {
		texts = append(texts, fmt.Sprint(it.InvoiceItem().Description, " ", it.InvoiceItem().Amount))
	}
	must(t, it.Err())
	return texts
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	encoded, err := json.Marshal(v)
	must(t, err)
	return string(encoded)
}

func TestAnotherPlanWithinTheSameIntervalIsProratedToTheSecond(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	before := len(eventTypesOf(t, shop.shop))
	shop.clock.set(time.Date(2026, 6, 11, 0, 0, 0, 0, time.UTC)) // twenty of thirty days are left
	subscription := shop.update(t, shop.change(shop.enterprise, 0))
	equal(t, "price", subscription.Items.Data[0].Price.ID, shop.enterprise.ID)
	equal(t, "item", subscription.Items.Data[0].ID, shop.subscription.Items.Data[0].ID)
	equal(t, "period end", subscription.CurrentPeriodEnd, shop.subscription.CurrentPeriodEnd)
	equal(t, "latest invoice", subscription.LatestInvoice.ID, shop.subscription.LatestInvoice.ID)
	equal(t, "pending", fmt.Sprint(shop.pending(t)),
		"[Remaining time on Enterprise after 11 Jun 2026 26600 Unused time on Pro after 11 Jun 2026 -6600]")

	events := shop.eventsSince(t, before)
	equal(t, "events", typesOf(events), "invoiceitem.created invoiceitem.created customer.subscription.updated")
	previous := previousOf(events[2])
	equal(t, "what was different", len(previous), 2)
	items := previous["items"].(map[string]any)
	equal(t, "of the items", len(items), 1)
	was := items["data"].([]any)[0].(map[string]any)
	equal(t, "the item as it was", was["price"].(map[string]any)["id"], any(shop.price.ID))
	equal(t, "its quantity", was["quantity"], any(1.0))
	plan := previous["plan"].(map[string]any)
	equal(t, "the plan's amount", plan["amount"], any(9900.0))
	if _, there := plan["interval"]; there {
		t.Errorf("the plan's interval is the same: %v", plan)
	}
	item := events[0]["data"].(map[string]any)["object"].(map[string]any)
	equal(t, "period", jsonOf(t, item["period"]), fmt.Sprintf(`{"end":%d,"start":%d}`, subscription.CurrentPeriodEnd, shop.clock.now().Unix()))
}

func TestQuantitiesAreProratedWhole(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	before := len(eventTypesOf(t, shop.shop))
	shop.clock.set(time.Date(2026, 6, 16, 0, 0, 0, 0, time.UTC))
	shop.update(t, shop.change(nil, 3))
	equal(t, "pending", fmt.Sprint(shop.pending(t)),
		"[Remaining time on 3 × Pro after 16 Jun 2026 14850 Unused time on Pro after 16 Jun 2026 -4950]")
	previous := previousOf(shop.eventsSince(t, before)[2])
	equal(t, "what was different", fmt.Sprint(len(previous), previous["quantity"]), "2 1")

	shop.clock.set(time.Date(2026, 6, 21, 0, 0, 0, 0, time.UTC))
	params := shop.change(nil, 2)
	params.ProrationDate = stripe.Int64(time.Date(2026, 6, 16, 0, 0, 0, 0, time.UTC).Unix())
	shop.update(t, params)
	equal(t, "dated back", fmt.Sprint(shop.pending(t)[:2]),
		"[Remaining time on 2 × Pro after 16 Jun 2026 9900 Unused time on 3 × Pro after 16 Jun 2026 -14850]")
}

func TestWhatIsNotProrated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sentence string
		change   func(*planShop) *stripe.SubscriptionParams
	}{
		{"a change without prorations", func(s *planShop) *stripe.SubscriptionParams {
			params := s.change(s.enterprise, 2)
			params.ProrationBehavior = stripe.String("none")
			return params
		}},
		{"the same price and quantity again", func(s *planShop) *stripe.SubscriptionParams {
			params := s.change(s.price, 1)
			params.ProrationBehavior = stripe.String("always_invoice")
			return params
		}},
		{"metadata of an item", func(s *planShop) *stripe.SubscriptionParams {
			params := s.change(nil, 0)
			params.Items[0].Metadata = map[string]string{"a": "b"}
			return params
		}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			shop := openPlanShop(t)
			shop.clock.set(firstOfJune.AddDate(0, 0, 10))
			subscription := shop.update(t, c.change(shop))
			equal(t, "pending", fmt.Sprint(shop.pending(t)), "[]")
			equal(t, "latest invoice", subscription.LatestInvoice.ID, shop.subscription.LatestInvoice.ID)
		})
	}
}

func TestItemsAreAddedAndTakenAway(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	before := len(eventTypesOf(t, shop.shop))
	shop.clock.set(time.Date(2026, 6, 16, 0, 0, 0, 0, time.UTC))
	subscription := shop.update(t, &stripe.SubscriptionParams{Items: []*stripe.SubscriptionItemsParams{{Price: stripe.String(shop.enterprise.ID)}}})
	equal(t, "items", len(subscription.Items.Data), 2)
	equal(t, "pending", fmt.Sprint(shop.pending(t)), "[Remaining time on Enterprise after 16 Jun 2026 19950]")
	previous := previousOf(shop.eventsSince(t, before)[1])
	if plan, there := previous["plan"]; !there || plan == nil || previous["quantity"] != 1.0 {
		t.Errorf("with two items there is neither plan nor quantity any more: %v", previous)
	}
	params := shop.change(nil, 0)
	params.Items[0].Deleted = stripe.Bool(true)
	subscription = shop.update(t, params)
	equal(t, "items", len(subscription.Items.Data), 1)
	equal(t, "pending", shop.pending(t)[0], "Unused time on Pro after 16 Jun 2026 -4950")
}

func TestChangesThatStripeRefuses(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t, simtest.WithoutMirror())
	item := shop.subscription.Items.Data[0].ID
	for _, c := range []struct {
		sentence, params, param string
	}{
		{"an item that is none", "items[0][id]=si_none&items[0][quantity]=2", "items[0][id]"},
		{"a price that is none", "items[0][id]=" + item + "&items[0][price]=price_none", "items[0][price]"},
		{"a quantity below nothing", "items[0][id]=" + item + "&items[0][quantity]=-1", "items[0][quantity]"},
		{"an item of nothing", "items[0][quantity]=2", "items[0][price]"},
		{"no item any more", "items[0][id]=" + item + "&items[0][deleted]=true", "items"},
		{"one price twice", "items[0][price]=" + shop.price.ID, "items"},
		{"two rhythms", "items[0][price]=" + shop.yearly.ID, "items"},
		{"a proration before the period", "items[0][id]=" + item + "&items[0][quantity]=2&proration_date=1", "proration_date"},
		{"a rhythm that keeps its anchor", "items[0][id]=" + item + "&items[0][price]=" + shop.yearly.ID + "&billing_cycle_anchor=unchanged", "billing_cycle_anchor"},
		{"a trial of who pays", "trial_end=99999999999", "trial_end"},
		{"a pause that ended yesterday", "pause_collection[behavior]=void&pause_collection[resumes_at]=1", "pause_collection[resumes_at]"},
	} {
		status, answer := shop.Do(t, http.MethodPost, "/v1/subscriptions/"+shop.subscription.ID, c.params)
		var refused struct {
			Error struct{ Param, Message string }
		}
		must(t, json.Unmarshal(answer, &refused))
		if status != http.StatusBadRequest || refused.Error.Param != c.param {
			t.Errorf("%s: want 400 for %s, got %d %s", c.sentence, c.param, status, answer)
		}
	}
	equal(t, "nothing is pending", fmt.Sprint(shop.pending(t)), "[]")
}

func TestCollectionIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	before := len(eventTypesOf(t, shop.shop))
	resumes := firstOfJune.AddDate(0, 2, 0).Unix()
	subscription := shop.update(t, &stripe.SubscriptionParams{PauseCollection: &stripe.SubscriptionPauseCollectionParams{
		Behavior: stripe.String("void"), ResumesAt: stripe.Int64(resumes),
	}})
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusActive)
	equal(t, "behaviour", subscription.PauseCollection.Behavior, stripe.SubscriptionPauseCollectionBehaviorVoid)
	status, answer := shop.Do(t, http.MethodPost, "/v1/subscriptions/"+subscription.ID, "pause_collection=")
	equal(t, "resumed: "+string(answer), status, http.StatusOK)
	events := shop.eventsSince(t, before)
	equal(t, "events", typesOf(events), "customer.subscription.updated customer.subscription.updated")
	equal(t, "before the pause", jsonOf(t, previousOf(events[0])), `{"pause_collection":null}`)
	equal(t, "during the pause", jsonOf(t, previousOf(events[1])), fmt.Sprintf(`{"pause_collection":{"behavior":"void","resumes_at":%d}}`, resumes))
}

func itemOf(t *testing.T, shop *shop, subscription string) *stripe.SubscriptionItem {
	t.Helper()
	found, err := shop.api.Subscriptions.Get(subscription, nil)
	must(t, err)
	return found.Items.Data[0]
}

// TestAChangeAtOnceWhileCollectionIsPaused says what becomes of an invoice that
// is made in the meantime.
func TestAChangeAtOnceWhileCollectionIsPaused(t *testing.T) {
	t.Parallel()
	for behavior, want := range map[string]stripe.InvoiceStatus{
		"keep_as_draft": stripe.InvoiceStatusDraft, "void": stripe.InvoiceStatusVoid, "mark_uncollectible": stripe.InvoiceStatusUncollectible,
	} {
		t.Run(behavior, func(t *testing.T) {
			t.Parallel()
			shop := openPlanShop(t)
			params := shop.change(shop.yearly, 0)
			params.PauseCollection = &stripe.SubscriptionPauseCollectionParams{Behavior: stripe.String(behavior)}
			shop.clock.set(firstOfJune.AddDate(0, 0, 10))
			subscription := shop.update(t, params)
			equal(t, "subscription", subscription.Status, stripe.SubscriptionStatusActive)
			equal(t, "invoice", shop.invoice(t, subscription.LatestInvoice.ID).Status, want)
			if want != stripe.InvoiceStatusDraft {
				return
			}
			shop.clock.set(firstOfJune.AddDate(0, 1, 0))
			equal(t, "a month later", shop.invoice(t, subscription.LatestInvoice.ID).Status, want)
			open, err := shop.api.Invoices.FinalizeInvoice(subscription.LatestInvoice.ID, nil)
			must(t, err)
			equal(t, "finalized", open.Status, stripe.InvoiceStatusOpen)
			paid, err := shop.api.Invoices.Pay(open.ID, nil)
			must(t, err)
			equal(t, "paid", paid.AmountPaid, 92400)
		})
	}
}

// TestWhatChangesLeaveBehindIsWhatStripesDocumentDescribes holds the objects
// that only changes make to their schemas, field by field.
func TestWhatChangesLeaveBehindIsWhatStripesDocumentDescribes(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	shop.addEndpoint(t, "http://127.0.0.1:1/none", "customer.created")
	shop.clock.set(firstOfJune.AddDate(0, 0, 10))
	shop.update(t, shop.change(nil, 3))
	shop.update(t, shop.change(shop.yearly, 2))
	shop.failing(t)
	more := shop.change(nil, 9)
	more.ProrationBehavior = stripe.String("always_invoice")
	equal(t, "status", shop.update(t, more).Status, stripe.SubscriptionStatusPastDue)
	_, upcoming := shop.Do(t, http.MethodGet, "/v1/invoices/upcoming?subscription="+shop.subscription.ID, "")
	preview := map[string]any{}
	must(t, json.Unmarshal(upcoming, &preview))
	if err := simtest.CheckObject(t, preview, append(absentFields["invoice"], "id")...); err != nil {
		t.Errorf("preview: %v", err)
	}
	if id, there := preview["id"]; there {
		t.Errorf("a preview has no id: %v", id)
	}
	state := shop.State(t)
	if len(state["invoiceitem"]) == 0 {
		t.Fatal("no invoice items")
	}
	for _, kind := range []string{"invoiceitem", "invoice", "charge", "payment_intent", "customer", "subscription"} {
		for _, object := range state[kind] {
			if err := simtest.CheckObject(t, object, absentFields[kind]...); err != nil {
				t.Errorf("%s %v: %v", kind, object["id"], err)
			}
			if kind != "invoice" {
				continue
			}
			for _, line := range object["lines"].(map[string]any)["data"].([]any) {
				if err := simtest.CheckObject(t, line.(map[string]any), absentFields["line_item"]...); err != nil {
					t.Errorf("line of %v: %v", object["id"], err)
				}
			}
		}
	}
	for _, event := range state["event"] {
		object := event["data"].(map[string]any)["object"].(map[string]any)
		kind := object["object"].(string)
		if err := simtest.CheckObject(t, object, append([]string{"id"}, absentFields[kind]...)...); err != nil {
			t.Errorf("%v: %v", event["type"], err)
		}
	}
}
