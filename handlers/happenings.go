package handlers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// happeningWords are business events as an administrator reads them.
var happeningWords = map[string]string{
	"cancellation_scheduled":          "Cancellation scheduled",
	"cancellation_withdrawn":          "Cancellation withdrawn",
	"checkout_abandoned":              "Checkout abandoned",
	"checkout_async_failed":           "Payment by bank failed",
	"checkout_async_succeeded":        "Payment by bank arrived",
	"checkout_completed":              "Checkout completed",
	"checkout_started":                "Checkout started",
	"collection_paused":               "Payments paused",
	"collection_resumed":              "Payments resumed",
	"customer_deleted":                "Customer deleted at Stripe",
	"dispute_closed":                  "Dispute closed",
	"dispute_opened":                  "Dispute opened",
	"invoice_finalization_failed":     "Invoice could not be issued",
	"invoice_marked_uncollectible":    "Invoice written off",
	"invoice_voided":                  "Invoice voided",
	"payment_action_required":         "Payment waits for the customer",
	"payment_failed":                  "Payment failed",
	"payment_method_attached":         "Payment method added",
	"payment_method_detached":         "Payment method removed",
	"payment_method_updated":          "Payment method updated",
	"payment_succeeded":               "Payment succeeded",
	"pending_update_applied":          "Change made after its payment",
	"pending_update_expired":          "Change dropped, its payment never came",
	"plan_changed":                    "Plan changed",
	"pricing_viewed":                  "Prices looked at",
	"quantity_changed":                "Seats changed",
	"refund":                          "Refund",
	"refund_failed":                   "Refund failed",
	"schedule_aborted":                "Schedule stopped, payments failed",
	"schedule_canceled":               "Schedule canceled",
	"schedule_completed":              "Schedule completed",
	"schedule_released":               "Schedule released",
	"subscription_activated":          "Subscription activated",
	"subscription_canceled":           "Subscription ended",
	"subscription_created":            "Subscription created",
	"subscription_incomplete_expired": "First payment never finished",
	"subscription_past_due":           "Payment owed",
	"subscription_paused":             "Paused, the trial ended without a card",
	"subscription_recovered":          "Payment made good",
	"subscription_resumed":            "Subscription resumed",
	"subscription_unpaid":             "Unpaid, retries are over",
	"trial_converted":                 "Trial paid for",
	"trial_ended":                     "Trial ended",
	"trial_started":                   "Trial started",
	"trial_will_end":                  "Trial will end",
}

// disputeEnds are what became of a dispute, by Stripe's status of it.
var disputeEnds = map[string]string{"won": "Dispute won", "lost": "Dispute lost", "warning_closed": "Inquiry closed"}

// planDirections are changes of a plan that cost more or less a month.
var planDirections = map[string]string{"upgrade": "Plan upgraded", "downgrade": "Plan downgraded"}

// happening is the title of an event. One of a kind that has no words yet is
// called by its code.
func happening(kind string, details reports.EventDetails) string {
	words, ok := happeningWords[kind]
	if !ok {
		return upperFirst(spaced(kind))
	}
	if end, ok := disputeEnds[details.Status]; ok && kind == "dispute_closed" {
		return end
	}
	if direction, ok := planDirections[details.Direction]; ok && kind == "plan_changed" {
		return direction
	}
	return words
}

var billingReasons = map[string]string{
	"subscription_create": "First payment", "subscription_cycle": "Renewal", "subscription_update": "Change of the subscription",
	"subscription_threshold": "Threshold reached", "manual": "Invoice made by hand",
}

// stripesReasons are why a refund was made or a payment disputed, or why one did
// not go through, by Stripe's codes; any other code is told as it is.
var stripesReasons = map[string]string{
	"requested_by_customer": "the customer asked for it", "duplicate": "charged twice", "fraudulent": "called fraudulent",
	"expired_uncaptured_charge": "the charge was never captured", "product_not_received": "product not received",
	"subscription_canceled": "the subscription was canceled before", "product_unacceptable": "product not as described",
	"credit_not_processed": "a refund did not come", "general": "no reason given", "unrecognized": "not recognized",
	"lost_or_stolen_card": "card lost or stolen", "expired_or_canceled_card": "card expired or canceled", "unknown": "reason not known",
	"customer_tax_location_invalid": "the customer's address does not tell the tax", "finalization_requires_location_inputs": "the customer's address is missing",
}

