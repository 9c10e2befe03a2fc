package mail

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// letter is a mail before it is printed as text and as HTML, which say the same.
type letter struct {
	Subject string
	// Greeting, and then a paragraph each.
	Greeting   string
	Paragraphs []string
	// The one button.
	Label, Link string
	// Foot says why the reader gets the mail, and Billing where to find
	// everything.
	Foot, Billing string
}

// Compose puts a notice into words. It is pure.
func (m *Mailer) Compose(kind string, n billing.Notice) (Message, error) {
	l, err := m.letter(kind, n)
	if err != nil {
		return Message{}, err
	}
	var html bytes.Buffer
	if err := page.Execute(&html, l); err != nil {
		return Message{}, fmt.Errorf("print mail: %w", err)
	}
	return Message{Subject: l.Subject, Text: l.text(), HTML: html.String()}, nil
}

func (m *Mailer) letter(kind string, n billing.Notice) (letter, error) {
	amount := money.Format(n.AmountMinor, n.Currency)
	on := n.At.UTC().Format("2 Jan 2006")
	organization := n.Organization
	if organization == "" {
		organization = "your organization"
	}
	invoice := m.invoicePage(n.InvoiceURL)
	l := letter{
		Greeting: "Hello,", Billing: m.BaseURL + "/billing",
		Foot: "You get this mail because you own " + organization + " at PromptForge, or pay for it.",
	}
	if n.Name != "" {
		l.Greeting = "Hello " + n.Name + ","
	}
	switch kind {
	case "receipt":
		l.Subject = "Receipt: " + amount + " for PromptForge"
		l.Paragraphs = []string{
			fmt.Sprintf("Thank you. We received %s for %s on %s.", amount, m.what(n, organization), on),
			"Invoice " + n.InvoiceID + " is paid.",
		}
		l.Label, l.Link = "View the invoice", invoice
	case "payment_failed":
		l.Subject = "Payment failed: " + amount + " for PromptForge"
		l.Paragraphs = []string{fmt.Sprintf("We could not take %s for %s on %s.", amount, m.what(n, organization), on)}
		way := "pay the invoice"
		if invoice == "" {
			way = "see on Billing what is owed"
		}
		switch {
		case n.HasEnded:
			l.Paragraphs = append(l.Paragraphs, "The subscription has ended with it. You can begin again whenever you like.")
			return l.orBilling(), nil
		case n.NextAttemptAt.IsZero():
			l.Paragraphs = append(l.Paragraphs, "It will not be tried again by itself. Please "+way+", or use another card.")
		default:
			l.Paragraphs = append(l.Paragraphs, fmt.Sprintf(
				"We try again on %s. If your card cannot pay, please %s before then, or use another card.", n.NextAttemptAt.UTC().Format("2 Jan 2006"), way))
		}
		l.Label, l.Link = "Pay now", invoice
	default:
		return letter{}, fmt.Errorf("there are no words for a mail of kind %q", kind)
	}
	return l.orBilling(), nil
}

// orBilling gives a letter without a button the one that always leads on.
func (l letter) orBilling() letter {
	if l.Link == "" {
		l.Label, l.Link = "Open billing", l.Billing
	}
	return l
}

// what was paid for: "PromptForge Pro, billed monthly, of Acme".
func (m *Mailer) what(n billing.Notice, organization string) string {
	name := n.Plan
	if plan, ok := m.Plans.ByCode(n.Plan); ok {
		name = plan.Name
	}
	if name == "" {
		return "the subscription of " + organization
	}
	billed := map[billing.Interval]string{billing.Month: ", billed monthly,", billing.Year: ", billed yearly,"}[n.Interval]
	return "PromptForge " + name + billed + " of " + organization
}

func (l letter) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", l.Greeting)
	for _, p := range l.Paragraphs {
		fmt.Fprintf(&b, "%s\n\n", p)
	}
	fmt.Fprintf(&b, "%s: %s\n\n", l.Label, l.Link)
	if l.Link != l.Billing {
		fmt.Fprintf(&b, "Your plan and your payments: %s\n\n", l.Billing)
	}
	fmt.Fprintf(&b, "-- \n%s\n", l.Foot)
	return b.String()
}

//go:embed page.html
var pageSource string

// page is the HTML of every mail: one column, no images, styles where mail
// programs look for them.
var page = template.Must(template.New("page.html").Parse(pageSource))
