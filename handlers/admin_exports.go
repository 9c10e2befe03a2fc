package handlers

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// exportsPath is where files of figures are.
const exportsPath = "/admin/billing/export/"

// exportHref leads to a table as a file, all of it, for the same question. The
// names are those of exports.
func exportHref(name string, ask addressed) string { return ask.href(exportsPath + name + ".csv") }

// export is a table of figures as a file. Its columns are documented, by its name,
// in docs/figures.md.
type export struct {
	name    string
	columns []string
	// write writes all its rows.
	write func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error
}

// exports are the files that answer the question of a page of figures. Amounts
// are in the minor unit of the currency with up to six decimals, ratios are
// numbers (0.05 is five per cent), days are those of the zone of the figures, and
// what there is none of is empty.
var exports = []export{
	figuresExport(),
	{
		name:    "movements",
		columns: []string{"day", "customer_id", "customer", "currency", "kind", "plan", "amount_minor", "customers", "subscribers", "reason"},
		write: func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
			return s.Reports.EachMovement(ctx, query, each(write, movementRecord))
		},
	},
	{
		name:    "customers",
		columns: []string{"customer_id", "customer", "currency", "plans", "mrr_minor", "cohort", "first_day", "changed_on"},
		write: func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
			return s.Reports.EachCustomer(ctx, query, each(write, customerRecord))
		},
	},
	{
		name: "invoices",
		columns: []string{
			"invoice_id", "organization", "organization_id", "stripe_customer_id", "stripe_subscription_id", "plan", "interval", "currency",
			"billing_reason", "due_minor", "paid_minor", "failures", "first_at", "failed_at", "confirmation_asked_at", "paid_at", "written_off_at", "voided_at",
		},
		write: func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
			return s.Reports.EachInvoice(ctx, query, each(write, invoiceRecord))
		},
	},
	{
		name: "events",
		columns: []string{
			"id", "at", "kind", "natural_key", "organization", "organization_id", "stripe_customer_id", "stripe_subscription_id", "invoice_id",
			"plan", "interval", "currency", "amount_minor", "stripe_event_id", "details",
		},
		write: func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
			return s.Reports.EachEvent(ctx, query, each(write, eventRecord))
		},
	},
	plansExport(),
	cohortsExport(),
	cashExport(),
	paymentsExport(),
	funnelExport(),
}

// exportFigures is a table as a file, for the question of a page of figures. What
// the page would leave out with a word is refused here: in a file there is no
// place to say so.
func (s *server) exportFigures(c echo.Context) error {
	name, isFile := strings.CutSuffix(c.Param("file"), ".csv")
	for _, e := range exports {
		if e.name != name || !isFile {
			continue
		}
		query, err := s.figuresQuery(c, section{converts: e.name == "figures"})
		if err != nil {
			return err
		}
		return s.file(c, e.name, e.columns, func(ctx context.Context, write func([]string) error) error {
			return e.write(ctx, s, query, write)
		})
	}
	return errNoSuchPage
}

// figuresQuery is the question of a page of figures; a *billing.Refusal where it
// makes no sense.
func (s *server) figuresQuery(c echo.Context, sec section) (reports.Query, error) {
	ask := parseFigures(sec, c.QueryParams())
	if len(ask.problems) > 0 {
		refusal := &billing.Refusal{Code: billing.CodeInvalid, Fields: ask.problems}
		for _, field := range []string{"range", "from", "to", "interval", "compare"} {
			refusal.Message = strings.TrimSpace(refusal.Message + " " + ask.problems[field])
		}
		return reports.Query{}, refusal
	}
	query := ask.query()
	query.Prefer = s.Plans.Currency
	_, err := s.Reports.Scope(c.Request().Context(), query)
	return query, err
}

// figuresExport has a row a period and a column a metric, by its key.
func figuresExport() export {
	e := export{name: "figures", columns: []string{"start", "end", "is_running", "currency", "plan"}}
	for _, m := range analytics.Metrics {
		e.columns = append(e.columns, m.Key)
	}
	e.write = func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
		figures, err := s.Reports.Series(ctx, query)
		if err != nil {
			return err
		}
		for _, p := range figures.Points {
			record := []string{
				p.Start.Format(time.DateOnly), p.Last().Format(time.DateOnly), strconv.FormatBool(p.IsRunning), string(figures.Currency), figures.Plan,
			}
			for _, m := range analytics.Metrics {
				record = append(record, numeral(m.Of(p), m.Unit))
			}
			if err := write(record); err != nil {
				return err
			}
		}
		return nil
	}
	return e
}

// numeral is a figure as a file has it: money in minor units with up to six
// decimals, a ratio with as many as tell a millionth; empty where there is none.
func numeral(v analytics.Value, unit analytics.Unit) string {
	switch {
	case !v.Defined():
		return ""
	case unit == analytics.Money:
		return money.DecimalMicro(v.Micro())
	case unit == analytics.Count:
		return v.Rat.FloatString(0)
	}
	text := v.Rat.FloatString(6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func movementRecord(m reports.Moved) []string {
	return []string{
		m.Day.Format(time.DateOnly), m.Customer.ID, m.Customer.Name, string(m.Currency), string(m.Kind), m.Plan,
		money.DecimalMicro(m.AmountMicro), strconv.FormatInt(m.Customers, 10), strconv.FormatInt(m.Subscribers, 10), string(m.Reason),
	}
}

func customerRecord(c reports.CustomerStanding) []string {
	return []string{
		c.Customer.ID, c.Customer.Name, string(c.Currency), c.Plans, money.DecimalMicro(c.MRRMicro),
		c.Cohort.Format(monthLayout), c.FirstDay.Format(time.DateOnly), c.ChangedOn.Format(time.DateOnly),
	}
}

func invoiceRecord(i reports.FiledInvoice) []string {
	orgID, paid := "", ""
	if i.OrgID != nil {
		orgID = i.OrgID.String()
	}
	if !i.PaidAt.IsZero() {
		paid = strconv.FormatInt(i.PaidMinor, 10)
	}
	record := []string{
		i.ID, i.OrgName, orgID, i.StripeCustomerID, i.SubscriptionID, i.Plan, string(i.Interval), string(i.Currency),
		i.BillingReason, strconv.FormatInt(i.DueMinor, 10), paid, strconv.FormatInt(i.Failures, 10),
	}
	for _, t := range []time.Time{i.FirstAt, i.FailedAt, i.AskedAt, i.PaidAt, i.WrittenOffAt, i.VoidedAt} {
		record = append(record, isoOrEmpty(t))
	}
	return record
}

func eventRecord(e reports.FiledEvent) []string {
	orgID, amount := "", ""
	if e.OrgID != nil {
		orgID = e.OrgID.String()
	}
	if e.AmountMinor != nil {
		amount = strconv.FormatInt(*e.AmountMinor, 10)
	}
	return []string{
		strconv.FormatInt(e.ID, 10), isoOrEmpty(e.At), e.Kind, e.NaturalKey, e.OrgName, orgID, e.StripeCustomerID, e.SubscriptionID, e.InvoiceID,
		e.Plan, string(e.Interval), string(e.Currency), amount, e.SourceID, string(e.Raw),
	}
}
