package stripesim_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// charged subscribes with the card and answers the charge.
func (e *era) charged(t *testing.T, testMethod string) *stripe.Charge {
	t.Helper()
	e.card(t, testMethod)
	subscription := e.subscribe(t, nil)
	params := &stripe.InvoiceParams{}
	params.AddExpand("charge")
	invoice, err := e.api.Invoices.Get(subscription.LatestInvoice.ID, params)
	must(t, err)
	return invoice.Charge
}

func (e *era) charge(t *testing.T, id string) *stripe.Charge {
	t.Helper()
	params := &stripe.ChargeParams{}
	params.AddExpand("refunds")
	charge, err := e.api.Charges.Get(id, params)
	must(t, err)
	return charge
}

// told answers the events of types that begin like this, from the oldest, as
// their type and what was different before.
func (e *era) told(t *testing.T, prefixes ...string) []string {
	t.Helper()
	var lines []string
	for _, event := range e.State(t)["event"] {
		kind := event["type"].(string)
		if !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(kind, prefix) }) {
			continue
		}
		if before, update := event["data"].(map[string]any)["previous_attributes"].(map[string]any); update {
			kind += " " + strings.Join(keysOf(before), ",")
		}
		lines = append(lines, kind)
	}
	return lines
}

func TestACardIsRefundedInParts(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	charge := e.charged(t, "pm_card_visa")
	part, err := e.api.Refunds.New(&stripe.RefundParams{
		Charge: stripe.String(charge.ID), Amount: stripe.Int64(900), Reason: stripe.String("requested_by_customer"),
		Metadata: map[string]string{"action_id": "7"},
	})
	must(t, err)
	equal(t, "status", part.Status, "succeeded")
	equal(t, "metadata", part.Metadata["action_id"], "7")
	got := e.charge(t, charge.ID)
	equal(t, "refunded amount", got.AmountRefunded, 900)
	equal(t, "refunded", got.Refunded, false)

	_, err = e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(charge.ID), Amount: stripe.Int64(9001)})
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "amount")
	rest, err := e.api.Refunds.New(&stripe.RefundParams{PaymentIntent: stripe.String(charge.PaymentIntent.ID)})
	must(t, err)
	equal(t, "the rest", rest.Amount, 9000)
	got = e.charge(t, charge.ID)
	equal(t, "refunded", got.Refunded, true)
	equal(t, "refunds", len(got.Refunds.Data), 2)
	_, err = e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(charge.ID)})
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeChargeAlreadyRefunded, "")

	_, err = e.api.Refunds.Update(rest.ID, &stripe.RefundParams{Metadata: map[string]string{"a": "b"}})
	must(t, err)
	compareLines(t, e.told(t, "charge.refund"),
		"charge.refunded amount_refunded", "charge.refunded amount_refunded,refunded", "charge.refund.updated metadata")
	listed := e.api.Refunds.List(&stripe.RefundListParams{Charge: stripe.String(charge.ID)})
	n := 0
	for listed.Next() {
		n++
	}
	equal(t, "listed", n, 2)
	invoice, err := e.api.Invoices.Get(charge.Invoice.ID, nil)
	must(t, err)
	equal(t, "the invoice", invoice.Status, "paid")
}

func TestARefundMayFailAfterAllOrComeLate(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	failing := e.charged(t, "pm_card_refundFail")
	refund, err := e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(failing.ID)})
	must(t, err)
	equal(t, "status at first", refund.Status, "succeeded")
	pending := e.charged(t, "pm_card_pendingRefund")
	late, err := e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(pending.ID), Amount: stripe.Int64(100)})
	must(t, err)
	equal(t, "status at first", late.Status, "pending")
	stopped, err := e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(pending.ID), Amount: stripe.Int64(50)})
	must(t, err)
	stopped, err = e.api.Refunds.Cancel(stopped.ID, nil)
	must(t, err)
	equal(t, "stopped", stopped.Status, "canceled")

	e.after(t, 4*day)
	refund, err = e.api.Refunds.Get(refund.ID, nil)
	must(t, err)
	equal(t, "status in the end", refund.Status, "failed")
	equal(t, "why", refund.FailureReason, "expired_or_canceled_card")
	equal(t, "given back in the end", e.charge(t, failing.ID).AmountRefunded, 0)
	late, err = e.api.Refunds.Get(late.ID, nil)
	must(t, err)
	equal(t, "status in the end", late.Status, "succeeded")
	equal(t, "given back in the end", e.charge(t, pending.ID).AmountRefunded, 100)
	_, err = e.api.Refunds.Cancel(late.ID, nil)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "")
	compareLines(t, e.told(t, "charge.refund"),
		"charge.refunded amount_refunded,refunded", "charge.refunded amount_refunded", "charge.refunded amount_refunded",
		"charge.refund.updated failure_balance_transaction,status",
		"charge.refund.updated failure_balance_transaction,failure_reason,status", "charge.refund.updated status")
	checkState(t, e.Sim, map[string]int{})
}

