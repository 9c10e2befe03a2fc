package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/seed"
	"github.com/promptforge/payments/internal/stripesim"
)

// history is what a data folder holds, and seed.json in it.
type history struct {
	Version int `json:"version"`
	// IsEmpty: begun without history.
	IsEmpty bool `json:"empty"`
	// Customers, Months and Seed are what was asked for, zero where IsEmpty.
	Customers int   `json:"customers,omitempty"`
	Months    int   `json:"months,omitempty"`
	Seed      int64 `json:"seed,omitempty"`
	// At is the present that was asked for, nil for the machine's.
	At *time.Time `json:"at,omitempty"`
	// Examples are who is worth looking at, as the history leaves them.
	Examples []example `json:"examples,omitempty"`
	// IsDone: all of it is there. Without, the folder holds a part that is good
	// for nothing.
	IsDone bool `json:"done"`
}

const historyVersion = 1

// example is somebody of the history, and what is to be seen of them.
type example struct {
	Label string `json:"label"`
	Email string `json:"email"`
}

// examplesOf are one who pays and one whose payment fails.
func examplesOf(p seed.Plan, plans billing.Plans) []example {
	var out []example
	for _, plan := range plans.Plans {
		if i := p.Paying(plan); plan.Recommended && i >= 0 {
			out = append(out, example{"Pays " + plan.Name, p.Organizations[i].Email})
		}
	}
	if len(p.Failing) > 0 {
		out = append(out, example{"Card fails", p.Organizations[p.Failing[0]].Email})
	}
	return out
}

// String says in words what there is.
func (h history) String() string {
	var words string
	if h.IsEmpty {
		words = "no history"
	} else {
		words = fmt.Sprintf("a history of --customers %d --months %d --seed %d", h.Customers, h.Months, h.Seed)
	}
	if h.At != nil {
		words += " --at " + h.At.Format(time.RFC3339)
	}
	return words
}

// askedHistory is what the command line says of the history.
type askedHistory struct {
	history
	// given are the flags that were, in order of name.
	given []string
}

// historyFlags declares the flags; what it returns reads them, and refuses what
// is out of bounds, once the command line is parsed.
func historyFlags(flags *flag.FlagSet) (read func() (askedHistory, error)) {
	customers := flags.Int("customers", 60, fmt.Sprintf("how many organizations sign up in the history, 1 to %d", seed.MaxCustomers))
	months := flags.Int("months", 12, fmt.Sprintf("how many months it goes back, 1 to %d", seed.MaxMonths))
	number := flags.Int64("seed", 1, "any number; another one tells another history")
	at := flags.String("at", "", "the present, such as 2026-06-30T12:00:00Z; by default the machine's")
	empty := flags.Bool("empty", false, "begin without history")
	return func() (askedHistory, error) {
		asked := askedHistory{history: history{Version: historyVersion, IsEmpty: *empty}}
		flags.Visit(func(f *flag.Flag) {
			switch f.Name {
			case "customers", "months", "seed", "at", "empty":
				asked.given = append(asked.given, f.Name)
			}
		})
		if *at != "" {
			present, err := time.Parse(time.RFC3339, *at)
			if err != nil {
				return asked, fmt.Errorf("--at %q: give a moment such as 2026-06-30T12:00:00Z", *at)
			}
			present = present.UTC()
			asked.At = &present
		}
		if !*empty {
			asked.Customers, asked.Months, asked.Seed = *customers, *months, *number
		} else if asked.says("customers") || asked.says("months") || asked.says("seed") {
			return asked, errors.New("--empty begins without history, so that --customers, --months and --seed have nothing to say")
		}
		check := asked.config(time.Now())
		if *empty { // only the present is left to be wrong
			check.Customers, check.Months = 1, 1
		}
		return asked, check.Check(time.Now())
	}
}

func (a askedHistory) says(name string) bool { return slices.Contains(a.given, name) }

// config is what the history follows from; now is the machine's time.
func (h history) config(now time.Time) seed.Config {
	c := seed.Config{Customers: h.Customers, Months: h.Months, Seed: h.Seed, Present: now, Plans: billing.DefaultPlans()}
	if h.At != nil {
		c.Present = *h.At
	}
	return c
}

// conflicts are the flags that were given and say otherwise than what the
// folder holds.
func (a askedHistory) conflicts(held history) []string {
	differs := map[string]bool{
		"customers": a.Customers != held.Customers,
		"months":    a.Months != held.Months,
		"seed":      a.Seed != held.Seed || held.IsEmpty,
		"at":        held.At == nil || a.At == nil || !a.At.Equal(*held.At),
		"empty":     a.IsEmpty != held.IsEmpty,
	}
	var names []string
	for _, name := range a.given {
		if differs[name] {
			names = append(names, "--"+name)
		}
	}
	return names
}

// fill takes over what was asked for before, where nothing is said now.
func (a *askedHistory) fill(held history) {
	if len(a.given) == 0 {
		a.history = held
		a.IsDone = false
	}
}

func (d *demo) historyPath() string { return filepath.Join(d.dir, "seed.json") }

// openHistory finds out what the folder holds, against what is asked for. A
// history that was cut off is to be begun again.
func (d *demo) openHistory(asked askedHistory) error {
	held, err := d.readHistory()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.history = asked.history
	case err != nil:
		return err
	case held.IsDone:
		if names := asked.conflicts(held); len(names) > 0 {
			return fmt.Errorf("%s holds %s: start without %s to go on with it, or name another folder with --data", d.dir, held, listed(names))
		}
		fmt.Fprintf(d.std.out, "== %s holds %s: going on with it\n", d.dir, held)
		d.history = held
	default:
		asked.fill(held)
		d.history, d.isCutOff = asked.history, true
	}
	return nil
}

