package payments

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
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

// The rules of alerts that this package finds.
const (
	ruleParked       = "event_parked"
	ruleUnknownPrice = "unknown_price"
	ruleSecond       = "second_subscription"
	ruleOtherMode    = "other_mode"
	ruleDrift        = "version_drift"
	ruleFailing      = "sync_failing"
	ruleUnreachable  = "stripe_unreachable"
	ruleVanished     = "customers_vanished"
	ruleFinalization = "invoice_finalization_failed"
	ruleDispute      = "dispute_opened"
)

const (
	severityWarning  = "warning"
	severityCritical = "critical"
)

// alertOf opens the alert that a happening calls for, or closes the one that it
// ends.
func (w *writing) alertOf(e db.PaymentEvent) {
	amount := money.Format(deref(e.AmountMinor), money.Currency(deref(e.Currency)))
	switch e.Kind {
	case "dispute_opened":
		var details struct {
			Charge        string    `json:"charge"`
			Reason        string    `json:"reason"`
			EvidenceDueAt time.Time `json:"evidence_due_at"`
		}
		_ = json.Unmarshal(e.Details, &details) // ours
		message := fmt.Sprintf("%s disputes a payment of %s (charge %s, reason %s).",
			w.who(), amount, details.Charge, cmp.Or(strings.ReplaceAll(details.Reason, "_", " "), "not given"))
		proposal := "Answer it in Stripe with evidence, or accept it."
		if !details.EvidenceDueAt.IsZero() {
			proposal = fmt.Sprintf("Answer it in Stripe with evidence by %s, or accept it.", day(details.EvidenceDueAt))
		}
		w.raise(w.about(db.RaiseAlertParams{
			Rule: ruleDispute, Fingerprint: ruleDispute + ":" + e.NaturalKey, Severity: severityCritical, Seen: 1, ObjectID: &e.NaturalKey,
			Message: message, Proposal: &proposal, Evidence: e.Details,
		}))
	case "dispute_closed":
		w.resolve(ruleDispute + ":" + e.NaturalKey)
	case "invoice_finalization_failed":
		if w.isSettled(e.NaturalKey) {
			return // that it failed at first is heard late
		}
		w.raise(w.about(db.RaiseAlertParams{
			Rule: ruleFinalization, Fingerprint: ruleFinalization + ":" + e.NaturalKey, Severity: severityWarning, Seen: 1, ObjectID: &e.NaturalKey,
			Message:  fmt.Sprintf("Stripe could not finalize invoice %s of %s over %s: it is not collected, and the subscription goes on.", e.NaturalKey, w.who(), amount),
			Proposal: new("Open the invoice in Stripe, put right what it names (often the customer's address for tax), and finalize it there."),
			Evidence: e.Details,
		}))
	case "payment_succeeded", "invoice_voided", "invoice_marked_uncollectible":
		w.resolve(ruleFinalization + ":" + deref(e.InvoiceID))
	}
}

// judgePrices finds living subscriptions whose prices mean no plan. One that
// has a known price beside is well.
func (w *writing) judgePrices() {
	for _, id := range slices.Sorted(maps.Keys(w.copies)) {
		fingerprint := ruleUnknownPrice + ":" + id
		unknown, ok := w.unknownPrice(w.copies[id])
		if !ok {
			w.resolve(fingerprint)
			continue
		}
		effect := "it gives no access"
		if plan := deref(w.copies[id].Plan); plan != "" {
			effect = "it keeps the access of " + w.planName(plan) + ", which it had"
		}
		w.raise(w.about(db.RaiseAlertParams{
			Rule: ruleUnknownPrice, Fingerprint: fingerprint, Severity: severityWarning, Seen: 1, ObjectID: &id,
			Message:  fmt.Sprintf("Subscription %s of %s is for price %s, which means none of our plans: %s.", id, w.who(), unknown, effect),
			Proposal: new(w.howToName(unknown)),
			Evidence: mustJSON(map[string]any{"subscription": id, "price": unknown, "product": w.prices[unknown].ProductID, "status": w.copies[id].Status}),
		}))
	}
}

