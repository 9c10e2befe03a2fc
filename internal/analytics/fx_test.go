package analytics_test

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
)

func dateOf(t testing.TB, text string) time.Time {
	t.Helper()
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return day
}

func rate(t testing.TB, currency money.Currency, day, text string) analytics.DayRate {
	t.Helper()
	parsed, err := analytics.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	return analytics.DayRate{Currency: currency, Day: dateOf(t, day), Rate: parsed}
}

// inCurrency is the figures of a currency that follow from its flows.
func inCurrency(currency money.Currency, opening analytics.Level, periods []analytics.Period, flows ...analytics.Flow) analytics.InCurrency {
	return analytics.InCurrency{Currency: currency, Points: analytics.Series(opening, flows, periods, false), Flows: flows}
}

// TestARollForwardWithExchangeRates is example G02 of the metrics' definitions:
// of 1,000 a tenth is carried in another currency, which loses a twentieth.
func TestARollForwardWithExchangeRates(t *testing.T) {
	t.Parallel()
	today := dateOf(t, "2026-06-15")
	periods := analytics.Periods(dateOf(t, "2026-03-01"), dateOf(t, "2026-03-31"), today, analytics.Monthly)
	flow := func(day string, kind analytics.MovementKind, dollars, customers int64) analytics.Flow {
		return analytics.Flow{Day: dateOf(t, day), Kind: kind, AmountMicro: dollars * 100 * money.Micro, Customers: customers}
	}
	dollars := inCurrency("usd", analytics.Level{MRRMicro: 90_000 * money.Micro, Customers: 9}, periods,
		flow("2026-03-03", analytics.New, 100, 1), flow("2026-03-10", analytics.Expansion, 50, 0),
		flow("2026-03-17", analytics.Contraction, -40, 0), flow("2026-03-24", analytics.Churn, -60, -1))
	euros := inCurrency("eur", analytics.Level{MRRMicro: 10_000 * money.Micro, Customers: 1}, periods)
	rates := analytics.NewRates("usd", today, []analytics.DayRate{rate(t, "eur", "2026-01-05", "1"), rate(t, "eur", "2026-03-20", "0.95")})

	got := rates.ConvertPoints(periods, []analytics.InCurrency{dollars, euros})
	if len(got.Missing) > 0 || len(got.Points) != 1 {
		t.Fatalf("%+v", got)
	}
	p := got.Points[0]
	want := analytics.Point{
		Period:  periods[0],
		Opening: analytics.Level{MRRMicro: 100_000 * money.Micro, Customers: 10},
		Closing: analytics.Level{MRRMicro: 104_500 * money.Micro, Customers: 10},
		Moved: map[analytics.MovementKind]analytics.Level{
			analytics.New: {MRRMicro: 10_000 * money.Micro, Customers: 1}, analytics.Expansion: {MRRMicro: 5_000 * money.Micro},
			analytics.Contraction: {MRRMicro: -4_000 * money.Micro}, analytics.Churn: {MRRMicro: -6_000 * money.Micro, Customers: -1},
		},
		FXMicro: -500 * money.Micro,
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("the roll-forward differs (-want +got):\n%s", diff)
	}
	if net := p.NetNewMicro(); net != 5_000*money.Micro {
		t.Errorf("net new is %s, want 5000", money.DecimalMicro(net))
	}
}

func TestADayHasTheRateOfItsClose(t *testing.T) {
	t.Parallel()
	rates := analytics.NewRates("usd", dateOf(t, "2026-03-10"), []analytics.DayRate{
		rate(t, "eur", "2026-03-10", "1.30"), rate(t, "eur", "2026-03-02", "1.10"), rate(t, "eur", "2026-03-06", "1.20"),
		rate(t, "jpy", "2026-03-02", "0.0067"), rate(t, "kwd", "2026-03-02", "3.25"),
	})
	for name, c := range map[string]struct {
		currency money.Currency
		day      string
		micro    int64
		want     int64
		unknown  bool
	}{
		"a day with a rate has it":                           {"eur", "2026-03-02", 1_000_000, 1_100_000, false},
		"a day without one has the last before it":           {"eur", "2026-03-05", 1_000_000, 1_100_000, false},
		"a new rate holds from its day":                      {"eur", "2026-03-06", 1_000_000, 1_200_000, false},
		"today goes by yesterday, whatever there is of it":   {"eur", "2026-03-10", 1_000_000, 1_200_000, false},
		"what is to come goes by yesterday too":              {"eur", "2026-03-31", 1_000_000, 1_200_000, false},
		"before the first one nothing is known":              {"eur", "2026-03-01", 1_000_000, 0, true},
		"nothing is nothing at any rate":                     {"eur", "2026-03-01", 0, 0, false},
		"the base is worth itself":                           {"usd", "1999-01-01", 7, 7, false},
		"no rate of it was ever known":                       {"gbp", "2026-03-05", 1, 0, true},
		"500 yen, which have no cents, are 3.35 dollars":     {"jpy", "2026-03-05", 500_000_000, 335_000_000, false},
		"a dinar has a thousand fils and a dollar 100 cents": {"kwd", "2026-03-05", 1_000_000_000, 325_000_000, false},
		"half a micro-unit is rounded away from nought":      {"eur", "2026-03-02", -5, -6, false},
	} {
		got, ok := rates.Convert(c.micro, c.currency, dateOf(t, c.day))
		if got != c.want || ok == c.unknown {
			t.Errorf("%s: %d %t", name, got, ok)
		}
	}
	if last, ok := rates.Last("eur"); !ok || !last.Equal(dateOf(t, "2026-03-06")) {
		t.Errorf("the last rate is of %v, %t", last, ok)
	}
	if _, ok := rates.Last("gbp"); ok {
		t.Error("a currency without rates has a last one")
	}
}

