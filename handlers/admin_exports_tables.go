package handlers

import (
	"context"
	"math/big"
	"strconv"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// numeralOf is the figure of a point as a file has it, by the figure's key.
func numeralOf(key string, p analytics.Point) string {
	m, ok := analytics.MetricByKey(key)
	if !ok {
		return ""
	}
	return numeral(m.Of(p), m.Unit)
}

// shareOf is a part as a share of the whole; empty where there is nothing to
// share.
func shareOf(part, whole int64) string {
	if whole == 0 {
		return ""
	}
	return numeral(analytics.Value{Rat: big.NewRat(part, whole)}, analytics.Ratio)
}

// plansExport has a row a plan, for the whole range.
func plansExport() export {
	return export{
		name: "plans",
		columns: []string{
			"start", "end", "plan", "currency", "mrr_minor", "share_of_mrr", "subscribers", "arpa_minor", "net_new_minor", "new_minor", "reactivation_minor",
			"expansion_minor", "contraction_minor", "churn_minor", "net_transfers_minor", "trial_conversion", "rate_month", "customer_churn", "nrr", "grr",
		},
		write: func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
			plans, err := s.Reports.Plans(ctx, query)
			if err != nil {
				return err
			}
			account := plans.Sum()
			for _, plan := range plans.Plans {
				if plans.Plan != "" && plan.Plan != plans.Plan {
					continue
				}
				sum := plan.Sum()
				sum.Month, sum.Year = nil, nil
				rates := analytics.Point{Month: &plan.Month}
				record := []string{
					sum.Start.Format(time.DateOnly), sum.Last().Format(time.DateOnly), plan.Plan, string(plans.Currency),
					money.DecimalMicro(sum.Closing.MRRMicro), shareOf(sum.Closing.MRRMicro, account.Closing.MRRMicro), strconv.FormatInt(sum.Closing.Customers, 10),
				}
				for _, key := range []string{"arpa", "netNew", "new", "reactivation", "expansion", "contraction", "churn"} {
					record = append(record, numeralOf(key, sum))
				}
				transfers := sum.Moved[analytics.TransferIn].MRRMicro + sum.Moved[analytics.TransferOut].MRRMicro
				record = append(record, money.DecimalMicro(transfers), numeralOf("trialConversion", sum), plans.RateMonth.Start.Format(monthLayout))
				for _, key := range []string{"logoChurn", "nrr", "grr"} {
					record = append(record, numeralOf(key, rates))
				}
				if err := write(record); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// cohortsExport has a row a cohort and month.
func cohortsExport() export {
	return export{
		name: "cohorts",
		columns: []string{
			"cohort", "months", "month", "is_running", "currency", "plan", "customers", "active", "initial_mrr_minor", "mrr_minor", "gross_mrr_minor",
			"customer_retention", "net_retention", "gross_retention",
		},
		write: func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
			scope, cohorts, err := s.Reports.EveryCohort(ctx, query)
			if err != nil {
				return err
			}
			running := analytics.Monthly.Start(scope.Today)
			for _, cohort := range cohorts {
				for k, level := range cohort.Levels {
					record := []string{
						cohort.Month.Format(monthLayout), strconv.Itoa(k), cohort.Month.AddDate(0, k, 0).Format(monthLayout), strconv.FormatBool(cohort.IsRunning(k, running)),
						string(scope.Currency), scope.Plan, strconv.FormatInt(level.Customers, 10), strconv.FormatInt(level.Active, 10),
						money.DecimalMicro(level.InitialMicro), money.DecimalMicro(level.MRRMicro), money.DecimalMicro(level.GrossMicro),
					}
					for _, measure := range analytics.CohortMeasures {
						record = append(record, numeral(level.Share(measure), analytics.Ratio))
					}
					if err := write(record); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// cashExport has a row a period. Cash belongs to no plan.
func cashExport() export {
	return export{
		name:    "cash",
		columns: []string{"start", "end", "is_running", "currency", "gross_minor", "refunds_minor", "disputes_minor", "fees_minor", "other_minor", "net_minor"},
		write: func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
			query.Plan = ""
			figures, err := s.Reports.Series(ctx, query)
			if err != nil {
				return err
			}
			for _, p := range figures.Points {
				record := []string{p.Start.Format(time.DateOnly), p.Last().Format(time.DateOnly), strconv.FormatBool(p.IsRunning), string(figures.Currency)}
				for _, key := range []string{"grossVolume", "refunds", "disputes", "fees"} {
					record = append(record, numeralOf(key, p))
				}
				other := ""
				if p.Cash != nil {
					other = strconv.FormatInt(p.Cash.OtherMinor, 10)
				}
				if err := write(append(record, other, numeralOf("netVolume", p))); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
