package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// IntegrityIssue is an invariant of the figures that did not hold when it was
// checked last.
type IntegrityIssue struct {
	// Check is a sentence that should be true; Detail is where it is not.
	Check, Detail string
	// First and Last are the days whose figures are concerned, midnight UTC; zero:
	// all of them.
	First, Last time.Time
	// FoundAt is when it failed first, SeenAt when last.
	FoundAt, SeenAt time.Time
}

// Integrity returns the invariants that do not hold now, the longest first. None
// is what there should be.
func (r *Reports) Integrity(ctx context.Context) ([]IntegrityIssue, error) {
	return integrity(ctx, db.New(r.Pool))
}

func integrity(ctx context.Context, q *db.Queries) ([]IntegrityIssue, error) {
	rows, err := q.OpenIntegrityIssues(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what does not hold of the figures: %w", err)
	}
	var out []IntegrityIssue
	for _, row := range rows {
		out = append(out, IntegrityIssue{
			Check: row.CheckName, Detail: row.Detail, First: row.FirstDay, Last: row.LastDay, FoundAt: row.FoundAt.UTC(), SeenAt: row.SeenAt.UTC(),
		})
	}
	return out, nil
}

// Definitions are the rules that figures are and were counted by.
type Definitions struct {
	Scope
	Issues []IntegrityIssue
	// RecentAt is when the figures of the last weeks were checked last, FullAt when
	// all of them; zero: never. Customers is how many histories were counted anew
	// then, one by one.
	RecentAt, FullAt time.Time
	Customers        int64
	// Generations are newest first.
	Generations []Generation
}

// Generation is the figures under one definition.
type Generation struct {
	Number     int32
	Definition int
	Zone       string
	Discounts  analytics.DiscountPolicy
	// State is "live" for what is shown, "building" for what will be, and "old".
	State string
	// LiveSince is zero for one that never was shown, or from the beginning.
	LiveSince time.Time
}

// Definitions returns the rules, and whether what they should make true is.
func (r *Reports) Definitions(ctx context.Context) (Definitions, error) {
	var out Definitions
	err := r.within(ctx, Query{}, func(q *db.Queries, scope Scope) error {
		out.Scope = scope
		var err error
		if out.Issues, err = integrity(ctx, q); err != nil {
			return err
		}
		checked, err := q.LastChecks(ctx)
		if err != nil {
			return fmt.Errorf("last checks: %w", err)
		}
		for _, c := range checked {
			if c.Scope == "full" {
				out.FullAt, out.Customers = c.FinishedAt.UTC(), c.Customers
			} else {
				out.RecentAt = c.FinishedAt.UTC()
			}
		}
		rows, err := q.Generations(ctx)
		if err != nil {
			return fmt.Errorf("generations: %w", err)
		}
		for _, row := range rows {
			out.Generations = append([]Generation{{
				Number: row.Gen, Definition: int(row.Definition), Zone: row.TimeZone, Discounts: analytics.DiscountPolicy(row.DiscountPolicy),
				State: row.State, LiveSince: utc(row.LiveSince),
			}}, out.Generations...)
		}
		return nil
	})
	if err != nil {
		return Definitions{}, fmt.Errorf("read definitions: %w", err)
	}
	return out, nil
}
