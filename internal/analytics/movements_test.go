package analytics_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

const dollar = 100 * money.Micro

// shop sells three plans in dollars and euros.
func shop() analytics.Catalog {
	c := emptyCatalog()
	for plan, price := range map[string]int64{"pilot": 29, "pro": 99, "enterprise": 399, "free": 0} {
		for _, interval := range []billing.Interval{billing.Month, billing.Year} {
			id := plan + "_" + string(interval)
			amount := billing.PriceAmount{UnitMicro: price * dollar}
			if interval == billing.Year {
				amount.UnitMicro *= 10
			}
			c.Prices[id] = billing.Price{
				ID: id, Plan: plan, Interval: interval, IntervalCount: 1, UsageType: "licensed",
				Amounts: map[money.Currency]billing.PriceAmount{"usd": amount, "eur": amount},
			}
		}
	}
	c.Coupons["half_for_ever"] = billing.Coupon{ID: "half_for_ever", Duration: "forever", PercentOff: "50"}
	c.Coupons["half_for_now"] = billing.Coupon{ID: "half_for_now", Duration: "repeating", PercentOff: "50"}
	c.Coupons["gift"] = billing.Coupon{ID: "gift", Duration: "repeating", PercentOff: "100"}
	return c
}

// on is an active subscription to one price.
func on(price string, options ...func(*billing.Facts)) billing.Facts {
	f := billing.Facts{
		Status: billing.StatusActive, Currency: "usd", Items: []billing.Item{{PriceID: price, Quantity: 1}},
	}
	for _, o := range options {
		o(&f)
	}
	return f
}

func status(s billing.Status) func(*billing.Facts) { return func(f *billing.Facts) { f.Status = s } }

func quantity(n int64) func(*billing.Facts) {
	return func(f *billing.Facts) { f.Items[0].Quantity = n }
}

func because(reason string) func(*billing.Facts) { return func(f *billing.Facts) { f.Reason = reason } }

func coupon(id string, endDay int) func(*billing.Facts) {
	return func(f *billing.Facts) {
		d := billing.Discount{CouponID: id, Start: billing.At(birth)}
		if endDay != 0 {
			d.End = billing.At(birth.AddDate(0, 0, endDay))
		}
		f.Discounts = append(f.Discounts, d)
	}
}

func pause(behavior string, periodEndDay int) func(*billing.Facts) {
	return func(f *billing.Facts) {
		f.Pause = &billing.Pause{Behavior: behavior, PeriodEnd: billing.At(birth.AddDate(0, 0, periodEndDay))}
	}
}

func day(n int, subscription string, facts billing.Facts) analytics.Version {
	return analytics.Version{SubscriptionID: subscription, At: birth.AddDate(0, 0, n), Facts: facts}
}

