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
			{Term: "Renews on", Text: "24 Dec 2026"},
			{Term: "Next payment", Text: "$99.00 a month", Note: "Before discounts and taxes."},
			{Term: "Last payment", Text: "$99.00 on 24 Nov 2026"},
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
		Title: "Your last payment failed", Tone: ui.Bad,
		Text: "$99.00 is owed. We try it again on 5 Mar 2026. If it goes through, everything works again at once. If no try goes through, the plan may end.",
		Hint: "To pay it now, or with another card, write to us and we send you a link. Changing the card on this page comes later.",
	}
	m.Status = ui.Badge{Text: "Payment failed", Tone: ui.Bad}
	m.StatusText = "You can read everything, and change nothing, until the payment is made good."
	m.Limits[0] = ui.Meter{Name: "Members", Used: "9", Allowed: "10", Percent: 90}
	m.Limits[1] = ui.Meter{Name: "Prompts a month", Used: "20,400", Allowed: "20,000", Percent: 102}
	return m
}

func billingTrialEnding() views.Billing {
	m := billing()
	m.PlanName, m.Status = "Pilot", ui.Badge{Text: "Trial", Tone: ui.Good}
	m.StatusText = "Everything in the plan is yours to try until the trial ends."
	m.Problem = ui.Banner{
		Title: "Your trial ends on 8 Dec 2026", Text: "The plan goes on by itself after it and costs $29.00 a month, charged to your card.", Tone: ui.Warn,
	}
	m.Next = []ui.Definition{
		{Term: "Billed", Text: "Monthly"},
		{Term: "Trial ends on", Text: "8 Dec 2026"},
		{Term: "First payment", Text: "$29.00 a month", Note: "Before discounts and taxes."},
	}
	return m
}

func billingMember() views.Billing {
	m := billing()
	m.Next, m.CanManage, m.Managers = nil, false, "Grace Hopper (owner)"
	return m
}
