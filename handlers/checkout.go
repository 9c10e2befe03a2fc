package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/views"
	"github.com/promptforge/payments/views/ui"
)

// patience is how long the success page keeps asking by itself.
const patience = 30 * time.Second

func (s *server) checkoutReview(c echo.Context) error {
	code := c.QueryParam("plan")
	if code == "" { // somebody who had to log in first: the choice is still to be made
		return seeOther(c, "/pricing")
	}
	plan, ok := s.Plans.ByCode(code)
	if !ok {
		return errUnknownPlan()
	}
	interval := billing.Month
	if asked := c.QueryParam("interval"); asked != "" {
		if interval = billing.Interval(asked); !slices.Contains(billing.Intervals(), interval) {
			return errUnknownInterval()
		}
	}
	b, err := s.buyer(c)
	if err != nil {
		return err
	}
	switch {
	case !b.hasOrganization():
		return errNoOrganization
	case !b.org.Role.CanManageBilling():
		return &billing.Refusal{Code: billing.CodeForbidden, Message: "Only an owner, an admin or a billing member can buy a plan. Ask one of them."}
	}
	if b.isLive { // said before the order looks as if it could be placed
		return &billing.Refusal{
			Code: billing.CodeSubscriptionExists, URL: "/billing",
			Message: "Your organization already has a subscription. The billing page shows what it has.",
		}
	}
	return s.page(c, http.StatusOK, views.CheckoutPage(s.reviewModel(c, plan, interval, b)))
}

func (s *server) reviewModel(c echo.Context, plan billing.Plan, interval billing.Interval, b buyer) views.Checkout {
	other := billing.Year
	if interval == billing.Year {
		other = billing.Month
	}
	amount := money.Format(plan.PricesMinor[interval], s.Plans.Currency)
	m := views.Checkout{
		Frame: s.frame(c), PlanID: plan.Code, PlanName: plan.Name, IsAnnual: interval == billing.Year, OrgID: b.org.OrgID.String(),
		Amount: amount + " " + periodNames[interval], DueToday: amount, Charged: "Today, then every " + string(interval), Grants: s.grants(plan, billing.Plan{}),
		Other: ui.Action{Label: "Pay by the " + string(other), Href: reviewURL(plan.Code, other)},
	}
	if saving := s.saving(other); saving != "" {
		m.Other.Label += ", " + saving
	}
	if plan.TrialDays > 0 && !b.hasHistory {
		ends := date(s.Now().AddDate(0, 0, plan.TrialDays))
		m.DueToday = money.Format(0, s.Plans.Currency)
		m.Charged = "On " + ends + ", when the trial ends, then every " + string(interval)
		m.Trial = fmt.Sprintf("The first %d days are free. Stripe asks for a card now and charges it on %s.", plan.TrialDays, ends)
	}
	return m
}

func errUnknownPlan() error {
	return &billing.Refusal{
		Code: billing.CodeInvalid, Message: "This plan is not for sale. Choose one of the plans on the pricing page.",
		Fields: map[string]string{"planId": "Choose one of the plans on the pricing page."}, URL: "/pricing",
	}
}

func errUnknownInterval() error {
	return &billing.Refusal{
		Code: billing.CodeInvalid, Message: "Plans are paid by the month or by the year. Choose one of the two on the pricing page.",
		Fields: map[string]string{"interval": "Say month or year."}, URL: "/pricing",
	}
}

// checkoutForm is the button of the review page.
func (s *server) checkoutForm(c echo.Context) error {
	form, err := formOf(c)
	if err != nil {
		return err
	}
	fields := map[string]string{}
	o := order{planID: form.Get("planId"), isAnnual: form.Get("isAnnual") == "true", orgID: form.Get("orgId")}
	if !o.isAnnual && form.Get("isAnnual") != "false" {
		fields["isAnnual"] = "Say true or false."
	}
	checkout, err := s.startCheckout(c, o, fields)
	var refusal *billing.Refusal
	if errors.As(err, &refusal) && refusal.Code == billing.CodeStripeUnavailable && !wantsJSON(c) {
		return s.reviewAgain(c, o, refusal)
	}
	if err != nil {
		return err
	}
	return seeOther(c, checkout.URL)
}

