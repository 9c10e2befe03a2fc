package views_test

import (
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

func subscriptions() views.AdminSubscriptions {
	when := ui.Instant{Text: "3 Mar 2026", Title: "3 Mar 2026, 14:05:00 UTC", ISO: "2026-03-03T14:05:00Z"}
	columns := []ui.ListColumn{
		{Column: ui.Column{Label: "Organization"}, Href: "/admin/billing/subscriptions?sort=organization"},
		{Column: ui.Column{Label: "MRR", Numeric: true}, Href: "/admin/billing/subscriptions?order=asc&sort=mrr", Order: "descending"},
		{Column: ui.Column{Label: "Status"}},
		{Column: ui.Column{Label: "Started", Short: true}},
	}
	return views.AdminSubscriptions{
		Frame:  at(administrator, "/admin/billing/subscriptions"),
		Search: ui.Search{Name: "q", Label: "Search", Placeholder: "Organization or id", Value: "acme", MaxLength: 100},
		Status: ui.Choice{Name: "status", Label: "Status", Options: []ui.Option{{Label: "Any"}, {Value: "active", Label: "Active", IsSelected: true}}},
		Plan:   ui.Choice{Name: "plan", Label: "Plan", Options: []ui.Option{{Label: "Any", IsSelected: true}}}, Interval: ui.Choice{Name: "interval", Label: "Billed"},
		Ending: ui.Check{Name: "ending", Label: "Ending", IsOn: true}, Failing: ui.Check{Name: "failing", Label: "Payment owed"},
		Results: views.SubscriptionResults{
			Problems: []string{"There is no page 9. This is the last one."}, Count: "51 subscriptions", Sum: "$5,049.00 MRR", Sort: "mrr", Order: "desc",
			CSVHref: "/admin/billing/export/subscriptions.csv?status=active", ClearHref: "/admin/billing/subscriptions",
			Pager: ui.Pager{Label: "Pages of subscriptions", Page: 2, Pages: 3, Previous: "/admin/billing/subscriptions", Next: "/admin/billing/subscriptions?page=3"},
			List: ui.List{Caption: "Subscriptions", Columns: columns, Rows: []ui.ListRow{
				{Href: "/admin/billing/organizations/1", Cells: []ui.Cell{
					{Text: "Acme Compilers"}, {Text: "$99.00"}, {Badge: ui.Badge{Text: "Payment failed", Tone: ui.Bad}, Text: "retry on 5 Mar", Term: "past_due"}, {Instant: when},
				}},
				{Href: "/admin/billing/organizations/cus_1", Cells: []ui.Cell{{Text: "cus_1", Code: true, Note: "not linked"}, {Text: "$0.00"}, {Text: "–"}, {Instant: when}}},
			}},
		},
	}
}

func organization() views.AdminOrganization {
	when := ui.Instant{Text: "3 Mar 2026", Title: "3 Mar 2026, 14:05:00 UTC", ISO: "2026-03-03T14:05:00Z"}
	return views.AdminOrganization{
		Frame: at(administrator, "/admin/billing/organizations/1"), Name: "Acme Compilers", OrganizationID: "7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10",
		StripeCustomers: []string{"cus_2", "cus_1"}, Since: when, Stats: []ui.Stat{{Label: "MRR now", Value: "$99.00", Note: "First on 3 Mar 2026"}},
		HasCurrent: true, Current: views.CurrentSubscription{
			Plan: "Pro", Price: "$99.00 a month", Status: ui.Badge{Text: "Active", Tone: ui.Good}, Term: "active", ID: "sub_1",
			Facts: []ui.Definition{{Term: "Next payment", Text: "$99.00 on 3 Apr 2026", Note: "Before discounts and taxes."}},
		},
		HasAccess: true, Access: ui.Badge{Text: "Full", Tone: ui.Good, Title: "active"}, AccessWhy: "The subscription is active.",
		Members: []views.AdminMember{{Name: "Grace Hopper", Email: "grace@acme.example", Role: "owner", Since: when}},
		Rest: []views.HeldSubscription{{
			Plan: "Pro, monthly", MRR: "$99.00", Status: ui.Badge{Text: "Ending", Tone: ui.Warn}, Text: "on 3 Apr", Term: "active", Since: when, ID: "sub_2",
		}},
		TimeLine: views.TimeLine{
			Count: "51 entries", Problem: "There is no page 9. This is the last one.",
			Pager: ui.Pager{Label: "Pages of the time line", Page: 2, Pages: 2, Previous: "/admin/billing/organizations/1"},
			Days: []views.TimeLineDay{{
				Day:       ui.Instant{Text: "3 Mar 2026", ISO: "2026-03-03"},
				Movements: []views.TimeLineMovement{{Change: "+$99.00", Tone: ui.Good, Text: "New: a purchase", Balance: "$99.00"}, {Text: "unchanged: Pro to Twin", Balance: "$99.00"}},
				Events: []views.TimeLineEvent{
					{At: when, Title: "Payment failed", Text: "Renewal · attempt 2", Amount: "$99.00", Tone: ui.Bad, IDs: []string{"in_1", "evt_1"}, Movements: []views.TimeLineMovement{{Change: "−$99.00", Tone: ui.Bad, Text: "Churn: payments that failed", Balance: "$0.00"}}},
					{At: when, Title: "Checkout started"},
				},
			}},
		},
	}
}

func unlinkedCustomer() views.AdminOrganization {
	m := organization()
	m.Name, m.IsUnlinked, m.OrganizationID, m.Members, m.HasAccess, m.HasCurrent = "cus_2", true, "", nil, false, false
	m.TimeLine, m.Rest = views.TimeLine{}, nil
	return m
}
