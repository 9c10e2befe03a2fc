package payments

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// effects are what follows from the changes of a batch: mails, entries of the
// record of acts, alerts. They are gathered while the batch is computed, without
// asking anybody, and written in its transaction: a change and what follows from
// it are there together or not at all.
type effects struct {
	mails    []mailing
	acts     []audit.Entry
	raised   []db.RaiseAlertParams
	resolved []string // fingerprints
}

// mailing is a mail to whoever pays for an organization.
type mailing struct {
	kind, key  string
	orgID      uuid.UUID
	customerID string
	notice     billing.Notice
}

// The kinds of mails.
const (
	mailReceipt       = "receipt"
	mailPaymentFailed = "payment_failed"
)

// mailable is how long ago a happening may lie and still be written to anybody:
// what is older is no news.
const mailable = 24 * time.Hour

// effects works out what follows for one subject.
func (w *writing) effects() {
	for _, e := range w.changes.told {
		if deref(e.StripeCustomerID) != w.Subject {
			continue
		}
		w.mail(e)
		w.alertOf(e)
	}
	w.recordTransitions()
	w.judgePrices()
	for _, t := range w.events {
		if t.parked != "" {
			w.raise(w.about(parkedAlert(t.row.ID, t.row.Type, t.parked)))
		}
	}
	// It has been written, so that nothing is wrong with it, or with Stripe.
	w.resolve(failingFingerprint(w.Subject), ruleUnreachable)
	if len(w.answer.Subscriptions) > 0 && !w.isGone {
		w.resolve(ruleVanished) // the key is one of the account that has our customers
	}
}

func (w *writing) raise(a db.RaiseAlertParams) {
	w.changes.raised = append(w.changes.raised, a)
}

func (w *writing) resolve(fingerprints ...string) {
	w.changes.resolved = append(w.changes.resolved, fingerprints...)
}

// about makes an alert one of this customer.
func (w *writing) about(a db.RaiseAlertParams) db.RaiseAlertParams {
	a.OrgID, a.StripeCustomerID, a.At = w.customer.OrgID, &w.Subject, w.now
	return a
}

// who is the customer by the name that an administrator knows.
func (w *writing) who() string {
	if id := w.customer.OrgID; id != nil && w.rows.organizations[*id] != "" {
		return w.rows.organizations[*id]
	}
	return "Customer " + w.Subject
}

// mail writes to whoever pays, of a payment or a failure that is news.
func (w *writing) mail(e db.PaymentEvent) {
	isNews := e.At.After(w.now.Add(-mailable))
	if w.customer.OrgID == nil || deref(e.AmountMinor) <= 0 || e.InvoiceID == nil || !isNews {
		return
	}
	m := mailing{kind: mailReceipt, key: e.NaturalKey, orgID: *w.customer.OrgID, customerID: w.Subject, notice: billing.Notice{
		Plan: deref(e.Plan), Interval: billing.Interval(deref(e.Interval)), Currency: money.Currency(deref(e.Currency)),
		AmountMinor: *e.AmountMinor, At: e.At, InvoiceID: *e.InvoiceID,
	}}
	var details struct {
		Attempt    int64  `json:"attempt"`
		InvoiceURL string `json:"invoice_url"`
	}
	if json.Unmarshal(e.Details, &details) == nil { // ours, and what cannot be read of it is left out
		m.notice.Attempt, m.notice.InvoiceURL = details.Attempt, details.InvoiceURL
	}
	switch e.Kind {
	case "payment_succeeded":
	case "payment_failed":
		if w.isSettled(*e.InvoiceID) {
			return // it has been passed over
		}
		m.kind = mailPaymentFailed
		row := w.copies[deref(e.SubscriptionID)]
		m.notice.HasEnded = billing.Status(row.Status).IsTerminal()
		if deref(row.LatestInvoiceID) == *e.InvoiceID && !m.notice.HasEnded {
			m.notice.NextAttemptAt = deref(row.NextPaymentAttempt)
		}
	default:
		return
	}
	w.changes.mails = append(w.changes.mails, m)
}

// isSettled reports whether nothing is owed any more for an invoice.
func (w *writing) isSettled(invoiceID string) bool {
	settles := func(kind string, id *string) bool {
		return deref(id) == invoiceID && slices.Contains([]string{"payment_succeeded", "invoice_voided", "invoice_marked_uncollectible"}, kind)
	}
	return slices.ContainsFunc(w.rows.events[w.Subject], func(e db.PaymentEvent) bool { return settles(e.Kind, e.InvoiceID) }) ||
		slices.ContainsFunc(w.changes.told, func(e db.PaymentEvent) bool { return settles(e.Kind, e.InvoiceID) })
}

