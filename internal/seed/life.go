package seed

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/billing"
)

const day = 24 * time.Hour

// Stripe's schedule at the stand-in: an invoice is collected an hour after the
// renewal, and retried so long after each attempt.
const (
	collectedAfter = time.Hour
	firstRetry     = 3 * day
	secondRetry    = 5 * day
	lastRetry      = 7 * day
)

// What becomes of customers, as shares of those it can happen to.
const (
	neverAsks      = 0.02 // sign up, and that is all
	neverPays      = 0.03 // leave the checkout and do not come back
	leavesCheckout = 0.12 // leave it and come back days later
	isDeclinedAt   = 0.10 // try another card first
	paysByYear     = 0.22
	cautiousBank   = 16 // every sixteenth has a bank that asks at the checkout

	trialIsLeft   = 0.16
	trialFails    = 0.12
	mendsTrial    = 0.45
	withdraws     = 0.25 // of those who have said that they leave
	returns       = 0.33 // of those who have left
	noticesInTime = 0.15 // that a card expires, so that nothing fails
	// failuresAMonth is of all organizations.
	failuresAMonth = 0.02

	// These are for a month.
	upgrades     = 0.060
	downgrades   = 0.018
	turnsYearly  = 0.020
	turnsMonthly = 0.010
	leaves       = 0.026
	leavesYearly = 0.012
	leavesNow    = 0.005
	cardFails    = 0.070
	hardTimes    = 6   // times as many leave in the hard month
	hesitates    = 0.7 // of those who would have come in its wake
)

// hardAfter is how long after someone has said so that a subscription ends, on
// average: that late the hard month is felt.
const hardAfter = 15 * day

// preference is how many of a hundred buy each plan, the cheapest first.
var preference = []int{44, 40, 16}

// company is what the lives have in common. Each is drawn by itself, but what
// befalls cards is dealt out: in a company of sixty, chance alone would leave
// months in which nothing fails, and years in which nobody recovers.
type company struct {
	customers int
	// failures are the renewals that fail, by the month in which they do.
	failures map[time.Time]int
}

// strain is how many times as likely as usual another renewal of the month
// fails: while few have, more.
func (c *company) strain(renewal time.Time) float64 {
	usual := failuresAMonth * float64(c.customers)
	share := float64(c.failures[monthOf(renewal)]) / usual
	return 6 / (1 + 6*share*share)
}

// fails notes a renewal that fails, and decides what becomes of it: of each
// month's first three, all but the second are paid in the end, and so on. Who
// pays most is called, and pays.
func (c *company) fails(renewal time.Time, isDearest bool) (recovers bool) {
	month := monthOf(renewal)
	c.failures[month]++
	return isDearest || c.failures[month]%3 != 2
}

// life tells what one organization does. It knows when things fall due, as a
// customer would who reads the billing page, and leaves to Stripe what does.
type life struct {
	rand  *rand.Rand
	org   int
	plans []billing.Plan
	start time.Time
	// present is when it must stop.
	present time.Time
	hard    span
	company *company

	at       time.Time // how far it is told
	plan     int
	interval billing.Interval
	anchor   time.Time // renewals count from here
	isGone   bool
	wasHere  bool // has had a subscription, so no trial any more
	// hasCredit: Stripe owes the rest of a dearer plan, which pays renewals, so
	// that no card can fail. It stays with the customer.
	hasCredit bool
	// hasFailed: a renewal has, which happens to nobody twice.
	hasFailed bool
	acts      []Act

	role role
	// goneAt is when the last subscription ended, of one who is gone, and lostAt
	// the last retry where it ended for want of a payment.
	goneAt, lostAt time.Time
}

