package handlers

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// adminOrganization is the page of an organization, or of a Stripe customer
// that none owns. One that an organization owns has its page there.
func (s *server) adminOrganization(c echo.Context) error {
	id := c.Param("id")
	page, problem := 1, ""
	if asked := c.QueryParam("page"); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < 1 {
			n, problem = 1, fmt.Sprintf("“%s” is no page. This is the first one.", shortened(asked))
		}
		page = n
	}
	o, err := s.Reports.Organization(c.Request().Context(), id, page)
	if errors.Is(err, reports.ErrUnknownCustomer) {
		return errNoSuchCustomer
	}
	if err != nil {
		return err
	}
	if o.ID != uuid.Nil && id != o.ID.String() {
		return seeOther(c, organizationPath(o.ID.String()))
	}
	status := http.StatusOK
	switch {
	case problem != "":
		status = http.StatusUnprocessableEntity
	case page > o.Pages:
		problem = fmt.Sprintf("There is no page %d. This is the last one.", page)
	}
	m := s.organizationModel(o, id)
	m.Frame = s.frame(c)
	m.TimeLine.Problem = problem
	return s.renderStatus(c, status, views.AdminOrganizationPage(m), views.CustomerTimeLine(m.TimeLine))
}

func (s *server) organizationModel(o reports.Organization, id string) views.AdminOrganization {
	now := s.Now()
	m := views.AdminOrganization{
		Name: o.Name, IsUnlinked: o.ID == uuid.Nil, StripeCustomers: o.StripeCustomers, Since: instant(o.CreatedAt, "2 Jan 2006"),
		Stats: s.customerStats(o), TimeLine: s.timeLine(o, id), Attention: views.Attention{Alerts: alerts(o.Alerts, false)},
	}
	if m.IsUnlinked {
		m.Name = id
	} else {
		m.OrganizationID = o.ID.String()
	}
	m.HasAccess, m.Access, m.AccessWhy = accessInWords(o, now)
	current, ok := currentOf(o.Subscriptions)
	if ok {
		m.HasCurrent, m.Current = true, s.currentSubscription(current, now)
	}
	m.Rest = s.otherSubscriptions(o.Subscriptions, current.ID, now)
	for _, member := range o.Members {
		m.Members = append(m.Members, views.AdminMember{
			Name: member.Name, Email: member.Email, Role: string(member.Role), Since: instant(member.Since, "2 Jan 2006"),
		})
	}
	return m
}

// currentOf is the subscription that an administrator asks about first: of those
// that are alive the one worth most, then the newest; without any, the newest
// whose first payment is open.
func currentOf(newestFirst []reports.Subscription) (reports.Subscription, bool) {
	var alive []reports.Subscription
	for _, s := range newestFirst {
		if s.Status.IsLive() {
			alive = append(alive, s)
		}
	}
	if len(alive) == 0 {
		i := slices.IndexFunc(newestFirst, func(s reports.Subscription) bool { return s.Status == billing.StatusIncomplete })
		if i < 0 {
			return reports.Subscription{}, false
		}
		return newestFirst[i], true
	}
	return slices.MaxFunc(alive, func(a, b reports.Subscription) int {
		return cmp.Or(cmp.Compare(a.MRRMicro, b.MRRMicro), a.CreatedAt.Compare(b.CreatedAt))
	}), true
}

