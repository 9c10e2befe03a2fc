package handlers

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/views/ui"
)

var (
	intervalNames = map[billing.Interval]string{billing.Month: "Monthly", billing.Year: "Yearly"}
	periodNames   = map[billing.Interval]string{billing.Month: "a month", billing.Year: "a year"}
)

// date is "3 Mar 2026".
func date(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

// instant is a date that tells time and zone on hover.
func instant(t time.Time, layout string) ui.Instant {
	t = t.UTC()
	return ui.Instant{Text: t.Format(layout), Title: t.Format("2 Jan 2006, 15:04:05") + " UTC", ISO: t.Format(time.RFC3339)}
}

// count groups thousands: "20,000".
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func lowerFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[size:]
}

// standing is a subscription in words that a customer understands.
type standing struct {
	badge ui.Badge
	text  string
	// next are what happens next and when.
	next []ui.Definition
	// problem is what needs somebody's attention.
	problem ui.Banner
}

// inWordsFor says how a subscription stands, and what access it gives now.
// Stripe's own term is on the badge for whoever hovers.
func inWordsFor(row db.Subscription, access billing.Access) standing {
	s := standing{badge: ui.Badge{Title: row.Status}}
	renewal := ui.Definition{Term: "Renews on", Text: date(row.CurrentPeriodEnd)}
	switch billing.Status(row.Status) {
	case billing.StatusTrialing:
		s.badge.Text, s.badge.Tone = "Trial", ui.Good
		s.text = "Everything in the plan is yours to try until the trial ends."
		renewal.Term = "Trial ends on"
		if row.TrialEnd != nil {
			renewal.Text = date(*row.TrialEnd)
		}
	case billing.StatusActive:
		s.badge.Text, s.badge.Tone = "Active", ui.Good
		s.text = "Everything in the plan is yours to use."
		if access.Level == billing.AccessReadOnly {
			s.badge.Text, s.badge.Tone = "Paused", ui.Warn
			s.text = "Payments are paused. You can read everything, and change nothing, until they resume."
		}
	case billing.StatusPastDue:
		s.badge.Text, s.badge.Tone = "Payment failed", ui.Warn
		s.text = "The last payment failed. Everything goes on working while we try again."
		if row.NextPaymentAttempt != nil {
			s.text = "The last payment failed; we try again on " + date(*row.NextPaymentAttempt) + ". Everything goes on working until then."
		}
		if !access.Level.Allows() {
			s.badge.Tone = ui.Bad
			s.text = "The last payment failed and has not been made good. You can read everything, and change nothing, until it is."
		}
		s.problem = ui.Banner{Title: "Your last payment failed", Text: s.text, Tone: s.badge.Tone}
	case billing.StatusUnpaid:
		s.badge.Text, s.badge.Tone = "Unpaid", ui.Bad
		s.text = "Several payments failed. You can read everything, and change nothing, until an invoice is paid."
	case billing.StatusPaused:
		s.badge.Text, s.badge.Tone = "Paused", ui.Warn
		s.text = "The trial ended without a way to pay. You can read everything, and change nothing."
	case billing.StatusIncomplete:
		s.badge.Text, s.badge.Tone = "Not finished", ui.Warn
		s.text = "The first payment is not finished."
	case billing.StatusIncompleteExpired:
		s.badge.Text, s.text = "Expired", "The first payment was never finished."
	case billing.StatusCanceled:
		s.badge.Text, s.text = "Ended", "The subscription has ended."
	default:
		s.badge.Text, s.text = row.Status, "We do not know this state yet; write to us if something does not work."
	}
	if billing.Status(row.Status).IsTerminal() {
		if row.EndedAt != nil {
			s.next = []ui.Definition{{Term: "Ended on", Text: date(*row.EndedAt)}}
		}
		return s
	}
	if end := scheduledEnd(row); !end.IsZero() {
		s.next = []ui.Definition{{Term: "Ends on", Text: date(end), Note: "It does not renew."}}
		return s
	}
	if !billing.Status(row.Status).IsLive() {
		return s
	}
	s.next = []ui.Definition{renewal}
	if row.AmountMinor != nil {
		s.next = append(s.next, ui.Definition{
			Term: "Next payment", Text: money.Format(*row.AmountMinor, money.Currency(row.Currency)), Note: "Before taxes and discounts.",
		})
	}
	return s
}

// scheduledEnd is when a subscription ends by itself, however that was said.
func scheduledEnd(row db.Subscription) time.Time {
	switch {
	case row.CancelAt != nil:
		return *row.CancelAt
	case row.CancelAtPeriodEnd:
		return row.CurrentPeriodEnd
	}
	return time.Time{}
}

// happeningWords are business events as an administrator reads them.
var happeningWords = map[string]string{
	"cancellation_scheduled":          "Cancellation scheduled",
	"cancellation_withdrawn":          "Cancellation withdrawn",
	"checkout_abandoned":              "Checkout abandoned",
	"checkout_completed":              "Checkout completed",
	"checkout_started":                "Checkout started",
	"collection_paused":               "Collection paused",
	"collection_resumed":              "Collection resumed",
	"payment_action_required":         "Payment waits for the customer",
	"payment_failed":                  "Payment failed",
	"payment_succeeded":               "Payment succeeded",
	"plan_changed":                    "Plan changed",
	"subscription_activated":          "Subscription activated",
	"subscription_canceled":           "Subscription ended",
	"subscription_created":            "Subscription created",
	"subscription_incomplete_expired": "First payment never finished",
	"subscription_past_due":           "Subscription past due",
	"subscription_paused":             "Subscription paused",
	"subscription_recovered":          "Subscription recovered",
	"subscription_resumed":            "Subscription resumed",
	"subscription_unpaid":             "Subscription unpaid",
	"trial_started":                   "Trial started",
	"trial_will_end":                  "Trial will end",
}

func happening(kind string) string {
	if words, ok := happeningWords[kind]; ok {
		return words
	}
	return strings.ReplaceAll(kind, "_", " ")
}
