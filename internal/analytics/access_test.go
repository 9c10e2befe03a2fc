package analytics_test

import (
	"testing"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

// TestEveryStateHasItsAccessAndItsMRR walks the table of the design: a row a
// state, and both answers side by side at each moment at which one of them
// changes. They differ where the table says so and nowhere else.
func TestEveryStateHasItsAccessAndItsMRR(t *testing.T) {
	const (
		full, grace, readOnly, none = billing.AccessFull, billing.AccessGrace, billing.AccessReadOnly, billing.AccessNone

		day   = 24 * time.Hour
		pro   = 99
		never = time.Duration(0)
	)
	began := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	in := func(d time.Duration) billing.Second { return billing.At(began.Add(d)) }
	void := func(f *billing.Facts) { f.Pause = &billing.Pause{Behavior: "void", PeriodEnd: in(30 * day)} }
	behaving := func(b string, resumes time.Duration) func(*billing.Facts) {
		return func(f *billing.Facts) {
			f.Pause = &billing.Pause{Behavior: b, PeriodEnd: in(30 * day)}
			if resumes != never {
				f.Pause.ResumesAt = in(resumes)
			}
		}
	}
	trialUntil := func(d time.Duration) func(*billing.Facts) {
		return func(f *billing.Facts) { f.Status, f.TrialEnd = billing.StatusTrialing, in(d) }
	}
	endsAt := func(d time.Duration) func(*billing.Facts) { return func(f *billing.Facts) { f.EndsAt = in(d) } }
	items := func(all ...billing.Item) func(*billing.Facts) { return func(f *billing.Facts) { f.Items = all } }

	type moment struct {
		in    time.Duration // from when the state began
		level billing.Level
		mrr   int64 // dollars
	}
	for name, tt := range map[string]struct {
		facts     billing.Facts
		plan      string // what the items mean; pro
		neverPaid bool
		retried   time.Duration
		moments   []moment
	}{
		"incomplete":         {facts: on("pro_month", status(billing.StatusIncomplete)), moments: []moment{{0, none, 0}, {90 * day, none, 0}}},
		"incomplete expired": {facts: on("pro_month", status(billing.StatusIncompleteExpired)), moments: []moment{{0, none, 0}, {90 * day, none, 0}}},
		"trialing": {
			facts:   on("pro_month", trialUntil(14*day)),
			moments: []moment{{0, full, 0}, {14 * day, full, 0}, {21*day - 1, full, 0}, {21 * day, readOnly, 0}},
		},
		"trialing with the end scheduled": {
			facts:   on("pro_month", trialUntil(14*day), endsAt(14*day)),
			moments: []moment{{0, full, 0}, {21*day - 1, full, 0}, {21 * day, readOnly, 0}},
		},
		"a trial cut short is active": {facts: on("pro_month", func(f *billing.Facts) { f.TrialEnd = in(0) }), moments: []moment{{0, full, pro}}},
		"active": {
			facts:   on("pro_month"),
			moments: []moment{{0, full, pro}, {30 * day, full, pro}, {37*day - 1, full, pro}, {37 * day, readOnly, pro}},
		},
		"active with a coupon that takes everything off": {facts: on("pro_month", half, gift), moments: []moment{{0, full, 0}}},
		"active with the end scheduled": {
			facts:   on("pro_month", endsAt(20*day)),
			moments: []moment{{0, full, pro}, {20 * day, full, pro}, {27*day - 1, full, pro}, {27 * day, readOnly, pro}},
		},
		"active with three of them": {facts: on("pro_month", quantity(3)), moments: []moment{{0, full, 3 * pro}}},
		"active with several items": {
			facts:   on("pro_month", items(billing.Item{PriceID: "pro_month", Quantity: 1}, billing.Item{PriceID: "pilot_month", Quantity: 2})),
			moments: []moment{{0, full, pro + 58}},
		},
		"active with an unknown price beside a known one": {
			facts:   on("pro_month", items(billing.Item{PriceID: "pro_month", Quantity: 1}, billing.Item{PriceID: "bespoke", Quantity: 1})),
			moments: []moment{{0, full, pro}},
		},
		"active with an unknown price that was pro": {facts: on("bespoke"), moments: []moment{{0, full, 0}, {37 * day, readOnly, 0}}},
		"active with a price that never was a plan": {facts: on("bespoke"), plan: "-", moments: []moment{{0, none, 0}}},
		"paused, invoices voided": {
			facts:   on("pro_month", void),
			moments: []moment{{0, full, pro}, {30*day - 1, full, pro}, {30 * day, readOnly, 0}, {300 * day, readOnly, 0}},
		},
		// Access comes back on the day; the figure when Stripe says so, seconds later.
		"paused, invoices voided, until a day": {
			facts:   on("pro_month", behaving("void", 50*day)),
			moments: []moment{{0, full, pro}, {30 * day, readOnly, 0}, {50*day - 1, readOnly, 0}, {50 * day, full, 0}, {57 * day, readOnly, 0}},
		},
		"paused, invoices uncollectible": {
			facts:   on("pro_month", behaving("mark_uncollectible", never)),
			moments: []moment{{0, full, pro}, {30*day - 1, full, pro}, {30 * day, full, 0}},
		},
		"paused, invoices uncollectible, until a day": {
			facts:   on("pro_month", behaving("mark_uncollectible", 50*day)),
			moments: []moment{{0, full, pro}, {30 * day, full, 0}},
		},
		"paused, invoices kept": {
			facts:   on("pro_month", behaving("keep_as_draft", never)),
			moments: []moment{{0, full, pro}, {30 * day, full, pro}},
		},
		"paused, invoices kept, until a day": {
			facts:   on("pro_month", behaving("keep_as_draft", 10*day)),
			moments: []moment{{0, full, pro}, {30 * day, full, pro}},
		},
		"past due after paying": {
			facts:   on("pro_month", status(billing.StatusPastDue)),
			moments: []moment{{0, grace, pro}, {14*day - 1, grace, pro}, {14 * day, readOnly, pro}, {90 * day, readOnly, pro}},
		},
		"past due after paying, still tried": {
			facts: on("pro_month", status(billing.StatusPastDue)), retried: 20 * day,
			moments: []moment{{0, grace, pro}, {20 * day, grace, pro}, {21 * day, readOnly, pro}},
		},
		"past due, never paid": {
			facts: on("pro_month", status(billing.StatusPastDue)), neverPaid: true, retried: 20 * day,
			moments: []moment{{0, grace, pro}, {3*day - 1, grace, pro}, {3 * day, readOnly, pro}},
		},
		"past due and paused, invoices voided": {
			facts: on("pro_month", status(billing.StatusPastDue), void), retried: 40 * day,
			moments: []moment{{0, grace, pro}, {30*day - 1, grace, pro}, {30 * day, readOnly, 0}},
		},
		"unpaid":               {facts: on("pro_month", status(billing.StatusUnpaid)), moments: []moment{{0, readOnly, 0}, {90 * day, readOnly, 0}}},
		"paused":               {facts: on("pro_month", status(billing.StatusPaused)), moments: []moment{{0, readOnly, 0}, {90 * day, readOnly, 0}}},
		"canceled":             {facts: on("pro_month", status(billing.StatusCanceled)), moments: []moment{{0, none, 0}, {90 * day, none, 0}}},
		"a status of tomorrow": {facts: on("pro_month", status("hibernating")), moments: []moment{{0, none, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			history := []analytics.Version{{SubscriptionID: "sub_1", At: began, Facts: tt.facts}}
			s := billing.Standing{
				Facts: tt.facts, Plan: "pro", HasPaid: !tt.neverPaid, PeriodEnd: began.Add(30 * day),
				PastDueSince: began, PausedPeriodEnd: analytics.PauseBites(history)[0], AsOf: began,
			}
			if tt.plan == "-" {
				s.Plan = ""
			}
			if tt.retried != never {
				s.NextAttemptAt = began.Add(tt.retried)
			}
			course := billing.DefaultAccessPolicy().Course(s)
			for _, m := range tt.moments {
				at := began.Add(m.in)
				if got := course.At(at).Level; got != m.level {
					t.Errorf("after %s: access %s, want %s", m.in, got, m.level)
				}
				mrr := analytics.MRR(tt.facts, shop(), analytics.DiscountsRecurring, analytics.PauseBites(history)[0], at)
				if got := mrr.TotalMicro(); got != m.mrr*dollar {
					t.Errorf("after %s: MRR %d, want $%d", m.in, got, m.mrr)
				}
			}
		})
	}
}

func half(f *billing.Facts) {
	f.Discounts = append(f.Discounts, billing.Discount{CouponID: "half_for_ever"})
}

func gift(f *billing.Facts) {
	f.Discounts = append(f.Discounts, billing.Discount{CouponID: "gift"})
}
