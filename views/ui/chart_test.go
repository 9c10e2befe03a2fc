package ui

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTickValuesAreRoundAndSpanEveryValue(t *testing.T) {
	for name, test := range map[string]struct{ values, want []int64 }{
		"no value at all":                     {nil, []int64{0, 1}},
		"only nought":                         {[]int64{0, 0}, []int64{0, 1}},
		"one dollar in cents":                 {[]int64{100}, []int64{0, 50, 100}},
		"ninety-nine dollars in cents":        {[]int64{0, 9900}, []int64{0, 5000, 10000}},
		"a value on a line needs none above":  {[]int64{40000}, []int64{0, 10000, 20000, 30000, 40000}},
		"losses reach below nought":           {[]int64{-300, 700}, []int64{-500, 0, 500, 1000}},
		"only losses end at nought":           {[]int64{-4, -1}, []int64{-4, -3, -2, -1, 0}},
		"a step is never less than one minor": {[]int64{2}, []int64{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, TickValues(test.values)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestTickValuesHoldForAnyValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Nobody's revenue is more than 10^15 cents.
		values := rapid.SliceOfN(rapid.Int64Range(-1e15, 1e15), 0, 12).Draw(t, "values")
		ticks := TickValues(values)
		if len(ticks) < 2 || len(ticks) > 7 {
			t.Fatalf("%d ticks: %v", len(ticks), ticks)
		}
		for i := 1; i < len(ticks); i++ {
			if ticks[i]-ticks[i-1] != ticks[1]-ticks[0] || ticks[i] <= ticks[i-1] {
				t.Fatalf("uneven ticks %v", ticks)
			}
		}
		for _, v := range append(values, 0) {
			if v < ticks[0] || v > ticks[len(ticks)-1] {
				t.Fatalf("%d lies outside %v", v, ticks)
			}
		}
	})
}

func TestStacksStandOnNoughtAndGrowAwayFromIt(t *testing.T) {
	c := Chart{
		Slots: []Slot{{}, {IsRunning: true}},
		Columns: []Series{
			{Look: Gain, Values: []int64{50, 0}},
			{Look: GainDotted, Values: []int64{50, 25}},
			{Look: Loss, Values: []int64{-25, 0}},
			{Look: LossStriped, Values: []int64{-25, -50}},
		},
		Ticks: []Tick{{Value: -100}, {Value: 0}, {Value: 100}},
	}
	want := []rect{
		{x: "10%", y: "25%", width: "30%", height: "25%", look: Gain},
		{x: "10%", y: "0%", width: "30%", height: "25%", look: GainDotted},
		{x: "10%", y: "50%", width: "30%", height: "12.5%", look: Loss},
		{x: "10%", y: "62.5%", width: "30%", height: "12.5%", look: LossStriped},
		{x: "60%", y: "37.5%", width: "30%", height: "12.5%", look: GainDotted, running: true},
		{x: "60%", y: "50%", width: "30%", height: "25%", look: LossStriped, running: true},
	}
	if diff := cmp.Diff(want, c.rects(), cmp.AllowUnexported(rect{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff([]int64{100, -50, 25, -50}, c.Extent()); diff != "" {
		t.Errorf("extent: -want +got\n%s", diff)
	}
}

func TestEverythingStaysInsideThePlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(-1e12, 1e12), 1, 80).Draw(t, "values")
		c := Chart{
			Slots: make([]Slot, len(values)), Columns: []Series{{Values: values}, {Values: values}}, Lines: []Series{{Values: values}},
			Marks: []Series{{Values: values[:1]}}, // one that is shorter is missing for the rest
			Bands: []Band{{Low: values, High: values}}, References: []Tick{{Value: values[0]}},
		}
		if rapid.Bool().Draw(t, "with ticks") {
			for _, v := range TickValues(c.Extent()) {
				c.Ticks = append(c.Ticks, Tick{Value: v})
			}
		}
		inside := func(texts ...string) {
			for _, text := range texts {
				if v, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64); err != nil || v < 0 || v > 100 {
					t.Fatalf("%s lies outside", text)
				}
			}
		}
		for _, r := range c.rects() {
			inside(r.x, r.y, r.width, r.height)
		}
		for _, s := range c.dashes() {
			inside(s.x1, s.x2, s.y1, s.y2)
		}
		for _, s := range slices.Concat(c.strokes(), c.fineColumns(), c.areas()) {
			for _, at := range ends(t, s.path) {
				if at[0] < 0 || at[0] > slotUnits*len(values) || at[1] < 0 || at[1] > plotHeight {
					t.Fatalf("%s reaches %v", s.path, at)
				}
			}
		}
		for _, d := range c.dots() {
			inside(d.x, d.y)
		}
		for _, l := range c.lines() {
			inside(l.y)
		}
	})
}

