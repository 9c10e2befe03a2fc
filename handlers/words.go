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

func upperFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// every is how often a subscription is billed, as its intervals are called:
// "monthly" and "a month", or "every 3 months" for both. Empty: not known.
func every(row db.Subscription) (billed, period string) {
	unit, n := deref(row.Interval), int64(1)
	if row.IntervalCount != nil {
		n = int64(*row.IntervalCount)
	}
	words, ok := map[string][2]string{
		"day": {"daily", "a day"}, "week": {"weekly", "a week"}, "month": {"monthly", "a month"}, "year": {"yearly", "a year"},
	}[unit]
	switch {
	case !ok:
		return "", ""
	case n == 1:
		return words[0], words[1]
	}
	text := "every " + count(n) + " " + unit + "s"
	return text, text
}

// amount is what a subscription costs each time: "$99.00 a month". Empty: not
// known.
func amount(row db.Subscription) string {
	if row.AmountMinor == nil {
		return ""
	}
	_, period := every(row)
	return strings.TrimSpace(money.Format(*row.AmountMinor, money.Currency(row.Currency)) + " " + period)
}

// standing is a subscription in words that a customer understands.
type standing struct {
	badge ui.Badge
	text  string
	// next are what happens next and when.
	next []ui.Definition
	// problem is what needs somebody's attention: one, the gravest.
	problem ui.Banner
}

// soon is how long before a trial ends the page begins to speak of it; Stripe
// gives notice as early.
const soon = 3 * 24 * time.Hour

