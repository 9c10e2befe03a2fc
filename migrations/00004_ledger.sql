-- Figures. Hard arithmetic is done once per change, in Go; SQL only adds.

-- +goose Up
CREATE TABLE metric_dirty (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id text NOT NULL
);
COMMENT ON TABLE metric_dirty IS 'Stripe customers whose versions changed. Insert-only for writers, so that marking never waits; the ledger deletes.';

CREATE TABLE metric_generation (
    gen             integer PRIMARY KEY,
    time_zone       text        NOT NULL,
    discount_policy text        NOT NULL,
    decoder         smallint    NOT NULL,
    state           text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT metric_generation_policy_known CHECK (discount_policy IN ('forever_only', 'recurring', 'all', 'none')),
    CONSTRAINT metric_generation_state_known CHECK (state IN ('building', 'live', 'old'))
);
COMMENT ON TABLE metric_generation IS 'A definition of the figures: zone and policies. A change is a new generation beside the live one.';
-- Exactly one definition is shown.
CREATE UNIQUE INDEX metric_generation_live_key ON metric_generation (state) WHERE state = 'live';
INSERT INTO metric_generation (gen, time_zone, discount_policy, decoder, state) VALUES (1, 'UTC', 'recurring', 1, 'live');

CREATE TABLE metric_customer (
    stripe_customer_id text PRIMARY KEY,
    customer           text NOT NULL
);
COMMENT ON TABLE metric_customer IS 'The ledger customer under which each Stripe customer was last counted, so that linking it elsewhere takes it away from there.';

CREATE TABLE metric_clock (
    customer_id text PRIMARY KEY,
    next_at     timestamptz NOT NULL
);
COMMENT ON TABLE metric_clock IS 'When a ledger customer''s balance changes by itself (a coupon ends, a pause bites), or what could not be computed is tried again. Past is as good as a dirty mark.';
CREATE INDEX metric_clock_next_at_idx ON metric_clock (next_at);

CREATE TABLE customer_day (
    gen       integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer  text    NOT NULL,
    currency  text    NOT NULL,
    day       date    NOT NULL,
    mrr_micro bigint  NOT NULL,
    PRIMARY KEY (gen, customer, currency, day),
    CONSTRAINT customer_day_not_negative CHECK (mrr_micro >= 0)
);
COMMENT ON TABLE customer_day IS 'Applied contributions: balance at the end of each day on which it changed. The customer is org:<uuid> where linked, else cus_….';

CREATE TABLE customer_movement (
    gen          integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer     text    NOT NULL,
    currency     text    NOT NULL,
    day          date    NOT NULL,
    kind         text    NOT NULL,
    plan         text    NOT NULL,
    amount_micro bigint  NOT NULL,
    customers    integer NOT NULL,
    reason       text    NOT NULL,
    PRIMARY KEY (gen, customer, currency, day, kind, plan),
    CONSTRAINT customer_movement_kind_known CHECK (kind IN
        ('new', 'reactivation', 'expansion', 'contraction', 'churn', 'transfer_in', 'transfer_out'))
);
COMMENT ON TABLE customer_movement IS 'Applied contributions: MRR movements of each customer and day (metrics.md 1.3), a pure function of its versions.';
COMMENT ON COLUMN customer_movement.customers IS 'Change in the number of active customers: 1 for new and reactivation, -1 for churn, else 0; on one plan row only';
CREATE INDEX customer_movement_day_idx ON customer_movement (gen, day);

CREATE TABLE flow_daily (
    gen          integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    day          date    NOT NULL,
    currency     text    NOT NULL,
    plan         text    NOT NULL,
    kind         text    NOT NULL,
    amount_micro bigint  NOT NULL,
    customers    bigint  NOT NULL,
    PRIMARY KEY (gen, day, currency, plan, kind)
);
COMMENT ON TABLE flow_daily IS 'Rollup of customer_movement by day. Holds changes only; levels are running sums.';

CREATE TABLE flow_monthly (
    gen          integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    month        date    NOT NULL,
    currency     text    NOT NULL,
    plan         text    NOT NULL,
    kind         text    NOT NULL,
    amount_micro bigint  NOT NULL,
    customers    bigint  NOT NULL,
    PRIMARY KEY (gen, month, currency, plan, kind)
);
COMMENT ON TABLE flow_monthly IS 'Rollup of customer_movement by calendar month of the generation''s zone.';

CREATE VIEW mrr_movements AS
SELECT m.customer, m.currency, m.day, m.kind, m.plan, m.amount_micro, m.customers, m.reason
FROM customer_movement m JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW mrr_movements IS 'MRR movements under the live definition';

CREATE VIEW payment_metrics AS
SELECT f.day, f.currency, f.plan, f.kind, f.amount_micro, f.customers
FROM flow_daily f JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW payment_metrics IS 'Daily aggregates under the live definition';

-- +goose Down
DROP VIEW payment_metrics, mrr_movements;
DROP TABLE flow_monthly, flow_daily, customer_movement, customer_day, metric_clock, metric_customer, metric_generation, metric_dirty;
