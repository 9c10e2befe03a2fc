package reports

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// Subscription is one row of the list of subscriptions: Stripe's last answer,
// and what the ledger counts for it.
type Subscription struct {
	ID               string
	StripeCustomerID string
	// OrgID is nil and OrgName empty for a customer that no organization owns.
	OrgID   *uuid.UUID
	OrgName string
	Status  billing.Status
	// Plan is empty for a price that no plan claims.
	Plan          string
	Interval      billing.Interval
	IntervalCount int64
	Quantity      int64
	Currency      money.Currency
	// AmountMinor is what it costs a period before discount and tax; nil while a
	// price is not known.
	AmountMinor *int64
	// MRRMicro is what the ledger counts for it now.
	MRRMicro  int64
	CreatedAt time.Time
	// The other times are zero where there is no such moment. RenewsAt is when
	// it is next paid for, EndsAt when it ends by itself.
	RenewsAt, EndsAt, EndedAt, TrialEnd, NextAttemptAt time.Time
	// PauseBehavior is Stripe's pause_collection.behavior; empty: not paused.
	PauseBehavior  string
	PauseResumesAt time.Time
	// Items is how many prices it has, that of its plan among them.
	Items int64
	// IsGone says that Stripe no longer knows it, IsCustomerGone that it no
	// longer knows whose it is.
	IsGone, IsCustomerGone bool
}

// SubscriptionSort is what the list is ordered by.
type SubscriptionSort string

// The orders. Plans are ordered as PlanOrder has them, statuses with what needs
// attention first, MRR within each currency.
const (
	SortOrganization SubscriptionSort = "organization"
	SortPlan         SubscriptionSort = "plan"
	SortMRR          SubscriptionSort = "mrr"
	SortStatus       SubscriptionSort = "status"
	SortStarted      SubscriptionSort = "started"
	SortRenews       SubscriptionSort = "renews"
)

// SubscriptionFilter says which subscriptions are listed and in which order. A
// zero field lets everything through; the zero order is newest last.
type SubscriptionFilter struct {
	Status billing.Status
	// Plan is a code, or analytics.UnknownPlan for prices that no plan claims.
	Plan     string
	Interval billing.Interval
	// IsEnding lets through what ends by itself, IsFailing what is past due or
	// unpaid.
	IsEnding, IsFailing bool
	// Words are looked for in the name of the organization, the addresses of its
	// members, and in Stripe's ids of customer, subscription, price and latest
	// invoice.
	Words string

	Sort         SubscriptionSort
	IsDescending bool
	PlanOrder    []string
}

// SubscriptionPage is one page of the list.
type SubscriptionPage struct {
	// Page is the one that was asked for, or the last one where there are fewer;
	// Pages is 1 at least.
	Page, Pages int
	// Total and Sums are of all that the filter lets through.
	Total int
	Sums  []CurrencySum
	// Subscriptions are those of this page.
	Subscriptions []Subscription
}

// CurrencySum is MRR in one currency: amounts of several are never added.
type CurrencySum struct {
	Currency money.Currency
	MRRMicro int64
}

// SubscriptionsPerPage is how many subscriptions a page has.
const SubscriptionsPerPage = 50

// exportBatch is how many subscriptions an export holds in memory at once.
const exportBatch = 500

// Subscriptions returns a page of the list, counted from 1, in one snapshot. It
// reads the key of every subscription that matches, which 100,000 of them make
// a quarter of a second of; a larger account needs pages by key instead.
func (r *Reports) Subscriptions(ctx context.Context, filter SubscriptionFilter, page int) (SubscriptionPage, error) {
	out := SubscriptionPage{}
	err := r.snapshot(ctx, func(q *db.Queries) error {
		matching, err := matching(ctx, q, filter)
		if err != nil {
			return err
		}
		out.Total, out.Sums = len(matching), sums(matching)
		out.Pages = max(1, (len(matching)+SubscriptionsPerPage-1)/SubscriptionsPerPage)
		out.Page = min(max(page, 1), out.Pages)
		first := (out.Page - 1) * SubscriptionsPerPage
		out.Subscriptions, err = listed(ctx, q, matching[first:min(first+SubscriptionsPerPage, len(matching))])
		return err
	})
	if err != nil {
		return SubscriptionPage{}, fmt.Errorf("list subscriptions: %w", err)
	}
	return out, nil
}

