package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

const keyFailure = "failure"

// statusGone is for the log alone, and nginx's: whoever asked has left before
// the answer. It is no fault of ours and must not look like one.
const statusGone = 499

// What goes wrong in HTTP itself.
var (
	errCrossOrigin     = errors.New("the request came from another site")
	errUnauthenticated = errors.New("no session")
	errNoSuchPage      = errors.New("no such page for this visitor")
	errNoSuchCustomer  = errors.New("no such organization or customer")
	errCannotCount     = errors.New("requests cannot be counted")
	errNotJSON         = errors.New("the body is not a JSON object")
	errMediaType       = errors.New("the body is of another type")
	errNotStored       = errors.New("the event was not stored")
	errNoKey           = errors.New("no key, or none that is known")
	errCannotTell      = errors.New("the database does not answer a program")
	errScope           = errors.New("the key is for something else")
	errNoStream        = errors.New("too many streams, or none at all")
	errNoOrganization  = errors.New("the account belongs to no organization")
)

// tooMany is a request over its limit.
type tooMany struct{ retryAfter time.Duration }

func (t tooMany) Error() string { return fmt.Sprintf("over the limit for another %s", t.retryAfter) }

// badParameter is a part of the address that cannot be read.
type badParameter struct{ name, message string }

func (b badParameter) Error() string { return "parameter " + b.name + " cannot be read" }

// failure is an error as a browser or a program sees it. Nothing of the error
// itself is in it.
type failure struct {
	status int
	code   string
	// title is the heading of the page; empty: the one of its status.
	title   string
	message string
	fields  map[string]string
	url     string
	// isRefusal: message is a rule's.
	isRefusal bool
	// retryAfter is told where it is above 0.
	retryAfter time.Duration
}

// fail is where every error ends.
func (s *server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	f := describe(err)
	h := c.Response().Header()
	if f.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds()))))
	}
	var sent error
	switch {
	case c.Request().Method == http.MethodHead, f.status == statusGone:
		sent = c.NoContent(f.status)
	case wantsJSON(c):
		sent = c.JSON(f.status, f.body(requestID(c)))
	default:
		sent = s.failPage(c, f)
	}
	if sent != nil { // the client has gone, or the page cannot be drawn
		c.Response().Status = f.status
	}
}

// failSession ends an answer whose session could not be saved; it was on its way
// out, so this is plain.
func (s *server) failSession(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		w.WriteHeader(statusGone)
		return
	}
	id := w.Header().Get("X-Request-Id")
	s.Log.ErrorContext(r.Context(), "save session", "request_id", id, "error", err)
	http.Error(w, "Something went wrong on our side. It has been recorded as "+id+".", http.StatusInternalServerError)
}

// describe maps what can go wrong to what is said about it. Whatever it does
// not know is a 500 with a fixed sentence.
func describe(err error) failure {
	var refusal *billing.Refusal
	var over tooMany
	var tooLarge *http.MaxBytesError
	var bad badParameter
	var http_ *echo.HTTPError
	switch {
	case errors.As(err, &refusal):
		return failure{status: statusOf(refusal.Code), code: refusal.Code, message: refusal.Message, fields: refusal.Fields, url: refusal.URL, isRefusal: true}
	case errors.As(err, &over):
		wait := max(over.retryAfter, time.Second)
		return failure{
			status: 429, code: "too_many_requests", isRefusal: true, retryAfter: wait,
			message: "Wait " + inWordsOf(wait) + ", then try again. Nothing is lost.",
		}
	case errors.As(err, &tooLarge):
		return failure{status: 413, code: "too_large", message: "The request is larger than we accept."}
	case errors.Is(err, payments.ErrSignature):
		return failure{status: 400, code: "bad_signature", message: "The signature is missing or wrong."}
	case errors.Is(err, errNotStored):
		return failure{status: 503, code: "unavailable", message: "The event could not be stored. Send it again.", retryAfter: 5 * time.Second}
	case errors.Is(err, errNoStream):
		return failure{status: 503, code: "unavailable", message: "There is no room for another stream. Come back in a minute.", retryAfter: time.Minute}
	case errors.Is(err, errCannotCount), errors.Is(err, auth.ErrBusy):
		return failure{status: 503, code: "busy", message: "We are busy. Please try again in a few seconds.", retryAfter: 5 * time.Second}
	case errors.Is(err, errNotJSON):
		return failure{status: 400, code: "not_json", message: "The body must be one JSON object."}
	case errors.Is(err, errMediaType):
		return failure{status: 415, code: "unsupported_media_type", message: "Send the body in the type that this address takes."}
	case errors.Is(err, errCrossOrigin):
		return failure{
			status: 403, code: "cross_origin", isRefusal: true, title: "That did not come from here",
			message: "The request came from another site, so nothing was done. Open the page here and try again.",
		}
	case errors.Is(err, errUnauthenticated):
		return failure{status: 401, code: "unauthenticated", message: "Log in first."}
	case errors.Is(err, errNoKey):
		return failure{status: 401, code: "unauthenticated", message: "Send a key that is in use, as \"Authorization: Bearer pf_…\"."}
	case errors.Is(err, errCannotTell) && !errors.Is(err, context.Canceled):
		return failure{status: 503, code: "unavailable", message: "We cannot answer at the moment. Ask again in a few seconds.", retryAfter: 5 * time.Second}
	case errors.Is(err, errScope):
		return failure{status: 403, code: billing.CodeForbidden, message: "This key may not be used for that."}
	case errors.As(err, &bad):
		return failure{status: 400, code: "bad_request", message: bad.message, fields: map[string]string{bad.name: bad.message}}
	case errors.Is(err, errNoOrganization):
		return failure{
			status: 404, code: billing.CodeNotFound, isRefusal: true, title: "There is no billing here",
			message: "Plans and bills belong to organizations, and this account is in none.",
		}
	case errors.Is(err, errNoSuchPage):
		return failure{status: 404, code: billing.CodeNotFound, message: "There is nothing here."}
	case errors.Is(err, errNoSuchCustomer): // to administrators alone
		return failure{
			status: 404, code: billing.CodeNotFound, isRefusal: true, title: "No such organization", url: "/admin/billing/subscriptions",
			message: "Neither an organization nor a customer at Stripe has this id.",
		}
	case errors.Is(err, context.Canceled):
		return failure{status: statusGone}
	case errors.As(err, &http_):
		return describeHTTP(http_.Code)
	default:
		return failure{status: 500, code: "internal", message: "Something went wrong on our side. It has been recorded."}
	}
}

