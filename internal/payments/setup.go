package payments

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// Catalogue is what setting an account up asks of Stripe.
type Catalogue interface {
	// EnsureProduct finds the product by its id, or makes it if create.
	EnsureProduct(ctx context.Context, p ProductParams, create bool) (found bool, err error)
	// PriceByLookupKey wraps ErrNoSuchObject where no active price has the key.
	PriceByLookupKey(ctx context.Context, key string) (billing.Price, error)
	CreatePrice(ctx context.Context, key string, p PriceParams) (billing.Price, error)
	WebhookEndpoints(ctx context.Context) ([]WebhookEndpoint, error)
	CreateWebhookEndpoint(ctx context.Context, url string, types []string) (WebhookEndpoint, error)
	UpdateWebhookEndpoint(ctx context.Context, id string, types []string) error
}

// ProductParams describe the product of a plan.
type ProductParams struct {
	ID, Plan, Name, Summary string
}

// PriceParams describe the price of a plan for an interval.
type PriceParams struct {
	ProductID   string
	LookupKey   string
	Currency    money.Currency
	AmountMinor int64
	Interval    billing.Interval
}

// WebhookEndpoint is an endpoint of the account.
type WebhookEndpoint struct {
	ID, URL string
	// Secret is told when the endpoint is made, and never again.
	Secret     string
	EventTypes []string // sorted
	// IsPinned: its events have the shape of our API version.
	IsPinned bool
	// APIVersion is the version it has; empty for the account's own.
	APIVersion string
	IsEnabled  bool
}

// Setup is what an account has for us.
type Setup struct {
	// Sold is the price of each offer.
	Sold map[Offer]string
	// Endpoint is the webhook endpoint; its Secret is empty unless it was made
	// just now.
	Endpoint WebhookEndpoint
	// Steps say in words what was found and what was done, in order.
	Steps []string
}

// SetupOptions say what is wanted.
type SetupOptions struct {
	// WebhookURL is where Stripe shall post; empty leaves endpoints alone.
	WebhookURL string
	// DryRun changes nothing and says what would be done.
	DryRun bool
}

// SetUp finds or makes the products, prices and webhook endpoint that the plans
// need. It never makes anything twice: products have ids of ours, prices hold
// lookup keys, and an endpoint is known by its URL. A price that changed in the
// plans file becomes a new one, which takes over the lookup key; who pays the
// old one goes on paying it.
func SetUp(ctx context.Context, stripe Catalogue, plans billing.Plans, o SetupOptions) (Setup, error) {
	out := Setup{Sold: map[Offer]string{}}
	for _, plan := range plans.Plans {
		product := ProductParams{ID: "promptforge_" + plan.Code, Plan: plan.Code, Name: "PromptForge " + plan.Name, Summary: plan.Summary}
		found, err := stripe.EnsureProduct(ctx, product, !o.DryRun)
		if err != nil {
			return out, fmt.Errorf("product of plan %s: %w", plan.Code, err)
		}
		out.say(found, o.DryRun, "product "+product.ID)
		for _, interval := range billing.Intervals() {
			if err := out.setUpPrice(ctx, stripe, plans.Currency, plan, interval, product.ID, o.DryRun); err != nil {
				return out, fmt.Errorf("price of plan %s a %s: %w", plan.Code, interval, err)
			}
		}
	}
	if o.WebhookURL == "" {
		return out, nil
	}
	if err := out.setUpEndpoint(ctx, stripe, o); err != nil {
		return out, fmt.Errorf("webhook endpoint: %w", err)
	}
	return out, nil
}

