package handlers

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

var paymentsSection = section{path: "/admin/billing/payments", heading: "Payments"}

// adminPayments shows how renewals are paid, why they are declined, and who owes.
func (s *server) adminPayments(c echo.Context) error {
	return figuresPage(s, c, paymentsSection, s.Reports.Payments, func(r reports.Payments, ask figuresAsk) templ.Component {
		return views.PaymentsBody(s.paymentsModel(r, ask))
	})
}

// paymentsPage puts a report of payments into words and drawings.
type paymentsPage struct {
	reports.Payments
	drawing
	points, before []analytics.Point
	sum            reports.PaymentPoint
}

func (s *server) paymentsModel(r reports.Payments, ask figuresAsk) views.Payments {
	p := paymentsPage{
		Payments: r, drawing: drawing{r.Scope, ask}, sum: reports.SumPayments(r.Points), points: seriesOf(r.Points), before: seriesOf(r.Before),
	}
	m := views.Payments{Figures: p.keyFigures(), Blank: s.noFigures(r.Scope)}
	if m.Blank.Title != "" {
		return m
	}
	m.Rate, m.Outcomes, m.Recovery = p.inSevens().rate(), p.outcomes(), p.inSevens().recovery()
	m.Reasons, m.Customers, m.Asked = p.reasons(), p.customers(), p.asked()
	m.Retrying, m.Table = s.retryingList(r, ask), p.table()
	m.Cash = views.CashSection(s.cashModel(r.Scope, r.Cash, ask))
	return m
}

func seriesOf(points []reports.PaymentPoint) []analytics.Point {
	out := make([]analytics.Point, len(points))
	for i, p := range points {
		out[i] = p.Point()
	}
	return out
}

// sevenDays is how many days are one point of a rate.
const sevenDays = 7

// inSevens is the same page with seven days to a period where it has single ones,
// which have too few renewals for a rate to mean anything: counted back from the
// last, so that the newest is whole.
func (p paymentsPage) inSevens() paymentsPage {
	if p.Interval != analytics.Daily {
		return p
	}
	p.Points, p.Before = sevens(p.Points), sevens(p.Before)
	p.points, p.before = seriesOf(p.Points), seriesOf(p.Before)
	p.Interval, p.scope.Interval, p.scope.Periods = analytics.Weekly, analytics.Weekly, nil
	for _, point := range p.Points {
		p.scope.Periods = append(p.scope.Periods, point.Period)
	}
	return p
}

func sevens(days []reports.PaymentPoint) []reports.PaymentPoint {
	var out []reports.PaymentPoint
	for first := 0; first < len(days); {
		last := first + sevenDays
		if first == 0 && len(days)%sevenDays > 0 {
			last = len(days) % sevenDays
		}
		out = append(out, reports.SumPayments(days[first:last]))
		first = last
	}
	return out
}

// ofSevens is what a reader must know of a chart in which they are.
func (p paymentsPage) ofSevens() string {
	if p.Payments.Periods[0].Last().Equal(p.Payments.Periods[0].Start) {
		return " A point is seven days, and the first what is left of them: a single day has few renewals."
	}
	return ""
}

func (p paymentsPage) minor(minor int64) string { return money.Format(minor, p.Currency) }

// worth says how many invoices there are and what all of them come to.
func (p paymentsPage) worth(i analytics.Invoices) string {
	if i.Count == 1 {
		return "1 renewal of " + p.minor(i.AmountMinor)
	}
	return count(i.Count) + " renewals worth " + p.minor(i.AmountMinor)
}

// rateChange compares a ratio with that of the periods before, in points.
func (p paymentsPage) rateChange(metric string, more, less ui.Tone) ui.Delta {
	if len(p.before) == 0 {
		return ui.Delta{}
	}
	m, _ := analytics.MetricByKey(metric)
	now, then := m.Of(p.sum.Point()), m.Of(analytics.Sum(p.before))
	if !now.Defined() || !then.Defined() {
		return ui.Delta{Text: "Nothing to compare with " + lowerFirst(comparedName(p.Scope))}
	}
	by := drawn(analytics.Value{Rat: new(big.Rat).Sub(now.Rat, then.Rat)}, analytics.Ratio)
	return compare(by, func(n int64) string { return fmt.Sprintf("%.1f points", float64(n)*100/millionths) }, lowerFirst(comparedName(p.Scope)), more, less)
}