func (l *life) tell(r role, i, of int) {
	l.role = r
	switch r {
	case onTrial:
		l.at = l.present.Add(-l.between(4*day, 6*day))
		l.signUp()
		l.plan, l.interval = l.trialPlan(), billing.Month
		l.checkout(goodCard)
	case atCheckout:
		l.at = l.present.Add(-l.between(1*time.Hour, 3*time.Hour))
		l.signUp()
		l.plan, l.interval = l.choosePlan(), billing.Month
		l.startCheckout()
	case onFailingTrial:
		l.at = l.present.Add(-l.between(8*day, 10*day))
		l.signUp()
		l.plan, l.interval = l.trialPlan(), billing.Month
		l.checkout(l.failingCard())
	case inRetry:
		renewal := l.beginAnchoredTo(l.planAt(1), l.present.Add(-l.between(50*time.Hour, 64*time.Hour)))
		l.act(renewal.Add(-l.between(5*day, 9*day)), Act{Kind: ReplaceCard, Card: l.failingCard()})
	case inLastRetry:
		renewal := l.beginAnchoredTo(l.trialPlan(), l.present.Add(-l.between(9*day, 11*day)))
		l.act(renewal.Add(-l.between(3*day, 9*day)), Act{Kind: ReplaceCard, Card: l.failingCard()})
	case mended:
		renewal := l.beginAnchoredTo(l.planAt(1), l.present.Add(-l.between(26*time.Hour, 40*time.Hour)))
		l.act(renewal.Add(-l.between(5*day, 9*day)), Act{Kind: ReplaceCard, Card: l.failingCard()})
		l.act(renewal.Add(collectedAfter+l.between(4*time.Hour, 20*time.Hour)), Act{Kind: ReplaceCard, Card: goodCard})
	case mendedLate:
		renewal := l.beginAnchoredTo(l.planAt(2), l.present.Add(-l.between(5*day, 7*day)))
		l.act(renewal.Add(-l.between(5*day, 9*day)), Act{Kind: ReplaceCard, Card: l.failingCard()})
		l.act(renewal.Add(collectedAfter+firstRetry+l.between(4*time.Hour, 40*time.Hour)), Act{Kind: ReplaceCard, Card: goodCard})
	case failsSoon:
		l.beginAnchoredTo(l.planAt(1), l.present.Add(l.between(20*day, 25*day)))
		l.act(l.present.Add(-l.between(10*time.Hour, 30*time.Hour)), Act{Kind: ReplaceCard, Card: l.failingCard()})
	case leaving:
		renewal := l.beginAnchoredTo(l.planAt(1), l.present.Add(-l.between(9*day, 12*day)))
		l.act(renewal.Add(l.between(2*day, 5*day)), l.goodbye(CancelAtEnd))
	case free:
		// The last days belong to those with roles.
		signUps := span{from: l.start.Add(2 * time.Hour), to: l.present.Add(-3 * day)}
		l.at = l.officeHours(signUpAt(signUps, (float64(i)+l.rand.Float64())/float64(of)))
		if l.at.Before(signUps.from) {
			l.at = signUps.from
		}
		// What drives customers away keeps others from coming, for a while.
		if l.hard.has(l.at.Add(-hardAfter)) && l.chance(hesitates) {
			l.at = l.officeHours(l.at.Add(l.between(30*day, 60*day)))
		}
		l.liveFreely()
	}
}

// beginAnchoredTo buys the plan by the month so long ago that, after its trial
// if it has one, a renewal falls on the moment or, for want of such a day in its
// month, a little earlier. It returns that renewal.
func (l *life) beginAnchoredTo(plan int, renewal time.Time) time.Time {
	const toPay = 10 * time.Minute // after the sign-up, about
	trial := time.Duration(l.plans[plan].TrialDays) * day
	months := 1
	for months < 5 && addMonths(renewal, -months-1).Add(-trial-day).After(l.start) {
		months++
	}
	l.at = addMonths(renewal, -months).Add(-trial - toPay)
	l.signUp()
	l.plan, l.interval = plan, billing.Month
	l.checkout(goodCard)
	l.anchor = l.at.Add(trial)
	return addMonths(l.anchor, months)
}

func (l *life) liveFreely() {
	l.signUp()
	switch {
	case l.chance(neverAsks):
		return
	case l.chance(neverPays):
		l.plan, l.interval = l.choosePlan(), l.chooseInterval()
		l.startCheckout()
		return
	}
	l.plan, l.interval = l.choosePlan(), l.chooseInterval()
	if l.chance(leavesCheckout) {
		l.startCheckout()
		l.at = l.officeHours(l.at.Add(l.between(2*day, 9*day)))
	}
	l.begin()
	for !l.isGone && l.at.Before(l.present) {
		l.month()
	}
}

func (l *life) signUp() {
	l.act(l.at, Act{Kind: SignUp})
	l.at = l.at.Add(l.between(2*time.Minute, 7*time.Minute))
}

func (l *life) startCheckout() {
	l.act(l.at, Act{Kind: StartCheckout, Plan: l.plans[l.plan].Code, Interval: l.interval})
}

