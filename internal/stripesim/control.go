package stripesim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// control is a route of the stand-in's own, behind the same key as the API: any
// web page can post to loopback.
func (s *Server) control(serve func(*answer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := s.answer(w, r)
		if err := s.admit(r); err != nil {
			a.fail(err)
			return
		}
		serve(a)
	}
}

// showState answers every object by kind, oldest first.
func (s *Server) showState(a *answer) {
	state := map[string][]object{}
	err := s.update(cause{}, func(t *tx) error {
		t.expireDue()
		undelivered := t.undelivered()
		for kind := range s.store.tables {
			if kind == kindIdempotency {
				continue
			}
			objects := t.where(kind, func(object) bool { return true })
			shown := make([]object, 0, len(objects))
			for i := range objects {
				o := objects[len(objects)-1-i]
				if kind == kindEvent {
					o = withPendingWebhooks(o, undelivered)
				}
				shown = append(shown, o)
			}
			state[kind] = shown
		}
		return nil
	})
	if err != nil {
		a.fail(err)
		return
	}
	a.sendValue(http.StatusOK, state)
}

func (s *Server) showClock(a *answer) {
	a.sendValue(http.StatusOK, object{"now": s.cfg.Now().UTC().Format(time.RFC3339)})
}

// completeFromControl does what a buyer does on the hosted page.
func (s *Server) completeFromControl(a *answer) {
	var asked struct {
		Card string `json:"card"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(a.w, a.r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil && !errors.Is(err, io.EOF) {
		a.fail(badParameter("", "", `The body must be JSON like {"card":"4242424242424242"}.`))
		return
	}
	outcome, err := s.pay(a.r, a.r.PathValue("id"), payer{
		number: asked.Card, expiry: testExpiry, cvc: testCVC, name: testName, email: testEmail,
	})
	switch {
	case err != nil:
		a.fail(err)
	case len(outcome.faults) > 0:
		fault := outcome.faults[0]
		a.fail(&apiError{
			status: http.StatusPaymentRequired, kind: typeCard, code: fault.code, param: strings.TrimPrefix(fault.field, "card_"),
			message: fault.message,
		})
	case outcome.refused != nil:
		a.fail(outcome.refused)
	default:
		a.sendValue(http.StatusOK, object{"status": outcome.session.str("status"), "redirect_url": outcome.redirectURL})
	}
}
