package analytics

import "time"

// Flow is what moved in a calendar month, of one kind: the sum of movements.
type Flow struct {
	// Month is the first of the month, midnight UTC.
	Month       time.Time
	Kind        MovementKind
	AmountMicro int64
	Customers   int64
}

// Level is a running sum of flows: MRR and the customers who carry it.
type Level struct {
	MRRMicro  int64
	Customers int64
}

// Point is one month of a series.
type Point struct {
	// Month is the first of the month, midnight UTC.
	Month   time.Time
	Opening Level
	Closing Level
	// IsRunning marks the month that is not over: its closing is that of now.
	IsRunning bool
}

// NetNewMicro is what the month added to MRR (metrics.md 1.4).
func (p Point) NetNewMicro() int64 { return p.Closing.MRRMicro - p.Opening.MRRMicro }

// Series turns flows into levels: one point a month from the first to the last,
// both included, whether or not anything moved. opening is the level before the
// first month; running is the month that is not over.
func Series(opening Level, flows []Flow, first, last, running time.Time) []Point {
	moved := map[time.Time]Level{}
	for _, f := range flows {
		m := moved[f.Month]
		m.MRRMicro += f.AmountMicro
		m.Customers += f.Customers
		moved[f.Month] = m
	}
	var points []Point
	level := opening
	for month := first; !month.After(last); month = month.AddDate(0, 1, 0) {
		m := moved[month]
		closing := Level{MRRMicro: level.MRRMicro + m.MRRMicro, Customers: level.Customers + m.Customers}
		points = append(points, Point{Month: month, Opening: level, Closing: closing, IsRunning: month.Equal(running)})
		level = closing
	}
	return points
}

// MonthOf is the first of the month of an instant in a zone, midnight UTC.
func MonthOf(t time.Time, zone *time.Location) time.Time {
	day := DayOf(t, zone)
	return day.AddDate(0, 0, 1-day.Day())
}