func TestARateIsADecimalNumberAboveNought(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"1.08": "27/25", "0.0067": "67/10000", "3": "3/1", ".5": "1/2"} {
		if got, err := analytics.ParseRate(text); err != nil || got.String() != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "0", "0.00", "-1", "+1", "1/3", "1e9", "0x10", "1_000", "1,08", "1.0.8", "Inf", " 1", "1.0800000000000000000000000000001"} {
		if got, err := analytics.ParseRate(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestACurrencyWithoutARateIsLeftOutAndSaidSo(t *testing.T) {
	t.Parallel()
	today := dateOf(t, "2026-06-15")
	periods := analytics.Periods(dateOf(t, "2026-03-01"), dateOf(t, "2026-05-31"), today, analytics.Monthly)
	one := analytics.Level{MRRMicro: 100, Customers: 1}
	rates := analytics.NewRates("usd", today, []analytics.DayRate{rate(t, "eur", "2026-04-02", "2"), rate(t, "gbp", "2026-02-28", "2")})
	got := rates.ConvertPoints(periods, []analytics.InCurrency{
		inCurrency("usd", one, periods),
		inCurrency("eur", one, periods), // it has MRR before the first rate
		inCurrency("gbp", one, periods),
		inCurrency("chf", analytics.Level{}, periods), // it has nothing that could be missing
		inCurrency("sek", analytics.Level{}, periods, analytics.Flow{Day: dateOf(t, "2026-05-02"), Kind: analytics.New, AmountMicro: 5, Customers: 1}),
	})
	if want := []money.Currency{"eur", "sek"}; !slices.Equal(got.Missing, want) {
		t.Errorf("left out are %v, want %v", got.Missing, want)
	}
	for _, p := range got.Points {
		if p.Opening.MRRMicro != 300 || p.Closing.MRRMicro != 300 || p.FXMicro != 0 || p.Closing.Customers != 2 {
			t.Errorf("%+v", p)
		}
	}
	// From its first rate on it is there.
	later := periods[2:]
	if got := rates.ConvertPoints(later, []analytics.InCurrency{inCurrency("eur", one, later)}); len(got.Missing) > 0 || got.Points[0].Closing.MRRMicro != 200 {
		t.Errorf("%+v", got)
	}
}

// TestRetentionIsInConstantCurrency: rates alone neither keep nor lose anybody.
func TestRetentionIsInConstantCurrency(t *testing.T) {
	t.Parallel()
	today := dateOf(t, "2026-06-15")
	periods := analytics.Periods(dateOf(t, "2026-04-01"), dateOf(t, "2026-04-30"), today, analytics.Monthly)
	usd, eur := inCurrency("usd", analytics.Level{MRRMicro: 1000, Customers: 1}, periods), inCurrency("eur", analytics.Level{MRRMicro: 1000, Customers: 2}, periods)
	usd.Points[0].Month = &analytics.Retained{BaseMicro: 1000, BaseCustomers: 1}
	eur.Points[0].Month = &analytics.Retained{BaseMicro: 1000, BaseCustomers: 2, NetMicro: -500, GrossLostMicro: 500, LostCustomers: 1, LostMicro: 500}
	usd.Points[0].Year, eur.Points[0].Year = &analytics.Retained{BaseMicro: 10}, &analytics.Retained{BaseMicro: 10}
	usd.Points[0].Earlier = []analytics.Retained{{BaseCustomers: 4, LostCustomers: 1}, {BaseCustomers: 5}}
	eur.Points[0].Earlier = []analytics.Retained{{BaseMicro: 7, BaseCustomers: 2}}
	rates := analytics.NewRates("usd", today, []analytics.DayRate{
		rate(t, "eur", "2026-02-20", "3"), rate(t, "eur", "2026-03-31", "2"), rate(t, "eur", "2026-04-15", "1"),
	})
	p := rates.ConvertPoints(periods, []analytics.InCurrency{usd, eur}).Points[0]
	// At 2, the rate at which April began: of 3000 then, 2000 are left.
	want := &analytics.Retained{BaseMicro: 3000, BaseCustomers: 3, NetMicro: -1000, GrossLostMicro: 1000, LostCustomers: 1, LostMicro: 1000}
	if diff := cmp.Diff(want, p.Month); diff != "" {
		t.Errorf("retention of the month differs (-want +got):\n%s", diff)
	}
	if p.Month.BaseMicro != p.Opening.MRRMicro {
		t.Errorf("the base is %d, the opening level %d", p.Month.BaseMicro, p.Opening.MRRMicro)
	}
	if p.Year != nil {
		t.Errorf("a year that began without a rate has retention: %+v", p.Year)
	}
	if diff := cmp.Diff([]analytics.Retained{{BaseMicro: 21, BaseCustomers: 6, LostCustomers: 1}}, p.Earlier); diff != "" {
		t.Errorf("the months before differ (-want +got):\n%s", diff)
	}
}

// TestOpeningMovementsAndRatesMakeTheClosing for any currencies, movements and
// rates, whole and in parts: property P2 with exchange rates.
func TestOpeningMovementsAndRatesMakeTheClosing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
		lived := rapid.IntRange(40, 200).Draw(t, "days until today")
		today := first.AddDate(0, 0, lived)
		var rates []analytics.DayRate
		currencies := []money.Currency{"usd", "eur", "jpy", "kwd"}
		for _, c := range currencies[1:] {
			for _, n := range rapid.SliceOfN(rapid.IntRange(1, 2_000_000), 1, 20).Draw(t, "rates of "+string(c)) {
				day := first.AddDate(0, 0, rapid.IntRange(0, 200).Draw(t, "day"))
				rates = append(rates, analytics.DayRate{Currency: c, Day: day, Rate: big.NewRat(int64(n), 100_000)})
			}
			rates = append(rates, analytics.DayRate{Currency: c, Day: first.AddDate(0, 0, -1), Rate: big.NewRat(1, 1)})
		}
		flows := map[money.Currency][]analytics.Flow{}
		for _, c := range currencies {
			for range rapid.IntRange(0, 30).Draw(t, "movements of "+string(c)) {
				flows[c] = append(flows[c], analytics.Flow{
					Day:  first.AddDate(0, 0, rapid.IntRange(0, lived).Draw(t, "day")),
					Kind: rapid.SampledFrom([]analytics.MovementKind{analytics.New, analytics.Expansion, analytics.Contraction, analytics.Churn}).Draw(t, "kind"),
					// Levels may be anything here: that they are not below nought is not what this is about.
					AmountMicro: rapid.Int64Range(-1e12, 1e12).Draw(t, "amount"), Customers: 1,
				})
			}
		}
		opening := analytics.Level{MRRMicro: rapid.Int64Range(0, 1e12).Draw(t, "opening"), Customers: 1}
		converted := func(interval analytics.Interval) []analytics.Point {
			periods := analytics.Periods(first, today, today, interval)
			var all []analytics.InCurrency
			for _, c := range currencies {
				all = append(all, inCurrency(c, opening, periods, flows[c]...))
			}
			got := analytics.NewRates("usd", today, rates).ConvertPoints(periods, all)
			if len(got.Missing) > 0 {
				t.Fatalf("%v are left out", got.Missing)
			}
			return got.Points
		}
		for _, interval := range []analytics.Interval{analytics.Daily, analytics.Monthly} {
			points := converted(interval)
			for i, p := range points {
				sum := p.Opening.MRRMicro + p.FXMicro
				for _, by := range p.Moved {
					sum += by.MRRMicro
				}
				if sum != p.Closing.MRRMicro {
					t.Fatalf("opening, movements and rates of %v make %d, the closing is %d", p.Start, sum, p.Closing.MRRMicro)
				}
				if i > 0 && p.Opening != points[i-1].Closing {
					t.Fatalf("%v opens with %+v after %+v", p.Start, p.Opening, points[i-1].Closing)
				}
			}
		}
		byDay, byMonth := analytics.Sum(converted(analytics.Daily)), analytics.Sum(converted(analytics.Monthly))
		if byDay.FXMicro != byMonth.FXMicro || byDay.NetNewMicro() != byMonth.NetNewMicro() || byDay.Closing.MRRMicro != byMonth.Closing.MRRMicro {
			t.Fatalf("by day %d and %d, by month %d and %d", byDay.FXMicro, byDay.NetNewMicro(), byMonth.FXMicro, byMonth.NetNewMicro())
		}
	})
}
