package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/config"
)

func runUser(ctx context.Context, args []string, std stdio) error {
	if len(args) == 0 || args[0] != "create" {
		fmt.Fprint(std.err, "Usage: promptforge user create --email E [--name N] [--admin] [--password-stdin]\n\nReads DATABASE_URL.\n")
		if len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
			return flag.ErrHelp
		}
		return errUsage
	}
	flags := flag.NewFlagSet("user create", flag.ContinueOnError)
	email := flags.String("email", "", "address to log in with (required)")
	name := flags.String("name", "", "name; by default the part of the address before @")
	isAdmin := flags.Bool("admin", false, "opens the administrator's pages")
	passwordStdin := flags.Bool("password-stdin", false, "read the password from standard input; otherwise one is made and printed")
	if err := parse(flags, args[1:], std); err != nil {
		return err
	}
	if *email == "" { // before what the environment lacks
		fmt.Fprintln(std.err, "promptforge user create: --email is missing")
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
	password := randomHex(12)
	if *passwordStdin {
		if password, err = firstLine(std.in); err != nil {
			return err
		}
	}
	pool, err := db.Open(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	if *name == "" {
		*name, _, _ = strings.Cut(*email, "@")
	}
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.Command, ID: "user create"})
	user, err := auth.New(pool, time.Now).CreateUser(ctx, auth.NewUser{Name: *name, Email: *email, Password: password, IsAdmin: *isAdmin})
	var refusal *billing.Refusal
	if errors.As(err, &refusal) {
		return errors.New(strings.Join(fieldMessages(refusal), " "))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "Created %s\n", user.Email)
	if !*passwordStdin {
		fmt.Fprintf(std.out, "Password: %s\n", password)
	}
	return nil
}

func fieldMessages(r *billing.Refusal) []string {
	var out []string
	for _, field := range []string{"email", "name", "password", "scope"} {
		if message := r.Fields[field]; message != "" {
			out = append(out, "--"+field+": "+message)
		}
	}
	return out
}

// firstLine reads a line without its end; everything else belongs to the
// password, blanks included.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
