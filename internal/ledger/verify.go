package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
)

// Finding is an invariant that does not hold, at the first place found.
type Finding struct {
	// Check names the invariant.
	Check string
	// Detail is the row, with the figures that disagree.
	Detail string
}

// Error says what is broken where.
func (f *Finding) Error() string { return f.Check + ": " + f.Detail }

// Verify checks in one snapshot, for every generation, that the rollups are a
// recount of the movements, that the flows of each day are the change of the
// customers' balances in amount and in number, that transfers add up to nothing,
// and that the subscriptions of each customer add up to its balance. It returns a *Finding for the first that does not hold. It repairs
// nothing.
func (l *Ledger) Verify(ctx context.Context) error {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, l.Pool, snapshot, func(tx pgx.Tx) error {
		q := db.New(tx)
		for _, check := range []func(context.Context, *db.Queries) error{
			verifyDaily, verifyMonthly, verifyLevels, verifyTransfers, verifySubscriptions,
		} {
			if err := check(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if finding := (*Finding)(nil); errors.As(err, &finding) {
		return finding
	}
	if err != nil {
		return fmt.Errorf("verify ledger: %w", err)
	}
	return nil
}

func verifyDaily(ctx context.Context, q *db.Queries) error {
	rows, err := q.BrokenFlowDaily(ctx)
	if err != nil {
		return fmt.Errorf("recount daily flows: %w", err)
	}
	for _, r := range rows {
		return &Finding{"daily flows are no recount of the movements", fmt.Sprintf(
			"generation %d, %s, %s, plan %s, %s", r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.Plan, r.Kind)}
	}
	return nil
}

func verifyMonthly(ctx context.Context, q *db.Queries) error {
	rows, err := q.BrokenFlowMonthly(ctx)
	if err != nil {
		return fmt.Errorf("recount monthly flows: %w", err)
	}
	for _, r := range rows {
		return &Finding{"monthly flows are no recount of the movements", fmt.Sprintf(
			"generation %d, %s, %s, plan %s, %s", r.Gen, r.Month.Format("2006-01"), r.Currency, r.Plan, r.Kind)}
	}
	return nil
}

func verifyLevels(ctx context.Context, q *db.Queries) error {
	rows, err := q.BrokenLevels(ctx)
	if err != nil {
		return fmt.Errorf("recount levels: %w", err)
	}
	for _, r := range rows {
		return &Finding{"flows are not the change of the balances", fmt.Sprintf(
			"generation %d, %s, %s: %d micro and %d customers flowed, %d and %d changed",
			r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.FlowedMicro, r.FlowedCustomers, r.ChangedMicro, r.ChangedCustomers)}
	}
	return nil
}

func verifyTransfers(ctx context.Context, q *db.Queries) error {
	rows, err := q.BrokenTransfers(ctx)
	if err != nil {
		return fmt.Errorf("add up transfers: %w", err)
	}
	for _, r := range rows {
		return &Finding{"transfers between plans do not add up to nothing", fmt.Sprintf(
			"generation %d, %s, %s: %d micro", r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.AmountMicro)}
	}
	return nil
}

func verifySubscriptions(ctx context.Context, q *db.Queries) error {
	rows, err := q.BrokenSubscriptions(ctx)
	if err != nil {
		return fmt.Errorf("add up subscriptions: %w", err)
	}
	for _, r := range rows {
		return &Finding{"subscriptions do not add up to the balance", fmt.Sprintf(
			"generation %d, %s, %s: %d micro in subscriptions, %d in the balance", r.Gen, r.Customer, r.Currency, r.AddedMicro, r.BalanceMicro)}
	}
	return nil
}
