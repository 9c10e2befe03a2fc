package stripeapi

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/stripeshape"
)

// Invoices are the newest hundred of a subscription, newest first: eight years
// of months.
func (c *Client) Invoices(ctx context.Context, subscriptionID string) ([]billing.Invoice, error) {
	params := &stripe.InvoiceListParams{Subscription: stripe.String(subscriptionID)}
	params.Context, params.Single, params.Limit = ctx, true, stripe.Int64(100)
	list := c.api.Invoices.List(params)
	if err := list.Err(); err != nil {
		return nil, translate(err)
	}
	var page struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(list.InvoiceList().LastResponse.RawJSON, &page); err != nil {
		return nil, fmt.Errorf("read list of invoices: %w", err)
	}
	var out []billing.Invoice
	for _, raw := range page.Data {
		i, err := stripeshape.DecodeInvoice(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}
