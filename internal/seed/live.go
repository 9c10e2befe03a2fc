package seed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/payments"
)

// World is what a plan is lived in. The product's workers, its webhook and the
// ledger must be running: what Stripe tells is taken in as ever.
type World struct {
	Auth     *auth.Auth
	Payments *payments.Payments
	Stripe   Stripe
	// Password is everybody's.
	Password auth.PasswordHash
	// Now is the business clock. Advance moves it on and returns when all that
	// fell due has happened and was told once.
	Now     func() time.Time
	Advance func(ctx context.Context, to time.Time) error
	// Settle waits until everything that Stripe told is processed and counted.
	Settle func(ctx context.Context) error
}

// Progress is how far a life in the plan has come.
type Progress struct {
	// Done acts of Total, the last of which was Act.
	Done, Total int
	Act         Act
}

// Live lives the plan, and leaves the clock at its present with everything
// settled. After each act it reports; an error of the report ends it.
//
// Acts are paid for in real time too: where two lie closer together than the
// first one takes, the second comes that much later.
func (w World) Live(ctx context.Context, p Plan, report func(Progress) error) error {
	l := &living{World: w, plan: p, orgs: make([]member, len(p.Organizations))}
	for i, act := range p.Acts {
		if err := l.advance(ctx, act.At); err != nil {
			return err
		}
		if err := l.look(ctx, act.At); err != nil {
			return err
		}
		if err := l.do(ctx, act); err != nil {
			return fmt.Errorf("%s of %s on %s: %w", act.Kind, l.nameOf(act), act.At.Format(time.RFC3339), err)
		}
		if err := report(Progress{Done: i + 1, Total: len(p.Acts), Act: act}); err != nil {
			return err
		}
	}
	if err := l.advance(ctx, p.Present); err != nil {
		return err
	}
	if err := l.closeCheckouts(ctx); err != nil {
		return err
	}
	if err := l.look(ctx, p.Present); err != nil {
		return err
	}
	if err := l.Payments.FlushViews(ctx); err != nil {
		return err
	}
	return w.Settle(ctx)
}

// living is a plan under way.
type living struct {
	World
	plan Plan
	orgs []member
	// looked is how many of the looks at the prices are over.
	looked int
}

// member is what an organization has come to.
type member struct {
	org, user uuid.UUID
	// session is the checkout that has been started and not paid, since opened.
	session string
	opened  time.Time
	// customer and subscription are Stripe's, once something was bought.
	customer, subscription string
}

func (l *living) nameOf(a Act) string {
	if a.Org < 0 {
		return "the calendar"
	}
	return l.plan.Organizations[a.Org].Name
}

func (l *living) advance(ctx context.Context, to time.Time) error {
	if !to.After(l.Now()) {
		return nil
	}
	if err := l.Advance(ctx, to); err != nil {
		return fmt.Errorf("advance to %s: %w", to.Format(time.RFC3339), err)
	}
	return nil
}

func (l *living) do(ctx context.Context, a Act) error {
	if a.Kind == MonthEnds {
		return l.closeCheckouts(ctx)
	}
	m := &l.orgs[a.Org]
	switch a.Kind {
	case SignUp:
		return l.signUp(ctx, m, l.plan.Organizations[a.Org])
	case StartCheckout:
		return l.startCheckout(ctx, m, a)
	case TryCard:
		err := l.Stripe.complete(ctx, m.session, a.Card.Number)
		if isDecline(err) {
			return nil
		}
		return errors.Join(errors.New("the card was to be declined"), err)
	case Pay:
		return l.pay(ctx, m, a)
	case ChangePlan:
		return l.changePlan(ctx, m, a)
	case ReplaceCard:
		return l.replaceCard(ctx, m, a)
	case PayInvoice:
		return l.payInvoice(ctx, m)
	case CancelAtEnd:
		return l.updateSubscription(ctx, m, goodbye(a, url.Values{"cancel_at_period_end": {"true"}}))
	case WithdrawAtEnd:
		return l.updateSubscription(ctx, m, url.Values{"cancel_at_period_end": {"false"}})
	case CancelNow:
		return l.Stripe.call(ctx, http.MethodDelete, "/v1/subscriptions/"+m.subscription+"?"+goodbye(a, url.Values{}).Encode(), "", nil, nil)
	default:
		return l.doRarely(ctx, m, a)
	}
}

