package reports

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// filedAtOnce is how many rows of a file are in memory at once.
const filedAtOnce = 2000

// Moved is a movement of a customer: a row of the ledger.
type Moved struct {
	// Day is midnight UTC of the date in the zone of the figures.
	Day      time.Time
	Customer Customer
	Currency money.Currency
	Kind     analytics.MovementKind
	Plan     string
	// AmountMicro is below nought for what was lost.
	AmountMicro int64
	// Customers and Subscribers are by how much the number of active customers,
	// and of those on the plan, changed.
	Customers, Subscribers int64
	Reason                 analytics.Reason
}

// EachMovement passes on the movements of the days, the currency and the plan of
// a query, oldest first, a batch at a time and from one snapshot. It stops at the
// first error of yield.
func (r *Reports) EachMovement(ctx context.Context, query Query, yield func([]Moved) error) error {
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		ask := db.MovementsAfterParams{
			Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, FromDay: scope.First(), Last: scope.Last(), AtMost: filedAtOnce,
		}
		for {
			rows, err := q.MovementsAfter(ctx, ask)
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			batch := make([]Moved, len(rows))
			for i, row := range rows {
				batch[i] = Moved{
					Day: row.Day, Customer: filedCustomer(row.Customer, row.OrgName), Currency: scope.Currency,
					Kind: analytics.MovementKind(row.Kind), Plan: row.Plan, AmountMicro: row.AmountMicro,
					Customers: int64(row.Customers), Subscribers: int64(row.Subscribers), Reason: analytics.Reason(row.Reason),
				}
			}
			if err := yield(batch); err != nil || len(rows) < filedAtOnce {
				return err
			}
			last := rows[len(rows)-1]
			ask.FromDay, ask.AfterCustomer, ask.AfterKind, ask.AfterPlan = last.Day, last.Customer, last.Kind, last.Plan
		}
	})
	if err != nil {
		return fmt.Errorf("export movements: %w", err)
	}
	return nil
}

// filedCustomer is a customer as the ledger names it.
func filedCustomer(ledger, name string) Customer {
	return Customer{ID: strings.TrimPrefix(ledger, orgPrefix), Name: name}
}

// CustomerStanding is how a customer stood in one currency at the end of the
// last day of a query.
type CustomerStanding struct {
	Customer Customer
	Currency money.Currency
	// Plans are the codes of those with MRR, in order, with a space between.
	Plans    string
	MRRMicro int64
	// FirstDay is the first with MRR in this currency, on the plan where one was
	// asked for; ChangedOn the newest on which it changed.
	FirstDay, ChangedOn time.Time
	// Cohort is the month of the first MRR in whatever currency.
	Cohort time.Time
}

// EachCustomer passes on everyone who ever had MRR up to the last day of a query,
// in order of id, a batch at a time and from one snapshot. It stops at the first
// error of yield.
func (r *Reports) EachCustomer(ctx context.Context, query Query, yield func([]CustomerStanding) error) error {
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		after := ""
		for {
			last, err := q.LastCustomerOfBatch(ctx, db.LastCustomerOfBatchParams{Gen: scope.Generation, AfterCustomer: after, AtMost: filedAtOnce})
			if err != nil || last == "" {
				return err
			}
			rows, err := q.CustomersAfter(ctx, db.CustomersAfterParams{
				Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, Last: scope.Last(), AfterCustomer: after, AtMost: filedAtOnce,
			})
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			batch := make([]CustomerStanding, len(rows))
			for i, row := range rows {
				batch[i] = CustomerStanding{
					Customer: filedCustomer(row.Customer, row.OrgName), Currency: scope.Currency, Plans: row.Plans, MRRMicro: row.MRRMicro,
					FirstDay: row.FirstDay, ChangedOn: row.LastDay, Cohort: analytics.Monthly.Start(row.CohortDay),
				}
			}
			if err := yield(batch); err != nil {
				return err
			}
			after = last
		}
	})
	if err != nil {
		return fmt.Errorf("export customers: %w", err)
	}
	return nil
}

// FiledEvent is a business event with what makes it findable.
type FiledEvent struct {
	ID int64
	CustomerEvent
	NaturalKey       string
	OrgID            *uuid.UUID
	OrgName          string
	StripeCustomerID string
	// Raw are its details as they are stored, JSON.
	Raw json.RawMessage
}

