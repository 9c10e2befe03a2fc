// Package mail puts into words what the outbox holds, and hands it to a mail
// server. Where none is configured, the mail is kept, to be read in the outbox.
//
// A mail is delivered at least once: whoever dies between handing it over and
// noting so hands it over again, under the same Message-ID.
package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

// Mailer delivers what is in the outbox. All fields are set before first use.
type Mailer struct {
	Pool  *pgxpool.Pool
	Plans billing.Plans
	// BaseURL is where customers reach us, without a slash at its end.
	BaseURL string
	// InvoiceOrigins are those that an invoice's page may have beside Stripe's:
	// the stand-in's.
	InvoiceOrigins []string
	// Server takes mails; nil keeps them.
	Server Server
	// Now is the business clock.
	Now func() time.Time
}

// Server is what hands a mail over. An error that wraps ErrRefused is final.
type Server interface {
	Send(ctx context.Context, m Message) error
}

// ErrRefused is of a mail that the server will not take, however often it is
// tried.
var ErrRefused = errors.New("refused for good")

// Message is a mail in words.
type Message struct {
	// ID is the local part of the Message-ID, one for each row of the outbox.
	ID      string
	To      string
	At      time.Time
	Subject string
	Text    string
	HTML    string
}

// Deliver hands over a mail of the outbox, or keeps it. A mail that is not
// waiting any more is no error, and neither is one that is refused for good: its
// row says so. Any other error asks for another try; on the last one the row
// says that it has failed.
func (m *Mailer) Deliver(ctx context.Context, outboxID int64, isLastTry bool) error {
	q := db.New(m.Pool)
	row, err := q.Mail(ctx, outboxID)
	if err != nil {
		return fmt.Errorf("read mail %d: %w", outboxID, err)
	}
	if row.State != "queued" {
		return nil
	}
	message, err := m.compose(row)
	if err != nil {
		return m.failed(ctx, q, outboxID, err, true)
	}
	state := "kept"
	if m.Server != nil {
		state = "sent"
		if err := m.Server.Send(ctx, message); err != nil {
			return m.failed(ctx, q, outboxID, err, isLastTry || errors.Is(err, ErrRefused))
		}
	}
	_, err = q.MailDelivered(ctx, db.MailDeliveredParams{
		ID: outboxID, State: state, Subject: message.Subject, BodyText: message.Text, BodyHtml: message.HTML, SentAt: m.Now(),
	})
	if err != nil {
		return fmt.Errorf("note that mail %d is %s: %w", outboxID, state, err)
	}
	return nil
}

// failed notes a failure; the try may have ended with the context. What is final
// needs no other try, so that it is no error.
func (m *Mailer) failed(ctx context.Context, q *db.Queries, outboxID int64, cause error, isFinal bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := q.MailFailed(ctx, db.MailFailedParams{ID: outboxID, LastError: printable(cause.Error()), ForGood: isFinal})
	if err != nil {
		return fmt.Errorf("note that mail %d failed: %w", outboxID, errors.Join(err, cause))
	}
	if isFinal {
		return nil
	}
	return fmt.Errorf("send mail %d: %w", outboxID, cause)
}

// printable makes what a server answered storable: valid UTF-8 without NUL, at
// most 500 bytes.
func printable(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "")
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "")
	}
	return s
}

func (m *Mailer) compose(row db.Outbox) (Message, error) {
	var n billing.Notice
	if err := json.Unmarshal(row.Payload, &n); err != nil {
		return Message{}, fmt.Errorf("read the facts of mail %d: %w", row.ID, err)
	}
	message, err := m.Compose(row.Kind, n)
	if err != nil {
		return Message{}, fmt.Errorf("put mail %d into words: %w", row.ID, err)
	}
	message.ID, message.To, message.At = fmt.Sprintf("outbox-%d-%x", row.ID, row.CreatedAt.UnixMicro()), row.ToAddress, row.CreatedAt
	return message, nil
}

// invoicePage is the page of an invoice, where it leads to Stripe or to the
// stand-in, and else empty: an event may say anything, and a mail from us must
// not lead there.
func (m *Mailer) invoicePage(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Host == "" {
		return ""
	}
	isStripe := u.Scheme == "https" && (u.Host == "stripe.com" || strings.HasSuffix(u.Host, ".stripe.com"))
	if isStripe || slices.Contains(m.InvoiceOrigins, u.Scheme+"://"+u.Host) {
		return address
	}
	return ""
}
