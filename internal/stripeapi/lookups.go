package stripeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/stripeshape"
)

// Subscription reads one subscription with its latest invoice, as
// Subscriptions lists them.
func (c *Client) Subscription(ctx context.Context, id string) (billing.Subscription, error) {
	params := &stripe.SubscriptionParams{Params: stripe.Params{Context: ctx}}
	params.AddExpand("latest_invoice")
	subscription, err := c.api.Subscriptions.Get(id, params)
	if err != nil {
		return billing.Subscription{}, translate(err)
	}
	return c.subscription(ctx, subscription.LastResponse.RawJSON)
}

// subscription decodes an answer. One of many items shows the first of them
// only, and the others are asked for.
func (c *Client) subscription(ctx context.Context, raw json.RawMessage) (billing.Subscription, error) {
	s, err := stripeshape.DecodeSubscription(raw)
	if !errors.Is(err, stripeshape.ErrIncomplete) || !stripeshape.HasMoreItems(raw) {
		return s, err
	}
	items, err := c.items(ctx, s.ID)
	if err != nil {
		return s, fmt.Errorf("items of subscription %s: %w", s.ID, err)
	}
	return stripeshape.DecodeSubscription(stripeshape.WithItems(raw, items))
}

func (c *Client) items(ctx context.Context, subscriptionID string) ([]json.RawMessage, error) {
	params := &stripe.SubscriptionItemListParams{Subscription: stripe.String(subscriptionID)}
	params.Context, params.Single, params.Limit = ctx, true, stripe.Int64(100)
	list := c.api.SubscriptionItems.List(params) // Stripe allows twenty
	if err := list.Err(); err != nil {
		return nil, translate(err)
	}
	var page struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(list.SubscriptionItemList().LastResponse.RawJSON, &page); err != nil {
		return nil, fmt.Errorf("read list of items: %w", err)
	}
	return page.Data, nil
}

// Charge reads a charge: whose it is, and which invoice it paid.
func (c *Client) Charge(ctx context.Context, id string) (stripeshape.Charge, error) {
	charge, err := c.api.Charges.Get(id, &stripe.ChargeParams{Params: stripe.Params{Context: ctx}})
	if err != nil {
		return stripeshape.Charge{}, translate(err)
	}
	return stripeshape.DecodeCharge(charge.LastResponse.RawJSON)
}

// PaymentIntent reads a payment intent: whose it is.
func (c *Client) PaymentIntent(ctx context.Context, id string) (stripeshape.PaymentIntent, error) {
	intent, err := c.api.PaymentIntents.Get(id, &stripe.PaymentIntentParams{Params: stripe.Params{Context: ctx}})
	if err != nil {
		return stripeshape.PaymentIntent{}, translate(err)
	}
	return stripeshape.DecodePaymentIntent(intent.LastResponse.RawJSON)
}

// Refunds lists all refunds of a charge.
func (c *Client) Refunds(ctx context.Context, chargeID string) ([]stripeshape.Refund, error) {
	params := &stripe.RefundListParams{Charge: stripe.String(chargeID)}
	params.Context, params.Single, params.Limit = ctx, true, stripe.Int64(100)
	var out []stripeshape.Refund
	for {
		list := c.api.Refunds.List(params)
		if err := list.Err(); err != nil {
			return nil, translate(err)
		}
		var page struct {
			Data    []json.RawMessage `json:"data"`
			HasMore bool              `json:"has_more"`
		}
		if err := json.Unmarshal(list.RefundList().LastResponse.RawJSON, &page); err != nil {
			return nil, fmt.Errorf("read list of refunds: %w", err)
		}
		for _, raw := range page.Data {
			r, err := stripeshape.DecodeRefund(raw)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
		if !page.HasMore || len(page.Data) == 0 {
			return out, nil
		}
		params.StartingAfter = stripe.String(out[len(out)-1].ID)
	}
}
