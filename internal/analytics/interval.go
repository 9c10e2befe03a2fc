package analytics

import (
	"fmt"
	"time"
)

// Interval is how long the periods of a series are.
type Interval string

// The intervals. A week begins on Monday.
const (
	Daily   Interval = "day"
	Weekly  Interval = "week"
	Monthly Interval = "month"
)

// ParseInterval returns the interval of that name.
func ParseInterval(s string) (Interval, error) {
	i := Interval(s)
	switch i {
	case Daily, Weekly, Monthly:
		return i, nil
	}
	return "", fmt.Errorf("interval %q is unknown", s)
}

// Start is the first day of the interval that a day lies in.
func (i Interval) Start(day time.Time) time.Time {
	switch i {
	case Weekly:
		return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	case Monthly:
		return day.AddDate(0, 0, 1-day.Day())
	case Daily:
	}
	return day
}

// Next is the first day of the interval after the one that begins at start.
func (i Interval) Next(start time.Time) time.Time {
	switch i {
	case Weekly:
		return start.AddDate(0, 0, 7)
	case Monthly:
		return start.AddDate(0, 1, 0)
	case Daily:
	}
	return start.AddDate(0, 0, 1)
}

// Period is a stretch of whole days, each midnight UTC of its date in the zone
// of the figures.
type Period struct {
	// Start is its first day, End the first after it.
	Start, End time.Time
	// IsRunning says that today is in it: it is not over.
	IsRunning bool
}

// IsMonth reports whether the period is a calendar month.
func (p Period) IsMonth() bool { return p.Start.Day() == 1 && Monthly.Next(p.Start).Equal(p.End) }

// Last is the last day of the period.
func (p Period) Last() time.Time { return p.End.AddDate(0, 0, -1) }

// Has reports whether a day is in the period.
func (p Period) Has(day time.Time) bool { return !day.Before(p.Start) && day.Before(p.End) }

// Periods are the whole intervals that first and last lie in and all between
// them, oldest first. None begins after today.
func Periods(first, last, today time.Time, interval Interval) []Period {
	var out []Period
	for start := interval.Start(first); !start.After(last) && !start.After(today); {
		end := interval.Next(start)
		out = append(out, Period{Start: start, End: end, IsRunning: today.Before(end)})
		start = end
	}
	return out
}

// MonthOf is the first of the month of an instant in a zone, midnight UTC.
func MonthOf(t time.Time, zone *time.Location) time.Time { return Monthly.Start(DayOf(t, zone)) }