func (s *server) currentSubscription(row reports.Subscription, now time.Time) views.CurrentSubscription {
	m := views.CurrentSubscription{Plan: s.planName(row.Plan), Price: priceInWords(row), ID: row.ID}
	m.Status, m.Text = statusInWords(row, now)
	m.Term = stripesTerm(m.Status, row.Status)
	fact := func(term, text, note string) {
		m.Facts = append(m.Facts, ui.Definition{Term: term, Text: text, Note: note})
	}
	switch {
	case row.IsCustomerGone:
		fact("Customer known to Stripe", "No longer", "It was deleted there. This is the end of what we saw of it.")
	case row.IsGone:
		fact("Known to Stripe", "No longer", "This is the end of what we saw of it.")
	}
	if row.Status == billing.StatusIncomplete {
		fact("First payment", "Open until "+row.CreatedAt.Add(finishing).UTC().Format("2 Jan 2006, 15:04")+" UTC", "Then Stripe lets the subscription expire.")
	}
	if row.Quantity > 1 {
		fact("Quantity", count(row.Quantity), "")
	}
	if row.Items > 1 {
		fact("Beside its plan", plural(row.Items-1, "more item", "more items"), "The price is that of all of them.")
	}
	if row.PauseBehavior != "" {
		fact("While paused", upperFirst(pauseWords[row.PauseBehavior].desk), "")
	}
	if row.Plan == "" {
		fact("Plan", "None claims its price", "Set plan in the metadata of its product at Stripe, or give the price a lookup key that a plan has.")
	}
	fact("MRR", mrrCell(row).Text, "")
	switch {
	case !row.EndsAt.IsZero():
		fact("Ends on", date(row.EndsAt), "It does not renew.")
	case !row.RenewsAt.IsZero() && row.AmountMinor != nil:
		fact("Next payment", money.Format(*row.AmountMinor, row.Currency)+" on "+date(row.RenewsAt), "Before discounts and taxes.")
	case !row.RenewsAt.IsZero():
		fact("Renews on", date(row.RenewsAt), "")
	}
	if !row.NextAttemptAt.IsZero() && row.Status == billing.StatusPastDue {
		fact("Next attempt", date(row.NextAttemptAt), "")
	}
	fact("Started on", date(row.CreatedAt), "")
	return m
}

// priceInWords is "$99.00 a month"; the amount is of the whole quantity.
func priceInWords(row reports.Subscription) string {
	if row.AmountMinor == nil {
		return "Price not known"
	}
	price := money.Format(*row.AmountMinor, row.Currency)
	switch how := everyInWords(row.Interval, row.IntervalCount); {
	case how == "":
		return price
	case row.IntervalCount > 1:
		return price + " " + how
	}
	return price + " a " + string(row.Interval)
}

// customerStats are for each currency by itself.
func (s *server) customerStats(o reports.Organization) []ui.Stat {
	var out []ui.Stat
	in := func(c money.Currency) string {
		if len(o.Balances) > 1 {
			return " in " + strings.ToUpper(string(c))
		}
		return ""
	}
	for _, b := range o.Balances {
		out = append(out,
			ui.Stat{Label: "MRR now" + in(b.Currency), Value: money.FormatMicro(b.NowMicro, b.Currency), Note: "First on " + date(b.FirstDay)},
			ui.Stat{Label: "Highest MRR" + in(b.Currency), Value: money.FormatMicro(b.BestMicro, b.Currency), Note: "Reached on " + date(b.BestDay)},
		)
	}
	if len(o.Balances) == 0 {
		out = append(out, ui.Stat{Label: "MRR now", Value: money.Format(0, s.Plans.Currency), Note: "It never had any"})
	}
	for _, p := range o.Paid {
		out = append(out, ui.Stat{
			Label: "Paid so far", Value: money.Format(p.AmountMinor, p.Currency), Note: "In " + plural(p.Payments, "payment", "payments"),
		})
	}
	if len(o.Paid) == 0 {
		out = append(out, ui.Stat{Label: "Paid so far", Value: money.Format(0, s.Plans.Currency), Note: "No payment yet"})
	}
	return out
}

var accessBadges = map[billing.Level]ui.Badge{
	billing.AccessFull:     {Text: "Full", Tone: ui.Good},
	billing.AccessGrace:    {Text: "Grace", Tone: ui.Warn},
	billing.AccessReadOnly: {Text: "Read only", Tone: ui.Bad},
	billing.AccessNone:     {Text: "None"},
}

var accessReasons = map[string]string{
	"active":             "The subscription is active.",
	"trialing":           "The trial is running.",
	"trial_over":         "The trial ended, and Stripe has not said how.",
	"collection_paused":  "Collection is paused, and the period that was paid is over.",
	"payment_failed":     "A payment failed; everything goes on working for a while.",
	"grace_over":         "A payment failed, and the time to make it good is over.",
	"unpaid":             "Several payments failed, and retries are over.",
	"paused":             "The trial ended without a way to pay.",
	"payment_incomplete": "The first payment is not finished.",
	"canceled":           "The subscription has ended.",
	"unknown_price":      "No plan claims the price of the subscription.",
	"not_confirmed":      "Stripe has not confirmed it since something was to happen, and the time to wait for that is over.",
	"unknown_status":     "Stripe calls the subscription something we do not know.",
	"no_subscription":    "It has no subscription.",
}

