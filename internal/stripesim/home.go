package stripesim

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// homeCustomers is how many customers the home page shows.
const homeCustomers = 20

// homePage is where a person moves the clock.
type homePage struct {
	Title, Version, Base, Dashboard string
	Now                             time.Time
	// Moved says what came of moving the clock, after it was.
	Moved string
	// Held says why the clock cannot be moved now, while that is so.
	Held      string
	Steps     []homeStep
	Customers []homeCustomer
}

type homeStep struct{ Value, Label string }

type homeCustomer struct {
	Name, Pays, Status, Next string
}

// homeSteps are what the buttons of the home page move the clock by.
var homeSteps = []homeStep{{"day", "Advance one day"}, {"week", "Advance one week"}, {"month", "Advance one month"}}

func afterStep(now time.Time, step string) (time.Time, bool) {
	switch step {
	case "day":
		return now.AddDate(0, 0, 1), true
	case "week":
		return now.AddDate(0, 0, 7), true
	case "month":
		return addMonths(now, 1), true
	}
	return now, false
}

func (s *Server) showHome(w http.ResponseWriter, r *http.Request) {
	page := homePage{
		Title: "Stand-in for Stripe", Version: APIVersion, Base: s.publicURL, Steps: homeSteps, Moved: movedText(r.URL.Query().Get("events")),
		Held: s.heldClock(), Dashboard: s.cfg.DashboardURL,
	}
	err := s.update(cause{}, func(t *tx) error {
		page.Now = t.now
		page.Customers = t.homeCustomers()
		return nil
	})
	if err != nil {
		s.noticeError(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "home.html", page, "")
}

func movedText(events string) string {
	n, err := strconv.Atoi(events)
	switch {
	case err != nil || n < 0:
		return ""
	case n == 0:
		return "The clock has moved. Nothing fell due on the way."
	case n == 1:
		return "The clock has moved, and one event was made and sent on the way. Pages of the product know it within seconds, when they are loaded again."
	}
	return fmt.Sprintf("The clock has moved, and %d events were made and sent on the way. Pages of the product know them within seconds, when they are loaded again.", n)
}

// homeCustomers tells of the newest customers with a subscription, by the newest
// subscription of each.
func (t *tx) homeCustomers() []homeCustomer {
	var shown []homeCustomer
	seen := map[string]bool{}
	for _, r := range t.newestFirst(kindSubscription) {
		subscription := r.Object
		if id := subscription.str("customer"); seen[id] {
			continue
		}
		seen[subscription.str("customer")] = true
		customer := t.get(kindCustomer, subscription.str("customer"))
		item := itemsOf(subscription)[0]
		shown = append(shown, homeCustomer{
			Name: firstOf(customer.str("name"), customer.str("email"), customer.id()),
			Pays: t.get(kindProduct, item.obj("price").str("product")).str("name") + ", " +
				amountText(recurringAmount(subscription), subscription.str("currency")) + " every " + intervalText(item.obj("price")),
			Status: strings.ReplaceAll(subscription.str("status"), "_", " "),
			Next:   t.nextText(subscription),
		})
		if len(shown) == homeCustomers {
			break
		}
	}
	return shown
}

// nextText says what time is going to do to the subscription.
func (t *tx) nextText(subscription object) string {
	on := func(moment int64) string { return time.Unix(moment, 0).UTC().Format("2 Jan 2006") }
	schedule := t.get(kindSchedule, subscription.str("schedule"))
	if n := len(schedule.list("phases")); n > 1 && schedule.str("status") == "active" {
		if ends := schedule.obj("current_phase")["end_date"]; ends != asObject(schedule.list("phases")[n-1])["end_date"] {
			return "changes by schedule " + on(schedule.obj("current_phase").int("end_date"))
		}
	}
	switch status := subscription.str("status"); {
	case hasEnded(subscription):
		return "ended " + on(subscription.int("ended_at"))
	case subscription.int("cancel_at") != 0:
		return "ends " + on(subscription.int("cancel_at"))
	case status == "trialing":
		return "trial until " + on(subscription.int("trial_end"))
	case status == "past_due":
		if next := t.latestIssued(subscription).int("next_payment_attempt"); next != 0 {
			return "payment tried again " + on(next)
		}
	case status == "incomplete":
		return "must be paid by " + on(subscription.int("created")+int64(incompleteLifetime/time.Second))
	case status == "paused":
		return "waits for a payment method"
	case subscription["pending_update"] != nil:
		return "a change waits to be paid until " + on(subscription.obj("pending_update").int("expires_at"))
	case subscription["pause_collection"] != nil:
		return "collection is paused"
	case t.get(kindPaymentIntent, t.latestIssued(subscription).str("payment_intent")).str("status") == "processing":
		return "a bank answers by " + on(t.hidden(kindPaymentIntent, t.latestIssued(subscription).str("payment_intent")).int(hiddenDue))
	}
	return "renews " + on(subscription.int("current_period_end"))
}

// moveClockFromPage is the form of the home page. It needs no key, so it is
// taken from the stand-in's own pages only: any web page can post to loopback.
func (s *Server) moveClockFromPage(w http.ResponseWriter, r *http.Request) {
	if !s.isOwnPage(r) {
		s.render(w, r, http.StatusForbidden, "notice.html", noticePage{
			Title: "That did not come from this page", Text: "The clock is moved from the stand-in's own page, at its own address.",
			LinkText: "Go there", LinkURL: s.publicURL + "/",
		}, "")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	step := r.PostFormValue("by")
	if _, known := afterStep(time.Time{}, step); !known {
		s.render(w, r, http.StatusUnprocessableEntity, "notice.html", noticePage{
			Title: "The clock does not know that step", Text: "It moves by a day, a week or a month.", LinkText: "Go back", LinkURL: "/",
		}, "")
		return
	}
	if why := s.heldClock(); why != "" {
		s.render(w, r, http.StatusConflict, "notice.html", noticePage{
			Title: "The clock cannot be moved now", Text: why, LinkText: "Go back", LinkURL: "/",
		}, "")
		return
	}
	advanced, err := s.advance(r.Context(), func(now time.Time) time.Time {
		to, _ := afterStep(now, step)
		return to
	})
	if err != nil {
		s.cfg.Logger.WarnContext(r.Context(), "clock not moved from its page", slog.Any("error", err))
		s.noticeError(w, r, err)
		return
	}
	http.Redirect(w, r, "/?events="+strconv.Itoa(advanced.Events), http.StatusSeeOther)
}

// isOwnPage says whether a form was sent by a page of this server, at the address
// that it is known by: a name that was made to lead here is none of ours.
func (s *Server) isOwnPage(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	own, err := url.Parse(s.publicURL)
	return err == nil && r.Header.Get("Origin") == own.Scheme+"://"+own.Host
}
