-- Who shares the budget of requests to Stripe.

-- +goose Up
CREATE TABLE replicas (
    id      uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE replicas IS 'A row for each process that asks Stripe: renewed every ten seconds, removed at a clean stop, forgotten an hour after a death.';
COMMENT ON COLUMN replicas.id IS 'Drawn by the process when it starts';
COMMENT ON COLUMN replicas.seen_at IS 'By the database''s clock, which all processes share; older than half a minute is not alive';

-- +goose Down
DROP TABLE replicas;
