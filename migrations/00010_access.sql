-- Programs that ask who may use what, and answers that are right at any moment
-- after they were worked out.

-- +goose Up
CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    name         text        NOT NULL,
    prefix       text        NOT NULL,
    hash         bytea       NOT NULL,
    scopes       text[]      NOT NULL,
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT api_keys_name_present CHECK (name <> ''),
    -- A key without a scope opens nothing and would only look like one.
    CONSTRAINT api_keys_scopes_known CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['entitlements:read', 'metrics:read']),
    -- SHA-256 is enough: the secret is 256 random bits, which nobody guesses.
    CONSTRAINT api_keys_hash_is_sha256 CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE api_keys IS 'Keys of programs. The key itself is shown once and kept nowhere. Times are of the database''s clock.';
COMMENT ON COLUMN api_keys.prefix IS 'How the key begins, by which people recognize it';
COMMENT ON COLUMN api_keys.created_by IS 'Who made it: command, demo, or an administrator';
COMMENT ON COLUMN api_keys.last_used_at IS 'To the hour: telling more would cost a write a request';
-- A key is found by its hash.
CREATE UNIQUE INDEX api_keys_hash_key ON api_keys (hash);
-- Who revokes by name must mean one key; a name is free again afterwards.
CREATE UNIQUE INDEX api_keys_name_key ON api_keys (name) WHERE revoked_at IS NULL;

ALTER TABLE entitlements ADD COLUMN granted_by text[] NOT NULL DEFAULT '{}', ADD COLUMN later jsonb NOT NULL DEFAULT '[]';
-- Until each organization's next sync: nearly all have one plan.
UPDATE entitlements SET granted_by = ARRAY[plan] WHERE access IN ('full', 'grace') AND plan IS NOT NULL;
COMMENT ON TABLE entitlements IS 'What an organization may do. Evaluated when asked: the columns hold before until, then the last element of later whose moment has come.';
COMMENT ON COLUMN entitlements.granted_by IS 'Codes of the plans whose features and limits hold before until, each the best of all; features and limits are what they were when this was written';
COMMENT ON COLUMN entitlements.later IS 'What holds from later moments on while nothing is heard, in their order: [{"from": Unix seconds, "access", "reason", "plan", "status", "granted_by"}]; the first is from until on';

-- +goose Down
ALTER TABLE entitlements DROP COLUMN later, DROP COLUMN granted_by;
COMMENT ON TABLE entitlements IS 'What an organization may do. Evaluated when asked: after until, then_access holds.';
DROP TABLE api_keys;
