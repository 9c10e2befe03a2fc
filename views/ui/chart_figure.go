package ui

import "math"

// KeyFigure is a figure that is the point of its card, with where it came from
// and where to look further.
type KeyFigure struct {
	Label string // "MRR"
	Value string // "$1,843.00"
	// Note stands beside the label: what it is made of.
	Note  string
	Delta Delta
	Spark Spark
	Link  Link
	// Explain is where the figure is explained; empty: nowhere.
	Explain string
}

// Delta is how a figure compares with an earlier one. The words say all; the
// arrow and the colour repeat it.
type Delta struct {
	Text      string // "$124.00 more than at the end of October"
	Direction Direction
	Tone      Tone
}

// Direction is where an arrow points.
type Direction string

// The directions; level has no arrow.
const (
	Level Direction = ""
	Up    Direction = "M8 13V3M4 7l4-4 4 4"
	Down  Direction = "M8 3v10M4 9l4 4 4-4"
)

// Link leads on.
type Link struct {
	Text string
	Href string
}

// Spark is a figure over the periods, as small as a word. It has no words of its
// own: the chart or the page behind the link has them.
type Spark struct {
	Values []int64
	// IsRunning: the last value is of a period that is not over.
	IsRunning bool
}

// sparkUnits is how wide a step of a spark is in its coordinates, which are a
// hundred high.
const sparkUnits = 10

func (s Spark) width() int { return sparkUnits * max(len(s.Values)-1, 1) }

// strokes are the settled line and the piece into the running period; their ends
// touch the edges.
func (s Spark) strokes() []shape {
	low, high := extremes(s.Values)
	y := func(i int) int { return int(math.Round(level(s.Values[i], low, high))) }
	var settled, running pen
	for i := 1; i < len(s.Values); i++ {
		to := &settled
		if s.IsRunning && i == len(s.Values)-1 {
			to = &running
		}
		to.line(sparkUnits*(i-1), y(i-1), sparkUnits*i, y(i))
	}
	var out []shape
	if path := settled.path.String(); path != "" {
		out = append(out, shape{path: path})
	}
	if path := running.path.String(); path != "" {
		out = append(out, shape{path: path, running: true})
	}
	return out
}

// end is how far down the last value lies.
func (s Spark) end() string {
	if len(s.Values) == 0 {
		return ""
	}
	low, high := extremes(s.Values)
	return percent(level(s.Values[len(s.Values)-1], low, high))
}

// extremes always span nought, so that a spark does not make much of little.
func extremes(values []int64) (low, high int64) {
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	return low, max(high, low+1)
}
