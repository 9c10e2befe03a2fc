package payments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/stripeshape"
)

// A dispute and a refund name only the charge that they are about, so their
// events are queued under it, as "charge:ch_…", until it is known whose it is.

// maxMissing is how often Stripe is asked for a charge that it does not know
// before its events are given up: it may be younger than the answer.
const maxMissing = 4

// namesCustomer reports whether a subject is a customer rather than a charge or
// a payment intent.
func namesCustomer(subject string) bool { return !strings.Contains(subject, ":") }

// resolve finds out whose a charge or payment intent is and hands its events
// over to that customer, whose sync takes them up. Events of one that has no
// customer end there, with the reason.
func (p *Payments) resolve(ctx context.Context, c claim) error {
	kind, id, _ := strings.Cut(c.Subject, ":")
	known, err := db.New(p.Pool).StripeObject(ctx, id)
	var learned []db.StripeObject
	if db.IsNotFound(err) || err == nil && known.StripeCustomerID == nil {
		learned, err = p.askWhose(ctx, kind, id)
		if errors.Is(err, ErrNoSuchObject) && c.Attempts >= maxMissing {
			return p.giveUp(ctx, c, "Stripe knows no "+strings.ReplaceAll(kind, "_", " ")+" "+id, nil)
		}
		if err == nil {
			known.StripeCustomerID = learned[0].StripeCustomerID
		}
	}
	if err != nil {
		return fmt.Errorf("ask whose %s is: %w", c.Subject, err)
	}
	if known.StripeCustomerID == nil {
		return p.giveUp(ctx, c, "its "+strings.ReplaceAll(kind, "_", " ")+" "+id+" has no customer", learned)
	}
	return p.handOver(ctx, c, *known.StripeCustomerID, learned)
}

// askWhose answers what to remember; first of all the object asked for.
func (p *Payments) askWhose(ctx context.Context, kind, id string) ([]db.StripeObject, error) {
	switch kind {
	case "charge":
		charge, err := p.Stripe.Charge(ctx, id)
		if err != nil {
			return nil, err
		}
		return chargeToRemember(charge), nil
	case "payment_intent":
		intent, err := p.Stripe.PaymentIntent(ctx, id)
		if err != nil {
			return nil, err
		}
		return []db.StripeObject{{
			ObjectID: intent.ID, StripeCustomerID: optional(intent.CustomerID), InvoiceID: optional(intent.InvoiceID),
		}}, nil
	default:
		return nil, fmt.Errorf("nothing is known about a %s: %w", kind, ErrNoSuchObject)
	}
}

// chargeToRemember is a charge and the payment intent behind it.
func chargeToRemember(c stripeshape.Charge) []db.StripeObject {
	out := []db.StripeObject{{
		ObjectID: c.ID, StripeCustomerID: optional(c.CustomerID), InvoiceID: optional(c.InvoiceID),
		AmountMinor: optional(c.AmountMinor), Currency: optional(string(c.Currency)),
		BalanceTransactionID: optional(c.BalanceTransactionID), CreatedAt: optional(c.CreatedAt),
		FailureReason: optional(c.FailureReason),
	}}
	if c.PaymentIntentID != "" {
		out = append(out, db.StripeObject{
			ObjectID: c.PaymentIntentID, StripeCustomerID: optional(c.CustomerID), InvoiceID: optional(c.InvoiceID),
		})
	}
	return out
}

// handOver gives the pending events of a subject to the customer it turned out
// to be, and raises the customer, under the locks of both queue rows: an event
// that is stored meanwhile raises the subject again.
func (p *Payments) handOver(ctx context.Context, c claim, customerID string, learned []db.StripeObject) error {
	err := db.InTx(ctx, p.Pool, func(_ pgx.Tx, q *db.Queries) error {
		rows, err := q.LockHandover(ctx, db.LockHandoverParams{
			Subject: c.Subject, Customer: customerID, Lane: c.Lane, Now: p.Now(),
		})
		if err != nil {
			return fmt.Errorf("lock subject and customer: %w", err)
		}
		if !slices.Contains(rows, db.LockHandoverRow{Subject: c.Subject, Ticket: c.Ticket}) {
			return errOvertaken
		}
		if err := rememberObjects(ctx, q, learned); err != nil {
			return err
		}
		if err := q.HandOverEvents(ctx, db.HandOverEventsParams{Subject: c.Subject, Customer: customerID}); err != nil {
			return fmt.Errorf("hand over events: %w", err)
		}
		return p.rest(ctx, q, c)
	})
	if err != nil {
		return fmt.Errorf("hand over %s to %s: %w", c.Subject, customerID, err)
	}
	p.Wake()
	return nil
}

