// Package auth knows who is who: people, their passwords, the organizations
// they belong to, and their sessions.
package auth

import (
	"context"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/billing"
)

// Auth is the door to accounts.
type Auth struct {
	Pool *pgxpool.Pool
	// Now is the business clock: since when people and organizations are there.
	Now func() time.Time

	hasher *hasher
}

// New returns the door.
func New(pool *pgxpool.Pool, now func() time.Time) *Auth {
	return &Auth{Pool: pool, Now: now, hasher: newHasher()}
}

// User is a person who can log in.
type User struct {
	ID      uuid.UUID
	Email   string
	Name    string
	IsAdmin bool
}

// Membership is a person's place in an organization.
type Membership struct {
	OrgID   uuid.UUID
	OrgName string
	Role    billing.Role
}

// SignUp is what the sign-up form asks.
type SignUp struct {
	Name, Email, Password, Organization string
	// Hash stands in place of Password where many people who share one sign up
	// at a time, as in the history of a demo; the form never fills it.
	Hash PasswordHash
}

// PasswordHash is a password as it is kept.
type PasswordHash string

// HashPassword makes the hash for SignUp.Hash. It is slow, as guessing must be.
func (a *Auth) HashPassword(ctx context.Context, password string) (PasswordHash, error) {
	hash, err := a.hasher.hash(ctx, password)
	return PasswordHash(hash), err
}

// NewUser is what the command line makes.
type NewUser struct {
	Name, Email, Password string
	IsAdmin               bool
}

// SignUp makes a person and the organization that the person owns, both or
// neither. It refuses with messages by field: name, email, password,
// organization.
func (a *Auth) SignUp(ctx context.Context, s SignUp) (User, Membership, error) {
	organization, organizationFault := checkName(s.Organization, "Enter the name of your organization.")
	n, fields := checkUser(NewUser{Name: s.Name, Email: s.Email, Password: s.Password})
	if s.Hash != "" {
		delete(fields, "password")
	}
	if organizationFault != "" {
		fields["organization"] = organizationFault
	}
	if err := refuse(fields); err != nil {
		return User{}, Membership{}, err
	}
	hash := string(s.Hash)
	if hash == "" {
		var err error
		if hash, err = a.hasher.hash(ctx, n.Password); err != nil {
			return User{}, Membership{}, err
		}
	}
	var user User
	owns := Membership{OrgID: uuid.New(), OrgName: organization, Role: billing.RoleOwner}
	err := db.InTx(ctx, a.Pool, func(_ pgx.Tx, q *db.Queries) (err error) {
		if user, err = a.add(ctx, q, n, hash); err != nil {
			return err
		}
		if err := q.AddOrganization(ctx, db.AddOrganizationParams{ID: owns.OrgID, Name: owns.OrgName, CreatedAt: a.Now()}); err != nil {
			return fmt.Errorf("add organization: %w", err)
		}
		if err := q.AddMembership(ctx, db.AddMembershipParams{OrgID: owns.OrgID, UserID: user.ID, Role: string(owns.Role), CreatedAt: a.Now()}); err != nil {
			return fmt.Errorf("add membership: %w", err)
		}
		actor := audit.ActorOf(ctx) // by its request, it is the new person
		actor.Kind, actor.ID = audit.User, user.ID.String()
		return audit.Write(ctx, q, audit.Entry{
			At: a.Now(), Act: "signed_up", ObjectKind: "organization", ObjectID: owns.OrgID.String(), OrgID: &owns.OrgID, Actor: actor,
			After: map[string]any{"user": user.ID, "role": owns.Role},
		})
	})
	return user, owns, err
}

// CreateUser makes a person without an organization.
func (a *Auth) CreateUser(ctx context.Context, n NewUser) (User, error) {
	n, fields := checkUser(n)
	if err := refuse(fields); err != nil {
		return User{}, err
	}
	hash, err := a.hasher.hash(ctx, n.Password)
	if err != nil {
		return User{}, err
	}
	var user User
	err = db.InTx(ctx, a.Pool, func(_ pgx.Tx, q *db.Queries) (err error) {
		if user, err = a.add(ctx, q, n, hash); err != nil {
			return err
		}
		return audit.Write(ctx, q, audit.Entry{
			At: a.Now(), Act: "user_created", ObjectKind: "user", ObjectID: user.ID.String(), After: map[string]any{"is_admin": user.IsAdmin},
		})
	})
	return user, err
}