// stands is how a subscription stands in the record of acts.
type stands struct {
	Status    string           `json:"status"`
	Plan      string           `json:"plan,omitempty"`
	Interval  billing.Interval `json:"interval,omitempty"`
	Quantity  int64            `json:"quantity"`
	EndsAt    time.Time        `json:"ends_at,omitzero"`
	Pause     string           `json:"pause,omitempty"`
	ResumesAt time.Time        `json:"resumes_at,omitzero"`
}

func standsOf(row db.Subscription) stands {
	s := stands{
		Status: row.Status, Plan: deref(row.Plan), Interval: billing.Interval(deref(row.Interval)), Quantity: row.Quantity,
		Pause: deref(row.PauseBehavior), ResumesAt: deref(row.PauseResumesAt).UTC(),
	}
	switch {
	case billing.Status(row.Status).IsTerminal():
	case row.CancelAt != nil:
		s.EndsAt = row.CancelAt.UTC()
	case row.CancelAtPeriodEnd:
		s.EndsAt = row.CurrentPeriodEnd.UTC()
	}
	return s
}

// recordTransitions records what Stripe made of each row: the row changes once,
// so it is recorded once.
func (w *writing) recordTransitions() {
	for _, id := range slices.Sorted(maps.Keys(w.copies)) {
		row := w.copies[id]
		old, known := w.old[id]
		after := standsOf(row)
		entry := audit.Entry{
			At: w.answer.At, Act: "subscription_changed", ObjectKind: "subscription", ObjectID: id, Actor: audit.Actor{Kind: audit.Stripe},
			OrgID: w.customer.OrgID, CustomerID: w.Subject, EventID: w.lastEventOf(id), After: after,
		}
		if known {
			before := standsOf(old)
			if before == after {
				continue
			}
			entry.Before = before
		}
		switch {
		case !known:
			entry.Act = "subscription_created"
		case billing.Status(row.Status).IsTerminal():
			entry.Act = "subscription_ended"
		}
		w.changes.acts = append(w.changes.acts, entry)
	}
}

// lastEventOf is the newest event of this sync that told of the subscription.
func (w *writing) lastEventOf(id string) string {
	for _, t := range slices.Backward(w.events) {
		if t.observation != nil && t.observation.SubscriptionID == id && t.parked == "" {
			return t.event.ID
		}
	}
	return ""
}

// flushEffects writes what follows, a round trip a table and those alone that
// have anything to write.
func (b *batch) flushEffects() error { return b.writeEffects(b.ctx, b.tx, b.q, b.changes.effects) }

// writeEffects writes mails with their jobs, acts, and alerts; these in order of
// their fingerprints, because they are rows of all customers.
func (p *Payments) writeEffects(ctx context.Context, tx pgx.Tx, q *db.Queries, e effects) error {
	if len(e.mails) > 0 {
		if err := p.queueMails(ctx, tx, q, e.mails); err != nil {
			return err
		}
	}
	if len(e.acts) > 0 {
		if err := audit.Write(ctx, q, e.acts...); err != nil {
			return err
		}
	}
	if len(e.raised) > 0 {
		raised := slices.SortedStableFunc(slices.Values(e.raised), byFingerprint)
		if err := each(q.RaiseAlert(ctx, raised)); err != nil {
			return fmt.Errorf("raise alerts: %w", err)
		}
	}
	if len(e.resolved) > 0 {
		if err := q.ResolveAlerts(ctx, db.ResolveAlertsParams{Fingerprints: e.resolved, At: p.Now()}); err != nil {
			return fmt.Errorf("resolve alerts: %w", err)
		}
	}
	return nil
}

// byFingerprint is the order in which everyone takes the rows of alerts.
func byFingerprint(a, b db.RaiseAlertParams) int {
	return strings.Compare(a.Fingerprint, b.Fingerprint)
}

// queueMails writes the mails and the jobs that deliver those nobody had
// written before.
func (p *Payments) queueMails(ctx context.Context, tx pgx.Tx, q *db.Queries, mails []mailing) error {
	params := db.QueueMailsParams{CreatedAt: p.Now()}
	for _, m := range mails {
		params.Kinds = append(params.Kinds, m.kind)
		params.NaturalKeys = append(params.NaturalKeys, m.key)
		params.OrgIds = append(params.OrgIds, m.orgID)
		params.StripeCustomerIds = append(params.StripeCustomerIds, m.customerID)
		params.Payloads = append(params.Payloads, mustJSON(m.notice))
	}
	ids, err := q.QueueMails(ctx, params)
	if err != nil {
		return fmt.Errorf("queue mails: %w", err)
	}
	if len(ids) == 0 || p.Enqueue == nil {
		return nil
	}
	if err := p.Enqueue(ctx, tx, ids); err != nil {
		return fmt.Errorf("enqueue the delivery of %d mails: %w", len(ids), err)
	}
	return nil
}

