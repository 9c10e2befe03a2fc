package reports

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// Event is something that happened to a customer, in the words of the trade.
type Event struct {
	ID   int64
	Kind string
	At   time.Time
	// OrgID is nil and OrgName empty for a customer that no organization owns.
	OrgID            *uuid.UUID
	OrgName          string
	StripeCustomerID string
	SubscriptionID   string
	Plan             string
	Interval         billing.Interval
	// Currency is empty and AmountMinor nil where no amount belongs to it.
	Currency    money.Currency
	AmountMinor *int64
	// BillingReason is Stripe's, of the invoice that a payment is for.
	BillingReason string
	// FromPlan is the plan before it was changed, FromStatus Stripe's status
	// before the end.
	FromPlan   string
	FromStatus billing.Status
	// Outcome is Stripe's status of a dispute or a refund.
	Outcome string
}

// Story is what happened to one customer at one time: a purchase is one story
// of four events. Its events are never empty, oldest first.
type Story struct {
	Events []Event
}

// Newest is the event by which the story is dated, and that names the customer.
func (s Story) Newest() Event { return s.Events[len(s.Events)-1] }

// Find is the newest event of a kind.
func (s Story) Find(kind string) (Event, bool) {
	for _, e := range slices.Backward(s.Events) {
		if e.Kind == kind {
			return e, true
		}
	}
	return Event{}, false
}

const (
	overviewStories = 8
	// newestEvents are enough for so many stories but in a storm of events,
	// which then are fewer stories.
	newestEvents = 100
	// oneStory is how far apart the events of a story may be. Stripe makes those
	// of a purchase or a renewal within a few seconds.
	oneStory = time.Minute
)

func newestStories(ctx context.Context, q *db.Queries) ([]Story, error) {
	rows, err := q.NewestPaymentEvents(ctx, newestEvents)
	if err != nil {
		return nil, fmt.Errorf("newest events: %w", err)
	}
	events := make([]Event, len(rows))
	for i, e := range rows {
		events[i] = Event{
			ID: e.ID, Kind: e.Kind, At: e.At.UTC(), OrgID: e.OrgID, OrgName: value(e.OrgName), StripeCustomerID: value(e.StripeCustomerID),
			SubscriptionID: value(e.SubscriptionID), Plan: value(e.Plan), Interval: billing.Interval(value(e.Interval)),
			Currency: money.Currency(value(e.Currency)), AmountMinor: e.AmountMinor,
			BillingReason: e.BillingReason, FromPlan: e.FromPlan, FromStatus: billing.Status(e.FromStatus), Outcome: e.Outcome,
		}
	}
	stories := tell(events)
	return stories[:min(len(stories), overviewStories)], nil
}

// tell joins the events of a customer that belong together. Events come newest
// first, and so do the stories.
func tell(events []Event) []Story {
	var stories []Story
	latest := map[string]int{} // who -> the story that may go on
	for _, e := range events {
		who := e.StripeCustomerID
		if i, ok := latest[who]; ok && who != "" && stories[i].Events[0].At.Sub(e.At) <= oneStory {
			stories[i].Events = append(stories[i].Events, e)
			continue
		}
		latest[who] = len(stories)
		stories = append(stories, Story{Events: []Event{e}})
	}
	for _, s := range stories {
		slices.Reverse(s.Events)
	}
	return stories
}
