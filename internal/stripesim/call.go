package stripesim

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

// call is an API request while it executes: the change that it makes and what
// it was asked with.
type call struct {
	*tx
	request *http.Request
	params  object
}

// endpoint answers an API request with an object or an error.
type endpoint func(*call) (object, error)

// api is the way of every API request: who asks, with which version and
// parameters, whether it was asked before, and then the endpoint itself.
func (s *Server) api(known fields, serve endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := s.answer(w, r)
		if err := s.admit(r); err != nil {
			a.fail(err)
			return
		}
		tree, err := readTree(w, r)
		if err != nil {
			a.fail(err)
			return
		}
		params, err := readFields("", tree, known)
		if err != nil {
			a.fail(err)
			return
		}
		s.idempotently(a, tree, func(t *tx) (object, error) {
			c := &call{tx: t, request: r, params: params}
			result, err := serve(c)
			if err != nil {
				return nil, err
			}
			return t.expanded(result, params.list("expand"))
		})
	}
}

// admit checks the key and the version.
func (s *Server) admit(r *http.Request) error {
	if err := s.authenticate(r); err != nil {
		return err
	}
	if version := r.Header.Get("Stripe-Version"); version != "" && version != APIVersion {
		return badParameter("", "", "Invalid Stripe API version: %s. This stand-in speaks %s only.", version, APIVersion)
	}
	return nil
}

func (s *Server) authenticate(r *http.Request) error {
	refused := &apiError{status: http.StatusUnauthorized, kind: typeInvalidRequest, unstored: true}
	key, basic, ok := r.BasicAuth()
	if basic != "" {
		ok = false // the key is the user name and there is no password
	}
	if bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		key, ok = strings.TrimSpace(bearer), true
	}
	if !ok || key == "" {
		refused.message = "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/."
		return refused
	}
	if strings.HasPrefix(key, "sk_live_") || strings.HasPrefix(key, "rk_live_") {
		refused.message = "This is a stand-in for Stripe in which no money moves. It refuses live keys: take care where you send them."
		return refused
	}
	if subtle.ConstantTimeCompare([]byte(key), []byte(s.cfg.SecretKey)) != 1 {
		refused.message = "Invalid API Key provided: " + masked(key)
		return refused
	}
	return nil
}

// masked shows of a key what Stripe shows of it.
func masked(key string) string {
	if len(key) < 16 {
		return strings.Repeat("*", len(key))
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}

// fromPath answers the object whose id stands in the URL.
func (c *call) fromPath(kind string) (object, error) {
	id := c.request.PathValue("id")
	o := c.get(kind, id)
	if o == nil {
		return nil, missingInPath(kind, id)
	}
	return o, nil
}

// liveFromPath is fromPath for what must not have been deleted.
func (c *call) liveFromPath(kind string) (object, error) {
	o, err := c.fromPath(kind)
	if err != nil {
		return nil, err
	}
	if o.bool("deleted") {
		return nil, missingInPath(kind, o.id())
	}
	return o, nil
}

// fromParam answers the object that a parameter names, or nil where the
// parameter did not come.
func (c *call) fromParam(param, kind string) (object, error) {
	id := c.params.str(param)
	if id == "" {
		return nil, nil //nolint:nilnil // an optional parameter that did not come
	}
	o := c.live(kind, id)
	if o == nil {
		return nil, missingInParams(param, kind, id)
	}
	return o, nil
}

// customerKnown refuses a list of a customer that never was. One that was
// deleted still has what it had.
func (c *call) customerKnown() error {
	if id := c.params.str("customer"); id != "" && c.get(kindCustomer, id) == nil {
		return missingInParams("customer", kindCustomer, id)
	}
	return nil
}

// answer is a response in the making.
type answer struct {
	server    *Server
	w         http.ResponseWriter
	r         *http.Request
	requestID string
}

// answer sets what every answer of the API carries. Its Date is the business
// clock's: whoever dates a reading by it, as Stripe's clients may, must get the
// time that the objects live in.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) *answer {
	a := &answer{server: s, w: w, r: r, requestID: newID("req_", shortID)}
	h := w.Header()
	h.Set("Request-Id", a.requestID)
	h.Set("Stripe-Version", APIVersion)
	h.Set("Date", s.Now().Format(http.TimeFormat))
	h.Set("Cache-Control", "no-cache, no-store")
	if key := r.Header.Get("Idempotency-Key"); key != "" && len(key) <= maxKeyLength {
		h.Set("Idempotency-Key", key)
	}
	return a
}

func (a *answer) cause() cause {
	c := cause{requestID: a.requestID}
	if key := a.r.Header.Get("Idempotency-Key"); key != "" {
		c.idempotencyKey = key
	}
	return c
}

// errorAnswer makes the status and the body of an error.
func (a *answer) errorAnswer(err error) (int, []byte) {
	e := asAPIError(err)
	if e.status >= http.StatusInternalServerError {
		a.server.cfg.Logger.ErrorContext(a.r.Context(), "request failed",
			slog.String("request_id", a.requestID), slog.String("path", a.r.URL.Path), slog.Any("error", err))
	}
	logURL := ""
	if e.status != http.StatusUnauthorized {
		logURL = "https://dashboard.stripe.com/test/logs/" + a.requestID
	}
	body, encodeErr := encodeBody(e.body(logURL))
	if encodeErr != nil {
		return http.StatusInternalServerError, []byte(`{"error":{"type":"api_error"}}`)
	}
	return e.status, body
}

func (a *answer) fail(err error) {
	status, body := a.errorAnswer(err)
	if status == http.StatusUnauthorized {
		a.w.Header().Set("WWW-Authenticate", `Basic realm="Stripe"`)
	}
	a.send(status, body)
}

func (a *answer) send(status int, body []byte) {
	switch {
	case status == http.StatusConflict:
		a.w.Header().Set("Stripe-Should-Retry", "true")
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		a.w.Header().Set("Stripe-Should-Retry", "false")
	}
	a.w.Header().Set("Content-Type", "application/json")
	a.w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	a.w.WriteHeader(status)
	if a.r.Method != http.MethodHead {
		_, _ = a.w.Write(append(bytes.Clone(body), '\n')) // whoever hung up gets nothing
	}
}

// sendValue answers what is no object of Stripe's.
func (a *answer) sendValue(status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		a.fail(err)
		return
	}
	a.send(status, body)
}
