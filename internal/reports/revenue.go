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
	// Newest are the newest movements of the range.
	Newest MovementPage
}

// newestMovements is how many movements a page about something else shows.
const newestMovements = 10

// Revenue reads MRR, its movements and its retention.
func (r *Reports) Revenue(ctx context.Context, query Query) (Revenue, error) {
	var out Revenue
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		if out.Figures, err = figures(ctx, q, scope); err != nil {
			return err
		}
		if out.Rates, err = rates(ctx, q, scope, out.Points); err != nil {
			return err
		}
		out.Newest, err = movementPage(ctx, q, scope, MovementFilter{AtMost: newestMovements})
		return err
	})
	if err != nil {
		return Revenue{}, fmt.Errorf("read revenue: %w", err)
	}
	return out, nil
}