// rows prints movements as "day kind plan dollars reason [customers]".
func rows(movements []analytics.Movement) string {
	var lines []string
	start := analytics.DayOf(birth, time.UTC)
	for _, m := range movements {
		line := fmt.Sprintf("%d %s %s %.2f %s", int(m.Day.Sub(start).Hours()/24), m.Kind, m.Plan, float64(m.AmountMicro)/dollar, m.Reason)
		if m.Customers != 0 {
			line += fmt.Sprintf(" %+d", m.Customers)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestMovements(t *testing.T) {
	t.Parallel()
	pro := day(0, "a", on("pro_month"))
	const bought = "0 new pro 99.00 purchase +1"
	for name, tt := range map[string]struct {
		history []analytics.Version
		now     int    // day; 365 when 0
		want    string // rows, one a line
		next    int    // day; 0 for never
	}{
		"no history is no movement": {},
		"a first payment is new":    {history: []analytics.Version{pro}, want: bought},
		"an incomplete subscription does not count until it is paid": {
			history: []analytics.Version{day(0, "a", on("pro_month", status(billing.StatusIncomplete))), day(1, "a", on("pro_month"))},
			want:    "1 new pro 99.00 purchase +1",
		},
		"what came and went within a day leaves no row and is not remembered as paid": {
			history: []analytics.Version{
				pro, {SubscriptionID: "a", At: at(3600), Facts: on("pro_month", status(billing.StatusCanceled))}, day(40, "b", on("pro_month")),
			},
			want: "40 new pro 99.00 purchase +1",
		},
		"an upgrade transfers the old balance and expands the new plan": {
			history: []analytics.Version{pro, day(5, "a", on("enterprise_month"))},
			want: bought + "\n5 expansion enterprise 300.00 plan_change\n5 transfer_in enterprise 99.00 plan_change\n" +
				"5 transfer_out pro -99.00 plan_change",
		},
		"a downgrade transfers the whole old balance and contracts the new plan": {
			history: []analytics.Version{pro, day(5, "a", on("pilot_month"))},
			want: bought + "\n5 contraction pilot -70.00 plan_change\n5 transfer_in pilot 99.00 plan_change\n" +
				"5 transfer_out pro -99.00 plan_change",
		},
		"cancelled in one subscription and bought in another on one day is a change of plan": {
			history: []analytics.Version{pro, day(5, "a", on("pro_month", status(billing.StatusCanceled))), day(5, "b", on("pilot_month"))},
			want: bought + "\n5 contraction pilot -70.00 plan_change\n5 transfer_in pilot 99.00 plan_change\n" +
				"5 transfer_out pro -99.00 plan_change",
		},
		"seats moved between plans transfer what both sides have in common": {
			history: []analytics.Version{
				day(0, "a", on("pro_month", quantity(3))), day(0, "b", on("pilot_month", quantity(1))),
				day(5, "a", on("pro_month", quantity(2))), day(5, "b", on("pilot_month", quantity(2))),
			},
			want: "0 new pilot 29.00 purchase\n0 new pro 297.00 purchase +1\n" +
				"5 contraction pro -70.00 plan_change\n5 transfer_in pilot 29.00 plan_change\n5 transfer_out pro -29.00 plan_change",
		},
		"seats are quantity": {
			history: []analytics.Version{pro, day(5, "a", on("pro_month", quantity(3))), day(6, "a", on("pro_month", quantity(2)))},
			want:    bought + "\n5 expansion pro 198.00 quantity\n6 contraction pro -99.00 quantity",
		},
		"from monthly to annual at ten months' price": {
			history: []analytics.Version{pro, day(5, "a", on("pro_year"))},
			want:    bought + "\n5 contraction pro -16.50 price_migration",
		},
		"a second subscription expands": {
			history: []analytics.Version{pro, day(5, "b", on("pilot_month"))},
			want:    bought + "\n5 expansion pilot 29.00 addon",
		},
		"the end scheduled and taken back moves nothing": {
			history: []analytics.Version{
				pro, day(2, "a", on("pro_month", func(f *billing.Facts) { f.EndsAt = billing.At(birth.AddDate(0, 1, 0)) })), day(3, "a", on("pro_month")),
			},
			want: bought,
		},
		"a failed payment that ends it is involuntary": {
			history: []analytics.Version{
				pro, day(30, "a", on("pro_month", status(billing.StatusPastDue))),
				day(44, "a", on("pro_month", status(billing.StatusCanceled), because("payment_failed"))),
			},
			want: bought + "\n44 churn pro -99.00 cancel_involuntary -1",
		},
		"a dispute that ends it": {
			history: []analytics.Version{pro, day(44, "a", on("pro_month", status(billing.StatusCanceled), because("payment_disputed")))},
			want:    bought + "\n44 churn pro -99.00 dispute -1",
		},
		"a coupon that ends by itself is an expansion": {
			history: []analytics.Version{day(0, "a", on("pro_month", coupon("half_for_now", 90)))},
			want:    "0 new pro 49.50 purchase +1\n90 expansion pro 49.50 discount_expired",
		},
		"a coupon that has not ended names the instant": {
			history: []analytics.Version{day(0, "a", on("pro_month", coupon("half_for_now", 90), coupon("half_for_ever", 0)))},
			now:     10, next: 90,
			want: "0 new pro 24.75 purchase +1",
		},
		"a coupon added later contracts": {
			history: []analytics.Version{pro, day(5, "a", on("pro_month", coupon("half_for_ever", 0)))},
			want:    bought + "\n5 contraction pro -49.50 discount_added",
		},
		"a gift of everything is churn until it ends": {
			history: []analytics.Version{pro, day(5, "a", on("pro_month", coupon("gift", 50)))},
			want:    bought + "\n5 churn pro -99.00 discount_added -1\n50 reactivation pro 99.00 discount_expired +1",
		},
		"to the free plan is churn, back is a reactivation": {
			history: []analytics.Version{pro, day(5, "a", on("free_month")), day(9, "a", on("pilot_month"))},
			want:    bought + "\n5 churn pro -99.00 free_downgrade -1\n9 reactivation pilot 29.00 plan_change +1",
		},
		"a pause bites at the end of the period in which it began": {
			history: []analytics.Version{
				pro, day(10, "a", on("pro_month", pause("void", 28))), day(28, "a", on("pro_month", pause("void", 59))), day(70, "a", on("pro_month")),
			},
			want: bought + "\n28 churn pro -99.00 pause -1\n70 reactivation pro 99.00 resume +1",
		},
		"a pause that has not bitten names the instant": {
			history: []analytics.Version{pro, day(10, "a", on("pro_month", pause("mark_uncollectible", 28)))},
			now:     11, next: 28,
			want: bought,
		},
		"a pause that keeps drafts counts": {
			history: []analytics.Version{pro, day(10, "a", on("pro_month", pause("keep_as_draft", 28)))},
			now:     11,
			want:    bought,
		},
		"a pause that does not say what is paid bites at once": {
			history: []analytics.Version{pro, day(10, "a", on("pro_month", func(f *billing.Facts) { f.Pause = &billing.Pause{Behavior: "void"} }))},
			want:    bought + "\n10 churn pro -99.00 pause -1",
		},
		"a coupon on what does not count changes nothing by ending": {
			history: []analytics.Version{day(0, "a", on("pro_month", status(billing.StatusUnpaid), coupon("half_for_now", 90)))},
			now:     10,
		},
		"a pause lifted before it bites moves nothing": {
			history: []analytics.Version{pro, day(10, "a", on("pro_month", pause("void", 28))), day(20, "a", on("pro_month"))},
			want:    bought,
		},
		"a second pause has its own paid period": {
			history: []analytics.Version{
				pro, day(10, "a", on("pro_month", pause("void", 28))), day(20, "a", on("pro_month")), day(25, "a", on("pro_month", pause("void", 59))),
			},
			want: bought + "\n59 churn pro -99.00 pause -1",
		},
		"the status paused counts nothing": {
			history: []analytics.Version{pro, day(10, "a", on("pro_month", status(billing.StatusPaused))), day(20, "a", on("pro_month"))},
			want:    bought + "\n10 churn pro -99.00 pause -1\n20 reactivation pro 99.00 resume +1",
		},
		"a version dated ahead of now waits for its instant": {
			history: []analytics.Version{pro, day(20, "a", on("pro_month", quantity(2)))},
			now:     19, next: 20,
			want: bought,
		},
		"another currency has its own balance, but who paid once is not new": {
			history: []analytics.Version{
				pro, day(10, "a", on("pro_month", status(billing.StatusCanceled))),
				day(20, "b", on("pro_month", func(f *billing.Facts) { f.Currency = "eur" })),
			},
			want: bought + "\n10 churn pro -99.00 cancel_voluntary -1\n20 reactivation pro 99.00 return +1",
		},
		"a price that no plan claims counts under the unknown plan": {
			history: []analytics.Version{day(0, "a", on("legacy"))},
			want:    "0 new unknown 7.00 purchase +1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			catalog := shop()
			catalog.Prices["legacy"] = billing.Price{
				ID: "legacy", Interval: billing.Month, IntervalCount: 1, UsageType: "licensed",
				Amounts: map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: 7 * dollar}},
			}
			if tt.now == 0 {
				tt.now = 365
			}
			account := analytics.Movements(tt.history, catalog, utc, birth.AddDate(0, 0, tt.now))
			if diff := gocmp.Diff(tt.want, rows(account.Movements)); diff != "" {
				t.Errorf("movements differ (-want +got):\n%s", diff)
			}
			var next time.Time
			if tt.next != 0 {
				next = birth.AddDate(0, 0, tt.next)
			}
			if !account.Next.Equal(next) {
				t.Errorf("next change is at %v, want %v", account.Next, next)
			}
			if len(account.Missing) > 0 {
				t.Errorf("missing %v", account.Missing)
			}
		})
	}
}

