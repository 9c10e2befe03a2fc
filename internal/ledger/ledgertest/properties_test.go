package ledgertest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger/ledgertest"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// anyone is a random customer's history.
func anyone(rt *rapid.T) []analytics.Version {
	c := population(rapid.Uint64().Draw(rt, "seed"), end).Customer(rapid.IntRange(0, 999).Draw(rt, "customer"))
	var out []analytics.Version
	for _, s := range c.Subscriptions {
		for i, state := range s.States {
			if i+1 == len(s.States) || !s.States[i+1].At.Equal(state.At) {
				out = append(out, analytics.Version{SubscriptionID: s.ID, At: state.At, Facts: state.Facts})
			}
		}
	}
	return out
}

// shop is the catalogue with every amount times a number.
func shop(times int64) analytics.Catalog {
	c := analytics.Catalog{Prices: map[string]billing.Price{}, Coupons: map[string]billing.Coupon{}}
	for _, p := range ledgertest.Prices() {
		amounts := map[money.Currency]billing.PriceAmount{}
		for currency, a := range p.Amounts {
			amounts[currency] = billing.PriceAmount{UnitMicro: a.UnitMicro * times}
		}
		p.Amounts = amounts
		c.Prices[p.ID] = p
	}
	for _, d := range ledgertest.Coupons() {
		off := map[money.Currency]int64{}
		for currency, minor := range d.AmountsOff {
			off[currency] = minor * times
		}
		d.AmountsOff = off
		c.Coupons[d.ID] = d
	}
	return c
}

var usual = analytics.Definition{Zone: time.UTC, Discounts: analytics.DiscountsRecurring}

// P7: money goes with the prices, and what is a ratio stays.
func TestWhatCostsTwiceAsMuchIsWorthTwiceAsMuch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		history := anyone(rt)
		k := rapid.Int64Range(2, 9).Draw(rt, "times")
		// Amounts that intervals and percentages divide without a rest. What a coupon
		// takes off several plans they share, which is rounded: a few micro-units.
		rounding := gocmp.Comparer(func(a, b int64) bool { return max(a-b, b-a) <= 4*k })
		once := analytics.Movements(history, shop(12_000), usual, end)
		more := analytics.Movements(history, shop(12_000*k), usual, end)
		for i := range once.Movements {
			once.Movements[i].AmountMicro *= k
		}
		for i := range once.Days {
			once.Days[i].MRRMicro *= k
		}
		for i := range once.Pledges {
			once.Pledges[i].EndingMicro, once.Pledges[i].TrialMicro = once.Pledges[i].EndingMicro*k, once.Pledges[i].TrialMicro*k
		}
		for i := range once.Subscriptions {
			once.Subscriptions[i].MRRMicro *= k
		}
		if diff := gocmp.Diff(once, more, rounding); diff != "" {
			rt.Fatalf("at %d times the price (-expected +got):\n%s", k, diff)
		}
	})
}

// P9: days are counted from nowhere in particular.
func TestAHistoryThatHappensLaterMovesLater(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		history := anyone(rt)
		days := rapid.IntRange(-900, 900).Draw(rt, "days")
		later := func(s billing.Second) billing.Second {
			if s == 0 {
				return 0
			}
			return s + billing.Second(days*24*60*60)
		}
		var moved []analytics.Version
		for _, v := range history {
			v.At = v.At.AddDate(0, 0, days)
			f := &v.Facts
			f.EndsAt, f.TrialEnd, f.EndedAt = later(f.EndsAt), later(f.TrialEnd), later(f.EndedAt)
			f.Discounts = slices.Clone(f.Discounts)
			for i := range f.Discounts {
				f.Discounts[i].Start, f.Discounts[i].End = later(f.Discounts[i].Start), later(f.Discounts[i].End)
			}
			if f.Pause != nil {
				pause := *f.Pause
				pause.PeriodEnd = later(pause.PeriodEnd)
				f.Pause = &pause
			}
			moved = append(moved, v)
		}
		want := analytics.Movements(history, shop(1), usual, end)
		got := analytics.Movements(moved, shop(1), usual, end.AddDate(0, 0, days))
		for i := range want.Movements {
			want.Movements[i].Day = want.Movements[i].Day.AddDate(0, 0, days)
		}
		for i := range want.Days {
			want.Days[i].Day = want.Days[i].Day.AddDate(0, 0, days)
		}
		for i := range want.Pledges {
			want.Pledges[i].Day = want.Pledges[i].Day.AddDate(0, 0, days)
		}
		if !want.Next.IsZero() {
			want.Next = want.Next.AddDate(0, 0, days)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			rt.Fatalf("%d days later (-expected +got):\n%s", days, diff)
		}
	})
}

