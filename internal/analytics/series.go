package analytics

import (
	"maps"
	"time"
)

// Flow is what moved on a day, or in the month that begins with it, of one kind:
// the sum of movements.
type Flow struct {
	// Day is midnight UTC of the date.
	Day         time.Time
	Kind        MovementKind
	AmountMicro int64
	Customers   int64
}

// Level is a running sum of flows: MRR and the customers who carry it.
type Level struct {
	MRRMicro  int64
	Customers int64
}

func (l Level) plus(m Level) Level {
	return Level{MRRMicro: l.MRRMicro + m.MRRMicro, Customers: l.Customers + m.Customers}
}

// Point is what is known of one period, in one currency, of the account or of a
// plan. What nobody asked for is nil.
type Point struct {
	Period
	// Opening is the level before the first day, Closing that at the end of the
	// last one, or of now.
	Opening, Closing Level
	// Moved is what lies between them by kind; nil where nothing moved. Transfers
	// from plan to plan are among them for a plan alone: those of the account add
	// up to nothing and are left out.
	Moved map[MovementKind]Level
	// FXMicro is what exchange rates did to a level in a base currency.
	FXMicro int64
	// EndingMicro is the part of the closing MRR whose end is scheduled, TrialMicro
	// what the trials under way would be worth.
	EndingMicro, TrialMicro int64
	// Month is what became in this month of whoever was there when it began, Year
	// the same for the twelve months that it ends; nil for a period that is no
	// calendar month. Earlier are the months before it, newest first, six at most.
	Month, Year *Retained
	Earlier     []Retained
	Trials      *Trials
	Payments    *Payments
	Cash        *Cash
	// Funnel are those who entered the funnel in the period.
	Funnel *Funnel
}

// NetNewMicro is what the period added to MRR (metrics.md 1.4).
func (p Point) NetNewMicro() int64 { return p.Closing.MRRMicro - p.Opening.MRRMicro - p.FXMicro }

// Trials are the trials of a period (metrics.md 1.9), counted by subscription:
// those that began in it, those that ended in it, how many of the latter were
// paid for, and how many of the rest may still be: a trial is settled fourteen
// days after its end.
type Trials struct{ Started, Ended, Converted, Provisional int64 }

// Invoices are some invoices and the sum of what is due on them.
type Invoices struct {
	Count       int64
	AmountMinor int64
}

// Plus adds others of the same currency.
func (i Invoices) Plus(j Invoices) Invoices {
	return Invoices{Count: i.Count + j.Count, AmountMinor: i.AmountMinor + j.AmountMinor}
}

// Payments are the renewals whose first attempt lies in a period (metrics.md
// 1.13). An invoice counts once, with what was due at its first attempt. Failed
// were declined then, and are recovered, in retry or lost now; of those that
// were Asked the bank wanted the customer's confirmation instead. The rest was
// paid at once.
type Payments struct {
	Attempted, Asked         Invoices
	Recovered, InRetry, Lost Invoices
}

// Failed are all whose first attempt was declined.
func (p Payments) Failed() Invoices { return p.Recovered.Plus(p.InRetry).Plus(p.Lost) }

// Cash is what went through the account in a period, from Stripe's balance
// transactions (metrics.md 1.14), in minor units. Gross are charges; refunds and
// disputes lower the net and are negative, fees are positive as Stripe has them.
// Net is the sum of what all of them, and anything else but payouts, transfers
// and top-ups, put into the balance.
type Cash struct{ GrossMinor, RefundsMinor, DisputesMinor, FeesMinor, OtherMinor, NetMinor int64 }