func TestWhatIsNotKnownIsFlaggedNotGuessed(t *testing.T) {
	t.Parallel()
	facts := on("pro_month", coupon("never_seen", 0))
	facts.Items = append(facts.Items, billing.Item{PriceID: "price_never_seen", Quantity: 1}, billing.Item{PriceID: "pilot_month", Quantity: 1})
	catalog := shop()
	pilot := catalog.Prices["pilot_month"]
	pilot.Amounts = map[money.Currency]billing.PriceAmount{"eur": {UnitMicro: 1}}
	catalog.Prices["pilot_month"] = pilot

	account := analytics.Movements([]analytics.Version{day(0, "a", facts)}, catalog, utc, birth)
	if diff := gocmp.Diff([]string{"never_seen", "pilot_month", "price_never_seen"}, account.Missing); diff != "" {
		t.Errorf("missing differs (-want +got):\n%s", diff)
	}
	if got := rows(account.Movements); got != "0 new pro 99.00 purchase +1" {
		t.Errorf("movements are %q, want what is known", got)
	}
}

func TestACouponThatThePolicyLeavesOutNeedNotBeKnown(t *testing.T) {
	t.Parallel()
	amount := analytics.MRR(on("pro_month", coupon("never_seen", 0)), shop(), analytics.DiscountsNone, time.Time{}, birth)
	if len(amount.Missing) > 0 || amount.TotalMicro() != 99*dollar {
		t.Errorf("amount is %+v, want the list price", amount)
	}
}

