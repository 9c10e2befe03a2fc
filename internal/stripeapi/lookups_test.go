package stripeapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeapi"
)

// few is a wire over which a subscription shows the first of its items only, as
// Stripe shows those of one that has many.
type few struct{}

func (few) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasPrefix(r.URL.Path, "/v1/subscriptions") {
		return response, err
	}
	defer response.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		return nil, err
	}
	all := []any{body}
	if data, isList := body["data"].([]any); isList {
		all = data
	}
	for _, s := range all {
		items := s.(map[string]any)["items"].(map[string]any)
		items["data"], items["has_more"] = items["data"].([]any)[:1], true
	}
	cut, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(cut)), int64(len(cut))
	response.Header.Set("Content-Length", strconv.Itoa(len(cut)))
	return response, nil
}

func TestWhatIsSaidOfAPaymentFindsItsCustomer(t *testing.T) {
	client, sim, set, customer := shop(t)
	session, err := client.CreateCheckoutSession(t.Context(), "k1", order{customer: customer, price: set.Sold[payments.Offer{Plan: "pro", Interval: billing.Month}]}.params())
	if err != nil {
		t.Fatal(err)
	}
	sim.Complete(t, session.ID, "4242424242424242")
	answer, err := client.Subscriptions(t.Context(), customer)
	if err != nil {
		t.Fatal(err)
	}
	bought := answer.Subscriptions[0]
	intent, err := client.PaymentIntent(t.Context(), bought.LatestInvoice.PaymentIntentID)
	if err != nil || intent.CustomerID != customer || intent.InvoiceID != bought.LatestInvoice.ID {
		t.Errorf("payment intent = %+v, %v", intent, err)
	}
	charge, err := client.Charge(t.Context(), bought.LatestInvoice.ChargeID)
	if err != nil || charge.CustomerID != customer || charge.InvoiceID != bought.LatestInvoice.ID || charge.AmountMinor != 9900 ||
		charge.PaymentIntentID != intent.ID || charge.BalanceTransactionID == "" {
		t.Errorf("charge = %+v, %v", charge, err)
	}
	post(t, sim.URL+"/v1/refunds", sim.SecretKey, url.Values{"charge": {charge.ID}, "amount": {"500"}, "reason": {"duplicate"}})
	post(t, sim.URL+"/v1/refunds", sim.SecretKey, url.Values{"charge": {charge.ID}, "amount": {"700"}})
	refunds, err := client.Refunds(t.Context(), charge.ID)
	if err != nil || len(refunds) != 2 || refunds[0].AmountMinor+refunds[1].AmountMinor != 1200 || refunds[0].ChargeID != charge.ID || refunds[0].CreatedAt.IsZero() {
		t.Errorf("refunds = %+v, %v", refunds, err)
	}
	same, err := client.Subscription(t.Context(), bought.ID)
	if err != nil || !same.Facts.Equal(bought.Facts) || same.LatestInvoice == nil || same.LatestInvoice.ID != bought.LatestInvoice.ID {
		t.Errorf("subscription = %+v, %v, want what is listed", same, err)
	}
	for name, err := range map[string]error{
		"charge":         second(client.Charge(t.Context(), "ch_none")),
		"payment intent": second(client.PaymentIntent(t.Context(), "pi_none")),
		"subscription":   second(client.Subscription(t.Context(), "sub_none")),
	} {
		if !errors.Is(err, payments.ErrNoSuchObject) {
			t.Errorf("an unknown %s: %v", name, err)
		}
	}
}

func TestEveryItemOfASubscriptionOfManyIsRead(t *testing.T) {
	client, sim, set, customer := shop(t)
	session, err := client.CreateCheckoutSession(t.Context(), "k1", order{customer: customer, price: set.Sold[payments.Offer{Plan: "pro", Interval: billing.Month}]}.params())
	if err != nil {
		t.Fatal(err)
	}
	sim.Complete(t, session.ID, "4242424242424242")
	answer, err := client.Subscriptions(t.Context(), customer)
	if err != nil {
		t.Fatal(err)
	}
	id := answer.Subscriptions[0].ID
	post(t, sim.URL+"/v1/subscriptions/"+id, sim.SecretKey, url.Values{"items[0][price]": {set.Sold[payments.Offer{Plan: "pilot", Interval: billing.Month}]}, "items[0][quantity]": {"3"}})
	whole, err := client.Subscription(t.Context(), id)
	if err != nil || len(whole.Facts.Items) != 2 {
		t.Fatalf("subscription = %+v, %v", whole, err)
	}
	short := stripeapi.New(stripeapi.Config{Key: sim.SecretKey, Base: sim.URL, MaxRPS: 1000, Transport: few{}})
	one, err := short.Subscription(t.Context(), id)
	if err != nil || !one.Facts.Equal(whole.Facts) {
		t.Errorf("read alone = %+v, %v, want %+v", one.Facts, err, whole.Facts)
	}
	listed, err := short.Subscriptions(t.Context(), customer)
	if err != nil || len(listed.Subscriptions) != 1 || !listed.Subscriptions[0].Facts.Equal(whole.Facts) {
		t.Errorf("listed = %+v, %v, want %+v", listed, err, whole.Facts)
	}
}

func second[T any](_ T, err error) error { return err }

func post(t *testing.T, address, key string, form url.Values) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		t.Fatalf("post %s: %d %s", address, response.StatusCode, body)
	}
}
