package reports

import (
	"time"

	"github.com/promptforge/payments/internal/billing"
)

// Span says which months to show. The zero Span is the twelve months up to the
// running one.
type Span struct {
	// Months is how many up to the running one, unless the fields below say
	// otherwise. Beyond the twelve none is before the first in which anything
	// moved.
	Months int
	// ThisYear begins with January.
	ThisYear bool
	// From and To are the first and the last month; any instant within a month,
	// in UTC, stands for it. One that is zero is that of the twelve months, or
	// the earliest month where that is later.
	From, To time.Time
}

// MaxMonths is how many months may be shown at once.
const MaxMonths = 36

// MaxYears is how far back one may look.
const MaxYears = 10

const defaultMonths = 12

// earliestMonth is the first that may be asked for: that in which anything moved
// first, if it is not too long ago.
func earliestMonth(firstFlow, running time.Time) time.Time {
	if limit := running.AddDate(-MaxYears, 0, 0); firstFlow.Before(limit) {
		return limit
	}
	return firstFlow
}

// resolve returns the first and the last month, given the earliest and the
// running one. A span that makes no sense is a *billing.Refusal, whose fields are
// "from" and "to".
func (s Span) resolve(earliest, running time.Time) (first, last time.Time, err error) {
	first, last = running.AddDate(0, 1-defaultMonths, 0), running
	switch {
	case s.ThisYear:
		return running.AddDate(0, 1-int(running.Month()), 0), running, nil
	case s.From.IsZero() && s.To.IsZero():
		if s.Months > 0 {
			floor := first // no more months before the first customer than usual
			if earliest.Before(floor) {
				floor = earliest
			}
			if first = running.AddDate(0, 1-min(s.Months, MaxMonths), 0); first.Before(floor) {
				first = floor
			}
		}
		return first, last, nil
	}
	if first.Before(earliest) {
		first = earliest
	}
	if !s.From.IsZero() {
		first = firstOfMonth(s.From)
	}
	if !s.To.IsZero() {
		last = firstOfMonth(s.To)
	}
	refuse := func(field, message string) (time.Time, time.Time, error) {
		return time.Time{}, time.Time{}, &billing.Refusal{Code: "invalid", Message: message, Fields: map[string]string{field: message}}
	}
	tooEarly := "There is nothing before " + earliest.Format("January 2006") + "."
	if earliest.Equal(running.AddDate(-MaxYears, 0, 0)) {
		tooEarly = "Choose a month of the last ten years."
	}
	switch {
	case first.Before(earliest):
		return refuse("from", tooEarly)
	case last.Before(earliest):
		return refuse("to", tooEarly)
	case last.After(running):
		return refuse("to", "The last month has not begun yet.")
	case first.After(last):
		return refuse("from", "The first month is after the last one.")
	case first.AddDate(0, MaxMonths, 0).Before(last.AddDate(0, 1, 0)):
		return refuse("from", "Choose at most three years.")
	}
	return first, last, nil
}

func firstOfMonth(t time.Time) time.Time {
	year, month, _ := t.Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}