// reviewAgain shows the order with its button once more, after Stripe did not
// answer.
func (s *server) reviewAgain(c echo.Context, o order, refusal *billing.Refusal) error {
	b, err := s.buyer(c)
	plan, ok := s.Plans.ByCode(o.planID)
	if err != nil || !ok || o.orgID != "" && o.orgID != b.org.OrgID.String() {
		return errors.Join(refusal, err)
	}
	interval := billing.Month
	if o.isAnnual {
		interval = billing.Year
	}
	m := s.reviewModel(c, plan, interval, b)
	m.Problem = refusal.Message
	c.Set(keyFailure, error(refusal))
	return s.page(c, statusOf(refusal.Code), views.CheckoutPage(m))
}

// checkoutJSON is the same for programs.
func (s *server) checkoutJSON(c echo.Context) error {
	o, fields, err := readOrder(c.Request())
	if err != nil {
		return err
	}
	checkout, err := s.startCheckout(c, o, fields)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"sessionId": checkout.SessionID, "url": checkout.URL})
}

// order is what a buyer says; orgID is empty for the session's organization.
type order struct {
	planID   string
	isAnnual bool
	orgID    string
}

// readOrder reads a JSON order. What is JSON but not an order is told by field.
func readOrder(r *http.Request) (order, map[string]string, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return order{}, nil, errMediaType
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return order{}, nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return order{}, nil, errNotJSON
	}
	var o order
	fields := map[string]string{}
	read := func(name string, into any, isRequired bool, fault string) {
		raw, ok := object[name]
		if !ok && !isRequired {
			return
		}
		if !ok || bytes.Equal(raw, []byte("null")) && isRequired || json.Unmarshal(raw, into) != nil {
			fields[name] = fault
		}
	}
	read("planId", &o.planID, true, "Name a plan.")
	read("isAnnual", &o.isAnnual, true, "Say true or false.")
	read("orgId", &o.orgID, false, "Give the organization's id, a UUID.")
	if raw, ok := object["orgId"]; ok && o.orgID == "" && !bytes.Equal(raw, []byte("null")) {
		fields["orgId"] = "Give the organization's id, a UUID."
	}
	return o, fields, nil
}

func (s *server) startCheckout(c echo.Context, o order, fields map[string]string) (payments.Checkout, error) {
	v := visitorOf(c)
	orgID := v.org.OrgID
	if o.orgID != "" {
		var err error
		if orgID, err = parseUUID(o.orgID); err != nil {
			fields["orgId"] = "Give the organization's id, a UUID."
		}
	}
	if _, ok := s.Plans.ByCode(o.planID); !ok && fields["planId"] == "" {
		fields["planId"] = "Choose one of the plans on the pricing page."
	}
	if len(fields) > 0 {
		return payments.Checkout{}, &billing.Refusal{
			Code: billing.CodeInvalid, Message: "The order is not complete. Choose a plan again.", Fields: fields, URL: "/pricing",
		}
	}
	if orgID == uuid.Nil {
		return payments.Checkout{}, errNoOrganization
	}
	interval := billing.Month
	if o.isAnnual {
		interval = billing.Year
	}
	return s.Payments.StartCheckout(c.Request().Context(), payments.CheckoutRequest{
		UserID: v.user.ID, OrgID: orgID, Plan: o.planID, Interval: interval, Visitor: s.visitorID(c),
	})
}

// parseUUID takes the one usual form; uuid.Parse takes four.
func parseUUID(s string) (uuid.UUID, error) {
	if len(s) != 36 {
		return uuid.Nil, errors.New("not a UUID")
	}
	return uuid.Parse(s)
}