func (p paymentsPage) keyFigures() []ui.KeyFigure {
	sum, failed := p.sum.Point(), p.sum.Failed()
	failure := p.keyFigure("paymentFailureRate", "Declined first", sum, p.points)
	failure.Delta = p.rateChange("paymentFailureRate", ui.Bad, ui.Good)
	if p.sum.Attempted.Count > 0 {
		failure.Note = fmt.Sprintf("By amount; %s of %s.", count(failed.Count), plural(p.sum.Attempted.Count, "renewal", "renewals"))
	}
	recovery := p.keyFigure("recoveryRate", "Recovered", sum, p.points)
	recovery.Delta = p.rateChange("recoveryRate", ui.Good, ui.Bad)
	if failed.Count > 0 {
		recovery.Note = p.minor(p.sum.Recovered.AmountMinor) + " of " + p.minor(failed.AmountMinor) + "."
		if p.sum.InRetry.Count > 0 {
			recovery.Note += fmt.Sprintf(" Provisional: %s tried again.", plural(p.sum.InRetry.Count, "is", "are"))
		}
	}
	retrying := ui.KeyFigure{
		Label: "In retry now", Value: p.minor(p.Open.AmountMinor), Note: plural(p.Open.Count, "invoice.", "invoices."),
		Link: ui.Link{Text: "Who owes", Href: "#retrying"}, Spark: ui.Spark{IsRunning: sum.IsRunning},
	}
	if p.AskedOpen.Count > 0 {
		retrying.Note += fmt.Sprintf(" %s to be confirmed.", plural(p.AskedOpen.Count, "more waits", "more wait"))
	}
	lost := ui.KeyFigure{
		Label: "Lost", Value: p.minor(p.sum.Lost.AmountMinor), Note: plural(p.sum.Lost.Count, "renewal.", "renewals."), Spark: ui.Spark{IsRunning: sum.IsRunning},
	}
	for _, point := range p.Points {
		retrying.Spark.Values = append(retrying.Spark.Values, point.Open.AmountMinor)
		lost.Spark.Values = append(lost.Spark.Values, point.Lost.AmountMinor)
	}
	if len(p.Before) > 0 {
		before := reports.SumPayments(p.Before)
		lost.Delta = compare(p.sum.Lost.AmountMinor-before.Lost.AmountMinor, p.minor, lowerFirst(comparedName(p.Scope)), ui.Bad, ui.Good)
	}
	return []ui.KeyFigure{failure, recovery, retrying, lost}
}

// fewRenewals is below how many a share of them is greyed: one more or less would
// move it by more than three points.
const fewRenewals = 30

// rate is how many renewals are declined first, by number with the interval in
// which the truth lies, and by amount.
func (p paymentsPage) rate() ui.Chart {
	chart := p.chart("failure-rate", "Renewals declined at the first attempt", "paymentFailureRate")
	byNumber := ui.Series{Name: "By number", Look: ui.Plain}
	band := ui.Band{Name: "95% interval"}
	hasFew := false
	for _, point := range p.Points {
		failed, attempted := point.Failed().Count, point.Attempted.Count
		value, low, high, text, between := int64(0), int64(1), int64(0), "n/a: nothing was attempted", ""
		if attempted > 0 {
			from, to := analytics.Wilson(failed, attempted, analytics.Z95)
			low, high = int64(from*millionths+0.5), int64(to*millionths+0.5)
			value = drawn(analytics.Value{Rat: big.NewRat(failed, attempted)}, analytics.Ratio)
			text = fmt.Sprintf("%s (%s of %s)", unitText(value, analytics.Ratio, p.Currency), count(failed), count(attempted))
			between = fmt.Sprintf("%.1f%% to %.1f%%", 100*from, 100*to)
		}
		isFew := attempted > 0 && attempted < fewRenewals
		hasFew = hasFew || isFew
		byNumber.Values, byNumber.Texts = append(byNumber.Values, value), append(byNumber.Texts, text)
		byNumber.Missing, byNumber.Soft = append(byNumber.Missing, attempted == 0), append(byNumber.Soft, isFew)
		band.Low, band.High, band.Texts = append(band.Low, low), append(band.High, high), append(band.Texts, between)
	}
	byAmount := p.line("paymentFailureRate", "By amount", ui.Dashed, p.points)
	chart.Lines, chart.Bands = []ui.Series{byNumber, byAmount}, []ui.Band{band}
	chart = p.earlier(chart, "paymentFailureRate", p.before)
	failed := p.sum.Failed()
	switch {
	case p.sum.Attempted.Count == 0:
		chart.Finding = "No subscription was renewed in this time."
	case failed.Count == 0:
		chart.Finding = fmt.Sprintf("None of %s was declined.", plural(p.sum.Attempted.Count, "renewal", "renewals"))
	default:
		chart.Finding = fmt.Sprintf("%s of %s were declined first, %s by amount.", count(failed.Count),
			plural(p.sum.Attempted.Count, "renewal", "renewals"), p.value("paymentFailureRate", p.sum.Point()))
	}
	chart.Definition += " A renewal counts once, on the day of its first attempt, and not the one that a trial ends with. The interval is Wilson's, of the number, at 95%."
	chart.Definition += p.ofSevens()
	if hasFew {
		chart.Definition += fmt.Sprintf(" Where there were fewer than %d renewals it is greyed.", fewRenewals)
	}
	chart.Empty = "Nothing was declined in this time."
	chart.CSV = exportHref("payments", p.ask)
	return p.ticked(chart, analytics.Ratio)
}