func TestAnAmountTooLargeToCountIsFlagged(t *testing.T) {
	t.Parallel()
	catalog := shop()
	huge := catalog.Prices["pro_month"]
	huge.Interval, huge.Amounts = billing.Day, map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: 1 << 62}}
	catalog.Prices["pro_month"] = huge
	amount := analytics.MRR(on("pro_month"), catalog, analytics.DiscountsRecurring, time.Time{}, birth)
	if len(amount.ByPlan) != 0 || len(amount.Missing) != 1 {
		t.Errorf("amount is %+v, want a flag and nothing else", amount)
	}
}

func TestADayBeginsAtMidnightOfTheZone(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	def := analytics.Definition{Zone: berlin, Discounts: analytics.DiscountsRecurring}
	for name, tt := range map[string]struct{ instant, day string }{
		"the last second of a day":                      {"2026-01-31T23:59:59+01:00", "2026-01-31"},
		"midnight opens the next":                       {"2026-02-01T00:00:00+01:00", "2026-02-01"},
		"late evening in UTC is tomorrow in Berlin":     {"2026-01-31T23:00:00Z", "2026-02-01"},
		"before the clock goes forward (a day of 23 h)": {"2026-03-29T00:30:00+01:00", "2026-03-29"},
		"after it": {"2026-03-29T23:59:59+02:00", "2026-03-29"},
		"the second half past two (a day of 25 h)": {"2026-10-25T02:30:00+01:00", "2026-10-25"},
		"the last second of the long day":          {"2026-10-25T23:59:59+01:00", "2026-10-25"},
		"leap day":                                 {"2028-02-29T12:00:00+01:00", "2028-02-29"},
	} {
		t.Run(name, func(t *testing.T) {
			instant, err := time.Parse(time.RFC3339, tt.instant)
			if err != nil {
				t.Fatal(err)
			}
			history := []analytics.Version{{SubscriptionID: "a", At: instant.UTC(), Facts: on("pro_month")}}
			account := analytics.Movements(history, shop(), def, instant)
			if got := account.Days[0].Day.Format(time.DateOnly); got != tt.day {
				t.Errorf("day is %s, want %s", got, tt.day)
			}
		})
	}
}

