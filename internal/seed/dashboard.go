package seed

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

// The rarer things of a year, a few of each: what banks do, and what the account's
// own people do in Stripe's dashboard, past the product.
const (
	// Refund gives Percent of the last payment back.
	Refund Kind = "refund"
	// AnswerDispute hands in Evidence for the charge that is disputed.
	AnswerDispute Kind = "answer_dispute"
	// ScheduleChange moves to another plan at the next renewal, by a schedule.
	ScheduleChange Kind = "schedule_change"
	// SecondSubscription gives a customer one more, as somebody does who does not
	// look what there is.
	SecondSubscription Kind = "second_subscription"
	// AgreePrice moves a customer to a price of their own, which no plan knows.
	AgreePrice Kind = "agree_price"
	// OfferTrial lets who has left try again, without a card, until it pauses.
	OfferTrial Kind = "offer_trial"
	// KeepUnpaid lets subscriptions stay that nobody pays, and EndUnpaid ends them
	// again from now on.
	KeepUnpaid Kind = "keep_unpaid"
	EndUnpaid  Kind = "end_unpaid"
)

// The cards of the rarer things.
var (
	// disputedCard pays, and its owner tells the bank that they know of nothing.
	disputedCard = Card{Number: "4000000000000259", Method: "pm_card_createDispute"}
	// bankAccount pays days later.
	bankAccount = Card{Number: "bank_debit_succeeds"}
)

// What Stripe takes as evidence for tests. https://stripe.com/docs/testing#evidence
const (
	winningEvidence = "winning_evidence"
	losingEvidence  = "losing_evidence"
)

// embellish adds the rarer things to lives that have gone quiet, so that nothing
// else of the year is told in another way for them. Where there is nobody whom
// something can happen to, it does not happen.
func embellish(lives []*life, r *rand.Rand) {
	order := make([]*life, len(lives))
	for i, at := range r.Perm(len(lives)) {
		order[i] = lives[at]
	}
	taken := map[*life]bool{}
	for _, happen := range []func(*life) bool{
		(*life).isRefundedInFull, (*life).losesDispute, (*life).agreesPrice, (*life).staysUnpaid, (*life).isOfferedTrial,
		(*life).paysByBank, (*life).followsSchedule, (*life).isSubscribedTwice, (*life).winsDispute, (*life).isRefundedInPart,
	} {
		for _, l := range order {
			if !taken[l] && happen(l) {
				taken[l] = true
				break
			}
		}
	}
}

// isQuiet reports whether the organization pays by the month, has nothing to its
// credit, and has a renewal after its last act that is over by the present.
func (l *life) isQuiet() (renewal time.Time, ok bool) {
	if len(l.acts) == 0 || l.role != free || l.isGone || !l.wasHere || l.hasCredit || l.interval != billing.Month {
		return time.Time{}, false
	}
	l.at = l.lastAct().Add(8 * day)
	renewal = l.renewal()
	return renewal, renewal.Add(20 * day).Before(l.present)
}

func (l *life) lastAct() time.Time { return l.acts[len(l.acts)-1].At }

func (l *life) isRefundedInFull() bool { return l.isRefunded(100) }
func (l *life) isRefundedInPart() bool { return l.isRefunded(40) }

func (l *life) isRefunded(percent int64) bool {
	renewal, ok := l.isQuiet()
	if ok {
		l.act(l.officeHours(renewal.Add(l.between(2*day, 5*day))), Act{Kind: Refund, Percent: percent})
	}
	return ok
}

func (l *life) losesDispute() bool { return l.disputes(losingEvidence) }
func (l *life) winsDispute() bool  { return l.disputes(winningEvidence) }

func (l *life) disputes(evidence string) bool {
	renewal, ok := l.isQuiet()
	if !ok {
		return false
	}
	l.act(renewal.Add(-l.between(day, 4*day)), Act{Kind: ReplaceCard, Card: disputedCard})
	answered := l.officeHours(renewal.Add(collectedAfter + l.between(4*day, 7*day)))
	l.act(answered, Act{Kind: AnswerDispute, Evidence: evidence})
	l.act(answered.Add(l.between(10*time.Minute, time.Hour)), Act{Kind: ReplaceCard, Card: goodCard})
	return true
}

func (l *life) agreesPrice() bool {
	renewal, ok := l.isQuiet()
	if ok = ok && l.plan == l.planAt(1); ok {
		l.act(l.officeHours(renewal.Add(l.between(2*day, 9*day))), Act{Kind: AgreePrice, Percent: 80})
	}
	return ok
}