func (l *living) signUp(ctx context.Context, m *member, o Organization) error {
	user, owns, err := l.Auth.SignUp(ctx, auth.SignUp{Name: o.Owner, Email: o.Email, Hash: l.Password, Organization: o.Name})
	m.user, m.org = user.ID, owns.OrgID
	return err
}

func (l *living) startCheckout(ctx context.Context, m *member, a Act) error {
	checkout, err := l.Payments.StartCheckout(ctx, payments.CheckoutRequest{
		UserID: m.user, OrgID: m.org, Plan: a.Plan, Interval: a.Interval, Visitor: l.plan.Organizations[a.Org].Visitor,
	})
	m.session, m.opened = checkout.SessionID, l.Now()
	return err
}

// pay pays at Stripe's page and comes back to the one that waits for it.
func (l *living) pay(ctx context.Context, m *member, a Act) error {
	if err := l.Stripe.complete(ctx, m.session, a.Card.Number); err != nil {
		return err
	}
	var session struct{ Customer, Subscription string }
	if err := l.Stripe.get(ctx, "/v1/checkout/sessions/"+m.session, &session); err != nil {
		return err
	}
	m.customer, m.subscription = session.Customer, session.Subscription
	_, err := l.Payments.CheckoutProgress(ctx, m.user, m.session, true)
	m.session = ""
	return err
}

func (l *living) changePlan(ctx context.Context, m *member, a Act) error {
	var subscription struct {
		Items struct {
			Data []struct{ ID string }
		}
	}
	if err := l.Stripe.get(ctx, "/v1/subscriptions/"+m.subscription, &subscription); err != nil {
		return err
	}
	if len(subscription.Items.Data) != 1 {
		return fmt.Errorf("subscription %s has %d items, not one", m.subscription, len(subscription.Items.Data))
	}
	return l.updateSubscription(ctx, m, url.Values{
		"items[0][id]":    {subscription.Items.Data[0].ID},
		"items[0][price]": {l.Payments.Sold[payments.Offer{Plan: a.Plan, Interval: a.Interval}]},
	})
}

// replaceCard gives the customer another card, which the subscription is paid
// with from now on.
func (l *living) replaceCard(ctx context.Context, m *member, a Act) error {
	var method struct{ ID string }
	if err := l.Stripe.post(ctx, "/v1/payment_methods/"+a.Card.Method+"/attach", url.Values{"customer": {m.customer}}, &method); err != nil {
		return err
	}
	return l.updateSubscription(ctx, m, url.Values{"default_payment_method": {method.ID}})
}

func (l *living) payInvoice(ctx context.Context, m *member) error {
	var subscription struct {
		LatestInvoice string `json:"latest_invoice"`
	}
	if err := l.Stripe.get(ctx, "/v1/subscriptions/"+m.subscription, &subscription); err != nil {
		return err
	}
	return l.Stripe.post(ctx, "/v1/invoices/"+subscription.LatestInvoice+"/pay", nil, nil)
}

func (l *living) updateSubscription(ctx context.Context, m *member, form url.Values) error {
	return l.Stripe.post(ctx, "/v1/subscriptions/"+m.subscription, form, nil)
}

func goodbye(a Act, form url.Values) url.Values {
	form.Set("cancellation_details[feedback]", a.Feedback)
	if a.Comment != "" {
		form.Set("cancellation_details[comment]", a.Comment)
	}
	return form
}

const (
	// checkoutLifetime is how long Stripe keeps a checkout page open.
	checkoutLifetime = 24 * time.Hour
	// sweptAtOnce is how many checkouts the product closes in one go.
	sweptAtOnce = 32
)

// closeCheckouts lets the product notice which checkouts nobody came back to.
// It looks every minute of the machine's, in which here weeks go by.
func (l *living) closeCheckouts(ctx context.Context) error {
	over := 0
	for i := range l.orgs {
		if m := &l.orgs[i]; m.session != "" && l.Now().Sub(m.opened) > checkoutLifetime+time.Minute {
			m.session = ""
			over++
		}
	}
	for ; over > 0; over -= sweptAtOnce {
		if err := l.Payments.SweepAttempts(ctx); err != nil {
			return fmt.Errorf("close checkouts that were left: %w", err)
		}
	}
	return nil
}
