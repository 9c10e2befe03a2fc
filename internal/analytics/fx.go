package analytics

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/money"
)

// DayRate is what a major unit of a currency was worth in the base currency at
// the end of a day.
type DayRate struct {
	Currency money.Currency
	// Day is midnight UTC of the date.
	Day time.Time
	// Rate is above nought: 1.08 where 1 EUR is 1.08 USD and the base is usd.
	Rate *big.Rat
}

// ParseRate reads a rate as it is written in a file: "1.08". It is above nought
// and has neither an exponent nor more than 24 characters.
func ParseRate(s string) (*big.Rat, error) {
	digits, points := 0, 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			points++
		default:
			return nil, fmt.Errorf("rate %q is not a decimal number", s)
		}
	}
	rate, ok := new(big.Rat).SetString(s)
	if !ok || digits == 0 || points > 1 || len(s) > 24 {
		return nil, fmt.Errorf("rate %q is not a decimal number", s)
	}
	if rate.Sign() <= 0 {
		return nil, fmt.Errorf("rate %q is not above nought", s)
	}
	return rate, nil
}

// Rates are dated rates into one base currency (metrics.md 1.15).
type Rates struct {
	Base money.Currency
	// today has no close yet: it goes by the one of the day before.
	today      time.Time
	byCurrency map[money.Currency][]DayRate
}

// NewRates returns the rates of a base currency as they are known on a day.
func NewRates(base money.Currency, today time.Time, rates []DayRate) Rates {
	r := Rates{Base: base, today: today, byCurrency: map[money.Currency][]DayRate{}}
	for _, rate := range rates {
		// What a currency's minor unit is worth in the base's.
		scaled := new(big.Rat).Mul(rate.Rate, powerOfTen(base.Exponent()-rate.Currency.Exponent()))
		r.byCurrency[rate.Currency] = append(r.byCurrency[rate.Currency], DayRate{rate.Currency, rate.Day, scaled})
	}
	for _, rates := range r.byCurrency {
		slices.SortStableFunc(rates, func(a, b DayRate) int { return a.Day.Compare(b.Day) })
	}
	return r
}

func powerOfTen(n int) *big.Rat {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil)
	if n < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), power)
	}
	return new(big.Rat).SetInt(power)
}

// at is the rate of a day: that of its close or, where there is none, of the last
// one before it. Today, and what is to come, goes by yesterday's close until
// there is one. False: none is known by then.
func (r Rates) at(currency money.Currency, day time.Time) (DayRate, bool) {
	if currency == r.Base {
		return DayRate{Currency: currency, Day: day, Rate: big.NewRat(1, 1)}, true
	}
	if !day.Before(r.today) {
		day = r.today.AddDate(0, 0, -1)
	}
	rates := r.byCurrency[currency]
	i, isExact := slices.BinarySearchFunc(rates, day, func(rate DayRate, day time.Time) int { return rate.Day.Compare(day) })
	if isExact {
		return rates[i], true
	}
	if i == 0 {
		return DayRate{}, false
	}
	return rates[i-1], true
}

// Convert turns micro-units into those of the base at the rate of a day, to the
// nearest whole one, halves away from zero. False: no rate is known by then;
// nothing is 0 at any rate.
func (r Rates) Convert(micro int64, currency money.Currency, day time.Time) (int64, bool) {
	if micro == 0 || currency == r.Base {
		return micro, true
	}
	rate, ok := r.at(currency, day)
	if !ok {
		return 0, false
	}
	return timesRate(micro, rate.Rate), true
}

func timesRate(micro int64, rate *big.Rat) int64 {
	product := new(big.Rat).Mul(new(big.Rat).SetInt64(micro), rate)
	return Value{Rat: product}.Micro()
}

// Last is the day of the newest rate of a currency; false: there is none.
func (r Rates) Last(currency money.Currency) (time.Time, bool) {
	rate, ok := r.at(currency, r.today)
	return rate.Day, ok
}

// InCurrency are the figures of one currency.
type InCurrency struct {
	Currency money.Currency
	// Points are those of the periods that are asked for.
	Points []Point
	// Flows are the movements of their days, those between plans for a plan alone.
	Flows []Flow
}

// Converted are figures of several currencies in the base.
type Converted struct {
	Points []Point
	// Missing are the currencies that are left out, because there is no rate for
	// some of what they have to add.
	Missing []money.Currency
}

// ConvertPoints adds currencies up in the base: levels at the rates of the days at whose
// ends they are read, movements at those of their days. What is left between an
// opening and a closing level is the work of the rates, in whole micro-units, so
// that opening, movements and exchange rates add up to the closing level exactly.
// Retention is at the rate of the period's start, so that rates alone neither
// keep nor lose anybody. Customers are added up: who pays in two currencies counts
// in both. Payments and cash are left out: they are told in the currency in which
// they were made.
func (r Rates) ConvertPoints(periods []Period, currencies []InCurrency) Converted {
	out := Converted{Points: make([]Point, len(periods))}
	for i, period := range periods {
		out.Points[i] = Point{Period: period}
	}
	var used []InCurrency
	for _, c := range currencies {
		own, ok := r.convertOne(periods, c)
		if !ok {
			out.Missing = append(out.Missing, c.Currency)
			continue
		}
		used = append(used, c)
		for i := range own {
			out.Points[i].add(own[i])
		}
	}
	for i := range out.Points {
		p := &out.Points[i]
		p.FXMicro = p.Closing.MRRMicro - p.Opening.MRRMicro
		for _, by := range p.Moved {
			p.FXMicro -= by.MRRMicro
		}
		p.Month = r.retained(used, i, periods[i].Start, func(p Point) *Retained { return p.Month })
		p.Year = r.retained(used, i, periods[i].End.AddDate(0, -HorizonYear, 0), func(p Point) *Retained { return p.Year })
		p.Earlier = r.earlier(used, i, periods[i])
	}
	return out
}