func zone(t interface{ Fatal(...any) }, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// customers draws the histories of one customer's subscriptions in two
// currencies over three years, with coupons, pauses, trials and ends.
func customers() *rapid.Generator[[]analytics.Version] {
	return rapid.Custom(func(t *rapid.T) []analytics.Version {
		var history []analytics.Version
		for s := range rapid.IntRange(1, 3).Draw(t, "subscriptions") {
			id := fmt.Sprint("sub_", s)
			currency := rapid.SampledFrom([]money.Currency{"usd", "usd", "eur"}).Draw(t, "currency")
			when := birth.Add(time.Duration(rapid.IntRange(0, 400*24*60).Draw(t, "start")) * time.Minute)
			for range rapid.IntRange(1, 6).Draw(t, "versions") {
				plan := rapid.SampledFrom([]string{"pilot", "pro", "enterprise", "free"}).Draw(t, "plan")
				facts := on(plan+rapid.SampledFrom([]string{"_month", "_year"}).Draw(t, "interval"),
					quantity(rapid.Int64Range(1, 4).Draw(t, "quantity")),
					status(rapid.SampledFrom([]billing.Status{
						billing.StatusActive, billing.StatusActive, billing.StatusActive, billing.StatusPastDue, billing.StatusTrialing,
						billing.StatusUnpaid, billing.StatusPaused,
					}).Draw(t, "status")))
				facts.Currency = currency
				days := int(when.Sub(birth).Hours() / 24)
				if rapid.IntRange(0, 2).Draw(t, "discounted") == 0 {
					coupon(rapid.SampledFrom([]string{"half_for_ever", "half_for_now", "gift"}).Draw(t, "coupon"),
						days+rapid.IntRange(1, 200).Draw(t, "coupon end"))(&facts)
				}
				if rapid.IntRange(0, 3).Draw(t, "paused") == 0 {
					pause(rapid.SampledFrom([]string{"void", "keep_as_draft", "mark_uncollectible"}).Draw(t, "behavior"),
						days+rapid.IntRange(0, 31).Draw(t, "period end"))(&facts)
				}
				history = append(history, analytics.Version{SubscriptionID: id, At: when, Facts: facts})
				when = when.Add(time.Duration(rapid.SampledFrom([]int{1, 60, 600, 1440, 20_000, 60_000}).Draw(t, "gap")) * time.Minute)
			}
			if rapid.Bool().Draw(t, "ends") {
				last := history[len(history)-1].Facts
				last.Status, last.EndedAt = billing.StatusCanceled, billing.At(when)
				history = append(history, analytics.Version{SubscriptionID: id, At: when, Facts: last})
			}
		}
		return history
	})
}

// key names a balance: a currency, and a plan or "" for all.
type key struct {
	currency money.Currency
	plan     string
}

// balanceAt is the MRR at an instant by the definition alone, without turns.
func balanceAt(history []analytics.Version, catalog analytics.Catalog, t time.Time) map[key]int64 {
	out := map[key]int64{}
	bySubscription := map[string][]analytics.Version{}
	for _, v := range history {
		bySubscription[v.SubscriptionID] = append(bySubscription[v.SubscriptionID], v)
	}
	for _, versions := range bySubscription {
		bites := analytics.PauseBites(versions)
		for i, v := range slices.Backward(versions) {
			if v.At.After(t) {
				continue
			}
			for plan, micro := range analytics.MRR(v.Facts, catalog, analytics.DiscountsRecurring, bites[i], t).ByPlan {
				out[key{v.Facts.Currency, plan}] += micro
				out[key{v.Facts.Currency, ""}] += micro
			}
			break
		}
	}
	return out
}

func TestMovementsAddUpToTheBalanceOfEveryDayCurrencyAndPlan(t *testing.T) {
	t.Parallel()
	catalog := shop()
	rapid.Check(t, func(t *rapid.T) {
		history := customers().Draw(t, "history")
		z := zone(t, rapid.SampledFrom([]string{"UTC", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Auckland"}).Draw(t, "zone"))
		now := birth.AddDate(0, 0, rapid.IntRange(0, 1200).Draw(t, "now"))
		account := analytics.Movements(history, catalog, analytics.Definition{Zone: z, Discounts: analytics.DiscountsRecurring}, now)

		running := map[key]int64{}
		movements, days := account.Movements, account.Days
		level := map[money.Currency]int64{}
		for d := analytics.DayOf(birth, z); !d.After(analytics.DayOf(now, z)); d = d.AddDate(0, 0, 1) {
			transfers := map[money.Currency]int64{}
			for len(movements) > 0 && movements[0].Day.Equal(d) {
				m := movements[0]
				movements = movements[1:]
				running[key{m.Currency, m.Plan}] += m.AmountMicro
				running[key{m.Currency, ""}] += m.AmountMicro
				if m.Kind == analytics.TransferIn || m.Kind == analytics.TransferOut {
					transfers[m.Currency] += m.AmountMicro
				}
			}
			for currency, micro := range transfers {
				if micro != 0 {
					t.Fatalf("transfers of %s in %s add up to %d", d.Format(time.DateOnly), currency, micro)
				}
			}
			for len(days) > 0 && days[0].Day.Equal(d) {
				level[days[0].Currency] = days[0].MRRMicro
				days = days[1:]
			}
			end := time.Date(d.Year(), d.Month(), d.Day()+1, 0, 0, -1, 0, z)
			if end.After(now) {
				end = now
			}
			maps.DeleteFunc(running, func(_ key, micro int64) bool { return micro == 0 })
			want := balanceAt(history, catalog, end)
			if diff := gocmp.Diff(want, running, gocmp.AllowUnexported(key{})); diff != "" {
				t.Fatalf("balance at the end of %s differs (-definition +ledger):\n%s", d.Format(time.DateOnly), diff)
			}
			for currency, micro := range level {
				if micro != want[key{currency, ""}] {
					t.Fatalf("customer day says %d %s on %s, want %d", micro, currency, d.Format(time.DateOnly), want[key{currency, ""}])
				}
			}
		}
		if len(movements) > 0 || len(days) > 0 {
			t.Fatalf("rows beyond now: %v %v", movements, days)
		}
	})
}

func TestMovementsAreLegal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := customers().Draw(t, "history")
		account := analytics.Movements(history, shop(), utc, birth.AddDate(4, 0, 0))
		active := map[money.Currency]int{}
		news := map[time.Time]bool{}
		for i, m := range account.Movements {
			active[m.Currency] += m.Customers
			if m.Kind == analytics.New {
				news[m.Day] = true
			}
			negative := m.Kind == analytics.Churn || m.Kind == analytics.Contraction || m.Kind == analytics.TransferOut
			switch {
			case m.AmountMicro == 0 || negative != (m.AmountMicro < 0):
				t.Fatalf("row %d has the wrong sign: %+v", i, m)
			case active[m.Currency] < 0 || active[m.Currency] > 1:
				t.Fatalf("one customer counts as %d after %+v", active[m.Currency], m)
			case m.Reason == "" || m.Plan == "":
				t.Fatalf("row %d lacks its reason or plan: %+v", i, m)
			}
			if i > 0 {
				p := account.Movements[i-1]
				if p.Day.Equal(m.Day) && p.Currency == m.Currency && p.Kind == m.Kind && p.Plan == m.Plan {
					t.Fatalf("two rows of one key: %+v and %+v", p, m)
				}
			}
		}
		if len(news) > 1 {
			t.Fatalf("new on %d days", len(news))
		}
	})
}

func TestAnotherZoneOnlyRebuckets(t *testing.T) {
	t.Parallel()
	catalog := shop()
	rapid.Check(t, func(t *rapid.T) {
		history := customers().Draw(t, "history")
		now := birth.AddDate(4, 0, 0)
		total := func(z *time.Location) map[key]int64 {
			out := map[key]int64{}
			for _, m := range analytics.Movements(history, catalog, analytics.Definition{Zone: z, Discounts: analytics.DiscountsRecurring}, now).Movements {
				out[key{m.Currency, m.Plan}] += m.AmountMicro
			}
			maps.DeleteFunc(out, func(_ key, micro int64) bool { return micro == 0 })
			return out
		}
		if diff := gocmp.Diff(total(time.UTC), total(zone(t, "Pacific/Auckland")), gocmp.AllowUnexported(key{})); diff != "" {
			t.Fatalf("totals differ between zones:\n%s", diff)
		}
	})
}

func TestMonthlyAndAnnualPricesOfEqualTotalAreNoMovement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		catalog := emptyCatalog()
		minor := rapid.Int64Range(1, 1_000_000).Draw(t, "price")
		month := add(catalog, billing.Price{Plan: "pro", Interval: billing.Month, IntervalCount: 1, UsageType: "licensed"}, minor*money.Micro)
		year := add(catalog, billing.Price{Plan: "pro", Interval: billing.Year, IntervalCount: 1, UsageType: "licensed"}, 12*minor*money.Micro)
		n := quantity(rapid.Int64Range(1, 1000).Draw(t, "quantity"))
		account := analytics.Movements([]analytics.Version{day(0, "a", on(month, n)), day(9, "a", on(year, n))}, catalog, utc, birth.AddDate(1, 0, 0))
		if len(account.Movements) != 1 || len(account.Days) != 1 {
			t.Fatalf("movements are %v, want only the first", account.Movements)
		}
	})
}

