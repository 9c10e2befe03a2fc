package stripeshape

import (
	"cmp"
	"encoding/json"
	"errors"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// DecodeInvoice reads an invoice object of any version. Until 2018-11 it had
// flags instead of a status and no amount paid; since 2025-03-31 the
// subscription stands in parent.subscription_details, and charge and payment
// intent in its list of payments.
func DecodeInvoice(raw json.RawMessage) (billing.Invoice, error) {
	o, ok := readObject(raw)
	id := o.ref("id")
	if !ok || id == "" {
		return billing.Invoice{}, errors.New("read invoice: it has no id")
	}
	i := billing.Invoice{
		ID: id, CustomerID: o.ref("customer"), Status: invoiceStatus(o), Currency: money.Currency(o.str("currency")),
		SubscriptionID: cmp.Or(o.ref("subscription"), o.obj("parent").obj("subscription_details").ref("subscription")),
		BillingReason:  o.str("billing_reason"),
		AmountDueMinor: o.num("amount_due"), AmountPaidMinor: o.num("amount_paid"), AttemptCount: o.num("attempt_count"),
		NextAttemptAt: o.second("next_payment_attempt").Time(), PaidAt: o.obj("status_transitions").second("paid_at").Time(),
		PaymentIntentID: o.ref("payment_intent"), ChargeID: o.ref("charge"), HostedURL: o.str("hosted_invoice_url"),
		FinalizationError: o.obj("last_finalization_error").str("code"),
	}
	if !o.has("amount_paid") && i.Status == "paid" {
		i.AmountPaidMinor = i.AmountDueMinor
	}
	payments, _ := o.list("payments")
	for _, raw := range payments {
		p, _ := readObject(raw)
		paid := p.obj("payment")
		i.PaymentIntentID = cmp.Or(i.PaymentIntentID, paid.ref("payment_intent"))
		i.ChargeID = cmp.Or(i.ChargeID, paid.ref("charge"))
	}
	return i, nil
}

func invoiceStatus(o object) string {
	switch {
	case o.has("status"):
		return o.str("status")
	case o.flag("paid"):
		return "paid"
	case o.flag("forgiven"):
		return "uncollectible"
	case o.has("closed") && o.flag("closed"):
		return "void"
	case o.has("closed"):
		return "open"
	default:
		return ""
	}
}
