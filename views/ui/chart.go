package ui

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/a-h/templ"
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
	// Href is where what happened in the period is explained; empty: nowhere.
	Href string
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

// Look tells figures apart, by pattern or dashes where by colour too.
type Look string

// The looks of columns and lines. A dotted or striped one goes beside a plain one
// of its colour; the steps are shades of one hue, and striped from the fourth on.
const (
	Plain       Look = "plain"
	Gain        Look = "gain"
	GainDotted  Look = "gain-dotted"
	GainStriped Look = "gain-striped"
	Loss        Look = "loss"
	LossStriped Look = "loss-striped"
	Quiet       Look = "quiet"
	Strong      Look = "strong"
	Step1       Look = "step-1"
	Step2       Look = "step-2"
	Step3       Look = "step-3"
	Step4       Look = "step-4"
	Step5       Look = "step-5"
	Step6       Look = "step-6"
	// Dashed is a second line beside a plain one, Earlier one of another time to
	// compare with.
	Dashed  Look = "dashed"
	Earlier Look = "earlier"
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
	{Step4, "M3 0v6"},
	{Step5, "M3 0v6"},
	{Step6, "M3 0v6"},
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
// every value of a line, a band, a mark or a reference.
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
		for i, v := range s.Values {
			if !s.isMissing(i) {
				out = append(out, v)
			}
		}
	}
	for _, b := range c.Bands {
		for i := range c.Slots {
			if low, high, ok := b.at(i); ok {
				out = append(out, low, high)
			}
		}
	}
	for _, r := range c.References {
		out = append(out, r.Value)
	}
	return out
}

func (s Series) at(i int) int64 {
	if i >= len(s.Values) {
		return 0
	}
	return s.Values[i]
}

// isMissing reports whether a slot has no value.
func (s Series) isMissing(i int) bool { return i >= len(s.Values) || at(s.Missing, i) }

func (s Series) isSoft(i int) bool { return at(s.Soft, i) }

// at is an element, or nothing where there is none.
func at[T any](list []T, i int) T {
	var none T
	if i < 0 || i >= len(list) {
		return none
	}
	return list[i]
}

// at is the range in a slot, if it has one.
func (b Band) at(i int) (low, high int64, ok bool) {
	if i >= len(b.Low) || i >= len(b.High) || b.Low[i] > b.High[i] {
		return 0, 0, false
	}
	return b.Low[i], b.High[i], true
}

