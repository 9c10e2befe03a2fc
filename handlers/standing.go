package handlers

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/views/ui"
)

// standing is a subscription in words that a customer understands.
type standing struct {
	badge ui.Badge
	text  string
	// next are what happens next and when.
	next []ui.Definition
	// problem is what needs somebody's attention: one, the gravest.
	problem ui.Banner
}

// circumstances are what the words about a subscription go by beside its row.
type circumstances struct {
	// access is what the organization may use now.
	access billing.Access
	// owed is what is open, "$99.00", and payURL where that can be paid; empty
	// where nothing is known.
	owed, payURL string
	// isOnItsWay: the money of the first payment has not arrived yet.
	isOnItsWay bool
	// seesAmounts: who looks may pay.
	seesAmounts bool
	// support is the address to write to; empty: none is told.
	support string
	now     time.Time
}

// writeToUs is "write to us at help@example.com".
func (c circumstances) writeToUs() string { return writeTo(c.support) }

func writeTo(support string) string {
	if support == "" {
		return "write to us"
	}
	return "write to us at " + support
}

const (
	// soon is how long before a trial ends the page begins to speak of it;
	// Stripe gives notice as early.
	soon = 3 * 24 * time.Hour
	// finishing is how long Stripe waits for a first payment:
	// https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
	finishing = 23 * time.Hour

	readOnly = "You can read everything, and change nothing, until "
)

// inWordsFor says how a subscription stands and what access it gives. Stripe's
// own term is on the badge for whoever hovers.
func inWordsFor(row db.Subscription, c circumstances) standing {
	status, end := billing.Status(row.Status), scheduledEnd(row)
	s := standing{badge: statusBadge(status, row.PauseBehavior != nil, !end.IsZero())}
	s.badge.Title = row.Status
	switch status {
	case billing.StatusTrialing:
		s.text = "Everything in the plan is yours to try until the trial ends."
		s.trialing(row, c)
	case billing.StatusActive:
		s.text = "Everything in the plan is yours to use."
		if row.PauseBehavior != nil {
			s.paymentsPaused(row, c)
		}
	case billing.StatusPastDue:
		s.pastDue(row, c)
		s.owing(c)
	case billing.StatusUnpaid:
		s.text = readOnly + "an open invoice is paid."
		s.problem = ui.Banner{Title: "Several payments failed", Text: "They are not tried again by themselves.", Tone: ui.Bad}
		s.owing(c)
	case billing.StatusPaused:
		s.text = readOnly + "there is a card."
		s.problem = ui.Banner{
			Title: "The trial ended without a way to pay", Tone: ui.Warn,
			Text: "Nothing was charged. The plan goes on as soon as there is a card: " + c.writeToUs() + ", and we send you a link to add one.",
		}
	case billing.StatusIncomplete:
		s.unfinished(row, c)
	case billing.StatusIncompleteExpired:
		s.text = "The first payment was never finished. Nothing was charged."
	case billing.StatusCanceled:
		s.text = "The subscription has ended."
	default:
		s.text = "We do not know this state yet; " + c.writeToUs() + " if something does not work."
	}
	s.doubts(row, c)
	if !end.IsZero() && s.problem.IsZero() && status.IsLive() {
		s.problem = ui.Banner{Title: "Your plan ends on " + date(end), Text: "It does not renew. Until then everything stays as it is.", Tone: ui.Warn}
	}
	s.next = whatFollows(row)
	return s
}

// trialing tells of the end of a trial, sooner where the trial is all there is.
func (s *standing) trialing(row db.Subscription, c circumstances) {
	end, ends := trialEnd(row), scheduledEnd(row)
	switch {
	case !ends.IsZero():
		s.problem = ui.Banner{
			Title: "Your trial ends on " + date(ends), Text: "The plan does not go on after it, and nothing is charged.", Tone: ui.Warn,
		}
	case end.Sub(c.now) <= soon:
		s.problem = ui.Banner{Title: "Your trial ends on " + date(end), Text: "The plan goes on by itself after it.", Tone: ui.Warn}
		if c.seesAmounts && amount(row) != "" {
			s.problem.Text = "The plan goes on by itself after it and costs " + amount(row) + ", charged to your card."
		}
	}
}

