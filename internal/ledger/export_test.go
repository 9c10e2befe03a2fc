package ledger

import (
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Bulk counts customers of an empty ledger as Step does, by the same functions,
// and leaves writing to whoever asks: a million of them are copied, not inserted.
type Bulk struct {
	flows    *flowRollups
	pledges  *pledgeRollup
	payments *paymentRollups
	trials   rollup[db.TrialDaily]
	outlook  rollup[db.OutlookDaily]
}

// NewBulk has counted nobody.
func NewBulk() *Bulk {
	return &Bulk{newFlowRollups(), newPledgeRollup(), newPaymentRollups(), newTrialDaily(), newOutlookDaily()}
}

// Contributions are the rows of one customer, by table.
type Contributions struct {
	Days          []db.CustomerDay
	Movements     []db.CustomerMovement
	Pledges       []db.CustomerPledge
	Subscriptions []db.CustomerSubscription
	Levels        []db.CustomerLevel
	Trials        []trialRow
	Invoices      []invoiceRow
	Outlook       []db.CustomerOutlook
	// Next is when something about the customer changes by itself; zero: never.
	Next time.Time
}

// Count counts a customer, of whose invoices it was told so much, and of whose
// subscriptions there are such copies.
func (b *Bulk) Count(
	gen int32, customer string, history []analytics.Version, events []analytics.InvoiceEvent, copies []db.OutlookCopiesRow,
	catalog analytics.Catalog, definition analytics.Definition, now time.Time,
) Contributions {
	key := book{gen, customer}
	figures := analytics.Movements(history, catalog, definition, now)
	trials, trialNext := analytics.TrialOutcomes(events, history, catalog, now)
	renewals, invoiceNext := analytics.InvoiceOutcomes(events, nil, history, catalog, now)
	out := Contributions{
		Days: daysOf(key, figures), Movements: movementsOf(key, figures), Pledges: pledgesOf(key, figures),
		Subscriptions: subscriptionsOf(key, figures), Levels: levelsOf(key, figures),
		Trials: trialsOf(key, trials, definition.Zone), Invoices: invoicesOf(key, renewals, definition.Zone),
	}
	out.Outlook = outlookOf(key, account{
		customer: customer, history: history, catalog: catalog, figures: map[int32]analytics.Account{gen: figures},
	}, copies, definition.Zone)
	takeOutlook(&b.outlook, out.Outlook, 1)
	b.flows.take(out.Movements, 1)
	b.pledges.take(out.Pledges, 1)
	b.payments.take(out.Invoices, 1)
	takeTrials(&b.trials, out.Trials, 1)
	next := map[string]time.Time{}
	for _, at := range []time.Time{figures.Next, trialNext, invoiceNext} {
		sooner(next, customer, at)
	}
	out.Next = next[customer]
	return out
}

// Merge adds what another has counted.
func (b *Bulk) Merge(other *Bulk) {
	b.flows.daily.merge(other.flows.daily)
	b.flows.monthly.merge(other.flows.monthly)
	b.flows.cohorts.merge(other.flows.cohorts)
	b.flows.retention.merge(other.flows.retention)
	b.pledges.daily.merge(other.pledges.daily)
	b.pledges.monthly.merge(other.pledges.monthly)
	b.payments.hourly.merge(other.payments.hourly)
	b.payments.daily.merge(other.payments.daily)
	b.payments.monthly.merge(other.payments.monthly)
	b.trials.merge(other.trials)
	b.outlook.merge(other.outlook)
}

// Sums are the rows of the rollups, by table.
type Sums struct {
	Daily     []db.FlowDaily
	Monthly   []db.FlowMonthly
	Cohorts   []db.CohortChange
	Retention []db.RetentionChange
	Pledges   []db.PledgeDaily
	Pledged   []db.PledgeMonthly
	Hours     []db.PaymentHourly
	Payments  []db.PaymentDaily
	Months    []db.PaymentMonthly
	Trials    []db.TrialDaily
	Outlook   []db.OutlookDaily
}

// Sums are what all customers come to.
func (b *Bulk) Sums() Sums {
	return Sums{
		sumsOf(b.flows.daily), sumsOf(b.flows.monthly), sumsOf(b.flows.cohorts), sumsOf(b.flows.retention), sumsOf(b.pledges.daily), sumsOf(b.pledges.monthly),
		sumsOf(b.payments.hourly), sumsOf(b.payments.daily), sumsOf(b.payments.monthly), sumsOf(b.trials), sumsOf(b.outlook),
	}
}

func sumsOf[T comparable](r rollup[T]) []T {
	var out []T
	for key, sum := range r.sums {
		if sum != key {
			out = append(out, sum)
		}
	}
	return out
}