// describeHTTP is for what the router itself refuses.
func describeHTTP(status int) failure {
	switch status {
	case 404:
		return failure{status: 404, code: billing.CodeNotFound, message: "There is nothing here."}
	case 405:
		return failure{status: 405, code: "method_not_allowed", message: "This address does not take such a request."}
	}
	if status >= 400 && status < 500 {
		return failure{status: 400, code: "bad_request", message: "We could not read the request."}
	}
	return failure{status: 500, code: "internal", message: "Something went wrong on our side. It has been recorded."}
}

func statusOf(code string) int {
	switch code {
	case billing.CodeInvalid:
		return 422
	case billing.CodeForbidden:
		return 403
	case billing.CodeNotFound:
		return 404
	case billing.CodeSubscriptionExists, billing.CodeCurrencyMismatch, billing.CodePaymentUnderWay:
		return 409
	case billing.CodeStripeUnavailable:
		return 502
	default:
		return 500
	}
}

// body is the shape of every JSON error.
func (f failure) body(requestID string) map[string]any {
	fields := f.fields
	if fields == nil {
		fields = map[string]string{}
	}
	e := map[string]any{"code": f.code, "message": f.message, "fields": fields}
	if f.url != "" {
		e["url"] = f.url
	}
	if f.status >= 500 {
		e["requestId"] = requestID
	}
	return map[string]any{"error": e}
}

func (s *server) failPage(c echo.Context, f failure) error {
	wholeInstead(c)
	frame, v := s.frame(c), visitorOf(c)
	if f.status == 409 {
		words := refusalWords[f.code]
		return s.page(c, f.status, views.RefusalPage(views.Refusal{
			Frame: frame, Title: words.title, Message: cmp.Or(words.message, f.message), Action: wayOn(f.url),
		}))
	}
	m := views.Error{Frame: frame, Status: f.status, Title: f.title, RequestID: requestID(c), Action: wayOn(f.url)}
	if f.isRefusal { // a rule has better words than a status
		m.Message = f.message
	}
	isDesk := strings.HasPrefix(c.Request().URL.Path+"/", "/admin/")
	m.InAdministration = isDesk && v.user.IsAdmin
	if m.InAdministration && f.status == 404 && m.Title == "" { // nothing is kept from an administrator
		m.Title, m.Message = "There is no such page", "The address may be mistyped."
	}
	if m.Action.IsZero() && v.user.IsAdmin && (isDesk || !v.hasOrganization()) { // whose start page is the overview
		m.Action = wayOn("/admin/billing")
	}
	if f.status == 404 && !v.isSignedIn() && isDesk {
		m.LoginURL = loginURL(c)
	}
	return s.page(c, f.status, views.ErrorPage(m))
}

// wayOn is the button that leads to a page of ours; zero for no URL.
func wayOn(url string) ui.Action {
	return ui.Action{Label: map[string]string{
		"/billing": "Go to billing", "/pricing": "See plans and prices", "/admin/billing": "Open the overview",
		"/admin/billing/subscriptions": "See all subscriptions",
	}[url], Href: url}
}

// refusalWords are what a page says of a refusal: a heading, and beneath it what
// the heading has not said.
var refusalWords = map[string]struct{ title, message string }{
	billing.CodeSubscriptionExists: {
		"You already have a subscription", "Nothing was ordered and nothing was charged. Billing shows the plan that your organization has.",
	},
	billing.CodeCurrencyMismatch: {"This plan is sold in another currency", ""},
	billing.CodePaymentUnderWay: {
		"A payment is on its way", "Nothing more was ordered. Your plan starts by itself as soon as the money has arrived.",
	},
}

// inWordsOf is a wait as people say it: "40 seconds", "2 minutes".
func inWordsOf(wait time.Duration) string {
	n, unit := int64(math.Ceil(wait.Seconds())), "second"
	if n > 90 {
		n, unit = int64(math.Ceil(wait.Minutes())), "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.FormatInt(n, 10) + " " + unit
}

// wantsJSON: programs ask for JSON, and below /api everyone is a program.
func wantsJSON(c echo.Context) bool {
	r := c.Request()
	if strings.HasPrefix(r.URL.Path, "/api/") {
		return true
	}
	accept, _, err := mime.ParseMediaType(strings.Split(r.Header.Get("Accept"), ",")[0])
	return err == nil && accept == "application/json"
}