// EachEvent passes on the business events of the days of a query, oldest first:
// those in its currency or without one, a batch at a time and from one snapshot.
// It stops at the first error of yield.
func (r *Reports) EachEvent(ctx context.Context, query Query, yield func([]FiledEvent) error) error {
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		from, until := scope.instants()
		ask := db.PaymentEventsAfterParams{FromAt: from, Until: until, Currency: string(scope.Currency), Plan: scope.Plan, AtMost: filedAtOnce}
		for {
			rows, err := q.PaymentEventsAfter(ctx, ask)
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			batch := make([]FiledEvent, len(rows))
			for i, row := range rows {
				batch[i] = FiledEvent{
					ID: row.ID, NaturalKey: row.NaturalKey, OrgID: row.OrgID, OrgName: row.OrgName, StripeCustomerID: orZero(row.StripeCustomerID), Raw: row.Details,
					CustomerEvent: CustomerEvent{
						Kind: row.Kind, At: row.At.UTC(), Plan: orZero(row.Plan), Interval: billing.Interval(orZero(row.Interval)),
						Currency: money.Currency(orZero(row.Currency)), AmountMinor: row.AmountMinor, SubscriptionID: orZero(row.SubscriptionID),
						InvoiceID: orZero(row.InvoiceID), SourceID: orZero(row.SourceEventID),
					},
				}
			}
			if err := yield(batch); err != nil || len(rows) < filedAtOnce {
				return err
			}
			last := rows[len(rows)-1]
			ask.FromAt, ask.AfterID = last.At, last.ID
		}
	})
	if err != nil {
		return fmt.Errorf("export events: %w", err)
	}
	return nil
}

// instants are the first of the first day that is shown, and the first that is
// no longer.
func (s Scope) instants() (from, until time.Time) {
	at := func(day time.Time) time.Time {
		return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, s.Zone)
	}
	return at(s.First()), at(s.Periods[len(s.Periods)-1].End)
}

// FiledInvoice is what became of an invoice, as its events tell it.
type FiledInvoice struct {
	ID               string
	OrgID            *uuid.UUID
	OrgName          string
	StripeCustomerID string
	SubscriptionID   string
	Plan             string
	Interval         billing.Interval
	Currency         money.Currency
	// BillingReason is Stripe's: subscription_cycle for a renewal.
	BillingReason string
	// DueMinor is what was asked for first, PaidMinor what was paid.
	DueMinor, PaidMinor int64
	Failures            int64
	// FirstAt is that of its first event; the others are zero where there is no
	// such moment.
	FirstAt, FailedAt, AskedAt, PaidAt, WrittenOffAt, VoidedAt time.Time
}

// EachInvoice passes on the invoices of which the first event lies in the days of
// a query, oldest first, a batch at a time and from one snapshot. It stops at the
// first error of yield.
func (r *Reports) EachInvoice(ctx context.Context, query Query, yield func([]FiledInvoice) error) error {
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		from, until := scope.instants()
		ask := db.InvoicesAfterParams{FromAt: from, Until: until, Currency: string(scope.Currency), Plan: scope.Plan, AtMost: filedAtOnce}
		for {
			rows, err := q.InvoicesAfter(ctx, ask)
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			batch := make([]FiledInvoice, len(rows))
			for i, row := range rows {
				batch[i] = FiledInvoice{
					ID: orZero(row.InvoiceID), OrgID: row.OrgID, OrgName: row.OrgName, StripeCustomerID: orZero(row.StripeCustomerID),
					SubscriptionID: orZero(row.SubscriptionID), Plan: orZero(row.Plan), Interval: billing.Interval(orZero(row.Interval)),
					Currency: money.Currency(orZero(row.Currency)), BillingReason: row.BillingReason, DueMinor: orZero(row.AmountMinor), PaidMinor: row.PaidMinor,
					Failures: row.Failures, FirstAt: row.FirstAt.UTC(), FailedAt: row.FailedAt.UTC(), AskedAt: row.AskedAt.UTC(), PaidAt: row.PaidAt.UTC(),
					WrittenOffAt: row.WrittenOffAt.UTC(), VoidedAt: row.VoidedAt.UTC(),
				}
			}
			if err := yield(batch); err != nil || len(rows) < filedAtOnce {
				return err
			}
			last := rows[len(rows)-1]
			ask.FromAt, ask.AfterID = last.FirstAt, last.ID
		}
	})
	if err != nil {
		return fmt.Errorf("export invoices: %w", err)
	}
	return nil
}

// EveryCohort returns the cohorts that began in the days of a query, oldest
// first, however many they are.
func (r *Reports) EveryCohort(ctx context.Context, query Query) (Scope, []analytics.Cohort, error) {
	var out []analytics.Cohort
	var covered Scope
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		covered = scope
		rows, err := q.CohortChangesBetween(ctx, db.CohortChangesBetweenParams{
			Gen: scope.Generation, First: analytics.Monthly.Start(scope.First()), Last: analytics.Monthly.Start(scope.Last()),
			Currency: string(scope.Currency), Plan: scope.Plan,
		})
		if err != nil {
			return err
		}
		changes := make([]analytics.CohortChange, 0, len(rows))
		for _, row := range rows {
			changes = append(changes, analytics.CohortChange{
				Cohort: row.Cohort, Month: row.Month, Currency: scope.Currency, Plan: scope.Plan,
				MRRMicro: row.MRRMicro, GrossMicro: row.GrossMicro, Active: row.Active, InitialMicro: row.InitialMicro, Customers: row.Customers,
			})
		}
		out = analytics.Cohorts(changes, analytics.Monthly.Start(scope.Today))
		return nil
	})
	if err != nil {
		return Scope{}, nil, fmt.Errorf("export cohorts: %w", err)
	}
	return covered, out, nil
}
