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

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

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
