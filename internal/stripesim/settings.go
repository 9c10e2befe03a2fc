package stripesim

import "net/http"

// The settings are a record like any other. What stands in it goes before what
// the configuration says, as what somebody sets in Stripe's dashboard.
const (
	kindSettings = "sim.settings"
	settingsID   = "settings"
)

// afterRetries is what becomes of a subscription whose last retry has failed.
func (t *tx) afterRetries() AfterRetries {
	if set := t.get(kindSettings, settingsID).str("after_retries"); set != "" {
		return AfterRetries(set)
	}
	return t.server.cfg.AfterRetries
}

// changeSettings plays the page of Stripe's dashboard that says what becomes of a
// subscription whose last retry has failed: cancel, unpaid or past_due.
func (s *Server) changeSettings(a *answer) {
	var asked struct {
		AfterRetries AfterRetries `json:"after_retries"`
	}
	err := a.readJSON(&asked)
	switch asked.AfterRetries {
	case CancelAfterRetries, UnpaidAfterRetries, PastDueAfterRetries:
	default:
		err = errSettings
	}
	if err != nil {
		a.fail(errSettings)
		return
	}
	if err := s.update(cause{}, func(t *tx) error {
		t.put(object{"id": settingsID, "object": kindSettings, "after_retries": string(asked.AfterRetries)})
		return nil
	}); err != nil {
		a.fail(err)
		return
	}
	a.sendValue(http.StatusOK, object{"after_retries": string(asked.AfterRetries)})
}

var errSettings = badParameter("after_retries", "", `The body must be JSON like {"after_retries":"unpaid"}: cancel, unpaid or past_due.`)

// replaceCard plays a bank that has sent its customer a new card and tells Stripe
// of it, which then goes on paying with the new one.
// https://stripe.com/docs/saving-cards#automatic-card-updates
func (s *Server) replaceCard(a *answer) {
	var method object
	err := s.update(cause{}, func(t *tx) error {
		id := a.r.PathValue("id")
		before := t.get(kindPaymentMethod, id)
		if before == nil || before["customer"] == nil || before["card"] == nil {
			return missingInPath(kindPaymentMethod, id)
		}
		method = before.clone()
		card := method.obj("card")
		card["exp_year"] = card.int("exp_year") + 4
		t.put(method)
		t.emitUpdate("payment_method.automatically_updated", before, method)
		return nil
	})
	if err != nil {
		a.fail(err)
		return
	}
	a.sendValue(http.StatusOK, method)
}
