package handlers

import (
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/billing"
)

// explanation is how an answer comes about, for whoever has to explain it. It
// tells no amounts.
type explanation struct {
	Rule          string                  `json:"rule"`
	Subscriptions []explainedSubscription `json:"subscriptions"`
}

type explainedSubscription struct {
	ID       string  `json:"id"`
	Customer string  `json:"customer"`
	Plan     *string `json:"plan"`
	Price    *string `json:"price"`
	// IsRemembered: no price of it means a plan, and the plan is the one that it
	// had before.
	IsRemembered bool   `json:"planIsRemembered"`
	Status       string `json:"status"`
	// Since is when the status began.
	Since *time.Time `json:"since"`
	// Decides: the organization's level is this subscription's.
	Decides bool   `json:"decides"`
	Access  string `json:"access"`
	Reason  string `json:"reason"`
	Rule    string `json:"rule"`
	// Until is when this subscription's part changes by itself, Then what holds
	// from there on, in order.
	Until *time.Time      `json:"until"`
	Then  []explainedStep `json:"then"`
	// AsOf is when Stripe said so; IsKnown is false where Stripe no longer knows
	// the subscription.
	AsOf    time.Time      `json:"asOf"`
	IsKnown bool           `json:"isKnownAtStripe"`
	Facts   explainedFacts `json:"facts"`
}

type explainedStep struct {
	From   time.Time `json:"from"`
	Access string    `json:"access"`
	Reason string    `json:"reason"`
	Rule   string    `json:"rule"`
}

// explainedFacts are what the rules look at.
type explainedFacts struct {
	TrialEnd      *time.Time `json:"trialEnd"`
	PeriodEnd     *time.Time `json:"periodEnd"`
	EndsAt        *time.Time `json:"endsAt"`
	HasPaid       bool       `json:"hasPaid"`
	PastDueSince  *time.Time `json:"pastDueSince"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
	Pause         *string    `json:"pause"`
	// PausedFrom is the end of the period in which the pause began.
	PausedFrom *time.Time `json:"pausedFrom"`
	ResumesAt  *time.Time `json:"resumesAt"`
}

// accessRules is the table of access in sentences, by the reason that an answer
// gives.
var accessRules = map[string]string{
	billing.ReasonTrialing:          "A trial gives full access until it ends; while Stripe cannot be asked how it ended, for 7 days more.",
	billing.ReasonActive:            "An active subscription gives full access, also where its end is scheduled or nothing is charged; while Stripe cannot be asked, until 7 days after something should have happened.",
	billing.ReasonPaymentFailed:     "While payment fails access goes on for 14 days, and longer while the oldest open invoice is tried again; for 3 days where nothing was ever paid.",
	billing.ReasonGraceOver:         "Payment has failed for longer than access goes on without: everything can be read.",
	billing.ReasonCollectionPaused:  "Invoices are voided while payments are paused: from the end of the paid period on everything can be read.",
	billing.ReasonUnpaid:            "Stripe has given up collecting: everything can be read.",
	billing.ReasonPaused:            "The trial ended without a way to pay: everything can be read.",
	billing.ReasonNotConfirmed:      "Stripe could not be asked for 7 days after something should have happened: everything can be read.",
	billing.ReasonPaymentIncomplete: "The first payment was not made.",
	billing.ReasonCanceled:          "The subscription has ended.",
	billing.ReasonUnknownPrice:      "Nothing says which plan the price means, and the subscription never had one: name the plan in the metadata of the product at Stripe.",
	billing.ReasonUnknownStatus:     "Stripe gives a status that we do not know.",
	billing.ReasonNoSubscription:    "There is no subscription.",
}

const combined = "The subscription that gives most decides the level; each feature is had if any subscription in use has it, and each limit is the largest of these."

// explain works every subscription's part out again from what is known of it.
func (s *server) explain(c echo.Context, orgID uuid.UUID, now time.Time) (*explanation, error) {
	parts, err := s.Payments.Explain(c.Request().Context(), orgID, now)
	if err != nil {
		return nil, err
	}
	out := &explanation{Rule: combined, Subscriptions: []explainedSubscription{}}
	if len(parts) == 0 {
		out.Rule = accessRules[billing.ReasonNoSubscription]
	}
	for _, p := range parts {
		access, facts := p.Course.At(now), p.Standing.Facts
		e := explainedSubscription{
			ID: p.ID, Customer: p.CustomerID, Plan: orNull(p.Standing.Plan), Price: orNull(p.PriceID), IsRemembered: p.IsRemembered, Status: string(facts.Status),
			Since: orNull(p.Since), Decides: p.Decides, Access: string(access.Level), Reason: access.Reason, Rule: accessRules[access.Reason],
			Until: orNull(access.Until), Then: []explainedStep{}, AsOf: p.Standing.AsOf.UTC(), IsKnown: p.IsVerified,
			Facts: explainedFacts{
				TrialEnd: orNull(facts.TrialEnd.Time()), PeriodEnd: orNull(p.Standing.PeriodEnd.UTC()), EndsAt: orNull(facts.EndsAt.Time()),
				HasPaid: p.Standing.HasPaid,
			},
		}
		if facts.Status == billing.StatusPastDue {
			e.Facts.PastDueSince, e.Facts.NextAttemptAt = orNull(p.Standing.PastDueSince.UTC()), orNull(p.Standing.NextAttemptAt.UTC())
		}
		if pause := facts.Pause; pause != nil {
			e.Facts.Pause, e.Facts.PausedFrom, e.Facts.ResumesAt = &pause.Behavior, orNull(p.Standing.PausedPeriodEnd.UTC()), orNull(pause.ResumesAt.Time())
		}
		for _, step := range p.Course {
			if step.From.After(now) {
				e.Then = append(e.Then, explainedStep{step.From.UTC(), string(step.Level), step.Reason, accessRules[step.Reason]})
			}
		}
		out.Subscriptions = append(out.Subscriptions, e)
	}
	return out, nil
}
