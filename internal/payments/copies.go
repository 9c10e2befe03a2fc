package payments

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

// writeCopies makes a row of each subscription equal to the answer. One that
// Stripe no longer lists stays as the end of its history, marked unverified.
func (w *writing) writeCopies() {
	listed := map[string]bool{}
	for _, s := range w.answer.Subscriptions {
		listed[s.ID] = true
		w.writeCopy(s, true)
	}
	for _, t := range w.events { // in order of creation, so the newest stays
		if t.subscription != nil && t.parked == "" && !listed[t.subscription.ID] {
			w.writeCopy(*t.subscription, false)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.written)) {
		w.changes.copies = append(w.changes.copies, w.copies[id])
	}
	for id, row := range w.copies {
		if row.IsVerified && !listed[id] {
			row.IsVerified = false
			w.mark()
			w.copies[id] = row
			w.changes.unverified = append(w.changes.unverified, id)
		}
	}
}

func (w *writing) writeCopy(s billing.Subscription, isVerified bool) {
	var old *db.Subscription
	if row, ok := w.copies[s.ID]; ok {
		old = &row
		if was := billing.Status(row.Status); was.IsTerminal() && was != s.Facts.Status {
			return // what is over never comes back to life, whoever says so
		}
	}
	row := w.copyOf(s, old, isVerified)
	if old == nil || !isSameAhead(*old, row) {
		w.mark()
	}
	w.copies[s.ID], w.written[s.ID] = row, true
	if row.HasPaid { // whatever the checkout's own event said, which may be older
		w.changes.paid = append(w.changes.paid, s.ID)
	}
}

// isSameAhead reports whether the same is to come of both copies: the outlook
// follows from them, where all other figures follow the history.
func isSameAhead(a, b db.Subscription) bool {
	var was, is billing.Facts
	return a.IsVerified == b.IsVerified && deref(a.Plan) == deref(b.Plan) &&
		a.CurrentPeriodStart.Equal(b.CurrentPeriodStart) && a.CurrentPeriodEnd.Equal(b.CurrentPeriodEnd) &&
		unmarshalFacts(a.Facts, &was) == nil && unmarshalFacts(b.Facts, &is) == nil && was.Equal(is)
}

func (w *writing) copyOf(s billing.Subscription, old *db.Subscription, isVerified bool) db.Subscription {
	row := db.Subscription{
		StripeSubscriptionID: s.ID, StripeCustomerID: w.Subject, Status: string(s.Facts.Status), Currency: string(s.Facts.Currency),
		CurrentPeriodStart: s.CurrentPeriodStart, CurrentPeriodEnd: s.CurrentPeriodEnd,
		TrialEnd: optional(s.Facts.TrialEnd.Time()), CancelAtPeriodEnd: s.CancelAtPeriodEnd, CancelAt: optional(s.CancelAt),
		CanceledAt: optional(s.CanceledAt), EndedAt: optional(s.Facts.EndedAt.Time()),
		HasPaid: w.hasPaid(s, old), Livemode: s.Livemode, Facts: mustJSON(s.Facts), CreatedAt: s.CreatedAt,
		ReadAt: w.answer.At, IsVerified: isVerified,
	}
	if p := s.Facts.Pause; p != nil {
		row.PauseBehavior, row.PauseResumesAt = &p.Behavior, optional(p.ResumesAt.Time())
	}
	if i := s.LatestInvoice; i != nil {
		row.LatestInvoiceID, row.LatestInvoiceStatus = &i.ID, optional(i.Status)
		row.NextPaymentAttempt = optional(i.NextAttemptAt)
	}
	if i := oldestOpen(w.invoices[s.ID]); i != nil { // a newer one may be open as well
		row.NextPaymentAttempt = optional(i.NextAttemptAt)
	}
	w.price(&row, s.Facts, old)
	return row
}

