package ledger

import (
	"context"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// countFunnel counts the ways of visitors through the funnel.
func countFunnel(context.Context, *db.Queries, []string, map[int32]analytics.Definition) error {
	return nil
}