// Series turns flows into levels: one point a period, whether or not anything
// moved. opening is the level before the first period; flows that lie in none
// are left out, and those of a plan keep their transfers.
func Series(opening Level, flows []Flow, periods []Period, isPlan bool) []Point {
	points := make([]Point, 0, len(periods))
	total := make([]Level, len(periods))
	moved := make([]map[MovementKind]Level, len(periods))
	for _, f := range flows {
		i := indexOf(periods, f.Day)
		if i < 0 {
			continue
		}
		by := Level{MRRMicro: f.AmountMicro, Customers: f.Customers}
		total[i] = total[i].plus(by)
		if !isPlan && (f.Kind == TransferIn || f.Kind == TransferOut) {
			continue
		}
		if moved[i] == nil {
			moved[i] = map[MovementKind]Level{}
		}
		moved[i][f.Kind] = moved[i][f.Kind].plus(by)
	}
	level := opening
	for i, period := range periods {
		closing := level.plus(total[i])
		points = append(points, Point{Period: period, Opening: level, Closing: closing, Moved: moved[i]})
		level = closing
	}
	return points
}

// indexOf finds the period that a day lies in; -1: none. Periods ascend without
// gaps.
func indexOf(periods []Period, day time.Time) int {
	low, high := 0, len(periods)
	for low < high {
		middle := (low + high) / 2
		if day.Before(periods[middle].End) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if low == len(periods) || day.Before(periods[low].Start) {
		return -1
	}
	return low
}

// Sum is a point for all of the points together: it opens with the first and
// closes with the last. Rates over it are not those of its parts, so it has no
// retention of its own.
func Sum(points []Point) Point {
	if len(points) == 0 {
		return Point{}
	}
	first, last := points[0], points[len(points)-1]
	sum := Point{
		Period:  Period{Start: first.Start, End: last.End, IsRunning: last.IsRunning},
		Opening: first.Opening, Closing: last.Closing, EndingMicro: last.EndingMicro, TrialMicro: last.TrialMicro,
	}
	for _, p := range points {
		sum.FXMicro += p.FXMicro
		for kind, by := range p.Moved {
			if sum.Moved == nil {
				sum.Moved = map[MovementKind]Level{}
			}
			sum.Moved[kind] = sum.Moved[kind].plus(by)
		}
		sum.Trials = plusTrials(sum.Trials, p.Trials)
		sum.Payments = plusPayments(sum.Payments, p.Payments)
		sum.Cash = plusCash(sum.Cash, p.Cash)
		sum.Funnel = plusFunnel(sum.Funnel, p.Funnel)
	}
	return sum
}

func plusTrials(a, b *Trials) *Trials {
	if a == nil || b == nil {
		return coalesce(a, b)
	}
	return &Trials{a.Started + b.Started, a.Ended + b.Ended, a.Converted + b.Converted, a.Provisional + b.Provisional}
}

func plusPayments(a, b *Payments) *Payments {
	if a == nil || b == nil {
		return coalesce(a, b)
	}
	return &Payments{
		Attempted: a.Attempted.Plus(b.Attempted), Asked: a.Asked.Plus(b.Asked), Recovered: a.Recovered.Plus(b.Recovered),
		InRetry: a.InRetry.Plus(b.InRetry), Lost: a.Lost.Plus(b.Lost),
	}
}

func plusCash(a, b *Cash) *Cash {
	if a == nil || b == nil {
		return coalesce(a, b)
	}
	return &Cash{
		a.GrossMinor + b.GrossMinor, a.RefundsMinor + b.RefundsMinor, a.DisputesMinor + b.DisputesMinor,
		a.FeesMinor + b.FeesMinor, a.OtherMinor + b.OtherMinor, a.NetMinor + b.NetMinor,
	}
}

func plusFunnel(a, b *Funnel) *Funnel {
	if a == nil || b == nil {
		return coalesce(a, b)
	}
	sum := a.Plus(*b)
	return &sum
}

func coalesce[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// Gained and Lost are what kinds of movements brought and took, both as amounts
// above nought.
func (p Point) moved(kinds ...MovementKind) int64 {
	var sum int64
	for kind := range maps.Keys(p.Moved) {
		for _, k := range kinds {
			if k == kind {
				sum += p.Moved[kind].MRRMicro
			}
		}
	}
	return sum
}