// isEmpty reports whether nothing differs from nought.
func (c Chart) isEmpty() bool {
	for _, s := range c.all() {
		for i, v := range s.Values {
			if v != 0 && !s.isMissing(i) {
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

// fineFrom is from how many slots on columns are thinner than their patterns:
// they are drawn as one shape a series then, in shades.
const fineFrom = 63

func (c Chart) isFine() bool { return len(c.Slots) >= fineFrom }

// rect is a rectangle in percent of the plot, as SVG attributes have it.
type rect struct {
	x, y, width, height string
	look                Look
	running             bool
}

// columnShare is the part of its slot that a column fills.
const columnShare = 0.6

func (c Chart) slot() float64 { return 100 / float64(max(len(c.Slots), 1)) }

// piece is a part of a stack: what it is, and from where to where it reaches, in
// percent of the plot from its top.
type piece struct {
	slot        int
	look        Look
	top, bottom float64
	running     bool
}

// pieces are the stacks, slot by slot, from nought outwards. A value of nought
// is none.
func (c Chart) pieces() []piece {
	low, high := c.span()
	var out []piece
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
			if v != 0 {
				out = append(out, piece{slot: i, look: s.Look, top: top, bottom: bottom, running: m.IsRunning})
			}
		}
	}
	return out
}

// rects are the stacks where there is room for patterns.
func (c Chart) rects() []rect {
	if c.isFine() {
		return nil
	}
	var out []rect
	for _, p := range c.pieces() {
		out = append(out, rect{
			x: percent(c.slot() * (float64(p.slot) + (1-columnShare)/2)), y: percent(p.top),
			width: percent(c.slot() * columnShare), height: percent(p.bottom - p.top), look: p.look, running: p.running,
		})
	}
	return out
}

// shape is a path in the coordinates of viewBox.
type shape struct {
	path    string
	look    Look
	running bool
	// soft rests on little.
	soft bool
}

// The plot in coordinates of paths: ten across for a slot, a thousand down.
const (
	slotUnits  = 10
	plotHeight = 1000
)

func (c Chart) viewBox() string {
	return "0 0 " + strconv.Itoa(slotUnits*max(len(c.Slots), 1)) + " " + strconv.Itoa(plotHeight)
}

// fineColumns are the stacks where there is no room: a path for each look.
func (c Chart) fineColumns() []shape {
	if !c.isFine() {
		return nil
	}
	type kind struct {
		look    Look
		running bool
	}
	paths := map[kind]*strings.Builder{}
	for _, p := range c.pieces() {
		k := kind{p.look, p.running}
		if paths[k] == nil {
			paths[k] = &strings.Builder{}
		}
		top, bottom := down(p.top), down(p.bottom)
		fmt.Fprintf(paths[k], "M%d %dh8V%dh-8z", slotUnits*p.slot+1, top, bottom)
	}
	var out []shape
	for _, s := range c.Columns {
		for _, running := range []bool{false, true} {
			if path := paths[kind{s.Look, running}]; path != nil {
				out = append(out, shape{path: path.String(), look: s.Look, running: running})
				delete(paths, kind{s.Look, running})
			}
		}
	}
	return out
}

// down is a share of the plot's height, given in percent, in whole units.
func down(percent float64) int { return int(math.Round(percent * plotHeight / 100)) }

// strokes are the lines, from the middle of a slot to the middle of the next. The
// piece into the running slot is not settled, and one to or from a value that
// rests on little is soft. Where a value is missing there is a gap.
func (c Chart) strokes() []shape {
	low, high := c.span()
	var out []shape
	for _, s := range c.Lines {
		var pen [3]pen // settled, running, soft
		for i := 1; i < len(c.Slots); i++ {
			if s.isMissing(i-1) || s.isMissing(i) {
				continue
			}
			kind := 0
			switch {
			case c.Slots[i].IsRunning:
				kind = 1
			case s.isSoft(i-1) || s.isSoft(i):
				kind = 2
			}
			pen[kind].line(middle(i-1), down(level(s.at(i-1), low, high)), middle(i), down(level(s.at(i), low, high)))
		}
		for kind := range pen {
			if path := pen[kind].path.String(); path != "" {
				out = append(out, shape{path: path, look: s.Look, running: kind == 1, soft: kind == 2})
			}
		}
	}
	return out
}

// pen draws straight lines with as few characters as it can.
type pen struct {
	path strings.Builder
	x, y int
	// isDrawing: the last thing drawn was a line, so that the next needs no letter.
	isDrawing bool
}

func (p *pen) line(x1, y1, x2, y2 int) {
	if p.path.Len() == 0 || p.x != x1 || p.y != y1 {
		fmt.Fprintf(&p.path, "M%d %d", x1, y1)
		p.x, p.y, p.isDrawing = x1, y1, false
	}
	if p.isDrawing {
		p.path.WriteByte(' ')
	} else {
		p.path.WriteByte('l')
	}
	dy := strconv.Itoa(y2 - y1)
	p.path.WriteString(strconv.Itoa(x2 - x1))
	if dy[0] != '-' {
		p.path.WriteByte(' ')
	}
	p.path.WriteString(dy)
	p.x, p.y, p.isDrawing = x2, y2, true
}

// middle is the middle of a slot across.
func middle(i int) int { return slotUnits*i + slotUnits/2 }

// areas are the bands, a path for each.
func (c Chart) areas() []shape {
	low, high := c.span()
	var out []shape
	for _, b := range c.Bands {
		var path strings.Builder
		for i := 0; i < len(c.Slots); i++ {
			last := i - 1
			for last+1 < len(c.Slots) {
				if _, _, ok := b.at(last + 1); !ok {
					break
				}
				last++
			}
			if last < i {
				continue
			}
			for j := i; j <= last; j++ {
				letter := "L"
				if j == i {
					letter = "M"
				}
				fmt.Fprintf(&path, "%s%d %d", letter, middle(j), down(level(b.High[j], low, high)))
			}
			for j := last; j >= i; j-- {
				fmt.Fprintf(&path, "L%d %d", middle(j), down(level(b.Low[j], low, high)))
			}
			path.WriteByte('z')
			i = last
		}
		if path.Len() > 0 {
			out = append(out, shape{path: path.String()})
		}
	}
	return out
}

// stroke is a straight line in percent of the plot.
type stroke struct {
	x1, y1, x2, y2 string
	look           Look
}

// dashes are the marks, each a little wider than its column. Where columns are
// fine there is no room for them, and a line would slope between what single days
// have: the table and the tip alone tell them.
func (c Chart) dashes() []stroke {
	if c.isFine() {
		return nil
	}
	low, high := c.span()
	const share = (columnShare + 0.16) / 2
	var out []stroke
	for _, s := range c.Marks {
		for i := range c.Slots {
			if s.isMissing(i) {
				continue
			}
			y := percent(level(s.at(i), low, high))
			middle := float64(i) + 0.5
			out = append(out, stroke{x1: percent(c.slot() * (middle - share)), y1: y, x2: percent(c.slot() * (middle + share)), y2: y, look: s.Look})
		}
	}
	return out
}

// legendLines are the series that the legend shows as lines: those that are drawn.
func (c Chart) legendLines() []Series {
	out := append([]Series{}, c.Lines...)
	if c.isFine() {
		return out
	}
	return append(out, c.Marks...)
}

// dot is a point of a line.
type dot struct {
	x, y    string
	look    Look
	running bool
	soft    bool
}

// mostDots is up to how many slots each has its dot.
const mostDots = 24

// dots are the points of the lines: all of them while there is room, else the
// last one, and those that no line leads to.
func (c Chart) dots() []dot {
	low, high := c.span()
	var out []dot
	for _, s := range c.Lines {
		last := -1
		for i := range c.Slots {
			if !s.isMissing(i) {
				last = i
			}
		}
		for i, m := range c.Slots {
			isAlone := (i == 0 || s.isMissing(i-1)) && (i == len(c.Slots)-1 || s.isMissing(i+1))
			if s.isMissing(i) || (len(c.Slots) > mostDots || s.Look == Earlier) && i != last && !isAlone {
				continue
			}
			out = append(out, dot{
				x: percent(c.slot() * (float64(i) + 0.5)), y: percent(level(s.at(i), low, high)),
				look: s.Look, running: m.IsRunning, soft: s.isSoft(i),
			})
		}
	}
	return out
}

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

// reference is a line across that has a name.
type reference struct {
	y, text string
	// dy moves the name above the line, or below it at the top of the plot.
	dy string
}

func (c Chart) references() []reference {
	low, high := c.span()
	var out []reference
	for _, t := range c.References {
		y := level(t.Value, low, high)
		r := reference{y: percent(y), text: t.Text, dy: "-4"}
		if y < 10 {
			r.dy = "12"
		}
		out = append(out, r)
	}
	return out
}

// label is the name of a slot beneath the plot.
type label struct {
	x, short, group, anchor, class string
}

func (l label) anchorOr() string { return cmp.Or(l.anchor, "middle") }

// Room for names beneath a plot, in characters: of a chart beside another one,
// and of one on a phone.
const (
	wideRoom   = 60
	narrowRoom = 30
)

// labels are the names that there is room for, so that the newest stays.
func (c Chart) labels() []label {
	longest := 1
	for _, m := range c.Slots {
		longest = max(longest, len([]rune(m.Short)))
	}
	n := len(c.Slots)
	wide, narrow := wideRoom/(longest+2), narrowRoom/(longest+2)
	if n > mostDots { // the last one ends with the plot, and needs more
		wide, narrow = wide-2, narrow-1
	}
	wide, narrow = step(n, wide), step(n, narrow)
	narrow = (narrow + wide - 1) / wide * wide // those of a phone are among the others
	var out []label
	for i, m := range c.Slots {
		back := n - 1 - i
		l := label{x: percent(c.slot() * (float64(i) + 0.5)), group: m.Group}
		if back%wide == 0 {
			l.short = m.Short
		}
		if back%narrow != 0 {
			l.class = "chart-label-wide"
		}
		switch {
		case n > mostDots && i == n-1:
			l.x, l.anchor = "100%", "end"
		case n > mostDots && i < n/20:
			l.x, l.anchor = "0%", "start"
		}
		if l.short != "" || l.group != "" {
			out = append(out, l)
		}
	}
	return out
}

// step is which of n names are left, every one or every so many, where there is
// room for some.
func step(n, room int) int { return max(1, (n+max(room, 1)-1)/max(room, 1)) }

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
func (c Chart) isWorthALegend() bool { return len(c.all())+len(c.Bands) > 1 }

// heads are those of the table, after that of the periods.
func (c Chart) heads() []string {
	var out []string
	for _, s := range c.all() {
		out = append(out, s.Name)
	}
	for _, b := range c.Bands {
		out = append(out, b.Name)
	}
	return out
}

// rows draws the rows of the table. A year of days has thousands of cells, which
// is most of what a page draws: they are written by hand.
func (c Chart) rows() templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		columns := make([][]string, 0, len(c.Columns)+len(c.Lines)+len(c.Marks)+len(c.Bands))
		for _, s := range c.all() {
			columns = append(columns, s.Texts)
		}
		for _, b := range c.Bands {
			columns = append(columns, b.Texts)
		}
		var out strings.Builder
		for i, m := range c.Slots {
			out.WriteString(`<tr><th scope="row" class="short">`)
			if m.Href != "" {
				out.WriteString(`<a href="` + templ.EscapeString(string(templ.URL(m.Href))) + `">` + templ.EscapeString(m.Long) + `</a>`)
			} else {
				out.WriteString(templ.EscapeString(m.Long))
			}
			if m.IsRunning {
				out.WriteString(` <span class="note">so far</span>`)
			}
			out.WriteString(`</th>`)
			for _, texts := range columns {
				out.WriteString(`<td class="num short">` + templ.EscapeString(at(texts, i)) + `</td>`)
			}
			out.WriteString(`</tr>`)
		}
		_, err := io.WriteString(w, out.String())
		return err
	})
}