func stripesReason(code string) string {
	if words, ok := stripesReasons[code]; ok {
		return words
	}
	return spaced(code)
}

// eventTones mark the kinds that a reader looks for.
var eventTones = map[string]ui.Tone{
	"payment_succeeded": ui.Good, "subscription_activated": ui.Good, "subscription_recovered": ui.Good, "subscription_resumed": ui.Good,
	"cancellation_withdrawn": ui.Good, "trial_converted": ui.Good, "collection_resumed": ui.Good, "checkout_async_succeeded": ui.Good, "pending_update_applied": ui.Good,
	"invoice_marked_uncollectible": ui.Bad, "payment_failed": ui.Bad, "subscription_past_due": ui.Bad, "subscription_unpaid": ui.Bad, "subscription_canceled": ui.Bad,
	"checkout_async_failed": ui.Bad, "invoice_finalization_failed": ui.Bad, "refund_failed": ui.Bad, "customer_deleted": ui.Bad, "schedule_aborted": ui.Bad,
	"payment_action_required": ui.Warn, "cancellation_scheduled": ui.Warn, "collection_paused": ui.Warn, "subscription_paused": ui.Warn,
	"trial_will_end": ui.Warn, "pending_update_expired": ui.Warn,
}

// eventMarks set apart, by shape and colour, money that went back and money
// that is fought for.
var eventMarks = map[string]views.Mark{
	"refund": views.MarkRefund, "refund_failed": views.MarkRefund, "dispute_opened": views.MarkDispute, "dispute_closed": views.MarkDispute,
}

// isPriced are the kinds that tell what a subscription costs from then on.
var isPriced = map[string]bool{"subscription_created": true, "plan_changed": true, "quantity_changed": true, "trial_started": true}

// movesMoney are the kinds whose amount was paid, asked for, or given back.
var movesMoney = map[string]bool{
	"payment_succeeded": true, "payment_failed": true, "payment_action_required": true, "invoice_marked_uncollectible": true, "invoice_voided": true,
	"invoice_finalization_failed": true, "refund": true, "refund_failed": true, "dispute_opened": true, "dispute_closed": true,
	"checkout_async_succeeded": true, "checkout_async_failed": true,
}

// eventInWords shows an amount where money moved or was to move; what a plan
// costs is said in the text, or four events of a purchase would read like four
// payments.
func (s *server) eventInWords(e reports.CustomerEvent, o reports.Organization) views.TimeLineEvent {
	at := e.At.In(o.TimeZone)
	m := views.TimeLineEvent{
		Title: happening(e.Kind, e.Details), Tone: eventTones[e.Kind], Mark: eventMarks[e.Kind],
		Text: strings.Join(s.toldOf(e, o), " · "),
		At:   ui.Instant{Text: at.Format("15:04"), Title: at.Format("2 Jan 2006, 15:04:05 MST"), ISO: e.At.UTC().Format(time.RFC3339)},
	}
	if movesMoney[e.Kind] && e.AmountMinor != nil && e.Currency != "" {
		m.Amount = money.Format(*e.AmountMinor, e.Currency)
		if e.Kind == "refund" && *e.AmountMinor > 0 {
			m.Amount = "−" + m.Amount
		}
	}
	if href := s.stripesPage(e.Details.InvoiceURL); href != "" {
		m.Link = ui.Link{Text: "Open the invoice", Href: href}
		if e.Kind == "payment_succeeded" {
			m.Link.Text = "Open the receipt"
		}
	}
	for _, id := range []string{e.InvoiceID, e.Details.Charge, e.SourceID} {
		if id != "" {
			m.IDs = append(m.IDs, id)
		}
	}
	if len(m.IDs) == 0 && e.SubscriptionID != "" {
		m.IDs = []string{e.SubscriptionID}
	}
	return m
}

