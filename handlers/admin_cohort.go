package handlers

import (
	"context"
	"errors"
	"fmt"
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

// monthKey says in the address of a cohort which month after its first is told.
const monthKey = "m"

// adminCohort explains the cells of one cohort: what it began with, what is left
// of it, and who is in it.
func (s *server) adminCohort(c echo.Context) error {
	month, err := time.Parse(monthLayout, c.Param("month"))
	if err != nil {
		return errNoSuchPage
	}
	sec := section{
		path: cohortPath(month), heading: "Cohort of " + month.Format("January 2006"),
		without: []string{"range", "from", "to", "interval", "compare"}, keys: []string{monthKey, afterKey},
	}
	about := reports.CohortAsk{Month: month, K: -1}
	if text := c.QueryParam(monthKey); text != "" {
		about.K, err = strconv.Atoi(text)
	}
	if about.After, err = orKey(c.QueryParam(afterKey), err); err != nil || about.K < -1 {
		return seeOther(c, sec.path)
	}
	read := func(ctx context.Context, query reports.Query) (reports.CohortDetail, error) {
		d, err := s.Reports.Cohort(ctx, query, about)
		if errors.Is(err, reports.ErrNoCohort) {
			return d, errNoSuchPage
		}
		return d, err
	}
	return figuresPage(s, c, sec, read, func(d reports.CohortDetail, ask figuresAsk) templ.Component {
		return views.CohortBody(cohortModel(d, ask))
	})
}

// orKey reads a key where nothing has failed before.
func orKey(text string, err error) (reports.MemberKey, error) {
	if err != nil {
		return reports.MemberKey{}, err
	}
	return reports.ParseMemberKey(text)
}

func cohortPath(month time.Time) string { return cohortsSection.path + "/" + month.Format(monthLayout) }

// cohortHref leads to one cohort, as of the k-th month after its first; below
// nought: as of now.
func cohortHref(month time.Time, k int, ask figuresAsk) string {
	of := figuresAsk{section: section{path: cohortPath(month)}, rangeName: rangeDefault, currency: ask.currency, plan: ask.plan}
	if k < 0 {
		return of.here()
	}
	return of.with(monthKey, strconv.Itoa(k))
}

func cohortModel(d reports.CohortDetail, ask figuresAsk) views.CohortPage {
	back := figuresAsk{section: cohortsSection, rangeName: rangeDefault, currency: ask.currency, plan: ask.plan}
	m := views.CohortPage{Back: ui.Link{Text: "Cohorts", Href: back.here()}}
	if len(d.Cohort.Levels) == 0 {
		m.Empty = "A cohort is everyone whose first day with MRR lies in its month."
		return m
	}
	p := cohortPage{d, ask}
	m.Shares, m.Formula, m.Members = p.shares(), p.formula(), p.members()
	for k := range d.Cohort.Levels {
		m.Months = append(m.Months, views.ViewLink{Text: "M" + strconv.Itoa(k), Href: cohortHref(d.Cohort.Month, k, ask), IsCurrent: k == d.K})
	}
	if !d.Next.IsZero() {
		m.Next = ask.with(afterKey, d.Next.String())
	}
	if ask.value(afterKey) != "" {
		m.First = ask.with(afterKey, "")
	}
	return m
}

type cohortPage struct {
	reports.CohortDetail
	ask figuresAsk
}

// when is the end of the k-th month after the first, in words.
func (p cohortPage) when(k int) string {
	name := p.Cohort.Month.AddDate(0, k, 0).Format("January 2006")
	if p.Cohort.IsRunning(k, p.Running.Start) {
		return "now, in " + name
	}
	return "at the end of " + name
}

// shares are what was left at the end of each month, by all measures.
func (p cohortPage) shares() ui.Chart {
	chart := ui.Chart{
		ID: "cohort", Title: "What is left of the cohort", Heading: "Month", Empty: "Nobody is left.",
		References: []ui.Tick{{Value: millionths, Text: "100%"}}, CSV: exportHref("cohorts", p.ask),
		Definition: "M0 is the state at the end of the month in which they began. Net is their MRR with what they have added, gross without, each as a share of what they had on their first day.",
	}
	for k := range p.Cohort.Levels {
		chart.Slots = append(chart.Slots, ui.Slot{
			Short: "M" + strconv.Itoa(k), Long: fmt.Sprintf("M%d: %s", k, p.Cohort.Month.AddDate(0, k, 0).Format("January 2006")),
			IsRunning: p.Cohort.IsRunning(k, p.Running.Start), Href: cohortHref(p.Cohort.Month, k, p.ask),
		})
	}
	looks := map[analytics.CohortMeasure]ui.Look{analytics.CohortLogos: ui.Plain, analytics.CohortNet: ui.Strong, analytics.CohortGross: ui.Dashed}
	draw := drawing{p.Scope, p.ask}
	for _, measure := range analytics.CohortMeasures {
		line := ui.Series{Name: cohortMeasures[measure].name, Look: looks[measure]}
		for _, level := range p.Cohort.Levels {
			share := level.Share(measure)
			line.Values, line.Texts = append(line.Values, drawn(share, analytics.Ratio)), append(line.Texts, draw.text(share, analytics.Ratio))
			line.Missing = append(line.Missing, !share.Defined())
		}
		chart.Lines = append(chart.Lines, line)
	}
	last := len(p.Cohort.Levels) - 1
	level := p.Cohort.Levels[last]
	chart.Finding = fmt.Sprintf("%s began; %s left %s.", plural(level.Customers, "customer", "customers"), plural(level.Active, "is", "are"), p.when(last))
	return draw.ticked(chart, analytics.Ratio)
}

// formula says what the members come to in the month that is told.
func (p cohortPage) formula() []ui.Definition {
	level := p.Cohort.Levels[p.K]
	amount := func(micro int64) string { return money.FormatMicro(micro, p.Currency) }
	part := func(m analytics.CohortMeasure, sum string) ui.Definition {
		text := drawing{p.Scope, p.ask}.text(level.Share(m), analytics.Ratio)
		return ui.Definition{Term: cohortMeasures[m].name, Text: sum + " = " + text, Note: cohortMeasures[m].definition}
	}
	return []ui.Definition{
		{Term: fmt.Sprintf("M%d", p.K), Text: upperFirst(p.when(p.K))},
		part(analytics.CohortLogos, fmt.Sprintf("%s with MRR ÷ %s who began", count(level.Active), count(level.Customers))),
		part(analytics.CohortNet, fmt.Sprintf("%s ÷ %s", amount(level.MRRMicro), amount(level.InitialMicro))),
		part(analytics.CohortGross, fmt.Sprintf("%s ÷ %s", amount(level.GrossMicro), amount(level.InitialMicro))),
	}
}

func (p cohortPage) members() ui.List {
	list := ui.List{Caption: "Customers of the cohort, in the order in which they began", Columns: listColumns(
		ui.Column{Label: "Customer"}, ui.Column{Label: "Began", Short: true}, ui.Column{Label: "First MRR", Numeric: true},
		ui.Column{Label: fmt.Sprintf("MRR in M%d", p.K), Numeric: true}, ui.Column{Label: "Change", Numeric: true},
	)}
	amount := func(micro int64) string { return money.FormatMicro(micro, p.Currency) }
	for _, c := range p.Members {
		list.Rows = append(list.Rows, ui.ListRow{Href: customerHref(c.ID), Cells: []ui.Cell{
			customerCell(c.Customer),
			{Instant: dayInstant(c.Day)},
			{Text: amount(c.InitialMicro)},
			{Text: amount(c.MRRMicro)},
			{Text: signed(c.MRRMicro-c.InitialMicro, amount)},
		}})
	}
	return list
}
