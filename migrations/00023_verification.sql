-- Generations are built beside the live one, and figures are checked.

-- +goose Up
CREATE TABLE metric_todo (
    gen         integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer_id text    NOT NULL,
    PRIMARY KEY (gen, customer_id)
);
COMMENT ON TABLE metric_todo IS 'Marks of everyone whom a generation that is being built has not counted yet; taken when nothing is dirty, so that a change never waits behind them';

ALTER TABLE metric_generation DROP COLUMN marked_to,
    ADD COLUMN past_due_cap_days integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT metric_generation_cap_not_negative CHECK (past_due_cap_days >= 0);
COMMENT ON COLUMN metric_generation.past_due_cap_days IS 'After how many days past due a subscription counts as lost; 0: when Stripe gives up';

CREATE TABLE metric_integrity_issue (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    check_name  text        NOT NULL,
    detail      text        NOT NULL,
    first_day   date,
    last_day    date,
    found_at    timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    resolved_at timestamptz
);
COMMENT ON TABLE metric_integrity_issue IS 'Invariants of the figures that did not hold when they were checked. Open ones are shown across the top of every figure; nothing heals in silence.';
COMMENT ON COLUMN metric_integrity_issue.first_day IS 'The days whose figures are concerned; NULL: all of them';
COMMENT ON COLUMN metric_integrity_issue.resolved_at IS 'When the same check first held again';
-- A check that fails is one issue until it holds again.
CREATE UNIQUE INDEX metric_integrity_issue_open_key ON metric_integrity_issue (check_name) WHERE resolved_at IS NULL;

CREATE TABLE metric_verification (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope       text        NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    customers   bigint      NOT NULL DEFAULT 0,
    findings    integer     NOT NULL DEFAULT 0,
    CONSTRAINT metric_verification_scope_known CHECK (scope IN ('recent', 'full'))
);
COMMENT ON TABLE metric_verification IS 'When the invariants were checked, over what, and how many did not hold';
CREATE INDEX metric_verification_scope_idx ON metric_verification (scope, started_at DESC);

-- +goose Down
DROP TABLE metric_verification, metric_integrity_issue, metric_todo;
ALTER TABLE metric_generation DROP COLUMN past_due_cap_days, ADD COLUMN marked_to bigint;