// toldOf is what an event says beside its title, part by part.
func (s *server) toldOf(e reports.CustomerEvent, o reports.Organization) []string {
	var text []string
	say := func(words ...string) {
		for _, word := range words {
			if word != "" {
				text = append(text, word)
			}
		}
	}
	plan := ""
	if e.Plan != "" || e.Interval != "" {
		plan = s.planWords(e)
	}
	d := e.Details
	switch e.Kind {
	case "payment_succeeded", "payment_failed", "payment_action_required", "invoice_marked_uncollectible", "invoice_voided", "invoice_finalization_failed":
		if isFirstAfterTrial(e, o.Subscriptions) {
			say("First charge after the trial")
		} else {
			say(billingReasons[d.BillingReason])
		}
		if strings.HasPrefix(e.Kind, "payment_") && d.Attempt > 1 {
			say(fmt.Sprintf("attempt %d", d.Attempt))
		}
		say(plan, stripesReason(d.Error))
	case "refund", "dispute_opened", "dispute_closed":
		say(stripesReason(d.Reason), plan)
		if e.Kind == "dispute_opened" && !d.EvidenceDueAt.IsZero() {
			say("answer it by " + date(d.EvidenceDueAt))
		}
	case "refund_failed":
		say("the customer has not got it", stripesReason(d.FailureReason))
	case "payment_method_attached", "payment_method_detached", "payment_method_updated":
		say(methodInWords(d))
	case "plan_changed":
		if d.FromPlan != "" && d.FromPlan != e.Plan {
			say("from " + s.planName(d.FromPlan) + " to " + s.planWords(e))
		} else {
			say("to " + s.planWords(e))
		}
	case "quantity_changed":
		say(fmt.Sprintf("from %s to %s", count(d.FromQuantity), plural(d.Quantity, "seat", "seats")), plan)
	case "trial_ended":
		say(plan)
		if d.ToStatus != "" {
			say("now: " + statusWord(billing.Status(d.ToStatus)))
		}
	case "cancellation_scheduled":
		say(plan)
		if !d.EndsAt.IsZero() {
			say("ends on " + date(d.EndsAt))
		}
	case "trial_will_end":
		if !d.TrialEnd.IsZero() {
			say("on " + date(d.TrialEnd))
		}
	case "collection_paused":
		if words, ok := pauseWords[d.Behavior]; ok {
			say(words.desk)
		} else {
			say(spaced(d.Behavior))
		}
	case "subscription_canceled":
		say(plan)
		if d.FromStatus != "" {
			say("was: " + statusWord(billing.Status(d.FromStatus)))
		}
	default:
		if e.Plan != "" {
			say(plan)
		}
	}
	if isPriced[e.Kind] && e.AmountMinor != nil && e.Currency != "" {
		say(priceInWords(reports.Subscription{AmountMinor: e.AmountMinor, Currency: e.Currency, Interval: e.Interval, IntervalCount: 1}))
	}
	return text
}

// planWords is "Pro, monthly" of the plan that an event names.
func (s *server) planWords(e reports.CustomerEvent) string {
	plan := s.planName(e.Plan)
	if how := everyInWords(e.Interval, 1); how != "" {
		plan += ", " + how
	}
	return plan
}

// methodNames are those that are not written as their codes read.
var methodNames = map[string]string{
	"amex": "American Express", "diners": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay", "us_bank_account": "US bank account",
	"sepa_debit": "SEPA debit", "bacs_debit": "Bacs debit", "au_becs_debit": "BECS debit",
}

// methodInWords is "Visa ending in 4242, valid until 12/2028".
func methodInWords(d reports.EventDetails) string {
	code := d.Brand
	if code == "" {
		code = d.Type
	}
	words, ok := methodNames[code]
	if !ok {
		words = upperFirst(spaced(code))
	}
	if d.Last4 != "" {
		words = strings.TrimSpace(words + " ending in " + d.Last4)
	}
	if d.ExpYear > 0 {
		words += fmt.Sprintf(", valid until %02d/%d", d.ExpMonth, d.ExpYear)
	}
	return words
}

// isFirstAfterTrial reports whether an invoice is the one that a trial ended
// with. Stripe calls it a renewal; it is the one that is settled within a period
// from the end of the trial.
func isFirstAfterTrial(e reports.CustomerEvent, subscriptions []reports.Subscription) bool {
	if e.Details.BillingReason != "subscription_cycle" {
		return false
	}
	i := slices.IndexFunc(subscriptions, func(s reports.Subscription) bool { return s.ID == e.SubscriptionID })
	if i < 0 || subscriptions[i].TrialEnd.IsZero() {
		return false
	}
	end, next := subscriptions[i].TrialEnd, subscriptions[i].TrialEnd
	switch e.Interval {
	case billing.Day:
		next = next.AddDate(0, 0, 1)
	case billing.Week:
		next = next.AddDate(0, 0, 7)
	case billing.Year:
		next = next.AddDate(1, 0, 0)
	default:
		next = next.AddDate(0, 1, 0)
	}
	return !e.At.Before(end) && e.At.Before(next)
}
