-- Who may log in, which organization they belong to, and the sessions and
-- limits that keep strangers out.

-- +goose Up
CREATE TABLE users (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email         text        NOT NULL,
    name          text        NOT NULL,
    password_hash text        NOT NULL,
    is_admin      boolean     NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL,
    -- An address is stored as it is compared: trimmed and lower-cased.
    CONSTRAINT users_email_normalised CHECK (email = lower(btrim(email)) AND email <> ''),
    CONSTRAINT users_name_present CHECK (btrim(name) <> '')
);
-- One account an address.
CREATE UNIQUE INDEX users_email_key ON users (email);
COMMENT ON TABLE users IS 'People who can log in. is_admin opens /admin; it is given by the command line only.';
COMMENT ON COLUMN users.password_hash IS 'argon2id in PHC form';

CREATE TABLE organizations (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text        NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT organizations_name_present CHECK (btrim(name) <> '')
);
COMMENT ON TABLE organizations IS 'What buys: subscriptions belong to an organization, never to a person.';

CREATE TABLE memberships (
    org_id     uuid        NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       text        NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, user_id),
    CONSTRAINT memberships_role_known CHECK (role IN ('owner', 'admin', 'billing', 'member'))
);
-- Log-in asks for the organizations of a person.
CREATE INDEX memberships_user_id_idx ON memberships (user_id);

-- Tokens are stored hashed. A session that was ended keeps its row for a while,
-- so that no request that was under way then can bring it back.
CREATE TABLE sessions (
    token  text PRIMARY KEY,
    data   bytea       NOT NULL,
    expiry timestamptz NOT NULL
);
-- The clean-up of ended sessions walks by expiry.
CREATE INDEX sessions_expiry_idx ON sessions (expiry);

-- Limits that replicas share. Losing the counts in a crash only forgives a
-- minute of attempts, so the table is unlogged and costs no WAL.
CREATE UNLOGGED TABLE rate_limits (
    key          text        NOT NULL,
    window_start timestamptz NOT NULL,
    count        integer     NOT NULL,
    PRIMARY KEY (key)
);
-- The clean-up of windows long past walks by their start.
CREATE INDEX rate_limits_window_start_idx ON rate_limits (window_start);

-- +goose Down
DROP TABLE rate_limits, sessions, memberships, organizations, users;
