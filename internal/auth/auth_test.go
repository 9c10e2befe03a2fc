package auth_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
)

func setup(t *testing.T) (*auth.Auth, *pgxpool.Pool) {
	t.Helper()
	t.Parallel()
	pool := dbtest.New(t)
	return auth.New(pool, time.Now), pool
}

func ada() auth.SignUp {
	return auth.SignUp{Name: "Ada Lovelace", Email: "ada@example.com", Password: " pass word 🙂 ", Organization: "Engines"}
}

func TestWhoSignsUpOwnsTheOrganization(t *testing.T) {
	a, _ := setup(t)
	s := ada()
	s.Email, s.Name = "  Ada@Example.COM ", " Ada Lovelace "
	user, owns, err := a.SignUp(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if user.Email != "ada@example.com" || user.Name != "Ada Lovelace" || user.IsAdmin {
		t.Errorf("user = %+v", user)
	}
	memberships, err := a.Memberships(t.Context(), user.ID)
	if err != nil || !slices.Equal(memberships, []auth.Membership{{OrgID: owns.OrgID, OrgName: "Engines", Role: billing.RoleOwner}}) {
		t.Errorf("memberships = %+v, %v", memberships, err)
	}
	if again, err := a.UserByID(t.Context(), user.ID); err != nil || again != user {
		t.Errorf("read again = %+v, %v", again, err)
	}
	if _, err := a.UserByID(t.Context(), uuid.New()); !db.IsNotFound(err) {
		t.Errorf("an unknown user: %v", err)
	}
}

func TestSignUpRefusesByFieldAndLeavesNothing(t *testing.T) {
	a, pool := setup(t)
	if _, _, err := a.SignUp(t.Context(), auth.SignUp{Name: "First", Email: "taken@example.com", Password: "12345678", Organization: "First"}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*auth.SignUp)
		fields []string
	}{
		"nothing":                  {func(s *auth.SignUp) { *s = auth.SignUp{} }, []string{"email", "name", "organization", "password"}},
		"a name of blanks":         {func(s *auth.SignUp) { s.Name = " \t" }, []string{"name"}},
		"a name too long":          {func(s *auth.SignUp) { s.Name = strings.Repeat("é", 101) }, []string{"name"}},
		"a name with a newline":    {func(s *auth.SignUp) { s.Name = "Ada\nBcc: all" }, []string{"name"}},
		"a name of nothing seen":   {func(s *auth.SignUp) { s.Name = "\u200b \u2060" }, []string{"name"}},
		"a name of two lines":      {func(s *auth.SignUp) { s.Name = "Ada\u2028evil" }, []string{"name"}},
		"a name that turns around": {func(s *auth.SignUp) { s.Name = "Ada\u202Eevil" }, []string{"name"}},
		"an organization of none":  {func(s *auth.SignUp) { s.Organization = "" }, []string{"organization"}},
		"an address without at":    {func(s *auth.SignUp) { s.Email = "ada" }, []string{"email"}},
		"an address with a name":   {func(s *auth.SignUp) { s.Email = "Ada <ada@example.com>" }, []string{"email"}},
		"an address without dot":   {func(s *auth.SignUp) { s.Email = "ada@example" }, []string{"email"}},
		"an address too long":      {func(s *auth.SignUp) { s.Email = strings.Repeat("a", 250) + "@example.com" }, []string{"email"}},
		"an address of bad bytes":  {func(s *auth.SignUp) { s.Email = "\xffada@example.com" }, []string{"email"}},
		"an address turned around": {func(s *auth.SignUp) { s.Email = "\u202eada@example.com" }, []string{"email"}},
		"an address with a gap":    {func(s *auth.SignUp) { s.Email = "a\u200bda@example.com" }, []string{"email"}},
		"an address that is taken": {func(s *auth.SignUp) { s.Email = "TAKEN@example.com" }, []string{"email"}},
		"a password of seven":      {func(s *auth.SignUp) { s.Password = "1234567" }, []string{"password"}},
		"a password of 257":        {func(s *auth.SignUp) { s.Password = strings.Repeat("é", 257) }, []string{"password"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := ada()
			tt.change(&s)
			_, _, err := a.SignUp(t.Context(), s)
			var r *billing.Refusal
			if !errors.As(err, &r) || r.Code != billing.CodeInvalid || !slices.Equal(slices.Sorted(maps.Keys(r.Fields)), tt.fields) {
				t.Errorf("error = %#v, want a refusal of %q", err, tt.fields)
			}
		})
	}
	var users, organizations int
	if err := pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM organizations)`).Scan(&users, &organizations); err != nil || users != 1 || organizations != 1 {
		t.Errorf("users = %d, organizations = %d, %v; want those of the first alone", users, organizations, err)
	}
}

func TestLogIn(t *testing.T) {
	a, _ := setup(t)
	user, _, err := a.SignUp(t.Context(), ada())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.LogIn(t.Context(), " ADA@example.com", ada().Password); err != nil || got != user {
		t.Errorf("log-in = %+v, %v", got, err)
	}
	var first *billing.Refusal
	for name, try := range map[string][2]string{
		"a wrong password":          {"ada@example.com", "wrong password"},
		"a trimmed password":        {"ada@example.com", strings.TrimSpace(ada().Password)},
		"an unknown address":        {"eve@example.com", ada().Password},
		"the password of nobody":    {"eve@example.com", "nobody has this password"},
		"an empty address":          {"", ""},
		"an address with a control": {"ada@example.com\x00", ada().Password},
	} {
		_, err := a.LogIn(t.Context(), try[0], try[1])
		var r *billing.Refusal
		if !errors.As(err, &r) || r.Code != billing.CodeInvalid {
			t.Errorf("%s: error = %v, want a refusal", name, err)
			continue
		}
		if first == nil {
			first = r
		}
		if r.Message != first.Message || !maps.Equal(r.Fields, first.Fields) {
			t.Errorf("%s: refused with %q %q, another with %q %q; want one and the same", name, r.Message, r.Fields, first.Message, first.Fields)
		}
	}
}

func TestAnUnknownAddressCostsAHashToo(t *testing.T) {
	a, _ := setup(t)
	release, err := a.Occupy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	// With every core taken, a log-in that hashes has to wait and gives up.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := a.LogIn(ctx, "eve@example.com", "whatever"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v: an unknown address was answered without a hash", err)
	}
}

func TestCreateUserRefusesASecondAccount(t *testing.T) {
	a, _ := setup(t)
	n := auth.NewUser{Name: "Root", Email: "root@example.com", Password: "12345678", IsAdmin: true}
	if user, err := a.CreateUser(t.Context(), n); err != nil || !user.IsAdmin {
		t.Errorf("user = %+v, %v", user, err)
	}
	_, err := a.CreateUser(t.Context(), n)
	var r *billing.Refusal
	if !errors.As(err, &r) || r.Code != billing.CodeInvalid || r.Fields["email"] == "" {
		t.Errorf("error = %#v, want a refusal of the address", err)
	}
}

func TestSessionsLiveOnTheServerUnderAHashedToken(t *testing.T) {
	_, pool := setup(t)
	for name, tt := range map[string]struct {
		secure bool
		cookie string
	}{"https": {true, "__Host-session"}, "http on loopback": {false, "session"}} {
		t.Run(name, func(t *testing.T) {
			sessions := auth.NewSessions(pool, tt.secure)
			user, organization := uuid.New(), uuid.New()
			var seen []uuid.UUID
			mux := http.NewServeMux()
			mux.HandleFunc("/in", func(_ http.ResponseWriter, r *http.Request) {
				if err := sessions.Begin(r.Context(), user, organization); err != nil {
					t.Error(err)
				}
			})
			mux.HandleFunc("/who", func(_ http.ResponseWriter, r *http.Request) {
				seen = []uuid.UUID{sessions.User(r.Context()), sessions.Organization(r.Context())}
			})
			mux.HandleFunc("/out", func(_ http.ResponseWriter, r *http.Request) {
				if err := sessions.End(r.Context()); err != nil {
					t.Error(err)
				}
			})
			handler := sessions.LoadAndSave(mux)
			get := func(path string, cookie *http.Cookie) *http.Cookie {
				request := httptest.NewRequest(http.MethodGet, path, nil)
				if cookie != nil {
					request.AddCookie(cookie)
				}
				response := httptest.NewRecorder()
				handler.ServeHTTP(response, request)
				for _, c := range response.Result().Cookies() {
					return c
				}
				return nil
			}
			cookie := get("/in", nil)
			if cookie == nil || cookie.Name != tt.cookie || cookie.Secure != tt.secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
				t.Fatalf("cookie = %+v", cookie)
			}
			get("/who", cookie)
			if !slices.Equal(seen, []uuid.UUID{user, organization}) {
				t.Errorf("session of %v", seen)
			}
			var stored int
			if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM sessions WHERE token = $1`, cookie.Value).Scan(&stored); err != nil || stored != 0 {
				t.Errorf("the token itself is stored (%v)", err)
			}
			if renewed := get("/in", cookie); renewed == nil || renewed.Value == cookie.Value {
				t.Error("logging in did not renew the token")
			} else {
				cookie = renewed
			}
			get("/out", cookie)
			get("/who", cookie)
			if !slices.Equal(seen, []uuid.UUID{uuid.Nil, uuid.Nil}) {
				t.Errorf("after the end, session of %v", seen)
			}
		})
	}
}

