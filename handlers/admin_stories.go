package handlers

import (
	"slices"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

func (s *server) stories(list []reports.Story) []views.Story {
	out := make([]views.Story, len(list))
	for i, story := range list {
		newest := story.Newest()
		told := s.inOneLine(story)
		told.When = instant(newest.At, "2 Jan, 15:04")
		switch {
		case newest.OrgID != nil:
			told.Who, told.WhoHref = newest.OrgName, organizationPath(newest.OrgID.String())
		case newest.StripeCustomerID != "":
			told.Who, told.WhoHref = newest.StripeCustomerID, organizationPath(newest.StripeCustomerID)
		default:
			told.Who = "Nobody we know"
		}
		out[i] = told
	}
	return out
}

// organizationPath is the page of an organization, or of a Stripe customer that
// none owns.
func organizationPath(id string) string { return "/admin/billing/organizations/" + id }

// inOneLine says what several events at one time amount to. Money is shown where
// some was asked for, once.
func (s *server) inOneLine(story reports.Story) views.Story {
	has := func(kind string) bool { _, ok := story.Find(kind); return ok }
	plan, sold := s.planOf(story)
	told := views.Story{}
	paid, isPaid := story.Find("payment_succeeded")
	failed, isFailed := story.Find("payment_failed")
	isWrittenOff, isVoided := has("invoice_marked_uncollectible"), has("invoice_voided")
	switch {
	case isPaid:
		told.Amount = amountOf(paid)
	case isFailed:
		told.Amount = amountOf(failed)
	case isWrittenOff || isVoided:
		told.Amount = amountOf(story.Newest())
	}
	if s.moneyBack(&told, story, plan) {
		return told
	}
	change, isChange := story.Find("plan_changed")
	end, isEnd := story.Find("subscription_canceled")
	switch {
	case isEnd && (end.FromStatus == billing.StatusPastDue || end.FromStatus == billing.StatusUnpaid):
		told.What, told.Tone = plan+" ended after failed payments", ui.Bad
	case isEnd && end.FromStatus == billing.StatusTrialing:
		told.What, told.Tone = "Trial of "+plan+" ended without a purchase", ui.Warn
	case isEnd:
		told.What, told.Tone = plan+" ended", ui.Warn
	case has("trial_started"):
		told.What = "Started a trial of " + sold
	case has("subscription_created") && (isPaid || has("subscription_activated")):
		told.What, told.Tone = "Bought "+sold, ui.Good
	case has("subscription_unpaid"):
		told.What, told.Tone = plan+" is unpaid, retries are over", ui.Bad
	case isWrittenOff && !isPaid:
		told.What, told.Tone = "Invoice written off for "+plan, ui.Bad
	case isVoided:
		told.What = "Invoice voided for " + plan
	case isFailed:
		told.What, told.Tone = "Payment failed for "+plan, ui.Bad
	case has("subscription_recovered"):
		told.What, told.Tone = "Paid for "+plan+" after a failure", ui.Good
	case has("subscription_activated"):
		told.What, told.Tone = "Trial of "+plan+" became a subscription", ui.Good
	case isChange:
		told.What = s.changeInWords(change)
	case has("cancellation_scheduled"):
		told.What, told.Tone = plan+" will end with the period", ui.Warn
	case has("trial_converted"):
		told.What, told.Tone = "Paid for "+plan+" after the trial", ui.Good
	case isPaid && paid.BillingReason == "subscription_cycle":
		told.What = "Renewed " + sold
	case isPaid:
		told.What = "Paid for " + plan
	default:
		newest := story.Newest()
		told.What, told.Tone = happening(newest.Kind, reports.EventDetails{Status: newest.Outcome}), eventTones[newest.Kind]
		if movesMoney[newest.Kind] {
			told.Amount = amountOf(newest)
		}
		if newest.Plan != "" {
			told.What += ": " + plan
		}
	}
	told.What = upperFirst(told.What)
	return told
}

// moneyBack tells of disputes and refunds, which are graver than whatever else
// happened at that time.
func (s *server) moneyBack(told *views.Story, story reports.Story, plan string) bool {
	_, isEnd := story.Find("subscription_canceled")
	if e, ok := story.Find("dispute_closed"); ok {
		told.What, told.Amount, told.Mark = happening(e.Kind, reports.EventDetails{Status: e.Outcome})+" about "+plan, amountOf(e), views.MarkDispute
		return true
	}
	if e, ok := story.Find("dispute_opened"); ok {
		told.What, told.Amount, told.Mark = "Payment for "+plan+" disputed", amountOf(e), views.MarkDispute
		return true
	}
	if e, ok := story.Find("refund_failed"); ok {
		told.What, told.Amount, told.Mark = "Refund for "+plan+" failed", amountOf(e), views.MarkRefund
		return true
	}
	e, ok := story.Find("refund")
	if !ok {
		return false
	}
	told.What, told.Mark = "Money given back for "+plan, views.MarkRefund
	if isEnd {
		told.What = upperFirst(plan) + " ended, and money was given back"
	}
	if told.Amount = amountOf(e); told.Amount != "" {
		told.Amount = "−" + told.Amount
	}
	return true
}

// planOf names the plan that a story is about, and how it is sold: "Pro" and
// "Pro, monthly".
func (s *server) planOf(story reports.Story) (plan, sold string) {
	for _, e := range slices.Backward(story.Events) {
		p, ok := s.Plans.ByCode(e.Plan)
		if !ok {
			continue
		}
		if interval := intervalNames[e.Interval]; interval != "" {
			return p.Name, p.Name + ", " + lowerFirst(interval)
		}
		return p.Name, p.Name
	}
	return "a subscription", "a subscription"
}

func (s *server) changeInWords(e reports.Event) string {
	from, knowsFrom := s.Plans.ByCode(e.FromPlan)
	to, knowsTo := s.Plans.ByCode(e.Plan)
	switch {
	case !knowsFrom || !knowsTo:
		return "Changed the plan"
	case from.Code == to.Code:
		return to.Name + " is now billed " + lowerFirst(intervalNames[e.Interval])
	}
	return "Changed from " + from.Name + " to " + to.Name
}

func amountOf(e reports.Event) string {
	if e.AmountMinor == nil || e.Currency == "" {
		return ""
	}
	return money.Format(*e.AmountMinor, e.Currency)
}
