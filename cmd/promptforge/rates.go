package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/config"
	"github.com/promptforge/payments/internal/money"
)

const ratesUsage = `Usage:
  promptforge rates import FILE.csv [--base USD]
  promptforge rates list

The file has a line a rate, beneath the heading day,currency,rate:
  2026-03-31,EUR,1.0815
says that 1 EUR was worth 1.0815 units of the base currency at the end of that
day. A rate that is there already is replaced. "-" reads standard input.

Reads DATABASE_URL, and BASE_CURRENCY where --base is not given.
`

func runRates(ctx context.Context, args []string, std stdio) error {
	act := ""
	if len(args) > 0 {
		act, args = args[0], args[1:]
	}
	switch act {
	case "import":
		return importRates(ctx, args, std)
	case "list":
		return listRates(ctx, args, std)
	}
	fmt.Fprint(std.err, ratesUsage)
	if slices.Contains([]string{"-h", "-help", "--help"}, act) {
		return flag.ErrHelp
	}
	return errUsage
}

func importRates(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet("rates import", flag.ContinueOnError)
	base := flags.String("base", "", "the currency that rates are in (default BASE_CURRENCY)")
	flags.Usage = func() { fmt.Fprint(std.err, ratesUsage) }
	file := ""
	if len(args) > 0 && (args[0] == "-" || !strings.HasPrefix(args[0], "-")) { // before the flags or behind them
		file, args = args[0], args[1:]
	}
	flags.SetOutput(std.err)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if file == "" && flags.NArg() == 1 {
		file = flags.Arg(0)
	} else if flags.NArg() > 0 {
		fmt.Fprintf(std.err, "promptforge rates import: unexpected %q\n", flags.Args())
		return errUsage
	}
	if file == "" {
		fmt.Fprintln(std.err, "promptforge rates import: which file?")
		flags.Usage()
		return errUsage
	}
	environment, err := config.Environment()
	if err != nil {
		return err
	}
	if *base == "" {
		*base = environment["BASE_CURRENCY"]
	}
	into, err := money.ParseCurrency(*base)
	if err != nil {
		return errors.New("say which currency the rates are in, by BASE_CURRENCY or --base USD")
	}
	in := std.in
	if file != "-" {
		opened, err := os.Open(file) //nolint:gosec // the operator names the file
		if err != nil {
			return fmt.Errorf("open the file: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	rates, err := readRates(in, into, time.Now().UTC())
	if err != nil {
		return err
	}
	changed, err := writeRates(ctx, environment, into, rates)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "Rates into %s: %d read, %d new or changed.\n", strings.ToUpper(string(into)), len(rates.Days), changed)
	return nil
}

// maxFaults is how many faults of a file are told at once.
const maxFaults = 20

// readRates reads a file whole before anything of it is written, and says
// everything that is wrong with it by line.
func readRates(in io.Reader, base money.Currency, now time.Time) (db.WriteExchangeRatesParams, error) {
	out := db.WriteExchangeRatesParams{Base: string(base)}
	lines := csv.NewReader(in)
	lines.TrimLeadingSpace = true
	var faults []string
	seen := map[string]int{}
	fault := func(line int, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
	}
	for isFirst := true; len(faults) < maxFaults; isFirst = false {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var malformed *csv.ParseError
		switch {
		case errors.As(err, &malformed):
			fault(malformed.Line, "%v", malformed.Err)
			if !errors.Is(err, csv.ErrFieldCount) { // what follows would be read from the middle of a field
				return out, errors.New(strings.Join(faults, "\n"))
			}
			continue
		case err != nil:
			return out, fmt.Errorf("read the rates: %w", err)
		}
		line, _ := lines.FieldPos(0)
		if isFirst {
			if heading := strings.ToLower(strings.TrimPrefix(strings.Join(record, ","), "\ufeff")); heading != "day,currency,rate" {
				return out, fmt.Errorf("line %d: the heading must be day,currency,rate", line)
			}
			continue
		}
		day, err := time.Parse(time.DateOnly, record[0])
		if err != nil {
			fault(line, "%q is no day: write it as 2026-03-31", record[0])
			continue
		}
		if day.After(now) {
			fault(line, "%s has not come yet", record[0])
			continue
		}
		currency, err := money.ParseCurrency(record[1])
		if err == nil && currency == base {
			err = fmt.Errorf("%s is the base currency, which is worth 1", record[1])
		}
		if err != nil {
			fault(line, "%v", err)
			continue
		}
		if _, err := analytics.ParseRate(record[2]); err != nil {
			fault(line, "%v", err)
			continue
		}
		key := record[0] + " " + string(currency)
		if other, isTwice := seen[key]; isTwice {
			fault(line, "%s of %s is on line %d already", strings.ToUpper(string(currency)), record[0], other)
			continue
		}
		seen[key] = line
		out.Currencies, out.Days, out.Rates = append(out.Currencies, string(currency)), append(out.Days, day), append(out.Rates, record[2])
	}
	if len(faults) > 0 {
		return out, fmt.Errorf("nothing is imported:\n  %s", strings.Join(faults, "\n  "))
	}
	if len(out.Days) == 0 {
		return out, errors.New("the file has no rates")
	}
	return out, nil
}

// writeRates writes all or nothing, and lets whoever looks at figures see it.
func writeRates(ctx context.Context, environment map[string]string, base money.Currency, rates db.WriteExchangeRatesParams) (changed int64, err error) {
	err = withDatabase(ctx, environment, func(q *db.Queries) error {
		if changed, err = q.WriteExchangeRates(ctx, rates); err != nil {
			return fmt.Errorf("write rates into %s: %w", base, err)
		}
		if changed == 0 {
			return nil
		}
		if err := q.FiguresChanged(ctx, time.Now()); err != nil {
			return fmt.Errorf("note that figures changed: %w", err)
		}
		return q.TellFigures(ctx)
	})
	return changed, err
}

func listRates(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet("rates list", flag.ContinueOnError)
	if err := parse(flags, args, std); err != nil {
		return err
	}
	environment, err := config.Environment()
	if err != nil {
		return err
	}
	return withDatabase(ctx, environment, func(q *db.Queries) error {
		spans, err := q.ExchangeRateSpans(ctx)
		if err != nil {
			return fmt.Errorf("read rates: %w", err)
		}
		table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CURRENCY\tBASE\tFIRST\tLAST\tDAYS")
		for _, s := range spans {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\n", strings.ToUpper(s.Currency), strings.ToUpper(s.Base), s.FirstDay.Format(time.DateOnly), s.LastDay.Format(time.DateOnly), s.Days)
		}
		return table.Flush()
	})
}

// withDatabase runs one act in one transaction.
func withDatabase(ctx context.Context, environment map[string]string, act func(*db.Queries) error) error {
	c, err := config.LoadDatabase(environment)
	if err != nil {
		return err
	}
	pool, err := db.Open(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	return db.InTx(ctx, pool, func(_ pgx.Tx, q *db.Queries) error { return act(q) })
}
