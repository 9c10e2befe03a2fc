-- The administrator's list of subscriptions: what each of them is worth, so
-- that ten thousand can be sorted and added up without pricing any of them anew.

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

-- Nobody's table: what a list, an export and the page of a customer show of a
-- subscription, said once.
CREATE VIEW subscription_list AS
SELECT s.stripe_subscription_id, s.stripe_customer_id, c.org_id, o.name AS org_name,
    s.status, s.plan, s.stripe_price_id, s."interval", s.interval_count, s.quantity, s.currency, s.amount_minor,
    -- NULL: the ledger counts nothing for it.
    m.mrr_micro,
    s.created_at, s.current_period_end, s.trial_end, s.ended_at, s.pause_behavior, s.pause_resumes_at, s.next_payment_attempt,
    s.latest_invoice_id, s.has_paid, s.is_verified,
    -- When it ends by itself, however that was said.
    CASE WHEN s.status NOT IN ('canceled', 'incomplete_expired')
        THEN coalesce(s.cancel_at, CASE WHEN s.cancel_at_period_end THEN s.current_period_end END) END AS ends_at,
    -- When it is next paid for, if everything stays as it is.
    CASE WHEN s.status IN ('trialing', 'active', 'past_due') AND s.pause_behavior IS NULL AND s.cancel_at IS NULL AND NOT s.cancel_at_period_end
        THEN CASE WHEN s.status = 'trialing' THEN coalesce(s.trial_end, s.current_period_end) ELSE s.current_period_end END END AS renews_at
FROM subscriptions s
JOIN customers c USING (stripe_customer_id)
LEFT JOIN organizations o ON o.id = c.org_id
LEFT JOIN customer_subscription m ON m.gen = (SELECT g.gen FROM metric_generation g WHERE g.state = 'live')
    AND m.customer = coalesce('org:' || c.org_id::text, s.stripe_customer_id) AND m.subscription_id = s.stripe_subscription_id;
COMMENT ON VIEW subscription_list IS 'Subscriptions with the organization they are linked to and their MRR under the live definition';

-- +goose Down
DROP VIEW subscription_list;
DROP INDEX payment_events_org_idx;
DROP TABLE customer_subscription;