func TestHashesWaitFiveSecondsForACore(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func(context.Context, *auth.Auth) error{
		"a log-in": func(ctx context.Context, a *auth.Auth) error {
			_, err := a.LogIn(ctx, "", "whatever") // looks nobody up: no database in this bubble
			return err
		},
		"a sign-up": func(ctx context.Context, a *auth.Auth) error {
			_, _, err := a.SignUp(ctx, ada())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := auth.New(nil, time.Now)
				release, err := a.Occupy(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer release()
				start := time.Now()
				if err := try(t.Context(), a); !errors.Is(err, auth.ErrBusy) || time.Since(start) != 5*time.Second {
					t.Errorf("after %v: %v; want to be told after 5 s that we are busy", time.Since(start), err)
				}
				gone, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := try(gone, a); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, auth.ErrBusy) {
					t.Errorf("to one who has gone: %v", err)
				}
			})
		})
	}
}

func TestAHashThatGetsItsTurnIsMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := auth.New(nil, time.Now)
		release, err := a.Occupy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(4*time.Second, release)
		var r *billing.Refusal
		if _, err := a.LogIn(t.Context(), "", "whatever"); !errors.As(err, &r) {
			t.Errorf("error = %v, want the refusal after a wait", err)
		}
	})
}

func TestARequestUnderWayAtTheLogOutDoesNotBringTheSessionBack(t *testing.T) {
	_, pool := setup(t)
	sessions := auth.NewSessions(pool, false)
	user := uuid.New()
	ctx, err := sessions.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := sessions.Begin(ctx, user, uuid.Nil); err != nil {
		t.Fatal(err)
	}
	token, _, err := sessions.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := sessions.Load(t.Context(), token)
	if err != nil || sessions.User(slow) != user {
		t.Fatalf("session of %v, %v", sessions.User(slow), err)
	}
	leaving, err := sessions.Load(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := sessions.End(leaving); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sessions.Commit(slow); err != nil {
		t.Fatal(err)
	}
	if user := holder(t, sessions, token); user != uuid.Nil {
		t.Errorf("after the log-out the session is %v's", user)
	}
	if err := sessions.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sessions.Commit(slow); err != nil {
		t.Fatal(err)
	}
	if user := holder(t, sessions, token); user != uuid.Nil {
		t.Errorf("after the clean-up the session is %v's", user)
	}
}

// holder is whose session a token opens.
func holder(t *testing.T, sessions *auth.Sessions, token string) uuid.UUID {
	t.Helper()
	ctx, err := sessions.Load(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return sessions.User(ctx)
}

func TestSessionsEndAWeekAfterTheirLastRequestAndAMonthAfterTheirFirst(t *testing.T) {
	_, pool := setup(t)
	sessions := auth.NewSessions(pool, true)
	const day = 24 * time.Hour
	near := func(at time.Time, days time.Duration) bool {
		off := time.Until(at) - days*day
		return -time.Minute < off && off < time.Minute
	}
	ctx, err := sessions.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := sessions.Begin(ctx, uuid.New(), uuid.Nil); err != nil {
		t.Fatal(err)
	}
	if _, expiry, err := sessions.Commit(ctx); err != nil || !near(expiry, 7) || !near(sessions.Deadline(ctx), 30) {
		t.Errorf("idle until %v, at most until %v, %v", expiry, sessions.Deadline(ctx), err)
	}
	// On the 29th day the end is nearer than a week.
	sessions.SetDeadline(ctx, time.Now().Add(day))
	token, expiry, err := sessions.Commit(ctx)
	if err != nil || !near(expiry, 1) {
		t.Errorf("a day before its end a session lasts until %v, %v", expiry, err)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE sessions SET expiry = now()`); err != nil {
		t.Fatal(err)
	}
	if user := holder(t, sessions, token); user != uuid.Nil {
		t.Errorf("after its end the session is %v's", user)
	}
}

func TestCleanupForgetsOnlySessionsThatEndedAnHourAgo(t *testing.T) {
	_, pool := setup(t)
	if _, err := pool.Exec(t.Context(), `
		INSERT INTO sessions (token, data, expiry) VALUES
			('lives', '', now() + interval '1 minute'),
			('ended', '', now() - interval '59 minutes'),
			('over',  '', now() - interval '61 minutes')`); err != nil {
		t.Fatal(err)
	}
	if err := auth.NewSessions(pool, true).Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := pool.QueryRow(t.Context(), `SELECT array_agg(token ORDER BY token) FROM sessions`).Scan(&left); err != nil || !slices.Equal(left, []string{"ended", "lives"}) {
		t.Errorf("left are %q, %v", left, err)
	}
}