// convertOne is a currency in the base, without retention; false: a rate is
// missing.
func (r Rates) convertOne(periods []Period, c InCurrency) ([]Point, bool) {
	out := make([]Point, len(periods))
	isKnown := true
	convert := func(micro int64, day time.Time) int64 {
		converted, ok := r.Convert(micro, c.Currency, day)
		isKnown = isKnown && ok
		return converted
	}
	for i, native := range c.Points {
		before, last := periods[i].Start.AddDate(0, 0, -1), periods[i].Last()
		out[i] = Point{
			Period:      periods[i],
			Opening:     Level{MRRMicro: convert(native.Opening.MRRMicro, before), Customers: native.Opening.Customers},
			Closing:     Level{MRRMicro: convert(native.Closing.MRRMicro, last), Customers: native.Closing.Customers},
			EndingMicro: convert(native.EndingMicro, last), TrialMicro: convert(native.TrialMicro, last), Trials: native.Trials,
		}
	}
	for _, f := range c.Flows {
		i := indexOf(periods, f.Day)
		if i < 0 {
			continue
		}
		out[i].add(Point{Moved: map[MovementKind]Level{f.Kind: {MRRMicro: convert(f.AmountMicro, f.Day), Customers: f.Customers}}})
	}
	return out, isKnown
}

// add adds what another currency has to a point in the base.
func (p *Point) add(q Point) {
	p.Opening, p.Closing = p.Opening.plus(q.Opening), p.Closing.plus(q.Closing)
	p.EndingMicro, p.TrialMicro = p.EndingMicro+q.EndingMicro, p.TrialMicro+q.TrialMicro
	for kind, by := range q.Moved {
		if p.Moved == nil {
			p.Moved = map[MovementKind]Level{}
		}
		p.Moved[kind] = p.Moved[kind].plus(by)
	}
	if q.Trials != nil {
		if p.Trials == nil {
			p.Trials = &Trials{}
		}
		sum := p.Trials.plus(*q.Trials)
		p.Trials = &sum
	}
}

func (t Trials) plus(u Trials) Trials {
	return Trials{
		Started: t.Started + u.Started, Ended: t.Ended + u.Ended, Converted: t.Converted + u.Converted, Provisional: t.Provisional + u.Provisional,
	}
}

// retained adds up what became of the customers of a stretch that begins on a
// day, at the rates at which it began; nil where it is that for any currency, or
// where a rate is missing.
func (r Rates) retained(currencies []InCurrency, i int, start time.Time, pick func(Point) *Retained) *Retained {
	var sum Retained
	for _, c := range currencies {
		native := pick(c.Points[i])
		if native == nil {
			return nil
		}
		own, ok := r.retain(*native, c.Currency, start.AddDate(0, 0, -1))
		if !ok {
			return nil
		}
		sum = sum.plus(own)
	}
	if len(currencies) == 0 {
		return nil
	}
	return &sum
}

// earlier are the months before a period, as many as are known of all currencies.
func (r Rates) earlier(currencies []InCurrency, i int, period Period) []Retained {
	var out []Retained
	for n := 0; ; n++ {
		sum := r.retained(currencies, i, period.Start.AddDate(0, -n-1, 0), func(p Point) *Retained {
			if n >= len(p.Earlier) {
				return nil
			}
			return &p.Earlier[n]
		})
		if sum == nil {
			return out
		}
		out = append(out, *sum)
	}
}

func (r Rates) retain(native Retained, currency money.Currency, day time.Time) (Retained, bool) {
	isKnown := true
	convert := func(micro int64) int64 {
		converted, ok := r.Convert(micro, currency, day)
		isKnown = isKnown && ok
		return converted
	}
	out := native
	for _, amount := range []*int64{&out.BaseMicro, &out.NetMicro, &out.GrossLostMicro, &out.LostMicro, &out.InvoluntaryMicro} {
		*amount = convert(*amount)
	}
	return out, isKnown
}

func (r Retained) plus(s Retained) Retained {
	return Retained{
		BaseMicro: r.BaseMicro + s.BaseMicro, BaseCustomers: r.BaseCustomers + s.BaseCustomers,
		NetMicro: r.NetMicro + s.NetMicro, GrossLostMicro: r.GrossLostMicro + s.GrossLostMicro,
		LostCustomers: r.LostCustomers + s.LostCustomers, InvoluntaryCustomers: r.InvoluntaryCustomers + s.InvoluntaryCustomers,
		LostMicro: r.LostMicro + s.LostMicro, InvoluntaryMicro: r.InvoluntaryMicro + s.InvoluntaryMicro,
	}
}