// inWordsFor says how a subscription stands at now, and what access it gives.
// Stripe's own term is on the badge for whoever hovers. Amounts are for those
// who may pay; owed is what is open, "$99.00", and empty where nothing is known.
func inWordsFor(row db.Subscription, access billing.Access, owed string, seesAmounts bool, now time.Time) standing {
	s := standing{badge: ui.Badge{Title: row.Status}}
	const readOnly = "You can read everything, and change nothing, until "
	switch billing.Status(row.Status) {
	case billing.StatusTrialing:
		s.badge.Text, s.badge.Tone = "Trial", ui.Good
		s.text = "Everything in the plan is yours to try until the trial ends."
		if end := trialEnd(row); end.Sub(now) <= soon {
			s.problem = ui.Banner{Title: "Your trial ends on " + date(end), Text: "The plan goes on by itself after it.", Tone: ui.Warn}
			if seesAmounts && amount(row) != "" {
				s.problem.Text = "The plan goes on by itself after it and costs " + amount(row) + ", charged to your card."
			}
		}
	case billing.StatusActive:
		s.badge.Text, s.badge.Tone = "Active", ui.Good
		s.text = "Everything in the plan is yours to use."
		if access.Level == billing.AccessReadOnly {
			s.badge.Text, s.badge.Tone = "Paused", ui.Warn
			s.text = "Payments are paused. " + readOnly + "they resume."
		}
	case billing.StatusPastDue:
		s.pastDue(row, access, readOnly)
		s.owing(owed, seesAmounts)
	case billing.StatusUnpaid:
		s.badge.Text, s.badge.Tone = "Unpaid", ui.Bad
		s.text = readOnly + "an open invoice is paid."
		s.problem = ui.Banner{Title: "Several payments failed", Text: notTriedAgain, Tone: ui.Bad}
		s.owing(owed, seesAmounts)
	case billing.StatusPaused:
		s.badge.Text, s.badge.Tone = "Paused", ui.Warn
		s.text = readOnly + "there is a card."
		s.problem = ui.Banner{Title: "The trial ended without a way to pay", Text: "Nothing was charged. Write to us, and we help you go on.", Tone: ui.Warn}
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
	isCalm := s.problem.IsZero() || billing.Status(row.Status) == billing.StatusTrialing
	if end := scheduledEnd(row); !end.IsZero() && isCalm && billing.Status(row.Status).IsLive() {
		s.problem = ui.Banner{Title: "Your plan ends on " + date(end), Text: "It does not renew. Until then everything stays as it is.", Tone: ui.Warn}
	}
	s.next = whatFollows(row)
	return s
}

const notTriedAgain = "The card is not tried again by itself."

// pastDue is a renewal that has not been paid: when it is tried again, until when
// everything works meanwhile, and what happens where no try goes through. How
// often Stripe tries, and whether the plan ends then, is set there.
func (s *standing) pastDue(row db.Subscription, access billing.Access, readOnly string) {
	s.badge.Text, s.badge.Tone = "Payment failed", ui.Warn
	s.text = "Everything goes on working meanwhile."
	if !access.Until.IsZero() {
		s.text = "Everything goes on working until " + date(access.Until) + "."
	}
	if !access.Level.Allows() {
		s.badge.Tone = ui.Bad
		s.text = readOnly + "the payment is made good."
	}
	s.problem = ui.Banner{Title: "Your last payment failed", Text: notTriedAgain, Tone: s.badge.Tone}
	if row.NextPaymentAttempt != nil {
		s.problem.Text = "We try the same card again on " + date(*row.NextPaymentAttempt) + "."
	}
	switch {
	case !access.Level.Allows() && row.NextPaymentAttempt != nil:
		s.problem.Text += " If it goes through, everything works again at once."
	case access.Level.Allows() && !access.Until.IsZero():
		s.problem.Text += " If it is not paid by " + date(access.Until) + ", you can read everything and change nothing."
	}
	if row.NextPaymentAttempt != nil {
		s.problem.Text += " If no try goes through, the plan may end."
	}
}

// owing says to those who may pay what is owed and how to pay it otherwise than
// with the card that failed.
func (s *standing) owing(owed string, seesAmounts bool) {
	if !seesAmounts {
		return
	}
	if owed != "" {
		s.problem.Text = owed + " is owed. " + s.problem.Text
	}
	s.problem.Hint = "To pay it now, or with another card, write to us and we send you a link. Changing the card on this page comes later."
}

// whatFollows are the next dates and amounts of a subscription that lives.
// Nothing follows by itself while it is unpaid or paused.
func whatFollows(row db.Subscription) []ui.Definition {
	status := billing.Status(row.Status)
	if !status.IsLive() {
		return nil
	}
	var out []ui.Definition
	add := func(term, text, note string) { out = append(out, ui.Definition{Term: term, Text: text, Note: note}) }
	if billed, _ := every(row); billed != "" {
		add("Billed", upperFirst(billed), "")
	}
	if status == billing.StatusPastDue && row.NextPaymentAttempt != nil {
		add("Next attempt", date(*row.NextPaymentAttempt), "")
	}
	payment := "Next payment"
	switch end := scheduledEnd(row); {
	case !end.IsZero():
		add("Ends on", date(end), "")
		return out
	case status == billing.StatusUnpaid, status == billing.StatusPaused:
		return out
	case status == billing.StatusTrialing:
		payment = "First payment"
		add("Trial ends on", date(trialEnd(row)), "")
	default:
		add("Renews on", date(row.CurrentPeriodEnd), "")
	}
	if amount(row) != "" {
		add(payment, amount(row), "Before discounts and taxes.")
	}
	return out
}

// terms are what comes next of a subscription that has just begun, in a
// sentence.
func terms(row db.Subscription) string {
	status := billing.Status(row.Status)
	switch {
	case amount(row) == "":
		return ""
	case status == billing.StatusTrialing:
		return "The trial lasts until " + date(trialEnd(row)) + "; after that the plan costs " + amount(row) + "."
	case status == billing.StatusActive:
		return "It costs " + amount(row) + " and renews on " + date(row.CurrentPeriodEnd) + "."
	}
	return ""
}

func trialEnd(row db.Subscription) time.Time {
	if row.TrialEnd != nil {
		return *row.TrialEnd
	}
	return row.CurrentPeriodEnd
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
	"invoice_marked_uncollectible":    "Invoice written off",
	"invoice_voided":                  "Invoice voided",
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