// paymentsPaused: what is not collected for a while, and what that does to
// access.
func (s *standing) paymentsPaused(row db.Subscription, c circumstances) {
	s.text = pauseWords[deref(row.PauseBehavior)].customer
	switch {
	case !c.access.Level.Allows():
		s.text = readOnly + "they resume."
	case !c.access.Ends().IsZero():
		s.text += " Everything goes on working until " + date(c.access.Ends()) + "; after that you can read everything and change nothing."
	}
	s.problem = ui.Banner{Title: "Payments are paused", Text: "To go on paying, " + c.writeToUs() + ".", Tone: ui.Warn}
	if row.PauseResumesAt != nil {
		s.problem.Text = "They resume by themselves on " + date(*row.PauseResumesAt) + "."
	}
}

const notTriedAgain = "It is not tried again by itself."

// pastDue is a payment that has failed: when it is tried again, until when
// everything works meanwhile, and what happens where no try goes through. How
// often Stripe tries, and whether the plan ends then, is set there.
func (s *standing) pastDue(row db.Subscription, c circumstances) {
	access := c.access
	s.badge.Tone = ui.Warn
	s.text = "Everything goes on working meanwhile."
	if !access.Ends().IsZero() {
		s.text = "Everything goes on working until " + date(access.Ends()) + "."
	}
	if !access.Level.Allows() {
		s.badge.Tone = ui.Bad
		s.text = readOnly + "the payment is made good."
	}
	s.problem = ui.Banner{Title: "Your last payment failed", Text: notTriedAgain, Tone: s.badge.Tone}
	if row.NextPaymentAttempt != nil {
		s.problem.Text = "We try it again on " + date(*row.NextPaymentAttempt) + "."
	}
	switch {
	case !access.Level.Allows() && row.NextPaymentAttempt != nil:
		s.problem.Text += " If it goes through, everything works again at once."
	case access.Level.Allows() && !access.Ends().IsZero():
		s.problem.Text += " If it is not paid by " + date(access.Ends()) + ", you can read everything and change nothing."
	}
	if row.NextPaymentAttempt != nil {
		s.problem.Text += " If no try goes through, the plan may end."
	}
}

// owing says to those who may pay what is owed and how to pay it otherwise than
// with the card that failed.
func (s *standing) owing(c circumstances) {
	if !c.seesAmounts {
		return
	}
	if c.owed != "" {
		s.problem.Text = c.owed + " is owed. " + s.problem.Text
	}
	if c.payURL != "" {
		s.problem.Action = ui.Action{Label: "Pay the invoice", Href: c.payURL}
		s.problem.Hint = "Stripe's page takes any card. Changing the card for later payments on this page comes later."
		return
	}
	s.problem.Hint = "To pay it now, or with another card, " + c.writeToUs() + " and we send you a link. Changing the card on this page comes later."
}

// unfinished is a first payment that waits: for a confirmation, or for another
// card.
func (s *standing) unfinished(row db.Subscription, c circumstances) {
	by := row.CreatedAt.Add(finishing).UTC()
	s.text = "The first payment is not finished."
	s.problem = ui.Banner{
		Title: "Your first payment is not finished", Tone: ui.Warn,
		Text:   "The plan begins once it is, until " + by.Format("2 Jan 2006, 15:04") + " UTC. After that the order expires, and nothing is charged.",
		Action: ui.Action{Label: "Start again", Href: "/pricing"},
	}
	switch {
	case !c.seesAmounts:
		s.problem.Action = ui.Action{}
	case c.payURL != "":
		s.problem.Action = ui.Action{Label: "Finish the payment", Href: c.payURL}
	}
}

