package payments

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

// maxSubjects is how many subjects one transaction writes.
const maxSubjects = 32

// write makes our rows equal to what Stripe answered about several subjects: in
// one short READ COMMITTED transaction under their queue rows' locks, without
// network, with each table read once and written once. A subject that it leaves
// out says why in its refused.
func (p *Payments) write(ctx context.Context, all []*material) error {
	b := batch{Payments: p, ctx: ctx, now: p.Now()}
	err := db.InTx(ctx, p.Pool, func(tx pgx.Tx, q *db.Queries) error {
		b.tx, b.q = tx, q
		for _, step := range []func() error{
			func() error { return b.lock(all) }, b.refuseVanished, b.rememberWhatWasSeen, b.load, b.refuseStale, b.compute, b.entitle, b.flush, b.flushEffects,
		} {
			if err := step(); err != nil {
				return err
			}
			if len(b.ours) == 0 {
				return nil // all have been overtaken
			}
		}
		return nil
	})
	if err == nil {
		b.tell()
		b.noticeCash()
	}
	return err
}

// batch is one write of several subjects.
type batch struct {
	*Payments
	ctx     context.Context
	tx      pgx.Tx
	q       *db.Queries
	now     time.Time   // of the business
	ours    []*material // in order of their subjects
	rows    rows
	changes changes
	// writings are the subjects by customer, once computed.
	writings map[string]*writing
}

// writing is one subject of a batch. It computes in memory what the batch then
// writes.
type writing struct {
	*batch
	*material
	customer db.Customer
	old      map[string]db.Subscription
	// copies are the rows of the customer's subscriptions as they will be.
	copies map[string]db.Subscription
	// written are those of them that are written anew.
	written map[string]bool
	// What the history says once the events are in it.
	histories map[string][]analytics.Version
	// meets is false while the history does not end in the copy's facts;
	// newestEvent is when the newest event of the history was created.
	meets       bool
	newestEvent time.Time
}

// lock takes the queue rows whose ticket is still the claimer's, in order of
// the subject; the others have been overtaken.
func (b *batch) lock(all []*material) error {
	// What is locked for longer than ever is needed fails this write, whose
	// subjects are then tried alone, and the one that it is about is put off.
	if err := b.q.WaitShortly(b.ctx); err != nil {
		return fmt.Errorf("bound the wait for locks: %w", err)
	}
	var params db.LockClaimsParams
	for _, m := range all {
		params.Subjects = append(params.Subjects, m.Subject)
		params.Tickets = append(params.Tickets, m.Ticket)
	}
	locked, err := b.q.LockClaims(b.ctx, params)
	if err != nil {
		return fmt.Errorf("lock the claims: %w", err)
	}
	mine := map[claimKey]bool{}
	for _, row := range locked {
		mine[claimKey(row)] = true
	}
	for _, m := range all {
		m.refused = errOvertaken
		if mine[claimKey{m.Subject, m.Ticket}] {
			m.refused = nil
			b.ours = append(b.ours, m)
		}
	}
	slices.SortFunc(b.ours, func(x, y *material) int { return strings.Compare(x.Subject, y.Subject) })
	return nil
}

type claimKey struct {
	Subject string
	Ticket  int64
}

// maxVanished is how many customers Stripe may cease to know within ten
// minutes. More are no removals but a wrong key or account, and nothing that it
// says is believed.
const maxVanished = 20

