-- What moved the account's balance at Stripe, the sums of it by day, and what is
-- to come of the subscriptions that there are.

-- +goose Up
CREATE TABLE balance_transactions (
    id                 text PRIMARY KEY,
    type               text        NOT NULL,
    reporting_category text        NOT NULL,
    currency           text        NOT NULL,
    amount_minor       bigint      NOT NULL,
    fee_minor          bigint      NOT NULL,
    net_minor          bigint      NOT NULL,
    source_id          text,
    created_at         timestamptz NOT NULL,
    available_at       timestamptz NOT NULL,
    livemode           boolean     NOT NULL,
    recorded_at        timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE balance_transactions IS 'Every movement of the account''s balance, as Stripe lists them: facts that never change, kept for ever';
COMMENT ON COLUMN balance_transactions.amount_minor IS 'As it moves the balance, before the fee: what is taken is negative';
COMMENT ON COLUMN balance_transactions.currency IS 'Of the balance, which Stripe may have exchanged a payment into';
COMMENT ON COLUMN balance_transactions.source_id IS 'The charge, refund, dispute or payout behind it';
-- Read by day, newest first; and a charge's, from the charge.
CREATE INDEX balance_transactions_created_idx ON balance_transactions (created_at DESC, id DESC);
CREATE INDEX balance_transactions_source_idx ON balance_transactions (source_id);

CREATE TABLE cash_progress (
    livemode    boolean PRIMARY KEY,
    whole_from  timestamptz NOT NULL,
    whole_to    timestamptz NOT NULL,
    holder      uuid        NOT NULL,
    lease_until timestamptz NOT NULL,
    CONSTRAINT cash_progress_ascends CHECK (whole_from <= whole_to)
);
COMMENT ON TABLE cash_progress IS 'How much of Stripe''s list is in balance_transactions, and which process is reading: one at a time';
COMMENT ON COLUMN cash_progress.whole_from IS 'All from here to whole_to is recorded; it goes back page by page until everything is';
COMMENT ON COLUMN cash_progress.lease_until IS 'By the clock of the database; when it is past, nobody reads';

CREATE TABLE cash_entry (
    gen          integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    id           text    NOT NULL,
    day          date    NOT NULL,
    currency     text    NOT NULL,
    kind         text    NOT NULL,
    amount_minor bigint  NOT NULL,
    fee_minor    bigint  NOT NULL,
    net_minor    bigint  NOT NULL,
    PRIMARY KEY (gen, id),
    CONSTRAINT cash_entry_kind_known CHECK (kind IN ('gross', 'refund', 'dispute', 'other'))
);
COMMENT ON TABLE cash_entry IS 'Applied contributions: the day and kind that a balance transaction is counted under. Payouts, transfers and top-ups have none';

CREATE TABLE cash_daily (
    gen          integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    day          date    NOT NULL,
    currency     text    NOT NULL,
    kind         text    NOT NULL,
    amount_minor bigint  NOT NULL,
    fee_minor    bigint  NOT NULL,
    net_minor    bigint  NOT NULL,
    transactions bigint  NOT NULL,
    PRIMARY KEY (gen, day, currency, kind)
);
COMMENT ON TABLE cash_daily IS 'Rollup of cash_entry by day';
-- A currency's days in order, whatever else there is.
CREATE INDEX cash_daily_currency_idx ON cash_daily (gen, currency, day);

CREATE TABLE customer_outlook (
    gen             integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer        text    NOT NULL,
    subscription_id text    NOT NULL,
    kind            text    NOT NULL,
    day             date    NOT NULL,
    currency        text    NOT NULL,
    plan            text    NOT NULL,
    amount_micro    bigint  NOT NULL,
    PRIMARY KEY (gen, customer, subscription_id, kind, day),
    CONSTRAINT customer_outlook_kind_known CHECK (kind IN ('renewal', 'trial_end', 'ending'))
);
COMMENT ON TABLE customer_outlook IS 'Applied contributions: what is to come of a subscription as its copy stands, in the ninety days after its next renewal';
COMMENT ON COLUMN customer_outlook.amount_micro IS 'Due before tax at a renewal and at the end of a trial; the MRR that goes with an ending';
-- The largest endings of some days, of the account and of a plan.
CREATE INDEX customer_outlook_ending_idx ON customer_outlook (gen, currency, amount_micro DESC, customer) WHERE kind = 'ending';
CREATE INDEX customer_outlook_plan_ending_idx ON customer_outlook (gen, currency, plan, amount_micro DESC, customer) WHERE kind = 'ending';

CREATE TABLE outlook_daily (
    gen           integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    currency      text    NOT NULL,
    day           date    NOT NULL,
    plan          text    NOT NULL,
    kind          text    NOT NULL,
    amount_micro  bigint  NOT NULL,
    subscriptions bigint  NOT NULL,
    PRIMARY KEY (gen, currency, day, plan, kind)
);
COMMENT ON TABLE outlook_daily IS 'Rollup of customer_outlook by day';

-- Everybody's outlook is worked out for the first time.
INSERT INTO metric_dirty (customer_id) SELECT DISTINCT stripe_customer_id FROM subscriptions ORDER BY 1;

-- +goose Down
DROP TABLE outlook_daily, customer_outlook, cash_daily, cash_entry, cash_progress, balance_transactions;
