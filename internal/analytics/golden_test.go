package analytics_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// micro is a decimal of dollars in micro-units of a cent.
func micro(t *testing.T, dollars string) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(dollars)
	if !ok {
		t.Fatalf("%q is no amount", dollars)
	}
	r.Mul(r, big.NewRat(100*money.Micro, 1))
	if !r.IsInt() {
		t.Fatalf("%q is no whole number of micro-units", dollars)
	}
	return r.Num().Int64()
}

func golden[T any](t *testing.T, file string) []T {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	return cases
}

// add puts a price into the catalogue and returns its id.
func add(c analytics.Catalog, p billing.Price, unitMicro int64) string {
	p.ID = fmt.Sprintf("price_%s_%d_%d_%s_%s", p.Interval, p.IntervalCount, unitMicro, p.UsageType, p.Plan)
	p.Amounts = map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: unitMicro}}
	c.Prices[p.ID] = p
	return p.ID
}

func emptyCatalog() analytics.Catalog {
	return analytics.Catalog{Prices: map[string]billing.Price{}, Coupons: map[string]billing.Coupon{}}
}

func TestWorkedExamplesOfMRR(t *testing.T) {
	t.Parallel()
	type example struct {
		ID, Topic, Policy string
		Subscriptions     []struct {
			Count int64
			Items []struct {
				Price    json.Number
				Per      billing.Interval
				Every    int64
				Quantity int64
				Usage    string
			}
			Coupons []struct {
				Percent, Duration string
				Amount            int64
			}
		}
		MRR string
	}
	for _, tt := range golden[example](t, "mrr.json") {
		t.Run(tt.ID+": "+tt.Topic, func(t *testing.T) {
			catalog := emptyCatalog()
			var got int64
			for _, s := range tt.Subscriptions {
				facts := billing.Facts{Status: billing.StatusActive, Currency: "usd"}
				for _, i := range s.Items {
					id := add(catalog, billing.Price{
						Plan: "pro", Interval: i.Per, IntervalCount: cmp.Or(i.Every, 1), UsageType: cmp.Or(i.Usage, "licensed"),
					}, micro(t, i.Price.String()))
					facts.Items = append(facts.Items, billing.Item{PriceID: id, Quantity: cmp.Or(i.Quantity, 1)})
				}
				for n, c := range s.Coupons {
					coupon := billing.Coupon{ID: fmt.Sprint("coupon_", n), Duration: c.Duration, PercentOff: c.Percent}
					if c.Amount != 0 {
						coupon.AmountsOff = map[money.Currency]int64{"usd": c.Amount * 100}
					}
					catalog.Coupons[coupon.ID] = coupon
					facts.Discounts = append(facts.Discounts, billing.Discount{CouponID: coupon.ID})
				}
				policy, err := analytics.ParseDiscountPolicy(cmp.Or(tt.Policy, "recurring"))
				if err != nil {
					t.Fatal(err)
				}
				amount := analytics.MRR(facts, catalog, policy, time.Time{}, birth)
				if len(amount.Missing) > 0 {
					t.Fatalf("missing %v", amount.Missing)
				}
				got += max(s.Count, 1) * amount.TotalMicro()
			}
			if want := micro(t, tt.MRR); got != want {
				t.Errorf("MRR is %d, want %d", got, want)
			}
		})
	}
}

func TestWorkedExamplesOfMovements(t *testing.T) {
	t.Parallel()
	type movement struct {
		Day    int
		Kind   analytics.MovementKind
		Amount json.Number
		Reason analytics.Reason
	}
	type example struct {
		ID, Topic string
		Opening   struct {
			Customers int
			Each      json.Number
		}
		Changes []struct {
			Customer, Subscription string
			Day                    int
			Status                 billing.Status
			Price                  json.Number
			Per                    billing.Interval
		}
		Movements []movement
		End       json.Number
	}
	for _, tt := range golden[example](t, "movements.json") {
		t.Run(tt.ID+": "+tt.Topic, func(t *testing.T) {
			catalog := emptyCatalog()
			histories := map[string][]analytics.Version{}
			put := func(customer, subscription string, day int, status billing.Status, price json.Number, per billing.Interval) {
				id := add(catalog, billing.Price{Plan: "pro", Interval: cmp.Or(per, billing.Month), IntervalCount: 1, UsageType: "licensed"}, micro(t, price.String()))
				histories[customer] = append(histories[customer], analytics.Version{
					SubscriptionID: customer + subscription, At: birth.AddDate(0, 0, day),
					Facts: billing.Facts{
						Status: cmp.Or(status, billing.StatusActive), Currency: "usd",
						Items: []billing.Item{{PriceID: id, Quantity: 1}},
					},
				})
			}
			for i := range tt.Opening.Customers {
				put(fmt.Sprint("opening-", i), "", -100, "", tt.Opening.Each, "")
			}
			for _, c := range tt.Changes {
				put(c.Customer, c.Subscription, c.Day, c.Status, c.Price, c.Per)
			}

			start := analytics.DayOf(birth, time.UTC)
			var got []movement
			var end int64
			for _, history := range histories {
				account := analytics.Movements(history, catalog, utc, birth.AddDate(5, 0, 0))
				for _, m := range account.Movements {
					end += m.AmountMicro
					if !m.Day.Before(start) {
						got = append(got, movement{
							int(m.Day.Sub(start).Hours() / 24), m.Kind, json.Number(fmt.Sprint(m.AmountMicro)), m.Reason,
						})
					}
				}
			}
			for i := range tt.Movements {
				tt.Movements[i].Amount = json.Number(fmt.Sprint(micro(t, tt.Movements[i].Amount.String())))
			}
			slices.SortFunc(got, func(a, b movement) int { return cmp.Compare(a.Day, b.Day) })
			if diff := gocmp.Diff(tt.Movements, got); diff != "" {
				t.Errorf("movements differ (-want +got):\n%s", diff)
			}
			if want := micro(t, tt.End.String()); end != want {
				t.Errorf("MRR at the end is %d, want %d", end, want)
			}
		})
	}
}

var utc = analytics.Definition{Zone: time.UTC, Discounts: analytics.DiscountsRecurring}