// price says what the items mean and cost. Where no price of theirs means a plan,
// the subscription keeps the one that it had: by its history, which is the same
// in whatever order we heard of it.
func (w *writing) price(row *db.Subscription, facts billing.Facts, old *db.Subscription) {
	plan := ""
	if all := chapters(w.histories[row.StripeSubscriptionID], w.prices); len(all) > 0 {
		plan = all[len(all)-1].plan
	}
	if plan == "" && old != nil {
		plan = deref(old.Plan)
	}
	m := mean(facts, w.prices, plan)
	row.Plan, row.StripePriceID, row.Quantity, row.AmountMinor = optional(m.plan), optional(m.priceID), m.quantity, m.amountMinor
	if m.interval != "" {
		row.Interval, row.IntervalCount = new(string(m.interval)), new(int32(m.intervalCount)) //nolint:gosec // at most 1,095 at Stripe
	}
}

func oldestOpen(invoices []billing.Invoice) *billing.Invoice {
	for i := range slices.Backward(invoices) {
		if invoices[i].Status == "open" {
			return &invoices[i]
		}
	}
	return nil
}

// hasPaid: once money has come, it has come.
func (w *writing) hasPaid(s billing.Subscription, old *db.Subscription) bool {
	if old != nil && old.HasPaid {
		return true
	}
	if i := s.LatestInvoice; i != nil && i.IsPaid() {
		return true
	}
	if slices.ContainsFunc(w.invoices[s.ID], billing.Invoice.IsPaid) {
		return true
	}
	return slices.ContainsFunc(w.events, func(t taken) bool {
		return t.parked == "" && slices.ContainsFunc(t.happenings, func(h happening) bool {
			return h.kind == "payment_succeeded" && h.subscriptionID == s.ID
		})
	})
}

// writeCheckouts ends the attempts of which an event told what became.
func (w *writing) writeCheckouts() {
	for _, t := range w.events {
		if t.session == nil || t.parked != "" || w.customer.OrgID == nil {
			continue
		}
		attempt, ok := w.rows.attempts[t.session.ID]
		// One that is not ours is a payment link's, or another system's; and an
		// event of one organization changes nothing of another.
		if !ok || attempt.OrgID != *w.customer.OrgID {
			continue
		}
		w.endAttempt(t, attempt)
		for i := range t.happenings {
			h := &t.happenings[i]
			h.plan, h.interval = attempt.Plan, billing.Interval(attempt.Interval)
			if h.kind == "checkout_abandoned" && attempt.ExpiresAt != nil && attempt.ExpiresAt.Before(t.event.Created) {
				h.at = *attempt.ExpiresAt // whoever notices it first
			}
		}
	}
}

// paymentFailed is our own word for a complete checkout whose asynchronous
// payment has failed; Stripe's stays unpaid.
const paymentFailed = "failed"

// endAttempt ends an attempt as the event says. Whoever comes second changes
// nothing, except what has become of money that was on its way.
func (w *writing) endAttempt(t taken, attempt db.CheckoutAttempt) {
	end := db.AttemptEndedParams{
		ID: attempt.ID, State: attemptComplete, PaymentStatus: t.session.PaymentStatus, SubscriptionID: t.session.SubscriptionID,
		EndedAt: t.event.Created,
	}
	switch _, act := splitType(t.event.Type); act {
	case "expired":
		end.State, end.PaymentStatus = attemptExpired, ""
	case "async_payment_succeeded":
		end.PaymentStatus = "paid"
		w.changes.arrived = append(w.changes.arrived, t.session.ID)
	case "async_payment_failed":
		end.PaymentStatus = paymentFailed
		w.changes.failed = append(w.changes.failed, t.session.ID)
	}
	w.changes.attempts = append(w.changes.attempts, attemptEnd{end, attempt, t.event.ID})
}

