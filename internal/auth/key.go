package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/billing"
)

// Scope is something that a key may be used for.
type Scope string

// The scopes.
const (
	ReadEntitlements Scope = "entitlements:read"
	ReadMetrics      Scope = "metrics:read"
)

// Scopes are all there are.
func Scopes() []Scope { return []Scope{ReadEntitlements, ReadMetrics} }

// Key is a program's key as it is kept, which is without the key itself.
type Key struct {
	ID   uuid.UUID
	Name string
	// Prefix is how the key begins, by which people recognize it.
	Prefix    string
	Scopes    []Scope
	CreatedBy string
	CreatedAt time.Time
	// LastUsedAt is exact to the hour; zero: never used.
	LastUsedAt time.Time
	// RevokedAt is zero while the key opens what its scopes say.
	RevokedAt time.Time
}

// May reports whether the key is for this.
func (k Key) May(s Scope) bool { return slices.Contains(k.Scopes, s) }

// Keys is the door to the keys of programs.
type Keys struct {
	Pool *pgxpool.Pool
	// Clock is the machine's.
	Clock func() time.Time

	mu    sync.Mutex
	known map[[sha256.Size]byte]known
}

// known is a key that was good at a moment.
type known struct {
	key Key
	at  time.Time
}

// KeyTrust is how long a process believes a key without looking again, and so
// how long a revoked one may still open a door.
const KeyTrust = 5 * time.Second

