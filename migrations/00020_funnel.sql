-- The conversion funnel: who looked at the prices, and how far they came.

-- +goose Up
ALTER TABLE payment_events ADD COLUMN visitor_id uuid;
COMMENT ON COLUMN payment_events.visitor_id IS 'The random number in the browser of whoever looked at the prices or began a checkout; NULL where none was counted';
-- How one visitor came along.
CREATE INDEX payment_events_visitor_idx ON payment_events (visitor_id, at) WHERE kind = 'pricing_viewed';
-- What is new, without the many who only look.
CREATE INDEX payment_events_told_idx ON payment_events (at DESC, id DESC) WHERE kind <> 'pricing_viewed';

ALTER TABLE checkout_attempts
    ADD COLUMN visitor_id uuid,
    ADD COLUMN in_funnel boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN checkout_attempts.visitor_id IS 'The visitor who pressed the button, by which the checkout follows a look at the prices; NULL where none is counted';
COMMENT ON COLUMN checkout_attempts.in_funnel IS 'False for one that an administrator began: the funnel is of customers';
-- The checkouts of a visitor, and those of an organization that belong to none.
CREATE INDEX checkout_attempts_visitor_idx ON checkout_attempts (visitor_id) WHERE visitor_id IS NOT NULL;
CREATE INDEX checkout_attempts_org_idx ON checkout_attempts (org_id) WHERE visitor_id IS NULL;
-- What happens to a subscription concerns the checkout that bought it.
CREATE INDEX checkout_attempts_subscription_idx ON checkout_attempts (subscription_id) WHERE subscription_id IS NOT NULL;

CREATE TABLE funnel_unit (
    gen               integer     NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    visitor           text        NOT NULL,
    entered_at        timestamptz NOT NULL,
    day               date        NOT NULL,
    bucket            text        NOT NULL,
    plan              text        NOT NULL,
    customer          text        NOT NULL,
    reached           smallint    NOT NULL,
    started_seconds   bigint      NOT NULL,
    completed_seconds bigint      NOT NULL,
    activated_seconds bigint      NOT NULL,
    paid_seconds      bigint      NOT NULL,
    settled_on        date        NOT NULL,
    PRIMARY KEY (gen, visitor, entered_at),
    CONSTRAINT funnel_unit_bucket_known CHECK (bucket IN ('viewed', 'direct')),
    CONSTRAINT funnel_unit_reached_known CHECK (reached BETWEEN 0 AND 4)
);
COMMENT ON TABLE funnel_unit IS 'Applied contributions: a visitor''s way from the prices to a payment (metrics.md 1.10), at most one in thirty days';
COMMENT ON COLUMN funnel_unit.visitor IS 'The visitor''s random id, or org:<uuid> for the checkouts of an organization that came without one';
COMMENT ON COLUMN funnel_unit.bucket IS 'viewed: it begins with the prices; direct: it begins with a checkout that no look at the prices goes before';
COMMENT ON COLUMN funnel_unit.plan IS 'What the checkout was for that came furthest; empty while there is none';
COMMENT ON COLUMN funnel_unit.customer IS 'org:<uuid> of whoever began a checkout, else empty';
COMMENT ON COLUMN funnel_unit.reached IS 'The last step reached: 0 prices viewed, 1 checkout started, 2 completed, 3 activated, 4 paid';
COMMENT ON COLUMN funnel_unit.started_seconds IS 'Like the others, seconds from entered_at until the step; 0 for a step that was not reached';
COMMENT ON COLUMN funnel_unit.settled_on IS 'The first day on which nothing about it can change any more';
-- Who entered in a period, newest first.
CREATE INDEX funnel_unit_day_idx ON funnel_unit (gen, day DESC, reached);

CREATE TABLE funnel_daily (
    gen       integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    day       date    NOT NULL,
    bucket    text    NOT NULL,
    plan      text    NOT NULL,
    viewed    bigint  NOT NULL,
    started   bigint  NOT NULL,
    completed bigint  NOT NULL,
    activated bigint  NOT NULL,
    paid      bigint  NOT NULL,
    PRIMARY KEY (gen, day, bucket, plan)
);
COMMENT ON TABLE funnel_daily IS 'Rollup of funnel_unit by the day of entry: how many reached each step, whenever they did';

CREATE TABLE funnel_time (
    gen    integer  NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    day    date     NOT NULL,
    bucket text     NOT NULL,
    plan   text     NOT NULL,
    step   smallint NOT NULL,
    took   smallint NOT NULL,
    n      bigint   NOT NULL,
    PRIMARY KEY (gen, day, bucket, plan, step, took)
);
COMMENT ON TABLE funnel_time IS 'Rollup of funnel_unit by the day of entry: a histogram of how long each step took, from which medians are read';
COMMENT ON COLUMN funnel_time.step IS '1 to 4: from the step before to this one; 0: all the way from entering to the payment';
COMMENT ON COLUMN funnel_time.took IS 'A class of durations whose ends are at most a tenth apart, see analytics.TimeClass';

CREATE TABLE funnel_time_monthly (
    gen    integer  NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    month  date     NOT NULL,
    bucket text     NOT NULL,
    plan   text     NOT NULL,
    step   smallint NOT NULL,
    took   smallint NOT NULL,
    n      bigint   NOT NULL,
    PRIMARY KEY (gen, month, bucket, plan, step, took)
);
COMMENT ON TABLE funnel_time_monthly IS 'The same by the calendar month of entry, so that long ranges cost no more';

CREATE TABLE funnel_pending (
    gen        integer  NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    settled_on date     NOT NULL,
    day        date     NOT NULL,
    bucket     text     NOT NULL,
    plan       text     NOT NULL,
    reached    smallint NOT NULL,
    n          bigint   NOT NULL,
    PRIMARY KEY (gen, settled_on, day, bucket, plan, reached)
);
COMMENT ON TABLE funnel_pending IS 'Rollup of funnel_unit of those who have not paid: how many may still come further until the day before settled_on';

-- +goose Down
DROP TABLE funnel_pending, funnel_time_monthly, funnel_time, funnel_daily, funnel_unit;
ALTER TABLE checkout_attempts DROP COLUMN in_funnel, DROP COLUMN visitor_id;
DROP INDEX checkout_attempts_subscription_idx;
DELETE FROM payment_events WHERE kind = 'pricing_viewed';
DROP INDEX payment_events_told_idx;
ALTER TABLE payment_events DROP COLUMN visitor_id;