// recordHappenings writes what the events told beyond states, and the payments
// that were found when reading.
func (w *writing) recordHappenings() {
	for _, t := range w.events {
		if t.parked != "" {
			continue
		}
		o := w.occasion()
		o.at = t.event.Created
		for _, h := range t.happenings {
			if !h.isHearsay {
				h.eventID = t.event.ID
			}
			w.recordWithPlan(o, w.located(h))
		}
	}
	for _, s := range w.answer.Subscriptions {
		old, known := w.old[s.ID]
		if known && s.LatestInvoice != nil && deref(old.LatestInvoiceID) == s.LatestInvoice.ID && deref(old.LatestInvoiceStatus) == "paid" {
			continue // found before
		}
		if h := foundPaid(s.LatestInvoice); h != nil {
			h.subscriptionID = s.ID
			w.recordWithPlan(w.occasion(), *h)
		}
	}
}

// recordWithPlan gives a happening that names no plan the one of its moment.
func (w *writing) recordWithPlan(o occasion, h happening) {
	if !h.at.IsZero() {
		o.at = h.at
	}
	if then, ok := at(chapters(w.histories[h.subscriptionID], w.prices), o.at); ok && h.plan == "" {
		h.plan, h.interval = then.plan, then.interval
	}
	w.record(o, h)
}

func (w *writing) record(o occasion, h happening) {
	params := recording(o, h)
	if params.InvoiceID != nil { // no figure knows of anything else that no version tells
		w.mark()
	}
	w.changes.recorded = append(w.changes.recorded, params)
	isKnown := func(kind, key string) bool { return kind == params.Kind && key == params.NaturalKey }
	if !slices.ContainsFunc(w.rows.events[w.Subject], func(row db.PaymentEvent) bool { return isKnown(row.Kind, row.NaturalKey) }) &&
		!slices.ContainsFunc(w.changes.told, func(p db.PaymentEvent) bool { return isKnown(p.Kind, p.NaturalKey) }) {
		w.changes.told = append(w.changes.told, params)
	}
}

// located gives what is said of a charge the invoice that the charge paid, and
// what is said of an invoice its subscription.
func (w *writing) located(h happening) happening {
	if h.invoiceID == "" {
		h.invoiceID = deref(w.rows.objects[h.paidBy].InvoiceID)
	}
	if h.subscriptionID == "" && h.invoiceID != "" {
		h.subscriptionID = w.subscriptionOf(h.invoiceID)
	}
	return h
}

// subscriptionOf is the subscription that an invoice was for, as far as its own
// events have told.
func (w *writing) subscriptionOf(invoiceID string) string {
	for _, row := range w.rows.events[w.Subject] {
		if deref(row.InvoiceID) == invoiceID && row.SubscriptionID != nil {
			return *row.SubscriptionID
		}
	}
	for _, t := range w.events {
		for _, h := range t.happenings {
			if h.invoiceID == invoiceID && h.subscriptionID != "" && t.parked == "" {
				return h.subscriptionID
			}
		}
	}
	return ""
}

// locateEarlier gives what was recorded of an invoice before anything told its
// subscription that subscription.
func (w *writing) locateEarlier() {
	events := w.rows.events[w.Subject]
	for i, row := range events {
		if row.SubscriptionID != nil || row.InvoiceID == nil {
			continue
		}
		if id := w.subscriptionOf(*row.InvoiceID); id != "" {
			events[i].SubscriptionID = &id // whose story then says the plan
			w.mark()
			w.changes.located = append(w.changes.located, db.LocatePaymentEventParams{ID: row.ID, SubscriptionID: &id})
		}
	}
}

// rememberCharges keeps whose the charges are that events told of.
func (w *writing) rememberCharges() {
	for _, t := range w.events {
		if t.charge != nil && t.parked == "" && t.charge.CustomerID == w.Subject {
			w.changes.objects = append(w.changes.objects, chargeToRemember(*t.charge)...)
			if t.charge.FailureReason != "" {
				w.mark()
			}
		}
	}
}

func (w *writing) occasion() occasion {
	return occasion{orgID: w.customer.OrgID, customerID: w.Subject, livemode: w.Livemode, at: w.answer.At}
}

func unmarshalFacts(raw json.RawMessage, facts *billing.Facts) error {
	if err := json.Unmarshal(raw, facts); err != nil {
		return fmt.Errorf("read facts: %w", err)
	}
	return nil
}
