package handlers

import (
	"fmt"
	"math/big"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views/ui"
)

// drawing makes charts of the periods of one report, in its currency.
type drawing struct {
	scope reports.Scope
	ask   figuresAsk
}

// chart is one of a figure, by its key in analytics.Metrics, without its series.
// It knows what the figure means and where more is said of it. id makes its ids
// unique on the page.
func (d drawing) chart(id, title, metric string) ui.Chart {
	chart := ui.Chart{ID: id, Title: title, Heading: intervalHeadings[d.scope.Interval], Slots: slots(d.scope.Periods, d.scope.Interval)}
	if m, ok := analytics.MetricByKey(metric); ok {
		chart.Definition, chart.Explain = m.Definition, explainHref(metric, d.ask, nil)
		for i, p := range d.scope.Periods {
			chart.Slots[i].Href = withQuery(chart.Explain, atKey, p.Start.Format(time.DateOnly))
		}
	}
	chart.CSV = exportHref("figures", d.ask)
	return chart
}

// line is the series of a figure, and its gaps where it is not defined.
func (d drawing) line(metric, name string, look ui.Look, points []analytics.Point) ui.Series {
	m, ok := analytics.MetricByKey(metric)
	series := ui.Series{Name: name, Look: look}
	if !ok {
		return series
	}
	series.Values, series.Texts, series.Missing = make([]int64, len(points)), make([]string, len(points)), make([]bool, len(points))
	for i, p := range points {
		value := m.Of(p)
		n := drawn(value, m.Unit)
		series.Values[i], series.Missing[i] = n, !value.Defined()
		if value.Defined() {
			series.Texts[i] = unitText(n, m.Unit, d.scope.Currency)
		} else {
			series.Texts[i] = d.text(value, m.Unit)
		}
	}
	return series
}

// drawn is a value as charts have it: micro-units of money, counts, and
// millionths of what has no unit.
func drawn(v analytics.Value, unit analytics.Unit) int64 {
	switch unit {
	case analytics.Money, analytics.Count:
		return v.Micro()
	case analytics.Ratio, analytics.Quotient:
		if v.Rat == nil {
			return 0
		}
		return analytics.Value{Rat: new(big.Rat).Mul(v.Rat, big.NewRat(millionths, 1))}.Micro()
	}
	return 0
}

const millionths = 1_000_000

// text is a value in words: "$99.00", "214", "4.2%", "1.8". One that is not
// defined says why.
func (d drawing) text(v analytics.Value, unit analytics.Unit) string {
	if !v.Defined() {
		if v.Note == "" {
			return "n/a"
		}
		return "n/a: " + v.Note
	}
	return unitText(drawn(v, unit), unit, d.scope.Currency)
}

// unitText says what a chart has as a number.
func unitText(n int64, unit analytics.Unit, c money.Currency) string {
	switch unit {
	case analytics.Money:
		return money.FormatMicro(n, c)
	case analytics.Count:
		return count(n)
	case analytics.Ratio:
		return fmt.Sprintf("%.1f%%", float64(n)*100/millionths)
	case analytics.Quotient:
		return fmt.Sprintf("%.2f", float64(n)/millionths)
	}
	return ""
}

// ticked is a chart with its lines across.
func (d drawing) ticked(chart ui.Chart, unit analytics.Unit) ui.Chart {
	step := int64(1)
	switch unit {
	case analytics.Money: // a line lies at a whole minor unit
		step = money.Micro
	case analytics.Count:
	case analytics.Ratio:
		step = millionths / 1000
	case analytics.Quotient:
		step = millionths / 10
	}
	extent := chart.Extent()
	for i := range extent { // away from nought, so that no value is left outside
		switch n := extent[i]; {
		case n > 0:
			extent[i] = (n + step - 1) / step
		case n < 0:
			extent[i] = (n - step + 1) / step
		}
	}
	chart.Ticks = nil
	for _, v := range ui.TickValues(extent) {
		tick := ui.Tick{Value: v * step}
		switch unit {
		case analytics.Money:
			tick.Text = money.FormatShort(v, d.scope.Currency)
		case analytics.Count:
			tick.Text = count(v)
		case analytics.Ratio:
			tick.Text = trimmed(float64(v)/10) + "%"
		case analytics.Quotient:
			tick.Text = trimmed(float64(v) / 10)
		}
		chart.Ticks = append(chart.Ticks, tick)
	}
	return chart
}

// trimmed has a decimal only where it is not nought.
func trimmed(f float64) string {
	if f == float64(int64(f)) {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.1f", f)
}

var intervalHeadings = map[analytics.Interval]string{analytics.Daily: "Day", analytics.Weekly: "Week", analytics.Monthly: "Month"}

// intervalNouns are "12 months" without the number, one and many.
var intervalNouns = map[analytics.Interval][2]string{
	analytics.Daily: {"day", "days"}, analytics.Weekly: {"week", "weeks"}, analytics.Monthly: {"month", "months"},
}

// periodName is a period in running text: "March 2026", "3 Mar 2026", "the week
// of 2 Mar 2026".
func periodName(p analytics.Period, interval analytics.Interval) string {
	switch interval {
	case analytics.Monthly:
		return p.Start.Format("January 2006")
	case analytics.Weekly:
		return "the week of " + p.Start.Format("2 Jan 2006")
	case analytics.Daily:
	}
	return p.Start.Format("2 Jan 2006")
}

// slots are the places of periods in a chart.
func slots(periods []analytics.Period, interval analytics.Interval) []ui.Slot {
	out := make([]ui.Slot, len(periods))
	short := "2 Jan"
	if interval == analytics.Monthly {
		short = "Jan"
	}
	for i, p := range periods {
		out[i] = ui.Slot{Short: p.Start.Format(short), Long: upperFirst(periodName(p, interval)), IsRunning: p.IsRunning}
		isNewYear := i == 0 || p.Start.Year() != periods[i-1].Start.Year()
		if isNewYear && (i > 0 || p.Start.Month() == time.January || hasRoomForTheFirstYear(periods)) {
			out[i].Group = p.Start.Format("2006")
		}
	}
	return out
}

// hasRoomForTheFirstYear: its name would otherwise run into that of the second.
func hasRoomForTheFirstYear(periods []analytics.Period) bool {
	for i, p := range periods {
		if p.Start.Year() != periods[0].Start.Year() {
			return i >= max(3, len(periods)/6)
		}
	}
	return true
}
