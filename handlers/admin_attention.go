package handlers

import (
	"fmt"
	"strings"

	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// alertWords are the rules as an administrator reads them.
var alertWords = map[string]string{
	"customers_vanished":          "Many customers are unknown to Stripe",
	"dispute_opened":              "A payment is disputed",
	"event_parked":                "An event could not be read",
	"invoice_finalization_failed": "An invoice could not be issued",
	"other_mode":                  "Events of the other mode arrive",
	"second_subscription":         "Two subscriptions of one organization",
	"stripe_unreachable":          "Stripe does not answer",
	"sync_failing":                "A customer cannot be brought up to date",
	"unknown_price":               "No plan claims a price",
	"version_drift":               "Events come in another API version",
}

var severityBadges = map[reports.Severity]ui.Badge{
	reports.SeverityCritical: {Text: "Critical", Tone: ui.Bad},
	reports.SeverityWarning:  {Text: "Warning", Tone: ui.Warn},
	reports.SeverityInfo:     {Text: "Notice"},
}

// attention is the panel of the overview.
func attention(a reports.Attention) views.Attention {
	m := views.Attention{Alerts: alerts(a.Alerts, true)}
	if a.Total > 0 {
		m.Count = count(int64(a.Total)) + " open"
	}
	if more := a.Total - len(a.Alerts); more > 0 {
		m.Rest = fmt.Sprintf("%s less grave or older not shown here.", plural(int64(more), "alert is", "alerts are"))
	}
	return m
}

// alerts name the customer, but on the customer's own page.
func alerts(list []reports.Alert, nameCustomer bool) []views.Alert {
	var out []views.Alert
	for _, a := range list {
		m := views.Alert{
			Severity: severityBadges[a.Severity], What: alertWords[a.Rule], Text: a.Message, Proposal: a.Proposal,
			Since: instant(a.OpenedAt, "2 Jan 2006, 15:04"), ObjectID: a.ObjectID,
		}
		m.Severity.Title = a.Rule
		if m.What == "" {
			m.What = upperFirst(spaced(a.Rule))
		}
		if a.Seen > 1 {
			m.Often = fmt.Sprintf("seen %s times, last on %s", count(a.Seen), date(a.LastSeenAt))
		}
		switch {
		case !nameCustomer:
		case a.OrgID != nil:
			m.Who, m.WhoHref = a.OrgName, organizationPath(a.OrgID.String())
		case strings.HasPrefix(a.StripeCustomerID, "cus_"):
			m.Who, m.WhoHref = a.StripeCustomerID, organizationPath(a.StripeCustomerID)
		}
		if m.ObjectID == a.StripeCustomerID {
			m.ObjectID = "" // it stands there already, or is the page's own
		}
		out = append(out, m)
	}
	return out
}
