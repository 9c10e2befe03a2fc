package handlers

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// exportTime bounds how long a file may take, since it is read from one
// snapshot of the database, on a connection of its own.
const exportTime = 2 * time.Minute

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
	response := c.Response()
	header := response.Header()
	header.Set(echo.HeaderContentType, "text/csv; charset=utf-8; header=present")
	header.Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="subscriptions-%s.csv"`, s.Now().UTC().Format(time.DateOnly)))
	connection := http.NewResponseController(response)
	_ = connection.SetWriteDeadline(s.Clock().Add(exportTime)) // what cannot be timed is no connection
	file := csv.NewWriter(response)
	if c.Request().Method == http.MethodHead {
		return c.NoContent(http.StatusOK)
	}
	isBegun := false
	err = s.Reports.EachSubscription(c.Request().Context(), s.subscriptionFilter(ask), func(batch []reports.Subscription) error {
		if !isBegun {
			isBegun = true
			if err := file.Write(subscriptionColumns); err != nil {
				return err
			}
		}
		for _, row := range batch {
			if err := file.Write(subscriptionRecord(row)); err != nil {
				return err
			}
		}
		file.Flush()
		return file.Error()
	})
	if err == nil && !isBegun { // none matches: the heads alone
		err = file.Write(subscriptionColumns)
	}
	if err != nil {
		if response.Committed {
			// The status is out already. A connection that breaks is how the
			// reader learns that the file is not whole.
			_ = connection.SetWriteDeadline(time.Unix(1, 0))
		} else {
			header.Del(echo.HeaderContentDisposition)
		}
		return err
	}
	file.Flush()
	return file.Error()
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
	for i := range record {
		record[i] = harmless(record[i])
	}
	return record
}

func isoOrEmpty(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// harmless is a field that no spreadsheet takes for a formula: one that begins
// like one gets an apostrophe before it, as OWASP advises. No number of ours is
// negative. https://owasp.org/www-community/attacks/CSV_Injection
func harmless(field string) string {
	if field != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(field)[0]) {
		return "'" + field
	}
	return field
}