func (a *Auth) add(ctx context.Context, q *db.Queries, n NewUser, hash string) (User, error) {
	row, err := q.AddUser(ctx, db.AddUserParams{
		ID: uuid.New(), Email: n.Email, Name: n.Name, PasswordHash: hash, IsAdmin: n.IsAdmin, CreatedAt: a.Now(),
	})
	if db.IsConflict(err, "users_email_key") {
		return User{}, refuse(map[string]string{"email": "There is an account with this address already. Log in instead."})
	}
	if err != nil {
		return User{}, fmt.Errorf("add user: %w", err)
	}
	return User(row), nil
}

// LogIn checks address and password. It answers the same, after the same work,
// whether the address is unknown or the password wrong.
func (a *Auth) LogIn(ctx context.Context, email, password string) (User, error) {
	var row db.User
	if email = normalise(email); checkEmail(email) == "" { // nobody has any other, and not every text can be looked up
		var err error
		if row, err = db.New(a.Pool).UserByEmail(ctx, email); err != nil && !db.IsNotFound(err) {
			return User{}, fmt.Errorf("read user: %w", err)
		}
	}
	matches, err := a.hasher.matches(ctx, password, row.PasswordHash)
	if err != nil {
		return User{}, err
	}
	if !matches {
		return User{}, &billing.Refusal{
			Code: billing.CodeInvalid, Message: "The address or the password is not right.",
			Fields: map[string]string{"email": "", "password": "The address or the password is not right."},
		}
	}
	return User{ID: row.ID, Email: row.Email, Name: row.Name, IsAdmin: row.IsAdmin}, nil
}

// UserByID reads a person; db.IsNotFound tells that there is none any more.
func (a *Auth) UserByID(ctx context.Context, id uuid.UUID) (User, error) {
	row, err := db.New(a.Pool).UserByID(ctx, id)
	if err != nil {
		return User{}, fmt.Errorf("read user %s: %w", id, err)
	}
	return User(row), nil
}

// Memberships are a person's organizations, the first one joined first.
func (a *Auth) Memberships(ctx context.Context, userID uuid.UUID) ([]Membership, error) {
	rows, err := db.New(a.Pool).MembershipsOf(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("read memberships of %s: %w", userID, err)
	}
	out := make([]Membership, 0, len(rows))
	for _, row := range rows {
		out = append(out, Membership{OrgID: row.OrgID, OrgName: row.OrgName, Role: billing.Role(row.Role)})
	}
	return out, nil
}

// The limits of what a person may enter.
const (
	maxName     = 100 // characters
	maxEmail    = 254 // bytes, RFC 5321
	minPassword = 8   // characters
	maxPassword = 256 // characters
)

// checkUser returns the user as it will be stored, and messages by field.
func checkUser(n NewUser) (NewUser, map[string]string) {
	fields := map[string]string{}
	var fault string
	if n.Name, fault = checkName(n.Name, "Enter your name."); fault != "" {
		fields["name"] = fault
	}
	n.Email = normalise(n.Email)
	if fault := checkEmail(n.Email); fault != "" {
		fields["email"] = fault
	}
	switch length := utf8.RuneCountInString(n.Password); {
	case length < minPassword:
		fields["password"] = fmt.Sprintf("Use at least %d characters.", minPassword)
	case length > maxPassword:
		fields["password"] = fmt.Sprintf("Use at most %d characters.", maxPassword)
	}
	return n, fields
}

func checkName(s, whenEmpty string) (name, fault string) {
	name = strings.TrimSpace(s)
	switch {
	case !strings.ContainsFunc(name, isSeen):
		return name, whenEmpty
	case utf8.RuneCountInString(name) > maxName:
		return name, fmt.Sprintf("Use at most %d characters.", maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, isDisguise):
		return name, "Use letters, digits and punctuation only."
	}
	return name, ""
}

// isSeen tells what shows. Joiners of no width may stand in a name, as Persian
// and many emoji need them, but cannot be all of it.
func isSeen(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }

// isDisguise: control characters, those that turn the direction of what follows,
// and those that break the line can make a name look like another.
func isDisguise(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

func checkEmail(email string) (fault string) {
	if email == "" {
		return "Enter your e-mail address."
	}
	address, err := mail.ParseAddress(email)
	_, host, _ := strings.Cut(email, "@")
	if err != nil || address.Address != email || len(email) > maxEmail || !strings.Contains(host, ".") || strings.ContainsFunc(email, isUnseen) {
		return "Enter an e-mail address such as ada@example.com."
	}
	return ""
}

// isUnseen tells what shows as nothing, or turns around what stands beside it,
// so that one address could pass for another. Lower case has made a replacement
// character of each byte that is no UTF-8.
func isUnseen(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }

func normalise(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

func refuse(fields map[string]string) error {
	if len(fields) == 0 {
		return nil
	}
	return &billing.Refusal{Code: billing.CodeInvalid, Message: "Please check what you entered.", Fields: fields}
}
