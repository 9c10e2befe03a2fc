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

// The glossary: one word for one thing, to customers and to administrators.
//
//	payment failed    a try that did not go through, and a subscription whose
//	                  payment is tried again (Stripe: past_due)
//	unpaid            the same when it is not tried again (unpaid)
//	payment owed      either of the two
//	in recovery       the money of renewals that failed and are tried again
//	made good         paid after it had failed
//	payments paused   nothing is collected for a while (pause_collection)
//	paused            a trial that ended without a way to pay (paused)
//	ending            an end is scheduled (cancel_at_period_end or cancel_at)
//	ended             it is over (canceled)
//	not finished      the first payment is open (incomplete)
//	expired           the first payment was never finished (incomplete_expired)
var statusWords = map[billing.Status]ui.Badge{
	billing.StatusTrialing:          {Text: "Trial", Tone: ui.Good},
	billing.StatusActive:            {Text: "Active", Tone: ui.Good},
	billing.StatusPastDue:           {Text: "Payment failed", Tone: ui.Bad},
	billing.StatusUnpaid:            {Text: "Unpaid", Tone: ui.Bad},
	billing.StatusPaused:            {Text: "Paused", Tone: ui.Warn},
	billing.StatusIncomplete:        {Text: "Not finished", Tone: ui.Warn},
	billing.StatusIncompleteExpired: {Text: "Expired"},
	billing.StatusCanceled:          {Text: "Ended"},
}

// statusBadge is a status in a word or two. Of what is active it says what
// Stripe's own term does not: that payments are paused, or an end scheduled.
func statusBadge(status billing.Status, isPaused, isEnding bool) ui.Badge {
	badge, ok := statusWords[status]
	switch {
	case !ok: // one that Stripe adds one day
		return ui.Badge{Text: upperFirst(spaced(string(status)))}
	case status == billing.StatusActive && isPaused:
		return ui.Badge{Text: "Payments paused", Tone: ui.Warn}
	case status == billing.StatusActive && isEnding:
		return ui.Badge{Text: "Ending", Tone: ui.Warn}
	case status == billing.StatusTrialing && isEnding:
		badge.Tone = ui.Warn
	}
	return badge
}

// statusWord is the same in running text: "was past_due" becomes "was: payment
// failed".
func statusWord(status billing.Status) string {
	return lowerFirst(statusBadge(status, false, false).Text)
}

// spaced makes words of a code that nobody has given words to.
func spaced(code string) string { return strings.ReplaceAll(code, "_", " ") }

// pauseWords are what Stripe does with the invoices of a subscription whose
// payments are paused: to an administrator, and to the customer.
var pauseWords = map[string]struct{ desk, customer string }{
	"void":               {"invoices are voided", "Nothing is charged meanwhile."},
	"mark_uncollectible": {"invoices are written off", "Nothing is charged meanwhile, and everything goes on working."},
	"keep_as_draft":      {"invoices are kept as drafts", "Invoices are kept until payments resume, and everything goes on working."},
}