// columnOf are the amounts of some of the renewals of each period.
func (p paymentsPage) columnOf(name string, look ui.Look, of func(reports.PaymentPoint) analytics.Invoices) ui.Series {
	series := ui.Series{Name: name, Look: look}
	for _, point := range p.Points {
		invoices := of(point)
		series.Values = append(series.Values, invoices.AmountMinor*money.Micro)
		text := p.minor(invoices.AmountMinor)
		if invoices.Count > 0 {
			text += fmt.Sprintf(" (%s)", count(invoices.Count))
		}
		series.Texts = append(series.Texts, text)
	}
	return series
}

// outcomes are what became of declined renewals, by amount.
func (p paymentsPage) outcomes() ui.Chart {
	chart := p.chart("declined", "What became of declined renewals", "recoveryRate")
	chart.Columns = []ui.Series{
		p.columnOf("Recovered", ui.Gain, func(o reports.PaymentPoint) analytics.Invoices { return o.Recovered }),
		p.columnOf("In retry", ui.Quiet, func(o reports.PaymentPoint) analytics.Invoices { return o.InRetry }),
		p.columnOf("Lost", ui.LossStriped, func(o reports.PaymentPoint) analytics.Invoices { return o.Lost }),
	}
	if failed := p.sum.Failed(); failed.Count > 0 {
		chart.Finding = fmt.Sprintf("Of %s, %s came back, %s may still, and %s is lost.", p.worth(failed),
			p.minor(p.sum.Recovered.AmountMinor), p.minor(p.sum.InRetry.AmountMinor), p.minor(p.sum.Lost.AmountMinor))
	} else {
		chart.Finding = "Nothing was declined in this time."
	}
	chart.Definition = "Each renewal stands where it was attempted first, with what was due then, however late it was paid. It is lost when its subscription ends or turns unpaid, when somebody writes it off, or sixty days after the last attempt; what is voided is not owed and not counted."
	chart.Empty = "Nothing was declined in this time."
	chart.CSV = exportHref("payments", p.ask)
	return p.ticked(chart, analytics.Money)
}

// recovery is the share of what was declined that was paid after all, greyed
// while it is provisional.
func (p paymentsPage) recovery() ui.Chart {
	chart := p.chart("recovery-rate", "Recovery rate", "recoveryRate")
	line := p.line("recoveryRate", "Recovered", ui.Plain, p.points)
	isProvisional := false
	for i, point := range p.Points {
		isSoft := point.InRetry.Count > 0
		isProvisional = isProvisional || isSoft
		line.Soft = append(line.Soft, isSoft)
		if isSoft {
			line.Texts[i] += " so far"
		}
	}
	chart.Lines = []ui.Series{line}
	chart = p.earlier(chart, "recoveryRate", p.before)
	chart.Finding = "Nothing was declined in this time."
	if p.sum.Failed().Count > 0 {
		chart.Finding = fmt.Sprintf("%s of what was declined first was paid after all.", p.value("recoveryRate", p.sum.Point()))
		if isProvisional {
			chart.Finding += " What is tried again may add to it; those " + intervalNouns[p.Interval][1] + " are greyed."
		}
	}
	chart.Definition += p.ofSevens()
	chart.Empty = "Nothing that was declined has been recovered."
	chart.CSV = exportHref("payments", p.ask)
	return p.ticked(chart, analytics.Ratio)
}

