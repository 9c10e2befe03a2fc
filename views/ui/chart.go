package ui

import (
	"cmp"
	"math"
	"strconv"
)

// Chart is figures by period on one scale: columns that are stacked away from
// nought, lines, bands and marks over them. Each may be missing.
type Chart struct {
	// ID makes the ids inside unique on the page.
	ID    string
	Title string // "Monthly recurring revenue, last 12 months"
	// Finding is the sentence that a reader should take away.
	Finding string
	// Heading names the periods in the table: "Month"; empty: "Period".
	Heading string
	Slots   []Slot
	// Columns are stacked in their order, the first next to nought; what is
	// negative hangs below it.
	Columns []Series
	// Bands are ranges in which a value may lie, behind everything else.
	Bands []Band
	Lines []Series
	// Marks are dashes across the columns.
	Marks []Series
	// References are lines across with a name, such as that of 100 %.
	References []Tick
	// Ticks are the lines across, evenly spaced, lowest first, and span every
	// value: TickValues makes their values, the caller their words.
	Ticks []Tick
	// Definition says what exactly is counted.
	Definition string
	// Empty stands in the place of a drawing in which there is nothing.
	Empty string
	// Explain and CSV are where the figures are explained, and where they are to
	// be had as a file; empty: nowhere.
	Explain, CSV string
}

// Slot is the place of a period.
type Slot struct {
	Short string // beneath: "Mar"
	// Group is beneath where it begins to hold, "2026" under January; empty
	// elsewhere.
	Group string
	Long  string // in the table and the tooltip: "March 2026"
	// IsRunning marks the period that is not over: it is hatched or dashed.
	IsRunning bool
}

// Series is one figure, a value a slot: micro-units, a count, or millionths of a
// ratio, whatever the ticks are in.
type Series struct {
	Name   string // "New"
	Look   Look
	Values []int64
	Texts  []string // the values in words: "$99.00"
	// Missing says for which slots there is no value: the line has a gap there.
	// Soft are values that rest on little: they are greyed. Either may be
	// shorter than Values, or nil.
	Missing, Soft []bool
}

// Band is a range for each slot, such as that in which a rate lies in truth that
// was counted on few. A slot whose Low is above its High has none.
type Band struct {
	Name      string // "95 % interval"
	Low, High []int64
	Texts     []string // the ranges in words: "2.1% to 6.4%"
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
func (c Chart) Extent() []int64 {
	var out []int64
	for i := range c.Slots {
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
func (c Chart) isEmpty() bool {
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
func (c Chart) all() []Series {
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

func (c Chart) slot() float64 { return 100 / float64(max(len(c.Slots), 1)) }

// rects are the stacks, month by month, from nought outwards. A value of nought
// is not drawn.
func (c Chart) rects() []rect {
	low, high := c.span()
	var out []rect
	for i, m := range c.Slots {
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
func (c Chart) strokes() []stroke {
	low, high := c.span()
	var out []stroke
	for _, s := range c.Lines {
		for i := 1; i < len(c.Slots); i++ {
			out = append(out, stroke{
				x1: c.middle(i - 1), y1: percent(level(s.at(i-1), low, high)),
				x2: c.middle(i), y2: percent(level(s.at(i), low, high)),
				look: s.Look, running: c.Slots[i].IsRunning,
			})
		}
	}
	return out
}

// dashes are the marks, each a little wider than its column.
func (c Chart) dashes() []stroke {
	low, high := c.span()
	const share = (columnShare + 0.16) / 2
	var out []stroke
	for _, s := range c.Marks {
		for i := range c.Slots {
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
func (c Chart) dots() []dot {
	low, high := c.span()
	var out []dot
	for _, s := range c.Lines {
		for i, m := range c.Slots {
			if len(c.Slots) <= 24 || i == len(c.Slots)-1 {
				out = append(out, dot{x: c.middle(i), y: percent(level(s.at(i), low, high)), look: s.Look, running: m.IsRunning})
			}
		}
	}
	return out
}

func (c Chart) middle(i int) string { return percent(c.slot() * (float64(i) + 0.5)) }

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

func (c Chart) span() (low, high int64) {
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

func (c Chart) lines() []line {
	low, high := c.span()
	lines := make([]line, len(c.Ticks))
	for i, t := range c.Ticks {
		lines[i] = line{percent(level(t.Value, low, high)), t.Value == 0}
	}
	return lines
}

// ticksDown are the ticks as they stand at the side, highest first.
func (c Chart) ticksDown() []Tick {
	down := make([]Tick, len(c.Ticks))
	for i, t := range c.Ticks {
		down[len(down)-1-i] = t
	}
	return down
}

func (c Chart) id(part string) string {
	if c.ID == "" {
		return "chart-" + part
	}
	return c.ID + "-" + part
}

// fill is the pattern of a look; empty: style gives it a plain colour.
func (c Chart) fill(look Look) string {
	for _, p := range patterns {
		if p.look == look {
			return "url(#" + c.id(string(look)) + ")"
		}
	}
	return ""
}

func (c Chart) hatch() string { return "url(#" + c.id("hatch") + ")" }

// usesPattern reports whether a column has the look.
func (c Chart) usesPattern(look Look) bool {
	for _, s := range c.Columns {
		if s.Look == look {
			return true
		}
	}
	return false
}

// isWorthALegend: one series is named by the title.
func (c Chart) isWorthALegend() bool { return len(c.all()) > 1 }

// monthsClass says how many months there are, for how many of their names there
// is room.
func (c Chart) monthsClass() string {
	switch n := len(c.Slots); {
	case n > 24:
		return "chart-months chart-months-many"
	case n > 12:
		return "chart-months chart-months-some"
	}
	return "chart-months"
}

// tipClass puts a tooltip on the side of its column where there is room, or over
// one in the middle.
func (c Chart) tipClass(i int) string {
	switch n := len(c.Slots); {
	case 2*(i+1) <= n:
		return "chart-tip"
	case 2*i >= n:
		return "chart-tip chart-tip-before"
	}
	return "chart-tip chart-tip-over"
}

func (c Chart) table() Table {
	t := Table{Caption: c.Title, Empty: "There is no period to show yet.", Columns: []Column{{Label: cmp.Or(c.Heading, "Period"), Short: true}}}
	for _, s := range c.all() {
		t.Columns = append(t.Columns, Column{Label: s.Name, Numeric: true})
	}
	for i, m := range c.Slots {
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
