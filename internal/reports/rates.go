package reports

import (
	"context"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// rates are points by calendar month, for which alone there are rates: those
// that are shown already, or the months that the periods lie in.
func rates(ctx context.Context, q *db.Queries, scope Scope, shown []analytics.Point) ([]analytics.Point, error) {
	if scope.Interval == analytics.Monthly {
		return shown, nil
	}
	scope.Interval = analytics.Monthly
	return reading(addRetention)(ctx, q, scope, analytics.Periods(scope.First(), scope.Last(), scope.Today, analytics.Monthly))
}
