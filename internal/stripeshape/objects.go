package stripeshape

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/money"
)

// CheckoutSession is what an event about a checkout session tells.
type CheckoutSession struct {
	ID             string
	CustomerID     string
	SubscriptionID string
	// Status is open, complete or expired; shapes before 2021 have none.
	Status string
	// PaymentStatus is paid, unpaid or no_payment_required; empty in shapes
	// that do not say.
	PaymentStatus string
	Currency      money.Currency
	AmountMinor   int64
}

// DecodeCheckoutSession reads a checkout session object.
func DecodeCheckoutSession(raw json.RawMessage) (CheckoutSession, error) {
	o, id, err := identified(raw, "checkout session")
	if err != nil {
		return CheckoutSession{}, err
	}
	s := CheckoutSession{
		ID: id, CustomerID: o.ref("customer"), SubscriptionID: o.ref("subscription"), Status: o.str("status"),
		PaymentStatus: o.str("payment_status"), Currency: money.Currency(o.str("currency")), AmountMinor: o.num("amount_total"),
	}
	if !slices.Contains([]string{"", "paid", "unpaid", "no_payment_required"}, s.PaymentStatus) {
		return CheckoutSession{}, fmt.Errorf("read checkout session %s: payment status %q is not known", id, s.PaymentStatus)
	}
	return s, nil
}

// Charge is what we use of a charge. Amounts are in minor units.
type Charge struct {
	ID              string
	CustomerID      string
	InvoiceID       string // shapes since 2025-03-31 do not say
	PaymentIntentID string
	Currency        money.Currency
	AmountMinor     int64
	RefundedMinor   int64 // all refunds together
	// BalanceTransactionID is where Stripe's fee is found.
	BalanceTransactionID string
	ReceiptURL           string
	// FailureReason says why no money came of it, in the words of the bank's
	// decline code, or else of Stripe's; empty of one that came through.
	FailureReason string
	CreatedAt     time.Time
	// Refunds came with the charge; shapes since 2022-11-15 leave them out, and
	// HasRefunds is false.
	Refunds    []Refund
	HasRefunds bool
}

// DecodeCharge reads a charge object.
func DecodeCharge(raw json.RawMessage) (Charge, error) {
	o, id, err := identified(raw, "charge")
	if err != nil {
		return Charge{}, err
	}
	c := Charge{
		ID: id, CustomerID: o.ref("customer"), InvoiceID: o.ref("invoice"), PaymentIntentID: o.ref("payment_intent"),
		Currency: money.Currency(o.str("currency")), AmountMinor: o.num("amount"), RefundedMinor: o.num("amount_refunded"),
		BalanceTransactionID: o.ref("balance_transaction"), ReceiptURL: o.str("receipt_url"), CreatedAt: o.second("created").Time(),
	}
	if code := o.str("failure_code"); code != "" {
		// The bank's own word stands in the outcome, and is more exact.
		c.FailureReason = cmp.Or(o.obj("outcome").str("reason"), code)
	}
	refunds, isWhole := o.list("refunds")
	for _, raw := range refunds {
		if r, err := DecodeRefund(raw); err == nil {
			c.Refunds = append(c.Refunds, r)
		}
	}
	c.HasRefunds = isWhole && len(c.Refunds) > 0
	return c, nil
}

// PaymentIntent is what we use of a payment intent: who pays.
type PaymentIntent struct {
	ID         string
	CustomerID string
	InvoiceID  string
}

// DecodePaymentIntent reads a payment intent object.
func DecodePaymentIntent(raw json.RawMessage) (PaymentIntent, error) {
	o, id, err := identified(raw, "payment intent")
	return PaymentIntent{ID: id, CustomerID: o.ref("customer"), InvoiceID: o.ref("invoice")}, err
}

// Refund is money given back. The amount is in minor units.
type Refund struct {
	ID              string
	ChargeID        string
	PaymentIntentID string
	// Status is pending, requires_action, succeeded, failed or canceled; shapes
	// before 2016 have none.
	Status        string
	Reason        string
	FailureReason string
	Currency      money.Currency
	AmountMinor   int64
	CreatedAt     time.Time // zero: not told
}

