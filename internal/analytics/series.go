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

func (l Level) plus(f Flow) Level {
	return Level{MRRMicro: l.MRRMicro + f.AmountMicro, Customers: l.Customers + f.Customers}
}

// Point is one month of a series.
type Point struct {
	// Month is the first of the month, midnight UTC.
	Month   time.Time
	Opening Level
	Closing Level
	// Moved is what lies between them by kind, without transfers from plan to
	// plan, which add up to nothing; nil where nothing moved.
	Moved map[MovementKind]Level
	// IsRunning marks the month that is not over: its closing is that of now.
	IsRunning bool
}

// NetNewMicro is what the month added to MRR (metrics.md 1.4).
func (p Point) NetNewMicro() int64 { return p.Closing.MRRMicro - p.Opening.MRRMicro }

// Series turns flows into levels: one point a month from the first to the last,
// both included, whether or not anything moved. opening is the level before the
// first month; running is the month that is not over.
func Series(opening Level, flows []Flow, first, last, running time.Time) []Point {
	total, byKind := map[time.Time]Level{}, map[time.Time]map[MovementKind]Level{}
	for _, f := range flows {
		total[f.Month] = total[f.Month].plus(f)
		if f.Kind == TransferIn || f.Kind == TransferOut {
			continue
		}
		if byKind[f.Month] == nil {
			byKind[f.Month] = map[MovementKind]Level{}
		}
		byKind[f.Month][f.Kind] = byKind[f.Month][f.Kind].plus(f)
	}
	var points []Point
	level := opening
	for month := first; !month.After(last); month = month.AddDate(0, 1, 0) {
		m := total[month]
		closing := Level{MRRMicro: level.MRRMicro + m.MRRMicro, Customers: level.Customers + m.Customers}
		points = append(points, Point{Month: month, Opening: level, Closing: closing, Moved: byKind[month], IsRunning: month.Equal(running)})
		level = closing
	}
	return points
}

// MonthOf is the first of the month of an instant in a zone, midnight UTC.
func MonthOf(t time.Time, zone *time.Location) time.Time {
	day := DayOf(t, zone)
	return day.AddDate(0, 0, 1-day.Day())
}
