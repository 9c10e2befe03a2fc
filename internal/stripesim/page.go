package stripesim

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

//go:embed page/*.html
var pageFiles embed.FS

//go:embed page/style.css page/icon.svg
var assetFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// What a button for a test card fills in, where nothing was typed.
const (
	testExpiry = "12 / 34"
	testCVC    = "123"
	testName   = "Test Buyer"
	testEmail  = "buyer@example.com"
)

// acknowledgement is how long Stripe waits for the answer to
// checkout.session.completed before it sends the buyer back.
// https://stripe.com/docs/payments/checkout/fulfill-orders
const acknowledgement = 10 * time.Second

// checkoutPage is what the hosted page shows.
type checkoutPage struct {
	Title      string
	Path       string
	Items      []pageItem
	DueToday   string
	Later      string // what follows a trial
	NeedsCard  bool
	FixedEmail string // the customer's own, which the page does not change
	Typed      payerForm
	Faults     []cardFaultView
	Cards      []pageCard
	PayLabel   string
	CancelURL  string
	Waiting    string // the card that wants to be confirmed, as ···· 3155
}

type pageItem struct {
	Name     string
	Quantity int64
	Price    string
	Trial    string
}

type pageCard struct {
	Number, Grouped, Does string
}

type payerForm struct {
	Email, Name, Number, Expiry, CVC string
}

type cardFaultView struct {
	Field, Message string
}

// Fault is the message beside a field.
func (p checkoutPage) Fault(field string) string {
	for _, fault := range p.Faults {
		if fault.Field == field {
			return fault.Message
		}
	}
	return ""
}

// noticePage says one thing and offers one way on.
type noticePage struct {
	Title, Text, LinkText, LinkURL string
}

// outcome is how a payment on the page ended.
type outcome struct {
	completion
	faults []cardFault
}

// showCheckout is the hosted page.
func (s *Server) showCheckout(w http.ResponseWriter, r *http.Request) {
	session, page, err := s.checkoutPage(r.PathValue("id"))
	switch {
	case err != nil:
		s.noticeError(w, r, err)
	case session.str("status") != "open":
		s.noticeDone(w, r, session)
	default:
		s.render(w, r, http.StatusOK, "checkout.html", page, session.str("success_url"))
	}
}

// payCheckout is its form. The buttons for test cards are a form of their own:
// in the one with the fields, enter must mean the card that was typed.
func (s *Server) payCheckout(w http.ResponseWriter, r *http.Request) {
	session, page, ok := s.openCheckout(w, r)
	if !ok {
		return
	}
	p := payerFromForm(r.PostForm, page)
	result, err := s.pay(r.Context(), session.id(), func(t *tx, session object) (outcome, error) {
		card, faults := t.checkPayer(session, p)
		if len(faults) > 0 {
			return outcome{faults: faults}, nil
		}
		completion, err := t.complete(session, p, card)
		return outcome{completion: completion}, err
	})
	s.showOutcome(w, r, session, page, p, result, err)
}

// showConfirmation plays the page on which a bank asks its customer.
func (s *Server) showConfirmation(w http.ResponseWriter, r *http.Request) {
	session, page, err := s.checkoutPage(r.PathValue("id"))
	switch {
	case err != nil:
		s.noticeError(w, r, err)
	case session.str("status") != "open":
		s.noticeDone(w, r, session)
	case page.Waiting == "":
		http.Redirect(w, r, page.Path, http.StatusSeeOther)
	default:
		page.Title = "Confirm"
		s.render(w, r, http.StatusOK, "confirmation.html", page, session.str("success_url"))
	}
}

// confirmCheckout is its form.
func (s *Server) confirmCheckout(w http.ResponseWriter, r *http.Request) {
	session, page, ok := s.openCheckout(w, r)
	if !ok {
		return
	}
	result, err := s.pay(r.Context(), session.id(), func(t *tx, session object) (outcome, error) {
		completion, err := t.confirm(session, r.PostForm.Get("answer") == "confirm")
		return outcome{completion: completion}, err
	})
	s.showOutcome(w, r, session, page, payer{}, result, err)
}

// openCheckout reads the form of a session that can still be paid, or answers
// what there is to say of any other.
func (s *Server) openCheckout(w http.ResponseWriter, r *http.Request) (session object, page checkoutPage, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		s.render(w, r, http.StatusBadRequest, "notice.html", noticePage{Title: "That form could not be read", Text: "Go back and try again."}, "")
		return nil, page, false
	}
	session, page, err := s.checkoutPage(r.PathValue("id"))
	switch {
	case err != nil:
		s.noticeError(w, r, err)
	case session.str("status") == "complete": // pressed twice
		http.Redirect(w, r, successURL(session), http.StatusSeeOther)
	case session.str("status") != "open":
		s.noticeDone(w, r, session)
	default:
		return session, page, true
	}
	return nil, page, false
}