// disputed is a charge with the card and the dispute that followed it.
func (e *era) disputed(t *testing.T, testMethod string) (*stripe.Charge, *stripe.Dispute) {
	t.Helper()
	charge := e.charged(t, testMethod)
	list := e.api.Disputes.List(&stripe.DisputeListParams{Charge: stripe.String(charge.ID)})
	if !list.Next() {
		t.Fatalf("no dispute of %s: %v", charge.ID, list.Err())
	}
	return charge, list.Dispute()
}

func TestADisputeIsWonWithWhatWinsAndLostOtherwise(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		evidence string
		after    time.Duration
		status   stripe.DisputeStatus
		events   []string
	}{
		"what wins": {"winning_evidence", time.Minute, "won", []string{
			"charge.dispute.updated evidence,evidence_details,status", "charge.dispute.closed status", "charge.dispute.funds_reinstated",
		}},
		"what loses": {"losing_evidence", time.Minute, "lost", []string{
			"charge.dispute.updated evidence,evidence_details,status", "charge.dispute.closed status",
		}},
		"something else, for which a bank takes its time": {"they used it daily", 61 * day, "lost", nil},
		"nothing": {"", 10 * day, "lost", []string{"charge.dispute.closed evidence_details,status"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			charge, dispute := e.disputed(t, "pm_card_createDispute")
			equal(t, "reason", dispute.Reason, "fraudulent")
			equal(t, "status", dispute.Status, "needs_response")
			equal(t, "disputed", e.charge(t, charge.ID).Disputed, true)
			_, err := e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(charge.ID)})
			wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeChargeDisputed, "")
			if c.evidence != "" {
				dispute, err = e.api.Disputes.Update(dispute.ID, &stripe.DisputeParams{
					Evidence: &stripe.DisputeEvidenceParams{UncategorizedText: stripe.String(c.evidence)},
				})
				must(t, err)
				equal(t, "status while it is reviewed", dispute.Status, "under_review")
			}
			e.after(t, c.after)
			dispute, err = e.api.Disputes.Get(dispute.ID, nil)
			must(t, err)
			equal(t, "status in the end", dispute.Status, c.status)
			if c.events != nil { // which are not kept for longer
				compareLines(t, e.told(t, "charge.dispute"), append([]string{"charge.dispute.created", "charge.dispute.funds_withdrawn"}, c.events...)...)
			}
			_, err = e.api.Disputes.Close(dispute.ID, nil)
			wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "")
			checkState(t, e.Sim, map[string]int{})
		})
	}
}

func TestAnInquiryTakesNoMoneyAndIsSettledByARefund(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	charge, inquiry := e.disputed(t, "pm_card_createDisputeInquiry")
	equal(t, "status", inquiry.Status, "warning_needs_response")
	equal(t, "refundable", inquiry.IsChargeRefundable, true)
	_, err := e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(charge.ID)})
	must(t, err)
	inquiry, err = e.api.Disputes.Get(inquiry.ID, nil)
	must(t, err)
	equal(t, "status", inquiry.Status, "warning_closed")
	compareLines(t, e.told(t, "charge.dispute"), "charge.dispute.created", "charge.dispute.closed status")
}

func TestADisputeIsGivenUp(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	_, dispute := e.disputed(t, "pm_card_createDisputeProductNotReceived")
	saved, err := e.api.Disputes.Update(dispute.ID, &stripe.DisputeParams{
		Evidence: &stripe.DisputeEvidenceParams{ProductDescription: stripe.String("prompts")}, Submit: stripe.Bool(false),
	})
	must(t, err)
	equal(t, "saved only", saved.Status, "needs_response")
	lost, err := e.api.Disputes.Close(dispute.ID, nil)
	must(t, err)
	equal(t, "status", lost.Status, "lost")
	status, _ := e.Do(t, http.MethodPost, "/v1/disputes/"+dispute.ID, "evidence[receipt]=x")
	equal(t, "evidence after the end", status, http.StatusBadRequest)
}