// listed is "a", "a and b", "a, b and c".
func listed(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// noteHistory writes what the folder is to hold before anything of it is made,
// so that a part is never taken for the whole.
func (d *demo) noteHistory() error {
	if d.history.IsDone {
		return nil
	}
	return writeJSON(d.historyPath(), d.history)
}

func (d *demo) readHistory() (history, error) {
	var held history
	raw, err := os.ReadFile(d.historyPath())
	if errors.Is(err, fs.ErrNotExist) {
		// A folder from before there were histories has secrets and no history.
		if _, err := os.Stat(filepath.Join(d.dir, "secrets.json")); err == nil {
			return history{Version: historyVersion, IsEmpty: true, IsDone: true}, nil
		}
	}
	if err != nil {
		return held, fmt.Errorf("read what the folder holds: %w", err)
	}
	if err := json.Unmarshal(raw, &held); err != nil {
		return held, fmt.Errorf("read %s: %w", d.historyPath(), err)
	}
	return held, nil
}

// dropPart removes what a history that was cut off left: the stand-in's state
// and the database, nothing else.
func (d *demo) dropPart(ctx context.Context) error {
	fmt.Fprintln(d.std.out, "== an earlier start was cut off before everything was there: beginning again")
	if err := os.RemoveAll(d.stripeDir()); err != nil {
		return fmt.Errorf("remove the stand-in's half-made state: %w", err)
	}
	connection, err := pgx.Connect(ctx, d.postgres.URL("postgres"))
	if err != nil {
		return fmt.Errorf("reach Postgres: %w", err)
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, "DROP DATABASE IF EXISTS "+demoDatabase+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop the half-made database: %w", err)
	}
	return nil
}

func (d *demo) stripeDir() string { return filepath.Join(d.dir, "stripe") }

// start is when an empty stand-in begins.
func (d *demo) start(now time.Time) time.Time {
	if d.history.IsEmpty {
		return d.history.config(now).Present
	}
	return d.history.config(now).Start()
}

// makeHistory lives the history through the product that runs, and leaves the
// clock at the present.
func (d *demo) makeHistory(ctx context.Context, a *app, sim *stripesim.Server, settle func(context.Context) error) error {
	began := time.Now()
	config := d.history.config(began)
	hash, err := a.auth.HashPassword(ctx, d.secrets.CustomerPassword)
	if err != nil {
		return err
	}
	world := seed.World{
		Auth: a.auth, Payments: a.payments, Password: hash, Now: sim.Now, Settle: settle,
		Stripe: seed.Stripe{Base: "http://" + d.stripe.Addr().String(), Key: d.secrets.SecretKey, HTTP: &http.Client{}},
		Advance: func(ctx context.Context, to time.Time) error {
			_, err := sim.Advance(ctx, to)
			return err
		},
	}
	bar := newBar(d.std.out, began)
	plan := seed.Make(config)
	err = world.Live(ctx, plan, func(p seed.Progress) error {
		d.curtain.tell(p)
		bar.show(p)
		return nil
	})
	bar.end()
	if err != nil {
		return fmt.Errorf("make a history: %w", err)
	}
	if d.history.At == nil { // the present has moved on meanwhile
		if err := world.Advance(ctx, time.Now()); err != nil {
			return fmt.Errorf("advance to now: %w", err)
		}
		if err := settle(ctx); err != nil {
			return err
		}
	}
	if err := a.payments.SyncCash(ctx); err != nil {
		return err
	}
	if err := settle(ctx); err != nil {
		return err
	}
	d.history.Examples = examplesOf(plan, config.Plans)
	var events int
	if err := a.pool.QueryRow(ctx, "SELECT count(*) FROM webhook_events").Scan(&events); err != nil {
		return fmt.Errorf("count events: %w", err)
	}
	fmt.Fprintf(d.std.out, "== seeded %d organizations, %d events in %.1f s\n", config.Customers, events, time.Since(began).Seconds())
	return nil
}

// bar shows how far a history has come: on a terminal a line that moves, else a
// line a month.
type bar struct {
	out        io.Writer
	began      time.Time
	isTerminal bool
	shown      time.Time
}

func newBar(out io.Writer, began time.Time) *bar {
	b := &bar{out: out, began: began}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		b.isTerminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

const barWidth = 30

func (b *bar) show(p seed.Progress) {
	if p.Act.Kind == seed.MonthEnds && !b.isTerminal {
		fmt.Fprintf(b.out, "   %3d %%  %s lived through, %.0f s\n", percent(p), p.Act.At.Format("January 2006"), time.Since(b.began).Seconds())
	}
	if !b.isTerminal || time.Since(b.shown) < 50*time.Millisecond && p.Done < p.Total {
		return
	}
	b.shown = time.Now()
	full := barWidth * p.Done / p.Total
	fmt.Fprintf(b.out, "\r   [%s%s] %3d %%  %-14s %3.0f s ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		percent(p), p.Act.At.Format("January 2006"), time.Since(b.began).Seconds())
}

func (b *bar) end() {
	if b.isTerminal {
		fmt.Fprintln(b.out)
	}
}

func percent(p seed.Progress) int { return 100 * p.Done / max(p.Total, 1) }