func TestTheEndScheduledAndTakenBackMovesNothing(t *testing.T) {
	t.Parallel()
	catalog := shop()
	rapid.Check(t, func(t *rapid.T) {
		history := customers().Draw(t, "history")
		var scheduled []analytics.Version
		for _, v := range history {
			scheduled = append(scheduled, v)
			if !v.Facts.Status.IsTerminal() {
				v.Facts.EndsAt, v.At = billing.At(v.At.AddDate(0, 1, 0)), v.At.Add(time.Second)
				scheduled = append(scheduled, v)
				v.Facts.EndsAt, v.At = 0, v.At.Add(time.Second)
				scheduled = append(scheduled, v)
			}
		}
		now := birth.AddDate(4, 0, 0)
		if diff := gocmp.Diff(analytics.Movements(history, catalog, utc, now), analytics.Movements(scheduled, catalog, utc, now)); diff != "" {
			t.Fatalf("scheduling moved something:\n%s", diff)
		}
	})
}

func TestNextIsTheFirstChangeAfterNow(t *testing.T) {
	t.Parallel()
	catalog := shop()
	rapid.Check(t, func(t *rapid.T) {
		history := customers().Draw(t, "history")
		now := birth.AddDate(0, 0, rapid.IntRange(0, 800).Draw(t, "now"))
		account := analytics.Movements(history, catalog, utc, now)
		end := birth.AddDate(4, 0, 0)
		if !account.Next.IsZero() {
			if !account.Next.After(now) {
				t.Fatalf("next is %v, not after %v", account.Next, now)
			}
			end = account.Next.Add(-time.Second)
		}
		// Nothing changes from now until just before.
		later := analytics.Movements(history, catalog, utc, end)
		if diff := gocmp.Diff(account.Movements, later.Movements); diff != "" {
			t.Fatalf("a change before next (%v):\n%s", account.Next, diff)
		}
	})
}