// doubts are where a plan that Stripe calls good does not give what it should:
// its money is on its way, nobody can say what it buys, or Stripe cannot be
// asked.
func (s *standing) doubts(row db.Subscription, c circumstances) {
	if !billing.Status(row.Status).IsLive() || !s.problem.IsZero() && s.problem.Tone == ui.Bad {
		return
	}
	switch {
	case c.isOnItsWay:
		s.badge.Text, s.badge.Tone = "Payment on its way", ui.Warn
		s.text = "Everything in the plan is yours to use meanwhile."
		if !c.access.Level.Allows() {
			s.text = "The plan begins by itself as soon as the money has arrived."
		}
		s.problem = onItsWay()
	case c.access.Reason == billing.ReasonNotConfirmed:
		s.text = readOnly + "Stripe has confirmed it."
		s.problem = ui.Banner{
			Title: "We cannot confirm your plan at the moment", Tone: ui.Warn,
			Text: "Stripe has not answered us since " + date(row.ReadAt) + ". You need not do anything: everything works again as soon as it does.",
		}
	case c.access.Reason == billing.ReasonUnknownPrice:
		s.text = "Nothing says yet what this plan includes, so nothing is open."
		s.problem = ui.Banner{
			Title: "Your plan is not set up yet", Tone: ui.Warn,
			Text: "It was made for you outside of our price list. " + upperFirst(c.writeToUs()) + ", and we open what it includes.",
		}
	case row.Status == string(billing.StatusActive) && row.PauseBehavior == nil && !c.access.Level.Allows():
		s.text = "At the moment you can read everything, and change nothing."
		if c.access.Level == billing.AccessNone {
			s.text = "At the moment nothing of it is open to you."
		}
	}
}

func onItsWay() ui.Banner {
	return ui.Banner{
		Title: "Your payment is on its way", Tone: ui.Warn,
		Text: "Paying by bank takes up to a few days. There is nothing more to do; please do not order a second time.",
	}
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
	case row.PauseBehavior != nil:
		if row.PauseResumesAt != nil {
			add("Payments resume on", date(*row.PauseResumesAt), "")
		}
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

// holdings are the subscriptions of an organization as its page shows them.
type holdings struct {
	// current is the one that the page is about: the best that lives, else an
	// unfinished one, else the newest that has begun and ended, else one that
	// never began.
	current db.Subscription
	has     bool
	// others live beside it, newest first.
	others []db.Subscription
}

// best first, where several subscriptions live.
var statusOrder = []string{
	string(billing.StatusActive), string(billing.StatusTrialing), string(billing.StatusPastDue), string(billing.StatusUnpaid), string(billing.StatusPaused),
}

// held sorts the subscriptions of an organization, which come oldest first. Of
// several that live the best comes first: by status, then by plan, then the
// newest.
func (s *server) held(subscriptions []db.Subscription) holdings {
	var alive, unfinished, ended, expired []db.Subscription
	for _, row := range slices.Backward(subscriptions) {
		switch status := billing.Status(row.Status); {
		case status.IsLive():
			alive = append(alive, row)
		case status == billing.StatusIncomplete:
			unfinished = append(unfinished, row)
		case status == billing.StatusCanceled:
			ended = append(ended, row)
		default:
			expired = append(expired, row)
		}
	}
	slices.SortStableFunc(alive, func(a, b db.Subscription) int {
		return cmp.Or(
			cmp.Compare(slices.Index(statusOrder, a.Status), slices.Index(statusOrder, b.Status)),
			cmp.Compare(s.Plans.Rank(deref(b.Plan)), s.Plans.Rank(deref(a.Plan))),
		)
	})
	for _, rows := range [][]db.Subscription{alive, unfinished, ended, expired} {
		if len(rows) > 0 {
			return holdings{current: rows[0], has: true, others: alive[min(1, len(alive)):]}
		}
	}
	return holdings{}
}

// beside is what a subscription has beyond one of its plan: "5 times, and 1 more
// item". Empty: nothing.
func beside(quantity, items int64) string {
	var parts []string
	if quantity > 1 {
		parts = append(parts, count(quantity)+" times")
	}
	if items > 1 {
		parts = append(parts, "and "+plural(items-1, "more item", "more items"))
	}
	return strings.Join(parts, ", ")
}

// itemsOf is how many prices a subscription has.
func itemsOf(row db.Subscription) int64 {
	var facts billing.Facts
	if json.Unmarshal(row.Facts, &facts) != nil {
		return 0
	}
	return int64(len(facts.Items))
}

// stripesPage is an address that an object of Stripe's named, where it leads to
// Stripe or to the stand-in, and else empty: an event may say anything.
func (s *server) stripesPage(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return ""
	}
	isStripe := u.Scheme == "https" && strings.HasSuffix("."+u.Host, ".stripe.com")
	if isStripe || slices.Contains(s.FormOrigins, u.Scheme+"://"+u.Host) {
		return address
	}
	return ""
}
