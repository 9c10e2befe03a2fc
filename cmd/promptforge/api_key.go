package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/config"
)

const apiKeyUsage = `Usage:
  promptforge api-key create --name N --scope entitlements:read,metrics:read
  promptforge api-key list
  promptforge api-key revoke --key NAME-OR-BEGINNING

Reads DATABASE_URL.
`

func runAPIKey(ctx context.Context, args []string, std stdio) error {
	act := ""
	if len(args) > 0 {
		act, args = args[0], args[1:]
	}
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.Command, ID: "api-key " + act})
	switch act {
	case "create":
		return createAPIKey(ctx, args, std)
	case "list":
		return listAPIKeys(ctx, args, std)
	case "revoke":
		return revokeAPIKey(ctx, args, std)
	}
	fmt.Fprint(std.err, apiKeyUsage)
	if slices.Contains([]string{"-h", "-help", "--help"}, act) {
		return flag.ErrHelp
	}
	return errUsage
}

// createAPIKey prints the key alone on standard output, so that a script can
// take it; what there is to say about it goes to the other one.
func createAPIKey(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet("api-key create", flag.ContinueOnError)
	name := flags.String("name", "", "which program the key is for (required)")
	scope := flags.String("scope", "", "what it is for, separated by commas: entitlements:read, metrics:read (required)")
	if err := parse(flags, args, std); err != nil {
		return err
	}
	n := auth.NewKey{Name: *name, By: "command", At: time.Now()}
	for s := range strings.SplitSeq(*scope, ",") {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(n.Scopes, auth.Scope(s)) {
			n.Scopes = append(n.Scopes, auth.Scope(s))
		}
	}
	return withKeys(ctx, func(keys *auth.Keys) error {
		secret, err := keys.Create(ctx, n)
		if err != nil {
			return err
		}
		fmt.Fprintln(std.out, secret)
		fmt.Fprintln(std.err, "This is shown once. Send it as \"Authorization: Bearer\" and keep it as you keep a password.")
		return nil
	})
}

func listAPIKeys(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet("api-key list", flag.ContinueOnError)
	if err := parse(flags, args, std); err != nil {
		return err
	}
	return withKeys(ctx, func(keys *auth.Keys) error {
		all, err := keys.List(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KEY\tNAME\tSCOPES\tCREATED\tLAST USED\tREVOKED")
		for _, k := range all {
			scopes := make([]string, len(k.Scopes))
			for i, s := range k.Scopes {
				scopes[i] = string(s)
			}
			fmt.Fprintf(table, "%s…\t%s\t%s\t%s\t%s\t%s\n",
				k.Prefix, k.Name, strings.Join(scopes, ","), toMinute(k.CreatedAt), toMinute(k.LastUsedAt), toMinute(k.RevokedAt))
		}
		return table.Flush()
	})
}

func toMinute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func revokeAPIKey(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet("api-key revoke", flag.ContinueOnError)
	key := flags.String("key", "", "its name, or how it begins, as list shows them (required)")
	if err := parse(flags, args, std); err != nil {
		return err
	}
	if *key == "" {
		fmt.Fprintln(std.err, "promptforge api-key revoke: --key is missing")
		flags.Usage()
		return errUsage
	}
	return withKeys(ctx, func(keys *auth.Keys) error {
		revoked, err := keys.Revoke(ctx, strings.TrimSuffix(*key, "…"), time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "Revoked %s… (%s); it opens nothing any more within %s.\n", revoked.Prefix, revoked.Name, auth.KeyTrust)
		return nil
	})
}

// withKeys opens the database for one act, and puts a rule that says no into
// words for a terminal.
func withKeys(ctx context.Context, act func(*auth.Keys) error) error {
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
	err = act(&auth.Keys{Pool: pool, Clock: time.Now})
	var refusal *billing.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	if messages := fieldMessages(refusal); len(messages) > 0 {
		return errors.New(strings.Join(messages, " "))
	}
	return errors.New(refusal.Message)
}
