-- Who pays most, without adding up a million customers.

-- +goose Up
CREATE TABLE customer_level (
    gen       integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer  text    NOT NULL,
    currency  text    NOT NULL,
    plan      text    NOT NULL,
    mrr_micro bigint  NOT NULL,
    PRIMARY KEY (gen, customer, currency, plan),
    -- Who has nothing has no row.
    CONSTRAINT customer_level_positive CHECK (mrr_micro > 0)
);
COMMENT ON TABLE customer_level IS 'Applied contributions: MRR of each customer as of its newest movement, by plan, and under the empty plan of all of them together';
-- The first few of a currency and plan. It does not begin with the generation, or
-- it would look as good as the key to whoever asks for one customer's rows.
CREATE INDEX customer_level_largest_idx ON customer_level (currency, plan, mrr_micro DESC, customer);
INSERT INTO customer_level (gen, customer, currency, plan, mrr_micro)
SELECT gen, customer, currency, coalesce(plan, ''), sum(amount_micro) FROM customer_movement
GROUP BY GROUPING SETS ((gen, customer, currency, plan), (gen, customer, currency))
HAVING sum(amount_micro) > 0;

-- +goose Down
DROP TABLE customer_level;