func (p *Payments) giveUp(ctx context.Context, c claim, reason string, learned []db.StripeObject) error {
	err := db.InTx(ctx, p.Pool, func(_ pgx.Tx, q *db.Queries) error {
		mine, err := q.LockClaims(ctx, db.LockClaimsParams{Subjects: []string{c.Subject}, Tickets: []int64{c.Ticket}})
		if err != nil {
			return fmt.Errorf("lock the claim: %w", err)
		}
		if len(mine) == 0 {
			return errOvertaken
		}
		if err := rememberObjects(ctx, q, learned); err != nil {
			return err
		}
		if err := q.IgnoreEvents(ctx, db.IgnoreEventsParams{Subject: c.Subject, Reason: clean(reason)}); err != nil {
			return fmt.Errorf("ignore events: %w", err)
		}
		return p.rest(ctx, q, c)
	})
	if err != nil {
		return fmt.Errorf("give up %s: %w", c.Subject, err)
	}
	return nil
}

// rest gives the claim of such a subject back. Nothing happens to it by itself.
func (p *Payments) rest(ctx context.Context, q *db.Queries, c claim) error {
	const never = 100 * 365 * 24 * time.Hour
	err := q.FinishClaims(ctx, db.FinishClaimsParams{
		Subjects: []string{c.Subject}, Wanted: []int64{c.Wanted}, NextAt: []time.Time{p.Now().Add(never)}, Now: p.Now(),
	})
	if err != nil {
		return fmt.Errorf("finish the claim: %w", err)
	}
	if err := q.ResolveAlerts(ctx, db.ResolveAlertsParams{Fingerprints: []string{failingFingerprint(c.Subject)}, At: p.Now()}); err != nil {
		return fmt.Errorf("resolve alerts: %w", err)
	}
	return nil
}

// rememberObjects writes charges and payment intents, each once.
func rememberObjects(ctx context.Context, q *db.Queries, objects []db.StripeObject) error {
	if len(objects) == 0 {
		return nil
	}
	if err := asJSON(ctx, q.RememberStripeObjects, objects); err != nil {
		return fmt.Errorf("remember charges: %w", err)
	}
	return nil
}

// askForRefunds finds the refunds that events of refunded charges do not name,
// as none has done since 2022. Where Stripe cannot say, the event's own word
// for how much more was given back remains.
func (p *Payments) askForRefunds(ctx context.Context, m *material) error {
	asked := map[string][]stripeshape.Refund{}
	for i := range m.events {
		t := &m.events[i]
		if t.parked != "" || t.event.Type != "charge.refunded" || t.charge.HasRefunds {
			continue
		}
		id := t.charge.ID
		if _, ok := asked[id]; !ok {
			refunds, err := p.Stripe.Refunds(ctx, id)
			if err != nil && !errors.Is(err, ErrNoSuchObject) && !errors.Is(err, ErrRefused) {
				return fmt.Errorf("ask for refunds of %s: %w", id, err)
			}
			asked[id] = refunds
		}
		t.tellRefunds(asked[id])
	}
	return nil
}

// askForEnded asks for the subscriptions that our rows still show as living of
// a customer whom Stripe no longer knows: it cancels those of a customer that
// is deleted, and answers for each by its id. The others stay as they were.
func (p *Payments) askForEnded(ctx context.Context, m *material) error {
	rows, err := db.New(p.Pool).SubscriptionsOfCustomers(ctx, []string{m.Subject})
	if err != nil {
		return fmt.Errorf("read subscriptions: %w", err)
	}
	for _, row := range rows {
		// One that ended just now is asked about until the history has it, too.
		if billing.Status(row.Status).IsTerminal() && m.answer.At.Sub(deref(row.EndedAt)) > 24*time.Hour {
			continue
		}
		s, err := p.Stripe.Subscription(ctx, row.StripeSubscriptionID)
		if errors.Is(err, ErrNoSuchObject) {
			continue
		}
		if err != nil {
			return fmt.Errorf("ask for subscription %s: %w", row.StripeSubscriptionID, err)
		}
		if s.CustomerID == m.Subject && s.Facts.Status.IsTerminal() {
			m.answer.Subscriptions = append(m.answer.Subscriptions, s)
		}
	}
	return nil
}
