package auth

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
)

// Sessions are kept in Postgres under the hash of their token, so that a stolen
// table opens nothing.
type Sessions struct {
	*scs.SessionManager
	pool *pgxpool.Pool
}

const (
	sessionLifetime = 30 * 24 * time.Hour // whatever happens
	sessionIdle     = 7 * 24 * time.Hour  // without a request
	keyUser         = "user"
	keyOrganization = "organization"
)

// NewSessions returns the sessions of a server that is reached by https
// (secure), or by http on loopback. The cookie is named __Host-session and
// Secure in the first case; in the second, session and not Secure, because some
// clients drop Secure cookies over plain http even there.
func NewSessions(pool *pgxpool.Pool, secure bool) *Sessions {
	manager := scs.New()
	manager.Store = store{pool}
	manager.HashTokenInStore = true
	manager.Lifetime, manager.IdleTimeout = sessionLifetime, sessionIdle
	manager.Cookie.Name, manager.Cookie.Secure = "session", secure
	if secure {
		manager.Cookie.Name = "__Host-session"
	}
	manager.Cookie.HttpOnly, manager.Cookie.SameSite, manager.Cookie.Path = true, http.SameSiteLaxMode, "/"
	return &Sessions{SessionManager: manager, pool: pool}
}

// Begin starts a session for a person under a new token, with the organization
// that is current; uuid.Nil for none.
func (s *Sessions) Begin(ctx context.Context, user, organization uuid.UUID) error {
	if err := s.RenewToken(ctx); err != nil {
		return fmt.Errorf("renew session: %w", err)
	}
	s.Put(ctx, keyUser, user.String())
	s.Put(ctx, keyOrganization, organization.String())
	return nil
}

// End ends the session on the server.
func (s *Sessions) End(ctx context.Context) error {
	if err := s.Destroy(ctx); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// User is whose session it is; uuid.Nil for nobody's.
func (s *Sessions) User(ctx context.Context) uuid.UUID { return s.id(ctx, keyUser) }

// Organization is the one that is current; uuid.Nil for none.
func (s *Sessions) Organization(ctx context.Context) uuid.UUID { return s.id(ctx, keyOrganization) }

func (s *Sessions) id(ctx context.Context, key string) uuid.UUID {
	id, err := uuid.Parse(s.GetString(ctx, key))
	if err != nil {
		return uuid.Nil
	}
	return id
}

// store keeps sessions. It differs from scs's own for Postgres in one thing: an
// idle timeout makes every request save its session, and one that was under way
// at the log-out must not bring it back.
type store struct{ pool *pgxpool.Pool }

var _ scs.CtxStore = store{}

// FindCtx reads a session that has not ended.
func (s store) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	data, err := db.New(s.pool).FindSession(ctx, token)
	if db.IsNotFound(err) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// CommitCtx saves a session unless it has ended.
func (s store) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	return db.New(s.pool).SaveSession(ctx, db.SaveSessionParams{Token: token, Data: data, Expiry: expiry})
}

// DeleteCtx ends a session.
func (s store) DeleteCtx(ctx context.Context, token string) error {
	return db.New(s.pool).EndSession(ctx, token)
}

// Find, Commit and Delete are for callers without a context; scs is none.
func (s store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx without a context.
func (s store) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is DeleteCtx without a context.
func (s store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// Cleanup forgets sessions that are over.
func (s *Sessions) Cleanup(ctx context.Context) error {
	if err := db.New(s.pool).ForgetSessions(ctx); err != nil {
		return fmt.Errorf("forget ended sessions: %w", err)
	}
	return nil
}
