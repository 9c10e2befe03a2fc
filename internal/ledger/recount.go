package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// histories recounts, customer by customer, what follows from movements, and
// compares it with the rollups.
func (v *verification) histories(ctx context.Context) ([]Finding, error) {
	recounts := make([]*flowRollups, max(1, runtime.GOMAXPROCS(0)))
	illegal := make([]*Finding, len(recounts))
	batches := make(chan [][]db.CustomerMovement, 2*len(recounts))
	group, reading := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return v.eachHistory(reading, func(batch [][]db.CustomerMovement) error {
			select {
			case batches <- batch:
				v.customers += int64(len(batch))
				return nil
			case <-reading.Done():
				return reading.Err()
			}
		})
	})
	for i := range recounts {
		recounts[i] = newFlowRollups()
		group.Go(func() error {
			for batch := range batches {
				for _, rows := range batch {
					movements := recounts[i].takeHistory(rows, 1)
					if why := analytics.Illegal(movements); why != "" && illegal[i] == nil {
						illegal[i] = &Finding{movementsAreLegal, fmt.Sprintf("generation %d, %s: %s", rows[0].Gen, rows[0].Customer, why), rows[0].Day, v.today()}
					}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []Finding
	for _, f := range illegal {
		if f != nil {
			out = append(out, *f)
			break
		}
	}
	all := recounts[0]
	for _, part := range recounts[1:] {
		all.cohorts.merge(part.cohorts)
		all.retention.merge(part.retention)
	}
	cohorts, err := v.q.CohortRows(ctx, v.gens)
	if err != nil {
		return nil, fmt.Errorf("read cohorts: %w", err)
	}
	if r, ok := all.cohorts.firstDifference(cohorts); ok {
		out = append(out, Finding{cohortsAreRecount, fmt.Sprintf("generation %d, cohort %s in %s, %s, plan %s",
			r.Gen, r.Cohort.Format("2006-01"), r.Month.Format("2006-01"), r.Currency, r.Plan), r.Cohort, v.today()})
	}
	retention, err := v.q.RetentionRows(ctx, v.gens)
	if err != nil {
		return nil, fmt.Errorf("read retention: %w", err)
	}
	if r, ok := all.retention.firstDifference(retention); ok {
		out = append(out, Finding{retentionIsRecount, fmt.Sprintf("generation %d, %d months to %s, %s, plan %q",
			r.Gen, r.Horizon, r.PeriodEnd.Format(time.DateOnly), r.Currency, r.Plan), r.PeriodEnd.AddDate(0, -int(r.Horizon), 0), r.PeriodEnd.AddDate(0, 0, -1)})
	}
	return out, nil
}

// historiesAtOnce is how many customers go to a worker together.
const historiesAtOnce = 500

// eachHistory passes on all movements of each customer and generation, in the
// order of the key.
func (v *verification) eachHistory(ctx context.Context, yield func([][]db.CustomerMovement) error) error {
	rows, err := v.tx.Query(ctx, `SELECT gen, customer, currency, day, kind, plan, amount_micro, customers, reason, subscribers
		FROM customer_movement WHERE gen = ANY ($1) ORDER BY gen, customer, currency, day, kind, plan`, v.gens)
	if err != nil {
		return err
	}
	defer rows.Close()
	var batch [][]db.CustomerMovement
	var history []db.CustomerMovement
	flush := func() error {
		if len(history) > 0 {
			batch = append(batch, history)
			history = nil
		}
		return nil
	}
	for rows.Next() {
		var m db.CustomerMovement
		if err := rows.Scan(&m.Gen, &m.Customer, &m.Currency, &m.Day, &m.Kind, &m.Plan, &m.AmountMicro, &m.Customers, &m.Reason, &m.Subscribers); err != nil {
			return err
		}
		if len(history) > 0 && (history[0].Gen != m.Gen || history[0].Customer != m.Customer) {
			if err := flush(); err != nil {
				return err
			}
			if len(batch) == historiesAtOnce {
				if err := yield(batch); err != nil {
					return err
				}
				batch = nil
			}
		}
		history = append(history, m)
	}
	if err := errors.Join(rows.Err(), flush()); err != nil {
		return err
	}
	if len(batch) > 0 {
		return yield(batch)
	}
	return nil
}

const (
	// sampleOneOf is the share of the customers that one look counts anew, another
	// part each day; sampleAtMost bounds how many.
	sampleOneOf  = 100
	sampleAtMost = 20_000
)

// sample counts some customers anew from their versions and compares. Those that
// changed and are not counted yet are left out.
func (v *verification) sample(ctx context.Context) ([]Finding, error) {
	generations, _, err := definitions(ctx, v.q)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(generations, func(gen int32, _ analytics.Definition) bool { return !slices.Contains(v.gens, gen) })
	dirty, err := v.q.DirtyCustomers(ctx)
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	for gen := range generations {
		part := int32(v.now.Unix() / 86400 % sampleOneOf) //nolint:gosec // less than a hundred
		customers, err := v.q.SampleOfCustomers(ctx, db.SampleOfCustomersParams{
			Gen: gen, OneOf: sampleOneOf, Part: part, AtMost: sampleAtMost, Now: v.now,
		})
		if err != nil {
			return nil, fmt.Errorf("choose customers: %w", err)
		}
		customers = slices.DeleteFunc(customers, func(c string) bool { return slices.Contains(dirty, c) })
		for some := range slices.Chunk(customers, batch) {
			if finding, err := v.recount(ctx, some, generations); finding != nil || err != nil {
				return finding, err
			}
		}
	}
	return nil, nil
}

func (v *verification) recount(ctx context.Context, customers []string, generations map[int32]analytics.Definition) ([]Finding, error) {
	accounts, err := v.compute(ctx, v.q, customers, generations, v.now)
	if err != nil {
		return nil, err
	}
	about := books{gens: slices.Collect(maps.Keys(generations)), customers: customers}
	days, err := dayShelf.applied(ctx, v.q, about)
	if err != nil {
		return nil, err
	}
	movements, err := movementShelf.applied(ctx, v.q, about)
	if err != nil {
		return nil, err
	}
	storedDays, storedMovements := group(days, dayShelf.of), group(movements, movementShelf.of)
	for _, a := range accounts {
		for gen, figures := range a.figures {
			key := book{gen, a.customer}
			if maps.Equal(set(storedDays[key]), set(daysOf(key, figures))) && maps.Equal(set(storedMovements[key]), set(movementsOf(key, figures))) {
				continue
			}
			first := v.today()
			for _, d := range append(storedDays[key], daysOf(key, figures)...) {
				first = slices.MinFunc([]time.Time{first, d.Day}, time.Time.Compare)
			}
			return []Finding{{rebuildIsEqual, fmt.Sprintf("generation %d, %s", gen, a.customer), first, v.today()}}, nil
		}
	}
	return v.recountOutcomes(ctx, accounts, about, generations)
}
