package payments

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// writing is one write of one subject: a short READ COMMITTED transaction
// under the queue row's lock, without network.
type writing struct {
	*Payments
	material
	ctx context.Context
	q   *db.Queries
	// The rows as they were.
	customer db.Customer
	old      map[string]db.Subscription
	// What the history says once the events are in it.
	histories map[string][]analytics.Version
	// meets is false while the history does not end in the copy's facts;
	// newestEvent is when the newest event of the history was created.
	meets       bool
	newestEvent time.Time
}

// write makes our rows equal to the answer. It returns errOvertaken, having
// written nothing, when the ticket is no longer the row's.
func (p *Payments) write(ctx context.Context, m material) error {
	return db.InTx(ctx, p.Pool, func(_ pgx.Tx, q *db.Queries) error {
		mine, err := q.LockClaims(ctx, db.LockClaimsParams{Subjects: []string{m.Subject}, Tickets: []int64{m.Ticket}})
		if err != nil {
			return fmt.Errorf("lock the claim: %w", err)
		}
		if len(mine) == 0 {
			return errOvertaken
		}
		w := writing{Payments: p, material: m, ctx: ctx, q: q, meets: true}
		for _, step := range []func() error{
			w.rememberWhatWasSeen, w.readOldRows, w.writeHistory, w.knowPricesOfHistories, w.writeCheckouts, w.writeCopies,
			w.writeEntitlement, w.recordHappenings, w.writeStories, w.endEvents, w.finish,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

// rememberWhatWasSeen keeps the customer, and every price and coupon.
func (w *writing) rememberWhatWasSeen() error {
	var currency money.Currency
	coupons := map[string]billing.Coupon{}
	for _, s := range w.answer.Subscriptions {
		currency = s.Facts.Currency
		for _, c := range s.Coupons {
			coupons[c.ID] = c
		}
	}
	// Prices and coupons are rows of all customers: in order of their ids, or
	// two syncs that learn the same two would wait for each other.
	for _, id := range slices.Sorted(maps.Keys(coupons)) {
		c := coupons[id]
		if err := w.q.RememberCoupon(w.ctx, db.RememberCouponParams{
			StripeCouponID: c.ID, Duration: c.Duration, PercentOff: c.PercentOff,
			AmountsOff: mustJSON(orEmpty(c.AmountsOff)), SeenAt: w.answer.At,
		}); err != nil {
			return fmt.Errorf("remember coupon %s: %w", c.ID, err)
		}
	}
	if err := w.q.SeeCustomer(w.ctx, db.SeeCustomerParams{
		StripeCustomerID: w.Subject, Livemode: w.Livemode, Currency: string(currency), CreatedAt: w.answer.At,
	}); err != nil {
		return fmt.Errorf("see customer: %w", err)
	}
	slices.SortFunc(w.learned, func(a, b billing.Price) int { return strings.Compare(a.ID, b.ID) })
	for _, price := range w.learned {
		if err := w.rememberPrice(price); err != nil {
			return err
		}
	}
	return nil
}

// rememberPrice keeps a price; where that teaches anything, whoever ever had it
// is counted again.
func (w *writing) rememberPrice(price billing.Price) error {
	n, err := w.q.RememberPrice(w.ctx, db.RememberPriceParams{
		StripePriceID: price.ID, Plan: price.Plan, Interval: string(price.Interval), IntervalCount: int32(price.IntervalCount), //nolint:gosec // at most 1,095 at Stripe
		UsageType: price.UsageType, Amounts: mustJSON(price.Amounts), Product: price.ProductID, LookupKey: price.LookupKey,
		Livemode: price.Livemode, SeenAt: w.answer.At,
	})
	if err != nil {
		return fmt.Errorf("remember price %s: %w", price.ID, err)
	}
	if n == 0 {
		return nil
	}
	if err := w.q.MarkDirtyByPrice(w.ctx, price.ID); err != nil {
		return fmt.Errorf("mark dirty who had price %s: %w", price.ID, err)
	}
	return nil
}

func (w *writing) readOldRows() (err error) {
	if w.customer, err = w.q.CustomerByStripeID(w.ctx, w.Subject); err != nil {
		return fmt.Errorf("read customer: %w", err)
	}
	if w.customer.OrgID != nil {
		// Queue rows come before organization rows, everywhere.
		if _, err := w.q.LockOrganization(w.ctx, *w.customer.OrgID); err != nil {
			return fmt.Errorf("lock organization: %w", err)
		}
	}
	rows, err := w.q.SubscriptionsOfCustomer(w.ctx, w.Subject)
	if err != nil {
		return fmt.Errorf("read subscriptions: %w", err)
	}
	w.old = map[string]db.Subscription{}
	for _, row := range rows {
		w.old[row.StripeSubscriptionID] = row
	}
	return nil
}

// writeHistory adds the observations and folds them again. An answer becomes
// an observation only if the events do not already end in it.
func (w *writing) writeHistory() error {
	for _, t := range w.events {
		if t.observation != nil && t.parked == "" {
			if err := w.observe(*t.observation); err != nil {
				return err
			}
		}
	}
	observations, err := w.observations()
	if err != nil {
		return err
	}
	for _, all := range observations {
		for _, o := range all {
			if o.Source == analytics.SourceEvent && o.At.After(w.newestEvent) {
				w.newestEvent = o.At
			}
		}
	}
	w.histories = map[string][]analytics.Version{}
	for id, all := range observations {
		w.histories[id] = analytics.Versions(all)
	}
	for _, s := range w.answer.Subscriptions {
		if endsIn(w.histories[s.ID], s.Facts) {
			continue
		}
		read := analytics.Observation{
			SubscriptionID: s.ID, Source: analytics.SourceRead, SourceID: fmt.Sprintf("%d-%d", w.answer.At.Unix(), w.Ticket),
			Kind: analytics.Read, At: w.answer.At.Truncate(time.Second), ObjectCreated: s.CreatedAt, After: s.Facts, Complete: true,
		}
		if err := w.observe(read); err != nil {
			return err
		}
		w.histories[s.ID] = analytics.Versions(append(observations[s.ID], read))
		w.meets = w.meets && endsIn(w.histories[s.ID], s.Facts)
	}
	changed, err := w.writeVersions()
	if err != nil {
		return err
	}
	if changed {
		if err := w.q.MarkDirty(w.ctx, w.Subject); err != nil {
			return fmt.Errorf("mark dirty: %w", err)
		}
	}
	return nil
}

func endsIn(history []analytics.Version, facts billing.Facts) bool {
	return len(history) > 0 && history[len(history)-1].Facts.Equal(facts)
}

func (w *writing) observe(o analytics.Observation) error {
	params := db.ObserveParams{
		SubscriptionID: o.SubscriptionID, Source: string(o.Source), SourceID: o.SourceID, StripeCustomerID: w.Subject,
		Kind: string(o.Kind), At: o.At, ObjectCreated: o.ObjectCreated, Facts: mustJSON(o.After), Complete: o.Complete, Decoder: decoder,
	}
	if o.Before != nil {
		params.Before = mustJSON(*o.Before)
	}
	if err := w.q.Observe(w.ctx, params); err != nil {
		return fmt.Errorf("observe subscription %s: %w", o.SubscriptionID, err)
	}
	return nil
}

func (w *writing) observations() (map[string][]analytics.Observation, error) {
	rows, err := w.q.ObservationsOfCustomer(w.ctx, w.Subject)
	if err != nil {
		return nil, fmt.Errorf("read observations: %w", err)
	}
	out := map[string][]analytics.Observation{}
	for _, row := range rows {
		o := analytics.Observation{
			SubscriptionID: row.SubscriptionID, Source: analytics.Source(row.Source), SourceID: row.SourceID, Kind: analytics.Kind(row.Kind),
			At: row.At.UTC(), ObjectCreated: row.ObjectCreated.UTC(), Complete: row.Complete,
		}
		if err := json.Unmarshal(row.Facts, &o.After); err != nil {
			return nil, fmt.Errorf("read facts of %s: %w", row.SourceID, err)
		}
		if row.Before != nil {
			o.Before = new(billing.Facts)
			if err := json.Unmarshal(row.Before, o.Before); err != nil {
				return nil, fmt.Errorf("read facts before %s: %w", row.SourceID, err)
			}
		}
		out[row.SubscriptionID] = append(out[row.SubscriptionID], o)
	}
	return out, nil
}

// writeVersions rewrites the stored history by difference.
func (w *writing) writeVersions() (changed bool, err error) {
	rows, err := w.q.VersionsOfCustomer(w.ctx, w.Subject)
	if err != nil {
		return false, fmt.Errorf("read versions: %w", err)
	}
	type key struct {
		id string
		at int64
	}
	stored := map[key]db.SubscriptionVersion{}
	for _, row := range rows {
		stored[key{row.SubscriptionID, row.At.Unix()}] = row
	}
	for _, history := range w.histories {
		for _, v := range history {
			k := key{v.SubscriptionID, v.At.Unix()}
			row, ok := stored[k]
			delete(stored, k)
			if ok && row.Source == string(v.Source) && row.SourceID == v.SourceID && equalFacts(row.Facts, v.Facts) {
				continue
			}
			changed = true
			if err := w.q.WriteVersion(w.ctx, db.WriteVersionParams{
				SubscriptionID: v.SubscriptionID, At: v.At, StripeCustomerID: w.Subject, Facts: mustJSON(v.Facts),
				Source: string(v.Source), SourceID: v.SourceID,
			}); err != nil {
				return false, fmt.Errorf("write version of %s: %w", v.SubscriptionID, err)
			}
		}
	}
	for k, row := range stored { // the history no longer has them
		changed = true
		if err := w.q.DeleteVersion(w.ctx, db.DeleteVersionParams{SubscriptionID: k.id, At: row.At}); err != nil {
			return false, fmt.Errorf("delete version of %s: %w", k.id, err)
		}
	}
	return changed, nil
}

func equalFacts(stored json.RawMessage, facts billing.Facts) bool {
	var s billing.Facts
	return json.Unmarshal(stored, &s) == nil && s.Equal(facts)
}

// endEvents marks exactly the events that this sync took up.
func (w *writing) endEvents() error {
	if len(w.events) == 0 {
		return nil
	}
	var params db.MarkEventsParams
	for _, t := range w.events {
		state := eventProcessed
		if t.parked != "" {
			state = eventParked
		}
		params.Created = append(params.Created, t.row.Created)
		params.Ids = append(params.Ids, t.row.ID)
		params.States = append(params.States, state)
		params.Reasons = append(params.Reasons, t.parked)
	}
	if err := w.q.MarkEvents(w.ctx, params); err != nil {
		return fmt.Errorf("mark events: %w", err)
	}
	return nil
}

// finish gives the claim back and says when to ask again without being told.
func (w *writing) finish() error {
	if err := w.q.FinishClaim(w.ctx, db.FinishClaimParams{Subject: w.Subject, Wanted: w.Wanted, NextIn: w.nextIn()}); err != nil {
		return fmt.Errorf("finish the claim: %w", err)
	}
	return nil
}

// nextIn is how long until something should happen: a week at the latest, so
// that even a lost webhook heals by itself.
func (w *writing) nextIn() time.Duration {
	next := 7 * 24 * time.Hour
	now := w.answer.At
	if !w.meets && now.Sub(w.newestEvent) < time.Minute {
		return 5 * time.Second // copy and history must meet
	}
	if w.isGone {
		return 24 * time.Hour
	}
	soon := func(moment time.Time) {
		if in := moment.Add(time.Hour).Sub(now); !moment.IsZero() && in > 0 {
			next = min(next, in)
		}
	}
	for _, s := range w.answer.Subscriptions {
		if s.Facts.Status.IsTerminal() {
			continue
		}
		soon(s.CurrentPeriodEnd)
		soon(s.Facts.TrialEnd.Time())
		soon(s.Facts.EndsAt.Time())
		if s.Facts.Pause != nil {
			soon(s.Facts.Pause.ResumesAt.Time())
		}
		if s.LatestInvoice != nil {
			soon(s.LatestInvoice.NextAttemptAt)
		}
	}
	return next
}

func orEmpty[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}
