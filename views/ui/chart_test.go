package ui

import (
	"flag"
	"os"
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
		values := rapid.SliceOfN(rapid.Int64Range(-1e12, 1e12), 1, 36).Draw(t, "values")
		c := Chart{
			Slots: make([]Slot, len(values)), Columns: []Series{{Values: values}, {Values: values}}, Lines: []Series{{Values: values}},
			Marks: []Series{{Values: values[:1]}}, // one that is shorter is nought for the rest
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
		for _, s := range append(c.strokes(), c.dashes()...) {
			inside(s.x1, s.x2, s.y1, s.y2)
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
	want := []stroke{
		{x1: "16.67%", y1: "100%", x2: "50%", y2: "50%", look: Plain},
		{x1: "50%", y1: "50%", x2: "83.33%", y2: "0%", look: Plain, running: true},
	}
	if diff := cmp.Diff(want, c.strokes(), cmp.AllowUnexported(stroke{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
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
		"a rise ends at the top":      {Spark{Values: []int64{0, 5, 10}}, 2, "0%"},
		"a fall below ends beneath":   {Spark{Values: []int64{10, -10}}, 1, "100%"},
		"all nought lies at the foot": {Spark{Values: []int64{0, 0}}, 1, "100%"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(test.spark.strokes()); got != test.pieces {
				t.Errorf("%d pieces, want %d", got, test.pieces)
			}
			if got := test.spark.end().y; got != test.end {
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

func TestATooltipIsWhereThereIsRoom(t *testing.T) {
	for name, test := range map[string]struct {
		months int
		want   string
	}{
		"one is over its column":           {1, "o"},
		"two are beside them":              {2, "ab"},
		"of three the middle one is over":  {3, "aob"},
		"of four half are on either side":  {4, "aabb"},
		"of an odd number one is over its": {5, "aaobb"},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			c := Chart{Slots: make([]Slot, test.months)}
			for i := range c.Slots {
				got += map[string]string{"chart-tip": "a", "chart-tip chart-tip-before": "b", "chart-tip chart-tip-over": "o"}[c.tipClass(i)]
			}
			if got != test.want {
				t.Errorf("tips are %s, want %s", got, test.want)
			}
		})
	}
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
