package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

// decoder is the version of stripeshape's reading of facts, stored with each
// observation so that a better reader can find what to read again.
const decoder = 2

// material is all that a write needs, gathered outside any transaction.
type material struct {
	claim
	events []taken
	// hasMore: the subject has more events pending than this sync takes up.
	hasMore bool
	answer  Answer
	// isGone: Stripe does not know the customer, so the answer is empty and our
	// rows are the end of their history.
	isGone bool
	// invoices are those of the subscriptions whose payment fails, newest first:
	// access depends on what was paid before and on what is tried again.
	invoices map[string][]billing.Invoice
	// prices are those that the facts of events and answer name, by id, as far
	// as anyone knows them; learned are the ones to remember.
	prices  map[string]billing.Price
	learned []billing.Price
	// isTrial: the write is to find out whether it works, and the claim stays.
	isTrial bool
	// refused is why a write left this subject out: errOvertaken, errVanished.
	refused error
}

// ask takes the pending events up and asks Stripe how the customer stands.
func (p *Payments) ask(ctx context.Context, d due) (*material, error) {
	m := &material{claim: d.claim, prices: map[string]billing.Price{}}
	for _, row := range d.events {
		m.events = append(m.events, take(row))
		m.hasMore = row.HasMore
	}
	var err error
	m.answer, err = p.Stripe.Subscriptions(ctx, d.Subject)
	m.isGone = errors.Is(err, ErrNoSuchObject) && !m.answer.At.IsZero()
	if err != nil && !m.isGone {
		return m, fmt.Errorf("ask for subscriptions: %w", err)
	}
	if m.isGone {
		if err := p.askForEnded(ctx, m); err != nil {
			return m, err
		}
	}
	if err := p.askForRefunds(ctx, m); err != nil {
		return m, err
	}
	if err := p.askForInvoices(ctx, m); err != nil {
		return m, err
	}
	if m.isStale() && d.StaleAsks < maxStaleAsks {
		return m, errStale
	}
	return m, p.learnPrices(ctx, m)
}

func (p *Payments) askForInvoices(ctx context.Context, m *material) (err error) {
	m.invoices = map[string][]billing.Invoice{}
	for _, s := range m.answer.Subscriptions {
		if s.Facts.Status != billing.StatusPastDue {
			continue
		}
		if m.invoices[s.ID], err = p.Stripe.Invoices(ctx, s.ID); err != nil {
			return fmt.Errorf("ask for invoices of %s: %w", s.ID, err)
		}
	}
	return nil
}

// isStale reports whether the answer is older than what the events tell: it
// lacks a subscription that one names, or still shows the state before one of
// less than a minute ago.
func (m material) isStale() bool {
	told := map[string][]analytics.Observation{}
	for _, t := range m.events {
		if t.observation != nil {
			told[t.observation.SubscriptionID] = append(told[t.observation.SubscriptionID], *t.observation)
		}
	}
	for id, observations := range told {
		answered, ok := m.answer.find(id)
		if !ok {
			return true
		}
		last, ok := newest(observations)
		if !ok || answered.Facts.Equal(last.After) {
			continue
		}
		for _, o := range observations {
			if m.isFresh(o.At) && o.Before != nil && answered.Facts.Equal(*o.Before) {
				return true
			}
		}
	}
	return false
}

// isFresh reports whether the answer may still lack what happened then.
func (m material) isFresh(at time.Time) bool { return m.answer.At.Sub(at) < time.Minute }

// newest is the event that a subscription's events end in. Those of one second
// have no order of their own; the fold finds it.
func newest(observations []analytics.Observation) (analytics.Observation, bool) {
	versions := analytics.Versions(observations)
	if len(versions) == 0 {
		return analytics.Observation{}, false
	}
	last := versions[len(versions)-1].SourceID
	i := slices.IndexFunc(observations, func(o analytics.Observation) bool { return o.SourceID == last })
	return observations[i], true
}

