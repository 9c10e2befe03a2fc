package ledger

import (
	"context"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// countCash counts balance transactions, by id, on the days of each generation.
func countCash(context.Context, *db.Queries, []string, map[int32]analytics.Definition) error {
	return nil
}