// checkout buys the plan with the card.
func (l *life) checkout(card Card) {
	l.startCheckout()
	l.at = l.at.Add(l.between(time.Minute, 3*time.Minute))
	if l.chance(isDeclinedAt) {
		declined := declinedCard
		if l.chance(0.5) {
			declined = emptyCard
		}
		l.act(l.at, Act{Kind: TryCard, Card: declined})
		l.at = l.at.Add(l.between(time.Minute, 2*time.Minute))
	}
	if card == goodCard && l.org%cautiousBank == cautiousBank-1 {
		card = confirmedCard
	}
	l.act(l.at, Act{Kind: Pay, Card: card})
	l.anchor = l.at
}

// begin buys, and goes through the trial where there is one.
func (l *life) begin() {
	trial := l.plans[l.plan].TrialDays
	if l.wasHere || trial == 0 {
		l.wasHere = true
		l.checkout(goodCard)
		l.at = l.at.Add(time.Hour)
		return
	}
	l.wasHere = true
	fate := l.rand.Float64()
	fails := fate < trialFails && l.isOver(l.at.AddDate(0, 0, trial+1))
	card := goodCard
	if fails {
		card = l.failingCard()
	}
	l.checkout(card)
	l.anchor = l.at.AddDate(0, 0, trial)
	switch {
	case fails:
		l.dun(l.anchor, l.chance(mendsTrial))
	case fate >= trialFails && fate < trialFails+trialIsLeft:
		moment := l.officeHours(l.at.Add(l.between(3*day, time.Duration(trial-2)*day)))
		if l.chance(0.3) {
			l.act(moment, l.goodbye(CancelNow))
			l.leave(moment)
			return
		}
		l.act(moment, l.goodbye(CancelAtEnd))
		l.leave(l.anchor)
	default:
		l.at = l.anchor.Add(2 * time.Hour)
	}
}

// month is at most one thing that happens until the next renewal, or within a
// month of a yearly plan.
func (l *life) month() {
	end := l.renewal()
	if month := addMonths(l.at, 1); month.Before(end) {
		end = month
	}
	if end.Sub(l.at) < 8*day {
		l.at = end.Add(2 * time.Hour)
		return
	}
	moment := l.officeHours(l.at.Add(l.between(2*day, end.Sub(l.at)-5*day)))
	isYearly := l.interval == billing.Year
	leaves, leavesNow := leaves, leavesNow
	if isYearly {
		leaves = leavesYearly
	}
	if l.hard.has(moment) {
		leaves, leavesNow = leaves*hardTimes, leavesNow*hardTimes
	}
	fate := l.rand.Float64()
	happens := func(share float64) bool { fate -= share; return fate < 0 }
	switch {
	case happens(leaves):
		l.act(moment, l.goodbye(CancelAtEnd))
		if !l.chance(withdraws) {
			l.leave(l.renewal())
			return
		}
		l.act(l.officeHours(moment.Add(l.between(day, 3*day))), Act{Kind: WithdrawAtEnd})
	case happens(leavesNow):
		l.act(moment, l.goodbye(CancelNow))
		l.leave(moment)
		return
	case happens(upgrades) && l.plan < len(l.plans)-1:
		l.change(moment, l.plan+1, l.interval)
	case happens(downgrades) && l.plan > 0:
		l.change(moment, l.plan-1, l.interval)
		l.hasCredit = true
	case happens(turnsYearly) && !isYearly:
		l.change(moment, l.plan, billing.Year)
	case happens(turnsMonthly) && isYearly:
		l.change(moment, l.plan, billing.Month)
		l.hasCredit = true
	case l.mayFail(isYearly) && happens(cardFails*l.company.strain(l.renewal())):
		l.act(moment, Act{Kind: ReplaceCard, Card: l.failingCard()})
		if l.chance(noticesInTime) {
			l.act(l.renewal().Add(-l.between(time.Hour, day)), Act{Kind: ReplaceCard, Card: goodCard})
			break
		}
		l.hasFailed = true
		l.dun(l.renewal(), l.company.fails(l.renewal(), l.plan == len(l.plans)-1))
		return
	}
	l.at = end.Add(2 * time.Hour)
}

// change moves to another plan or interval; with another interval the periods
// count from now on.
func (l *life) change(at time.Time, plan int, interval billing.Interval) {
	l.act(at, Act{Kind: ChangePlan, Plan: l.plans[plan].Code, Interval: interval})
	if interval != l.interval {
		l.anchor = at
	}
	l.plan, l.interval = plan, interval
}

// mayFail reports whether the card may fail at the next renewal: there is
// something to pay then, and it is settled by the present.
func (l *life) mayFail(isYearly bool) bool {
	return !isYearly && !l.hasCredit && !l.hasFailed && l.isOver(l.renewal())
}

