package handlers

import (
	"fmt"
	"strings"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// cashSection puts what went through the account into words and drawings.
type cashSection struct {
	reports.CashFlow
	drawing
	sum analytics.Point
}

// cashModel is the section of cash of a page whose periods are those of the
// scope.
func (s *server) cashModel(scope reports.Scope, flow reports.CashFlow, ask figuresAsk) views.Cash {
	p := cashSection{CashFlow: flow, drawing: drawing{scope, ask}, sum: flow.Sum()}
	m := views.Cash{Note: p.note()}
	switch {
	case scope.Plan != "":
		m.Empty = "Cash is counted for the account and not by plan: choose all plans to see it."
	case flow.ReadTo.IsZero():
		m.Empty = "What moved the balance has not been read from Stripe yet. It is within minutes."
	default:
		m.Figures, m.Flow, m.Table = p.keyFigures(), p.chart(), p.drawing.sheet("Cash by period", cashFigures, p.Points)
		m.Table.CSV = exportHref("cash", ask)
	}
	return m
}

// cashIsLate is after how long without a reading the page says so; it is read every
// five minutes.
const cashIsLate = time.Hour

// cashFigures are the figures of cash, by their keys.
var cashFigures = []string{"grossVolume", "refunds", "disputes", "fees", "netVolume"}

func (p cashSection) note() string {
	note := "From Stripe's balance transactions, on the day on which the balance moved: with tax and everything that was charged, renewals or not. Payouts, transfers and top-ups are no part of it."
	if !p.ReadTo.IsZero() {
		note += " Read up to " + p.ReadTo.In(p.scope.Zone).Format("2 Jan 2006, 15:04")
		if p.ReadTo.Before(p.scope.AsOf.Add(-cashIsLate)) {
			note += ", and not since: Stripe could not be asked, or refused to answer"
		}
		note += "."
		if first := analytics.DayOf(p.ReadFrom, p.scope.Zone); p.scope.First().Before(first) {
			note += " What was before " + first.Format("2 Jan 2006") + " is still being read."
		}
	}
	if len(p.Elsewhere) > 0 {
		var names []string
		for _, c := range p.Elsewhere {
			names = append(names, strings.ToUpper(string(c)))
		}
		note += fmt.Sprintf(" There is also a balance in %s, which is not added up.", strings.Join(names, ", "))
	}
	return note
}

func (p cashSection) minor(minor int64) string { return money.Format(minor, p.scope.Currency) }

func (p cashSection) keyFigures() []ui.KeyFigure {
	cash := *p.sum.Cash
	net := p.keyFigure("netVolume", "Net volume", p.sum, p.Points)
	net.Note = fmt.Sprintf("%s of the gross volume.", shareOr(cash.NetMinor, cash.GrossMinor, "n/a"))
	gross := p.keyFigure("grossVolume", "Gross volume", p.sum, p.Points)
	gross.Note = "All charges and payments."
	given := p.keyFigure("refunds", "Refunds and disputes", p.sum, p.Points)
	given.Value, given.Spark.Values = p.minor(cash.RefundsMinor+cash.DisputesMinor), nil
	for _, point := range p.Points {
		given.Spark.Values = append(given.Spark.Values, point.Cash.RefundsMinor+point.Cash.DisputesMinor)
	}
	given.Note = fmt.Sprintf("%s refunded, %s disputed.", p.minor(-cash.RefundsMinor), p.minor(-cash.DisputesMinor))
	fees := p.keyFigure("fees", "Fees", p.sum, p.Points)
	fees.Note = fmt.Sprintf("%s of the gross volume.", shareOr(cash.FeesMinor, cash.GrossMinor, "n/a"))
	if before := analytics.Sum(p.Before).Cash; before != nil {
		than := lowerFirst(comparedName(p.scope))
		net.Delta = compare(cash.NetMinor-before.NetMinor, p.minor, than, ui.Good, ui.Bad)
		gross.Delta = compare(cash.GrossMinor-before.GrossMinor, p.minor, than, ui.Good, ui.Bad)
		fees.Delta = compare(cash.FeesMinor-before.FeesMinor, p.minor, than, ui.Neutral, ui.Neutral)
	}
	return []ui.KeyFigure{net, gross, given, fees}
}

// shareOr is a part of all in percent, or the words where there is nothing to
// divide by.
func shareOr(part, all int64, otherwise string) string {
	if all == 0 {
		return otherwise
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(all))
}

// chart has what came upwards, and what went downwards; what is left is the line.
func (p cashSection) chart() ui.Chart {
	chart := p.drawing.chart("cash", "Gross volume, and what was taken off", "netVolume")
	add := func(name string, look ui.Look, isAlways bool, of func(analytics.Cash) int64) {
		series := ui.Series{Name: name, Look: look}
		for _, point := range p.Points {
			minor := of(*point.Cash)
			isAlways = isAlways || minor != 0
			series.Values, series.Texts = append(series.Values, minor*money.Micro), append(series.Texts, p.minor(minor))
		}
		if isAlways {
			chart.Columns = append(chart.Columns, series)
		}
	}
	add("Gross", ui.Gain, true, func(c analytics.Cash) int64 { return c.GrossMinor })
	add("Refunds", ui.Loss, true, func(c analytics.Cash) int64 { return c.RefundsMinor })
	add("Disputes", ui.LossStriped, true, func(c analytics.Cash) int64 { return c.DisputesMinor })
	add("Fees", ui.Quiet, true, func(c analytics.Cash) int64 { return -c.FeesMinor })
	add("Other", ui.Step2, false, func(c analytics.Cash) int64 { return c.OtherMinor })
	chart.Lines = []ui.Series{p.line("netVolume", "Net", ui.Strong, p.Points)}
	chart = p.earlier(chart, "netVolume", p.Before)
	cash := *p.sum.Cash
	chart.Finding = fmt.Sprintf("Of %s that came in, %s is left after refunds, disputes and fees.", p.minor(cash.GrossMinor), p.minor(cash.NetMinor))
	if cash.OtherMinor != 0 {
		chart.Finding = fmt.Sprintf("Of %s that came in, %s is left after refunds, disputes, fees and %s of other movements.",
			p.minor(cash.GrossMinor), p.minor(cash.NetMinor), p.minor(cash.OtherMinor))
	}
	chart.Definition = "Gross is all charges and payments; refunds and disputes stand on the day on which the money left, and less of them where it came back. Fees are what Stripe kept of each transaction; a fee that it took by itself, and adjustments, are among the others. Net is the sum of all of them."
	chart.Empty = "Nothing moved the balance in this time."
	chart.CSV = exportHref("cash", p.ask)
	return p.ticked(chart, analytics.Money)
}
