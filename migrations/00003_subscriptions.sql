-- The copy of what Stripe says now, the record of what was observed, and what
-- follows from both.

-- +goose Up
CREATE TABLE customers (
    stripe_customer_id text PRIMARY KEY,
    org_id             uuid REFERENCES organizations (id) ON DELETE SET NULL,
    is_current         boolean     NOT NULL DEFAULT true,
    livemode           boolean     NOT NULL,
    currency           text,
    created_at         timestamptz NOT NULL
);
COMMENT ON TABLE customers IS 'Stripe customers seen. One without org_id is counted in the figures and never attached by e-mail or metadata alone.';
-- An organization has at most one current Stripe customer.
CREATE UNIQUE INDEX customers_current_org_key ON customers (org_id) WHERE is_current AND org_id IS NOT NULL;
-- All customers an organization ever had.
CREATE INDEX customers_org_id_idx ON customers (org_id);

CREATE TABLE prices (
    stripe_price_id text PRIMARY KEY,
    plan            text,
    "interval"      text        NOT NULL,
    interval_count  integer     NOT NULL,
    usage_type      text        NOT NULL,
    amounts         jsonb       NOT NULL,
    product         text        NOT NULL,
    lookup_key      text,
    livemode        boolean     NOT NULL,
    seen_at         timestamptz NOT NULL,
    CONSTRAINT prices_interval_known CHECK ("interval" IN ('day', 'week', 'month', 'year')),
    CONSTRAINT prices_interval_count_positive CHECK (interval_count > 0),
    CONSTRAINT prices_usage_type_known CHECK (usage_type IN ('licensed', 'metered'))
);
COMMENT ON TABLE prices IS 'Which plan any price means. A row enters when the price is sold, set up or seen, and never leaves.';
COMMENT ON COLUMN prices.plan IS 'NULL: seen, but nothing says yet which plan it means';
COMMENT ON COLUMN prices.amounts IS 'By currency: {"usd": {"unit_micro": 9900000000}} or tiers; micro is a millionth of the minor unit';

CREATE TABLE coupons (
    stripe_coupon_id text PRIMARY KEY,
    duration         text        NOT NULL,
    percent_off      text,
    amounts_off      jsonb       NOT NULL DEFAULT '{}',
    seen_at          timestamptz NOT NULL,
    CONSTRAINT coupons_duration_known CHECK (duration IN ('forever', 'repeating', 'once'))
);
COMMENT ON TABLE coupons IS 'Every coupon seen on a subscription, kept because figures of the past depend on it.';
COMMENT ON COLUMN coupons.percent_off IS 'Decimal as Stripe prints it, so that no digit is lost';
COMMENT ON COLUMN coupons.amounts_off IS 'By currency, in minor units';