func (l *life) followsSchedule() bool {
	renewal, ok := l.isQuiet()
	if ok = ok && l.plan == 0 && l.plan < len(l.plans)-1; ok {
		l.act(renewal.Add(-l.between(day, 6*day)), Act{Kind: ScheduleChange, Plan: l.plans[l.plan+1].Code, Interval: billing.Month})
	}
	return ok
}

func (l *life) isSubscribedTwice() bool {
	renewal, ok := l.isQuiet()
	if ok = ok && l.plan <= l.planAt(1); ok {
		l.act(l.officeHours(renewal.Add(l.between(2*day, 9*day))), Act{Kind: SecondSubscription, Plan: l.plans[0].Code, Interval: billing.Month})
	}
	return ok
}

// paysByBank changes how the first payment was made, of who paid at once and did
// nothing more before the bank had answered.
func (l *life) paysByBank() bool {
	const answered = 6 * day
	if l.role != free || len(l.acts) < 3 || l.acts[1].Kind != StartCheckout || l.acts[2].Kind != Pay {
		return false
	}
	first := l.acts[2]
	isTrial := slices.ContainsFunc(l.plans, func(p billing.Plan) bool { return p.Code == l.acts[1].Plan && p.TrialDays > 0 })
	next := l.present
	if len(l.acts) > 3 {
		next = l.acts[3].At
	}
	ok := !isTrial && first.Card == goodCard && first.At.Add(answered).Before(next)
	if ok {
		l.acts[2].Card = bankAccount
	}
	return ok
}

// staysUnpaid is for who has left because their card failed at every retry.
func (l *life) staysUnpaid() bool {
	const before = 30 * time.Minute
	ok := len(l.acts) > 0 && l.role == free && l.isGone && !l.lostAt.IsZero() && l.lostAt.Add(3*day).Before(l.present) && l.lostAt.After(l.lastAct())
	if ok {
		l.act(l.lostAt.Add(-before), Act{Kind: KeepUnpaid})
		l.act(l.lostAt.Add(before), Act{Kind: EndUnpaid})
	}
	return ok
}

// isOfferedTrial is for who has left of their own will.
func (l *life) isOfferedTrial() bool {
	at := l.present.Add(-l.between(16*day, 25*day))
	ok := len(l.acts) > 0 && l.role == free && l.isGone && l.wasHere && l.lostAt.IsZero() && l.goneAt.Add(3*day).Before(at) && l.lastAct().Before(at)
	if ok {
		l.act(l.officeHours(at), Act{Kind: OfferTrial, Plan: l.plans[l.planAt(1)].Code, Interval: billing.Month})
	}
	return ok
}

// doRarely does what most organizations never see.
func (l *living) doRarely(ctx context.Context, m *member, a Act) error {
	switch a.Kind {
	case Refund:
		return l.refund(ctx, m, a)
	case AnswerDispute:
		return l.answerDispute(ctx, m, a)
	case ScheduleChange:
		return l.scheduleChange(ctx, m, a)
	case SecondSubscription:
		return l.subscribeAgain(ctx, m, a)
	case AgreePrice:
		return l.agreePrice(ctx, m, a)
	case OfferTrial:
		return l.Stripe.post(ctx, "/v1/subscriptions", url.Values{
			"customer": {m.customer}, "items[0][price]": {l.priceOf(a)}, "trial_period_days": {"14"},
			"trial_settings[end_behavior][missing_payment_method]": {"pause"},
		}, nil)
	case KeepUnpaid:
		return l.Stripe.setAfterRetries(ctx, "unpaid")
	case EndUnpaid:
		return l.Stripe.setAfterRetries(ctx, "cancel")
	default:
		return fmt.Errorf("nobody knows how to do %q", a.Kind)
	}
}

func (l *living) priceOf(a Act) string {
	return l.Payments.Sold[payments.Offer{Plan: a.Plan, Interval: a.Interval}]
}

type charge struct {
	ID       string
	Amount   int64
	Status   string
	Disputed bool
}

// lastCharge is the newest of the customer's that the condition holds for.
func (l *living) lastCharge(ctx context.Context, m *member, is func(charge) bool) (charge, error) {
	var list struct{ Data []charge }
	if err := l.Stripe.get(ctx, "/v1/charges?limit=20&customer="+m.customer, &list); err != nil {
		return charge{}, err
	}
	for _, c := range list.Data {
		if c.Status == "succeeded" && is(c) {
			return c, nil
		}
	}
	return charge{}, fmt.Errorf("customer %s has no such charge", m.customer)
}

