package handlers

import (
	"fmt"
	"net/url"
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

// measureKey says in an address what a table of cohorts tells of them.
const measureKey = "measure"

var cohortsSection = section{path: "/admin/billing/cohorts", heading: "Cohorts", without: []string{"interval", "compare"}, keys: []string{measureKey}}

// adminCohorts shows how much is left of who began in each month.
func (s *server) adminCohorts(c echo.Context) error {
	return figuresPage(s, c, cohortsSection, s.Reports.Cohorts, func(r reports.Cohorts, ask figuresAsk) templ.Component {
		return views.CohortsBody(s.cohortsModel(r, ask))
	})
}

var cohortMeasures = map[analytics.CohortMeasure]struct{ name, title, definition string }{
	analytics.CohortLogos: {
		"Customers", "Customers with MRR",
		"How many of those who began in a month have MRR.",
	},
	analytics.CohortNet: {
		"Net revenue", "Their MRR, with what they have added",
		"What they pay now, of what they paid on their first day. It may be more than 100%.",
	},
	analytics.CohortGross: {
		"Gross revenue", "Their MRR, without what they have added",
		"The same, but nobody counts with more than they paid on their first day.",
	},
}

func (s *server) cohortsModel(r reports.Cohorts, ask figuresAsk) views.Cohorts {
	if blank := s.noFigures(r.Scope); blank.Title != "" {
		return views.Cohorts{Blank: blank}
	}
	measure := analytics.CohortMeasure(ask.value(measureKey))
	if _, ok := cohortMeasures[measure]; !ok {
		measure = analytics.CohortLogos
	}
	p := cohortsPage{r, measure}
	m := views.Cohorts{Table: p.table(ask)}
	for _, one := range analytics.CohortMeasures {
		link := views.ViewLink{Text: cohortMeasures[one].name, Href: ask.with(measureKey, string(one)), IsCurrent: one == measure}
		if one == analytics.CohortLogos { // it goes without saying
			link.Href = ask.with(measureKey, "")
		}
		m.Measures = append(m.Measures, link)
	}
	m.Older, m.Newer = p.pages(ask)
	return m
}

type cohortsPage struct {
	reports.Cohorts
	measure analytics.CohortMeasure
}

func (p cohortsPage) table(ask figuresAsk) ui.HeatTable {
	words := cohortMeasures[p.measure]
	t := ui.HeatTable{
		ID: "cohort-table", Title: words.title + ", by month after the first", RowHeading: "Began in", SizeHeading: "Customers",
		Empty: "Nobody began in this time. Choose a longer one.", CSV: exportHref("cohorts", ask),
	}
	if p.measure != analytics.CohortLogos {
		t.SizeHeading = "First MRR"
	}
	for k := range p.Columns {
		t.Columns = append(t.Columns, "M"+strconv.Itoa(k))
	}
	for _, c := range p.Cohorts.Cohorts {
		row := ui.HeatRow{Name: c.Month.Format("Jan 2006"), Href: cohortHref(c.Month, -1, ask), Size: p.size(c.Began())}
		for k, level := range c.Levels[:min(len(c.Levels), p.Columns)] {
			cell := p.cell(level)
			cell.IsRunning = c.IsRunning(k, p.Running.Start)
			if cell.IsRunning {
				cell.Title += " so far"
			}
			cell.Href = cohortHref(c.Month, k, ask)
			row.Cells = append(row.Cells, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	if len(p.Averages) > 0 {
		t.Average = ui.HeatRow{Name: "All of them", Size: p.size(p.began())}
		for _, level := range p.Averages[:min(len(p.Averages), p.Columns)] {
			t.Average.Cells = append(t.Average.Cells, p.cell(level))
		}
	}
	t.Finding = p.finding()
	t.Definition = words.definition + " A month's cohort is everyone whose first day with MRR lies in it, and stays so: who leaves and returns is counted where they began. M0 is the state at the end of that month, so that it shows who left within it; M1 is that at the end of the next, and so on. The last row weighs each cohort by its size and has those that are old enough; the running month, in italics, is in none of it."
	if p.Plan != "" {
		t.Definition += " The plan is the one that a customer began with."
	}
	return t
}

// began is what all of the cohorts that are shown began with.
func (p cohortsPage) began() analytics.CohortLevel {
	var out analytics.CohortLevel
	for _, c := range p.Cohorts.Cohorts {
		began := c.Began()
		out.Customers, out.InitialMicro = out.Customers+began.Customers, out.InitialMicro+began.InitialMicro
	}
	return out
}

func (p cohortsPage) size(began analytics.CohortLevel) string {
	if p.measure == analytics.CohortLogos {
		return count(began.Customers)
	}
	return money.FormatMicro(began.InitialMicro, p.Currency)
}

func (p cohortsPage) cell(level analytics.CohortLevel) ui.HeatCell {
	share := level.Share(p.measure)
	if !share.Defined() {
		return ui.HeatCell{Text: "n/a", Title: upperFirst(share.Note)}
	}
	cell := ui.HeatCell{Text: fmt.Sprintf("%.0f%%", 100*share.Float()), Share: share.Float()}
	if p.measure == analytics.CohortLogos {
		cell.Title = fmt.Sprintf("%.1f%%: %s of %s", 100*share.Float(), count(level.Active), plural(level.Customers, "customer", "customers"))
	} else {
		cell.Title = fmt.Sprintf("%.1f%%: %s of %s", 100*share.Float(), money.FormatMicro(level.Part(p.measure), p.Currency), money.FormatMicro(level.InitialMicro, p.Currency))
	}
	return cell
}

// finding tells of the oldest of a few milestones that any cohort has reached.
func (p cohortsPage) finding() string {
	for _, k := range []int{12, 6, 3, 1, 0} {
		if k >= len(p.Averages) || k >= p.Columns {
			continue
		}
		share := p.Averages[k].Share(p.measure)
		if !share.Defined() {
			continue
		}
		what := map[analytics.CohortMeasure]string{
			analytics.CohortLogos: "of customers are left", analytics.CohortNet: "of their first MRR is left, with what they have added",
			analytics.CohortGross: "of their first MRR is left, without what they have added",
		}[p.measure]
		when := plural(int64(k), "month after the one in which they began", "months after the one in which they began")
		if k == 0 {
			when = "the end of the month in which they began"
			return fmt.Sprintf("At %s, %.1f%% %s.", when, 100*share.Float(), what)
		}
		return fmt.Sprintf("%s, %.1f%% %s.", upperFirst(when), 100*share.Float(), what)
	}
	return "No cohort has a month behind it yet."
}

// pages lead to the cohorts before and after those that are shown, where a range
// has more than there is room for.
func (p cohortsPage) pages(ask figuresAsk) (older, newer string) {
	span := func(first, last time.Time) string {
		values := url.Values{}
		for key, value := range map[string]string{
			"range": rangeCustom, "from": first.Format(monthLayout), "to": last.Format(monthLayout), "currency": ask.currency, "plan": ask.plan, measureKey: ask.value(measureKey),
		} {
			if value != "" {
				values.Set(key, value)
			}
		}
		return withValues(cohortsSection.path, values)
	}
	months := len(p.Periods)
	first, last := p.Periods[0].Start, p.Periods[months-1].Start
	if first.After(p.Earliest) {
		from := first.AddDate(0, -months, 0)
		if from.Before(p.Earliest) {
			from = p.Earliest
		}
		older = span(from, first.AddDate(0, -1, 0))
	}
	if last.Before(p.Running.Start) {
		to := last.AddDate(0, months, 0)
		if to.After(p.Running.Start) {
			to = p.Running.Start
		}
		newer = span(last.AddDate(0, 1, 0), to)
	}
	return older, newer
}
