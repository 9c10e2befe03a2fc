package analytics

import (
	"math/big"
	"slices"

	"github.com/promptforge/payments/internal/money"
)

// Unit is what a figure is counted in.
type Unit string

// The units. Money is in micro-units of the currency's minor unit; a ratio of
// 0.05 is shown as 5.0 %, a quotient as it is.
const (
	Money    Unit = "money"
	Count    Unit = "count"
	Ratio    Unit = "ratio"
	Quotient Unit = "quotient"
)

// Value is a figure, exact. The zero Value is undefined.
type Value struct {
	// Rat is nil for a figure that is not defined: its denominator is nought, or
	// it does not exist for such a period.
	Rat *big.Rat
	// Note says why there is no figure, or what is special about it; may be empty.
	Note string
}

// Defined reports whether there is a figure.
func (v Value) Defined() bool { return v.Rat != nil }

// Float is the nearest float, for a drawing or a number in JSON; 0 where there is
// no figure.
func (v Value) Float() float64 {
	if v.Rat == nil {
		return 0
	}
	f, _ := v.Rat.Float64()
	return f
}

// Micro is the nearest whole number, halves away from zero: micro-units of a
// money figure. 0 where there is no figure.
func (v Value) Micro() int64 {
	if v.Rat == nil {
		return 0
	}
	magnitude := new(big.Rat).Abs(v.Rat)
	n, ok := round(magnitude)
	if !ok {
		return 0
	}
	if v.Rat.Sign() < 0 {
		return -n
	}
	return n
}

func whole(n int64) Value { return Value{Rat: new(big.Rat).SetInt64(n)} }

func minor(n int64) Value {
	return Value{Rat: new(big.Rat).SetInt(new(big.Int).Mul(big.NewInt(n), big.NewInt(money.Micro)))}
}

func undefined(why string) Value { return Value{Note: why} }

// over divides; why says what it means that there is nothing to divide by.
func over(part, all int64, why string) Value {
	if all == 0 {
		return undefined(why)
	}
	return Value{Rat: big.NewRat(part, all)}
}

// Term is a named number in a formula.
type Term struct {
	Name  string
	Unit  Unit
	Value Value
}

// Metric declares a figure: what it means, how it is computed, and from what.
// Pages, exports, the API and explanations all read it here.
type Metric struct {
	// Key is its name in addresses, files and the API.
	Key  string
	Name string
	Unit Unit
	// Definition says in a sentence or two what is counted.
	Definition string
	// Formula is written with the names of its terms.
	Formula string
	// Source is the section of the metrics' definitions, e.g. "1.5".
	Source string
	// WholeMonths says that there is a figure for calendar months only.
	WholeMonths bool
	// Kinds are the movements behind it, where there are any.
	Kinds []MovementKind
	// Of computes it.
	Of func(Point) Value
	// Terms are what its formula names, with the values of a point.
	Terms func(Point) []Term
}

// MetricByKey finds a metric.
func MetricByKey(key string) (Metric, bool) {
	i := slices.IndexFunc(Metrics, func(m Metric) bool { return m.Key == key })
	if i < 0 {
		return Metric{}, false
	}
	return Metrics[i], true
}

const (
	onlyMonths  = "for whole calendar months only"
	nobodyThere = "nobody had MRR when the period began"
)

// retained computes a rate of what became of the customers of a month.
func retained(of func(Retained) Value) func(Point) Value {
	return func(p Point) Value {
		switch {
		case p.Month == nil:
			return undefined(onlyMonths)
		case p.Month.BaseMicro == 0:
			return undefined(nobodyThere)
		}
		return of(*p.Month)
	}
}

// yearly is the same rate over the twelve months that end with the month.
func yearly(of func(Retained) Value) func(Point) Value {
	return func(p Point) Value {
		switch {
		case p.Year == nil:
			return undefined(onlyMonths)
		case p.Year.BaseMicro == 0:
			return undefined("nobody had MRR twelve months before")
		}
		return of(*p.Year)
	}
}