func (l *living) refund(ctx context.Context, m *member, a Act) error {
	last, err := l.lastCharge(ctx, m, func(charge) bool { return true })
	if err != nil {
		return err
	}
	return l.Stripe.post(ctx, "/v1/refunds", url.Values{
		"charge": {last.ID}, "amount": {strconv.FormatInt(last.Amount*a.Percent/100, 10)}, "reason": {"requested_by_customer"},
	}, nil)
}

func (l *living) answerDispute(ctx context.Context, m *member, a Act) error {
	disputed, err := l.lastCharge(ctx, m, func(c charge) bool { return c.Disputed })
	if err != nil {
		return err
	}
	var list struct{ Data []struct{ ID string } }
	if err := l.Stripe.get(ctx, "/v1/disputes?charge="+disputed.ID, &list); err != nil {
		return err
	}
	if len(list.Data) != 1 {
		return fmt.Errorf("charge %s has %d disputes, not one", disputed.ID, len(list.Data))
	}
	return l.Stripe.post(ctx, "/v1/disputes/"+list.Data[0].ID, url.Values{"evidence[uncategorized_text]": {a.Evidence}}, nil)
}

// scheduleChange lets the present phase run out, and the other plan follow.
func (l *living) scheduleChange(ctx context.Context, m *member, a Act) error {
	var schedule struct {
		ID     string
		Phases []struct {
			Start int64 `json:"start_date"`
			End   int64 `json:"end_date"`
			Items []struct{ Price string }
		}
	}
	if err := l.Stripe.post(ctx, "/v1/subscription_schedules", url.Values{"from_subscription": {m.subscription}}, &schedule); err != nil {
		return err
	}
	now := schedule.Phases[0]
	return l.Stripe.post(ctx, "/v1/subscription_schedules/"+schedule.ID, url.Values{
		"phases[0][start_date]":      {strconv.FormatInt(now.Start, 10)},
		"phases[0][end_date]":        {strconv.FormatInt(now.End, 10)},
		"phases[0][items][0][price]": {now.Items[0].Price},
		"phases[1][items][0][price]": {l.priceOf(a)},
		"phases[1][iterations]":      {"12"},
	}, nil)
}

func (l *living) subscribeAgain(ctx context.Context, m *member, a Act) error {
	var subscription struct {
		Method string `json:"default_payment_method"`
	}
	if err := l.Stripe.get(ctx, "/v1/subscriptions/"+m.subscription, &subscription); err != nil {
		return err
	}
	return l.Stripe.post(ctx, "/v1/subscriptions", url.Values{
		"customer": {m.customer}, "items[0][price]": {l.priceOf(a)}, "default_payment_method": {subscription.Method},
	}, nil)
}

// agreePrice makes a price for one customer, of a product that says nothing of
// plans, at Percent of what they pay.
func (l *living) agreePrice(ctx context.Context, m *member, a Act) error {
	var subscription struct {
		Items struct {
			Data []struct {
				ID    string
				Price struct {
					Currency string
					Amount   int64 `json:"unit_amount"`
				}
			}
		}
	}
	if err := l.Stripe.get(ctx, "/v1/subscriptions/"+m.subscription, &subscription); err != nil {
		return err
	}
	item := subscription.Items.Data[0]
	var agreed struct{ ID string }
	if err := l.Stripe.post(ctx, "/v1/prices", url.Values{
		"product_data[name]":  {"Agreement with " + l.nameOf(a)},
		"currency":            {item.Price.Currency},
		"unit_amount":         {strconv.FormatInt(item.Price.Amount*a.Percent/100, 10)},
		"recurring[interval]": {"month"},
	}, &agreed); err != nil {
		return err
	}
	return l.updateSubscription(ctx, m, url.Values{
		"items[0][id]": {item.ID}, "items[0][price]": {agreed.ID}, "proration_behavior": {"none"},
	})
}

// setAfterRetries is the page of Stripe's dashboard that says what becomes of a
// subscription whose last retry has failed.
func (s Stripe) setAfterRetries(ctx context.Context, choice string) error {
	body, err := json.Marshal(map[string]string{"after_retries": choice})
	if err != nil {
		return fmt.Errorf("encode setting: %w", err)
	}
	return s.call(ctx, http.MethodPost, "/sim/settings", "application/json", strings.NewReader(string(body)), nil)
}
