package views_test

import (
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

func checkout() views.Checkout {
	return views.Checkout{
		Frame: at(customer, "/checkout"), PlanID: "pro", PlanName: "Pro", OrgID: "7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10",
		Amount: "$99.00 a month", DueToday: "$99.00", Charged: "Today, then on the 24th of every month",
		Grants: []string{"10 members", "20,000 prompts a month", "Shared prompt library", "Automatic evaluations", "API access"},
		Other:  ui.Action{Label: "Pay yearly, two months free", Href: "/checkout?plan=pro&interval=year"},
	}
}

func trialCheckout() views.Checkout {
	m := checkout()
	m.PlanID, m.PlanName, m.IsAnnual, m.Amount = "pilot", "Pilot", true, "$290.00 a year"
	m.DueToday, m.Charged = "$0.00", "On 8 Dec 2026, when the trial ends, then every year"
	m.Trial = "The trial lasts 14 days. Cancel before it ends and nothing is charged."
	m.Problem = "Stripe does not answer at the moment. Nothing was charged; try again in a minute."
	return m
}

func billing() views.Billing {
	return views.Billing{
		Frame: customer, Organization: "Acme Compilers", HasPlan: true, PlanName: "Pro",
		Status: ui.Badge{Text: "Active", Tone: ui.Good}, StatusText: "Everything in the plan is yours to use.",
		Next: []ui.Definition{
			{Term: "Billed", Text: "Monthly"},
			{Term: "Renews", Text: "24 Dec 2026"},
			{Term: "Next payment", Text: "$99.00", Note: "Visa ending in 4242"},
		},
		Limits: []ui.Meter{
			{Name: "Members", Used: "3", Allowed: "10", Percent: 30},
			{Name: "Prompts a month", Allowed: "20,000"},
		},
		Features:  []string{"Version history of every prompt", "Shared prompt library", "Automatic evaluations", "API access"},
		CanManage: true,
	}
}

func billingProblem() views.Billing {
	m := billing()
	m.Frame.Flash = ui.Flash{Text: "Welcome back, Grace.", Tone: ui.Good}
	m.Problem = ui.Banner{
		Title: "The last payment failed", Text: "We try again on 5 Mar 2026. Until 14 Mar everything stays as it is.",
		Tone: ui.Bad, Action: ui.Action{Label: "Update the card", Href: "/billing/portal"},
	}
	m.Status = ui.Badge{Text: "Payment failed", Tone: ui.Bad}
	m.StatusText = "Everything works until 14 Mar 2026."
	m.Limits[0] = ui.Meter{Name: "Members", Used: "9", Allowed: "10", Percent: 90}
	m.Limits[1] = ui.Meter{Name: "Prompts a month", Used: "20,400", Allowed: "20,000", Percent: 102}
	return m
}

func billingMember() views.Billing {
	m := billing()
	m.Next, m.CanManage, m.Managers = nil, false, "Grace Hopper (owner)"
	return m
}

func overview() views.AdminOverview {
	names := [][2]string{
		{"Dec", "December 2025"},
		{"Jan", "January 2026"},
		{"Feb", "February 2026"},
		{"Mar", "March 2026"},
		{"Apr", "April 2026"},
		{"May", "May 2026"},
		{"Jun", "June 2026"},
		{"Jul", "July 2026"},
		{"Aug", "August 2026"},
		{"Sep", "September 2026"},
		{"Oct", "October 2026"},
		{"Nov", "November 2026"},
	}
	values := []int64{0, 9900, 19800, 47700, 61100, 58200, 90900, 117600, 121000, 150300, 171900, 184300}
	texts := []string{
		"$0.00", "$99.00", "$198.00", "$477.00", "$611.00", "$582.00", "$909.00", "$1,176.00", "$1,210.00", "$1,503.00", "$1,719.00", "$1,843.00",
	}
	chart := ui.MonthChart{
		ID: "mrr", Title: "Monthly recurring revenue, last 12 months", ValueHeading: "MRR at the end of the month",
		Finding: "MRR is $1,843.00, $124.00 more than at the end of October.",
		Ticks:   []ui.Tick{{Value: 0, Text: "$0"}, {Value: 50000, Text: "$500"}, {Value: 100000, Text: "$1,000"}, {Value: 150000, Text: "$1,500"}, {Value: 200000, Text: "$2,000"}},
	}
	for i, name := range names {
		chart.Months = append(chart.Months, ui.Month{Short: name[0], Long: name[1], Value: values[i], Text: texts[i], IsRunning: i == 11})
	}
	return views.AdminOverview{
		Frame: administrator,
		Stats: []ui.Stat{
			{Label: "Monthly recurring revenue", Value: "$1,843.00", Note: "From 21 paying subscriptions"},
			{Label: "Annual run rate", Value: "$22,116.00", Note: "MRR times twelve"},
			{Label: "Active subscriptions", Value: "21", Note: "4 more in a trial"},
		},
		Revenue: chart,
		Plans: ui.Table{
			Caption: "Active subscriptions by plan",
			Columns: []ui.Column{{Label: "Plan"}, {Label: "Monthly", Numeric: true}, {Label: "Yearly", Numeric: true}, {Label: "MRR", Numeric: true}},
			Rows: []ui.Row{
				{{Text: "Pilot"}, {Text: "6"}, {Text: "2"}, {Text: "$222.33"}},
				{{Text: "Pro"}, {Text: "9"}, {Text: "2"}, {Text: "$1,056.00"}},
				{{Text: "Enterprise"}, {Text: "1"}, {Text: "1"}, {Text: "$564.67"}},
			},
			Footer: ui.Row{{Text: "All"}, {Text: "16"}, {Text: "5"}, {Text: "$1,843.00"}},
		},
		Events: ui.Table{
			Caption: "Newest events",
			Columns: []ui.Column{{Label: "When", Short: true}, {Label: "What"}, {Label: "Amount", Numeric: true}},
			Rows: []ui.Row{
				{{Text: "2 min ago", Title: "24 Nov 2026, 09:22 UTC"}, {Text: "Payment succeeded", Note: "Acme Compilers"}, {Text: "$99.00"}},
				{{Text: "2 min ago", Title: "24 Nov 2026, 09:22 UTC"}, {Text: "Subscription began", Note: "Acme Compilers · Pro, monthly"}, {Text: "$99.00"}},
				{{Text: "1 h ago", Title: "24 Nov 2026, 08:14 UTC"}, {Text: "Payment failed", Note: "Initech · Pilot, monthly"}, {Text: "$29.00"}},
				{{Text: "23 Nov", Title: "23 Nov 2026, 17:40 UTC"}, {Text: "Trial began", Note: "Globex · Pilot, yearly"}, {}},
			},
		},
		AsOf: ui.Instant{Text: "24 Nov 2026, 09:24", Title: "24 Nov 2026, 09:24:10 UTC", ISO: "2026-11-24T09:24:10Z"},
		Zone: "UTC", Definition: "1",
	}
}

func emptyOverview() views.AdminOverview {
	m := overview()
	m.IsEmpty = true
	m.Stats = []ui.Stat{
		{Label: "Monthly recurring revenue", Value: "$0.00"}, {Label: "Annual run rate", Value: "$0.00"}, {Label: "Active subscriptions", Value: "0"},
	}
	m.Events.Rows, m.Events.Empty = nil, "Nothing has happened yet. Purchases, payments and cancellations appear here."
	return m
}