func retainedTerms(year bool, pick func(Retained) []Term) func(Point) []Term {
	return func(p Point) []Term {
		r := p.Month
		if year {
			r = p.Year
		}
		if r == nil {
			return nil
		}
		return pick(*r)
	}
}

func nrr(r Retained) Value { return over(r.BaseMicro+r.NetMicro, r.BaseMicro, nobodyThere) }
func grr(r Retained) Value { return over(r.BaseMicro-r.GrossLostMicro, r.BaseMicro, nobodyThere) }
func logoChurn(r Retained) Value {
	return over(r.LostCustomers, r.BaseCustomers, nobodyThere)
}

func nrrTerms(r Retained) []Term {
	return []Term{{"MRR of the same customers now", Money, whole(r.BaseMicro + r.NetMicro)}, {"their MRR then", Money, whole(r.BaseMicro)}}
}

func grrTerms(r Retained) []Term {
	return []Term{{"lost MRR", Money, whole(r.GrossLostMicro)}, {"opening MRR", Money, whole(r.BaseMicro)}}
}

func customersTerms(lost func(Retained) int64) func(Retained) []Term {
	return func(r Retained) []Term {
		return []Term{{"lost customers", Count, whole(lost(r))}, {"customers at the start", Count, whole(r.BaseCustomers)}}
	}
}

func moneyTerms(name string, lost func(Retained) int64) func(Retained) []Term {
	return func(r Retained) []Term {
		return []Term{{name, Money, whole(lost(r))}, {"opening MRR", Money, whole(r.BaseMicro)}}
	}
}

// movement is a metric that is the sum of movements.
func movement(key, name, definition string, kinds ...MovementKind) Metric {
	return Metric{
		Key: key, Name: name, Unit: Money, Definition: definition, Formula: "the sum of the movements", Source: "1.3", Kinds: kinds,
		Of: func(p Point) Value { return whole(p.moved(kinds...)) },
		Terms: func(p Point) []Term {
			return []Term{{name, Money, whole(p.moved(kinds...))}}
		},
	}
}

// counted is a metric that is the number of customers who moved.
func counted(key, name, definition string, kind MovementKind, sign int64) Metric {
	return Metric{
		Key: key, Name: name, Unit: Count, Definition: definition, Formula: "the number of such movements", Source: "1.3", Kinds: []MovementKind{kind},
		Of:    func(p Point) Value { return whole(sign * p.Moved[kind].Customers) },
		Terms: func(p Point) []Term { return []Term{{name, Count, whole(sign * p.Moved[kind].Customers)}} },
	}
}

// capped is the least churn that a lifetime is computed with: five years.
var capped = big.NewRat(1, 60)

// usableMonths is how many months with customers a lifetime needs at least.
const usableMonths = 3

// meanLogoChurn is the mean of the months before that had customers when they
// began.
func meanLogoChurn(earlier []Retained) (mean *big.Rat, months int) {
	total := new(big.Rat)
	for _, r := range earlier {
		if churn := logoChurn(r); churn.Defined() {
			total.Add(total, churn.Rat)
			months++
		}
	}
	if months == 0 {
		return total, 0
	}
	return total.Quo(total, new(big.Rat).SetInt64(int64(months))), months
}

func arpa(p Point) Value {
	return over(p.Closing.MRRMicro, p.Closing.Customers, "nobody has MRR at the end")
}

func ltv(p Point) Value {
	if p.Month == nil {
		return undefined(onlyMonths)
	}
	average := arpa(p)
	if !average.Defined() {
		return average
	}
	churn, months := meanLogoChurn(p.Earlier)
	if months < usableMonths {
		return undefined("needs 3 full months")
	}
	value := Value{}
	if churn.Cmp(capped) < 0 {
		churn, value.Note = capped, "capped: churn of less than 1 in 60 counts as 1 in 60"
	}
	value.Rat = new(big.Rat).Quo(average.Rat, churn)
	return value
}

