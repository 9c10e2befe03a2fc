-- What follows from a change: mails to whoever pays, a record of every act, and
-- what an operator must look at.

-- +goose Up
CREATE TABLE outbox (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind               text        NOT NULL,
    natural_key        text        NOT NULL,
    org_id             uuid REFERENCES organizations (id) ON DELETE SET NULL,
    stripe_customer_id text,
    to_address         text        NOT NULL,
    payload            jsonb       NOT NULL,
    subject            text,
    body_text          text,
    body_html          text,
    state              text        NOT NULL DEFAULT 'queued',
    attempts           integer     NOT NULL DEFAULT 0,
    last_error         text,
    created_at         timestamptz NOT NULL,
    sent_at            timestamptz,
    CONSTRAINT outbox_kind_known CHECK (kind IN ('receipt', 'payment_failed')),
    CONSTRAINT outbox_state_known CHECK (state IN ('queued', 'sent', 'kept', 'failed')),
    CONSTRAINT outbox_address_present CHECK (to_address <> ''),
    -- Whatever left, or would have, can be read as it was.
    CONSTRAINT outbox_sent_was_written CHECK (state NOT IN ('sent', 'kept') OR subject IS NOT NULL AND body_text IS NOT NULL AND sent_at IS NOT NULL),
    -- What failed for good says why.
    CONSTRAINT outbox_failure_given CHECK (state <> 'failed' OR last_error IS NOT NULL)
);
COMMENT ON TABLE outbox IS 'Mails, a row a recipient, written in the transaction of the change that they tell and delivered by a job of the same transaction.';
COMMENT ON COLUMN outbox.natural_key IS 'What makes the change one and the same: the invoice of a receipt, invoice and attempt of a failed payment';
COMMENT ON COLUMN outbox.payload IS 'The facts as they were; the words are made when the mail is delivered';
COMMENT ON COLUMN outbox.state IS 'kept: no mail server is configured, so that it can only be read here; failed: the server refused it for good';
COMMENT ON COLUMN outbox.created_at IS 'By the business clock, as sent_at';
-- Each change is told to each recipient once, whatever the duplicates.
CREATE UNIQUE INDEX outbox_change_key ON outbox (kind, natural_key, to_address);
-- What still has to leave.
CREATE INDEX outbox_queued_idx ON outbox (id) WHERE state = 'queued';
-- The mailbox of an address, newest first.
CREATE INDEX outbox_to_address_idx ON outbox (to_address, id DESC);

CREATE TABLE audit_log (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                 timestamptz NOT NULL,
    actor_kind         text        NOT NULL,
    actor_id           text,
    act                text        NOT NULL,
    object_kind        text        NOT NULL,
    object_id          text        NOT NULL,
    org_id             uuid,
    stripe_customer_id text,
    before             jsonb,
    after              jsonb,
    source_event_id    text,
    request_id         text,
    address            text,
    recorded_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_log_actor_known CHECK (actor_kind IN ('user', 'administrator', 'stripe', 'system', 'command')),
    -- A person who acts has a name.
    CONSTRAINT audit_log_person_named CHECK (actor_kind NOT IN ('user', 'administrator') OR actor_id IS NOT NULL)
);
COMMENT ON TABLE audit_log IS 'Who did what to what, and how it stood before and after. Append-only: the database refuses anything else.';
COMMENT ON COLUMN audit_log.at IS 'By the business clock; recorded_at is the database''s';
COMMENT ON COLUMN audit_log.org_id IS 'No reference: a record outlives what it is about';
COMMENT ON COLUMN audit_log.source_event_id IS 'The event of Stripe that told it; NULL where an answer did, or nobody';
-- What was done, newest first, in all and of one organization, customer or object.
CREATE INDEX audit_log_at_idx ON audit_log (at DESC, id DESC);
CREATE INDEX audit_log_org_idx ON audit_log (org_id, at DESC) WHERE org_id IS NOT NULL;
CREATE INDEX audit_log_customer_idx ON audit_log (stripe_customer_id, at DESC) WHERE stripe_customer_id IS NOT NULL;
CREATE INDEX audit_log_object_idx ON audit_log (object_kind, object_id, at DESC);
-- A record that could be changed would prove nothing.
-- +goose StatementBegin
CREATE FUNCTION audit_log_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only: % is refused', TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = 'audit_log_append_only';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse_change();

CREATE TABLE payment_alerts (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule               text        NOT NULL,
    fingerprint        text        NOT NULL,
    severity           text        NOT NULL,
    state              text        NOT NULL,
    opened_at          timestamptz NOT NULL,
    last_seen_at       timestamptz NOT NULL,
    resolved_at        timestamptz,
    seen               bigint      NOT NULL DEFAULT 1,
    org_id             uuid REFERENCES organizations (id) ON DELETE SET NULL,
    stripe_customer_id text,
    object_id          text,
    message            text        NOT NULL,
    evidence           jsonb       NOT NULL DEFAULT '{}',
    proposal           text,
    CONSTRAINT payment_alerts_severity_known CHECK (severity IN ('info', 'warning', 'critical')),
    CONSTRAINT payment_alerts_state_known CHECK (state IN ('pending', 'firing', 'resolved')),
    CONSTRAINT payment_alerts_seen_positive CHECK (seen > 0),
    -- What is over says since when, and nothing else does.
    CONSTRAINT payment_alerts_resolved_dated CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);
COMMENT ON TABLE payment_alerts IS 'What an operator must look at, from its first sight to its end. Times are of the business clock.';
COMMENT ON COLUMN payment_alerts.fingerprint IS 'The rule and what it is about; the same trouble seen again is the same row';
COMMENT ON COLUMN payment_alerts.state IS 'pending: true, but not for long enough to call anybody';
COMMENT ON COLUMN payment_alerts.seen IS 'How often it was found to be so';
COMMENT ON COLUMN payment_alerts.evidence IS 'The facts behind the message as they were last seen; never a payload';
-- One open row a trouble, whoever finds it.
CREATE UNIQUE INDEX payment_alerts_open_key ON payment_alerts (fingerprint) WHERE state IN ('pending', 'firing');
-- What is open, and what was, newest first.
CREATE INDEX payment_alerts_state_idx ON payment_alerts (state, last_seen_at DESC);
-- The page of a customer shows its own.
CREATE INDEX payment_alerts_customer_idx ON payment_alerts (stripe_customer_id) WHERE stripe_customer_id IS NOT NULL;
CREATE INDEX payment_alerts_org_idx ON payment_alerts (org_id) WHERE org_id IS NOT NULL;

-- +goose Down
DROP TABLE payment_alerts, audit_log, outbox;
DROP FUNCTION audit_log_refuse_change;
