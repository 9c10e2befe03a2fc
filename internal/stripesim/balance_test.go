package stripesim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// balanceLines are the transactions of the list, oldest first, as type,
// reporting category, amount, fee and net.
func (e *era) balanceLines(t *testing.T, change func(*stripe.BalanceTransactionListParams)) []string {
	t.Helper()
	params := &stripe.BalanceTransactionListParams{}
	params.Limit = stripe.Int64(2) // so that there are pages to turn
	if change != nil {
		change(params)
	}
	var lines []string
	list := e.api.BalanceTransactions.List(params)
	for list.Next() {
		b := list.BalanceTransaction()
		lines = append(lines, fmt.Sprintf("%s %s %d %d %d", b.Type, b.ReportingCategory, b.Amount, b.Fee, b.Net))
	}
	must(t, list.Err())
	slices.Reverse(lines)
	return lines
}

func TestEverythingThatMovesMoneyIsABalanceTransaction(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	whole := e.charged(t, "pm_card_visa")
	_, err := e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(whole.ID), Amount: stripe.Int64(900)})
	must(t, err)
	failing := e.charged(t, "pm_card_refundFail")
	_, err = e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(failing.ID)})
	must(t, err)
	_, lost := e.disputed(t, "pm_card_createDispute")
	equal(t, "withdrawn", len(lost.BalanceTransactions), 1)
	_, won := e.disputed(t, "pm_card_createDispute")
	_, err = e.api.Disputes.Update(won.ID, &stripe.DisputeParams{
		Evidence: &stripe.DisputeEvidenceParams{UncategorizedText: stripe.String("winning_evidence")},
	})
	must(t, err)
	_, inquiry := e.disputed(t, "pm_card_createDisputeInquiry")
	equal(t, "withdrawn by an inquiry", len(inquiry.BalanceTransactions), 0)
	e.after(t, 4*day)
	compareLines(t, e.balanceLines(t, nil),
		"charge charge 9900 317 9583",
		"refund refund -900 0 -900",
		"charge charge 9900 317 9583",
		"refund refund -9900 0 -9900",
		"charge charge 9900 317 9583",
		"adjustment dispute -9900 1500 -11400",
		"charge charge 9900 317 9583",
		"adjustment dispute -9900 1500 -11400",
		"adjustment dispute_reversal 9900 0 9900",
		"charge charge 9900 317 9583",
		"refund_failure refund_failure 9900 0 9900",
	)
	won, err = e.api.Disputes.Get(won.ID, nil)
	must(t, err)
	equal(t, "withdrawn and reinstated", len(won.BalanceTransactions), 2)

	compareLines(t, e.balanceLines(t, func(p *stripe.BalanceTransactionListParams) { p.Type = stripe.String("refund") }),
		"refund refund -900 0 -900", "refund refund -9900 0 -9900")
	compareLines(t, e.balanceLines(t, func(p *stripe.BalanceTransactionListParams) { p.Source = stripe.String(whole.ID) }),
		"charge charge 9900 317 9583")
	compareLines(t, e.balanceLines(t, func(p *stripe.BalanceTransactionListParams) {
		p.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: spring.Add(2 * day).Unix(), LesserThan: spring.Add(9 * day).Unix()}
	}), "refund_failure refund_failure 9900 0 9900")

	params := &stripe.ChargeParams{}
	params.AddExpand("balance_transaction")
	charge, err := e.api.Charges.Get(whole.ID, params)
	must(t, err)
	equal(t, "what is expanded", charge.BalanceTransaction.Net, 9583)
	equal(t, "its money", string(charge.BalanceTransaction.Status), "available")
	alone, err := e.api.BalanceTransactions.Get(charge.BalanceTransaction.ID, nil)
	must(t, err)
	equal(t, "where it comes from", alone.Source.ID, whole.ID)
	balance, err := e.api.Balance.Get(nil)
	must(t, err)
	equal(t, "what is left", balance.Available[0].Amount, 5*9583-900-9900-11400-11400+9900+9900)
	seen := map[string]int{}
	checkState(t, e.Sim, seen)
	equal(t, "checked", seen["balance_transaction"], 11)
}

func TestABankDebitCostsLessAndIsThereWhenTheBankHasPaid(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	session := e.newSession(t)
	e.Complete(t, session.ID, "bank_debit_succeeds")
	compareLines(t, e.balanceLines(t, nil))
	e.after(t, 5*day)
	compareLines(t, e.balanceLines(t, nil), "payment charge 9900 79 9821")
	checkState(t, e.Sim, map[string]int{})
}

func TestMoneyIsPendingForTwoDays(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring)
	e.charged(t, "pm_card_visa")
	balance, err := e.api.Balance.Get(nil)
	must(t, err)
	equal(t, "at first", fmt.Sprint(balance.Available[0].Amount, balance.Pending[0].Amount), "0 9583")
	e.after(t, 49*time.Hour)
	balance, err = e.api.Balance.Get(nil)
	must(t, err)
	equal(t, "later", fmt.Sprint(balance.Available[0].Amount, balance.Pending[0].Amount), "9583 0")
}

// TestAStateWithoutBalanceTransactionsGetsThem takes them out of a journal, as
// one is that an older stand-in wrote.
func TestAStateWithoutBalanceTransactionsGetsThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := openEra(t, spring, inFolder(dir))
	charge := e.charged(t, "pm_card_visa")
	_, err := e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(charge.ID)})
	must(t, err)
	_, dispute := e.disputed(t, "pm_card_createDispute")
	_, err = e.api.Disputes.Update(dispute.ID, &stripe.DisputeParams{
		Evidence: &stripe.DisputeEvidenceParams{UncategorizedText: stripe.String("winning_evidence")},
	})
	must(t, err)
	e.after(t, day)
	want := e.balanceLines(t, nil)
	equal(t, "transactions", len(want), 5)
	must(t, e.Server.Close())

	reopen := func() {
		e.Sim = simtest.Start(t, inFolder(dir))
		e.api = clientOf(e.Sim, 0)
	}
	reopen() // which writes each record once
	must(t, e.Server.Close())
	path := filepath.Join(dir, "journal.jsonl")
	journal, err := os.ReadFile(path)
	must(t, err)
	var old bytes.Buffer
	for line := range bytes.Lines(journal) {
		var change struct {
			Writes []map[string]any `json:"writes"`
		}
		must(t, json.Unmarshal(line, &change))
		change.Writes = slices.DeleteFunc(change.Writes, func(r map[string]any) bool { return r["kind"] == "balance_transaction" })
		for _, r := range change.Writes {
			if r["kind"] == "dispute" {
				r["object"].(map[string]any)["balance_transactions"] = []any{}
			}
		}
		must(t, json.NewEncoder(&old).Encode(change))
	}
	must(t, os.WriteFile(path, old.Bytes(), 0o600))
	reopen()
	got := e.balanceLines(t, nil)
	slices.Sort(got)
	slices.Sort(want)
	compareLines(t, got, want...)
	dispute, err = e.api.Disputes.Get(dispute.ID, nil)
	must(t, err)
	equal(t, "of the dispute", len(dispute.BalanceTransactions), 2)
	status, _ := e.Do(t, http.MethodGet, "/v1/balance_transactions/"+charge.BalanceTransaction.ID, "")
	equal(t, "by the id that the charge has", status, http.StatusOK)
}
