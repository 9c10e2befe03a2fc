package ui

import (
	"flag"
	"os"
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

func TestColumnsStandOnNoughtAndFillTheirSlots(t *testing.T) {
	got := columns([]int64{0, 50, 100, -50}, -50, 100)
	want := []column{
		{x: "5.5%", y: "66.67%", width: "14%", height: "0%"},
		{x: "30.5%", y: "33.33%", width: "14%", height: "33.33%"},
		{x: "55.5%", y: "0%", width: "14%", height: "66.67%"},
		{x: "80.5%", y: "66.67%", width: "14%", height: "33.33%"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(column{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestColumnsStayInsideThePlot(t *testing.T) {
	for name, test := range map[string]struct {
		value, low, high int64
		wantY, wantH     string
	}{
		"above the highest line":  {300, 0, 100, "0%", "100%"},
		"below the lowest line":   {-300, -100, 100, "50%", "50%"},
		"lines that span nothing": {5, 5, 5, "100%", "0%"},
	} {
		t.Run(name, func(t *testing.T) {
			got := columns([]int64{test.value}, test.low, test.high)[0]
			if got.y != test.wantY || got.height != test.wantH {
				t.Errorf("y %s, height %s, want %s and %s", got.y, got.height, test.wantY, test.wantH)
			}
		})
	}
}

func TestAChartWithoutTicksStillSpansItsValues(t *testing.T) {
	c := MonthChart{Months: []Month{{Value: 9900}, {Value: 5000}}}
	if low, high := c.span(); low != 0 || high != 10000 {
		t.Errorf("spans %d to %d", low, high)
	}
}

func TestMonthFigureIsDrawnAsBefore(t *testing.T) {
	c := MonthChart{
		ID: "mrr", Title: "MRR, last 3 months", Finding: "MRR is $198.00, $99.00 more than a month ago.", ValueHeading: "MRR",
		Months: []Month{
			{Short: "Sep", Long: "September 2026", Text: "$0.00"},
			{Short: "Oct", Long: "October 2026", Value: 9900, Text: "$99.00"},
			{Short: "Nov", Long: "November 2026", Value: 19800, Text: "$198.00", IsRunning: true},
		},
		Ticks: []Tick{{0, "$0"}, {10000, "$100"}, {20000, "$200"}},
	}
	var b strings.Builder
	if err := MonthFigure(c).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(b.String(), "><", ">\n<") + "\n"
	const file = "testdata/month-figure.html"
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