// DecodeRefund reads a refund object.
func DecodeRefund(raw json.RawMessage) (Refund, error) {
	o, id, err := identified(raw, "refund")
	if err != nil {
		return Refund{}, err
	}
	return Refund{
		ID: id, ChargeID: o.ref("charge"), PaymentIntentID: o.ref("payment_intent"), Status: o.str("status"), Reason: o.str("reason"),
		FailureReason: o.str("failure_reason"), Currency: money.Currency(o.str("currency")), AmountMinor: o.num("amount"),
		CreatedAt: o.second("created").Time(),
	}, nil
}

// Dispute is a charge that its payer takes back. The amount is in minor units.
type Dispute struct {
	ID              string
	ChargeID        string
	PaymentIntentID string
	// Status is needs_response, under_review, won, lost, or one of the warnings
	// of an inquiry.
	Status        string
	Reason        string
	Currency      money.Currency
	AmountMinor   int64
	EvidenceDueAt time.Time // zero: nothing is due
	CreatedAt     time.Time // zero: not told
}

// DecodeDispute reads a dispute object.
func DecodeDispute(raw json.RawMessage) (Dispute, error) {
	o, id, err := identified(raw, "dispute")
	if err != nil {
		return Dispute{}, err
	}
	return Dispute{
		ID: id, ChargeID: o.ref("charge"), PaymentIntentID: o.ref("payment_intent"), Status: o.str("status"), Reason: o.str("reason"),
		Currency: money.Currency(o.str("currency")), AmountMinor: o.num("amount"),
		EvidenceDueAt: o.obj("evidence_details").second("due_by").Time(), CreatedAt: o.second("created").Time(),
	}, nil
}

// PaymentMethod is how a customer pays, as far as it may be shown.
type PaymentMethod struct {
	ID   string
	Type string // card, sepa_debit, …
	// Brand is that of the card or the name of the bank; not every method has
	// one, nor a number that ends in Last4.
	Brand             string
	Last4             string
	ExpMonth, ExpYear int64
	CustomerID        string // empty once detached
}

// DecodePaymentMethod reads a payment method object.
func DecodePaymentMethod(raw json.RawMessage) (PaymentMethod, error) {
	o, id, err := identified(raw, "payment method")
	if err != nil {
		return PaymentMethod{}, err
	}
	m := PaymentMethod{ID: id, Type: o.str("type"), CustomerID: o.ref("customer")}
	if kind := o.obj(m.Type); m.Type != "" {
		m.Brand, m.Last4 = cmp.Or(kind.str("brand"), kind.str("bank_name")), kind.str("last4")
		m.ExpMonth, m.ExpYear = kind.num("exp_month"), kind.num("exp_year")
	}
	return m, nil
}

// Schedule is a subscription's plan of its own future.
type Schedule struct {
	ID             string
	SubscriptionID string // of one that was released, the one it had
	Status         string // not_started, active, completed, released, canceled
}

// DecodeSchedule reads a subscription schedule object.
func DecodeSchedule(raw json.RawMessage) (Schedule, error) {
	o, id, err := identified(raw, "subscription schedule")
	if err != nil {
		return Schedule{}, err
	}
	s := Schedule{ID: id, SubscriptionID: o.ref("subscription"), Status: o.str("status")}
	if s.SubscriptionID == "" {
		s.SubscriptionID = o.ref("released_subscription")
	}
	return s, nil
}

// Customer is what we use of a customer, which is no name and no address.
type Customer struct {
	ID string
	// Currency is the one the customer pays in; empty before the first payment.
	Currency   money.Currency
	Delinquent bool
	// PaymentMethodID is the default for invoices; empty where there is none.
	PaymentMethodID string
	IsDeleted       bool
}

// DecodeCustomer reads a customer object, be it what is left of a deleted one.
func DecodeCustomer(raw json.RawMessage) (Customer, error) {
	o, id, err := identified(raw, "customer")
	if err != nil {
		return Customer{}, err
	}
	c := Customer{
		ID: id, Currency: money.Currency(o.str("currency")), Delinquent: o.flag("delinquent"), IsDeleted: o.flag("deleted"),
		PaymentMethodID: o.obj("invoice_settings").ref("default_payment_method"),
	}
	if c.PaymentMethodID == "" {
		c.PaymentMethodID = o.ref("default_source")
	}
	return c, nil
}

// identified reads an object that has an id, the one thing that none can lack.
func identified(raw json.RawMessage, kind string) (object, string, error) {
	o, ok := readObject(raw)
	id := o.ref("id")
	if !ok || id == "" {
		return o, "", errors.New("read " + kind + ": it has no id")
	}
	return o, id, nil
}
