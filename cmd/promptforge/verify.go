package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/config"
	"github.com/promptforge/payments/internal/ledger"
)

// runVerify checks the invariants of the figures and says of each whether it
// holds. What does not is kept, as by the daily check, and is an error.
func runVerify(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(std.err, "Usage: promptforge verify\n\nChecks every invariant of the figures and names the first row that breaks one.\nReads DATABASE_URL. Changes no figure; what is found is shown above all of them until it holds again.\n")
	}
	if err := parse(flags, args, std); err != nil {
		return err
	}
	environment, err := config.Environment()
	if err != nil {
		return err
	}
	c, err := config.LoadDatabase(environment)
	if err != nil {
		return err
	}
	pool, err := db.Open(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := schemaIsCurrent(ctx, pool); err != nil {
		return err
	}
	began := time.Now()
	live, err := db.New(pool).LiveFigures(ctx)
	if err != nil {
		return fmt.Errorf("read the live definition: %w", err)
	}
	now := began
	if live.ChangedAt.After(now) { // the clock of a demo may be ahead
		now = live.ChangedAt
	}
	figures := ledger.Ledger{Pool: pool, Now: func() time.Time { return now }, Logger: newLogger(std.err, "text", slog.LevelError)}
	checked, err := figures.Examine(ctx)
	if err != nil {
		return err
	}
	for _, name := range checked.Held {
		fmt.Fprintf(std.out, "holds   %s\n", name)
	}
	for _, f := range checked.Findings {
		fmt.Fprintf(std.out, "BROKEN  %s: %s\n", f.Check, f.Detail)
	}
	took := time.Since(began)
	fmt.Fprintf(std.out, "%d customers recounted in %s, %.0f a second\n", checked.Customers, took.Round(time.Millisecond), float64(checked.Customers)/took.Seconds())
	if len(checked.Findings) > 0 {
		return fmt.Errorf("%d of %d invariants do not hold", len(checked.Findings), len(checked.Findings)+len(checked.Held))
	}
	return nil
}
