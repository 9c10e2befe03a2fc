package handlers

import (
	"context"
	"fmt"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

var overviewSection = section{path: "/admin/billing", heading: "Overview", converts: true}

// overviewReport is what the overview shows: figures of what the address asks
// for, and what needs attention whatever it asks.
type overviewReport struct {
	reports.Overview
	attention reports.Attention
}

// adminOverview is what an administrator sees first.
func (s *server) adminOverview(c echo.Context) error {
	read := func(ctx context.Context, query reports.Query) (overviewReport, error) {
		o, err := s.Reports.Overview(ctx, query)
		if err != nil {
			return overviewReport{}, err
		}
		open, err := s.Reports.Attention(ctx)
		return overviewReport{o, open}, err
	}
	return figuresPage(s, c, overviewSection, read, func(r overviewReport, ask figuresAsk) templ.Component {
		return views.OverviewBody(s.overviewModel(r, ask))
	})
}

func (s *server) overviewModel(r overviewReport, ask figuresAsk) views.Overview {
	m := views.Overview{Attention: attention(r.attention), Stories: s.stories(r.Stories)}
	if n := r.UnpricedSubscriptions; n > 0 {
		m.Lag = fmt.Sprintf("%s a price whose amount is not known yet. The figures are without it.", plural(n, "active subscription has", "active subscriptions have"))
	}
	if r.IsEmpty() {
		m.Figures = emptyFigures(r.Currency)
		m.Blank = blankFigures(r.Trialing)
		return m
	}
	p := overviewPage{Overview: r.Overview, drawing: drawing{scope: r.Scope, ask: ask}}
	m.Figures, m.Revenue, m.Movements = p.figures(), p.revenue(), p.movements()
	return m
}

func emptyFigures(c money.Currency) []ui.KeyFigure {
	return []ui.KeyFigure{
		{Label: "MRR", Value: money.Format(0, c), Note: "Monthly recurring revenue"},
		{Label: "Net new MRR", Value: money.Format(0, c), Note: "What a month has added"},
		{Label: "Active customers", Value: "0", Note: "Those with MRR"},
		{Label: "In recovery", Value: money.Format(0, c), Note: "Failed payments that are retried"},
	}
}

// blankFigures says why there is nothing to draw, given how many trials are
// under way.
func blankFigures(trialing int64) views.Blank {
	if trialing > 0 {
		return views.Blank{
			Title: "Nobody pays yet",
			Text: fmt.Sprintf("%s under way. MRR begins with the first period that is paid for.",
				plural(trialing, "trial is", "trials are")),
			Action: ui.Action{Label: "See the subscriptions", Href: subscriptionsPath},
		}
	}
	return views.Blank{
		Title:  "No subscription yet",
		Text:   "Figures appear here within seconds of the first purchase. To make one, open the prices in another window and buy a plan.",
		Action: ui.Action{Label: "Open the prices", Href: "/pricing"},
	}
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
