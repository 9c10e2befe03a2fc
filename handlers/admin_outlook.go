package handlers

import (
	"fmt"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// outlookSection puts what is scheduled into words and a drawing.
type outlookSection struct {
	reports.Ahead
	drawing
	sum reports.AheadWeek
}

// outlookModel is the section of the days ahead, which are the same whatever
// range the page shows.
func (s *server) outlookModel(scope reports.Scope, next reports.Ahead, ask figuresAsk) views.Outlook {
	p := outlookSection{next, drawing{scope, ask}, next.Sum()}
	m := views.Outlook{Note: "As the subscriptions stand now, whatever time is shown above: what follows if nobody does anything. Amounts are before tax and credit; who is past due or paused is not expected to pay."}
	if len(next.Weeks) == 0 {
		m.Empty = "The rates of days to come are not known: choose one currency to see what is scheduled in it."
		return m
	}
	m.Weeks, m.Endings = p.weeks(), s.endingList(p)
	return m
}

func (p outlookSection) micro(micro int64) string { return money.FormatMicro(micro, p.scope.Currency) }

// weeks has what is expected upwards, and the MRR that ends downwards.
func (p outlookSection) weeks() ui.Chart {
	chart := ui.Chart{ID: "outlook-chart", Title: "Scheduled renewals, trials and endings by week", Heading: "Week from"}
	renewals, trials := ui.Series{Name: "Renewals", Look: ui.Gain}, ui.Series{Name: "Trials that end", Look: ui.GainDotted}
	endings := ui.Series{Name: "MRR that ends", Look: ui.Loss}
	add := func(series *ui.Series, s reports.Scheduled, sign int64) {
		text := p.micro(sign * s.AmountMicro)
		if s.Subscriptions > 0 {
			text += fmt.Sprintf(" (%s)", count(s.Subscriptions))
		}
		series.Values, series.Texts = append(series.Values, sign*s.AmountMicro), append(series.Texts, text)
	}
	for i, week := range p.Weeks {
		slot := ui.Slot{Short: week.Start.Format("2 Jan"), Long: week.Start.Format("2 Jan") + " to " + week.Last().Format("2 Jan 2006")}
		if i > 0 && week.Start.Year() != p.Weeks[i-1].Start.Year() {
			slot.Group = week.Start.Format("2006")
		}
		chart.Slots = append(chart.Slots, slot)
		add(&renewals, week.Renewals, 1)
		add(&trials, week.Trials, 1)
		add(&endings, week.Endings, -1)
	}
	chart.Columns = []ui.Series{renewals, trials, endings}
	chart.Finding = p.finding()
	chart.Definition = "Renewals and trials are what is due at the moment a period or a trial ends, less the coupons that last until then; a trial counts with its first payment only. Endings are subscriptions whose end is scheduled, with the MRR that goes. In brackets is the number of subscriptions that renew or end; one that renews every week counts every week."
	chart.Empty = "Nothing renews or ends in this time."
	return p.ticked(chart, analytics.Money)
}

func (p outlookSection) finding() string {
	sum := p.sum
	finding := "No renewal is due."
	if sum.Renewals.Subscriptions > 0 {
		finding = fmt.Sprintf("%s is due at %s.", p.micro(sum.Renewals.AmountMicro), plural(sum.Renewals.Subscriptions, "renewal", "renewals"))
	}
	if sum.Trials.Subscriptions > 0 {
		finding += fmt.Sprintf(" %s, worth %s if all of them are paid for.", plural(sum.Trials.Subscriptions, "trial ends", "trials end"), p.micro(sum.Trials.AmountMicro))
	}
	if sum.Endings.Subscriptions == 0 {
		return finding + " No end is scheduled."
	}
	return finding + fmt.Sprintf(" %s, and %s of MRR with %s.", plural(sum.Endings.Subscriptions, "subscription ends", "subscriptions end"),
		p.micro(sum.Endings.AmountMicro), map[bool]string{true: "it", false: "them"}[sum.Endings.Subscriptions == 1])
}

func (s *server) endingList(p outlookSection) views.CustomerList {
	list := views.CustomerList{
		Empty: "No subscription is scheduled to end.",
		List: ui.List{Caption: "Subscriptions that are scheduled to end, the largest first", Columns: listColumns(
			ui.Column{Label: "Customer"}, ui.Column{Label: "Ends", Short: true}, ui.Column{Label: "Plan", Short: true}, ui.Column{Label: "MRR", Numeric: true},
		)},
	}
	for _, e := range p.Endings {
		list.List.Rows = append(list.List.Rows, ui.ListRow{Href: customerHref(e.ID), Cells: []ui.Cell{
			customerCell(e.Customer), {Instant: dayInstant(e.Day)}, {Text: s.planName(e.Plan)}, {Text: p.micro(e.MRRMicro)},
		}})
	}
	if all := p.sum.Endings.Subscriptions; all > int64(len(p.Endings)) {
		list.Note = fmt.Sprintf("The largest %d of %s.", len(p.Endings), count(all))
	}
	return list
}
