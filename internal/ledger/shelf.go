package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/promptforge/payments/db"
)

// book is a generation's contributions of one customer.
type book struct {
	gen      int32
	customer string
}

// books name the contributions of some customers under some generations.
type books struct {
	gens      []int32
	customers []string
}

// shelf is one table of applied contributions: rows of a customer and a
// generation. What was counted before comes from here, never from a source that
// may have changed since.
type shelf[T comparable] struct {
	// what names the rows in an error.
	what string
	of   func(T) book
	// key is set where insert also writes over the row of the same key, and then
	// tells what makes a row one and the same.
	key func(T) T
	// applied reads the rows of books; remove deletes rows by their key, and insert
	// writes rows.
	applied func(context.Context, *db.Queries, books) ([]T, error)
	remove  func(context.Context, *db.Queries, json.RawMessage) error
	insert  func(context.Context, *db.Queries, json.RawMessage) error
	// changed takes the rows of each book that differs, before and after, to add
	// their difference to rollups.
	changed func(before, after []T)
}

// replace makes the stored rows of the books equal to those given. Rows that are
// the same already are left alone.
func (s shelf[T]) replace(ctx context.Context, q *db.Queries, all []book, rows []T) error {
	var about books
	for _, b := range all {
		about.gens = append(about.gens, b.gen)
		about.customers = append(about.customers, b.customer)
	}
	slices.Sort(about.gens)
	about.gens = slices.Compact(about.gens)
	stored, err := s.applied(ctx, q, about)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.what, err)
	}
	before, after := group(stored, s.of), group(rows, s.of)
	var gone, added []T
	for _, b := range all {
		was, is := set(before[b]), set(after[b])
		if maps.Equal(was, is) {
			continue
		}
		gone, added = append(gone, without(before[b], is)...), append(added, without(after[b], was)...)
		if s.changed != nil {
			s.changed(before[b], after[b])
		}
	}
	if err := asJSON(ctx, q, s.remove, s.notOverwritten(gone, added)); err != nil {
		return fmt.Errorf("delete %s: %w", s.what, err)
	}
	if err := asJSON(ctx, q, s.insert, added); err != nil {
		return fmt.Errorf("insert %s: %w", s.what, err)
	}
	return nil
}

// notOverwritten are the rows that go without another of the same key in their
// place.
func (s shelf[T]) notOverwritten(gone, added []T) []T {
	if s.key == nil || len(added) == 0 {
		return gone
	}
	taken := make(map[T]bool, len(added))
	for _, row := range added {
		taken[s.key(row)] = true
	}
	return slices.DeleteFunc(gone, func(row T) bool { return taken[s.key(row)] })
}

func group[T any](rows []T, of func(T) book) map[book][]T {
	out := map[book][]T{}
	for _, row := range rows {
		out[of(row)] = append(out[of(row)], row)
	}
	return out
}

func set[T comparable](rows []T) map[T]bool {
	out := make(map[T]bool, len(rows))
	for _, row := range rows {
		out[row] = true
	}
	return out
}

// without are the rows that are not in a set.
func without[T comparable](rows []T, in map[T]bool) []T {
	var out []T
	for _, row := range rows {
		if !in[row] {
			out = append(out, row)
		}
	}
	return out
}

// asJSON runs a statement that takes all its rows as one JSON array; none at
// all is no statement.
func asJSON[T any](ctx context.Context, q *db.Queries, insert func(context.Context, *db.Queries, json.RawMessage) error, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return insert(ctx, q, raw)
}

// rollup gathers differences to be added to a table by key. Its rows are those
// of the table: key tells what makes a row one and the same, and plus adds the
// amounts of b to those of a.
type rollup[T comparable] struct {
	what   string
	key    func(T) T
	plus   func(a, b T, sign int64) T
	before func(a, b T) int
	// add adds the rows to the table, in their order, and says in how many every
	// amount has come to nought.
	add func(context.Context, *db.Queries, json.RawMessage) (int64, error)
	// drop deletes those: nothing is behind them.
	drop func(context.Context, *db.Queries, json.RawMessage) error

	sums map[T]T
}

// count adds or takes away the amounts of a row.
func (r *rollup[T]) count(row T, sign int64) {
	key := r.key(row)
	sum, ok := r.sums[key]
	if !ok {
		sum = key
	}
	if r.sums == nil {
		r.sums = map[T]T{}
	}
	r.sums[key] = r.plus(sum, row, sign)
}

// flush writes what was gathered, sorted by key, so that no two writers wait for
// each other.
func (r *rollup[T]) flush(ctx context.Context, q *db.Queries) error {
	var rows []T
	for key, sum := range r.sums {
		if sum != key { // a difference of nothing is none
			rows = append(rows, sum)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, r.before)
	raw, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("encode %s: %w", r.what, err)
	}
	empty, err := r.add(ctx, q, raw)
	if err != nil {
		return fmt.Errorf("add to %s: %w", r.what, err)
	}
	if empty == 0 {
		return nil
	}
	if err := r.drop(ctx, q, raw); err != nil {
		return fmt.Errorf("drop what is empty of %s: %w", r.what, err)
	}
	return nil
}

// merge adds the sums of another rollup of the same table.
func (r *rollup[T]) merge(other rollup[T]) {
	for _, sum := range other.sums {
		r.count(sum, 1)
	}
}

// firstDifference compares what was gathered with the rows of the table, and
// returns the first, by key, that is another or that only one of them has.
func (r *rollup[T]) firstDifference(rows []T) (T, bool) {
	var differ []T
	stored := make(map[T]T, len(rows))
	for _, row := range rows {
		stored[r.key(row)] = row
	}
	for key, sum := range r.sums {
		if row, ok := stored[key]; sum != key && (!ok || row != sum) {
			differ = append(differ, key)
		}
	}
	for key := range stored {
		if sum, ok := r.sums[key]; !ok || sum == key {
			differ = append(differ, key)
		}
	}
	if len(differ) == 0 {
		var none T
		return none, false
	}
	return slices.MinFunc(differ, r.before), true
}
