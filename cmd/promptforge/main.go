// Command promptforge is the whole product: the production server, the demo,
// and the tools that set both up. One file holds one subcommand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// command is a subcommand. It reads its own flags and returns when it is done
// or the context ends.
type command struct {
	name, does string
	run        func(ctx context.Context, args []string, std stdio) error
}

// stdio is where a command reads and prints.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

var commands = []command{
	{"demo", "start the demo: embedded Postgres, the Stripe stand-in, two log-ins", runDemo},
	{"serve", "start the production server", runServe},
	{"migrate", "bring the schema up, take it down, show its state: up | down | status", runMigrate},
	{"setup-stripe", "find or create products, prices and webhook endpoint at Stripe", runSetupStripe},
	{"user", "create a user: user create --email E [--admin]", runUser},
	{"api-key", "make, list and revoke the keys of programs: api-key create --name N --scope S", runAPIKey},
	{"verify", "check the invariants of the figures", runVerify},
	{"rates", "exchange rates for figures in one currency: rates import FILE.csv | list", runRates},
	{"stripe-sim", "start the Stripe stand-in alone", runStripeSim},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // who asks a second time does not want to wait
	os.Exit(run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// errUsage ends a command whose usage has been printed already.
var errUsage = errors.New("usage")

// run returns the exit code: 0 done, 1 failed, 2 called wrongly.
func run(ctx context.Context, args []string, std stdio) int {
	if len(args) > 0 {
		for _, c := range commands {
			if c.name != args[0] {
				continue
			}
			err := c.run(ctx, args[1:], std)
			switch {
			case err == nil, errors.Is(err, flag.ErrHelp):
				return 0
			case errors.Is(err, errUsage):
				return 2
			}
			fmt.Fprintf(std.err, "promptforge %s: %v\n", c.name, err)
			return 1
		}
	}
	usage(std.err)
	return 2
}

// sayStop tells whoever sits at the terminal that a stop was heard. What it
// returns says, called at the end, that the stop is done.
func sayStop(ctx context.Context, w io.Writer) (stopped func()) {
	forget := context.AfterFunc(ctx, func() { fmt.Fprint(w, "\nStopping. Ctrl-C again ends it at once.\n") })
	return func() {
		if !forget() {
			fmt.Fprintln(w, "Stopped.")
		}
	}
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Usage: promptforge COMMAND [flags]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-13s %s\n", c.name, c.does)
	}
	fmt.Fprint(w, "\npromptforge COMMAND -h explains the flags of a command.\n")
}

// parse reads a command's flags and refuses what is left over.
func parse(flags *flag.FlagSet, args []string, std stdio) error {
	flags.SetOutput(std.err)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(std.err, "promptforge %s: unexpected %q\n", flags.Name(), flags.Arg(0))
		return errUsage
	}
	return nil
}
