package payments

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
)

// rows are the rows as they were when the batch began, by customer.
type rows struct {
	customers     map[string]db.Customer
	organizations map[uuid.UUID]string // their names
	subscriptions map[string][]db.Subscription
	observations  map[string][]db.SubscriptionObservation
	versions      map[string][]db.SubscriptionVersion
	events        map[string][]db.PaymentEvent
	attempts      map[string]db.CheckoutAttempt // by session
	entitlements  map[uuid.UUID]db.Entitlement
	objects       map[string]db.StripeObject // charges and payment intents by id
}

// load reads every row that the subjects need, a query a table.
func (b *batch) load() error {
	subjects := make([]string, len(b.ours))
	var sessions []string
	for i, m := range b.ours {
		subjects[i] = m.Subject
		for _, t := range m.events {
			if t.session != nil {
				sessions = append(sessions, t.session.ID)
			}
		}
	}
	if err := b.loadCustomers(subjects); err != nil {
		return err
	}
	// Access is answered for organizations, which may have had other customers.
	everyone := slices.Sorted(maps.Keys(b.rows.customers))
	subscriptions, err := b.q.SubscriptionsOfCustomers(b.ctx, everyone)
	if err != nil {
		return fmt.Errorf("read subscriptions: %w", err)
	}
	b.rows.subscriptions = byKey(subscriptions, func(r db.Subscription) string { return r.StripeCustomerID })
	versions, err := b.q.VersionsOfCustomers(b.ctx, everyone)
	if err != nil {
		return fmt.Errorf("read versions: %w", err)
	}
	b.rows.versions = byKey(versions, func(r db.SubscriptionVersion) string { return r.StripeCustomerID })
	observations, err := b.q.ObservationsOfCustomers(b.ctx, subjects)
	if err != nil {
		return fmt.Errorf("read observations: %w", err)
	}
	slices.SortFunc(observations, func(x, y db.SubscriptionObservation) int {
		return cmp.Or(strings.Compare(x.SubscriptionID, y.SubscriptionID), x.At.Compare(y.At), strings.Compare(x.Source, y.Source), strings.Compare(x.SourceID, y.SourceID))
	})
	b.rows.observations = byKey(observations, func(r db.SubscriptionObservation) string { return r.StripeCustomerID })
	events, err := b.q.PaymentEventsOfCustomers(b.ctx, subjects)
	if err != nil {
		return fmt.Errorf("read payment events: %w", err)
	}
	slices.SortFunc(events, func(x, y db.PaymentEvent) int { return cmp.Compare(x.ID, y.ID) })
	b.rows.events = byKey(events, func(r db.PaymentEvent) string { return deref(r.StripeCustomerID) })
	if err := b.loadCharges(); err != nil {
		return err
	}
	if len(sessions) == 0 {
		return nil
	}
	attempts, err := b.q.AttemptsBySession(b.ctx, sessions)
	if err != nil {
		return fmt.Errorf("read checkouts: %w", err)
	}
	b.rows.attempts = map[string]db.CheckoutAttempt{}
	for _, a := range attempts {
		b.rows.attempts[deref(a.SessionID)] = a
	}
	return nil
}

// loadCharges reads the charges that refunds and disputes are about.
func (b *batch) loadCharges() error {
	var ids []string
	for _, m := range b.ours {
		for _, t := range m.events {
			for _, h := range t.happenings {
				if h.paidBy != "" {
					ids = append(ids, h.paidBy)
				}
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	objects, err := b.q.StripeObjects(b.ctx, ids)
	if err != nil {
		return fmt.Errorf("read charges: %w", err)
	}
	b.rows.objects = map[string]db.StripeObject{}
	for _, o := range objects {
		b.rows.objects[o.ObjectID] = o
	}
	return nil
}

// loadCustomers reads the subjects, locks the organizations that own them, and
// reads those organizations' other customers.
func (b *batch) loadCustomers(subjects []string) error {
	customers, err := b.q.CustomersByStripeID(b.ctx, subjects)
	if err != nil {
		return fmt.Errorf("read customers: %w", err)
	}
	orgs := map[uuid.UUID]bool{}
	b.rows.customers = map[string]db.Customer{}
	for _, c := range customers {
		b.rows.customers[c.StripeCustomerID] = c
		if c.OrgID != nil {
			orgs[*c.OrgID] = true
		}
	}
	if len(orgs) == 0 {
		return nil
	}
	ids := slices.Collect(maps.Keys(orgs))
	// Queue rows come before organization rows, everywhere.
	locked, err := b.q.LockOrganizations(b.ctx, ids)
	if err != nil {
		return fmt.Errorf("lock organizations: %w", err)
	}
	b.rows.organizations = map[uuid.UUID]string{}
	for _, o := range locked {
		b.rows.organizations[o.ID] = o.Name
	}
	others, err := b.q.CustomersOfOrganizations(b.ctx, ids)
	if err != nil {
		return fmt.Errorf("read customers of organizations: %w", err)
	}
	for _, c := range others {
		b.rows.customers[c.StripeCustomerID] = c
	}
	entitlements, err := b.q.EntitlementsOf(b.ctx, ids)
	if err != nil {
		return fmt.Errorf("read entitlements: %w", err)
	}
	b.rows.entitlements = map[uuid.UUID]db.Entitlement{}
	for _, e := range entitlements {
		b.rows.entitlements[e.OrgID] = e
	}
	return nil
}

// byKey puts rows together that have a key in common, in their order.
func byKey[T any](all []T, key func(T) string) map[string][]T {
	out := map[string][]T{}
	for _, row := range all {
		out[key(row)] = append(out[key(row)], row)
	}
	return out
}
