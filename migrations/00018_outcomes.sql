-- What came of renewals and of trials: a row each, and their sums by day.

-- +goose Up
-- Why a charge did not come through, for those that did not.
ALTER TABLE stripe_objects ADD COLUMN failure_reason text;
COMMENT ON COLUMN stripe_objects.failure_reason IS 'Of a charge that was declined: the bank''s decline code, or Stripe''s where the bank gave none';
-- The declined charges of a customer, whose invoices they say the reason of.
CREATE INDEX stripe_objects_declined_idx ON stripe_objects (stripe_customer_id) WHERE failure_reason IS NOT NULL;

CREATE TABLE invoice_outcome (
    gen             integer     NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer        text        NOT NULL,
    invoice_id      text        NOT NULL,
    subscription_id text        NOT NULL,
    currency        text        NOT NULL,
    plan            text        NOT NULL,
    amount_minor    bigint      NOT NULL,
    first_at        timestamptz NOT NULL,
    last_at         timestamptz NOT NULL,
    day             date        NOT NULL,
    attempts        integer     NOT NULL,
    asked           boolean     NOT NULL,
    fate            text        NOT NULL,
    settled_at      timestamptz,
    settled_day     date,
    reason          text        NOT NULL,
    failed_day      boolean     NOT NULL,
    failed_week     boolean     NOT NULL,
    failed_month    boolean     NOT NULL,
    PRIMARY KEY (gen, customer, invoice_id),
    CONSTRAINT invoice_outcome_fate_known CHECK (fate IN ('paid', 'recovered', 'in_retry', 'lost')),
    CONSTRAINT invoice_outcome_settled CHECK ((settled_at IS NULL) = (fate = 'in_retry') AND (settled_at IS NULL) = (settled_day IS NULL))
);
COMMENT ON TABLE invoice_outcome IS 'Applied contributions: what came of each renewal by what its first attempt came to. Sign-ups, the first invoice after a trial and voided ones are not there';
COMMENT ON COLUMN invoice_outcome.amount_minor IS 'What was due at the first attempt';
COMMENT ON COLUMN invoice_outcome.day IS 'The date of the first attempt in the definition''s zone, as settled_day is that of settled_at';
COMMENT ON COLUMN invoice_outcome.attempts IS 'How many attempts are told that did not succeed';
COMMENT ON COLUMN invoice_outcome.asked IS 'The bank asked for the customer''s confirmation at the first attempt, which is no decline';
COMMENT ON COLUMN invoice_outcome.reason IS 'Decline code of the first attempt; empty where there is none or nobody told it';
COMMENT ON COLUMN invoice_outcome.failed_day IS 'It is the customer''s first in its currency that was declined that day; failed_week and failed_month likewise, so that sums of them count customers';
-- What is retried now, the largest first.
CREATE INDEX invoice_outcome_in_retry_idx ON invoice_outcome (gen, currency, amount_minor DESC, invoice_id) WHERE fate = 'in_retry';

CREATE TABLE payment_hourly (
    gen             integer     NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    hour            timestamptz NOT NULL,
    currency        text        NOT NULL,
    plan            text        NOT NULL,
    attempted       bigint      NOT NULL,
    attempted_minor bigint      NOT NULL,
    asked           bigint      NOT NULL,
    asked_minor     bigint      NOT NULL,
    failed          bigint      NOT NULL,
    failed_minor    bigint      NOT NULL,
    PRIMARY KEY (gen, hour, currency, plan)
);
COMMENT ON TABLE payment_hourly IS 'Rollup of invoice_outcome by the hour of the first attempt and by what it came to, whatever came later';

