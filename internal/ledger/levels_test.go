package ledger_test

import (
	"errors"
	"testing"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
)

const levelsSQL = `SELECT concat_ws(' ', customer, coalesce(nullif(plan, ''), 'all'), mrr_micro / 100000000) FROM customer_level ORDER BY 1`

func TestALevelIsWhatACustomerHasAfterItsNewestMovement(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.version("cus_1", "sub_2", 1, facts("pilot", 2))
	b.version("cus_2", "sub_3", 1, facts("pro", 1))
	b.settle()
	b.want("levels", "cus_1 all 157\ncus_1 pilot 58\ncus_1 pro 99\ncus_2 all 99\ncus_2 pro 99", b.lines(levelsSQL))
	// One goes to another plan, the other leaves.
	b.version("cus_1", "sub_1", 2, facts("enterprise", 1))
	ended := facts("pro", 1)
	ended.Status = billing.StatusCanceled
	b.version("cus_2", "sub_3", 2, ended)
	b.settle()
	b.want("levels", "cus_1 all 457\ncus_1 enterprise 399\ncus_1 pilot 58", b.lines(levelsSQL))

	b.exec(`UPDATE customer_level SET mrr_micro = 1 WHERE plan = 'pilot'`)
	var finding *ledger.Finding
	if err := b.ledger.Verify(b.ctx); !errors.As(err, &finding) || finding.Check != "levels of customers are a recount of their movements" {
		t.Errorf("a level that is no recount is found as %v", err)
	}
}
