package stripesim

import (
	"cmp"
	"slices"
	"time"
)

const (
	// cardFee is what Stripe keeps of a charge, in thousandths, beside cardFeeFixed.
	// https://stripe.com/pricing
	cardFee      = 29
	cardFeeFixed = 30
	// debitFee is that of a bank debit, which is never more than debitFeeMost.
	debitFee     = 8
	debitFeeMost = 500
	// disputeFee is for each dispute, and is not given back where it is won.
	disputeFee = 1500
	// availableAfter is when the money of a payment can be paid out.
	availableAfter = 2 * day
)

var transactionList = listParams(fields{"created": createdRange, "currency": nonEmpty, "source": nonEmpty, "type": nonEmpty})

func (c *call) retrieveTransaction() (object, error) {
	transaction, err := c.fromPath(kindBalanceTransaction)
	if err != nil {
		return nil, err
	}
	return c.asOfNow(transaction), nil
}

// listTransactions answers a page of what moved the balance, newest first. An
// account has more of these than of anything else, and is read from end to end by
// whoever keeps books: a page costs what is on it.
func (c *call) listTransactions() (object, error) {
	all := c.server.store.table(kindBalanceTransaction).order
	within, limit := c.params.obj("created"), 10
	if given, came := c.params["limit"].(int64); came {
		limit = int(given)
	}
	after := c.params.str("starting_after")
	var found list
	if c.params.str("ending_before") == "" && limit >= 1 && limit <= 100 {
		end := len(all)
		if last := c.find(kindBalanceTransaction, after); last != nil {
			// The one that is gone on from comes first: pageOf cuts it off.
			end, _ = slices.BinarySearchFunc(all, last, bySeq)
			end++
		}
		for i := end - 1; i >= 0 && len(found) <= limit+1; i-- {
			o := all[i].Object
			if (o.id() == after || inRange(within, o.int("created"))) && c.isAskedFor(o) {
				found = append(found, c.asOfNow(o))
			}
		}
	} else {
		for _, o := range c.listed(c.newestFirst(kindBalanceTransaction), c.isAskedFor) {
			found = append(found, c.asOfNow(asObject(o)))
		}
	}
	return c.pageOf(found, kindBalanceTransaction, "/v1/balance_transactions")
}

func (c *call) isAskedFor(o object) bool {
	return c.fits(o, "currency") && c.fits(o, "source") && c.fits(o, "type")
}

// asOfNow is a transaction with its status: money becomes available without
// anybody doing anything.
func (t *tx) asOfNow(transaction object) object {
	if transaction.str("status") == "available" || transaction.int("available_on") > t.unix() {
		return transaction
	}
	return transaction.copy().set(object{"status": "available"})
}

// entry is what moves the balance of the account.
type entry struct {
	id string // empty for a new one
	// kind and category are Stripe's type and reporting_category.
	kind, category, description string
	source                      object // a charge, a refund or a dispute
	at                          int64
	amount                      int64 // as it moves the balance, before the fee
	fee                         int64
	feeFor                      string
	availableOn                 int64
}

// post writes a transaction and answers it. Every currency has a balance of its
// own: nothing is exchanged.
func (t *tx) post(e entry) object {
	if e.id == "" {
		e.id = newID("txn_3", longID-1)
	}
	status, fees := "available", list{}
	if e.availableOn > e.at {
		status = "pending"
	}
	if e.fee > 0 {
		fees = list{object{
			"amount": e.fee, "application": nil, "currency": e.source["currency"], "description": e.feeFor, "type": "stripe_fee",
		}}
	}
	transaction := object{
		"id":                 e.id,
		"object":             kindBalanceTransaction,
		"amount":             e.amount,
		"available_on":       max(e.availableOn, e.at),
		"created":            e.at,
		"currency":           e.source["currency"],
		"description":        orNil(e.description),
		"exchange_rate":      nil,
		"fee":                e.fee,
		"fee_details":        fees,
		"net":                e.amount - e.fee,
		"reporting_category": e.category,
		"source":             e.source.id(),
		"status":             status,
		"type":               e.kind,
	}
	t.put(transaction)
	return transaction
}

