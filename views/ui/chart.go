package ui

import (
	"math"
	"strconv"
)

// MonthChart is figures by month on one scale: columns that are stacked away
// from nought, lines and marks over them. Each may be missing.
type MonthChart struct {
	// ID makes the ids inside unique on the page.
	ID    string
	Title string // "Monthly recurring revenue, last 12 months"
	// Finding is the sentence that a reader should take away.
	Finding string
	Months  []Month
	// Columns are stacked in their order, the first next to nought; what is
	// negative hangs below it.
	Columns []Series
	Lines   []Series
	// Marks are dashes across the columns.
	Marks []Series
	// Ticks are the lines across, evenly spaced, lowest first, and span every
	// value: TickValues makes their values, the caller their words.
	Ticks []Tick
	// Definition says what exactly is counted.
	Definition string
	// Empty stands in the place of a drawing in which there is nothing.
	Empty string
}

// Month is a column's place.
type Month struct {
	Short string // beneath: "Mar"
	// Year is beneath where it begins to hold; empty elsewhere.
	Year string
	Long string // in the table and the tooltip: "March 2026"
	// IsRunning marks the month that is not over: it is hatched or dashed.
	IsRunning bool
}

// Series is one figure, a value a month.
type Series struct {
	Name   string // "New"
	Look   Look
	Values []int64
	Texts  []string // the values in words: "$99.00"
}

// Look tells figures apart, by pattern where by colour too.
type Look string

// The looks. A dotted or striped one goes beside a plain one of its colour.
const (
	Plain       Look = "plain"
	Gain        Look = "gain"
	GainDotted  Look = "gain-dotted"
	GainStriped Look = "gain-striped"
	Loss        Look = "loss"
	LossStriped Look = "loss-striped"
	Quiet       Look = "quiet"
	Strong      Look = "strong"
)

// patterns are the strokes that make the looks which are no plain colour, in a
// square of six.
var patterns = []struct {
	look Look
	path string
}{
	{GainDotted, "M1.5 1.5h.01M4.5 4.5h.01"},
	{GainStriped, "M0 3h6"},
	{LossStriped, "M0 3h6"},
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

// Extent are the values that the ticks must span: the ends of the stacks, and
// every value of a line or a mark.
func (c MonthChart) Extent() []int64 {
	var out []int64
	for i := range c.Months {
		var up, down int64
		for _, s := range c.Columns {
			up += max(s.at(i), 0)
			down += min(s.at(i), 0)
		}
		out = append(out, up, down)
	}
	for _, s := range append(append([]Series{}, c.Lines...), c.Marks...) {
		out = append(out, s.Values...)
	}
	return out
}

func (s Series) at(i int) int64 {
	if i >= len(s.Values) {
		return 0
	}
	return s.Values[i]
}

func (s Series) text(i int) string {
	if i >= len(s.Texts) {
		return ""
	}
	return s.Texts[i]
}

// isEmpty reports whether nothing differs from nought.
func (c MonthChart) isEmpty() bool {
	for _, s := range c.all() {
		for _, v := range s.Values {
			if v != 0 {
				return false
			}
		}
	}
	return true
}

// all are the series in the order in which they are read.
func (c MonthChart) all() []Series {
	out := append([]Series{}, c.Columns...)
	out = append(out, c.Lines...)
	return append(out, c.Marks...)
}

// rect is a rectangle in percent of the plot, as SVG attributes have it.
type rect struct {
	x, y, width, height string
	look                Look
	running             bool
}

// columnShare is the part of its slot that a column fills.
const columnShare = 0.6

func (c MonthChart) slot() float64 { return 100 / float64(max(len(c.Months), 1)) }

// rects are the stacks, month by month, from nought outwards. A value of nought
// is not drawn.
func (c MonthChart) rects() []rect {
	low, high := c.span()
	var out []rect
	for i, m := range c.Months {
		var up, down int64
		for _, s := range c.Columns {
			v := s.at(i)
			from := &up
			if v < 0 {
				from = &down
			}
			top, bottom := level(max(*from, *from+v), low, high), level(min(*from, *from+v), low, high)
			*from += v
			if v == 0 {
				continue
			}
			out = append(out, rect{
				x: percent(c.slot() * (float64(i) + (1-columnShare)/2)), y: percent(top),
				width: percent(c.slot() * columnShare), height: percent(bottom - top), look: s.Look, running: m.IsRunning,
			})
		}
	}
	return out
}

// stroke is a straight line in percent of the plot.
type stroke struct {
	x1, y1, x2, y2 string
	look           Look
	running        bool
}

// strokes are the pieces of the lines, from the middle of a month to the middle
// of the next; the one into the running month is not settled.
func (c MonthChart) strokes() []stroke {
	low, high := c.span()
	var out []stroke
	for _, s := range c.Lines {
		for i := 1; i < len(c.Months); i++ {
			out = append(out, stroke{
				x1: c.middle(i - 1), y1: percent(level(s.at(i-1), low, high)),
				x2: c.middle(i), y2: percent(level(s.at(i), low, high)),
				look: s.Look, running: c.Months[i].IsRunning,
			})
		}
	}
	return out
}

// dashes are the marks, each a little wider than its column.
func (c MonthChart) dashes() []stroke {
	low, high := c.span()
	const share = (columnShare + 0.16) / 2
	var out []stroke
	for _, s := range c.Marks {
		for i := range c.Months {
			y := percent(level(s.at(i), low, high))
			middle := float64(i) + 0.5
			out = append(out, stroke{x1: percent(c.slot() * (middle - share)), y1: y, x2: percent(c.slot() * (middle + share)), y2: y, look: s.Look})
		}
	}
	return out
}

// dot is a point of a line.
type dot struct {
	x, y    string
	look    Look
	running bool
}

// dots are the points of the lines: all of them while there is room, else only
// the last.
func (c MonthChart) dots() []dot {
	low, high := c.span()
	var out []dot
	for _, s := range c.Lines {
		for i, m := range c.Months {
			if len(c.Months) <= 24 || i == len(c.Months)-1 {
				out = append(out, dot{x: c.middle(i), y: percent(level(s.at(i), low, high)), look: s.Look, running: m.IsRunning})
			}
		}
	}
	return out
}

func (c MonthChart) middle(i int) string { return percent(c.slot() * (float64(i) + 0.5)) }

// level is how far below the top of the plot a value lies, in percent.
func level(v, low, high int64) float64 {
	if high <= low {
		high = low + 1
	}
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
		values := TickValues(c.Extent())
		return values[0], values[len(values)-1]
	}
	return c.Ticks[0].Value, c.Ticks[len(c.Ticks)-1].Value
}

