-- Figures that need more than flows: what becomes of those who were there when a
-- period began, how cohorts keep, and what is pledged. All hold changes only.

-- +goose Up
ALTER TABLE metric_generation
    ADD COLUMN definition smallint NOT NULL DEFAULT 1,
    -- Marks up to this one were made for a generation that is being built.
    ADD COLUMN marked_to bigint,
    ADD COLUMN live_since timestamptz;
COMMENT ON COLUMN metric_generation.definition IS 'The rules by which the program counts; a program with newer rules opens a generation of its own';

-- One row, written by each transaction of the ledger that changed a figure.
CREATE TABLE metric_state (
    is_only    boolean PRIMARY KEY DEFAULT true,
    version    bigint      NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT metric_state_is_only CHECK (is_only)
);
COMMENT ON TABLE metric_state IS 'How often the figures have changed, and when last by the business clock: who sees the same version sees the same figures';
INSERT INTO metric_state DEFAULT VALUES;

ALTER TABLE customer_movement ADD COLUMN subscribers integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN customer_movement.subscribers IS 'Change in the number of customers with MRR on this plan; who is on two plans counts on both. On one row of a plan only';
ALTER TABLE flow_daily ADD COLUMN subscribers bigint NOT NULL DEFAULT 0;
ALTER TABLE flow_monthly ADD COLUMN subscribers bigint NOT NULL DEFAULT 0;

CREATE TABLE customer_pledge (
    gen          integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer     text    NOT NULL,
    currency     text    NOT NULL,
    day          date    NOT NULL,
    plan         text    NOT NULL,
    ending_micro bigint  NOT NULL,
    trial_micro  bigint  NOT NULL,
    PRIMARY KEY (gen, customer, currency, day, plan)
);
COMMENT ON TABLE customer_pledge IS 'Applied contributions: by how much the MRR whose end is scheduled, and what trials under way would be worth, changed on a day';

CREATE TABLE pledge_daily (
    gen          integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    day          date    NOT NULL,
    currency     text    NOT NULL,
    plan         text    NOT NULL,
    ending_micro bigint  NOT NULL,
    trial_micro  bigint  NOT NULL,
    PRIMARY KEY (gen, day, currency, plan)
);
COMMENT ON TABLE pledge_daily IS 'Rollup of customer_pledge by day';

CREATE TABLE cohort_change (
    gen           integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    cohort        date    NOT NULL,
    month         date    NOT NULL,
    currency      text    NOT NULL,
    plan          text    NOT NULL,
    mrr_micro     bigint  NOT NULL,
    gross_micro   bigint  NOT NULL,
    active        bigint  NOT NULL,
    initial_micro bigint  NOT NULL,
    customers     bigint  NOT NULL,
    PRIMARY KEY (gen, cohort, month, currency, plan)
);
COMMENT ON TABLE cohort_change IS 'By how much the state of a cohort at the end of a month differs from that of the month before; plan is that of the first day';
COMMENT ON COLUMN cohort_change.initial_micro IS 'MRR of the cohort at the end of each customer''s first day, and in customers their number: in the month of that day';

CREATE TABLE retention_change (
    gen                   integer  NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    period_end            date     NOT NULL,
    horizon               smallint NOT NULL,
    currency              text     NOT NULL,
    plan                  text     NOT NULL,
    net_micro             bigint   NOT NULL,
    gross_lost_micro      bigint   NOT NULL,
    lost_customers        bigint   NOT NULL,
    lost_micro            bigint   NOT NULL,
    involuntary_customers bigint   NOT NULL,
    involuntary_micro     bigint   NOT NULL,
    PRIMARY KEY (gen, period_end, horizon, currency, plan)
);
COMMENT ON TABLE retention_change IS 'What became of the customers who had MRR when a period of 1 or 12 months began; their base is the level then. Plan is empty for the account';
COMMENT ON COLUMN retention_change.period_end IS 'The first day after the period. Periods that end in the future are there too, as if nothing moved until then';

-- Who moved in a way, newest first: the customers behind a figure.
CREATE INDEX customer_movement_kind_idx ON customer_movement (kind, day DESC, customer);

DROP VIEW mrr_movements;
CREATE VIEW mrr_movements AS
SELECT m.customer, m.currency, m.day, m.kind, m.plan, m.amount_micro, m.customers, m.subscribers, m.reason
FROM customer_movement m JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW mrr_movements IS 'MRR movements under the live definition';

DROP VIEW payment_metrics;
CREATE VIEW payment_metrics AS
SELECT f.day, f.currency, f.plan, f.kind, f.amount_micro, f.customers, f.subscribers
FROM flow_daily f JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW payment_metrics IS 'Daily aggregates under the live definition';

-- +goose Down
DROP VIEW payment_metrics, mrr_movements;
DROP TABLE retention_change, cohort_change, pledge_daily, customer_pledge, metric_state;
ALTER TABLE flow_monthly DROP COLUMN subscribers;
ALTER TABLE flow_daily DROP COLUMN subscribers;
DROP INDEX customer_movement_kind_idx;
ALTER TABLE customer_movement DROP COLUMN subscribers;
ALTER TABLE metric_generation DROP COLUMN live_since, DROP COLUMN marked_to, DROP COLUMN definition;
CREATE VIEW mrr_movements AS
SELECT m.customer, m.currency, m.day, m.kind, m.plan, m.amount_micro, m.customers, m.reason
FROM customer_movement m JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW mrr_movements IS 'MRR movements under the live definition';
CREATE VIEW payment_metrics AS
SELECT f.day, f.currency, f.plan, f.kind, f.amount_micro, f.customers
FROM flow_daily f JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW payment_metrics IS 'Daily aggregates under the live definition';