func isDebited(charge object) bool {
	return charge.obj("payment_method_details").str("type") == bankDebit
}

// paidIn is what a charge that succeeds brings.
func paidIn(charge object, at int64) entry {
	amount := charge.int("amount")
	e := entry{
		id: charge.str("balance_transaction"), kind: "charge", category: "charge", source: charge, at: at, amount: amount,
		fee: thousandths(amount, cardFee) + cardFeeFixed, feeFor: "Stripe processing fees",
		description: charge.str("description"), availableOn: at + int64(availableAfter/time.Second),
	}
	if isDebited(charge) {
		e.kind, e.fee = "payment", min(thousandths(amount, debitFee), debitFeeMost)
	}
	return e
}

// thousandths of an amount, to the nearest minor unit.
func thousandths(amount, n int64) int64 { return (amount*n + 500) / 1000 }

// givenBack is what a refund takes. The fee of the payment stays with Stripe.
func givenBack(refund, charge object) entry {
	e := entry{
		id: refund.str("balance_transaction"), kind: "refund", category: "refund", source: refund, at: refund.int("created"),
		amount: -refund.int("amount"), description: "REFUND FOR CHARGE (" + charge.str("description") + ")",
	}
	if isDebited(charge) {
		e.kind = "payment_refund"
	}
	return e
}

// cameBack is what a refund brings that could not be made.
func cameBack(refund object, at int64) entry {
	return entry{
		id: refund.str("failure_balance_transaction"), kind: "refund_failure", category: "refund_failure", source: refund, at: at,
		amount: refund.int("amount"), description: "REFUND FAILURE (" + refund.id() + ")",
	}
}

// withdrawn is what a dispute takes when it begins.
func withdrawn(dispute object) entry {
	return entry{
		kind: "adjustment", category: "dispute", source: dispute, at: dispute.int("created"), amount: -dispute.int("amount"),
		fee: disputeFee, feeFor: "Dispute fee", description: "Chargeback withdrawal for " + dispute.str("charge"),
	}
}

// reinstated is what it brings back when it is won.
func reinstated(dispute object, at int64) entry {
	return entry{
		kind: "adjustment", category: "dispute_reversal", source: dispute, at: at, amount: dispute.int("amount"),
		description: "Chargeback reversal for " + dispute.str("charge"),
	}
}

// postMissing makes the transactions of a state that is older than they are:
// its charges and refunds name some that are not there, and its disputes none.
// When a refund failed or a dispute was won is not known any more, so that it is
// dated by when that happens as a rule.
func (t *tx) postMissing() {
	if tables := t.server.store.tables; tables[kindCharge] == nil || tables[kindBalanceTransaction] != nil {
		return
	}
	var entries []entry
	disputes := map[string]object{}
	by := func(at int64) int64 { return min(at, t.unix()) }
	for _, charge := range t.where(kindCharge, func(o object) bool { return o.str("balance_transaction") != "" }) {
		at := charge.int("created")
		if isDebited(charge) {
			at = by(at + int64(debitSettles/time.Second))
		}
		entries = append(entries, paidIn(charge, at))
	}
	for _, refund := range t.where(kindRefund, func(object) bool { return true }) {
		entries = append(entries, givenBack(refund, t.get(kindCharge, refund.str("charge"))))
		if refund.str("failure_balance_transaction") != "" {
			entries = append(entries, cameBack(refund, by(refund.int("created")+int64(refundTurns/time.Second))))
		}
	}
	for _, dispute := range t.where(kindDispute, func(o object) bool { return !isInquiry(o) }) {
		disputes[dispute.id()] = dispute.clone().set(object{"balance_transactions": list{}})
		entries = append(entries, withdrawn(dispute))
		if dispute.str("status") == "won" {
			entries = append(entries, reinstated(dispute, by(dispute.int("created")+int64(evidenceTime/time.Second))))
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	for _, e := range entries {
		posted := t.post(e)
		if dispute := disputes[e.source.id()]; dispute != nil {
			dispute["balance_transactions"] = append(dispute.list("balance_transactions"), posted)
		}
	}
	for _, id := range sortedKeys(disputes) {
		t.put(disputes[id])
	}
}