CREATE TABLE payment_daily (
    gen              integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    day              date    NOT NULL,
    currency         text    NOT NULL,
    plan             text    NOT NULL,
    reason           text    NOT NULL,
    attempted        bigint  NOT NULL,
    attempted_minor  bigint  NOT NULL,
    asked            bigint  NOT NULL,
    asked_minor      bigint  NOT NULL,
    confirmed        bigint  NOT NULL,
    confirmed_minor  bigint  NOT NULL,
    recovered        bigint  NOT NULL,
    recovered_minor  bigint  NOT NULL,
    in_retry         bigint  NOT NULL,
    in_retry_minor   bigint  NOT NULL,
    lost             bigint  NOT NULL,
    lost_minor       bigint  NOT NULL,
    open             bigint  NOT NULL,
    open_minor       bigint  NOT NULL,
    asked_open       bigint  NOT NULL,
    asked_open_minor bigint  NOT NULL,
    customers_day    bigint  NOT NULL,
    customers_week   bigint  NOT NULL,
    customers_month  bigint  NOT NULL,
    PRIMARY KEY (gen, day, currency, plan, reason)
);
COMMENT ON TABLE payment_daily IS 'Rollup of invoice_outcome by the day of the first attempt; open and asked_open are changes of a level, at the first attempt and when it is settled';
COMMENT ON COLUMN payment_daily.reason IS 'That of the decline; empty for whatever was not declined, too';
COMMENT ON COLUMN payment_daily.confirmed IS 'Those of asked that were paid in the end';
COMMENT ON COLUMN payment_daily.customers_day IS 'Customers of whom something was declined that day; customers_week and customers_month count each on the first such day of its week and month. Sum the one of the period''s length';

CREATE TABLE payment_monthly (
    gen              integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    month            date    NOT NULL,
    currency         text    NOT NULL,
    plan             text    NOT NULL,
    reason           text    NOT NULL,
    attempted        bigint  NOT NULL,
    attempted_minor  bigint  NOT NULL,
    asked            bigint  NOT NULL,
    asked_minor      bigint  NOT NULL,
    confirmed        bigint  NOT NULL,
    confirmed_minor  bigint  NOT NULL,
    recovered        bigint  NOT NULL,
    recovered_minor  bigint  NOT NULL,
    in_retry         bigint  NOT NULL,
    in_retry_minor   bigint  NOT NULL,
    lost             bigint  NOT NULL,
    lost_minor       bigint  NOT NULL,
    open             bigint  NOT NULL,
    open_minor       bigint  NOT NULL,
    asked_open       bigint  NOT NULL,
    asked_open_minor bigint  NOT NULL,
    customers        bigint  NOT NULL,
    PRIMARY KEY (gen, month, currency, plan, reason)
);
COMMENT ON TABLE payment_monthly IS 'payment_daily by month, so that long ranges and levels read few rows';

CREATE TABLE trial_outcome (
    gen             integer     NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer        text        NOT NULL,
    subscription_id text        NOT NULL,
    currency        text        NOT NULL,
    plan            text        NOT NULL,
    started_at      timestamptz NOT NULL,
    started_day     date        NOT NULL,
    ended_at        timestamptz,
    ended_day       date,
    fate            text        NOT NULL,
    PRIMARY KEY (gen, customer, subscription_id),
    CONSTRAINT trial_outcome_fate_known CHECK (fate IN ('running', 'provisional', 'converted', 'lapsed')),
    CONSTRAINT trial_outcome_ended CHECK ((ended_at IS NULL) = (fate = 'running') AND (ended_at IS NULL) = (ended_day IS NULL))
);
COMMENT ON TABLE trial_outcome IS 'Applied contributions: what came of the first trial of each subscription';
COMMENT ON COLUMN trial_outcome.fate IS 'provisional is over and not paid for, and still may be, until fourteen days after its end';

CREATE TABLE trial_daily (
    gen               integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    day               date    NOT NULL,
    currency          text    NOT NULL,
    plan              text    NOT NULL,
    started           bigint  NOT NULL,
    started_converted bigint  NOT NULL,
    started_open      bigint  NOT NULL,
    ended             bigint  NOT NULL,
    converted         bigint  NOT NULL,
    provisional       bigint  NOT NULL,
    PRIMARY KEY (gen, day, currency, plan)
);
COMMENT ON TABLE trial_daily IS 'Rollup of trial_outcome: what began on a day with what came of it, and what ended on that day';
COMMENT ON COLUMN trial_daily.started_open IS 'Those of started that run or are provisional';

-- Failed renewals were read from the events at every look; now from the rollups.
DROP INDEX payment_events_unpaid_idx;

-- +goose Down
CREATE INDEX payment_events_unpaid_idx ON payment_events (at) WHERE kind IN ('payment_failed', 'payment_action_required');
DROP TABLE trial_daily, trial_outcome, payment_monthly, payment_daily, payment_hourly, invoice_outcome;
DROP INDEX stripe_objects_declined_idx;
ALTER TABLE stripe_objects DROP COLUMN failure_reason;