// P10: what is billed by use is no MRR, wherever it stands among the items.
func TestMeteredItemsMoveNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		history := anyone(rt)
		want := analytics.Movements(history, shop(1), usual, end)
		with := slices.Clone(history)
		for i := range with {
			if rapid.Bool().Draw(rt, "metered") {
				at := rapid.IntRange(0, len(with[i].Facts.Items)).Draw(rt, "place")
				with[i].Facts.Items = slices.Insert(slices.Clone(with[i].Facts.Items), at, billing.Item{PriceID: "price_calls", Quantity: 50})
			}
		}
		got := analytics.Movements(with, shop(1), usual, end)
		// Why something moved may read differently: the items are others.
		for _, movements := range [][]analytics.Movement{want.Movements, got.Movements} {
			for i := range movements {
				movements[i].Reason = ""
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			rt.Fatalf("with metered items (-without +with):\n%s", diff)
		}
	})
}

// P5, P6: whatever happens, rates keep within their bounds, and whoever ever had
// MRR is in one cohort, for ever.
func TestRetentionAndCohortsOfAnyHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		movements := analytics.Movements(anyone(rt), shop(1), usual, end).Movements
		bases := map[string]int64{}
		for _, c := range analytics.RetentionChanges(movements) {
			s := -c.NetMicro // what is lost at most
			if c.GrossLostMicro < 0 || c.GrossLostMicro < s || c.LostMicro > c.GrossLostMicro || c.InvoluntaryMicro > c.LostMicro ||
				c.LostCustomers > 1 || c.InvoluntaryCustomers > c.LostCustomers {
				rt.Fatalf("retention %+v", c)
			}
			if c.Plan == analytics.AllPlans {
				bases[fmt.Sprint(c.PeriodEnd, c.Horizon, c.Currency)] += c.NetMicro
			} else {
				bases[fmt.Sprint(c.PeriodEnd, c.Horizon, c.Currency)] -= c.NetMicro
			}
		}
		for period, net := range bases {
			if net != 0 {
				rt.Fatalf("plans and account differ by %d in %s", net, period)
			}
		}
		// Told of less and less, the cohort stays what it was.
		customers, cohort := map[money.Currency]int64{}, time.Time{}
		for _, c := range analytics.CohortChanges(movements) {
			customers[c.Currency] += c.Customers
			cohort = c.Cohort
		}
		for currency, n := range customers {
			if n != 1 {
				rt.Fatalf("the customer counts %d times in %s", n, currency)
			}
		}
		for n := len(movements) - 1; n > 0; n-- {
			if movements[n].Day.Equal(movements[0].Day) {
				break
			}
			for _, c := range analytics.CohortChanges(movements[:n]) {
				if !c.Cohort.Equal(cohort) {
					rt.Fatalf("the cohort was %s and became %s", c.Cohort, cohort)
				}
			}
		}
	})
}

// P2, P3, P4, P6 and P14 where the rows are: through the ledger, on random
// companies of a hundred, each told in an order of its own.
func TestPropertiesOfTheLedger(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			c := found(t, []string{"UTC", "Pacific/Auckland", "America/St_Johns"}[seed%3])
			truth := lives(population(seed, end), 100)
			c.liveThrough(truth, rand.New(rand.NewPCG(seed, 2)), end, 12, int(seed%2)*3+1) //nolint:gosec // made up on purpose
			grown := c.everything()

			// Forgotten and counted anew, it is the same.
			c.exec(`TRUNCATE customer_day, customer_movement, customer_subscription, customer_level, flow_daily, flow_monthly, customer_pledge,
				pledge_daily, pledge_monthly, cohort_change, retention_change, trial_outcome, trial_daily, metric_clock, metric_customer`)
			c.exec(`INSERT INTO metric_dirty (customer_id) SELECT DISTINCT stripe_customer_id FROM subscription_versions`)
			c.settle()
			if again := c.everything(); again != grown {
				t.Errorf("a rebuild differs (-grown +again):\n%.2000s", gocmp.Diff(strings.Split(grown, "\n"), strings.Split(again, "\n")))
			}

			r := &reports.Reports{Pool: c.pool, Now: c.clock}
			for _, currency := range []money.Currency{"usd", "eur"} {
				additive(t, r, currency)
				var active, sizes int64
				if err := c.pool.QueryRow(t.Context(), `SELECT count(DISTINCT customer) FROM customer_day WHERE currency = $1 AND mrr_micro > 0`, currency).Scan(&active); err != nil {
					t.Fatal(err)
				}
				report, err := r.Cohorts(t.Context(), reports.Query{Currency: currency, Recent: reports.Recent{All: true}})
				if err != nil {
					t.Fatal(err)
				}
				for _, cohort := range report.Cohorts {
					sizes += cohort.Began().Customers
				}
				if sizes != active || active == 0 {
					t.Errorf("cohorts in %s come to %d customers, of whom %d ever paid", currency, sizes, active)
				}
			}
		})
	}
}