func (s *Server) showOutcome(w http.ResponseWriter, r *http.Request, session object, page checkoutPage, p payer, result outcome, err error) {
	switch {
	case err != nil:
		s.noticeError(w, r, err)
	case result.waits:
		http.Redirect(w, r, page.Path+"/confirmation", http.StatusSeeOther)
	case result.refused != nil:
		page.showAgain(p, cardFault{"card_number", result.refused.code, result.refused.message})
		s.render(w, r, http.StatusPaymentRequired, "checkout.html", page, session.str("success_url"))
	case len(result.faults) > 0:
		page.showAgain(p, result.faults...)
		s.render(w, r, http.StatusUnprocessableEntity, "checkout.html", page, session.str("success_url"))
	default:
		http.Redirect(w, r, result.redirectURL, http.StatusSeeOther)
	}
}

// pay changes a session, and waits as Stripe does for the webhook's answer to
// what completes it.
func (s *Server) pay(ctx context.Context, id string, act func(t *tx, session object) (outcome, error)) (outcome, error) {
	var result outcome
	err := s.update(cause{}, func(t *tx) error {
		session := t.get(kindCheckoutSession, id)
		if session == nil {
			return missingInPath(kindCheckoutSession, id)
		}
		var err error
		result, err = act(t, session)
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, acknowledgement)
	defer cancel()
	s.deliveries.answered(ctx, result.deliveries)
	return result, nil
}

// checkPayer answers the card, if one was given, and what is wrong with what was
// typed in the order of the form.
func (t *tx) checkPayer(session object, p payer) (card *checkedCard, faults []cardFault) {
	if t.get(kindCustomer, session.str("customer")).str("email") == "" && !isEmail(p.email) {
		faults = append(faults, cardFault{"email", "email_invalid", "Enter an e-mail address, such as you@example.com."})
	}
	if !needsCard(session) && p.number == "" {
		return nil, faults
	}
	checked, cardFaults := checkCard(p, t.now)
	faults = append(faults, cardFaults...)
	if checked.isBank && !slices.Contains(session.list("payment_method_types"), any(bankDebit)) {
		faults = append(faults, cardFault{"card_number", "invalid_number", "A bank account in the United States pays in US dollars, where bank debits are taken at all."})
	}
	if p.name == "" {
		faults = append(faults, cardFault{"name", "invalid_cardholder_name", "Enter the name on the card."})
	}
	return &checked, faults
}

// needsCard says whether the buyer must give a card: always, but for a session
// with nothing due today that asks for one only if required.
func needsCard(session object) bool {
	return session.int("amount_total") > 0 || session.str("payment_method_collection") != "if_required"
}

func payerFromForm(form url.Values, page checkoutPage) payer {
	typed := func(field string) string { return strings.TrimSpace(form.Get(field)) }
	p := payer{
		email: typed("email"), name: typed("name"), number: typed("card_number"), expiry: typed("expiry"), cvc: typed("cvc"),
	}
	if card := form.Get("test_card"); card != "" {
		p.number = card
		if known, ok := findTestCard(card); ok {
			p.number = known.grouped()
		}
		p.expiry, p.cvc = testExpiry, testCVC
		p.name = firstOf(p.name, testName)
		p.email = firstOf(p.email, testEmail)
	}
	if page.FixedEmail != "" {
		p.email = page.FixedEmail
	}
	return p
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func (p *checkoutPage) showAgain(typed payer, faults ...cardFault) {
	p.Typed = payerForm{Email: typed.email, Name: typed.name, Number: typed.number, Expiry: typed.expiry, CVC: typed.cvc}
	for _, fault := range faults {
		p.Faults = append(p.Faults, cardFaultView{Field: fault.field, Message: fault.message})
	}
}

// checkoutPage reads the session and makes its page, if it is still open.
func (s *Server) checkoutPage(id string) (session object, page checkoutPage, err error) {
	err = s.update(cause{}, func(t *tx) error {
		session = t.get(kindCheckoutSession, id)
		if session == nil {
			return missingInPath(kindCheckoutSession, id)
		}
		customer := t.get(kindCustomer, session.str("customer"))
		page = checkoutPage{
			Title:      "Checkout",
			Path:       "/c/pay/" + session.id(),
			DueToday:   amountText(session.int("amount_total"), session.str("currency")),
			NeedsCard:  needsCard(session),
			FixedEmail: customer.str("email"),
			Typed:      payerForm{Email: session.str("customer_email"), Name: customer.str("name")},
			PayLabel:   "Subscribe and pay " + amountText(session.int("amount_total"), session.str("currency")),
			CancelURL:  session.str("cancel_url"),
		}
		for _, card := range testCards {
			if card.does == "" || card.isBank && !slices.Contains(session.list("payment_method_types"), any(bankDebit)) {
				continue
			}
			page.Cards = append(page.Cards, pageCard{Number: card.number, Grouped: card.grouped(), Does: card.does})
		}
		hidden := t.hidden(kindCheckoutSession, session.id())
		if waiting := hidden.obj("waiting"); waiting != nil {
			page.Waiting = "···· " + t.get(kindPaymentMethod, waiting.str("method")).obj("card").str("last4")
		}
		page.describe(hidden.list("line_items"), t.trialDays(hidden.obj("subscription_data")))
		return nil
	})
	return session, page, err
}

func (t *tx) trialDays(data object) int64 {
	if end, given := data["trial_end"].(int64); given {
		return max(1, (end-t.unix()+86399)/86400)
	}
	return data.int("trial_period_days")
}

func (p *checkoutPage) describe(items list, trialDays int64) {
	var later []string
	for _, i := range items {
		item := asObject(i)
		price := item.obj("price")
		each := amountText(amountTimes(price, item.int("quantity")), price.str("currency")) + " every " + intervalText(price)
		shown := pageItem{Name: item.str("description"), Quantity: item.int("quantity"), Price: each}
		if trialDays > 0 {
			shown.Trial = days(trialDays) + " free"
			later = append(later, each)
		}
		p.Items = append(p.Items, shown)
	}
	if trialDays > 0 {
		p.PayLabel = "Start trial"
		p.Later = fmt.Sprintf("After %s: %s.", days(trialDays), strings.Join(later, " and "))
	}
}

func days(n int64) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

func successURL(session object) string {
	return strings.ReplaceAll(session.str("success_url"), "{CHECKOUT_SESSION_ID}", session.id())
}

// noticeDone is the page of a session that is over.
func (s *Server) noticeDone(w http.ResponseWriter, r *http.Request, session object) {
	if session.str("status") == "complete" {
		s.render(w, r, http.StatusOK, "notice.html", noticePage{
			Title: "You have paid already", Text: "This checkout is complete. Nothing more is due today.",
			LinkText: "Continue", LinkURL: successURL(session),
		}, "")
		return
	}
	s.render(w, r, http.StatusGone, "notice.html", noticePage{
		Title: "This checkout has expired", Text: "Its link was good for a limited time, and nothing was charged. Go back and begin again.",
		LinkText: "Go back", LinkURL: session.str("cancel_url"),
	}, "")
}

func (s *Server) noticeError(w http.ResponseWriter, r *http.Request, err error) {
	var known *apiError
	if errors.As(err, &known) && known.status == http.StatusNotFound {
		s.render(w, r, http.StatusNotFound, "notice.html", noticePage{
			Title: "There is no such checkout", Text: "The link is incomplete, or it belongs to a stand-in that was started afresh.",
		}, "")
		return
	}
	if known != nil {
		s.render(w, r, known.status, "notice.html", noticePage{Title: "This checkout cannot be paid", Text: known.message}, "")
		return
	}
	s.cfg.Logger.ErrorContext(r.Context(), "page failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	s.render(w, r, http.StatusInternalServerError, "notice.html", noticePage{Title: "Something went wrong", Text: "Try again in a moment."}, "")
}

func (s *Server) showNotFound(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusNotFound, "notice.html", noticePage{
		Title: "There is nothing here", Text: "This is a stand-in for Stripe: it has an API and checkout pages.", LinkText: "What this is", LinkURL: "/",
	}, "")
}

// render writes a page. A form of it may lead to the origin of leadsTo, which
// Chrome holds against form-action after a redirect too.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, name string, page any, leadsTo string) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, page); err != nil {
		s.cfg.Logger.ErrorContext(r.Context(), "page not rendered", slog.String("page", name), slog.Any("error", err))
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	formAction := "'self'"
	if u, err := url.Parse(leadsTo); err == nil && u.Host != "" {
		formAction += " " + u.Scheme + "://" + u.Host
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "+formAction)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = body.WriteTo(w) // whoever hung up gets nothing
	}
}

func (s *Server) serveAsset(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, assetFiles, "page/"+r.PathValue("name"))
}
