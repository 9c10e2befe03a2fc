// Package stripeapi speaks to Stripe. It is the only importer of stripe-go and
// translates its objects into billing's.
package stripeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-go/v76/form"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeshape"
)

// APIVersion is the version that every request and our webhook endpoint pin.
const APIVersion = stripe.APIVersion

// Client asks and acts at Stripe with one key. Its errors wrap
// payments.ErrNoSuchObject, ErrRefused or ErrUnavailable.
type Client struct {
	api    *client.API
	budget *budget
}

var _ payments.Stripe = (*Client)(nil)

// Config says where Stripe is and how much of it we may use.
type Config struct {
	Key string
	// Base is the address of the API without /v1; empty for Stripe itself.
	Base string
	// MaxRPS is the ceiling of requests a second of all replicas together;
	// Share says how many there are.
	MaxRPS int
	// Transport carries the requests; nil for one like http.DefaultTransport.
	Transport http.RoundTripper
}

// New returns a client. It does not ask Stripe anything.
func New(cfg Config) *Client {
	transport := cfg.Transport
	if transport == nil {
		transport = newTransport()
	}
	budget := newBudget(transport, cfg.MaxRPS)
	backend := &stripe.BackendConfig{
		HTTPClient:        &http.Client{Transport: budget},                // which times each request, from when it is sent
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull}, // errors are returned, not logged
		MaxNetworkRetries: stripe.Int64(2),
		EnableTelemetry:   stripe.Bool(false),
	}
	if cfg.Base != "" {
		backend.URL = stripe.String(cfg.Base)
	}
	b := stripe.GetBackendWithConfig(stripe.APIBackend, backend)
	return &Client{api: client.New(cfg.Key, &stripe.Backends{API: b, Connect: b, Uploads: b}), budget: budget}
}

// Share divides the ceiling of requests by the number of replicas that live.
func (c *Client) Share(replicas int) { c.budget.share(replicas) }

// Usage is how the budget of requests has been spent.
func (c *Client) Usage() Usage { return c.budget.usage() }

// CreateCustomer makes a customer that is known by its metadata alone.
func (c *Client) CreateCustomer(ctx context.Context, key string, metadata map[string]string) (string, error) {
	params := &stripe.CustomerParams{Params: withKey(ctx, key)}
	params.Metadata = metadata
	customer, err := c.api.Customers.New(params)
	if err != nil {
		return "", translate(err)
	}
	return customer.ID, nil
}

// UpdateCustomer sets the name and address that Stripe prints on receipts.
func (c *Client) UpdateCustomer(ctx context.Context, id, name, email string) error {
	_, err := c.api.Customers.Update(id, &stripe.CustomerParams{
		Params: stripe.Params{Context: ctx}, Name: stripe.String(name), Email: stripe.String(email),
	})
	return translate(err)
}

// CreateCheckoutSession opens Stripe's hosted page for one subscription.
func (c *Client) CreateCheckoutSession(ctx context.Context, key string, p payments.CheckoutParams) (payments.CheckoutSession, error) {
	params := &stripe.CheckoutSessionParams{
		Params:            withKey(ctx, key),
		Mode:              stripe.String(string(stripe.CheckoutSessionModeSubscription)),
		Customer:          stripe.String(p.CustomerID),
		ClientReferenceID: stripe.String(p.OrgID),
		LineItems:         []*stripe.CheckoutSessionLineItemParams{{Price: stripe.String(p.PriceID), Quantity: stripe.Int64(1)}},
		SuccessURL:        stripe.String(p.SuccessURL),
		CancelURL:         stripe.String(p.CancelURL),
		SubscriptionData:  &stripe.CheckoutSessionSubscriptionDataParams{Metadata: map[string]string{"org_id": p.OrgID}},
	}
	params.Metadata = map[string]string{"org_id": p.OrgID}
	if p.TrialDays > 0 {
		params.SubscriptionData.TrialPeriodDays = stripe.Int64(int64(p.TrialDays))
	}
	return session(c.api.CheckoutSessions.New(params))
}

// CheckoutSession reads a session.
func (c *Client) CheckoutSession(ctx context.Context, id string) (payments.CheckoutSession, error) {
	return session(c.api.CheckoutSessions.Get(id, &stripe.CheckoutSessionParams{Params: stripe.Params{Context: ctx}}))
}

// ExpireCheckoutSession ends an open session; a complete one is ErrRefused.
func (c *Client) ExpireCheckoutSession(ctx context.Context, id string) (payments.CheckoutSession, error) {
	return session(c.api.CheckoutSessions.Expire(id, &stripe.CheckoutSessionExpireParams{Params: stripe.Params{Context: ctx}}))
}

func session(s *stripe.CheckoutSession, err error) (payments.CheckoutSession, error) {
	if err != nil {
		return payments.CheckoutSession{}, translate(err)
	}
	out := payments.CheckoutSession{
		ID: s.ID, URL: s.URL, Status: string(s.Status), PaymentStatus: string(s.PaymentStatus),
		ExpiresAt: time.Unix(s.ExpiresAt, 0).UTC(),
	}
	if s.Customer != nil {
		out.CustomerID = s.Customer.ID
	}
	if s.Subscription != nil {
		out.SubscriptionID = s.Subscription.ID
	}
	return out, nil
}