// Find returns the key that a program sent; false where it is none, or revoked
// for longer than KeyTrust.
func (k *Keys) Find(ctx context.Context, secret string) (Key, bool, error) {
	if !looksLikeKey(secret) { // most of what is no key costs no query
		return Key{}, false, nil
	}
	hash, now := sha256.Sum256([]byte(secret)), k.Clock()
	k.mu.Lock()
	found, ok := k.known[hash]
	k.mu.Unlock()
	if age := now.Sub(found.at); ok && age >= 0 && age < KeyTrust {
		return found.key, true, nil
	}
	q := db.New(k.Pool)
	row, err := q.APIKeyByHash(ctx, hash[:])
	if err != nil && !db.IsNotFound(err) {
		return Key{}, false, fmt.Errorf("look a key up: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil || row.RevokedAt != nil {
		delete(k.known, hash)
		return Key{}, false, nil
	}
	if k.known == nil {
		k.known = map[[sha256.Size]byte]known{}
	}
	k.known[hash] = known{keyFromRow(row), now}
	return k.known[hash].key, true, nil
}

// Used notes that a key is in use, to the hour. It is no part of the request
// that used it.
func (k *Keys) Used(ctx context.Context, key Key) error {
	if k.Clock().Sub(key.LastUsedAt) < time.Hour {
		return nil
	}
	k.mu.Lock()
	for hash, found := range k.known { // a process notes it once, whatever becomes of that
		if found.key.ID == key.ID {
			found.key.LastUsedAt = k.Clock()
			k.known[hash] = found
		}
	}
	k.mu.Unlock()
	if err := db.New(k.Pool).TouchAPIKey(ctx, key.ID); err != nil {
		return fmt.Errorf("note the use of key %s: %w", key.Prefix, err)
	}
	return nil
}

// NewKey is what a key is made of.
type NewKey struct {
	Name   string
	Scopes []Scope
	// Secret is the key itself, for a demo that keeps its own; empty: a new one.
	Secret string
	// By says who makes it, At when by the business clock.
	By string
	At time.Time
}

// Create makes a key and returns it, which nothing will ever do again. It
// refuses with messages by field: name, scope.
func (k *Keys) Create(ctx context.Context, n NewKey) (string, error) {
	n.Name = strings.TrimSpace(n.Name)
	if fields := n.faults(); len(fields) > 0 {
		return "", &billing.Refusal{Code: billing.CodeInvalid, Message: "The key is not complete.", Fields: fields}
	}
	secret := n.Secret
	if secret == "" {
		secret = NewSecret()
	}
	hash := sha256.Sum256([]byte(secret))
	params := db.CreateAPIKeyParams{ID: uuid.New(), Name: n.Name, Prefix: secret[:shownLength], Hash: hash[:], CreatedBy: n.By}
	for _, s := range n.Scopes {
		params.Scopes = append(params.Scopes, string(s))
	}
	err := db.InTx(ctx, k.Pool, func(_ pgx.Tx, q *db.Queries) error {
		if err := q.CreateAPIKey(ctx, params); err != nil {
			return err
		}
		return audit.Write(ctx, q, audit.Entry{
			At: n.At, Act: "api_key_created", ObjectKind: "api_key", ObjectID: params.ID.String(),
			After: map[string]any{"name": n.Name, "prefix": params.Prefix, "scopes": params.Scopes},
		})
	})
	if db.IsConflict(err, "api_keys_name_key") {
		return "", &billing.Refusal{
			Code: billing.CodeInvalid, Message: "The key is not complete.", Cause: err,
			Fields: map[string]string{"name": "A key of this name is in use. Choose another one, or revoke that."},
		}
	}
	if err != nil {
		return "", fmt.Errorf("create key: %w", err)
	}
	return secret, nil
}

const maxKeyName = 100

func (n NewKey) faults() map[string]string {
	fields := map[string]string{}
	switch {
	case n.Name == "":
		fields["name"] = "Name the program that will use the key."
	case len(n.Name) > maxKeyName:
		fields["name"] = fmt.Sprintf("Use at most %d characters.", maxKeyName)
	case strings.HasPrefix(n.Name, keyPrefix):
		fields["name"] = "Choose a name that does not look like a key."
	}
	if len(n.Scopes) == 0 {
		fields["scope"] = "Say what the key is for: " + scopeNames() + "."
	}
	for _, s := range n.Scopes {
		if !slices.Contains(Scopes(), s) {
			fields["scope"] = fmt.Sprintf("There is no %q. Choose from %s.", s, scopeNames())
		}
	}
	return fields
}

func scopeNames() string {
	names := make([]string, len(Scopes()))
	for i, s := range Scopes() {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// List returns every key that ever was, oldest first.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	rows, err := db.New(k.Pool).APIKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	keys := make([]Key, len(rows))
	for i, row := range rows {
		keys[i] = keyFromRow(row)
	}
	return keys, nil
}

// Revoke ends a key, told by its name or by how it begins; at is by the
// business clock. Within KeyTrust it opens nothing any more. It refuses where
// no key in use is called so.
func (k *Keys) Revoke(ctx context.Context, key string, at time.Time) (Key, error) {
	var revoked Key
	err := db.InTx(ctx, k.Pool, func(_ pgx.Tx, q *db.Queries) error {
		row, err := q.RevokeAPIKey(ctx, key)
		if err != nil {
			return err
		}
		revoked = keyFromRow(row)
		return audit.Write(ctx, q, audit.Entry{
			At: at, Act: "api_key_revoked", ObjectKind: "api_key", ObjectID: row.ID.String(),
			Before: map[string]any{"name": row.Name, "prefix": row.Prefix, "scopes": row.Scopes},
		})
	})
	if db.IsNotFound(err) {
		return Key{}, &billing.Refusal{Code: billing.CodeNotFound, Message: fmt.Sprintf("No key in use is called %q or begins so.", key)}
	}
	if err != nil {
		return Key{}, fmt.Errorf("revoke key: %w", err)
	}
	return revoked, nil
}

// A key is pf_, 256 random bits, and a checksum by which one that was cut off
// or mistyped is told from one that is not known; scanners for lost secrets find
// it by its beginning. Lower-case letters and digits alone, so that a double
// click takes all of it.
const (
	keyPrefix   = "pf_"
	randomBytes = 32
	sumBytes    = 4
	// shownLength leaves 216 of the 256 bits unknown.
	shownLength = len(keyPrefix) + 8
)

var letters = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret makes a key that nobody has been given yet.
func NewSecret() string {
	b := make([]byte, randomBytes, randomBytes+sumBytes)
	_, _ = rand.Read(b) // never fails
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return keyPrefix + strings.ToLower(letters.EncodeToString(b))
}

func looksLikeKey(s string) bool {
	rest, ok := strings.CutPrefix(s, keyPrefix)
	if !ok || len(rest) != letters.EncodedLen(randomBytes+sumBytes) || strings.ToLower(rest) != rest {
		return false
	}
	b, err := letters.DecodeString(strings.ToUpper(rest))
	return err == nil && binary.BigEndian.Uint32(b[randomBytes:]) == crc32.ChecksumIEEE(b[:randomBytes])
}

func keyFromRow(row db.ApiKey) Key {
	key := Key{ID: row.ID, Name: row.Name, Prefix: row.Prefix, CreatedBy: row.CreatedBy, CreatedAt: row.CreatedAt}
	for _, s := range row.Scopes {
		key.Scopes = append(key.Scopes, Scope(s))
	}
	if row.LastUsedAt != nil {
		key.LastUsedAt = *row.LastUsedAt
	}
	if row.RevokedAt != nil {
		key.RevokedAt = *row.RevokedAt
	}
	return key
}