func (b *batch) refuseVanished() error {
	var gone []string
	for _, m := range b.ours {
		if m.isGone {
			gone = append(gone, m.Subject)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	// Once it has been noticed nothing of that is believed until Stripe knows
	// somebody again.
	isOpen, err := b.q.IsAlertOpen(b.ctx, ruleVanished)
	if err != nil {
		return fmt.Errorf("read alert %s: %w", ruleVanished, err)
	}
	n, err := b.q.VanishedOfLate(b.ctx, gone)
	if err != nil {
		return fmt.Errorf("count vanished customers: %w", err)
	}
	if !isOpen && int(n)+len(gone) <= maxVanished {
		return nil
	}
	b.ours = slices.DeleteFunc(b.ours, func(m *material) bool {
		if m.isGone {
			m.refused = errVanished
		}
		return m.isGone
	})
	return nil
}

// rememberWhatWasSeen keeps the customers, and every price and coupon.
func (b *batch) rememberWhatWasSeen() error {
	coupons := map[string]billing.Coupon{}
	learned := map[string]billing.Price{}
	var seen []db.Customer
	at := map[string]time.Time{}
	for _, m := range b.ours {
		currency := m.toldCurrency()
		for _, s := range m.answer.Subscriptions {
			currency = s.Facts.Currency
			for _, c := range s.Coupons {
				coupons[c.ID], at[c.ID] = c, m.answer.At
			}
		}
		for _, price := range m.learned {
			learned[price.ID], at[price.ID] = price, m.answer.At
		}
		customer := db.Customer{StripeCustomerID: m.Subject, Livemode: b.Livemode, Currency: optional(string(currency)), CreatedAt: m.answer.At}
		if m.isGone {
			customer.VanishedAt = &m.answer.At // the database says when
		}
		seen = append(seen, customer)
	}
	// Prices and coupons are rows of all customers: in order of their ids, or
	// two writes that learn the same two would wait for each other.
	for _, id := range slices.Sorted(maps.Keys(coupons)) {
		c := coupons[id]
		if err := b.q.RememberCoupon(b.ctx, db.RememberCouponParams{
			StripeCouponID: c.ID, Duration: c.Duration, PercentOff: c.PercentOff,
			AmountsOff: mustJSON(orEmpty(c.AmountsOff)), SeenAt: at[id],
		}); err != nil {
			return fmt.Errorf("remember coupon %s: %w", c.ID, err)
		}
	}
	if err := asJSON(b.ctx, b.q.SeeCustomers, seen); err != nil {
		return fmt.Errorf("see customers: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(learned)) {
		if err := b.rememberPrice(learned[id], at[id]); err != nil {
			return err
		}
	}
	return nil
}

// rememberPrice keeps a price; where that teaches anything, whoever ever had it
// is counted again.
func (b *batch) rememberPrice(price billing.Price, at time.Time) error {
	n, err := b.q.RememberPrice(b.ctx, db.RememberPriceParams{
		StripePriceID: price.ID, Plan: price.Plan, Interval: string(price.Interval), IntervalCount: int32(price.IntervalCount), //nolint:gosec // at most 1,095 at Stripe
		UsageType: price.UsageType, Amounts: mustJSON(price.Amounts), Product: price.ProductID, LookupKey: price.LookupKey,
		Livemode: price.Livemode, SeenAt: at,
	})
	if err != nil {
		return fmt.Errorf("remember price %s: %w", price.ID, err)
	}
	if n == 0 {
		return nil
	}
	if err := b.q.MarkDirtyByPrice(b.ctx, price.ID); err != nil {
		return fmt.Errorf("mark dirty who had price %s: %w", price.ID, err)
	}
	return nil
}

// refuseStale leaves out answers that are older than what was written already:
// the events that told it may have been taken up by an earlier sync.
func (b *batch) refuseStale() error {
	var err error
	b.ours = slices.DeleteFunc(b.ours, func(m *material) bool {
		if m.StaleAsks >= maxStaleAsks || err != nil {
			return false
		}
		for _, s := range m.answer.Subscriptions {
			var isBehind bool
			if isBehind, err = m.isBehind(s, b.rows.versions[m.Subject]); isBehind {
				m.refused = errStale
				return true
			}
		}
		return false
	})
	return err
}

// isBehind reports whether the answer shows a state that the history left less
// than a minute ago and has not come back to.
func (m *material) isBehind(s billing.Subscription, history []db.SubscriptionVersion) (bool, error) {
	history = slices.DeleteFunc(slices.Clone(history), func(v db.SubscriptionVersion) bool { return v.SubscriptionID != s.ID })
	n := len(history)
	if n < 2 || !m.isFresh(history[n-1].At) {
		return false, nil // as nearly always
	}
	for i := n - 1; i >= 0; i-- {
		var facts billing.Facts
		if err := unmarshalFacts(history[i].Facts, &facts); err != nil {
			return false, err
		}
		if facts.Equal(s.Facts) {
			return i < n-1, nil
		}
		if !m.isFresh(history[i].At) {
			break // what was before this one was left longer ago
		}
	}
	return false, nil
}

// compute works everything out for each subject by itself. No step asks the
// database but the one for prices that only the histories name.
func (b *batch) compute() error {
	b.writings = map[string]*writing{}
	all := make([]*writing, len(b.ours))
	for i, m := range b.ours {
		w := &writing{batch: b, material: m, customer: b.rows.customers[m.Subject], meets: true, old: map[string]db.Subscription{}, written: map[string]bool{}}
		for _, row := range b.rows.subscriptions[m.Subject] {
			w.old[row.StripeSubscriptionID] = row
		}
		w.copies = maps.Clone(w.old)
		if err := w.writeHistory(); err != nil {
			return fmt.Errorf("history of %s: %w", m.Subject, err)
		}
		all[i], b.writings[m.Subject] = w, w
	}
	if err := b.knowPricesOfHistories(all); err != nil {
		return err
	}
	for _, w := range all {
		w.writeCheckouts()
		w.writeCopies()
		w.rememberCharges()
		w.recordHappenings()
		w.locateEarlier()
		w.writeStories()
		w.effects()
		w.endEvents()
		w.finish()
	}
	return nil
}

// knowPricesOfHistories reads the prices that only older states name.
func (b *batch) knowPricesOfHistories(all []*writing) error {
	missing := map[string][]*writing{}
	for _, w := range all {
		for id := range w.pricesOfHistory() {
			if _, ok := w.prices[id]; !ok {
				missing[id] = append(missing[id], w)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := b.q.PricesByID(b.ctx, slices.Collect(maps.Keys(missing)))
	if err != nil {
		return fmt.Errorf("read prices of the histories: %w", err)
	}
	for _, row := range rows {
		price, err := priceFromRow(row)
		if err != nil {
			return err
		}
		for _, w := range missing[row.StripePriceID] {
			w.prices[price.ID] = price
		}
	}
	return nil
}

// entitle answers again what each organization may do, by the subscriptions of
// all customers that it ever had.
func (b *batch) entitle() error {
	type holding struct {
		subscriptions []db.Subscription
		versions      []db.SubscriptionVersion
		asOf          time.Time
	}
	held := map[uuid.UUID]*holding{}
	for _, id := range slices.Sorted(maps.Keys(b.rows.customers)) {
		orgID := b.rows.customers[id].OrgID
		if orgID == nil {
			continue
		}
		h := held[*orgID]
		if h == nil {
			h = &holding{}
			held[*orgID] = h
		}
		if w := b.writings[id]; w != nil {
			h.subscriptions = append(h.subscriptions, slices.Collect(maps.Values(w.copies))...)
			h.versions = append(h.versions, w.versions()...)
			h.asOf = w.answer.At
			continue
		}
		h.subscriptions = append(h.subscriptions, b.rows.subscriptions[id]...)
		h.versions = append(h.versions, b.rows.versions[id]...)
	}
	for orgID, h := range held {
		slices.SortFunc(h.subscriptions, func(x, y db.Subscription) int {
			return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), strings.Compare(x.StripeSubscriptionID, y.StripeSubscriptionID))
		})
		params, err := entitle(orgID, h.subscriptions, h.versions, b.Plans, b.Now(), h.asOf)
		if err != nil {
			return fmt.Errorf("entitle organization %s: %w", orgID, err)
		}
		b.changes.entitlements = append(b.changes.entitlements, params)
	}
	b.judgeOrganizations()
	return nil
}

// finish gives the claim back and says when to ask again without being told.
func (w *writing) finish() {
	if w.isTrial {
		return
	}
	f := &w.changes.finished
	wanted := w.Wanted
	if w.hasMore {
		wanted--
	}
	f.Subjects = append(f.Subjects, w.Subject)
	f.Wanted = append(f.Wanted, wanted)
	f.NextAt = append(f.NextAt, w.now.Add(w.nextIn()))
}

// endEvents marks exactly the events that this sync took up.
func (w *writing) endEvents() {
	for _, t := range w.events {
		state := eventProcessed
		if t.parked != "" {
			state = eventParked
		}
		m := &w.changes.marked
		m.Created = append(m.Created, t.row.Created)
		m.Ids = append(m.Ids, t.row.ID)
		m.States = append(m.States, state)
		m.Reasons = append(m.Reasons, t.parked)
	}
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