func TestSeries(t *testing.T) {
	t.Parallel()
	month := func(m int) time.Time { return time.Date(2026, time.Month(m), 1, 0, 0, 0, 0, time.UTC) }
	period := func(m int) analytics.Period { return analytics.Period{Start: month(m), End: month(m + 1)} }
	points := analytics.Series(analytics.Level{MRRMicro: 100, Customers: 2}, []analytics.Flow{
		{Day: month(1), Kind: analytics.New, AmountMicro: 50, Customers: 1},
		{Day: month(1), Kind: analytics.Contraction, AmountMicro: -20},
		// Two plans each had a part of what was contracted, and one went over.
		{Day: month(1), Kind: analytics.Contraction, AmountMicro: -10},
		{Day: month(1), Kind: analytics.TransferOut, AmountMicro: -40},
		{Day: month(1), Kind: analytics.TransferIn, AmountMicro: 40},
		{Day: month(3), Kind: analytics.Churn, AmountMicro: -120, Customers: -3},
	}, analytics.Periods(month(1), month(4), month(4), analytics.Monthly), false)
	want := []analytics.Point{
		{
			Period: period(1), Opening: analytics.Level{MRRMicro: 100, Customers: 2}, Closing: analytics.Level{MRRMicro: 120, Customers: 3},
			Moved: map[analytics.MovementKind]analytics.Level{analytics.New: {MRRMicro: 50, Customers: 1}, analytics.Contraction: {MRRMicro: -30}},
		},
		{Period: period(2), Opening: analytics.Level{MRRMicro: 120, Customers: 3}, Closing: analytics.Level{MRRMicro: 120, Customers: 3}},
		{
			Period: period(3), Opening: analytics.Level{MRRMicro: 120, Customers: 3},
			Moved: map[analytics.MovementKind]analytics.Level{analytics.Churn: {MRRMicro: -120, Customers: -3}},
		},
		{Period: analytics.Period{Start: month(4), End: month(5), IsRunning: true}},
	}
	if diff := gocmp.Diff(want, points); diff != "" {
		t.Errorf("series differs (-want +got):\n%s", diff)
	}
	if got := points[0].NetNewMicro(); got != 20 {
		t.Errorf("net new of January is %d, want 20", got)
	}
}