// checkoutSuccess is where Stripe sends the browser back. The page asks Stripe
// once; its part, asked for every second, reads our rows alone and answers 204
// while nothing has changed.
func (s *server) checkoutSuccess(c echo.Context) error {
	sessionID := c.QueryParam("session_id")
	isPoll := isPartial(c.Request())
	if !isStripeID(sessionID) {
		return &billing.Refusal{Code: billing.CodeNotFound, Message: "There is no such checkout."}
	}
	progress, err := s.Payments.CheckoutProgress(c.Request().Context(), visitorOf(c).user.ID, sessionID, !isPoll)
	if err != nil {
		return err
	}
	since := s.Clock()
	if seconds, err := strconv.ParseInt(c.QueryParam("since"), 10, 64); err == nil {
		since = time.Unix(seconds, 0)
	}
	page := "/checkout/success?" + url.Values{"session_id": {sessionID}}.Encode()
	m := views.CheckoutSuccess{
		Frame: s.frame(c), State: views.CheckoutState(progress.State), Organization: progress.OrgName, Reference: sessionID,
		PollURL: page + "&since=" + strconv.FormatInt(since.Unix(), 10), RefreshURL: page,
		RetryURL: reviewURL(progress.Plan, progress.Interval),
	}
	if plan, ok := s.Plans.ByCode(progress.Plan); ok {
		m.PlanName = plan.Name
	}
	if progress.State == payments.ProgressActive {
		row, err := s.bought(c, progress.OrgID)
		if err != nil {
			return err
		}
		m.IsTrial = billing.Status(row.Status) == billing.StatusTrialing
		if v := visitorOf(c); v.org.OrgID == progress.OrgID && v.org.Role.CanManageBilling() { // who may see amounts
			m.Terms = terms(row)
		}
	}
	if progress.State == payments.ProgressExpired {
		attempt, err := db.New(s.Pool).AttemptBySession(c.Request().Context(), sessionID)
		if err != nil {
			return fmt.Errorf("read checkout: %w", err)
		}
		if deref(attempt.PaymentStatus) == "failed" { // it was complete, and its money never came
			m.State = views.CheckoutFailed
		}
	}
	if progress.State == payments.ProgressWaiting && isPoll {
		if s.Clock().Sub(since) < patience {
			return c.NoContent(http.StatusNoContent)
		}
		m.State = views.CheckoutLate
	}
	return s.render(c, views.CheckoutSuccessPage(m), views.CheckoutProgress(m))
}

// bought is the subscription that an organization has now.
func (s *server) bought(c echo.Context, orgID uuid.UUID) (db.Subscription, error) {
	subscriptions, err := db.New(s.Pool).SubscriptionsOfOrganization(c.Request().Context(), orgID)
	if err != nil {
		return db.Subscription{}, fmt.Errorf("read subscriptions: %w", err)
	}
	return s.held(subscriptions).current, nil
}

// isStripeID: no other text can be one, and not every text can be looked up.
func isStripeID(s string) bool {
	return len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// checkoutCancel is where Stripe sends the browser of who left without paying.
// The session stays open, so the way back leads to the same order.
func (s *server) checkoutCancel(c echo.Context) error {
	m := views.CheckoutCancel{Frame: s.frame(c)}
	attempt, err := db.New(s.Pool).OpenAttempt(c.Request().Context(), visitorOf(c).org.OrgID)
	if err != nil && !db.IsNotFound(err) {
		return fmt.Errorf("read open checkout: %w", err)
	}
	if plan, ok := s.Plans.ByCode(attempt.Plan); ok {
		m.PlanName = plan.Name
		m.ReviewURL = reviewURL(attempt.Plan, billing.Interval(attempt.Interval))
	}
	return s.page(c, http.StatusOK, views.CheckoutCancelPage(m))
}

// reviewURL is the page before the payment.
func reviewURL(plan string, interval billing.Interval) string {
	return "/checkout?" + url.Values{"plan": {plan}, "interval": {string(interval)}}.Encode()
}
