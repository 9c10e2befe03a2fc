package ui

import (
	"math"
	"strconv"
)

// MonthChart is a figure a month, drawn as columns.
type MonthChart struct {
	// ID makes the ids inside unique on the page.
	ID    string
	Title string // "Monthly recurring revenue, last 12 months"
	// Finding is the sentence that a reader should take away.
	Finding string
	// ValueHeading heads the figures in the table beneath: "MRR".
	ValueHeading string
	Months       []Month
	// Ticks are the lines across, evenly spaced, lowest first, and span every
	// value: Ticks makes their values, the caller their words.
	Ticks []Tick
}

// Month is one column.
type Month struct {
	Short string // beneath the column: "Mar"
	Long  string // in the table and the tooltip: "March 2026"
	Value int64
	Text  string // the value in words: "$99.00"
	// IsRunning marks the month that is not over: it is hatched.
	IsRunning bool
}

// Tick is a line across a chart.
type Tick struct {
	Value int64
	Text  string
}

// TickValues are round, evenly spaced values that span nought and every given
// value, lowest first: at least two, about five. They look best read aloud: steps
// are 1, 2 or 5 times a power of ten.
func TickValues(values []int64) []int64 {
	low, high := int64(0), int64(0)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	if low == high {
		return []int64{0, 1}
	}
	step := niceStep((float64(high) - float64(low)) / 4)
	first := int64(math.Floor(float64(low) / float64(step)))
	last := int64(math.Ceil(float64(high) / float64(step)))
	ticks := make([]int64, 0, last-first+1)
	for i := first; i <= last; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

// niceStep is the smallest 1, 2 or 5 times a power of ten that is at least x.
func niceStep(x float64) int64 {
	power := math.Pow(10, math.Floor(math.Log10(max(x, 1))))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= x {
			return int64(factor * power)
		}
	}
	return int64(10 * power)
}

// column is a rectangle in percent of the plot, as SVG attributes have it.
type column struct{ x, y, width, height string }

// columnShare is the part of its slot that a column fills.
const columnShare = 0.56

// columns lays values out side by side between low and high. A value of nought
// has no height; a negative one hangs from the line of nought.
func columns(values []int64, low, high int64) []column {
	if high <= low {
		high = low + 1
	}
	slot := 100 / float64(max(len(values), 1))
	out := make([]column, len(values))
	for i, v := range values {
		top, bottom := level(max(v, 0), low, high), level(min(v, 0), low, high)
		out[i] = column{
			x:      percent(slot * (float64(i) + (1-columnShare)/2)),
			y:      percent(top),
			width:  percent(slot * columnShare),
			height: percent(bottom - top),
		}
	}
	return out
}

// level is how far below the top of the plot a value lies, in percent.
func level(v, low, high int64) float64 {
	share := (float64(high) - float64(v)) / (float64(high) - float64(low))
	return 100 * min(max(share, 0), 1)
}

// percent prints at most two decimals: a hundredth of the plot is less than a
// pixel.
func percent(x float64) string {
	return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64) + "%"
}

func (c MonthChart) span() (low, high int64) {
	if len(c.Ticks) < 2 {
		values := TickValues(c.values())
		return values[0], values[len(values)-1]
	}
	return c.Ticks[0].Value, c.Ticks[len(c.Ticks)-1].Value
}

func (c MonthChart) values() []int64 {
	values := make([]int64, len(c.Months))
	for i, m := range c.Months {
		values[i] = m.Value
	}
	return values
}

func (c MonthChart) columns() []column {
	low, high := c.span()
	return columns(c.values(), low, high)
}

// lines are the heights of the ticks, in percent from the top.
func (c MonthChart) lines() []string {
	low, high := c.span()
	lines := make([]string, len(c.Ticks))
	for i, t := range c.Ticks {
		lines[i] = percent(level(t.Value, low, high))
	}
	return lines
}

// ticksDown are the ticks as they stand at the side, highest first.
func (c MonthChart) ticksDown() []Tick {
	down := make([]Tick, len(c.Ticks))
	for i, t := range c.Ticks {
		down[len(down)-1-i] = t
	}
	return down
}

func (c MonthChart) id(part string) string {
	if c.ID == "" {
		return "chart-" + part
	}
	return c.ID + "-" + part
}

func (c MonthChart) hatchURL() string { return "url(#" + c.id("hatch") + ")" }

// tipClass puts a tooltip on the side of its column where there is room.
func (c MonthChart) tipClass(i int) string {
	if i < len(c.Months)/2 {
		return "chart-tip"
	}
	return "chart-tip chart-tip-before"
}

func (c MonthChart) table() Table {
	t := Table{
		Caption: c.Title,
		Empty:   "There is no month to show yet.",
		Columns: []Column{{Label: "Month"}, {Label: c.ValueHeading, Numeric: true}},
	}
	for _, m := range c.Months {
		name := Cell{Text: m.Long}
		if m.IsRunning {
			name.Note = "still running"
		}
		t.Rows = append(t.Rows, Row{name, {Text: m.Text}})
	}
	return t
}
