package stripesim

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The types of Stripe's errors that the stand-in answers with.
const (
	typeInvalidRequest = "invalid_request_error"
	typeIdempotency    = "idempotency_error"
	typeCard           = "card_error"
	typeAPI            = "api_error"
)

// apiError is an answer in Stripe's error shape.
type apiError struct {
	status  int
	kind    string
	code    string
	param   string
	message string
	// extra holds what only some errors carry: charge, decline_code, payment_intent.
	extra object
	// unstored says that no endpoint began to execute, in which case Stripe
	// keeps nothing under the idempotency key.
	unstored bool
	// kept says that what the request did stands although its answer is an
	// error: a charge was declined, and was tried.
	kept bool
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s: %s", e.kind, e.message)
}

// body is the error as it goes over the wire.
func (e *apiError) body(requestLogURL string) object {
	inner := object{"message": e.message, "type": e.kind}
	if e.code != "" {
		inner["code"] = e.code
		inner["doc_url"] = "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(e.code, "_", "-")
	}
	if e.param != "" {
		inner["param"] = e.param
	}
	if requestLogURL != "" {
		inner["request_log_url"] = requestLogURL
	}
	return object{"error": inner.set(e.extra)}
}

// invalidRequest is a 400 for what was asked with the parameters as they are.
func invalidRequest(param, code, format string, args ...any) *apiError {
	return &apiError{
		status: http.StatusBadRequest, kind: typeInvalidRequest, code: code, param: param,
		message: fmt.Sprintf(format, args...),
	}
}

// badParameter is a 400 from before an endpoint begins to execute.
func badParameter(param, code, format string, args ...any) *apiError {
	e := invalidRequest(param, code, format, args...)
	e.unstored = true
	return e
}

// missingInPath is Stripe's answer for the id in the URL, and missingInParams
// the one for an id among the parameters: the first is 404, the second 400.
func missingInPath(kind, id string) *apiError {
	e := missingInParams(pathParam(kind), kind, id)
	e.status = http.StatusNotFound
	return e
}

func missingInParams(param, kind, id string) *apiError {
	return invalidRequest(param, "resource_missing", "No such %s: '%s'", strings.ReplaceAll(kind, "_", " "), id)
}

// pathParam is the name that Stripe gives the id in an URL when it complains.
func pathParam(kind string) string {
	switch kind {
	case kindCheckoutSession:
		return "session"
	case kindPaymentIntent, kindSetupIntent:
		return "intent"
	case kindSchedule:
		return "schedule"
	case kindDispute, kindRefund, kindCustomer, kindCharge, kindInvoice, kindInvoiceItem, kindPrice, kindPaymentMethod, kindWebhookEndpoint:
		return kind
	}
	return "id"
}

// asAPIError makes any error an answer; what is none of ours is Stripe's 500.
func asAPIError(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	return &apiError{
		status: http.StatusInternalServerError, kind: typeAPI,
		message: "An unknown error occurred",
	}
}