// additive reads the same time by day, by week and by month, of the account and
// of each plan: every day, movements lead from one level to the next, what is
// summed by days is what is read by months, and plans add up to the account.
func additive(t *testing.T, r *reports.Reports, currency money.Currency) {
	t.Helper()
	read := func(plan string, interval analytics.Interval, days int) reports.Figures {
		figures, err := r.Series(t.Context(), reports.Query{Currency: currency, Plan: plan, Interval: interval, First: end.AddDate(0, 0, -days).Truncate(24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return figures
	}
	account := read("", analytics.Daily, 300)
	var plans reports.Figures
	for i, plan := range account.Plans {
		of := read(plan, analytics.Daily, 300)
		if i == 0 {
			plans = of
			continue
		}
		for j, p := range of.Points {
			plans.Points[j].Opening.MRRMicro += p.Opening.MRRMicro
			plans.Points[j].Closing.MRRMicro += p.Closing.MRRMicro
			plans.Points[j].EndingMicro += p.EndingMicro
			plans.Points[j].TrialMicro += p.TrialMicro
		}
	}
	byMonth := map[time.Time]int64{}
	for i, p := range account.Points {
		var by int64
		for _, moved := range p.Moved {
			by += moved.MRRMicro
		}
		if p.Opening.MRRMicro+by != p.Closing.MRRMicro || i > 0 && account.Points[i-1].Closing != p.Opening {
			t.Errorf("%s %s: %d and %d are not %d", currency, p.Start.Format(time.DateOnly), p.Opening.MRRMicro, by, p.Closing.MRRMicro)
		}
		q := plans.Points[i]
		if q.Opening.MRRMicro != p.Opening.MRRMicro || q.Closing.MRRMicro != p.Closing.MRRMicro || q.EndingMicro != p.EndingMicro || q.TrialMicro != p.TrialMicro {
			t.Errorf("%s %s: plans come to %d, the account to %d", currency, p.Start.Format(time.DateOnly), q.Closing.MRRMicro, p.Closing.MRRMicro)
		}
		byMonth[analytics.Monthly.Start(p.Start)] += by
	}
	months := read("", analytics.Monthly, 270)
	for _, p := range months.Points {
		if p.NetNewMicro() != byMonth[p.Start] {
			t.Errorf("%s %s: %d by month, %d by days", currency, p.Start.Format("2006-01"), p.NetNewMicro(), byMonth[p.Start])
		}
	}
	if analytics.Sum(months.Points).Closing != months.Points[len(months.Points)-1].Closing {
		t.Errorf("the sum of the months does not close as the last of them")
	}
}

// P13: where clocks are set back and forth, each instant belongs to one day, and
// days follow each other.
func TestEachInstantBelongsToOneDay(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]int{ // hours of the days of spring and autumn 2025
		"America/New_York": {23, 25}, "Europe/Berlin": {23, 25}, "Australia/Lord_Howe": {23, 24}, "UTC": {24, 24}, "America/Havana": {23, 25},
	} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		length := map[time.Time]time.Duration{}
		const step = 10 * time.Minute
		last := time.Time{}
		for at := time.Date(2025, 1, 2, 0, 0, 0, 0, zone); at.Year() < 2026; at = at.Add(step) {
			day := analytics.DayOf(at, zone)
			length[day] += step
			if day.Before(last) || !last.IsZero() && day.Sub(last) > 24*time.Hour {
				t.Fatalf("%s: %s comes after %s", name, day, last)
			}
			if day.Hour() != 0 || day.Location() != time.UTC {
				t.Fatalf("%s is no date", day)
			}
			last = day
		}
		shortest, longest := 24*time.Hour, 24*time.Hour
		for _, l := range length {
			shortest, longest = min(shortest, l), max(longest, l)
		}
		if got := [2]int{int(shortest.Hours()), int(longest.Hours())}; got != want || len(length) != 364 {
			t.Errorf("%s: %d days of %d to %d hours, want 364 of %d to %d", name, len(length), got[0], got[1], want[0], want[1])
		}
	}
}
