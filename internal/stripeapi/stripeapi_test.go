package stripeapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// shop is a stand-in that has our plans and one customer.
func shop(t *testing.T) (*stripeapi.Client, *simtest.Sim, payments.Setup, string) {
	t.Helper()
	t.Parallel()
	sim := simtest.Start(t)
	client := stripeapi.New(stripeapi.Config{Key: sim.SecretKey, Base: sim.URL, MaxRPS: 1000})
	set, err := payments.SetUp(t.Context(), client, billing.DefaultPlans(), payments.SetupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	customer, err := client.CreateCustomer(t.Context(), "customer:1", map[string]string{"org_id": "1"})
	if err != nil {
		t.Fatal(err)
	}
	return client, sim, set, customer
}

func (o order) params() payments.CheckoutParams {
	return payments.CheckoutParams{
		CustomerID: o.customer, OrgID: "1", PriceID: o.price, TrialDays: o.trial,
		SuccessURL: "https://example.com/ok?session_id={CHECKOUT_SESSION_ID}", CancelURL: "https://example.com/no",
	}
}

type order struct {
	customer, price string
	trial           int
}

func TestAnAnswerIsDatedByStripeAndReadWhole(t *testing.T) {
	client, sim, set, customer := shop(t)
	session, err := client.CreateCheckoutSession(t.Context(), "k1", order{customer: customer, price: set.Sold[payments.Offer{Plan: "pro", Interval: billing.Year}]}.params())
	if err != nil {
		t.Fatal(err)
	}
	if session.Status != "open" || session.URL == "" || session.CustomerID != customer || session.SubscriptionID != "" || !session.ExpiresAt.After(time.Now()) {
		t.Errorf("session = %+v", session)
	}
	sim.Complete(t, session.ID, "4242424242424242")
	if session, err = client.CheckoutSession(t.Context(), session.ID); err != nil || session.Status != "complete" || session.PaymentStatus != "paid" || session.SubscriptionID == "" {
		t.Errorf("session = %+v, %v", session, err)
	}
	answer, err := client.Subscriptions(t.Context(), customer)
	if err != nil || len(answer.Subscriptions) != 1 {
		t.Fatalf("answer = %+v, %v", answer, err)
	}
	if age := time.Since(answer.At); age < -time.Minute || age > time.Minute || answer.At.Location() != time.UTC {
		t.Errorf("the answer is of %v", answer.At)
	}
	s := answer.Subscriptions[0]
	if s.ID != session.SubscriptionID || s.Facts.Status != billing.StatusActive || s.LatestInvoice == nil || s.LatestInvoice.AmountPaidMinor != 99000 {
		t.Errorf("subscription = %+v, invoice %+v", s, s.LatestInvoice)
	}
	price, err := client.Price(t.Context(), s.Facts.Items[0].PriceID)
	if err != nil || price.Plan != "pro" || price.Amounts["usd"].UnitMicro != 99000*1_000_000 || price.Interval != billing.Year {
		t.Errorf("price = %+v, %v", price, err)
	}
}

func TestMoreThanAHundredSubscriptionsAreReadInPages(t *testing.T) {
	client, sim, set, customer := shop(t)
	price := set.Sold[payments.Offer{Plan: "pilot", Interval: billing.Month}]
	for i := range 103 {
		session, err := client.CreateCheckoutSession(t.Context(), fmt.Sprint("k", i), order{customer, price, 7}.params())
		if err != nil {
			t.Fatal(err)
		}
		sim.Complete(t, session.ID, "4242424242424242")
	}
	answer, err := client.Subscriptions(t.Context(), customer)
	if err != nil || len(answer.Subscriptions) != 103 {
		t.Errorf("%d subscriptions, %v; want 103", len(answer.Subscriptions), err)
	}
}

func TestErrorsSayWhatACallerCanDo(t *testing.T) {
	client, sim, set, customer := shop(t)
	price := set.Sold[payments.Offer{Plan: "pro", Interval: billing.Month}]
	session, err := client.CreateCheckoutSession(t.Context(), "k1", order{customer: customer, price: price}.params())
	if err != nil {
		t.Fatal(err)
	}
	sim.Complete(t, session.ID, "4242424242424242")
	wrongKey := stripeapi.New(stripeapi.Config{Key: "sk_test_wrong0123456789", Base: sim.URL, MaxRPS: 1000})
	nobody := stripeapi.New(stripeapi.Config{Key: sim.SecretKey, Base: "http://127.0.0.1:1", MaxRPS: 1000})
	for name, tt := range map[string]struct {
		call func() error
		want error
	}{
		"an unknown session":     {func() error { _, err := client.CheckoutSession(t.Context(), "cs_test_none"); return err }, payments.ErrNoSuchObject},
		"an unknown price":       {func() error { _, err := client.Price(t.Context(), "price_none"); return err }, payments.ErrNoSuchObject},
		"an unknown customer":    {func() error { _, err := client.Subscriptions(t.Context(), "cus_none"); return err }, payments.ErrNoSuchObject},
		"a session that is over": {func() error { _, err := client.ExpireCheckoutSession(t.Context(), session.ID); return err }, payments.ErrRefused},
		"a key with other parameters": {func() error {
			_, err := client.CreateCheckoutSession(t.Context(), "k1", order{customer: customer, price: price, trial: 3}.params())
			return err
		}, payments.ErrRefused},
		"a wrong key":           {func() error { _, err := wrongKey.Subscriptions(t.Context(), customer); return err }, payments.ErrUnavailable},
		"nobody at the address": {func() error { _, err := nobody.Subscriptions(t.Context(), customer); return err }, payments.ErrUnavailable},
	} {
		err := tt.call()
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: error = %v, want %v", name, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "  ") || name == "a wrong key" && strings.Contains(err.Error(), "unavailable")) {
			t.Errorf("%s: the message reads %q", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), sim.SecretKey) || strings.Contains(err.Error(), "wrong0123456789")) {
			t.Errorf("%s: the message shows the key: %v", name, err)
		}
	}
}

