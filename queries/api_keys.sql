-- name: CreateAPIKey :exec
INSERT INTO api_keys (id, name, prefix, hash, scopes, created_by)
VALUES (@id, @name, @prefix, @hash, @scopes, @created_by);

-- name: APIKeyByHash :one
SELECT * FROM api_keys WHERE hash = $1;

-- name: APIKeys :many
SELECT * FROM api_keys ORDER BY created_at, id;

-- name: TouchAPIKey :exec
-- Says that the key is in use, at most once an hour.
UPDATE api_keys SET last_used_at = now()
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 hour');

-- name: RevokeAPIKey :one
-- By name or by how it begins; one that is revoked already stays as it is.
UPDATE api_keys SET revoked_at = now()
WHERE revoked_at IS NULL AND (name = @key::text OR prefix = @key::text)
RETURNING *;