// line is a tick's line across.
type line struct {
	y        string
	isNought bool
}

func (c MonthChart) lines() []line {
	low, high := c.span()
	lines := make([]line, len(c.Ticks))
	for i, t := range c.Ticks {
		lines[i] = line{percent(level(t.Value, low, high)), t.Value == 0}
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

// fill is the pattern of a look; empty: style gives it a plain colour.
func (c MonthChart) fill(look Look) string {
	for _, p := range patterns {
		if p.look == look {
			return "url(#" + c.id(string(look)) + ")"
		}
	}
	return ""
}

func (c MonthChart) hatch() string { return "url(#" + c.id("hatch") + ")" }

// usesPattern reports whether a column has the look.
func (c MonthChart) usesPattern(look Look) bool {
	for _, s := range c.Columns {
		if s.Look == look {
			return true
		}
	}
	return false
}

// isWorthALegend: one series is named by the title.
func (c MonthChart) isWorthALegend() bool { return len(c.all()) > 1 }

// monthsClass says how many months there are, for how many of their names there
// is room.
func (c MonthChart) monthsClass() string {
	switch n := len(c.Months); {
	case n > 24:
		return "chart-months chart-months-many"
	case n > 12:
		return "chart-months chart-months-some"
	}
	return "chart-months"
}

// tipClass puts a tooltip on the side of its column where there is room, or over
// one in the middle.
func (c MonthChart) tipClass(i int) string {
	switch n := len(c.Months); {
	case 2*(i+1) <= n:
		return "chart-tip"
	case 2*i >= n:
		return "chart-tip chart-tip-before"
	}
	return "chart-tip chart-tip-over"
}

func (c MonthChart) table() Table {
	t := Table{Caption: c.Title, Empty: "There is no month to show yet.", Columns: []Column{{Label: "Month", Short: true}}}
	for _, s := range c.all() {
		t.Columns = append(t.Columns, Column{Label: s.Name, Numeric: true})
	}
	for i, m := range c.Months {
		name := Cell{Text: m.Long}
		if m.IsRunning {
			name.Note = "so far"
		}
		row := Row{name}
		for _, s := range c.all() {
			row = append(row, Cell{Text: s.text(i)})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
