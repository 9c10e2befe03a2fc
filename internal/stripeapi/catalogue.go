package stripeapi

import (
	"context"
	"errors"
	"slices"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeshape"
)

var _ payments.Catalogue = (*Client)(nil)

// EnsureProduct finds the product by its id or makes it.
func (c *Client) EnsureProduct(ctx context.Context, p payments.ProductParams, create bool) (found bool, err error) {
	_, err = c.api.Products.Get(p.ID, &stripe.ProductParams{Params: stripe.Params{Context: ctx}})
	err = translate(err)
	if !errors.Is(err, payments.ErrNoSuchObject) || !create {
		return err == nil, ignoreMissing(err)
	}
	params := &stripe.ProductParams{
		Params: withKey(ctx, "product:"+p.ID), ID: stripe.String(p.ID), Name: stripe.String(p.Name), Description: stripe.String(p.Summary),
	}
	params.Metadata = map[string]string{"plan": p.Plan}
	_, err = c.api.Products.New(params)
	return false, translate(err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, payments.ErrNoSuchObject) {
		return nil
	}
	return err
}

// PriceByLookupKey finds the active price that holds a lookup key.
func (c *Client) PriceByLookupKey(ctx context.Context, key string) (billing.Price, error) {
	params := &stripe.PriceListParams{LookupKeys: stripe.StringSlice([]string{key}), Active: stripe.Bool(true)}
	params.Context, params.Single = ctx, true
	list := c.api.Prices.List(params)
	if err := list.Err(); err != nil {
		return billing.Price{}, translate(err)
	}
	prices := list.PriceList().Data
	if len(prices) == 0 {
		return billing.Price{}, payments.ErrNoSuchObject
	}
	return c.Price(ctx, prices[0].ID)
}

// CreatePrice makes a price and takes the lookup key from the one that held it.
func (c *Client) CreatePrice(ctx context.Context, key string, p payments.PriceParams) (billing.Price, error) {
	price, err := c.api.Prices.New(&stripe.PriceParams{
		Params: withKey(ctx, key), Product: stripe.String(p.ProductID), Currency: stripe.String(string(p.Currency)),
		UnitAmount: stripe.Int64(p.AmountMinor), LookupKey: stripe.String(p.LookupKey), TransferLookupKey: stripe.Bool(true),
		Recurring: &stripe.PriceRecurringParams{Interval: stripe.String(string(p.Interval))},
	})
	if err != nil {
		return billing.Price{}, translate(err)
	}
	return stripeshape.DecodePrice(price.LastResponse.RawJSON)
}

// WebhookEndpoints lists every endpoint of the account, at most sixteen.
func (c *Client) WebhookEndpoints(ctx context.Context) ([]payments.WebhookEndpoint, error) {
	params := &stripe.WebhookEndpointListParams{}
	params.Context, params.Limit = ctx, stripe.Int64(100)
	var out []payments.WebhookEndpoint
	list := c.api.WebhookEndpoints.List(params)
	for list.Next() {
		out = append(out, endpoint(list.WebhookEndpoint()))
	}
	return out, translate(list.Err())
}

// CreateWebhookEndpoint makes an endpoint that gets our version and types. Its
// secret is told here and never again.
func (c *Client) CreateWebhookEndpoint(ctx context.Context, url string, types []string) (payments.WebhookEndpoint, error) {
	e, err := c.api.WebhookEndpoints.New(&stripe.WebhookEndpointParams{
		Params: stripe.Params{Context: ctx}, URL: stripe.String(url), APIVersion: stripe.String(APIVersion),
		EnabledEvents: stripe.StringSlice(types), Description: stripe.String("PromptForge payments"),
	})
	if err != nil {
		return payments.WebhookEndpoint{}, translate(err)
	}
	return endpoint(e), nil
}

// UpdateWebhookEndpoint sets the types and switches the endpoint on; a version
// cannot be changed.
func (c *Client) UpdateWebhookEndpoint(ctx context.Context, id string, types []string) error {
	_, err := c.api.WebhookEndpoints.Update(id, &stripe.WebhookEndpointParams{
		Params: stripe.Params{Context: ctx}, EnabledEvents: stripe.StringSlice(types), Disabled: stripe.Bool(false),
	})
	return translate(err)
}

// DeleteWebhookEndpoint ends an endpoint; deliveries that wait for it are lost.
func (c *Client) DeleteWebhookEndpoint(ctx context.Context, id string) error {
	_, err := c.api.WebhookEndpoints.Del(id, &stripe.WebhookEndpointParams{Params: stripe.Params{Context: ctx}})
	return translate(err)
}

func endpoint(e *stripe.WebhookEndpoint) payments.WebhookEndpoint {
	return payments.WebhookEndpoint{
		ID: e.ID, URL: e.URL, Secret: e.Secret, EventTypes: slices.Sorted(slices.Values(e.EnabledEvents)),
		IsPinned: e.APIVersion == APIVersion, APIVersion: e.APIVersion, IsEnabled: e.Status == "enabled",
	}
}