func (w *writing) unknownPrice(row db.Subscription) (priceID string, isUnknown bool) {
	var facts billing.Facts
	if !billing.Status(row.Status).IsLive() || !row.IsVerified || unmarshalFacts(row.Facts, &facts) != nil || len(facts.Items) == 0 {
		return "", false
	}
	for _, item := range facts.Items {
		if _, ok := w.Plans.ByCode(w.prices[item.PriceID].Plan); ok {
			return "", false
		}
	}
	return facts.Items[0].PriceID, true
}

// howToName says how a price comes to mean a plan.
func (p *Payments) howToName(priceID string) string {
	var codes, keys []string
	for _, plan := range p.Plans.Plans {
		codes = append(codes, plan.Code)
		for _, interval := range billing.Intervals() {
			keys = append(keys, plan.LookupKey(interval))
		}
	}
	return fmt.Sprintf("In Stripe, set the metadata \"plan\" of the product of %s to one of %s, or give the price one of the lookup keys %s.",
		priceID, strings.Join(codes, ", "), strings.Join(keys, ", "))
}

// parkedAlert is one for all events of a type: what cannot read one of them
// seldom reads the next, and a thousand alerts are none.
func parkedAlert(eventID, eventType, reason string) db.RaiseAlertParams {
	return db.RaiseAlertParams{
		Rule: ruleParked, Fingerprint: ruleParked + ":" + eventType, Severity: severityWarning, Seen: 1, ObjectID: &eventID,
		Message:  fmt.Sprintf("Events of type %s cannot be used and are parked, the newest is %s: %s.", eventType, eventID, strings.TrimSuffix(reason, ".")),
		Proposal: new("Nothing else waits for them. Compare the event with the customer in Stripe; a newer release may read it."),
		Evidence: mustJSON(map[string]any{"event": eventID, "type": eventType, "reason": reason}),
	}
}

func failingFingerprint(subject string) string { return ruleFailing + ":" + subject }

// failingAfter is how many tries of a subject fail before anybody is called.
const failingAfter = 5

// unreachableFor is how long Stripe may not answer before anybody is called.
const unreachableFor = time.Hour

// alertOfFailure opens the alert that a failed sync calls for. While Stripe
// cannot be reached at all, that is one alert and not one for each customer.
func (p *Payments) alertOfFailure(ctx context.Context, c claim, cause error) error {
	q, now := db.New(p.Pool), p.Now()
	var alerts []db.RaiseAlertParams
	isAway := false
	if errors.Is(cause, ErrUnavailable) {
		var err error
		if isAway, err = q.IsAlertOpen(ctx, ruleUnreachable); err != nil {
			return fmt.Errorf("read alert %s: %w", ruleUnreachable, err)
		}
		alerts = append(alerts, db.RaiseAlertParams{
			Rule: ruleUnreachable, Fingerprint: ruleUnreachable, Severity: severityCritical, At: now, Seen: 1, PendingFor: unreachableFor,
			Message:  "Stripe has not answered for an hour. Whoever paid keeps access for seven days; nobody can buy.",
			Proposal: new("Look at https://status.stripe.com, at the secret key, and at the way from this server to Stripe."),
			Evidence: mustJSON(map[string]any{"last_error": clean(cause.Error())}),
		})
	}
	switch {
	case errors.Is(cause, errVanished):
		alerts = append(alerts, db.RaiseAlertParams{
			Rule: ruleVanished, Fingerprint: ruleVanished, Severity: severityCritical, At: now, Seen: 1, StripeCustomerID: &c.Subject,
			Message:  fmt.Sprintf("Stripe no longer knows more than %d customers within ten minutes, the newest is %s: nothing of that is believed or written.", maxVanished, c.Subject),
			Proposal: new("Look whether the secret key belongs to another account or mode than the customers do."),
			Evidence: mustJSON(map[string]any{"customer": c.Subject}),
		})
	case c.Attempts+1 >= failingAfter && !isAway:
		about := c.Subject
		alerts = append(alerts, db.RaiseAlertParams{
			Rule: ruleFailing, Fingerprint: failingFingerprint(c.Subject), Severity: severityWarning, At: now, Seen: 1, ObjectID: &about,
			StripeCustomerID: customerIn(c.Subject),
			Message:          fmt.Sprintf("%s could not be brought up to date in %d tries. It is tried again, at the latest every hour.", c.Subject, c.Attempts+1),
			Proposal:         new("The last error says why. What it has stays as Stripe last said it."),
			Evidence:         mustJSON(map[string]any{"subject": c.Subject, "tries": c.Attempts + 1, "last_error": clean(cause.Error())}),
		})
	}
	if len(alerts) == 0 {
		return nil
	}
	slices.SortFunc(alerts, byFingerprint)
	if err := each(q.RaiseAlert(ctx, alerts)); err != nil {
		return fmt.Errorf("raise alerts of %s: %w", c.Subject, err)
	}
	return nil
}

