package stripesim_test

import (
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

func phase(price string, start, end time.Time) *stripe.SubscriptionSchedulePhaseParams {
	return &stripe.SubscriptionSchedulePhaseParams{
		StartDate: stripe.Int64(start.Unix()), EndDate: stripe.Int64(end.Unix()),
		Items: []*stripe.SubscriptionSchedulePhaseItemParams{{Price: stripe.String(price), Quantity: stripe.Int64(1)}},
	}
}

// scheduled is a subscription with a schedule of its own.
func (e *era) scheduled(t *testing.T) (*stripe.Subscription, *stripe.SubscriptionSchedule) {
	t.Helper()
	e.card(t, "pm_card_visa")
	subscription := e.subscribe(t, nil)
	schedule, err := e.api.SubscriptionSchedules.New(&stripe.SubscriptionScheduleParams{FromSubscription: stripe.String(subscription.ID)})
	must(t, err)
	return e.subscription(t, subscription.ID), schedule
}

func TestAPhaseThatBeginsWithAPeriodIsBilledFromItsFirstSecond(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	subscription, schedule := e.scheduled(t)
	equal(t, "schedule of the subscription", subscription.Schedule.ID, schedule.ID)
	equal(t, "status", schedule.Status, "active")
	equal(t, "phases", len(schedule.Phases), 1)
	month, later := spring.AddDate(0, 1, 0), spring.AddDate(0, 3, 0)
	dearer := e.dearer(t)
	_, err := e.api.SubscriptionSchedules.Update(schedule.ID, &stripe.SubscriptionScheduleParams{
		Phases: []*stripe.SubscriptionSchedulePhaseParams{phase(e.price.ID, spring, month), phase(dearer.ID, month, later)},
	})
	must(t, err)
	checkState(t, e.Sim, map[string]int{})
	e.to(t, month.Add(2*time.Hour))
	now := e.subscription(t, subscription.ID)
	equal(t, "price", now.Items.Data[0].Price.ID, dearer.ID)
	equal(t, "item", now.Items.Data[0].ID, subscription.Items.Data[0].ID)
	equal(t, "period end", now.CurrentPeriodEnd, spring.AddDate(0, 2, 0).Unix())
	equal(t, "invoiced", e.invoiced(t), 9900+19800)
	e.to(t, later.Add(2*time.Hour))
	released, err := e.api.SubscriptionSchedules.Get(schedule.ID, nil)
	must(t, err)
	equal(t, "status", released.Status, "released")
	equal(t, "released", released.ReleasedSubscription.ID, subscription.ID)
	now = e.subscription(t, subscription.ID)
	equal(t, "status", now.Status, "active")
	if now.Schedule != nil {
		t.Errorf("still scheduled: %s", now.Schedule.ID)
	}
	compareLines(t, e.told(t, "subscription_schedule."), "subscription_schedule.expiring",
		"subscription_schedule.released current_phase,released_at,released_subscription,status,subscription")
	checkState(t, e.Sim, map[string]int{})
}

func TestAPhaseThatBeginsInsideAPeriodIsProrated(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	subscription, schedule := e.scheduled(t)
	dearer, middle := e.dearer(t), spring.Add(10*day)
	_, err := e.api.SubscriptionSchedules.Update(schedule.ID, &stripe.SubscriptionScheduleParams{
		EndBehavior: stripe.String("cancel"),
		Phases:      []*stripe.SubscriptionSchedulePhaseParams{phase(e.price.ID, spring, middle), phase(dearer.ID, middle, spring.AddDate(0, 2, 0))},
	})
	must(t, err)
	equal(t, "the end is known", e.subscription(t, subscription.ID).CancelAt, spring.AddDate(0, 2, 0).Unix())
	_, err = e.api.Subscriptions.Update(subscription.ID, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "")
	e.after(t, 11*day)
	equal(t, "price", e.subscription(t, subscription.ID).Items.Data[0].Price.ID, dearer.ID)
	e.to(t, spring.AddDate(0, 2, 0).Add(time.Hour))
	equal(t, "status", e.subscription(t, subscription.ID).Status, "canceled")
	completed, err := e.api.SubscriptionSchedules.Get(schedule.ID, nil)
	must(t, err)
	equal(t, "schedule", completed.Status, "completed")
	// 21 of the 31 days at the new price and back at the old one, and a month.
	equal(t, "invoiced", e.invoiced(t), 9900+19800+13413-6706)
	compareLines(t, e.told(t, "subscription_schedule."), "subscription_schedule.expiring",
		"subscription_schedule.completed completed_at,current_phase,status")
	checkState(t, e.Sim, map[string]int{})
}

func TestAScheduleBeginsItsSubscription(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	begin := func(start time.Time) *stripe.SubscriptionSchedule {
		schedule, err := e.api.SubscriptionSchedules.New(&stripe.SubscriptionScheduleParams{
			Customer: stripe.String(e.customer.ID), StartDate: stripe.Int64(start.Unix()), EndBehavior: stripe.String("cancel"),
			Phases: []*stripe.SubscriptionSchedulePhaseParams{{
				Iterations: stripe.Int64(2), Items: []*stripe.SubscriptionSchedulePhaseItemParams{{Price: stripe.String(e.price.ID)}},
			}},
		})
		must(t, err)
		return schedule
	}
	future, never, now := begin(spring.Add(5*day)), begin(spring.Add(5*day)), begin(spring)
	equal(t, "status", now.Status, "active")
	equal(t, "subscription", e.subscription(t, now.Subscription.ID).Status, "active")
	equal(t, "status", future.Status, "not_started")
	never, err := e.api.SubscriptionSchedules.Cancel(never.ID, nil)
	must(t, err)
	equal(t, "status", never.Status, "canceled")
	e.after(t, 6*day)
	future, err = e.api.SubscriptionSchedules.Get(future.ID, nil)
	must(t, err)
	equal(t, "status", future.Status, "active")
	begun := e.subscription(t, future.Subscription.ID)
	equal(t, "subscription", begun.Status, "active")
	equal(t, "started", begun.StartDate, spring.Add(5*day).Unix())
	equal(t, "schedule", begun.Schedule.ID, future.ID)
	released, err := e.api.SubscriptionSchedules.Release(future.ID, nil)
	must(t, err)
	equal(t, "status", released.Status, "released")
	equal(t, "end", e.subscription(t, begun.ID).CancelAt, 0)
	canceled, err := e.api.SubscriptionSchedules.Cancel(now.ID, nil)
	must(t, err)
	equal(t, "status", canceled.Status, "canceled")
	equal(t, "subscription", e.subscription(t, now.Subscription.ID).Status, "canceled")
	_, err = e.api.SubscriptionSchedules.Release(now.ID, nil)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "")
	checkState(t, e.Sim, map[string]int{})
}

