package views_test

import (
	"github.com/a-h/templ"

	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// sample is a page as it may look.
type sample struct {
	name string
	page templ.Component
}

var (
	visitor  = views.Frame{Path: "/pricing", TestMode: true}
	customer = views.Frame{Path: "/billing", TestMode: true, Account: views.Account{
		Name: "Grace Hopper", Email: "grace@acme.example", Organization: "Acme Compilers",
	}}
	administrator = views.Frame{Path: "/admin/billing", TestMode: true, Account: views.Account{
		Name: "Ada Lovelace", Email: "ada@promptforge.example", IsAdmin: true,
	}}
)

// fullPages are pages with everything in them, and their variations.
func fullPages() []sample {
	return append([]sample{
		{"pricing", views.PricingPage(pricing(visitor, "year"))},
		{"pricing-monthly", views.PricingPage(pricing(visitor, "month"))},
		{"pricing-signed-in", views.PricingPage(signedInPricing())},
		{"pricing-member", views.PricingPage(memberPricing())},
		{"pricing-four-plans", views.PricingPage(fourPlans())},
		{"signup", views.SignUpPage(views.SignUp{
			Frame: at(visitor, "/signup"), PasswordHelp: "At least 12 characters.",
			Values: views.SignUpValues{Next: "/checkout?plan=pro&interval=month"}, Next: "Next you review your order: Pro, $99.00 a month.",
		})},
		{"signup-wrong", views.SignUpPage(views.SignUp{
			Frame: at(visitor, "/signup"), PasswordHelp: "At least 12 characters.",
			Values: views.SignUpValues{Name: "Grace Hopper", Email: "grace", Organization: "Acme <Compilers>"},
			Errors: map[string]string{
				"email":    "This is not an e-mail address. One looks like name@example.com.",
				"password": "The password has 5 characters; it needs 12.",
			},
		})},
		{"login", views.LoginPage(views.Login{Frame: at(visitor, "/login")})},
		{"login-wrong", views.LoginPage(views.Login{
			Frame: at(visitor, "/login"), Values: views.LoginValues{Email: "grace@acme.example", Next: "/billing"},
			Errors: map[string]string{"": "E-mail address and password do not match."},
		})},
		{"checkout", views.CheckoutPage(checkout())},
		{"checkout-trial", views.CheckoutPage(trialCheckout())},
		{"checkout-cancel", views.CheckoutCancelPage(views.CheckoutCancel{
			Frame: at(customer, "/checkout/cancel"), PlanName: "Pro", ReviewURL: "/checkout?plan=pro&interval=month",
		})},
		{"billing", views.BillingPage(billing())},
		{"billing-problem", views.BillingPage(billingProblem())},
		{"billing-member", views.BillingPage(billingMember())},
		{"billing-empty", views.BillingPage(views.Billing{Frame: customer, Organization: "Acme Compilers", CanManage: true})},
		{"billing-ended", views.BillingPage(views.Billing{
			Frame: customer, Organization: "Acme Compilers", CanManage: true, PlanName: "Pro", Ended: "It ended on 3 Mar 2026. Nothing more is charged.",
		})},
		{"billing-trial-ending", views.BillingPage(billingTrialEnding())},
		{"refusal", views.RefusalPage(views.Refusal{
			Frame: at(customer, "/checkout"), Title: "Acme Compilers has a plan already",
			Message: "Its Pro plan is active. A second one would charge you twice.",
			Action:  ui.Action{Label: "Go to billing", Href: "/billing"},
		})},
		{"admin", views.FiguresPage(figuresFrame(), views.OverviewBody(overview()))},
		{"admin-empty", views.FiguresPage(figuresFrame(), views.OverviewBody(emptyOverview()))},
		{"figures", views.FiguresPage(figuresFrame(), everyFigure())},
		{"explanation", views.FiguresPage(figuresFrame(), views.ExplainReport(explanation()))},
		{"definitions", views.DefinitionsPage(definitions())},
		{"subscriptions", views.AdminSubscriptionsPage(subscriptions())},
		{"organization", views.AdminOrganizationPage(organization())},
		{"customer-unlinked", views.AdminOrganizationPage(unlinkedCustomer())},
		{"error-404-admin", views.ErrorPage(views.Error{
			Frame: at(visitor, "/admin/billing"), Status: 404, RequestID: "0197c1b2-6f0e-7d3a-9a51-3f5f7f5b2c11", LoginURL: "/login?next=%2Fadmin%2Fbilling",
		})},
		{"error-404-desk", views.ErrorPage(views.Error{
			Frame: at(administrator, "/admin/billing/nothing"), Status: 404, Title: "There is no such page", Message: "The address may be mistyped.",
			Action: ui.Action{Label: "Open the overview", Href: "/admin/billing"}, InAdministration: true, RequestID: "0197c1b2-6f0e-7d3a-9a51-3f5f7f5b2c11",
		})},
		{"error-500", views.ErrorPage(views.Error{Frame: at(customer, "/billing"), Status: 500, RequestID: "0197c1b2-6f0e-7d3a-9a51-3f5f7f5b2c11"})},
	}, progressPages()...)
}

func at(f views.Frame, path string) views.Frame {
	f.Path = path
	return f
}

func progressPages() []sample {
	var pages []sample
	for _, state := range []views.CheckoutState{
		views.CheckoutWaiting, views.CheckoutActive, views.CheckoutPending, views.CheckoutExpired, views.CheckoutLate,
	} {
		pages = append(pages, sample{"success-" + string(state), views.CheckoutSuccessPage(views.CheckoutSuccess{
			Frame: at(customer, "/checkout/success"), State: state, PlanName: "Pro", Organization: "Acme Compilers",
			PollURL:    "/checkout/success?session_id=cs_test_a1B2c3&since=1767225600",
			RefreshURL: "/checkout/success?session_id=cs_test_a1B2c3",
			RetryURL:   "/checkout?plan=pro&interval=month",
			Reference:  "cs_test_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6",
		})})
	}
	return pages
}

func pricing(f views.Frame, interval string) views.Pricing {
	m := views.Pricing{
		Frame: f,
		Intervals: []views.PricingInterval{
			{Code: "month", Label: "Monthly", Href: "/pricing?interval=month", IsCurrent: interval == "month"},
			{Code: "year", Label: "Yearly", Saving: "two months free", Href: "/pricing?interval=year", IsCurrent: interval == "year"},
		},
		Plans: []views.PricingPlan{
			{
				Code: "pilot", Name: "Pilot", Summary: "For a small team that tries prompts in earnest.",
				Beyond: "What you get", Features: []string{"3 members", "1,000 prompts a month", "Version history of every prompt"},
				Action: ui.Action{Label: "Start 14-day trial", Href: "/checkout?plan=pilot&interval=" + interval, Quiet: true},
				Note:   "First charged after the trial",
			},
			{
				Code: "pro", Name: "Pro", Summary: "For teams whose product runs on prompts.", IsRecommended: true,
				Beyond: "Everything in Pilot, and", Features: []string{"10 members", "20,000 prompts a month", "Shared prompt library", "Automatic evaluations", "API access"},
				Action: ui.Action{Label: "Choose Pro", Href: "/checkout?plan=pro&interval=" + interval},
			},
			{
				Code: "enterprise", Name: "Enterprise", Summary: "For companies that answer to auditors.",
				Beyond: "Everything in Pro, and", Features: []string{"100 members", "250,000 prompts a month", "Audit log export", "Support within four working hours"},
				Action: ui.Action{Label: "Choose Enterprise", Href: "/checkout?plan=enterprise&interval=" + interval, Quiet: true},
			},
		},
		Note: "Prices are in USD, before taxes.",
		Comparison: []views.ComparisonGroup{
			{Name: "Price", Rows: []views.ComparisonRow{
				{Name: "A month, billed monthly", Cells: []views.ComparisonCell{{Text: "$29"}, {Text: "$99"}, {Text: "$399"}}},
				{Name: "A year, billed yearly", Cells: []views.ComparisonCell{{Text: "$290"}, {Text: "$990"}, {Text: "$3,990"}}},
				{Name: "Free trial", Cells: []views.ComparisonCell{{Text: "14 days"}, {}, {}}},
			}},
			{Name: "Limits", Rows: []views.ComparisonRow{
				{Name: "Members", Cells: []views.ComparisonCell{{Text: "up to 3"}, {Text: "up to 10"}, {Text: "up to 100"}}},
				{Name: "Prompts a month", Cells: []views.ComparisonCell{{Text: "up to 1,000"}, {Text: "up to 20,000"}, {Text: "up to 250,000"}}},
			}},
			{Name: "Features", Rows: []views.ComparisonRow{
				{Name: "Version history of every prompt", Cells: []views.ComparisonCell{{IsIncluded: true}, {IsIncluded: true}, {IsIncluded: true}}},
				{Name: "Shared prompt library", Cells: []views.ComparisonCell{{}, {IsIncluded: true}, {IsIncluded: true}}},
				{Name: "Audit log export", Cells: []views.ComparisonCell{{}, {}, {IsIncluded: true}}},
			}},
		},
	}
	prices := map[string][3][2]string{
		"month": {{"$29", "billed monthly"}, {"$99", "billed monthly"}, {"$399", "billed monthly"}},
		"year":  {{"$24.17", "$290 billed yearly, you save $58"}, {"$82.50", "$990 billed yearly, you save $198"}, {"$332.50", "$3,990 billed yearly, you save $798"}},
	}
	for i := range m.Plans {
		m.Plans[i].Price, m.Plans[i].Per, m.Plans[i].Billed = prices[interval][i][0], "a month", prices[interval][i][1]
	}
	return m
}

func signedInPricing() views.Pricing {
	m := pricing(at(customer, "/pricing"), "month")
	m.Plans[1].Current, m.Plans[1].Note = "Your plan", "You have Pro, billed monthly."
	m.Plans[1].Action = ui.Action{Label: "See your plan", Href: "/billing", Quiet: true}
	for _, i := range []int{0, 2} {
		m.Plans[i].Action, m.Plans[i].Note = ui.Action{}, "You have Pro, billed monthly."
		m.Plans[i].NoteLink = ui.Action{Label: "See your plan", Href: "/billing"}
	}
	return m
}

func memberPricing() views.Pricing {
	m := pricing(at(customer, "/pricing"), "month")
	m.Notice = views.PricingNotice{
		Text:   "Choosing a plan for Acme Compilers takes a billing role. Ask Grace Hopper (owner).",
		Action: ui.Action{Label: "See what you have", Href: "/billing"},
	}
	for i := range m.Plans {
		m.Plans[i].Action, m.Plans[i].Note = ui.Action{}, ""
	}
	return m
}

func fourPlans() views.Pricing {
	m := pricing(visitor, "month")
	team := m.Plans[1]
	team.Code, team.Name, team.Price, team.IsRecommended, team.Action.Quiet = "team", "Team", "$199", false, true
	m.Plans = append(m.Plans[:2:2], team, m.Plans[2])
	for _, group := range m.Comparison {
		for i, row := range group.Rows {
			group.Rows[i].Cells = append(row.Cells[:2:2], row.Cells[1], row.Cells[2])
		}
	}
	return m
}