func (s *Setup) setUpPrice(ctx context.Context, stripe Catalogue, currency money.Currency, plan billing.Plan, interval billing.Interval, productID string, dryRun bool) error {
	wanted := PriceParams{
		ProductID: productID, LookupKey: plan.LookupKey(interval), Currency: currency,
		AmountMinor: plan.PricesMinor[interval], Interval: interval,
	}
	offer := Offer{plan.Code, interval}
	words := fmt.Sprintf("price %s: %s a %s", wanted.LookupKey, money.Format(wanted.AmountMinor, currency), interval)
	price, err := stripe.PriceByLookupKey(ctx, wanted.LookupKey)
	if err != nil && !errors.Is(err, ErrNoSuchObject) {
		return err
	}
	if err == nil && wanted.is(price) {
		s.Sold[offer] = price.ID
		s.say(true, dryRun, words)
		return nil
	}
	s.say(false, dryRun, words)
	if dryRun {
		return nil
	}
	// What is replaced is part of the key, so that going back to an earlier
	// amount does not replay the answer of then.
	key := fmt.Sprintf("price:%s:%s:%d:after:%s", wanted.LookupKey, currency, wanted.AmountMinor, price.ID)
	if price, err = stripe.CreatePrice(ctx, key, wanted); err != nil {
		return err
	}
	s.Sold[offer] = price.ID
	return nil
}

func (p PriceParams) is(price billing.Price) bool {
	amount, ok := price.Amounts[p.Currency]
	return ok && amount.TiersMode == "" && amount.UnitMicro == p.AmountMinor*money.Micro && price.ProductID == p.ProductID &&
		price.Interval == p.Interval && price.IntervalCount == 1 && price.UsageType == "licensed"
}

func (s *Setup) setUpEndpoint(ctx context.Context, stripe Catalogue, o SetupOptions) error {
	endpoints, err := stripe.WebhookEndpoints(ctx)
	if err != nil {
		return err
	}
	// An endpoint of another API version cannot be mended; it is left to a
	// person, and ours is made beside it.
	for _, e := range endpoints {
		if e.URL == o.WebhookURL && !e.IsPinned {
			version := e.APIVersion
			if version == "" {
				version = "the account's default"
			}
			s.Steps = append(s.Steps, fmt.Sprintf(
				"found webhook endpoint %s with the same address and another API version (%s), which cannot be changed: delete it in Stripe's dashboard once the new one delivers", e.ID, version))
		}
	}
	i := slices.IndexFunc(endpoints, func(e WebhookEndpoint) bool { return e.URL == o.WebhookURL && e.IsPinned })
	if i < 0 {
		s.say(false, o.DryRun, "webhook endpoint "+o.WebhookURL)
		if o.DryRun {
			return nil
		}
		s.Endpoint, err = stripe.CreateWebhookEndpoint(ctx, o.WebhookURL, EventTypes)
		return err
	}
	s.Endpoint = endpoints[i]
	if s.Endpoint.IsEnabled && slices.Equal(s.Endpoint.EventTypes, EventTypes) {
		s.say(true, o.DryRun, "webhook endpoint "+s.Endpoint.ID)
		return nil
	}
	verb := "updated"
	if o.DryRun {
		verb = "would update"
	}
	step := fmt.Sprintf("%s the event types of webhook endpoint %s: %d added, %d removed",
		verb, s.Endpoint.ID, missing(EventTypes, s.Endpoint.EventTypes), missing(s.Endpoint.EventTypes, EventTypes))
	if !s.Endpoint.IsEnabled {
		step += ", and switched it on"
	}
	s.Steps = append(s.Steps, step)
	if o.DryRun {
		return nil
	}
	return stripe.UpdateWebhookEndpoint(ctx, s.Endpoint.ID, EventTypes)
}

// missing counts the types that have does not hold.
func missing(types, have []string) int {
	n := 0
	for _, t := range types {
		if !slices.Contains(have, t) {
			n++
		}
	}
	return n
}

func (s *Setup) say(found, dryRun bool, what string) {
	verb := "created"
	switch {
	case found:
		verb = "found"
	case dryRun:
		verb = "would create"
	}
	s.Steps = append(s.Steps, verb+" "+what)
}