// isOver reports whether a renewal that fails is settled by the present, one
// way or the other. After that nobody acts any more, so that all would be lost.
func (l *life) isOver(renewal time.Time) bool {
	return renewal.Add(collectedAfter + firstRetry + secondRetry + lastRetry).Before(l.present)
}

// dun is what follows from a card that does not pay at the renewal: mended while
// Stripe retries, paid by hand, or never.
func (l *life) dun(renewal time.Time, recovers bool) {
	failed := renewal.Add(collectedAfter)
	if !recovers {
		last := failed.Add(firstRetry + secondRetry + lastRetry)
		l.leave(last)
		if l.isGone {
			l.lostAt = last
		}
		return
	}
	mended := Act{Kind: ReplaceCard, Card: goodCard}
	switch l.rand.IntN(4) {
	case 0, 1: // another card, with which the next retry succeeds
		l.act(failed.Add(l.between(4*time.Hour, firstRetry-time.Hour)), mended)
	case 2: // the card works again, which shows at the second retry
		l.act(failed.Add(firstRetry+secondRetry-l.between(time.Hour, 4*time.Hour)), mended)
	default: // the mail is read, and the invoice paid by hand
		at := failed.Add(firstRetry + l.between(4*time.Hour, secondRetry-time.Hour))
		l.act(at, mended)
		l.act(at.Add(l.between(time.Minute, 5*time.Minute)), Act{Kind: PayInvoice})
	}
	l.at = failed.Add(firstRetry + secondRetry + time.Hour)
}

// leave ends the subscription; some come back after months.
func (l *life) leave(at time.Time) {
	if !l.chance(returns) {
		l.isGone, l.goneAt = true, at
		return
	}
	l.at = l.officeHours(at.Add(l.between(40*day, 120*day)))
	l.interval = l.chooseInterval()
	l.begin()
}

// renewal is the first one after the moment that the life is told to.
func (l *life) renewal() time.Time {
	step := 1
	if l.interval == billing.Year {
		step = 12
	}
	for n := 0; ; n += step {
		if at := addMonths(l.anchor, n); at.After(l.at) {
			return at
		}
	}
}

// failingCard is the card of the organization that does not pay.
func (l *life) failingCard() Card { return failingCards[l.org%len(failingCards)] }

// act adds an act, unless it lies beyond the present.
func (l *life) act(at time.Time, a Act) {
	if a.At, a.Org = at.Truncate(time.Second), l.org; a.At.Before(l.present) {
		l.acts = append(l.acts, a)
	}
}

// reasons are what leaving customers tell, with Stripe's word for it.
var reasons = []struct{ feedback, comment string }{
	{"too_expensive", "We like it, but the budget for next quarter is gone."},
	{"too_expensive", ""},
	{"missing_features", "We need single sign-on and cannot wait for it."},
	{"missing_features", ""},
	{"unused", "The project that we had it for has ended."},
	{"unused", ""},
	{"switched_service", "Our parent company has a contract with someone else."},
	{"too_complex", ""},
	{"other", "We are closing down. Thank you for everything."},
	{"low_quality", ""},
}

func (l *life) goodbye(kind Kind) Act {
	why := reasons[l.rand.IntN(len(reasons))]
	return Act{Kind: kind, Feedback: why.feedback, Comment: why.comment}
}

func (l *life) choosePlan() int {
	n := l.rand.IntN(100)
	for i, share := range preference {
		if n -= share; n < 0 && i < len(l.plans) {
			return i
		}
	}
	return len(l.plans) - 1
}

// planAt is the plan in that place of the price list, or the dearest before it.
func (l *life) planAt(i int) int { return min(i, len(l.plans)-1) }

// trialPlan is the first plan with a trial; without any, the first plan.
func (l *life) trialPlan() int {
	return max(0, slices.IndexFunc(l.plans, func(p billing.Plan) bool { return p.TrialDays > 0 }))
}

func (l *life) chooseInterval() billing.Interval {
	if l.chance(paysByYear) {
		return billing.Year
	}
	return billing.Month
}

func (l *life) chance(share float64) bool { return l.rand.Float64() < share }

// between is a duration of at least from and less than to, or from where there
// is no room.
func (l *life) between(from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(l.rand.Int64N(int64(to-from)))
}

// officeHours is a moment of the same day at which people work.
func (l *life) officeHours(t time.Time) time.Time {
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return midnight.Add(7*time.Hour + l.between(0, 11*time.Hour))
}
