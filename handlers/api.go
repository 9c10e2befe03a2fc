package handlers

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/ratelimit"
)

const keyAPIKey = "api_key"

// keyOf is the key that a program came with.
func keyOf(c echo.Context) (auth.Key, bool) {
	key, ok := c.Get(keyAPIKey).(auth.Key)
	return key, ok
}

// wrongKeys is how often one address may send what is no key: keys cannot be
// guessed, but whoever tries should not keep the database busy.
var wrongKeys = ratelimit.Rate{N: 120, Per: time.Minute}

// apiPatience is how long a program waits for a database that does not answer
// before it is told to come back.
const apiPatience = 3 * time.Second

// needKey lets programs through whose key is for the scope.
func (s *server) needKey(scope auth.Scope) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ctx, cancel := context.WithTimeout(c.Request().Context(), apiPatience)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			key, ok, err := s.Keys.Find(ctx, bearer(c.Request()))
			if err != nil {
				return fmt.Errorf("%w: %w", errCannotTell, err)
			}
			if !ok {
				if ok, retryAfter, err := s.Local.Allow(ctx, "wrong key "+network(c.RealIP()), wrongKeys); err == nil && !ok {
					return tooMany{retryAfter}
				}
				c.Response().Header().Set("WWW-Authenticate", `Bearer realm="api"`)
				return errNoKey
			}
			c.Set(keyAPIKey, key)
			if !key.May(scope) {
				c.Response().Header().Set("WWW-Authenticate", `Bearer realm="api", error="insufficient_scope", scope="`+string(scope)+`"`)
				return errScope
			}
			if err := s.Keys.Used(ctx, key); err != nil { // the answer does not depend on it
				s.Log.WarnContext(ctx, "note the use of a key", "request_id", requestID(c), "error", err)
			}
			return next(c)
		}
	}
}

// bearer is the token of the one Authorization header; empty where there is no
// such thing.
func bearer(r *http.Request) string {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// entitlementAnswer is what a program is told of an organization. A feature is
// named whether it is granted or not, a limit only where it is.
type entitlementAnswer struct {
	OrgID    uuid.UUID        `json:"orgId"`
	Plan     *string          `json:"plan"`
	Status   *string          `json:"status"`
	Access   billing.Level    `json:"access"`
	Reason   string           `json:"reason"`
	Until    *time.Time       `json:"until"`
	Features map[string]bool  `json:"features"`
	Limits   map[string]int64 `json:"limits"`
	// AsOf is when Stripe was last asked; null: never.
	AsOf        *time.Time   `json:"asOf"`
	Explanation *explanation `json:"explanation,omitempty"`
}

// entitlements tells a program what an organization may do now: one row by its
// key, evaluated at this moment.
func (s *server) entitlements(c echo.Context) error {
	explain, err := boolean(c, "explain")
	if err != nil {
		return err
	}
	orgID, err := uuid.Parse(c.Param("orgId"))
	if err != nil || len(c.Param("orgId")) != len(uuid.Nil.String()) {
		return badParameter{"orgId", "The id of an organization is a UUID."}
	}
	ctx, now, q := c.Request().Context(), s.Now(), db.New(s.Pool)
	row, err := q.Entitlement(ctx, orgID)
	if db.IsNotFound(err) { // it may never have had a customer at Stripe
		var exists bool
		if exists, err = q.OrganizationExists(ctx, orgID); err == nil && !exists {
			return &billing.Refusal{Code: billing.CodeNotFound, Message: "No organization has this id."}
		}
	}
	if err != nil {
		return fmt.Errorf("%w: read entitlement of %s: %w", errCannotTell, orgID, err)
	}
	e, err := payments.EntitlementNow(row, s.Plans, now)
	if err != nil {
		return fmt.Errorf("entitlement of %s: %w", orgID, err)
	}
	answer := entitlementAnswer{
		OrgID: orgID, Plan: orNull(e.Plan), Status: orNull(string(e.Status)), Access: e.Level, Reason: e.Reason, Until: orNull(e.Until.UTC()),
		Features: make(map[string]bool, len(s.Plans.Features)), Limits: e.Limits, AsOf: orNull(row.AsOf.UTC()),
	}
	for _, f := range s.Plans.Features {
		answer.Features[f.Code] = false
	}
	for _, code := range e.Features {
		answer.Features[code] = true
	}
	if explain {
		if answer.Explanation, err = s.explain(c, orgID, now); err != nil {
			return fmt.Errorf("%w: %w", errCannotTell, err)
		}
	}
	return c.JSON(http.StatusOK, answer)
}

func boolean(c echo.Context, name string) (bool, error) {
	switch c.QueryParam(name) {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	}
	return false, badParameter{name, "Use 1 or 0."}
}

// orNull is nil for the zero value, which JSON calls null.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
