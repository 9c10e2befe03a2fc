package stripesim_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

const (
	paysCard     = "4242424242424242"
	declinedCard = "4000000000000002"
)

// clientOf speaks to the stand-in through stripe-go, without retries unless
// they are asked for.
func clientOf(sim *simtest.Sim, retries int64) *client.API {
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL:               stripe.String(sim.URL),
		MaxNetworkRetries: stripe.Int64(retries),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return client.New(sim.SecretKey, &stripe.Backends{API: backend, Connect: backend, Uploads: backend})
}

// shop is a stand-in with a product, a monthly price and a customer.
type shop struct {
	*simtest.Sim
	api      *client.API
	product  *stripe.Product
	price    *stripe.Price
	customer *stripe.Customer
}

func openShop(t *testing.T, with ...simtest.Option) *shop {
	t.Helper()
	return stock(t, simtest.Start(t, with...))
}

func stock(t testing.TB, sim *simtest.Sim) *shop {
	t.Helper()
	s := &shop{Sim: sim, api: clientOf(sim, 0)}
	var err error
	s.product, err = s.api.Products.New(&stripe.ProductParams{Name: stripe.String("Pro")})
	must(t, err)
	s.price, err = s.api.Prices.New(&stripe.PriceParams{
		Product: stripe.String(s.product.ID), Currency: stripe.String("usd"), UnitAmount: stripe.Int64(9900),
		LookupKey: stripe.String("pro_month"),
		Recurring: &stripe.PriceRecurringParams{Interval: stripe.String("month")},
	})
	must(t, err)
	s.customer, err = s.api.Customers.New(&stripe.CustomerParams{
		Email: stripe.String("ada@example.com"), Name: stripe.String("Ada"),
		Metadata: map[string]string{"org_id": "42"},
	})
	must(t, err)
	return s
}

func (s *shop) sessionParams() *stripe.CheckoutSessionParams {
	return &stripe.CheckoutSessionParams{
		Mode:              stripe.String("subscription"),
		Customer:          stripe.String(s.customer.ID),
		ClientReferenceID: stripe.String("attempt-1"),
		SuccessURL:        stripe.String("http://127.0.0.1:8080/checkout/success?session_id={CHECKOUT_SESSION_ID}"),
		CancelURL:         stripe.String("http://127.0.0.1:8080/checkout/cancel"),
		LineItems:         []*stripe.CheckoutSessionLineItemParams{{Price: stripe.String(s.price.ID), Quantity: stripe.Int64(1)}},
		SubscriptionData:  &stripe.CheckoutSessionSubscriptionDataParams{Metadata: map[string]string{"org_id": "42"}},
	}
}

func (s *shop) newSession(t testing.TB) *stripe.CheckoutSession {
	t.Helper()
	session, err := s.api.CheckoutSessions.New(s.sessionParams())
	must(t, err)
	return session
}

// buy completes a new session and answers it as it is then.
func (s *shop) buy(t testing.TB) *stripe.CheckoutSession {
	t.Helper()
	session := s.newSession(t)
	if status, _ := s.Complete(t, session.ID, paysCard); status != http.StatusOK {
		t.Fatalf("complete: %d", status)
	}
	session, err := s.api.CheckoutSessions.Get(session.ID, nil)
	must(t, err)
	return session
}

// addEndpoint registers an address for every event and answers its secret.
func (s *shop) addEndpoint(t testing.TB, url string, events ...string) *stripe.WebhookEndpoint {
	t.Helper()
	if len(events) == 0 {
		events = []string{"*"}
	}
	endpoint, err := s.api.WebhookEndpoints.New(&stripe.WebhookEndpointParams{
		URL: stripe.String(url), APIVersion: stripe.String("2023-10-16"), EnabledEvents: stripe.StringSlice(events),
	})
	must(t, err)
	return endpoint
}

// receiver is a webhook endpoint that remembers what it was sent.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	answer func(n int) int // the status for the nth delivery, from 1
}

type received struct {
	header http.Header
	body   []byte
	event  map[string]any
}

func newReceiver(t testing.TB, answer func(n int) int) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		var event map[string]any
		_ = json.Unmarshal(body, &event)
		r.mu.Lock()
		r.got = append(r.got, received{request.Header.Clone(), body, event})
		status := r.answer(len(r.got))
		r.mu.Unlock()
		if status >= 300 && status < 400 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func always(status int) func(int) int { return func(int) int { return status } }

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// eventually waits for what happens in another goroutine.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// clock is a business clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock(at time.Time) *clock { return &clock{at: at} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// keysOf answers a map's keys in order.
func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