func customerIn(subject string) *string {
	if namesCustomer(subject) {
		return &subject
	}
	return nil
}

// silentAfter is how long nothing may be seen of a trouble that shows only
// while events come before it is taken for over.
const silentAfter = 24 * time.Hour

// KeepAlerts tells what intake has noticed, and ends the alerts of which
// nothing has been seen for a day. Run does so by itself, every second.
func (p *Payments) KeepAlerts(ctx context.Context) error {
	q := db.New(p.Pool)
	if noticed := p.notices.take(p.Clock()); len(noticed) > 0 {
		alerts := make([]db.RaiseAlertParams, len(noticed))
		for i, n := range noticed {
			alerts[i] = p.alertOfNotice(n)
		}
		if err := each(q.RaiseAlert(ctx, alerts)); err != nil {
			p.notices.giveBack(noticed)
			return fmt.Errorf("raise what intake noticed: %w", err)
		}
	}
	now := p.Now()
	err := q.ResolveSilentAlerts(ctx, db.ResolveSilentAlertsParams{
		Rules: []string{ruleOtherMode, ruleDrift, ruleVanished}, At: now, SilentSince: now.Add(-silentAfter),
	})
	if err != nil {
		return fmt.Errorf("end silent alerts: %w", err)
	}
	return nil
}

func (p *Payments) alertOfNotice(n notice) db.RaiseAlertParams {
	a := db.RaiseAlertParams{
		Rule: string(n.rule), Severity: severityWarning,
		Evidence: mustJSON(map[string]any{"event": n.event.id, "type": n.event.kind, "api_version": n.event.apiVersion}),
	}
	switch n.rule {
	case noticeOtherMode:
		theirs, ours := mode(n.event.livemode), mode(p.Livemode)
		a.Fingerprint = ruleOtherMode
		a.Message = fmt.Sprintf("Events of %s mode arrive here, where the secret key is of %s mode: they are kept and have no effect.", theirs, ours)
		a.Proposal = new(fmt.Sprintf("In Stripe, remove this address from the webhook endpoints of %s mode, or use the key of that mode.", theirs))
	case noticeDrift:
		a.Fingerprint = ruleDrift + ":" + n.about
		a.Message = fmt.Sprintf("Events come in API version %s, and the endpoint should send %s. They are read all the same.", n.about, expectedAPIVersion)
		a.Proposal = new("Run \"promptforge setup-stripe\": it makes an endpoint of the right version. Then remove the other one in Stripe.")
	case noticeParked:
		a = parkedAlert(n.event.id, n.event.kind, n.event.reason)
	}
	a.At, a.Seen, a.ObjectID = p.Now(), n.seen, &n.event.id
	return a
}

func mode(isLive bool) string {
	if isLive {
		return "live"
	}
	return "test"
}

// keepAlertsEverySecond is KeepAlerts until the context ends.
func (p *Payments) keepAlertsEverySecond(ctx context.Context) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			if err := p.KeepAlerts(ctx); err != nil && ctx.Err() == nil {
				p.Log.ErrorContext(ctx, "keep alerts", "error", err)
			}
		}
	}
}