// accessInWords says what may be used and why, and when that changes by itself.
func accessInWords(o reports.Organization, now time.Time) (bool, ui.Badge, string) {
	switch {
	case o.ID == uuid.Nil:
		return false, ui.Badge{}, "Access belongs to organizations, and none owns this customer."
	case !o.HasAccess:
		return true, accessBadges[billing.AccessNone], accessReasons["no_subscription"]
	}
	badge := accessBadges[o.Access.Level]
	badge.Title = o.Access.Reason
	why, ok := accessReasons[o.Access.Reason]
	if !ok {
		why = "The reason is " + strings.ReplaceAll(o.Access.Reason, "_", " ") + "."
	}
	isRenewal := o.Access.ThenReason == billing.ReasonNotConfirmed // nothing to look forward to: Stripe is asked before
	// Where the level stays, another plan decides from then on.
	if !isRenewal && o.Access.Until.After(now) && o.Access.Then != o.Access.Level {
		why += fmt.Sprintf(" From %s on: %s.", date(o.Access.Until), lowerFirst(accessBadges[o.Access.Then].Text))
	}
	return true, badge, why
}

// otherSubscriptions are all but the current one.
func (s *server) otherSubscriptions(rows []reports.Subscription, current string, now time.Time) []views.HeldSubscription {
	var out []views.HeldSubscription
	for _, row := range rows {
		if row.ID == current {
			continue
		}
		held := views.HeldSubscription{
			Plan: s.planInWords(row), MRR: mrrCell(row).Text, Since: instant(row.CreatedAt, "2 Jan 2006"), ID: row.ID,
		}
		held.Status, held.Text = statusInWords(row, now)
		held.Term = stripesTerm(held.Status, row.Status)
		out = append(out, held)
	}
	return out
}

// timeLine puts the entries of a page under their days. Days and times are those
// of the figures' zone.
func (s *server) timeLine(o reports.Organization, id string) views.TimeLine {
	m := views.TimeLine{
		Count: plural(int64(o.Total), "entry", "entries"),
		Pager: ui.Pager{Label: "Pages of the time line", Page: o.Page, Pages: o.Pages},
	}
	if o.Page > 1 {
		m.Pager.Previous = organizationPath(id) + pageQuery(o.Page-1)
	}
	if o.Page < o.Pages {
		m.Pager.Next = organizationPath(id) + pageQuery(o.Page+1)
	}
	for i, entry := range o.TimeLine {
		if i == 0 || !entry.Day.Equal(o.TimeLine[i-1].Day) {
			m.Days = append(m.Days, s.timeLineDay(o, entriesOfTheDay(o.TimeLine[i:])))
		}
	}
	return m
}

// entriesOfTheDay are those in front that are of the first one's day.
func entriesOfTheDay(entries []reports.Entry) []reports.Entry {
	end := slices.IndexFunc(entries, func(e reports.Entry) bool { return !e.Day.Equal(entries[0].Day) })
	if end < 0 {
		return entries
	}
	return entries[:end]
}

// timeLineDay puts each movement under the event that explains it, where one of
// the day does, and else at the head of the day.
func (s *server) timeLineDay(o reports.Organization, entries []reports.Entry) views.TimeLineDay {
	day := views.TimeLineDay{Day: ui.Instant{Text: date(entries[0].Day), ISO: entries[0].Day.Format(time.DateOnly)}}
	var events []reports.CustomerEvent
	for _, entry := range entries {
		if entry.Movement == nil {
			events = append(events, entry.Event)
			day.Events = append(day.Events, s.eventInWords(entry.Event, o))
		}
	}
	for _, entry := range entries {
		if entry.Movement == nil {
			continue
		}
		moved := s.movementInWords(*entry.Movement)
		if i := causeOf(*entry.Movement, events); i >= 0 {
			day.Events[i].Movements = append(day.Events[i].Movements, moved)
		} else {
			day.Movements = append(day.Movements, moved)
		}
	}
	return day
}

