package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/views"
)

// home is where a visitor without another wish goes after signing in.
func home(u auth.User, org auth.Membership) string {
	if u.IsAdmin && org.OrgID == uuid.Nil {
		return "/admin/billing"
	}
	return "/billing"
}

func (s *server) signUpForm(c echo.Context) error {
	next := c.QueryParam("next")
	if v := visitorOf(c); v.isSignedIn() {
		return seeOther(c, localPath(next, home(v.user, v.org)))
	}
	return s.page(c, http.StatusOK, views.SignUpPage(s.signUpModel(c, views.SignUpValues{Next: localPath(next, "")}, nil)))
}

func (s *server) signUpModel(c echo.Context, values views.SignUpValues, faults map[string]string) views.SignUp {
	return views.SignUp{
		Frame: s.frame(c), Values: values, Errors: faults, Next: s.whatIsNext(values.Next),
		PasswordHelp: "At least 8 characters. A few words are better than a few signs.",
	}
}

func (s *server) signUp(c echo.Context) error {
	form, err := formOf(c)
	if err != nil {
		return err
	}
	user, owns, err := s.Auth.SignUp(c.Request().Context(), auth.SignUp{
		Name: form.Get("name"), Email: form.Get("email"), Password: form.Get("password"), Organization: form.Get("organization"),
	})
	if faults, ok := s.again(c, err); ok {
		values := views.SignUpValues{
			Name: form.Get("name"), Email: form.Get("email"), Organization: form.Get("organization"), Next: localPath(form.Get("next"), ""),
		}
		return s.page(c, http.StatusUnprocessableEntity, views.SignUpPage(s.signUpModel(c, values, faults)))
	}
	if err != nil {
		return err
	}
	return s.begin(c, user, owns, localPath(form.Get("next"), "/pricing"))
}

func (s *server) loginForm(c echo.Context) error {
	next := c.QueryParam("next")
	if v := visitorOf(c); v.isSignedIn() {
		return seeOther(c, localPath(next, home(v.user, v.org)))
	}
	return s.page(c, http.StatusOK, views.LoginPage(s.loginModel(c, views.LoginValues{Next: localPath(next, "")}, nil)))
}

func (s *server) loginModel(c echo.Context, values views.LoginValues, faults map[string]string) views.Login {
	return views.Login{Frame: s.frame(c), Values: values, Errors: faults, Next: s.whatIsNext(values.Next)}
}

// whatIsNext says to somebody who chose a plan and has to sign in first that the
// choice is not forgotten.
func (s *server) whatIsNext(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Path != "/checkout" {
		return ""
	}
	interval := billing.Interval(cmp.Or(u.Query().Get("interval"), string(billing.Month)))
	plan, ok := s.Plans.ByCode(u.Query().Get("plan"))
	if !ok || !slices.Contains(billing.Intervals(), interval) {
		return ""
	}
	return "Next you review your order: " + plan.Name + ", " + money.Format(plan.PricesMinor[interval], s.Plans.Currency) + " " + periodNames[interval] + "."
}

func (s *server) login(c echo.Context) error {
	form, err := formOf(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	user, err := s.Auth.LogIn(ctx, form.Get("email"), form.Get("password"))
	if faults, ok := s.again(c, err); ok {
		values := views.LoginValues{Email: form.Get("email"), Next: localPath(form.Get("next"), "")}
		return s.page(c, http.StatusUnprocessableEntity, views.LoginPage(s.loginModel(c, values, faults)))
	}
	if err != nil {
		return err
	}
	memberships, err := s.Auth.Memberships(ctx, user.ID)
	if err != nil {
		return err
	}
	var first auth.Membership
	if len(memberships) > 0 {
		first = memberships[0]
	}
	return s.begin(c, user, first, localPath(form.Get("next"), home(user, first)))
}

// again says what is wrong with a form, where a browser is to see it again.
func (s *server) again(c echo.Context, err error) (map[string]string, bool) {
	var refusal *billing.Refusal
	if !errors.As(err, &refusal) || refusal.Code != billing.CodeInvalid || wantsJSON(c) {
		return nil, false
	}
	return refusal.Fields, true
}

func (s *server) begin(c echo.Context, user auth.User, org auth.Membership, next string) error {
	if err := s.Sessions.Begin(c.Request().Context(), user.ID, org.OrgID); err != nil {
		return err
	}
	return seeOther(c, next)
}

func (s *server) logout(c echo.Context) error {
	s.watching.forget(s.sessionToken(c.Request()))
	if err := s.Sessions.End(c.Request().Context()); err != nil {
		return err
	}
	return seeOther(c, "/")
}