// PlansAndIntervals are those that any subscription has or had: plans by code,
// analytics.UnknownPlan among them where a price is claimed by none.
func (r *Reports) PlansAndIntervals(ctx context.Context) ([]string, []billing.Interval, error) {
	rows, err := db.New(r.Pool).PlansAndIntervals(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read plans and intervals: %w", err)
	}
	var plans []string
	var intervals []billing.Interval
	for _, row := range rows {
		plans = append(plans, row.Plan)
		intervals = append(intervals, billing.Interval(row.Interval))
	}
	slices.Sort(intervals)
	return slices.Compact(plans), slices.Compact(intervals), nil
}

// EachSubscription passes on all that the filter lets through, in its order, a
// batch at a time, from one snapshot. It stops at the first error of yield.
func (r *Reports) EachSubscription(ctx context.Context, filter SubscriptionFilter, yield func([]Subscription) error) error {
	err := r.snapshot(ctx, func(q *db.Queries) error {
		matching, err := matching(ctx, q, filter)
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(matching, exportBatch) {
			subscriptions, err := listed(ctx, q, batch)
			if err != nil {
				return err
			}
			if err := yield(subscriptions); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("export subscriptions: %w", err)
	}
	return nil
}

// snapshot lets f read everything as of one moment.
func (r *Reports) snapshot(ctx context.Context, f func(*db.Queries) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, r.Pool, options, func(tx pgx.Tx) error { return f(db.New(tx)) })
}

func matching(ctx context.Context, q *db.Queries, filter SubscriptionFilter) ([]db.SubscriptionsMatchingRow, error) {
	if err := q.PlanWithParameters(ctx); err != nil {
		return nil, fmt.Errorf("choose how to plan: %w", err)
	}
	rows, err := q.SubscriptionsMatching(ctx, filter.params())
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return rows, nil
}

func (f SubscriptionFilter) params() db.SubscriptionsMatchingParams {
	return db.SubscriptionsMatchingParams{
		Sort: string(f.Sort), Descending: f.IsDescending, Plans: f.PlanOrder,
		Status: string(f.Status), Plan: f.Plan, Interval: string(f.Interval), IsEnding: f.IsEnding, IsFailing: f.IsFailing,
		Words: f.Words,
	}
}

func sums(matching []db.SubscriptionsMatchingRow) []CurrencySum {
	byCurrency := map[money.Currency]int64{}
	for _, m := range matching {
		byCurrency[money.Currency(m.Currency)] += m.MRRMicro
	}
	var out []CurrencySum
	for _, currency := range slices.Sorted(maps.Keys(byCurrency)) {
		out = append(out, CurrencySum{currency, byCurrency[currency]})
	}
	return out
}

func listed(ctx context.Context, q *db.Queries, matching []db.SubscriptionsMatchingRow) ([]Subscription, error) {
	ids := make([]string, len(matching))
	for i, m := range matching {
		ids[i] = m.ID
	}
	rows, err := q.ListedSubscriptions(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return subscriptionsOf(rows), nil
}

func subscriptionsOf(rows []db.SubscriptionList) []Subscription {
	out := make([]Subscription, 0, len(rows))
	for _, row := range rows {
		out = append(out, Subscription{
			ID: row.StripeSubscriptionID, StripeCustomerID: row.StripeCustomerID, OrgID: row.OrgID, OrgName: orZero(row.OrgName),
			Status: billing.Status(row.Status), Plan: orZero(row.Plan), Interval: billing.Interval(orZero(row.Interval)),
			IntervalCount: int64(orZero(row.IntervalCount)), Quantity: row.Quantity, Currency: money.Currency(row.Currency),
			AmountMinor: row.AmountMinor, MRRMicro: orZero(row.MRRMicro), CreatedAt: row.CreatedAt.UTC(),
			RenewsAt: utc(row.RenewsAt), EndsAt: utc(row.EndsAt), EndedAt: utc(row.EndedAt), TrialEnd: utc(row.TrialEnd),
			NextAttemptAt: utc(row.NextPaymentAttempt), PauseBehavior: orZero(row.PauseBehavior), PauseResumesAt: utc(row.PauseResumesAt),
			Items: int64(row.Items), IsGone: !row.IsVerified, IsCustomerGone: row.IsCustomerGone,
		})
	}
	return out
}

func orZero[T any](p *T) T {
	var v T
	if p != nil {
		v = *p
	}
	return v
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