// Metrics are all figures, in the order in which they are listed.
var Metrics = []Metric{
	{
		Key: "mrr", Name: "MRR", Unit: Money, Source: "1.2",
		Definition: "Monthly recurring revenue at the end of the period: what all subscriptions that are active or past due are worth a month, less coupons that last, without tax, trials and metered prices.",
		Formula:    "opening MRR + net new MRR + exchange rates",
		Kinds:      []MovementKind{New, Reactivation, Expansion, Contraction, Churn},
		Of:         func(p Point) Value { return whole(p.Closing.MRRMicro) },
		Terms: func(p Point) []Term {
			return []Term{
				{"opening MRR", Money, whole(p.Opening.MRRMicro)}, {"net new MRR", Money, whole(p.NetNewMicro())}, {"exchange rates", Money, whole(p.FXMicro)},
			}
		},
	},
	{
		Key: "arr", Name: "ARR", Unit: Money, Source: "1.2.10", Definition: "Annual run rate: twelve times MRR. It says nothing about contracts.",
		Formula: "12 × MRR",
		Of: func(p Point) Value {
			return Value{Rat: new(big.Rat).Mul(big.NewRat(12, 1), whole(p.Closing.MRRMicro).Rat)}
		},
		Terms: func(p Point) []Term { return []Term{{"MRR", Money, whole(p.Closing.MRRMicro)}} },
	},
	{
		Key: "netNew", Name: "Net new MRR", Unit: Money, Source: "1.4", Definition: "What all movements of the period add up to, without exchange rates.",
		Formula: "new + reactivation + expansion + contraction + churn",
		Kinds:   []MovementKind{New, Reactivation, Expansion, Contraction, Churn},
		Of:      func(p Point) Value { return whole(p.NetNewMicro()) },
		Terms: func(p Point) []Term {
			out := []Term{
				{"new", Money, whole(p.moved(New))},
				{"reactivation", Money, whole(p.moved(Reactivation))},
				{"expansion", Money, whole(p.moved(Expansion))},
				{"contraction", Money, whole(p.moved(Contraction))},
				{"churn", Money, whole(p.moved(Churn))},
			}
			if transfer := p.moved(TransferIn, TransferOut); transfer != 0 {
				out = append(out, Term{"changes of plan", Money, whole(transfer)})
			}
			return out
		},
	},
	movement("new", "New MRR", "MRR of customers who never had any before.", New),
	movement("reactivation", "Reactivation MRR", "MRR of customers who had some once, and none when the day began.", Reactivation),
	movement("expansion", "Expansion MRR", "What customers with MRR have more at the end of a day than at its beginning.", Expansion),
	movement("contraction", "Contraction MRR", "What customers who stay have less at the end of a day than at its beginning.", Contraction),
	movement("churn", "Churned MRR", "MRR of customers who have none any more at the end of a day.", Churn),
	{
		Key: "growth", Name: "MRR growth", Unit: Ratio, Source: "1.4", Definition: "Net new MRR in relation to the MRR when the period began.",
		Formula: "net new MRR ÷ opening MRR",
		Of:      func(p Point) Value { return over(p.NetNewMicro(), p.Opening.MRRMicro, nobodyThere) },
		Terms: func(p Point) []Term {
			return []Term{{"net new MRR", Money, whole(p.NetNewMicro())}, {"opening MRR", Money, whole(p.Opening.MRRMicro)}}
		},
	},
	{
		Key: "committedMrr", Name: "Committed MRR", Unit: Money, Source: "0.5",
		Definition: "MRR without what is scheduled to end.", Formula: "MRR − MRR scheduled to end",
		Of: func(p Point) Value { return whole(p.Closing.MRRMicro - p.EndingMicro) },
		Terms: func(p Point) []Term {
			return []Term{{"MRR", Money, whole(p.Closing.MRRMicro)}, {"MRR scheduled to end", Money, whole(p.EndingMicro)}}
		},
	},
	{
		Key: "trialMrr", Name: "Trial MRR", Unit: Money, Source: "0.7",
		Definition: "What the trials under way at the end of the period would be worth a month if all of them were paid for.", Formula: "the sum over trials",
		Of:    func(p Point) Value { return whole(p.TrialMicro) },
		Terms: func(p Point) []Term { return []Term{{"trials", Money, whole(p.TrialMicro)}} },
	},
	{
		Key: "customers", Name: "Active customers", Unit: Count, Source: "0.8", Definition: "Customers with MRR at the end of the period.",
		Formula: "customers at the start + new + reactivated − churned",
		Kinds:   []MovementKind{New, Reactivation, Churn},
		Of:      func(p Point) Value { return whole(p.Closing.Customers) },
		Terms: func(p Point) []Term {
			return []Term{
				{"customers at the start", Count, whole(p.Opening.Customers)},
				{"new", Count, whole(p.Moved[New].Customers)},
				{"reactivated", Count, whole(p.Moved[Reactivation].Customers)},
				{"churned", Count, whole(-p.Moved[Churn].Customers)},
			}
		},
	},
	counted("newCustomers", "New customers", "Customers whose first day with MRR lies in the period.", New, 1),
	counted("churnedCustomers", "Churned customers", "How often a customer lost their last MRR in the period.", Churn, -1),
	counted("reactivatedCustomers", "Reactivated customers", "How often a customer who had none any more got MRR again in the period.", Reactivation, 1),
	{
		Key: "arpa", Name: "ARPA", Unit: Money, Source: "1.6", Definition: "Average revenue per account: MRR by customer at the end of the period.",
		Formula: "MRR ÷ active customers", Of: arpa,
		Terms: func(p Point) []Term {
			return []Term{{"MRR", Money, whole(p.Closing.MRRMicro)}, {"active customers", Count, whole(p.Closing.Customers)}}
		},
	},
	{
		Key: "nrr", Name: "Net revenue retention", Unit: Ratio, Source: "1.5", WholeMonths: true,
		Definition: "What the customers who had MRR when the month began have at its end, in relation to what they had then.",
		Formula:    "MRR of the same customers now ÷ their MRR then", Of: retained(nrr), Terms: retainedTerms(false, nrrTerms),
		Kinds: []MovementKind{Expansion, Contraction, Churn},
	},
	{
		Key: "grr", Name: "Gross revenue retention", Unit: Ratio, Source: "1.5", WholeMonths: true,
		Definition: "The same as net revenue retention, but nobody counts with more than they had.",
		Formula:    "(opening MRR − lost MRR) ÷ opening MRR", Of: retained(grr), Terms: retainedTerms(false, grrTerms),
		Kinds: []MovementKind{Contraction, Churn},
	},
	{
		Key: "nrrYear", Name: "Net revenue retention, twelve months", Unit: Ratio, Source: "1.5", WholeMonths: true,
		Definition: "What the customers who had MRR twelve months before have at the month's end, in relation to what they had then.",
		Formula:    "MRR of the same customers now ÷ their MRR then", Of: yearly(nrr), Terms: retainedTerms(true, nrrTerms),
		Kinds: []MovementKind{Expansion, Contraction, Churn},
	},
	{
		Key: "grrYear", Name: "Gross revenue retention, twelve months", Unit: Ratio, Source: "1.5", WholeMonths: true,
		Definition: "The same over twelve months, where nobody counts with more than they had.",
		Formula:    "(opening MRR − lost MRR) ÷ opening MRR", Of: yearly(grr), Terms: retainedTerms(true, grrTerms),
		Kinds: []MovementKind{Contraction, Churn},
	},
	{
		Key: "logoChurn", Name: "Customer churn", Unit: Ratio, Source: "1.5", WholeMonths: true,
		Definition: "Of the customers who had MRR when the month began, the share that has none at its end.",
		Formula:    "lost customers ÷ customers at the start", Of: retained(logoChurn),
		Terms: retainedTerms(false, customersTerms(func(r Retained) int64 { return r.LostCustomers })), Kinds: []MovementKind{Churn},
	},
	{
		Key: "voluntaryLogoChurn", Name: "Voluntary customer churn", Unit: Ratio, Source: "1.3", WholeMonths: true,
		Definition: "The part of customer churn that had any other reason than that subscriptions were not paid for: a cancellation, a pause, a dispute, a price of nothing.",
		Formula:    "lost otherwise ÷ customers at the start", Of: retained(func(r Retained) Value {
			return over(r.LostCustomers-r.InvoluntaryCustomers, r.BaseCustomers, nobodyThere)
		}),
		Terms: retainedTerms(false, func(r Retained) []Term {
			return []Term{{"lost otherwise", Count, whole(r.LostCustomers - r.InvoluntaryCustomers)}, {"customers at the start", Count, whole(r.BaseCustomers)}}
		}), Kinds: []MovementKind{Churn},
	},
	{
		Key: "involuntaryLogoChurn", Name: "Involuntary customer churn", Unit: Ratio, Source: "1.3", WholeMonths: true,
		Definition: "The part of customer churn whose subscriptions ended because they were not paid. The rest is voluntary: a cancellation, a pause, a dispute, a price of nothing.",
		Formula:    "lost customers ÷ customers at the start",
		Of:         retained(func(r Retained) Value { return over(r.InvoluntaryCustomers, r.BaseCustomers, nobodyThere) }),
		Terms:      retainedTerms(false, customersTerms(func(r Retained) int64 { return r.InvoluntaryCustomers })), Kinds: []MovementKind{Churn},
	},
	{
		Key: "revenueChurn", Name: "Gross revenue churn", Unit: Ratio, Source: "1.5", WholeMonths: true,
		Definition: "What customers who left or have less at the month's end have lost, in relation to the MRR when it began.",
		Formula:    "lost MRR ÷ opening MRR", Of: retained(func(r Retained) Value { return over(r.GrossLostMicro, r.BaseMicro, nobodyThere) }),
		Terms: retainedTerms(false, grrTerms), Kinds: []MovementKind{Contraction, Churn},
	},
	{
		Key: "churnOnlyRevenueChurn", Name: "Revenue churn of customers who left", Unit: Ratio, Source: "1.5", WholeMonths: true,
		Definition: "What customers who left in the month had when it began, in relation to all MRR then.",
		Formula:    "MRR of who left ÷ opening MRR", Of: retained(func(r Retained) Value { return over(r.LostMicro, r.BaseMicro, nobodyThere) }),
		Terms: retainedTerms(false, moneyTerms("MRR of who left", func(r Retained) int64 { return r.LostMicro })), Kinds: []MovementKind{Churn},
	},
	{
		Key: "voluntaryRevenueChurn", Name: "Voluntary revenue churn", Unit: Ratio, Source: "1.3", WholeMonths: true,
		Definition: "The part of the revenue churn of customers who left for any other reason than that they were not paid for.",
		Formula:    "MRR of who left otherwise ÷ opening MRR", Of: retained(func(r Retained) Value { return over(r.LostMicro-r.InvoluntaryMicro, r.BaseMicro, nobodyThere) }),
		Terms: retainedTerms(false, moneyTerms("MRR of who left otherwise", func(r Retained) int64 { return r.LostMicro - r.InvoluntaryMicro })), Kinds: []MovementKind{Churn},
	},
	{
		Key: "involuntaryRevenueChurn", Name: "Involuntary revenue churn", Unit: Ratio, Source: "1.3", WholeMonths: true,
		Definition: "The part of the revenue churn of customers who left whose subscriptions ended because they were not paid.",
		Formula:    "MRR of who left unpaid ÷ opening MRR", Of: retained(func(r Retained) Value { return over(r.InvoluntaryMicro, r.BaseMicro, nobodyThere) }),
		Terms: retainedTerms(false, moneyTerms("MRR of who left unpaid", func(r Retained) int64 { return r.InvoluntaryMicro })), Kinds: []MovementKind{Churn},
	},
	{
		Key: "netRevenueChurn", Name: "Net revenue churn", Unit: Ratio, Source: "1.5", WholeMonths: true,
		Definition: "One minus net revenue retention: below nought where those who stay grow by more than is lost.",
		Formula:    "(their MRR then − MRR of the same customers now) ÷ their MRR then",
		Of:         retained(func(r Retained) Value { return over(-r.NetMicro, r.BaseMicro, nobodyThere) }), Terms: retainedTerms(false, nrrTerms),
		Kinds: []MovementKind{Expansion, Contraction, Churn},
	},
	{
		Key: "quickRatio", Name: "Quick ratio", Unit: Quotient, Source: "1.8",
		Definition: "How much MRR was gained for each that was lost, without reactivations.",
		Formula:    "(new + expansion) ÷ (churn + contraction)", Kinds: []MovementKind{New, Expansion, Contraction, Churn},
		Of: func(p Point) Value { return over(p.moved(New, Expansion), -p.moved(Churn, Contraction), "no losses") },
		Terms: func(p Point) []Term {
			return []Term{
				{"new", Money, whole(p.moved(New))},
				{"expansion", Money, whole(p.moved(Expansion))},
				{"churn", Money, whole(-p.moved(Churn))},
				{"contraction", Money, whole(-p.moved(Contraction))},
			}
		},
	},
	{
		Key: "ltv", Name: "Customer lifetime value", Unit: Money, Source: "1.7", WholeMonths: true,
		Definition: "The revenue, not the margin, that an average customer brings until they leave, if customers go on leaving as in the six months before.",
		Formula:    "ARPA ÷ mean customer churn of the six months before", Of: ltv,
		Terms: func(p Point) []Term {
			out := []Term{{"ARPA", Money, arpa(p)}}
			if churn, months := meanLogoChurn(p.Earlier); months > 0 {
				out = append(out, Term{"mean customer churn of the six months before", Ratio, Value{Rat: churn}})
			}
			return out
		},
	},
	{
		Key: "trialConversion", Name: "Trial conversion", Unit: Ratio, Source: "1.9",
		Definition: "Of the trials that ended in the period, by their end or by being cancelled, the share whose first invoice was paid. Provisional until fourteen days after the end.",
		Formula:    "converted ÷ ended",
		Of: func(p Point) Value {
			if p.Trials == nil {
				return undefined("trials are not counted by this")
			}
			v := over(p.Trials.Converted, p.Trials.Ended, "no trial ended")
			if p.Trials.Provisional > 0 && v.Defined() {
				v.Note = "provisional"
			}
			return v
		},
		Terms: func(p Point) []Term {
			if p.Trials == nil {
				return nil
			}
			return []Term{{"converted", Count, whole(p.Trials.Converted)}, {"ended", Count, whole(p.Trials.Ended)}}
		},
	},
	{
		Key: "paymentFailureRate", Name: "Payment failure rate", Unit: Ratio, Source: "1.13",
		Definition: "Of the renewals attempted first in the period, the share that was declined at the first attempt, by amount. Where the bank asked for a confirmation it is no decline.",
		Formula:    "declined ÷ attempted",
		Of: func(p Point) Value {
			if p.Payments == nil {
				return undefined("payments are not counted by this")
			}
			return over(p.Payments.Failed().AmountMinor, p.Payments.Attempted.AmountMinor, "nothing was attempted")
		},
		Terms: func(p Point) []Term {
			if p.Payments == nil {
				return nil
			}
			return []Term{{"declined", Money, minor(p.Payments.Failed().AmountMinor)}, {"attempted", Money, minor(p.Payments.Attempted.AmountMinor)}}
		},
	},
	{
		Key: "recoveryRate", Name: "Recovery rate", Unit: Ratio, Source: "1.13",
		Definition: "Of what was declined first in the period, the share that was paid later by any means. Provisional while any of it is retried.",
		Formula:    "recovered ÷ declined",
		Of: func(p Point) Value {
			if p.Payments == nil {
				return undefined("payments are not counted by this")
			}
			v := over(p.Payments.Recovered.AmountMinor, p.Payments.Failed().AmountMinor, "nothing was declined")
			if p.Payments.InRetry.Count > 0 && v.Defined() {
				v.Note = "provisional"
			}
			return v
		},
		Terms: func(p Point) []Term {
			if p.Payments == nil {
				return nil
			}
			return []Term{{"recovered", Money, minor(p.Payments.Recovered.AmountMinor)}, {"declined", Money, minor(p.Payments.Failed().AmountMinor)}}
		},
	},
	{
		Key: "visitors", Name: "Visitors", Unit: Count, Source: "1.10",
		Definition: "Who looked at the prices in the period, for the first time in thirty days. By a random number in the browser; programs, administrators and whoever does not want to be counted are left out.",
		Formula:    "the number of visitors",
		Of: func(p Point) Value {
			if p.Funnel == nil || p.Funnel.IsOfPlan {
				return undefined("visitors are not counted by this")
			}
			return whole(p.Funnel.Prices[FunnelViewed])
		},
		Terms: func(p Point) []Term {
			if p.Funnel == nil || p.Funnel.IsOfPlan {
				return nil
			}
			return []Term{{"visitors", Count, whole(p.Funnel.Prices[FunnelViewed])}}
		},
	},
	funnel("checkoutStartRate", "Prices to checkout", "began a checkout within seven days", FunnelStarted, FunnelViewed),
	funnel("checkoutCompletionRate", "Checkout to completed", "completed it, within seven days from the prices", FunnelCompleted, FunnelStarted),
	funnel("activationRate", "Completed to active", "have what they bought, on trial or active", FunnelActivated, FunnelCompleted),
	funnel("firstPaymentRate", "Active to paid", "paid an invoice of more than nothing, at the latest fourteen days after the end of the trial or, without one, after the checkout", FunnelPaid, FunnelActivated),
	funnel("visitorConversion", "Visitor conversion", "paid an invoice of more than nothing within the windows of the funnel", FunnelPaid, FunnelViewed),
	cash("grossVolume", "Gross volume", "All charges and payments of the period, taxes and one-off charges included.", "charges", func(c Cash) int64 { return c.GrossMinor }),
	cash("refunds", "Refunds", "What was given back in the period, below nought.", "refunds", func(c Cash) int64 { return c.RefundsMinor }),
	cash("disputes", "Disputes", "What disputes took, and brought back where they were won, without their fees.", "disputes", func(c Cash) int64 { return c.DisputesMinor }),
	cash("fees", "Fees", "What Stripe kept for itself in the period.", "fees", func(c Cash) int64 { return c.FeesMinor }),
	cash("netVolume", "Net volume", "What everything but payouts, transfers and top-ups put into the balance.", "net", func(c Cash) int64 { return c.NetMinor }),
}