// Subscriptions lists all that a customer ever had, with each one's latest
// invoice: one request for up to a hundred. The objects are read from the bytes
// of the answer by the decoder that also reads events.
func (c *Client) Subscriptions(ctx context.Context, customerID string) (payments.Answer, error) {
	var out payments.Answer
	params := &stripe.SubscriptionListParams{Customer: stripe.String(customerID), Status: stripe.String("all")}
	params.Context, params.Single, params.Limit = ctx, true, stripe.Int64(100)
	params.AddExpand("data.latest_invoice")
	for {
		var page page
		query := &form.Values{}
		form.AppendTo(query, params)
		if err := c.api.Subscriptions.B.CallRaw(http.MethodGet, "/v1/subscriptions", c.api.Subscriptions.Key, query, params.ToParams(), &page); err != nil {
			out.At = dateOf(err)
			return out, translate(err)
		}
		if out.At.IsZero() { // the first page is the oldest word of the answer
			at, err := http.ParseTime(page.LastResponse.Header.Get("Date"))
			if err != nil {
				return out, fmt.Errorf("%w: its answer has no date: %w", payments.ErrUnavailable, err)
			}
			out.At = at.UTC()
		}
		for _, raw := range page.Data {
			s, err := c.subscription(ctx, raw)
			if err != nil {
				return out, err
			}
			out.Subscriptions = append(out.Subscriptions, s)
		}
		if !page.HasMore {
			return out, nil
		}
		if len(page.Data) == 0 { // it cannot be gone on from, and a part is no answer
			return out, fmt.Errorf("%w: its list promises more and has nothing", payments.ErrUnavailable)
		}
		params.StartingAfter = stripe.String(out.Subscriptions[len(out.Subscriptions)-1].ID)
	}
}

// page is a page of a list with its objects as they came. stripe-go's own lists
// read each object into a struct of theirs first, which costs as much as all that
// we do with it.
type page struct {
	stripe.APIResource
	Data    []json.RawMessage `json:"data"`
	HasMore bool              `json:"has_more"`
}

// dateOf is when Stripe said no; zero where it said nothing.
func dateOf(err error) time.Time {
	var refusal *stripe.Error
	if !errors.As(err, &refusal) || refusal.LastResponse == nil {
		return time.Time{}
	}
	at, err := http.ParseTime(refusal.LastResponse.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// CancelSubscription ends a subscription at once, without a credit.
func (c *Client) CancelSubscription(ctx context.Context, id string) error {
	_, err := c.api.Subscriptions.Cancel(id, &stripe.SubscriptionCancelParams{Params: stripe.Params{Context: ctx}})
	return translate(err)
}

// Price reads a price with its product, currencies and tiers.
func (c *Client) Price(ctx context.Context, id string) (billing.Price, error) {
	params := &stripe.PriceParams{Params: stripe.Params{Context: ctx}}
	for _, field := range []string{"product", "currency_options", "tiers"} {
		params.AddExpand(field)
	}
	price, err := c.api.Prices.Get(id, params)
	if err != nil {
		return billing.Price{}, translate(err)
	}
	return stripeshape.DecodePrice(price.LastResponse.RawJSON)
}

func withKey(ctx context.Context, key string) stripe.Params {
	return stripe.Params{Context: ctx, IdempotencyKey: stripe.String(key)}
}

// translate maps what can go wrong at Stripe to what a caller can do about it.
// The text names type, code and request, never the body.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var refusal *stripe.Error
	if !errors.As(err, &refusal) {
		return fmt.Errorf("%w: %w", payments.ErrUnavailable, err)
	}
	if refusal.HTTPStatusCode == http.StatusUnauthorized {
		return wrongKey{refusal.RequestID}
	}
	kind := payments.ErrUnavailable
	switch status := refusal.HTTPStatusCode; {
	case refusal.Code == stripe.ErrorCodeResourceMissing, status == http.StatusNotFound:
		kind = payments.ErrNoSuchObject
	case status == http.StatusBadRequest, status == http.StatusPaymentRequired, status == http.StatusForbidden:
		kind = payments.ErrRefused
	}
	what := strings.TrimSpace(string(refusal.Type) + " " + string(refusal.Code)) // not every error has a code
	return fmt.Errorf("%w: %s (status %d, request %s): %s", kind, what, refusal.HTTPStatusCode, refusal.RequestID, refusal.Msg)
}

// wrongKey is Stripe's no to the key itself. Like an outage it says nothing of
// the request, which may be tried again once somebody has changed the key; but
// it must not read like one. Stripe's own text quotes a part of the key.
type wrongKey struct{ requestID string }

func (w wrongKey) Error() string {
	return "Stripe does not accept the secret key (status 401, request " + w.requestID + ")"
}

// Unwrap makes callers treat it as payments.ErrUnavailable.
func (wrongKey) Unwrap() error { return payments.ErrUnavailable }
