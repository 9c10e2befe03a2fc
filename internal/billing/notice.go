package billing

import (
	"time"

	"github.com/promptforge/payments/internal/money"
)

// Notice is what a mail tells of a payment: the facts as they were when it
// happened. Whoever notices writes it, and the mail is put into words from it
// later, and by somebody else.
type Notice struct {
	// Organization is who bought, Name who is written to.
	Organization string `json:"organization,omitempty"`
	Name         string `json:"name,omitempty"`
	// Plan is a plan's code; empty where nothing says it.
	Plan        string         `json:"plan,omitempty"`
	Interval    Interval       `json:"interval,omitempty"`
	Currency    money.Currency `json:"currency"`
	AmountMinor int64          `json:"amount_minor"`
	// At is when it happened, by Stripe's clock.
	At         time.Time `json:"at"`
	InvoiceID  string    `json:"invoice_id"`
	InvoiceURL string    `json:"invoice_url,omitempty"` // as Stripe said; not judged yet
	// Attempt counts from 1 how often the invoice was tried, and NextAttemptAt
	// is when it is tried again; zero: not by itself.
	Attempt       int64     `json:"attempt,omitempty"`
	NextAttemptAt time.Time `json:"next_attempt_at,omitzero"`
	// HasEnded: the subscription ended with the failure.
	HasEnded bool `json:"has_ended,omitempty"`
}
