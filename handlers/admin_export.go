package handlers

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// subscriptionColumns are the columns of the file, in order. Amounts are in the
// minor unit of the currency: amount_minor is what a period costs, mrr_minor has
// up to six decimals, so that a column adds up to the total of the page.
var subscriptionColumns = []string{
	"organization", "organization_id", "stripe_customer_id", "stripe_subscription_id", "plan", "interval", "interval_count", "quantity",
	"status", "currency", "amount_minor", "mrr_minor", "started_at", "trial_ends_at", "renews_at", "ends_at", "ended_at", "next_attempt_at",
}

// exportSubscriptions is the list as a file, with the filters and the order of
// the page, all pages in one. What the page would leave out with a word is
// refused here: in a file there is no place to say so.
func (s *server) exportSubscriptions(c echo.Context) error {
	offered, err := s.subscriptionChoices(c)
	if err != nil {
		return err
	}
	ask := parseSubscriptions(c.Request().URL.RawQuery, offered)
	if len(ask.problems) > 0 {
		return &billing.Refusal{Code: billing.CodeInvalid, Message: strings.Join(ask.problems, " ")}
	}
	return s.file(c, "subscriptions", subscriptionColumns, func(ctx context.Context, write func([]string) error) error {
		return s.Reports.EachSubscription(ctx, s.subscriptionFilter(ask), each(write, subscriptionRecord))
	})
}

// each writes the rows of a batch, a record a row.
func each[T any](write func([]string) error, record func(T) []string) func([]T) error {
	return func(batch []T) error {
		for _, row := range batch {
			if err := write(record(row)); err != nil {
				return err
			}
		}
		return nil
	}
}

func subscriptionRecord(row reports.Subscription) []string {
	orgID, amount, n := "", "", ""
	if row.OrgID != nil {
		orgID = row.OrgID.String()
	}
	if row.AmountMinor != nil {
		amount = strconv.FormatInt(*row.AmountMinor, 10)
	}
	if row.IntervalCount > 0 {
		n = strconv.FormatInt(row.IntervalCount, 10)
	}
	record := []string{
		row.OrgName, orgID, row.StripeCustomerID, row.ID, row.Plan, string(row.Interval), n, strconv.FormatInt(row.Quantity, 10),
		string(row.Status), string(row.Currency), amount, money.DecimalMicro(row.MRRMicro),
	}
	for _, t := range []time.Time{row.CreatedAt, row.TrialEnd, row.RenewsAt, row.EndsAt, row.EndedAt, row.NextAttemptAt} {
		record = append(record, isoOrEmpty(t))
	}
	return record
}
