package analytics_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

func TestATrialIsConvertedByItsFirstPaidInvoice(t *testing.T) {
	t.Parallel()
	start := invoiceDay(time.May, 1)
	end := start.AddDate(0, 0, 14)
	trial := proSince("sub", start, billing.StatusTrialing)
	trial.Facts.TrialEnd = billing.Second(end.Unix())
	scheduled := trial
	scheduled.At, scheduled.Facts.EndsAt = start.AddDate(0, 0, 2), trial.Facts.TrialEnd
	longer := trial
	longer.At, longer.Facts.TrialEnd = start.AddDate(0, 0, 3), billing.Second(end.AddDate(0, 0, 7).Unix())
	paid := func(minor int64, at time.Time) []analytics.InvoiceEvent {
		return told(analytics.InvoicePaid, "in", "sub", minor, at)
	}
	for name, tt := range map[string]struct {
		rest   []analytics.Version
		events []analytics.InvoiceEvent
		now    time.Time
		fate   analytics.TrialFate
		ended  time.Time
		next   time.Time
	}{
		"under way":                {now: end.Add(-time.Second), fate: analytics.TrialRunning, next: end},
		"over, and nobody says so": {now: end, fate: analytics.TrialProvisional, ended: end, next: end.AddDate(0, 0, 14)},
		"prolonged": {
			rest: []analytics.Version{longer}, now: end, fate: analytics.TrialRunning, next: end.AddDate(0, 0, 7),
		},
		"over and not paid yet": {
			rest: []analytics.Version{proSince("sub", end, billing.StatusActive)}, now: end.Add(time.Hour), fate: analytics.TrialProvisional, ended: end, next: end.AddDate(0, 0, 14),
		},
		"paid an hour after its end": {
			rest: []analytics.Version{proSince("sub", end.Add(time.Second), billing.StatusActive)}, events: paid(2900, end.Add(time.Hour)),
			now: end.Add(time.Hour), fate: analytics.TrialConverted, ended: end,
		},
		"cancelled right after paying": {
			rest:   []analytics.Version{proSince("sub", end, billing.StatusActive), proSince("sub", end.Add(2*time.Hour), billing.StatusCanceled)},
			events: paid(2900, end.Add(time.Hour)), now: end.AddDate(0, 1, 0), fate: analytics.TrialConverted, ended: end,
		},
		"paid at a retry": {
			rest:   []analytics.Version{proSince("sub", end, billing.StatusActive), proSince("sub", end.Add(time.Hour), billing.StatusPastDue)},
			events: paid(2900, end.AddDate(0, 0, 8)), now: end.AddDate(0, 0, 8), fate: analytics.TrialConverted, ended: end,
		},
		"still tried again": {
			rest: []analytics.Version{proSince("sub", end, billing.StatusActive), proSince("sub", end.Add(time.Hour), billing.StatusPastDue)},
			now:  end.AddDate(0, 0, 13), fate: analytics.TrialProvisional, ended: end, next: end.AddDate(0, 0, 14),
		},
		"not waited for any longer": {
			rest: []analytics.Version{proSince("sub", end, billing.StatusActive), proSince("sub", end.Add(time.Hour), billing.StatusPastDue)},
			now:  end.AddDate(0, 0, 14), fate: analytics.TrialLapsed, ended: end,
		},
		"paid after all": {
			rest: []analytics.Version{proSince("sub", end, billing.StatusPastDue)}, events: paid(2900, end.AddDate(0, 0, 20)),
			now: end.AddDate(0, 1, 0), fate: analytics.TrialConverted, ended: end,
		},
		"given up by the retries": {
			rest: []analytics.Version{proSince("sub", end, billing.StatusPastDue), proSince("sub", end.AddDate(0, 0, 9), billing.StatusCanceled)},
			now:  end.AddDate(0, 0, 10), fate: analytics.TrialLapsed, ended: end,
		},
		"what is paid after the end of the subscription converts nothing": {
			rest:   []analytics.Version{proSince("sub", end, billing.StatusPastDue), proSince("sub", end.AddDate(0, 0, 9), billing.StatusCanceled)},
			events: paid(2900, end.AddDate(0, 0, 12)), now: end.AddDate(0, 1, 0), fate: analytics.TrialLapsed, ended: end,
		},
		"cancelled in its course": {
			rest: []analytics.Version{proSince("sub", start.AddDate(0, 0, 5), billing.StatusCanceled)}, now: end, fate: analytics.TrialLapsed, ended: start.AddDate(0, 0, 5),
		},
		"cancelled for its end": {
			rest: []analytics.Version{scheduled, proSince("sub", end, billing.StatusCanceled)}, now: end, fate: analytics.TrialLapsed, ended: end,
		},
		"paused at its end, for want of a card": {
			rest: []analytics.Version{proSince("sub", end, billing.StatusPaused)}, now: end, fate: analytics.TrialLapsed, ended: end,
		},
		"paused at its end, and resumed and paid in summer": {
			rest:   []analytics.Version{proSince("sub", end, billing.StatusPaused), proSince("sub", end.AddDate(0, 2, 0), billing.StatusActive)},
			events: paid(2900, end.AddDate(0, 2, 0)), now: end.AddDate(0, 3, 0), fate: analytics.TrialLapsed, ended: end,
		},
		"ended early to pay": {
			rest:   []analytics.Version{proSince("sub", start.AddDate(0, 0, 3), billing.StatusActive)},
			events: paid(9900, start.AddDate(0, 0, 3)), now: end, fate: analytics.TrialConverted, ended: start.AddDate(0, 0, 3),
		},
		"an invoice of nothing pays for nothing": {
			rest: []analytics.Version{proSince("sub", end, billing.StatusActive)}, events: paid(0, end), now: end.AddDate(0, 0, 1),
			fate: analytics.TrialProvisional, ended: end, next: end.AddDate(0, 0, 14),
		},
		"what was paid in its course was not for what follows": {
			rest: []analytics.Version{proSince("sub", end, billing.StatusCanceled)}, events: paid(500, start.AddDate(0, 0, 1)), now: end,
			fate: analytics.TrialLapsed, ended: end,
		},
		"what another subscription pays says nothing": {
			rest:   []analytics.Version{proSince("sub", end, billing.StatusActive)},
			events: told(analytics.InvoicePaid, "in", "sub_2", 2900, end), now: end, fate: analytics.TrialProvisional, ended: end, next: end.AddDate(0, 0, 14),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, next := analytics.TrialOutcomes(tt.events, append([]analytics.Version{trial}, tt.rest...), twoPlans(), tt.now)
			want := []analytics.TrialOutcome{{SubscriptionID: "sub", Currency: "usd", Plan: "pro", StartedAt: start, EndedAt: tt.ended, Fate: tt.fate}}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("trials differ (-want +got):\n%s", diff)
			}
			if !next.Equal(tt.next) {
				t.Errorf("it changes by itself at %s, want %s", next, tt.next)
			}
		})
	}
}