func cash(key, name, definition, term string, of func(Cash) int64) Metric {
	return Metric{
		Key: key, Name: name, Unit: Money, Source: "1.14", Definition: definition + " From Stripe's balance transactions, dated when they were made.",
		Formula: "the sum of " + term,
		Of: func(p Point) Value {
			if p.Cash == nil {
				return undefined("cash is not counted by plan")
			}
			return minor(of(*p.Cash))
		},
		Terms: func(p Point) []Term {
			if p.Cash == nil {
				return nil
			}
			return []Term{{term, Money, minor(of(*p.Cash))}}
		},
	}
}

// funnelNames are who has reached a step.
var funnelNames = [FunnelSteps]string{"visitors", "checkouts started", "checkouts completed", "activated", "paid"}

// funnel is a metric that is a rate of the funnel.
func funnel(key, name, did string, step, of FunnelStep) Metric {
	who := [FunnelSteps]string{
		"of the visitors who looked at the prices in the period, for the first time in thirty days", "of those who then began a checkout",
		"of those who then completed one", "of those who then had what they bought",
	}[of]
	return Metric{
		Key: key, Name: name, Unit: Ratio, Source: "1.10", Formula: funnelNames[step] + " ÷ " + funnelNames[of],
		Definition: "The share " + who + ", that " + did + ". Each visitor counts once, on the day of the look. Provisional while the time for it is not over.",
		Of: func(p Point) Value {
			if p.Funnel == nil {
				return undefined("visitors are not counted by this")
			}
			return p.Funnel.Share(step, of)
		},
		Terms: func(p Point) []Term {
			if p.Funnel == nil || p.Funnel.IsOfPlan && of == FunnelViewed {
				return nil
			}
			return []Term{{funnelNames[step], Count, whole(p.Funnel.Prices[step])}, {funnelNames[of], Count, whole(p.Funnel.Prices[of])}}
		},
	}
}
