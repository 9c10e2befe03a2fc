package stripeapi

import (
	"context"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/payments"
)

// BalanceTransactions is one page of a hundred at the most, newest first.
func (c *Client) BalanceTransactions(ctx context.Context, q payments.BalanceQuery) (payments.BalancePage, error) {
	params := &stripe.BalanceTransactionListParams{}
	params.Context, params.Single, params.Limit = ctx, true, stripe.Int64(100)
	if q.After != "" {
		params.StartingAfter = stripe.String(q.After)
	}
	if !q.From.IsZero() || !q.Before.IsZero() {
		params.CreatedRange = &stripe.RangeQueryParams{}
		if !q.From.IsZero() {
			params.CreatedRange.GreaterThanOrEqual = q.From.Unix()
		}
		if !q.Before.IsZero() {
			params.CreatedRange.LesserThan = q.Before.Unix()
		}
	}
	list := c.api.BalanceTransactions.List(params)
	if err := list.Err(); err != nil {
		return payments.BalancePage{}, translate(err)
	}
	page := payments.BalancePage{HasMore: list.BalanceTransactionList().HasMore}
	for _, t := range list.BalanceTransactionList().Data {
		row := billing.BalanceTransaction{
			ID: t.ID, Type: string(t.Type), Category: string(t.ReportingCategory), Currency: money.Currency(t.Currency),
			AmountMinor: t.Amount, FeeMinor: t.Fee, NetMinor: t.Net,
			CreatedAt: time.Unix(t.Created, 0).UTC(), AvailableAt: time.Unix(t.AvailableOn, 0).UTC(),
		}
		if t.Source != nil {
			row.SourceID = t.Source.ID
		}
		page.Transactions = append(page.Transactions, row)
	}
	return page, nil
}
