-- What each subscription is worth, so that a list of ten thousand can be
-- sorted and added up without pricing any of them anew.

-- +goose Up
CREATE TABLE customer_subscription (
    gen             integer NOT NULL REFERENCES metric_generation (gen) ON DELETE CASCADE,
    customer        text    NOT NULL,
    subscription_id text    NOT NULL,
    currency        text    NOT NULL,
    mrr_micro       bigint  NOT NULL,
    -- By customer first: the ledger replaces a customer's rows together, and a
    -- subscription whose customer was linked elsewhere is never counted there
    -- by what its old customer left behind.
    PRIMARY KEY (gen, customer, subscription_id),
    -- A subscription that is worth nothing has no row.
    CONSTRAINT customer_subscription_positive CHECK (mrr_micro > 0)
);
COMMENT ON TABLE customer_subscription IS 'Applied contributions: MRR of each subscription now. Those of a customer and currency add up to the newest balance in customer_day.';
-- Whoever was counted before this table existed is counted again.
INSERT INTO metric_dirty (customer_id) SELECT stripe_customer_id FROM customers ORDER BY stripe_customer_id;

-- The time line of an organization is asked by its id too: a checkout that was
-- abandoned names no Stripe customer.
CREATE INDEX payment_events_org_idx ON payment_events (org_id, at) WHERE org_id IS NOT NULL;

-- +goose Down
DROP INDEX payment_events_org_idx;
DROP TABLE customer_subscription;
