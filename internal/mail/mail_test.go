package mail_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/mail"
	"github.com/promptforge/payments/internal/mail/mailtest"
)

var when = time.Date(2026, 3, 3, 14, 5, 0, 0, time.UTC)

func notice(change func(*billing.Notice)) billing.Notice {
	n := billing.Notice{
		Organization: "Analytical Engines", Name: "Ada", Plan: "pro", Interval: billing.Month, Currency: "usd", AmountMinor: 9900, At: when,
		InvoiceID: "in_1", InvoiceURL: "https://invoice.stripe.com/i/1", Attempt: 1,
	}
	if change != nil {
		change(&n)
	}
	return n
}

func mailer() *mail.Mailer {
	return &mail.Mailer{Plans: billing.DefaultPlans(), BaseURL: "https://billing.example.com", InvoiceOrigins: []string{"http://127.0.0.1:8081"}}
}

func TestAMailSaysWhatHappenedAndWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind    string
		change  func(*billing.Notice)
		subject string
		says    []string
		link    string
	}{
		"a receipt": {
			"receipt", nil, "Receipt: $99.00 for PromptForge",
			[]string{"Hello Ada,", "We received $99.00 for PromptForge Pro, billed monthly, of Analytical Engines on 3 Mar 2026.", "Invoice in_1 is paid."},
			"https://invoice.stripe.com/i/1",
		},
		"a currency without cents": {
			"receipt", func(n *billing.Notice) { n.Currency = "jpy" }, "Receipt: ¥9,900 for PromptForge", nil, "https://invoice.stripe.com/i/1",
		},
		"a plan that is not sold any more": {
			"receipt", func(n *billing.Notice) { n.Plan, n.Interval = "", "" }, "Receipt: $99.00 for PromptForge",
			[]string{"for the subscription of Analytical Engines"},
			"https://invoice.stripe.com/i/1",
		},
		"a payment that is tried again": {
			"payment_failed", func(n *billing.Notice) { n.NextAttemptAt = when.AddDate(0, 0, 3) }, "Payment failed: $99.00 for PromptForge",
			[]string{"We could not take $99.00", "We try again on 6 Mar 2026."},
			"https://invoice.stripe.com/i/1",
		},
		"a payment that is not": {
			"payment_failed", nil, "Payment failed: $99.00 for PromptForge", []string{"It will not be tried again by itself."}, "https://invoice.stripe.com/i/1",
		},
		"a payment with which the subscription ended": {
			"payment_failed", func(n *billing.Notice) { n.HasEnded = true }, "Payment failed: $99.00 for PromptForge",
			[]string{"The subscription has ended with it."},
			"https://billing.example.com/billing",
		},
		"an invoice that only pretends to be Stripe's": {
			"receipt", func(n *billing.Notice) { n.InvoiceURL = "https://invoice.stripe.com.evil.example/i/1" }, "Receipt: $99.00 for PromptForge",
			nil, "https://billing.example.com/billing",
		},
		"an invoice at Stripe without https": {
			"receipt", func(n *billing.Notice) { n.InvoiceURL = "http://invoice.stripe.com/i/1" }, "Receipt: $99.00 for PromptForge",
			nil, "https://billing.example.com/billing",
		},
		"an invoice of the stand-in": {
			"receipt", func(n *billing.Notice) { n.InvoiceURL = "http://127.0.0.1:8081/i/1" }, "Receipt: $99.00 for PromptForge", nil, "http://127.0.0.1:8081/i/1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := mailer().Compose(c.kind, notice(c.change))
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject != c.subject {
				t.Errorf("subject = %q, want %q", m.Subject, c.subject)
			}
			doc, err := goquery.NewDocumentFromReader(strings.NewReader(m.HTML))
			if err != nil {
				t.Fatal(err)
			}
			inHTML := strings.Join(strings.Fields(doc.Find("body").Text()), " ")
			for _, words := range c.says {
				if !strings.Contains(m.Text, words) || !strings.Contains(inHTML, words) {
					t.Errorf("%q is missing:\n%s\n%s", words, m.Text, inHTML)
				}
			}
			if href, _ := doc.Find("a").First().Attr("href"); href != c.link || !strings.Contains(m.Text, ": "+c.link+"\n") {
				t.Errorf("link = %q, want %q; text:\n%s", href, c.link, m.Text)
			}
		})
	}
}