// customers are how many had a renewal declined.
func (p paymentsPage) customers() ui.Chart {
	chart := p.chart("declined-by-customer", "Customers with a declined renewal", "paymentFailureRate")
	series := ui.Series{Name: "Customers", Look: ui.Loss}
	most := reports.PaymentPoint{}
	for _, point := range p.Points {
		series.Values, series.Texts = append(series.Values, point.Customers), append(series.Texts, count(point.Customers))
		if point.Customers > most.Customers {
			most = point
		}
	}
	chart.Columns = []ui.Series{series}
	chart.Finding = "Nobody had a renewal declined in this time."
	if most.Customers > 0 {
		in := "in"
		if p.Interval == analytics.Daily {
			in = "on"
		}
		chart.Finding = fmt.Sprintf("Most were %s %s %s.", plural(most.Customers, "customer", "customers"), in, soFar(most.Period, p.Interval))
	}
	nouns := intervalNouns[p.Interval]
	chart.Definition = "Customers with at least one renewal that was declined first in the " + nouns[0] + ". One with several counts once."
	chart.Empty, chart.Explain, chart.CSV = "Nobody had a renewal declined in this time.", "", exportHref("payments", p.ask)
	return p.ticked(chart, analytics.Count)
}

// asked are the renewals that the bank wanted to be confirmed; nothing where
// there were none.
func (p paymentsPage) asked() ui.Chart {
	if p.sum.Asked.Count == 0 {
		return ui.Chart{}
	}
	chart := p.chart("confirmations", "Renewals to be confirmed", "paymentFailureRate")
	confirmed := ui.Series{Name: "Confirmed and paid", Look: ui.Gain}
	rest := ui.Series{Name: "Not paid", Look: ui.Quiet}
	for _, point := range p.Points {
		confirmed.Values, confirmed.Texts = append(confirmed.Values, point.Confirmed.Count), append(confirmed.Texts, count(point.Confirmed.Count))
		left := point.Asked.Count - point.Confirmed.Count
		rest.Values, rest.Texts = append(rest.Values, left), append(rest.Texts, count(left))
	}
	chart.Columns = []ui.Series{confirmed, rest}
	chart.Finding = fmt.Sprintf("The bank asked for the customer's confirmation (3-D Secure) of %s; %s were paid.", p.worth(p.sum.Asked), count(p.sum.Confirmed.Count))
	if p.AskedOpen.Count > 0 {
		chart.Finding += fmt.Sprintf(" Now %s, worth %s.", plural(p.AskedOpen.Count, "waits", "wait"), p.minor(p.AskedOpen.AmountMinor))
	}
	chart.Definition = "Renewals of which the bank asked for a confirmation at the first attempt. They are no declines, and in none of the figures above."
	chart.Explain, chart.CSV = "", exportHref("payments", p.ask)
	return p.ticked(chart, analytics.Count)
}

// declineWords are banks' and Stripe's reasons as an administrator reads them.
// https://docs.stripe.com/declines/codes
var declineWords = map[string]string{
	"":                                "Not told",
	"authentication_required":         "Confirmation wanted",
	"call_issuer":                     "Call the bank",
	"card_declined":                   "Declined without a reason",
	"card_not_supported":              "Card not made for this",
	"card_velocity_exceeded":          "Limit of the card reached",
	"currency_not_supported":          "Currency not supported",
	"debit_not_authorized":            "Debit not authorized",
	"do_not_honor":                    "Bank declines, gives no reason",
	"do_not_try_again":                "Bank wants no further attempt",
	"expired_card":                    "Card has expired",
	"fraudulent":                      "Bank suspects fraud",
	"generic_decline":                 "Declined without a reason",
	"highest_risk_level":              "Blocked by Stripe as a risk",
	"incorrect_cvc":                   "Wrong security code",
	"incorrect_number":                "Wrong card number",
	"insufficient_funds":              "Insufficient funds",
	"invalid_account":                 "Account or card not valid",
	"issuer_not_available":            "Bank out of reach",
	"lost_card":                       "Card reported lost",
	"pickup_card":                     "Card withdrawn by the bank",
	"processing_error":                "Error on the way",
	"rule":                            "Blocked by a rule of yours",
	"stolen_card":                     "Card reported stolen",
	"transaction_not_allowed":         "Payment not allowed",
	"try_again_later":                 "Try again later",
	"withdrawal_count_limit_exceeded": "Limit of the account reached",
}

