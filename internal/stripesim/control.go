package stripesim

import (
	"encoding/json"
	"errors"
	"fmt"
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
		for kind := range s.store.tables {
			if kind == kindIdempotency || kind == kindClock {
				continue
			}
			objects := t.where(kind, func(object) bool { return true })
			shown := make([]object, 0, len(objects))
			for i := range objects {
				o := objects[len(objects)-1-i]
				if kind == kindEvent {
					o = t.shown(o)
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
	a.sendValue(http.StatusOK, object{"now": s.Now().Format(time.RFC3339)})
}

// advanceClock moves the clock by a duration or to a moment.
func (s *Server) advanceClock(a *answer) {
	var asked struct {
		By *string `json:"by"`
		To *string `json:"to"`
	}
	if err := a.readJSON(&asked); err != nil || (asked.By == nil) == (asked.To == nil) {
		a.fail(clockRefusal(`The body must be JSON like {"by":"744h"} or {"to":"2026-03-01T00:00:00Z"}.`))
		return
	}
	target, err := clockTarget(asked.By, asked.To)
	if err != nil {
		a.fail(err)
		return
	}
	if why := s.heldClock(); why != "" {
		a.fail(&apiError{status: http.StatusConflict, kind: typeInvalidRequest, message: why, unstored: true})
		return
	}
	advanced, err := s.advance(a.r.Context(), target)
	if err != nil {
		a.fail(err)
		return
	}
	a.w.Header().Set("Date", s.Now().Format(http.TimeFormat))
	a.sendValue(http.StatusOK, object{
		"now": advanced.Now.Format(time.RFC3339Nano), "events": advanced.Events, "pending_deliveries": advanced.PendingDeliveries,
	})
}

func clockTarget(by, to *string) (func(time.Time) time.Time, error) {
	if by != nil {
		d, err := time.ParseDuration(*by)
		if err != nil {
			return nil, clockRefusal("The clock cannot be moved by %q; write a duration such as 744h.", *by)
		}
		return func(now time.Time) time.Time { return now.Add(d) }, nil
	}
	moment, err := time.Parse(time.RFC3339, *to)
	if err != nil {
		return nil, clockRefusal("The clock cannot be moved to %q; write a moment such as 2026-03-01T00:00:00Z.", *to)
	}
	return func(time.Time) time.Time { return moment }, nil
}

func clockRefusal(format string, args ...any) *apiError {
	return &apiError{status: http.StatusUnprocessableEntity, kind: typeInvalidRequest, message: fmt.Sprintf(format, args...), unstored: true}
}

// readJSON reads the body of a control route. No body at all is an empty one.
func (a *answer) readJSON(into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(a.w, a.r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// completeFromControl does what a buyer does on the hosted page.
func (s *Server) completeFromControl(a *answer) {
	var asked struct {
		Card string `json:"card"`
	}
	if err := a.readJSON(&asked); err != nil {
		a.fail(badParameter("", "", `The body must be JSON like {"card":"4242424242424242"}.`))
		return
	}
	p := payer{number: asked.Card, expiry: testExpiry, cvc: testCVC, name: testName, email: testEmail, confirms: true}
	outcome, err := s.pay(a.r.Context(), a.r.PathValue("id"), func(t *tx, session object) (outcome, error) {
		card, faults := t.checkPayer(session, p)
		if len(faults) > 0 {
			return outcome{faults: faults}, nil
		}
		completion, err := t.complete(session, p, card)
		return outcome{completion: completion}, err
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