func TestANoIsDatedToo(t *testing.T) {
	client, _, _, _ := shop(t)
	answer, err := client.Subscriptions(t.Context(), "cus_none")
	if age := time.Since(answer.At); !errors.Is(err, payments.ErrNoSuchObject) || age < -time.Minute || age > time.Minute {
		t.Errorf("of a customer that is not there: %v, %v", answer.At, err)
	}
}

// promising is a Stripe whose lists are empty and never end.
type promising struct{}

// RoundTrip answers every request with such a list.
func (promising) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Date": {"Tue, 14 Nov 2023 22:13:20 GMT"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"object":"list","data":[],"has_more":true}`)),
	}, nil
}

// TestAListThatPromisesMoreAndHasNothingIsNoAnswer: to take it for a whole one
// would be to say that the customer has nothing.
func TestAListThatPromisesMoreAndHasNothingIsNoAnswer(t *testing.T) {
	t.Parallel()
	client := stripeapi.New(stripeapi.Config{Key: "sk_test_1", MaxRPS: 1000, Transport: promising{}})
	if answer, err := client.Subscriptions(t.Context(), "cus_1"); !errors.Is(err, payments.ErrUnavailable) {
		t.Errorf("answer = %+v, %v", answer, err)
	}
}

// crowded answers 429 to every second request.
type crowded struct{ n atomic.Int64 }

func (c *crowded) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.n.Add(1)%2 == 1 {
		return &http.Response{
			StatusCode: http.StatusTooManyRequests, Header: http.Header{"Stripe-Should-Retry": {"true"}}, Request: r,
			Body: http.NoBody,
		}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestARefusalForHasteIsTriedAgain(t *testing.T) {
	_, sim, set, _ := shop(t)
	wire := &crowded{}
	client := stripeapi.New(stripeapi.Config{Key: sim.SecretKey, Base: sim.URL, MaxRPS: 1000, Transport: wire})
	if _, err := client.Price(t.Context(), set.Sold[payments.Offer{Plan: "pro", Interval: billing.Month}]); err != nil {
		t.Errorf("error = %v after %d requests", err, wire.n.Load())
	}
}

func TestTheEndpointIsPinnedAndToldItsSecretOnce(t *testing.T) {
	client, _, _, _ := shop(t)
	made, err := client.CreateWebhookEndpoint(t.Context(), "https://example.com/hook", payments.EventTypes)
	if err != nil || !made.IsPinned || !made.IsEnabled || !strings.HasPrefix(made.Secret, "whsec_") || !slices.Equal(made.EventTypes, payments.EventTypes) {
		t.Errorf("made = %+v, %v", made, err)
	}
	all, err := client.WebhookEndpoints(t.Context())
	if err != nil || len(all) != 1 || all[0].Secret != "" || !all[0].IsPinned {
		t.Errorf("listed = %+v, %v", all, err)
	}
	if err := client.DeleteWebhookEndpoint(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
}
