-- What Stripe said, and what we still have to ask it.

-- +goose Up
CREATE TABLE webhook_events (
    created      timestamptz NOT NULL,
    id           text        NOT NULL,
    type         text        NOT NULL,
    subject      text,
    livemode     boolean     NOT NULL,
    account      text,
    api_version  text,
    secret_used  smallint    NOT NULL,
    source       text        NOT NULL,
    state        text        NOT NULL,
    reason       text,
    body         bytea       NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    -- "created" belongs to the event and never changes, so the key stays
    -- unique should the table be partitioned by time later.
    PRIMARY KEY (created, id),
    CONSTRAINT webhook_events_source_known CHECK (source IN ('delivered', 'listed')),
    CONSTRAINT webhook_events_state_known CHECK (state IN ('pending', 'processed', 'ignored', 'parked')),
    -- Whatever is not processed says why.
    CONSTRAINT webhook_events_reason_given CHECK (state NOT IN ('ignored', 'parked') OR reason IS NOT NULL),
    -- A pending event always knows whose sync will take it up.
    CONSTRAINT webhook_events_pending_has_subject CHECK (state <> 'pending' OR subject IS NOT NULL)
);
-- lz4 costs a fraction of pglz where bodies are written at a thousand a second;
-- a Postgres that was built without it, as the demo's is, keeps pglz.
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE webhook_events ALTER COLUMN body SET COMPRESSION lz4;
    END IF;
END $$;
-- +goose StatementEnd
COMMENT ON TABLE webhook_events IS 'Every signed delivery once, with the bytes as they came. Evidence: may expire after its retention.';
COMMENT ON COLUMN webhook_events.subject IS 'The Stripe customer, or an object whose customer is not known yet';
COMMENT ON COLUMN webhook_events.secret_used IS 'Position of the verifying secret in STRIPE_WEBHOOK_SECRET, from 0; -1 when listed rather than delivered';
COMMENT ON COLUMN webhook_events.created IS 'Stripe''s event.created; the epoch for signed bodies that are no event';
-- A sync takes up the pending events of its subject.
CREATE INDEX webhook_events_pending_idx ON webhook_events (subject) WHERE state = 'pending';
-- The newest events for the dashboard.
CREATE INDEX webhook_events_received_at_idx ON webhook_events (received_at DESC);

CREATE TABLE sync_queue (
    subject     text PRIMARY KEY,
    wanted      bigint      NOT NULL DEFAULT 1,
    done        bigint      NOT NULL DEFAULT 0,
    ticket      bigint      NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    lane        smallint    NOT NULL DEFAULT 1,
    attempts    integer     NOT NULL DEFAULT 0,
    stale_asks  integer     NOT NULL DEFAULT 0,
    last_error  text,
    -- "done" is what was wanted when Stripe was asked; it can never run ahead.
    CONSTRAINT sync_queue_done_behind CHECK (done <= wanted)
);
COMMENT ON TABLE sync_queue IS 'One row a subject, never deleted. wanted > done means that Stripe has said more than we have asked about.';
COMMENT ON COLUMN sync_queue.ticket IS 'Whoever claims raises it; a writer whose ticket is no longer the row''s has been overtaken and writes nothing';
COMMENT ON COLUMN sync_queue.lane IS '0 people and first purchases, 1 fresh events, 2 backlog and scheduled asks';
COMMENT ON COLUMN sync_queue.stale_asks IS 'Answers in a row that were older than the event that raised them';
-- Claiming walks the due rows by lane.
CREATE INDEX sync_queue_due_idx ON sync_queue (lane, due_at);

-- +goose Down
DROP TABLE sync_queue, webhook_events;