// judgeOrganizations records how the access of each organization of the batch
// changed, and looks for those that pay twice.
func (b *batch) judgeOrganizations() {
	for _, e := range b.changes.entitlements {
		old := b.rows.entitlements[e.OrgID]
		if old.Access == e.Access && deref(old.Plan) == deref(e.Plan) || old.Access == "" && e.Access == string(billing.AccessNone) {
			continue
		}
		entry := audit.Entry{
			At: e.AsOf, Act: "access_changed", ObjectKind: "organization", ObjectID: e.OrgID.String(), Actor: audit.Actor{Kind: audit.System},
			OrgID: &e.OrgID, After: accessGiven{e.Access, e.Reason, deref(e.Plan)},
		}
		if old.Access != "" {
			entry.Before = accessGiven{old.Access, old.Reason, deref(old.Plan)}
		}
		b.changes.acts = append(b.changes.acts, entry)
	}
	held := map[uuid.UUID][]db.Subscription{}
	for id, customer := range b.rows.customers {
		if customer.OrgID == nil {
			continue
		}
		rows := b.rows.subscriptions[id]
		if w := b.writings[id]; w != nil {
			rows = slices.Collect(maps.Values(w.copies))
		}
		held[*customer.OrgID] = append(held[*customer.OrgID], rows...)
	}
	for orgID, rows := range held {
		b.judgeSecond(orgID, rows)
	}
}

type accessGiven struct {
	Access string `json:"access"`
	Reason string `json:"reason"`
	Plan   string `json:"plan,omitempty"`
}

// judgeSecond finds a second live subscription of an organization: made in
// Stripe's dashboard, as ours sells none, and paid for twice.
func (b *batch) judgeSecond(orgID uuid.UUID, rows []db.Subscription) {
	fingerprint := ruleSecond + ":" + orgID.String()
	rows = slices.DeleteFunc(rows, func(row db.Subscription) bool { return !billing.Status(row.Status).IsLive() || !row.IsVerified })
	if len(rows) < 2 {
		b.changes.resolved = append(b.changes.resolved, fingerprint)
		return
	}
	slices.SortFunc(rows, func(x, y db.Subscription) int {
		return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), strings.Compare(x.StripeSubscriptionID, y.StripeSubscriptionID))
	})
	var said []string
	var found []map[string]any
	for _, row := range rows {
		said = append(said, fmt.Sprintf("%s (%s, %s, since %s)",
			row.StripeSubscriptionID, cmp.Or(b.planName(deref(row.Plan)), "unknown plan"), row.Status, day(row.CreatedAt)))
		found = append(found, map[string]any{
			"subscription": row.StripeSubscriptionID, "customer": row.StripeCustomerID, "status": row.Status, "plan": deref(row.Plan), "created_at": row.CreatedAt.UTC(),
		})
	}
	first, newest := rows[0], rows[len(rows)-1]
	b.changes.raised = append(b.changes.raised, db.RaiseAlertParams{
		Rule: ruleSecond, Fingerprint: fingerprint, Severity: severityCritical, At: b.now, Seen: 1,
		OrgID: &orgID, StripeCustomerID: &newest.StripeCustomerID, ObjectID: &newest.StripeSubscriptionID,
		Message: fmt.Sprintf("%s has %d live subscriptions and may be charged for each: %s.",
			cmp.Or(b.rows.organizations[orgID], "Organization "+orgID.String()), len(rows), strings.Join(said, ", ")),
		Evidence: mustJSON(map[string]any{"subscriptions": found}),
		Proposal: new(fmt.Sprintf("Ask the customer which one they want. Unless they say otherwise, cancel the newest, %s, in Stripe, refund what was paid for it, and keep %s.",
			newest.StripeSubscriptionID, first.StripeSubscriptionID)),
	})
}

func (p *Payments) planName(code string) string {
	if plan, ok := p.Plans.ByCode(code); ok {
		return plan.Name
	}
	return code
}

// day is a date as people read it.
func day(t time.Time) string { return t.UTC().Format("2 Jan 2006") }