// A range split anywhere gives the points of the whole.
func TestASeriesIsAdditive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC)
		flows := rapid.SliceOf(rapid.Custom(func(t *rapid.T) analytics.Flow {
			return analytics.Flow{
				Day: first.AddDate(0, rapid.IntRange(0, 23).Draw(t, "month"), 0), Kind: analytics.New,
				AmountMicro: rapid.Int64Range(-1e9, 1e9).Draw(t, "amount"), Customers: rapid.Int64Range(-3, 3).Draw(t, "customers"),
			}
		})).Draw(t, "flows")
		last := first.AddDate(0, 23, 0)
		whole := analytics.Series(analytics.Level{}, flows, analytics.Periods(first, last, last, analytics.Monthly), false)
		cut := rapid.IntRange(1, 23).Draw(t, "cut")
		head := analytics.Series(analytics.Level{}, flows, analytics.Periods(first, first.AddDate(0, cut-1, 0), last, analytics.Monthly), false)
		tail := analytics.Series(head[len(head)-1].Closing, flows, analytics.Periods(first.AddDate(0, cut, 0), last, last, analytics.Monthly), false)
		if diff := gocmp.Diff(whole, slices.Concat(head, tail)); diff != "" {
			t.Fatalf("split after %d months differs:\n%s", cut, diff)
		}
	})
}

func TestPastDueForTooLongIsLostWhereThereIsALimit(t *testing.T) {
	t.Parallel()
	history := []analytics.Version{
		day(0, "a", on("pro_month")), day(30, "a", on("pro_month", status(billing.StatusPastDue))),
		day(33, "a", on("pro_month", status(billing.StatusPastDue), quantity(2))), day(75, "a", on("pro_month")),
	}
	for name, tt := range map[string]struct {
		limit, now int
		want       string
		next       int
	}{
		"without a limit it counts":        {0, 365, "0 new pro 99.00 purchase +1\n33 expansion pro 99.00 quantity\n75 contraction pro -99.00 quantity", 0},
		"the run counts, not the version":  {30, 365, "0 new pro 99.00 purchase +1\n33 expansion pro 99.00 quantity\n60 churn pro -198.00 cancel_involuntary -1\n75 reactivation pro 99.00 payment_recovered +1", 0},
		"it is due by itself":              {30, 40, "0 new pro 99.00 purchase +1\n33 expansion pro 99.00 quantity", 60},
		"paid within the limit is nothing": {60, 365, "0 new pro 99.00 purchase +1\n33 expansion pro 99.00 quantity\n75 contraction pro -99.00 quantity", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			def := utc
			def.PastDueCap = tt.limit
			known := slices.DeleteFunc(slices.Clone(history), func(v analytics.Version) bool { return v.At.After(birth.AddDate(0, 0, tt.now)) })
			account := analytics.Movements(known, shop(), def, birth.AddDate(0, 0, tt.now))
			if diff := gocmp.Diff(tt.want, rows(account.Movements)); diff != "" {
				t.Errorf("movements differ (-want +got):\n%s", diff)
			}
			var next time.Time
			if tt.next != 0 {
				next = birth.AddDate(0, 0, tt.next)
			}
			if !account.Next.Equal(next) {
				t.Errorf("next change is at %v, want %v", account.Next, next)
			}
		})
	}
}

// What is pledged is by day, too: an end that is scheduled, and a trial.
func TestPledgesAreLevelsBesideTheMovements(t *testing.T) {
	t.Parallel()
	ends := func(f *billing.Facts) { f.EndsAt = billing.At(birth.AddDate(0, 0, 90)) }
	account := analytics.Movements([]analytics.Version{
		day(0, "a", on("pro_month", status(billing.StatusTrialing), coupon("half_for_now", 5))), day(14, "a", on("pro_month")),
		day(20, "a", on("pro_month", ends)), day(25, "a", on("pro_month")),
		day(30, "a", on("pro_month", ends)), day(90, "a", on("pro_month", status(billing.StatusCanceled), ends)),
	}, shop(), utc, birth.AddDate(0, 0, 365))
	var got []string
	for _, p := range account.Pledges {
		got = append(got, fmt.Sprintf("%d %s ending %.2f trial %.2f", int(p.Day.Sub(analytics.DayOf(birth, time.UTC)).Hours()/24), p.Plan, float64(p.EndingMicro)/dollar, float64(p.TrialMicro)/dollar))
	}
	want := []string{
		"0 pro ending 0.00 trial 49.50", "5 pro ending 0.00 trial 49.50", "14 pro ending 0.00 trial -99.00",
		"20 pro ending 99.00 trial 0.00", "25 pro ending -99.00 trial 0.00", "30 pro ending 99.00 trial 0.00", "90 pro ending -99.00 trial 0.00",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("pledges differ (-want +got):\n%s", diff)
	}
}