func (a Answer) find(id string) (billing.Subscription, bool) {
	i := slices.IndexFunc(a.Subscriptions, func(s billing.Subscription) bool { return s.ID == id })
	if i < 0 {
		return billing.Subscription{}, false
	}
	return a.Subscriptions[i], true
}

// learnPrices finds what every price named means and costs: remembered, or
// asked for once and remembered for ever. One that means no plan is asked for
// again with whoever has nothing but such: beside a plan it may be another thing
// that is sold, which many customers have and nobody will ever name.
func (p *Payments) learnPrices(ctx context.Context, m *material) error {
	named := map[string]billing.Subscription{} // price id → one that names it
	note := func(s billing.Subscription) {
		for _, item := range s.Facts.Items {
			named[item.PriceID] = s
		}
	}
	for _, t := range m.events {
		if t.subscription != nil {
			note(*t.subscription)
		}
		if t.observation != nil && t.observation.Before != nil {
			note(billing.Subscription{Facts: *t.observation.Before})
		}
	}
	for _, s := range m.answer.Subscriptions {
		note(s)
	}
	ids := make([]string, 0, len(named))
	for id := range named {
		ids = append(ids, id)
	}
	rows, err := db.New(p.Pool).PricesByID(ctx, ids)
	if err != nil {
		return fmt.Errorf("read prices: %w", err)
	}
	for _, row := range rows {
		if m.prices[row.StripePriceID], err = priceFromRow(row); err != nil {
			return err
		}
	}
	for id, s := range named {
		known, ok := m.prices[id]
		if _, priced := known.Amounts[s.Facts.Currency]; ok && priced {
			if plan := p.planOf(known); plan != known.Plan { // the configuration has learned it meanwhile
				known.Plan = plan
				m.prices[id] = known
				m.learned = append(m.learned, known)
			}
			// Of one that means no plan somebody may have said so at Stripe since.
			if known.Plan != "" || !s.Facts.Status.IsLive() || meansPlan(s.Facts, m.prices) {
				continue
			}
		}
		price, err := p.Stripe.Price(ctx, id)
		if errors.Is(err, ErrNoSuchObject) {
			continue // the subscription keeps what it had; nothing is guessed
		}
		if err != nil {
			return fmt.Errorf("ask for price %s: %w", id, err)
		}
		price.Plan = p.planOf(price)
		m.prices[id] = price
		m.learned = append(m.learned, price)
	}
	return nil
}

// meansPlan reports whether a price of any item is known to mean a plan.
func meansPlan(facts billing.Facts, prices map[string]billing.Price) bool {
	return slices.ContainsFunc(facts.Items, func(item billing.Item) bool { return prices[item.PriceID].Plan != "" })
}

// planOf says which plan a price means: what is sold by this configuration,
// else the product's metadata, else the lookup key; empty when nothing says.
func (p *Payments) planOf(price billing.Price) string {
	for offer, id := range p.Sold {
		if id == price.ID {
			return offer.Plan
		}
	}
	if _, ok := p.Plans.ByCode(price.Plan); ok {
		return price.Plan
	}
	for _, plan := range p.Plans.Plans {
		for _, interval := range billing.Intervals() {
			if price.LookupKey == plan.LookupKey(interval) {
				return plan.Code
			}
		}
	}
	return price.Plan
}

func priceFromRow(row db.Price) (billing.Price, error) {
	price := billing.Price{
		ID: row.StripePriceID, Plan: deref(row.Plan), Interval: billing.Interval(row.Interval), IntervalCount: int64(row.IntervalCount),
		UsageType: row.UsageType, ProductID: row.Product, LookupKey: deref(row.LookupKey), Livemode: row.Livemode,
	}
	if err := json.Unmarshal(row.Amounts, &price.Amounts); err != nil {
		return price, fmt.Errorf("read amounts of price %s: %w", price.ID, err)
	}
	return price, nil
}