func TestANameIsTextAndNeverMarkup(t *testing.T) {
	t.Parallel()
	m, err := mailer().Compose("receipt", notice(func(n *billing.Notice) { n.Organization = `<img src=x>` }))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(m.HTML, "<img") {
		t.Errorf("the name became markup:\n%s", m.HTML)
	}
}

func TestThereAreNoWordsForAnUnknownKind(t *testing.T) {
	t.Parallel()
	if _, err := mailer().Compose("poem", notice(nil)); err == nil {
		t.Error("no error")
	}
}

func send(t *testing.T, s *mailtest.Server, to string) error {
	t.Helper()
	server, err := mail.NewSMTP(s.URL, "PromptForge <billing@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return server.Send(ctx, mail.Message{ID: "outbox-7", To: to, At: when, Subject: "Réceipt", Text: "Hello\n", HTML: "<p>Hello</p>"})
}

func TestAMailArrivesWhole(t *testing.T) {
	t.Parallel()
	s := mailtest.Start(t)
	if err := send(t, s, "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	mails := s.Mails()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	header := mails[0].Header
	for name, want := range map[string]string{
		"Message-Id": "<outbox-7@example.com>", "From": `"PromptForge" <billing@example.com>`, "To": "<ada@example.com>", "Auto-Submitted": "auto-generated",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if date, err := header.Date(); err != nil || !date.Equal(when) {
		t.Errorf("date = %v, %v", date, err)
	}
	if kind := header.Get("Content-Type"); !strings.HasPrefix(kind, "multipart/alternative") {
		t.Errorf("content type = %q", kind)
	}
}

func TestWhatTheServerSaysDecidesWhetherItIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		about, says string
		isFinal     bool
	}{
		"nobody of that name":    {"ada@example.com", "550 5.1.1 no such user", true},
		"the mailbox is full":    {"ada@example.com", "452 4.2.2 over quota", false},
		"the text is refused":    {"DATA", "554 5.7.1 looks like spam", true},
		"the server is too busy": {"DATA", "451 4.3.0 later", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mailtest.Start(t)
			s.Refuse(c.about, c.says)
			err := send(t, s, "ada@example.com")
			if err == nil || errors.Is(err, mail.ErrRefused) != c.isFinal {
				t.Errorf("err = %v, want it final: %v", err, c.isFinal)
			}
		})
	}
}

func TestAServerThatIsAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	server, err := mail.NewSMTP("smtp://127.0.0.1:1", "billing@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Send(t.Context(), mail.Message{ID: "outbox-1", To: "ada@example.com", Subject: "s", Text: "t"}); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("err = %v, want one that is not final", err)
	}
}

func TestAMailServerIsReadOrRefusedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url, from string
		ok        bool
	}{
		"with TLS from the start": {"smtps://u:pa55word@smtp.example.com", "billing@example.com", true},
		"with STARTTLS":           {"smtp://u:pa55word@smtp.example.com:587", "PromptForge <billing@example.com>", true},
		"another scheme":          {"https://u:pa55word@smtp.example.com", "billing@example.com", false},
		"no host":                 {"smtp://u:pa55word@", "billing@example.com", false},
		"no sender":               {"smtp://u:pa55word@smtp.example.com", "billing", false},
		"no address at all":       {"smtp://u:pa55word@smtp.example.com:x", "billing@example.com", false},
	} {
		_, err := mail.NewSMTP(c.url, c.from)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}
