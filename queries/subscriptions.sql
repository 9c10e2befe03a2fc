-- name: SubscriptionByStripeID :one
SELECT * FROM subscriptions WHERE stripe_subscription_id = $1;

-- name: SubscriptionsOfCustomers :many
SELECT * FROM subscriptions WHERE stripe_customer_id = ANY (@customers::text[]) ORDER BY created_at, stripe_subscription_id;

-- name: SubscriptionsOfOrganization :many
SELECT s.* FROM subscriptions s JOIN customers c USING (stripe_customer_id)
WHERE c.org_id = @org_id::uuid
ORDER BY s.created_at, s.stripe_subscription_id;

-- name: WriteSubscriptions :exec
INSERT INTO subscriptions (
    stripe_subscription_id, stripe_customer_id, status, plan, stripe_price_id, "interval", interval_count, quantity, currency,
    amount_minor, current_period_start, current_period_end, trial_end, cancel_at_period_end, cancel_at, canceled_at, ended_at,
    pause_behavior, pause_resumes_at, latest_invoice_id, latest_invoice_status, next_payment_attempt, has_paid, livemode,
    facts, created_at, read_at, is_verified)
SELECT r.stripe_subscription_id, r.stripe_customer_id, r.status, r.plan, r.stripe_price_id, r."interval", r.interval_count, r.quantity, r.currency, r.amount_minor, r.current_period_start, r.current_period_end, r.trial_end, r.cancel_at_period_end, r.cancel_at, r.canceled_at, r.ended_at, r.pause_behavior, r.pause_resumes_at, r.latest_invoice_id, r.latest_invoice_status, r.next_payment_attempt, r.has_paid, r.livemode, r.facts, r.created_at, r.read_at, r.is_verified
FROM jsonb_populate_recordset(NULL::subscriptions, @rows::jsonb) AS r
ON CONFLICT (stripe_subscription_id) DO UPDATE SET
    status = excluded.status, plan = excluded.plan, stripe_price_id = excluded.stripe_price_id,
    "interval" = excluded."interval", interval_count = excluded.interval_count, quantity = excluded.quantity,
    currency = excluded.currency, amount_minor = excluded.amount_minor,
    current_period_start = excluded.current_period_start, current_period_end = excluded.current_period_end,
    trial_end = excluded.trial_end, cancel_at_period_end = excluded.cancel_at_period_end, cancel_at = excluded.cancel_at,
    canceled_at = excluded.canceled_at, ended_at = excluded.ended_at, pause_behavior = excluded.pause_behavior,
    pause_resumes_at = excluded.pause_resumes_at, latest_invoice_id = excluded.latest_invoice_id,
    latest_invoice_status = excluded.latest_invoice_status, next_payment_attempt = excluded.next_payment_attempt,
    has_paid = excluded.has_paid, facts = excluded.facts, read_at = excluded.read_at, is_verified = excluded.is_verified;

-- name: MarkUnverified :exec
-- Stripe no longer lists these: each row stays as the end of its history.
UPDATE subscriptions SET is_verified = false WHERE stripe_subscription_id = ANY (@ids::text[]) AND is_verified;
