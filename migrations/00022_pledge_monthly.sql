-- What is pledged at the ends of months, without adding up years of days.

-- +goose Up
CREATE TABLE pledge_monthly (
    gen          integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    month        date    NOT NULL,
    currency     text    NOT NULL,
    plan         text    NOT NULL,
    ending_micro bigint  NOT NULL,
    trial_micro  bigint  NOT NULL,
    PRIMARY KEY (gen, month, currency, plan)
);
COMMENT ON TABLE pledge_monthly IS 'Rollup of customer_pledge by calendar month of the generation''s zone';
INSERT INTO pledge_monthly (gen, month, currency, plan, ending_micro, trial_micro)
SELECT gen, date_trunc('month', day::timestamp)::date, currency, plan, sum(ending_micro), sum(trial_micro) FROM pledge_daily
GROUP BY 1, 2, 3, 4 HAVING sum(ending_micro) <> 0 OR sum(trial_micro) <> 0;

-- +goose Down
DROP TABLE pledge_monthly;