func TestWorkedExamplesOfTrials(t *testing.T) {
	t.Parallel()
	type example struct {
		ID               string
		Ended, Converted int
		Rate             float64
	}
	for _, tt := range golden[example](t, "trials.json") {
		start := invoiceDay(time.May, 1)
		end := start.AddDate(0, 0, 14)
		var history []analytics.Version
		var events []analytics.InvoiceEvent
		for i := range tt.Ended {
			id := fmt.Sprintf("sub_%03d", i)
			trial, after := proSince(id, start, billing.StatusTrialing), proSince(id, end, billing.StatusCanceled)
			trial.Facts.TrialEnd = billing.Second(end.Unix())
			if i < tt.Converted {
				after.Facts.Status = billing.StatusActive
				events = append(events, told(analytics.InvoicePaid, "in_"+id, id, 9900, end.Add(time.Hour))...)
			}
			history = append(history, trial, after)
		}
		outcomes, _ := analytics.TrialOutcomes(events, history, twoPlans(), end.AddDate(0, 0, 1))
		trials := analytics.Trials{}
		for _, o := range outcomes {
			if o.EndedAt.IsZero() {
				continue
			}
			trials.Ended++
			if o.Fate == analytics.TrialConverted {
				trials.Converted++
			}
		}
		metric, _ := analytics.MetricByKey("trialConversion")
		if got := metric.Of(analytics.Point{Trials: &trials}).Float(); got != tt.Rate {
			t.Errorf("%s: the rate is %v, want %v", tt.ID, got, tt.Rate)
		}
	}
}

func TestASubscriptionHasOneTrial(t *testing.T) {
	t.Parallel()
	start := invoiceDay(time.May, 1)
	again := proSince("sub", start.AddDate(0, 3, 0), billing.StatusTrialing)
	again.Facts.TrialEnd = billing.Second(start.AddDate(0, 4, 0).Unix())
	first := proSince("sub", start, billing.StatusTrialing)
	first.Facts.TrialEnd = billing.Second(start.AddDate(0, 0, 14).Unix())
	history := []analytics.Version{again, proSince("sub", start.AddDate(0, 0, 14), billing.StatusActive), first, proSince("sub_2", start, billing.StatusActive)}
	got, _ := analytics.TrialOutcomes(nil, slices.Clone(history), twoPlans(), asOf)
	if len(got) != 1 || !got[0].EndedAt.Equal(start.AddDate(0, 0, 14)) {
		t.Errorf("trials are %+v", got)
	}
}