// declineWord is a reason in words; one that is not known is called by its code.
func declineWord(code string) string {
	if words, ok := declineWords[code]; ok {
		return words
	}
	return upperFirst(spaced(code))
}

func (p paymentsPage) reasons() ui.Bars {
	bars := ui.Bars{
		ID: "decline-reasons", Title: "Declined renewals by reason", Heading: "Reason", ValueHeading: "Renewals",
		Columns:    []ui.Column{{Label: "Amount", Numeric: true}, {Label: "Recovered", Numeric: true}, {Label: "In retry", Numeric: true}, {Label: "Lost", Numeric: true}},
		Definition: "The reason that the bank gave at the first attempt, of the renewals of the range, most first.",
		Empty:      "Nothing was declined in this time.", CSV: exportHref("payments", p.ask), Explain: explainHref("paymentFailureRate", p.ask, nil),
	}
	all := p.sum.Failed()
	bars.Finding = bars.Empty
	for i, r := range p.Reasons {
		failed := r.Failed()
		share := percentage(failed.Count, all.Count)
		if i == 0 {
			bars.Finding = fmt.Sprintf("Most often: %s, %s of %s.", lowerFirst(declineWord(r.Reason)), count(failed.Count), plural(all.Count, "decline", "declines"))
		}
		bar := ui.Bar{
			Name: declineWord(r.Reason), Note: r.Reason, Value: failed.Count, Text: count(failed.Count), Share: share, ShareOf: "of all", Look: ui.Loss,
			Cells: []ui.Cell{
				{Text: p.minor(failed.AmountMinor)},
				{Text: p.minor(r.Recovered.AmountMinor), Note: percentage(r.Recovered.AmountMinor, failed.AmountMinor)},
				{Text: p.minor(r.InRetry.AmountMinor)},
				{Text: p.minor(r.Lost.AmountMinor)},
			},
		}
		bars.Rows = append(bars.Rows, bar)
	}
	return bars
}

func (s *server) retryingList(r reports.Payments, ask figuresAsk) views.CustomerList {
	list := views.CustomerList{
		Note: "As of now, whatever time is shown above.", Empty: "Every renewal is paid or lost; nothing is tried again.", CSV: exportHref("invoices", ask),
		More: ui.Link{Text: "All subscriptions with a payment owed", Href: subscriptionsPath + "?failing=1"},
		List: ui.List{Caption: "Renewals that are not paid yet, the largest first", Columns: listColumns(
			ui.Column{Label: "Customer"}, ui.Column{Label: "Because of"}, ui.Column{Label: "Due", Numeric: true}, ui.Column{Label: "Tried", Short: true},
			ui.Column{Label: "Since", Short: true}, ui.Column{Label: "Next attempt", Short: true},
		)},
	}
	for _, o := range r.Retrying {
		next := ui.Cell{Text: "None", Title: "Stripe does not try it again by itself."}
		if !o.NextAttemptAt.IsZero() {
			next = ui.Cell{Instant: instant(o.NextAttemptAt, "2 Jan 2006")}
		}
		because := ui.Cell{Text: declineWord(o.Reason), Term: o.Reason}
		if o.IsAsked {
			because = ui.Cell{Text: "Waits for the customer's confirmation"}
		}
		list.List.Rows = append(list.List.Rows, ui.ListRow{Href: customerHref(o.ID), Cells: []ui.Cell{
			customerCell(o.Customer), because,
			{Text: money.Format(o.AmountMinor, r.Currency), Note: s.planName(o.Plan)},
			{Text: plural(int64(o.Attempts), "time", "times")},
			{Instant: instant(o.FirstAt, "2 Jan 2006")},
			next,
		}})
	}
	if all := r.Open.Count + r.AskedOpen.Count; all > int64(len(r.Retrying)) {
		list.Note += fmt.Sprintf(" The largest %d of %s.", len(r.Retrying), count(all))
	}
	return list
}

