package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
)

// InBase asks for all currencies together, in the base currency at dated rates
// (metrics.md 1.15). It is no currency's code.
const InBase money.Currency = "base"

// withinAny is within for a report that can be read in the base currency.
func (r *Reports) withinAny(ctx context.Context, query Query, read func(*db.Queries, Scope) error) error {
	return r.snapshot(ctx, func(q *db.Queries) error {
		scope, err := r.scope(ctx, q, query)
		if err != nil {
			return err
		}
		return read(q, scope)
	})
}

// findBase says what the base currency is, where figures can be read in one: there
// is something to convert, and something to convert it by.
func (r *Reports) findBase(ctx context.Context, q *db.Queries, s *Scope) error {
	if r.Base == "" || len(s.Currencies) == 0 || len(s.Currencies) == 1 && s.Currencies[0] == r.Base {
		return nil
	}
	hasRates, err := q.HasExchangeRates(ctx, string(r.Base))
	if err != nil {
		return fmt.Errorf("look for exchange rates: %w", err)
	}
	if hasRates {
		s.Base = r.Base
	}
	return nil
}

// convert makes the scope one of all currencies.
func (s *Scope) convert() error {
	if s.Base == "" {
		return refuseField("currency", "There is no base currency, or there are no exchange rates into it.")
	}
	s.Currency, s.IsConverted = s.Base, true
	return nil
}

// convertedFigures are figures, in the base currency.
func convertedFigures(ctx context.Context, q *db.Queries, scope Scope, read reader) (Figures, error) {
	out := Figures{Scope: scope}
	shown, until, err := convertedPoints(ctx, q, scope, scope.Periods, read)
	if err != nil {
		return out, err
	}
	out.Points, out.Unconverted, out.RatesUntil = shown.Points, shown.Missing, until
	if len(scope.Compared) > 0 {
		before, _, err := convertedPoints(ctx, q, scope, scope.Compared, read)
		if err != nil {
			return out, err
		}
		out.Before = before.Points
	}
	return out, nil
}

// convertedPoints reads the points of each currency and adds them up in the base.
// It also says up to which day rates are known of all that are not left out.
func convertedPoints(
	ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period, read reader,
) (analytics.Converted, time.Time, error) {
	var until time.Time
	rates, err := ratesOf(ctx, q, scope, periods)
	if err != nil {
		return analytics.Converted{}, until, err
	}
	var all []analytics.InCurrency
	for _, currency := range scope.Currencies {
		native := scope
		native.Currency, native.IsConverted = currency, false
		own := analytics.InCurrency{Currency: currency}
		if own.Points, err = read(ctx, q, native, periods); err != nil {
			return analytics.Converted{}, until, fmt.Errorf("figures in %s: %w", currency, err)
		}
		if own.Flows, err = flowsByDay(ctx, q, native, periods); err != nil {
			return analytics.Converted{}, until, fmt.Errorf("movements in %s: %w", currency, err)
		}
		all = append(all, own)
		if last, ok := rates.Last(currency); ok && currency != scope.Base && (until.IsZero() || last.Before(until)) {
			until = last
		}
	}
	return rates.ConvertPoints(periods, all), until, nil
}

// ratesOf are the rates that figures of some periods may need: also those at
// which the years began whose retention the months have.
func ratesOf(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) (analytics.Rates, error) {
	rows, err := q.ExchangeRates(ctx, db.ExchangeRatesParams{
		Base: string(scope.Base), First: periods[0].Start.AddDate(-1, 0, -1), Last: periods[len(periods)-1].Last(),
	})
	if err != nil {
		return analytics.Rates{}, fmt.Errorf("exchange rates: %w", err)
	}
	days := make([]analytics.DayRate, len(rows))
	for i, row := range rows {
		rate, err := analytics.ParseRate(row.Rate)
		if err != nil {
			return analytics.Rates{}, fmt.Errorf("exchange rate of %s on %s: %w", row.Currency, row.Day.Format(time.DateOnly), err)
		}
		days[i] = analytics.DayRate{Currency: money.Currency(row.Currency), Day: row.Day, Rate: rate}
	}
	return analytics.NewRates(scope.Base, scope.Today, days), nil
}

// flowsByDay are the movements of a currency, whatever the interval: each is worth
// what it was on its day. Those from plan to plan belong to a plan alone.
func flowsByDay(ctx context.Context, q *db.Queries, scope Scope, periods []analytics.Period) ([]analytics.Flow, error) {
	rows, err := q.DailyFlows(ctx, db.DailyFlowsParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: periods[0].Start, Last: periods[len(periods)-1].Last(),
	})
	if err != nil {
		return nil, fmt.Errorf("flows by day: %w", err)
	}
	out := make([]analytics.Flow, 0, len(rows))
	for _, row := range rows {
		kind := analytics.MovementKind(row.Kind)
		if scope.Plan == "" && (kind == analytics.TransferIn || kind == analytics.TransferOut) {
			continue
		}
		out = append(out, analytics.Flow{Day: row.Day, Kind: kind, AmountMicro: row.AmountMicro, Customers: row.Customers})
	}
	return out, nil
}
