package stripesim

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestAProrationIsRoundedToTheNearestCent(t *testing.T) {
	t.Parallel()
	price := func(unit string) object { return object{"unit_amount": nil, "unit_amount_decimal": unit} }
	for _, c := range []struct {
		sentence   string
		unit       string
		quantity   int64
		period     span
		at, amount int64
	}{
		{"a whole period", "9900", 1, span{0, 2678400}, 0, 9900},
		{"nothing of it", "9900", 1, span{0, 2678400}, 2678400, 0},
		{"half of a month of 31 days", "9900", 1, span{0, 2678400}, 1339200, 4950},
		{"a third", "100", 1, span{0, 3}, 2, 33},
		{"two thirds", "100", 1, span{0, 3}, 1, 67},
		{"half a cent, upwards", "1", 1, span{0, 2}, 1, 1},
		{"just under half a cent", "1", 1, span{0, 1000}, 501, 0},
		{"the quantity before the rounding", "1", 3, span{0, 4}, 3, 1},
		{"a price with fractions of a cent", "0.5", 5, span{0, 2}, 1, 1},
		{"before the period is its beginning", "100", 1, span{10, 20}, 0, 100},
		{"after the period is its end", "100", 1, span{10, 20}, 30, 0},
		{"a period of nothing", "100", 1, span{10, 10}, 10, 0},
		{"more than fits into 64 bits on the way", "900000000000", 1000000, span{0, 31622400}, 15811200, 450000000000000000},
	} {
		if got := prorated(price(c.unit), c.quantity, c.period, c.at); got != c.amount {
			t.Errorf("%s: got %d, want %d", c.sentence, got, c.amount)
		}
	}
}

// TestChangesOverAPeriodSumToWhatWasUsed plays a period in which the price and
// the quantity change any number of times. What was billed at its beginning with
// all credits and debits is the sum of what each was used for, up to the
// roundings, and exactly that where the changes fall on whole cents.
func TestChangesOverAPeriodSumToWhatWasUsed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		period := span{1_700_000_000, 1_700_000_000 + rapid.Int64Range(86400, 366*86400).Draw(t, "length")}
		item := func() (object, int64) {
			price := object{"unit_amount": rapid.Int64Range(0, 5_000_000).Draw(t, "price")}
			return price, rapid.Int64Range(0, 50).Draw(t, "quantity")
		}
		price, quantity := item()
		billed := prorated(price, quantity, period, period.start)
		if whole := amountTimes(price, quantity); billed != whole {
			t.Fatalf("a whole period: %d, want %d", billed, whole)
		}
		used, since, roundings := new(big.Rat), period.start, int64(0)
		use := func(until int64) {
			exact := exactAmount(price, quantity)
			used.Add(used, exact.Mul(exact, big.NewRat(until-since, period.end-period.start)))
			since = until
		}
		for range rapid.IntRange(0, 8).Draw(t, "changes") {
			at := rapid.Int64Range(since, period.end).Draw(t, "at")
			credit := prorated(price, quantity, period, at)
			use(at)
			price, quantity = item()
			billed += prorated(price, quantity, period, at) - credit
			roundings += 2
		}
		use(period.end)
		difference := used.Sub(used, big.NewRat(billed, 1))
		if difference.Abs(difference).Cmp(big.NewRat(roundings, 2)) > 0 {
			t.Fatalf("billed %d, which differs from what was used by %s after %d roundings", billed, difference.FloatString(3), roundings)
		}
	})
}

func TestADecimalIsWrittenWithoutTrailingZeros(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b int64
		want string
	}{{-2000, 1, "-2000"}, {1, 3, "0.333333333333"}, {5, 2, "2.5"}, {0, 7, "0"}, {100, 1, "100"}} {
		if got := decimalText(big.NewRat(c.a, c.b)); got != c.want {
			t.Errorf("%s: got %s, want %s", fmt.Sprint(c.a, "/", c.b), got, c.want)
		}
	}
}
