package ui

import (
	"cmp"
	"strconv"
)

// Bars are figures one below the other, each with a bar of its length: the steps
// of a funnel, reasons by their number. They are their own table of data.
type Bars struct {
	ID      string
	Title   string
	Finding string
	// Heading heads the names, ValueHeading the figures, Columns what follows.
	Heading, ValueHeading string
	Columns               []Column
	Rows                  []Bar
	// Note stands beneath: how the steps hang together.
	Note       string
	Definition string
	Empty      string
	// Explain and CSV are as those of a Chart.
	Explain, CSV string
}

// Bar is one of them.
type Bar struct {
	Name string
	// Note stands beneath the name.
	Note string
	Href string // explains it; empty: nothing does
	// Value is the length, of the longest; below nought it has none.
	Value int64
	Text  string // the value in words: "214"
	// Share is how much of the bar before is left, "62.0%", said with ShareOf,
	// "of views", beside the value; empty: it is not a step of anything.
	Share, ShareOf string
	Look           Look // empty: Plain
	// Cells are those of Columns.
	Cells []Cell
}

// width is the length of a bar in percent of the longest.
func (b Bars) width(bar Bar) string {
	longest := int64(1)
	for _, other := range b.Rows {
		longest = max(longest, other.Value)
	}
	return percent(100 * float64(max(bar.Value, 0)) / float64(longest))
}

func (b Bar) look() string { return "look-" + string(cmp.Or(b.Look, Plain)) }

func (b Bars) class(i int) string { return Table{Columns: b.Columns}.class(i) }

// Waterfall is how a level got from its beginning to its end: a bar a step, each
// beginning where the one before ended, one below the other so that names have
// room. It is its own table of data.
type Waterfall struct {
	ID      string
	Title   string
	Finding string
	// Heading heads the names: "Movement".
	Heading    string
	Steps      []WaterfallStep
	Definition string
	// Explain and CSV are as those of a Chart.
	Explain, CSV string
}

// WaterfallStep is one bar.
type WaterfallStep struct {
	Name string
	// Value is what the step adds or takes, or with IsTotal a level.
	Value   int64
	Text    string // the value in words: "+$99.00"
	IsTotal bool
	Look    Look
	Href    string // explains it; empty: nothing does
}

// span is a bar's place across, in percent.
type span struct{ x, width string }

// spans are the bars, on a scale that has nought and every level.
func (w Waterfall) spans() []span {
	type ends struct{ from, to int64 }
	var low, high, at int64
	bars := make([]ends, len(w.Steps))
	for i, s := range w.Steps {
		bars[i] = ends{at, at + s.Value}
		if s.IsTotal {
			bars[i] = ends{0, s.Value}
		}
		at = bars[i].to
		low, high = min(low, bars[i].from, at), max(high, bars[i].from, at)
	}
	out := make([]span, len(bars))
	for i, b := range bars {
		left, right := 100-level(min(b.from, b.to), low, high), 100-level(max(b.from, b.to), low, high)
		out[i] = span{percent(left), percent(right - left)}
	}
	return out
}

// nought is where nought lies across.
func (w Waterfall) nought() string {
	var low, high, at int64
	for _, s := range w.Steps {
		at += s.Value
		if s.IsTotal {
			at = s.Value
		}
		low, high = min(low, at), max(high, at)
	}
	return percent(100 - level(0, low, high))
}

func (s WaterfallStep) look() string {
	otherwise := Gain
	switch {
	case s.IsTotal:
		otherwise = Strong
	case s.Value < 0:
		otherwise = Loss
	}
	return "look-" + string(cmp.Or(s.Look, otherwise))
}

// fill is the pattern of a step's look, for those that have one.
func (w Waterfall) fill(s WaterfallStep) string { return Chart{ID: w.ID}.fill(s.Look) }

func (w Waterfall) usesPattern(look Look) bool {
	for _, s := range w.Steps {
		if s.Look == look {
			return true
		}
	}
	return false
}

func (w Waterfall) id(part string) string { return Chart{ID: w.ID}.id(part) }

// HeatTable is a table whose cells are shaded by their size: cohorts by the
// months since they began. The number stands in every cell; the shade repeats it.
type HeatTable struct {
	ID      string
	Title   string
	Finding string
	// RowHeading heads the names of the rows, SizeHeading what stands after them,
	// Columns the cells.
	RowHeading, SizeHeading string
	Columns                 []string
	Rows                    []HeatRow
	// Average is the last row; one without a name is left out.
	Average    HeatRow
	Definition string
	Empty      string
	// Explain and CSV are as those of a Chart.
	Explain, CSV string
}

// HeatRow is one row.
type HeatRow struct {
	Name string // "Mar 2026"
	Href string // what is behind it; empty: nothing
	Size string // how many it began with: "214"
	// Cells may be fewer than the columns: the rest has not come yet.
	Cells []HeatCell
}

// HeatCell is one cell.
type HeatCell struct {
	Text string // "84%"; empty: there is none
	// Share is how strong it is shaded, from 0 to 1; more is 1.
	Share float64
	// Title says more on hover: "180 of 214 customers".
	Title string
	// IsRunning marks what is not settled.
	IsRunning bool
	Href      string // explains it; empty: nothing does
}

// heatSteps is how many shades there are.
const heatSteps = 10

func (c HeatCell) class() string {
	if c.Text == "" {
		return "heat-none"
	}
	shade := int(min(max(c.Share, 0), 1)*heatSteps + 0.5)
	class := "heat-" + strconv.Itoa(shade)
	if c.IsRunning {
		class += " heat-running"
	}
	return class
}

// FigureTable is figures by plan or by anything else, with a head to sort by and
// small lines in cells. Sorting replaces the report of the page.
type FigureTable struct {
	ID      string
	Caption string
	Columns []ListColumn
	Rows    []Row
	// Footer is one row of totals; empty: none.
	Footer Row
	// Empty says why there are no rows and what to do.
	Empty string
	// Explain and CSV are as those of a Chart.
	Explain, CSV string
}

func (t FigureTable) class(column int) string {
	return List{Columns: t.Columns}.class(column)
}

func (t FigureTable) table() Table {
	plain := Table{}
	for _, c := range t.Columns {
		plain.Columns = append(plain.Columns, c.Column)
	}
	return plain
}
