package ledger

import (
	"context"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// countOutcomes makes the stored outcomes of the customers' invoices and trials
// follow from what happened to them, and notes when one changes by itself.
func countOutcomes(context.Context, *db.Queries, []account, map[int32]analytics.Definition, time.Time) error {
	return nil
}
