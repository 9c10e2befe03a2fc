package reports

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Customer is one as the ledger counts it: an organization, or a customer of
// Stripe that none owns.
type Customer struct {
	// ID is what its page is asked for by: the organization's id, or Stripe's.
	ID string
	// Name is empty for a customer that no organization owns.
	Name string
}

// CustomerMovement is one row of the ledger. Where a customer has several plans,
// what moved on each of them is a row.
type CustomerMovement struct {
	Customer
	// Day is midnight UTC of the date in the definition's zone.
	Day         time.Time
	Kind        analytics.MovementKind
	Plan        string
	AmountMicro int64
	Reason      analytics.Reason
}

// MovementFilter says which movements are listed.
type MovementFilter struct {
	// Kinds are those that are listed; none: all that move the MRR of the account,
	// or with a plan that of the plan.
	Kinds []analytics.MovementKind
	// After is the row after which the page begins; zero, or one of a day outside
	// the range: with the newest.
	After MovementKey
	// AtMost is how many; 0: MovementsPerPage.
	AtMost int
}

// MovementKey is the place of a movement in the list, which is in order of day,
// newest first, then of customer, kind and plan.
type MovementKey struct {
	Day            time.Time
	customer, plan string
	kind           analytics.MovementKind
}

// IsZero reports whether the key is of no movement.
func (k MovementKey) IsZero() bool { return k.Day.IsZero() }

// String is the key as an address has it; empty for the zero key.
func (k MovementKey) String() string {
	if k.IsZero() {
		return ""
	}
	return strings.Join([]string{k.Day.Format(time.DateOnly), k.customer, string(k.kind), k.plan}, "~")
}

// ParseMovementKey reads what String has written.
func ParseMovementKey(s string) (MovementKey, error) {
	if s == "" {
		return MovementKey{}, nil
	}
	parts := strings.SplitN(s, "~", 4)
	if len(parts) != 4 || strings.ContainsRune(s, 0) {
		return MovementKey{}, fmt.Errorf("%q is no key of a movement", s)
	}
	day, err := time.Parse(time.DateOnly, parts[0])
	if err != nil {
		return MovementKey{}, fmt.Errorf("key of a movement: %w", err)
	}
	return MovementKey{Day: day, customer: parts[1], kind: analytics.MovementKind(parts[2]), plan: parts[3]}, nil
}

// MovementsPerPage is how many movements a page has.
const MovementsPerPage = 50

// AccountKinds are the movements that change the MRR of the account, PlanKinds
// those that change that of a plan.
var (
	AccountKinds = []analytics.MovementKind{
		analytics.New, analytics.Reactivation, analytics.Expansion, analytics.Contraction, analytics.Churn,
	}
	PlanKinds = append(slices.Clone(AccountKinds), analytics.TransferIn, analytics.TransferOut)
)

// MovementPage is a page of movements.
type MovementPage struct {
	Movements []CustomerMovement
	// Older is the key after which the next page begins; zero: there is none.
	Older MovementKey
}

// Movements are what a range is made of.
type Movements struct {
	Scope
	MovementPage
}

// Movements returns a page of the movements of a range, newest first. A page
// costs the same wherever it is.
func (r *Reports) Movements(ctx context.Context, query Query, filter MovementFilter) (Movements, error) {
	var out Movements
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		out.Scope = scope
		var err error
		out.MovementPage, err = movementPage(ctx, q, scope, filter)
		return err
	})
	if err != nil {
		return Movements{}, fmt.Errorf("list movements: %w", err)
	}
	return out, nil
}

func movementPage(ctx context.Context, q *db.Queries, scope Scope, filter MovementFilter) (MovementPage, error) {
	kinds, atMost := filter.Kinds, filter.AtMost
	if len(kinds) == 0 {
		kinds = AccountKinds
		if scope.Plan != "" {
			kinds = PlanKinds
		}
	}
	if atMost == 0 {
		atMost = MovementsPerPage
	}
	params := db.MovementsBeforeParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, First: scope.First(), Last: scope.Last(),
		AtMost: int32(atMost) + 1, //nolint:gosec // a page
	}
	for _, kind := range kinds {
		params.Kinds = append(params.Kinds, string(kind))
	}
	if after := filter.After; !after.Day.Before(params.First) && !after.Day.After(params.Last) {
		params.Last, params.AfterCustomer, params.AfterKind, params.AfterPlan = after.Day, after.customer, string(after.kind), after.plan
	}
	rows, err := q.MovementsBefore(ctx, params)
	if err != nil {
		return MovementPage{}, fmt.Errorf("read movements: %w", err)
	}
	var out MovementPage
	if len(rows) > atMost {
		rows = rows[:atMost]
		last := rows[atMost-1]
		out.Older = MovementKey{Day: last.Day, customer: last.Customer, kind: analytics.MovementKind(last.Kind), plan: last.Plan}
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.Customer
	}
	named, err := customersOf(ctx, q, ids)
	if err != nil {
		return MovementPage{}, err
	}
	for i, row := range rows {
		out.Movements = append(out.Movements, CustomerMovement{
			Customer: named[i], Day: row.Day, Kind: analytics.MovementKind(row.Kind), Plan: row.Plan,
			AmountMicro: row.AmountMicro, Reason: analytics.Reason(row.Reason),
		})
	}
	return out, nil
}

// orgPrefix is how the ledger's name of a customer begins that an organization
// owns.
const orgPrefix = "org:"

// customersOf finds names for customers as the ledger calls them, in their order.
func customersOf(ctx context.Context, q *db.Queries, ledger []string) ([]Customer, error) {
	var ids []uuid.UUID
	for _, customer := range ledger {
		if id, err := uuid.Parse(strings.TrimPrefix(customer, orgPrefix)); err == nil {
			ids = append(ids, id)
		}
	}
	names := map[string]string{}
	if len(ids) > 0 {
		rows, err := q.OrganizationNames(ctx, ids)
		if err != nil {
			return nil, fmt.Errorf("read names of organizations: %w", err)
		}
		for _, row := range rows {
			names[row.ID.String()] = row.Name
		}
	}
	out := make([]Customer, len(ledger))
	for i, customer := range ledger {
		id := strings.TrimPrefix(customer, orgPrefix)
		out[i] = Customer{ID: id, Name: names[id]}
	}
	return out, nil
}