// table is the table of figures by period: the renewals, then their rates.
func (p paymentsPage) table() views.FigureSheet {
	sheet := p.sheet("Payments by period", []string{"paymentFailureRate", "recoveryRate"}, p.points)
	sheet.CSV = exportHref("payments", p.ask)
	// The same periods in the same order as the sheet has them: the newest first.
	points := slices.Clone(p.Points[max(0, len(p.Points)-sheetPeriods):])
	slices.Reverse(points)
	var rows []ui.Row
	row := func(name, title string, cell func(reports.PaymentPoint) ui.Cell) {
		out := ui.Row{{Text: name, Title: title}}
		for _, point := range points {
			out = append(out, cell(point))
		}
		rows = append(rows, out)
	}
	invoices := func(of func(reports.PaymentPoint) analytics.Invoices) func(reports.PaymentPoint) ui.Cell {
		return func(point reports.PaymentPoint) ui.Cell {
			i := of(point)
			return ui.Cell{Text: p.minor(i.AmountMinor), Note: count(i.Count)}
		}
	}
	row("Attempted", "Renewals by the day of their first attempt.", invoices(func(o reports.PaymentPoint) analytics.Invoices { return o.Attempted }))
	row("Paid at once", "Neither declined nor to be confirmed.", invoices(reports.PaymentPoint.PaidAtOnce))
	row("To be confirmed", "The bank asked for the customer's confirmation.", invoices(func(o reports.PaymentPoint) analytics.Invoices { return o.Asked }))
	row("Declined first", "Declined at the first attempt.", invoices(func(o reports.PaymentPoint) analytics.Invoices { return o.Failed() }))
	row("Recovered", "Of those, paid later by any means.", invoices(func(o reports.PaymentPoint) analytics.Invoices { return o.Recovered }))
	row("In retry", "Of those, neither paid nor lost.", invoices(func(o reports.PaymentPoint) analytics.Invoices { return o.InRetry }))
	row("Lost", "Of those, given up.", invoices(func(o reports.PaymentPoint) analytics.Invoices { return o.Lost }))
	row("In retry at the end", "Whenever they were attempted first.", invoices(func(o reports.PaymentPoint) analytics.Invoices { return o.Open }))
	row("Customers declined", "Customers with at least one renewal declined first.", func(o reports.PaymentPoint) ui.Cell { return ui.Cell{Text: count(o.Customers)} })
	sheet.Table.Rows = append(rows, sheet.Table.Rows...)
	return sheet
}

// paymentsExport has a row a period, with the number of renewals and what was due
// on them by what came of them.
func paymentsExport() export {
	kinds := []struct {
		name string
		of   func(reports.PaymentPoint) analytics.Invoices
	}{
		{"attempted", func(p reports.PaymentPoint) analytics.Invoices { return p.Attempted }},
		{"paid_at_once", reports.PaymentPoint.PaidAtOnce},
		{"asked", func(p reports.PaymentPoint) analytics.Invoices { return p.Asked }},
		{"confirmed", func(p reports.PaymentPoint) analytics.Invoices { return p.Confirmed }},
		{"declined", func(p reports.PaymentPoint) analytics.Invoices { return p.Failed() }},
		{"recovered", func(p reports.PaymentPoint) analytics.Invoices { return p.Recovered }},
		{"in_retry", func(p reports.PaymentPoint) analytics.Invoices { return p.InRetry }},
		{"lost", func(p reports.PaymentPoint) analytics.Invoices { return p.Lost }},
		{"open_at_end", func(p reports.PaymentPoint) analytics.Invoices { return p.Open }},
		{"asked_open_at_end", func(p reports.PaymentPoint) analytics.Invoices { return p.AskedOpen }},
	}
	rates := []string{"paymentFailureRate", "recoveryRate"}
	e := export{name: "payments", columns: []string{"start", "end", "is_running", "currency", "plan"}}
	for _, kind := range kinds {
		e.columns = append(e.columns, kind.name, kind.name+"_minor")
	}
	e.columns = append(append(e.columns, "declined_customers"), rates...)
	e.write = func(ctx context.Context, s *server, query reports.Query, write func([]string) error) error {
		payments, err := s.Reports.Payments(ctx, query)
		if err != nil {
			return err
		}
		for _, p := range payments.Points {
			record := []string{
				p.Start.Format(time.DateOnly), p.Last().Format(time.DateOnly), strconv.FormatBool(p.IsRunning), string(payments.Currency), payments.Plan,
			}
			for _, kind := range kinds {
				invoices := kind.of(p)
				record = append(record, strconv.FormatInt(invoices.Count, 10), strconv.FormatInt(invoices.AmountMinor, 10))
			}
			record = append(record, strconv.FormatInt(p.Customers, 10))
			for _, key := range rates {
				m, _ := analytics.MetricByKey(key)
				record = append(record, numeral(m.Of(p.Point()), m.Unit))
			}
			if err := write(record); err != nil {
				return err
			}
		}
		return nil
	}
	return e
}