func TestAScheduleEndsWithASubscriptionThatNobodyPays(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas(), simtest.WithConfig(func(c *stripesim.Config) { c.DunningRetries = []time.Duration{day} }))
	subscription, schedule := e.scheduled(t)
	month := spring.AddDate(0, 1, 0)
	_, err := e.api.SubscriptionSchedules.Update(schedule.ID, &stripe.SubscriptionScheduleParams{
		Phases: []*stripe.SubscriptionSchedulePhaseParams{phase(e.price.ID, spring, spring.AddDate(0, 4, 0))},
	})
	must(t, err)
	e.card(t, "pm_card_chargeCustomerFail")
	e.to(t, month.Add(3*day))
	equal(t, "subscription", e.subscription(t, subscription.ID).Status, "canceled")
	compareLines(t, e.told(t, "subscription_schedule.aborted"), "subscription_schedule.aborted canceled_at,current_phase,status")
}

func TestAChangePastTheScheduleIsNotedInIt(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	subscription, schedule := e.scheduled(t)
	_, err := e.api.Subscriptions.Update(subscription.ID, &stripe.SubscriptionParams{
		Items: []*stripe.SubscriptionItemsParams{{ID: stripe.String(subscription.Items.Data[0].ID), Quantity: stripe.Int64(3)}},
	})
	must(t, err)
	schedule, err = e.api.SubscriptionSchedules.Get(schedule.ID, nil)
	must(t, err)
	equal(t, "quantity in the phase", schedule.Phases[0].Items[0].Quantity, 3)
	_, err = e.api.SubscriptionSchedules.New(&stripe.SubscriptionScheduleParams{FromSubscription: stripe.String(subscription.ID)})
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "from_subscription")
}