func TestALineEndsUnsettledInTheRunningMonth(t *testing.T) {
	c := Chart{
		Slots: []Slot{{}, {}, {IsRunning: true}}, Lines: []Series{{Look: Plain, Values: []int64{0, 50, 100}}},
		Ticks: []Tick{{Value: 0}, {Value: 100}},
	}
	want := []shape{{path: "M5 1000l10-500", look: Plain}, {path: "M15 500l10-500", look: Plain, running: true}}
	if diff := cmp.Diff(want, c.strokes(), cmp.AllowUnexported(shape{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestALineHasAGapWhereItHasNoValue(t *testing.T) {
	c := Chart{
		Slots: make([]Slot, 6),
		Lines: []Series{{
			Look: Plain, Values: []int64{0, 100, 50, 0, 100, 0}, Missing: []bool{false, false, true, false, true, false},
			Soft: []bool{true},
		}},
		Ticks: []Tick{{Value: 0}, {Value: 100}},
	}
	// Nothing leads to the values after the gaps: they are dots alone.
	if diff := cmp.Diff([]shape{{path: "M5 1000l10-1000", look: Plain, soft: true}}, c.strokes(), cmp.AllowUnexported(shape{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := len(c.dots()); got != 4 {
		t.Errorf("%d dots, want one for each of the 4 values", got)
	}
	if diff := cmp.Diff([]int64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0}, c.Extent()); diff != "" {
		t.Errorf("a value that is missing is among the extent: -want +got\n%s", diff)
	}
}

func TestABandIsDrawnWhereItIsOne(t *testing.T) {
	c := Chart{
		Slots: make([]Slot, 4),
		Bands: []Band{{Low: []int64{0, 25, 1, 50}, High: []int64{50, 75, 0, 100}}},
		Ticks: []Tick{{Value: 0}, {Value: 100}},
	}
	want := []shape{{path: "M5 500L15 250L15 750L5 1000zM35 0L35 500z"}}
	if diff := cmp.Diff(want, c.areas(), cmp.AllowUnexported(shape{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestManySlotsAreDrawnWithFewShapes(t *testing.T) {
	values := make([]int64, 366)
	for i := range values {
		values[i] = int64(i % 7)
	}
	c := Chart{
		Slots: make([]Slot, len(values)), Columns: []Series{{Look: Gain, Values: values}, {Look: GainStriped, Values: values}},
		Lines: []Series{{Look: Plain, Values: values}}, Marks: []Series{{Look: Strong, Values: values}},
	}
	c.Slots[365].IsRunning = true
	if n := len(c.rects()) + len(c.dashes()); n != 0 {
		t.Errorf("%d shapes for single slots", n)
	}
	// Two looks and their running slot, a line and its running piece; marks are told
	// by the table alone.
	if n := len(c.fineColumns()) + len(c.strokes()); n != 6 {
		t.Errorf("%d shapes, want 6", n)
	}
	if got := len(c.dots()); got != 1 {
		t.Errorf("%d dots, want the last", got)
	}
	if got := len(c.labels()); got > 20 {
		t.Errorf("%d names beneath", got)
	}
}

func TestNamesBeneathKeepTheNewest(t *testing.T) {
	for name, test := range map[string]struct {
		slots        int
		short        string
		wide, narrow int
	}{
		"twelve months have room, and half of them on a phone": {12, "Jan", 12, 6},
		"of thirty days some":   {30, "24 Nov", 5, 2},
		"of a year of days too": {366, "24 Nov", 5, 2},
		"one is there":          {1, "Jan", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := Chart{Slots: make([]Slot, test.slots)}
			for i := range c.Slots {
				c.Slots[i].Short = test.short
			}
			labels := c.labels()
			narrow := 0
			for _, l := range labels {
				if l.class == "" {
					narrow++
				}
			}
			if len(labels) != test.wide || narrow != test.narrow {
				t.Errorf("%d names and %d on a phone, want %d and %d", len(labels), narrow, test.wide, test.narrow)
			}
			if last := labels[len(labels)-1]; last.class != "" || last.short == "" {
				t.Errorf("the newest is %+v", last)
			}
		})
	}
}

func TestASparkSpansNoughtAndItsValues(t *testing.T) {
	for name, test := range map[string]struct {
		spark  Spark
		pieces int
		end    string
	}{
		"no value is nothing":         {Spark{}, 0, ""},
		"one value is a dot":          {Spark{Values: []int64{5}}, 0, "0%"},
		"a rise ends at the top":      {Spark{Values: []int64{0, 5, 10}}, 1, "0%"},
		"a running one is a piece":    {Spark{Values: []int64{0, 5, 10}, IsRunning: true}, 2, "0%"},
		"a fall below ends beneath":   {Spark{Values: []int64{10, -10}}, 1, "100%"},
		"all nought lies at the foot": {Spark{Values: []int64{0, 0}}, 1, "100%"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(test.spark.strokes()); got != test.pieces {
				t.Errorf("%d pieces, want %d", got, test.pieces)
			}
			if got := test.spark.end(); got != test.end {
				t.Errorf("ends at %s, want %s", got, test.end)
			}
		})
	}
}

func TestChartFigureIsDrawnAsBefore(t *testing.T) {
	c := Chart{
		ID: "mrr", Heading: "Month", Title: "MRR, last 3 months", Finding: "MRR is $198.00, $99.00 more than a month ago.", Definition: "What they cost a month.",
		Slots: []Slot{{Short: "Sep", Group: "2026", Long: "September 2026"}, {Short: "Oct", Long: "October 2026"}, {Short: "Nov", Long: "November 2026", IsRunning: true}},
		Columns: []Series{
			{Name: "New", Look: Gain, Values: []int64{0, 9900, 9900}, Texts: []string{"$0.00", "$99.00", "$99.00"}},
			{Name: "Contraction", Look: LossStriped, Values: []int64{0, 0, -5000}, Texts: []string{"$0.00", "$0.00", "-$50.00"}},
		},
		Lines: []Series{{Name: "MRR", Look: Plain, Values: []int64{0, 9900, 14800}, Texts: []string{"$0.00", "$99.00", "$148.00"}}},
		Marks: []Series{{Name: "Net", Look: Strong, Values: []int64{0, 9900, 4900}, Texts: []string{"$0.00", "$99.00", "$49.00"}}},
		Ticks: []Tick{{-10000, "-$100"}, {0, "$0"}, {10000, "$100"}, {20000, "$200"}},
	}
	var b strings.Builder
	if err := ChartFigure(c).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(b.String(), "><", ">\n<") + "\n"
	const file = "testdata/chart.html"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got, go test ./views/ui -update writes it anew:\n%s", diff)
	}
}

// ends are the points that a path goes through, given in whole numbers.
func ends(t interface{ Fatalf(string, ...any) }, path string) [][2]int {
	var out [][2]int
	var x, y int
	for _, step := range regexp.MustCompile(`[MLlHhVvz][^MLlHhVvz]*`).FindAllString(path, -1) {
		var n []int
		for _, text := range regexp.MustCompile(`-?\d+`).FindAllString(step[1:], -1) {
			v, err := strconv.Atoi(text)
			if err != nil {
				t.Fatalf("%s in %s", text, path)
			}
			n = append(n, v)
		}
		switch step[0] {
		case 'M', 'L':
			x, y = n[0], n[1]
		case 'h':
			x += n[0]
		case 'V':
			y = n[0]
		case 'l':
			for len(n) > 1 {
				x, y, n = x+n[0], y+n[1], n[2:]
				out = append(out, [2]int{x, y})
			}
		}
		out = append(out, [2]int{x, y})
	}
	return out
}

func TestAChartOfNothingSaysSo(t *testing.T) {
	var b strings.Builder
	c := Chart{Slots: []Slot{{}}, Columns: []Series{{Values: []int64{0}}}, Finding: "No payment failed.", Empty: "Nothing to recover."}
	if err := ChartFigure(c).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "Nothing to recover.") || strings.Contains(got, "<svg") {
		t.Errorf("it is drawn as %s", got)
	}
}

func TestWhatAChartSaysIsEscaped(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	var b strings.Builder
	c := Chart{
		ID: "x", Slots: []Slot{{Short: evil, Long: evil, Href: "javascript:alert(1)"}, {Long: evil, Href: "/a?b=1&c=" + evil}},
		Lines: []Series{{Name: evil, Values: []int64{1, 2}, Texts: []string{evil, evil}}}, Bands: []Band{{Name: evil, Texts: []string{evil}}},
		Finding: evil, Title: evil,
	}
	if err := ChartFigure(c).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Contains(got, "<script") || strings.Contains(got, "javascript:") {
		t.Errorf("it is drawn as %s", got)
	}
}
