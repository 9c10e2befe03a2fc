package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/internal/config"
	"github.com/promptforge/payments/migrations"
)

func runMigrate(ctx context.Context, args []string, std stdio) error {
	verb := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(std.err, "Usage: promptforge migrate up|down|status\n\nReads MIGRATE_DATABASE_URL, else DATABASE_URL.\n")
	}
	if err := parse(flags, args, std); err != nil {
		return err
	}
	// How it is called comes before what the environment lacks.
	if !slices.Contains([]string{"up", "down", "status"}, verb) {
		flags.Usage()
		return errUsage
	}
	environment, err := config.Environment()
	if err != nil {
		return err
	}
	c, err := config.LoadDatabase(environment)
	if err != nil {
		return err
	}
	switch verb {
	case "up":
		steps, err := migrations.Up(ctx, c.MigrateURL)
		return printSteps(std, "applied", "The schema is current.", steps, err)
	case "down":
		steps, err := migrations.Down(ctx, c.MigrateURL)
		return printSteps(std, "taken back", "There is nothing to take back.", steps, err)
	default:
		connection, err := pgx.Connect(ctx, c.MigrateURL)
		if err != nil {
			return fmt.Errorf("reach database: %w", err)
		}
		defer connection.Close(ctx)
		steps, err := migrations.Status(ctx, connection)
		for _, s := range steps {
			state := "pending"
			if !s.AppliedAt.IsZero() {
				state = "applied " + s.AppliedAt.UTC().Format("2006-01-02 15:04:05Z")
			}
			fmt.Fprintf(std.out, "%-28s %s\n", s.File, state)
		}
		return err
	}
}

func printSteps(std stdio, done, nothing string, steps []migrations.Step, err error) error {
	for _, s := range steps {
		fmt.Fprintf(std.out, "%s %s\n", done, s.File)
	}
	if err == nil && len(steps) == 0 {
		fmt.Fprintln(std.out, nothing)
	}
	return err
}
