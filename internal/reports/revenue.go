package reports

import (
	"context"
	"fmt"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Revenue is how MRR stands, what moved it, and how much of it stays.
type Revenue struct {
	Figures
	// Rates are the points of the calendar months in the range: Points where
	// these are months.
	Rates []analytics.Point
	// Moved is a page of the movements behind them.
	Moved MovementPage
	// Ahead is what is scheduled, in the currency and plan of the figures.
	Ahead Ahead
}

// Revenue reads MRR, its movements and its retention, and with them a page of the
// movements of the range.
func (r *Reports) Revenue(ctx context.Context, query Query, filter MovementFilter) (Revenue, error) {
	var out Revenue
	err := r.withinAny(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		if out.Figures, err = figures(ctx, q, scope, reading(addPledges, addRetention)); err != nil {
			return err
		}
		if out.Rates, err = rates(ctx, q, scope, out.Points); err != nil {
			return err
		}
		if out.Moved, err = movementPage(ctx, q, scope, filter); err != nil {
			return err
		}
		out.Ahead, err = ahead(ctx, q, scope)
		return err
	})
	if err != nil {
		return Revenue{}, fmt.Errorf("read revenue: %w", err)
	}
	return out, nil
}