CREATE TABLE subscriptions (
    stripe_subscription_id text PRIMARY KEY,
    stripe_customer_id     text        NOT NULL REFERENCES customers (stripe_customer_id),
    status                 text        NOT NULL,
    plan                   text,
    stripe_price_id        text,
    "interval"             text,
    interval_count         integer,
    quantity               bigint      NOT NULL,
    currency               text        NOT NULL,
    amount_minor           bigint,
    current_period_start   timestamptz NOT NULL,
    current_period_end     timestamptz NOT NULL,
    trial_end              timestamptz,
    cancel_at_period_end   boolean     NOT NULL,
    cancel_at              timestamptz,
    canceled_at            timestamptz,
    ended_at               timestamptz,
    pause_behavior         text,
    pause_resumes_at       timestamptz,
    latest_invoice_id      text,
    latest_invoice_status  text,
    next_payment_attempt   timestamptz,
    has_paid               boolean     NOT NULL,
    livemode               boolean     NOT NULL,
    facts                  jsonb       NOT NULL,
    created_at             timestamptz NOT NULL,
    read_at                timestamptz NOT NULL,
    is_verified            boolean     NOT NULL DEFAULT true,
    CONSTRAINT subscriptions_status_known CHECK (status IN
        ('incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'canceled', 'paused'))
);
COMMENT ON TABLE subscriptions IS 'Stripe''s last answer about each subscription: pages, access and mails follow it.';
COMMENT ON COLUMN subscriptions.amount_minor IS 'What the recurring items cost a period before discount and tax; NULL while a price is not known';
COMMENT ON COLUMN subscriptions.facts IS 'billing.Facts of the same answer, the form in which copy and history are compared';
COMMENT ON COLUMN subscriptions.read_at IS 'Date header of the answer';
COMMENT ON COLUMN subscriptions.is_verified IS 'false: Stripe no longer knows the object and the row is the end of its history';
CREATE INDEX subscriptions_customer_idx ON subscriptions (stripe_customer_id);
-- A state that is over for ever never comes back to life, whoever writes.
-- +goose StatementBegin
CREATE FUNCTION subscriptions_refuse_revival() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'subscription % is %, which is final', OLD.stripe_subscription_id, OLD.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'subscriptions_terminal_state_final';
END $$;
-- +goose StatementEnd
CREATE TRIGGER subscriptions_terminal_state_final BEFORE UPDATE ON subscriptions
    FOR EACH ROW WHEN (OLD.status IN ('canceled', 'incomplete_expired') AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION subscriptions_refuse_revival();

CREATE TABLE subscription_observations (
    subscription_id    text        NOT NULL,
    source             text        NOT NULL,
    source_id          text        NOT NULL,
    stripe_customer_id text        NOT NULL,
    kind               text        NOT NULL,
    at                 timestamptz NOT NULL,
    object_created     timestamptz NOT NULL,
    facts              jsonb       NOT NULL,
    before             jsonb,
    complete           boolean     NOT NULL,
    decoder            smallint    NOT NULL,
    recorded_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, source, source_id),
    CONSTRAINT observations_source_known CHECK (source IN ('event', 'read')),
    CONSTRAINT observations_kind_known CHECK (kind IN ('created', 'updated', 'deleted', 'read'))
);
COMMENT ON TABLE subscription_observations IS 'The permanent record: what was seen of a subscription, by event or by asking. Append-only, kept for ever.';
COMMENT ON COLUMN subscription_observations.source_id IS 'Event id, or the read''s second and ticket';
COMMENT ON COLUMN subscription_observations.at IS 'event.created, or the Date header of the answer; our clock dates nothing';
COMMENT ON COLUMN subscription_observations.before IS 'Facts before the event; NULL: unknown, and nothing at all where kind is created';
COMMENT ON COLUMN subscription_observations.complete IS 'false: the shape lacked something that could not be looked up, so the event dates nothing';
CREATE INDEX subscription_observations_customer_idx ON subscription_observations (stripe_customer_id);

CREATE TABLE subscription_versions (
    subscription_id    text        NOT NULL,
    at                 timestamptz NOT NULL,
    stripe_customer_id text        NOT NULL,
    facts              jsonb       NOT NULL,
    source             text        NOT NULL,
    source_id          text        NOT NULL,
    PRIMARY KEY (subscription_id, at)
);
COMMENT ON TABLE subscription_versions IS 'The history that figures follow: a pure fold of the observations, rewritten by difference.';
COMMENT ON COLUMN subscription_versions.source IS 'event, or read while the event that will date it properly is missing';
CREATE INDEX subscription_versions_customer_idx ON subscription_versions (stripe_customer_id);
-- Whoever ever had a price is found when it is learned what that price costs.
CREATE INDEX subscription_versions_facts_idx ON subscription_versions USING gin (facts jsonb_path_ops);

CREATE TABLE entitlements (
    org_id       uuid PRIMARY KEY REFERENCES organizations (id) ON DELETE CASCADE,
    plan         text,
    status       text,
    access       text        NOT NULL,
    reason       text        NOT NULL,
    until        timestamptz,
    then_access  text,
    then_reason  text,
    features     jsonb       NOT NULL,
    limits       jsonb       NOT NULL,
    as_of        timestamptz NOT NULL,
    CONSTRAINT entitlements_access_known CHECK (access IN ('full', 'grace', 'read_only', 'none')),
    CONSTRAINT entitlements_then_access_known CHECK (then_access IN ('full', 'grace', 'read_only', 'none')),
    -- An end without what comes after it could not be evaluated when asked.
    CONSTRAINT entitlements_until_has_then CHECK ((until IS NULL) = (then_access IS NULL) AND (until IS NULL) = (then_reason IS NULL))
);
COMMENT ON TABLE entitlements IS 'What an organization may do. Evaluated when asked: after until, then_access holds.';

CREATE TABLE checkout_attempts (
    id           uuid PRIMARY KEY,
    org_id       uuid        NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id      uuid        NOT NULL REFERENCES users (id),
    plan         text        NOT NULL,
    "interval"   text        NOT NULL,
    price_id     text        NOT NULL,
    params       jsonb       NOT NULL,
    state        text        NOT NULL,
    payment_status text,
    session_id   text,
    subscription_id text,
    url          text,
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    CONSTRAINT checkout_attempts_state_known CHECK (state IN ('creating', 'open', 'complete', 'expired')),
    CONSTRAINT checkout_attempts_payment_status_known CHECK (payment_status IN ('paid', 'unpaid', 'no_payment_required')),
    -- Only an attempt that Stripe has not answered yet lacks its session.
    CONSTRAINT checkout_attempts_open_has_session CHECK (state NOT IN ('open', 'complete') OR session_id IS NOT NULL)
);
COMMENT ON COLUMN checkout_attempts.subscription_id IS 'What the complete session bought';
COMMENT ON COLUMN checkout_attempts.payment_status IS 'Of a complete session; unpaid is an asynchronous payment whose money is still on its way, and keeps the door shut';
COMMENT ON TABLE checkout_attempts IS 'One press of the pay button: the exact request to Stripe, frozen, so that a retry repeats it.';
-- However often and wherever the button is pressed: one open checkout an organization.
CREATE UNIQUE INDEX checkout_attempts_open_org_key ON checkout_attempts (org_id) WHERE state IN ('creating', 'open');
-- The success page comes with a session id.
CREATE UNIQUE INDEX checkout_attempts_session_key ON checkout_attempts (session_id);
-- What a checkout bought tells when its money has arrived.
CREATE INDEX checkout_attempts_unpaid_idx ON checkout_attempts (subscription_id) WHERE payment_status = 'unpaid';
-- Sessions past their end are asked about once.
CREATE INDEX checkout_attempts_expires_at_idx ON checkout_attempts (expires_at) WHERE state IN ('creating', 'open');

CREATE TABLE payment_events (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind               text        NOT NULL,
    natural_key        text        NOT NULL,
    at                 timestamptz NOT NULL,
    org_id             uuid REFERENCES organizations (id) ON DELETE SET NULL,
    stripe_customer_id text,
    subscription_id    text,
    plan               text,
    "interval"         text,
    currency           text,
    amount_minor       bigint,
    source_event_id    text,
    details            jsonb       NOT NULL DEFAULT '{}',
    livemode           boolean     NOT NULL,
    recorded_at        timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE payment_events IS 'Business events: what happened to a customer, in the words of the trade. payment_metrics is the daily aggregate.';
COMMENT ON COLUMN payment_events.natural_key IS 'What makes the happening one and the same however often we hear of it, e.g. invoice and attempt';
COMMENT ON COLUMN payment_events.at IS 'Business time at which it happened';
-- Each happening once, whatever the duplicates.
CREATE UNIQUE INDEX payment_events_natural_key ON payment_events (kind, natural_key);
CREATE INDEX payment_events_at_idx ON payment_events (at DESC, id DESC);
CREATE INDEX payment_events_customer_idx ON payment_events (stripe_customer_id, at);

-- +goose Down
DROP TABLE payment_events, checkout_attempts, entitlements, subscription_versions, subscription_observations,
    subscriptions, coupons, prices, customers;
DROP FUNCTION subscriptions_refuse_revival;
