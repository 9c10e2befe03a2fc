-- What the list says of a subscription beside its main price, and of a customer
-- that Stripe no longer knows.

-- +goose Up
CREATE OR REPLACE VIEW subscription_list AS
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
        THEN CASE WHEN s.status = 'trialing' THEN coalesce(s.trial_end, s.current_period_end) ELSE s.current_period_end END END AS renews_at,
    -- How many prices it has; the one of its plan is among them.
    CASE WHEN jsonb_typeof(s.facts -> 'items') = 'array' THEN jsonb_array_length(s.facts -> 'items') ELSE 0 END AS items,
    (c.vanished_at IS NOT NULL)::boolean AS is_customer_gone
FROM subscriptions s
JOIN customers c USING (stripe_customer_id)
LEFT JOIN organizations o ON o.id = c.org_id
LEFT JOIN customer_subscription m ON m.gen = (SELECT g.gen FROM metric_generation g WHERE g.state = 'live')
    AND m.customer = coalesce('org:' || c.org_id::text, s.stripe_customer_id) AND m.subscription_id = s.stripe_subscription_id;

-- +goose Down
DROP VIEW subscription_list;
CREATE VIEW subscription_list AS
SELECT s.stripe_subscription_id, s.stripe_customer_id, c.org_id, o.name AS org_name,
    s.status, s.plan, s.stripe_price_id, s."interval", s.interval_count, s.quantity, s.currency, s.amount_minor,
    m.mrr_micro,
    s.created_at, s.current_period_end, s.trial_end, s.ended_at, s.pause_behavior, s.pause_resumes_at, s.next_payment_attempt,
    s.latest_invoice_id, s.has_paid, s.is_verified,
    CASE WHEN s.status NOT IN ('canceled', 'incomplete_expired')
        THEN coalesce(s.cancel_at, CASE WHEN s.cancel_at_period_end THEN s.current_period_end END) END AS ends_at,
    CASE WHEN s.status IN ('trialing', 'active', 'past_due') AND s.pause_behavior IS NULL AND s.cancel_at IS NULL AND NOT s.cancel_at_period_end
        THEN CASE WHEN s.status = 'trialing' THEN coalesce(s.trial_end, s.current_period_end) ELSE s.current_period_end END END AS renews_at
FROM subscriptions s
JOIN customers c USING (stripe_customer_id)
LEFT JOIN organizations o ON o.id = c.org_id
LEFT JOIN customer_subscription m ON m.gen = (SELECT g.gen FROM metric_generation g WHERE g.state = 'live')
    AND m.customer = coalesce('org:' || c.org_id::text, s.stripe_customer_id) AND m.subscription_id = s.stripe_subscription_id;
COMMENT ON VIEW subscription_list IS 'Subscriptions with the organization they are linked to and their MRR under the live definition';