// causes are the kinds of event that explain why MRR moved, the best first. No
// event tells of a discount.
var causes = map[analytics.Reason][]string{
	analytics.ReasonPurchase:          {"subscription_activated", "subscription_created"},
	analytics.ReasonReturn:            {"subscription_activated", "subscription_created"},
	analytics.ReasonAddon:             {"subscription_activated", "subscription_created"},
	analytics.ReasonTrialConverted:    {"subscription_activated", "subscription_past_due"},
	analytics.ReasonPlanChange:        {"plan_changed"},
	analytics.ReasonQuantity:          {"quantity_changed"},
	analytics.ReasonPriceMigration:    {"plan_changed"},
	analytics.ReasonFreeDowngrade:     {"plan_changed"},
	analytics.ReasonCancelVoluntary:   {"subscription_canceled"},
	analytics.ReasonCancelInvoluntary: {"subscription_canceled", "subscription_unpaid"},
	analytics.ReasonDispute:           {"subscription_canceled"},
	analytics.ReasonPause:             {"collection_paused", "subscription_paused"},
	analytics.ReasonResume:            {"collection_resumed", "subscription_resumed"},
	analytics.ReasonPaymentRecovered:  {"subscription_recovered"},
}

// causeOf is the place of the event that explains a movement, or -1.
func causeOf(moved reports.DayMovement, events []reports.CustomerEvent) int {
	for _, kind := range causes[moved.Reason] {
		if i := slices.IndexFunc(events, func(e reports.CustomerEvent) bool { return e.Kind == kind }); i >= 0 {
			return i
		}
	}
	return -1
}

func pageQuery(page int) string {
	if page == 1 {
		return ""
	}
	return "?page=" + strconv.Itoa(page)
}

var movementNames = map[analytics.MovementKind]string{
	analytics.New: "New", analytics.Reactivation: "Reactivation", analytics.Expansion: "Expansion",
	analytics.Contraction: "Contraction", analytics.Churn: "Churn",
}

var movementReasons = map[analytics.Reason]string{
	analytics.ReasonPurchase: "a purchase", analytics.ReasonReturn: "a return", analytics.ReasonTrialConverted: "a trial that became a subscription",
	analytics.ReasonAddon: "one more subscription or item", analytics.ReasonPlanChange: "a change of plan", analytics.ReasonQuantity: "another quantity",
	analytics.ReasonPriceMigration: "another price of the plan", analytics.ReasonDiscountAdded: "a discount", analytics.ReasonDiscountExpired: "the end of a discount",
	analytics.ReasonCancelVoluntary: "canceled by the customer", analytics.ReasonCancelInvoluntary: "payments that failed", analytics.ReasonDispute: "a dispute",
	analytics.ReasonPause: "a pause", analytics.ReasonResume: "the end of a pause", analytics.ReasonPaymentRecovered: "a payment made good",
	analytics.ReasonFreeDowngrade: "a price of nothing",
}

func (s *server) movementInWords(moved reports.DayMovement) views.TimeLineMovement {
	m := views.TimeLineMovement{Balance: money.FormatMicro(moved.BalanceMicro, moved.Currency), Text: movementNames[moved.Kind]}
	switch {
	case moved.AmountMicro > 0:
		m.Tone, m.Change = ui.Good, "+"+money.FormatMicro(moved.AmountMicro, moved.Currency)
	case moved.AmountMicro < 0:
		m.Tone, m.Change = ui.Bad, "−"+money.FormatMicro(-moved.AmountMicro, moved.Currency)
	}
	switch {
	case moved.LeftPlan != "" && moved.EnteredPlan != "":
		change := s.planName(moved.LeftPlan) + " to " + s.planName(moved.EnteredPlan)
		if m.Text == "" {
			m.Text = "unchanged"
		}
		m.Text += ": " + change
	case movementReasons[moved.Reason] != "":
		m.Text += ": " + movementReasons[moved.Reason]
	}
	return m
}
