package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// metricsAnswer is what a program is told of the figures. From and To are the
// first and the last day covered, in the zone.
type metricsAnswer struct {
	From              string             `json:"from"`
	To                string             `json:"to"`
	Interval          analytics.Interval `json:"interval"`
	Timezone          string             `json:"timezone"`
	AsOf              time.Time          `json:"asOf"`
	DefinitionVersion int                `json:"definitionVersion"`
	Currency          money.Currency     `json:"currency"`
	// IsConverted says that the points are of all currencies together, in this
	// one, at the rates of their days.
	IsConverted bool `json:"isConverted"`
	// LeftOut are the currencies that are in no point, for want of an exchange rate.
	LeftOut []money.Currency `json:"leftOut"`
	// Plan is null for the account.
	Plan   *string       `json:"plan"`
	Points []metricPoint `json:"points"`
}

// metricPoint is one period with every figure there is, by its key, in the order
// of analytics.Metrics.
type metricPoint struct{ analytics.Point }

// MarshalJSON writes money as decimal strings in minor units, counts, ratios and
// quotients as numbers, and what is not defined as null.
func (p metricPoint) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"start":%q,"end":%q,"isRunning":%t`, p.Start.Format(time.DateOnly), p.Last().Format(time.DateOnly), p.IsRunning)
	for _, m := range analytics.Metrics {
		value, err := json.Marshal(jsonValue(m.Unit, m.Of(p.Point)))
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", m.Key, err)
		}
		fmt.Fprintf(&out, ",%q:%s", m.Key, value)
	}
	fmt.Fprintf(&out, `,"fx":%q}`, money.DecimalMicro(p.FXMicro))
	return out.Bytes(), nil
}

func jsonValue(unit analytics.Unit, v analytics.Value) any {
	if !v.Defined() {
		return nil
	}
	switch unit {
	case analytics.Money:
		return money.DecimalMicro(v.Micro())
	case analytics.Count:
		return v.Micro()
	case analytics.Ratio, analytics.Quotient:
	}
	return v.Float()
}

// metrics tells a program every figure of a stretch of time, a point a period.
func (s *server) metrics(c echo.Context) error {
	query, err := metricsQuery(c.QueryParams())
	if err != nil {
		return err
	}
	query.Prefer = s.Plans.Currency
	figures, err := s.Reports.Series(c.Request().Context(), query)
	var refusal *billing.Refusal
	switch {
	case errors.As(err, &refusal):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errCannotTell, err)
	case !figures.First().AddDate(maxMetricYears, 0, 0).After(figures.Last()):
		return refuseParameters(map[string]string{"from": "Choose at most three years."})
	}
	answer := metricsAnswer{
		From: figures.First().Format(time.DateOnly), To: figures.Last().Format(time.DateOnly), Interval: figures.Interval,
		Timezone: figures.Zone.String(), AsOf: figures.AsOf.UTC().Truncate(time.Second), DefinitionVersion: figures.Definition,
		Currency: figures.Currency, IsConverted: figures.IsConverted, LeftOut: append([]money.Currency{}, figures.Unconverted...), Plan: orNull(figures.Plan), Points: make([]metricPoint, len(figures.Points)),
	}
	for i, p := range figures.Points {
		answer.Points[i] = metricPoint{p}
	}
	return c.JSON(http.StatusOK, answer)
}

// maxMetricYears is how much a program may ask for at once.
const maxMetricYears = 3

// metricsQuery reads the address. It refuses everything at once that it cannot
// make out, and parameters that there are none of: a program that asks for more
// than there is must not take the answer for it.
func metricsQuery(asked url.Values) (reports.Query, error) {
	query, faults := reports.Query{IsLong: true}, map[string]string{}
	for name, values := range asked {
		if len(values) > 1 {
			faults[name] = "Send it once."
			continue
		}
		value := values[0]
		switch name {
		case "from", "to":
			day, ok := parseDay(value, name == "to")
			switch {
			case !ok:
				faults[name] = "Write a day as 2026-11-24, or a month as 2026-11."
			case name == "from":
				query.First = day
			default:
				query.Last = day
			}
		case "interval":
			query.Interval = analytics.Interval(value)
			if query.Interval != analytics.Daily && query.Interval != analytics.Monthly {
				faults[name] = "Choose day or month."
			}
		case "currency":
			currency, err := money.ParseCurrency(value)
			switch {
			case value == string(reports.InBase):
				currency = reports.InBase
			case err != nil:
				faults[name] = "Send a three-letter code such as usd, or base for all of them in one."
			}
			query.Currency = currency
		case "plan":
			query.Plan = value
			if value == "" {
				faults[name] = "Name a plan, or leave the parameter out for all of them."
			}
		default:
			faults[name] = "There is no such parameter. There are from, to, interval, currency and plan."
		}
	}
	if len(faults) > 0 {
		return query, refuseParameters(faults)
	}
	return query, nil
}

func refuseParameters(faults map[string]string) error {
	return &billing.Refusal{Code: billing.CodeInvalid, Message: "The address asks for something that there is not.", Fields: faults}
}
