-- name: AddUser :one
INSERT INTO users (id, email, name, password_hash, is_admin, created_at)
VALUES (@id, @email, @name, @password_hash, @is_admin, @created_at)
RETURNING id, email, name, is_admin;

-- name: UserByEmail :one
SELECT * FROM users WHERE email = $1;

-- name: UserByID :one
SELECT id, email, name, is_admin FROM users WHERE id = $1;

-- name: AddOrganization :exec
INSERT INTO organizations (id, name, created_at) VALUES (@id, @name, @created_at);

-- name: AddMembership :exec
INSERT INTO memberships (org_id, user_id, role, created_at) VALUES (@org_id, @user_id, @role, @created_at);

-- name: MembershipsOf :many
SELECT m.org_id, o.name AS org_name, m.role FROM memberships m JOIN organizations o ON o.id = m.org_id
WHERE m.user_id = $1 ORDER BY m.created_at, m.org_id;

-- name: FindSession :one
SELECT data FROM sessions WHERE token = $1 AND expiry > now();

-- name: SaveSession :exec
-- A session that has ended stays ended, whatever a request that was under way
-- then still wants to save.
INSERT INTO sessions (token, data, expiry) VALUES (@token, @data, @expiry)
ON CONFLICT (token) DO UPDATE SET data = excluded.data, expiry = excluded.expiry WHERE sessions.expiry > now();

-- name: EndSession :exec
UPDATE sessions SET data = '', expiry = now() WHERE token = $1;

-- name: ForgetSessions :exec
-- An hour after their end no request is under way any more.
DELETE FROM sessions WHERE expiry < now() - interval '1 hour';

-- name: BillingManagers :many
-- Whom a member can ask, the owner first.
SELECT u.name, m.role FROM memberships m JOIN users u ON u.id = m.user_id
WHERE m.org_id = $1 AND m.role IN ('owner', 'admin', 'billing')
ORDER BY m.role = 'owner' DESC, m.created_at LIMIT 3;

-- name: MemberCount :one
SELECT count(*) FROM memberships WHERE org_id = $1;
