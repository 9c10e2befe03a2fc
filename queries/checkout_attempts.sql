-- name: OpenAttempt :one
SELECT * FROM checkout_attempts WHERE org_id = $1 AND state IN ('creating', 'open');

-- name: UnsettledAttempt :one
-- A complete checkout keeps the door shut until what it bought has reached our
-- rows, and while its money is on its way, until what it bought is over.
SELECT a.id, (a.payment_status = 'unpaid')::boolean AS is_unpaid
FROM checkout_attempts a LEFT JOIN subscriptions s ON s.stripe_subscription_id = a.subscription_id
WHERE a.org_id = $1 AND a.state = 'complete' AND (
    a.payment_status = 'unpaid' AND coalesce(s.status, '') NOT IN ('canceled', 'incomplete_expired')
    OR a.subscription_id IS NOT NULL AND s.stripe_subscription_id IS NULL)
ORDER BY a.created_at DESC LIMIT 1;

-- name: NewestCompleteAttempt :one
SELECT * FROM checkout_attempts WHERE org_id = $1 AND state = 'complete' ORDER BY created_at DESC LIMIT 1;

-- name: AttemptBySession :one
SELECT a.*, o.name AS org_name FROM checkout_attempts a JOIN organizations o ON o.id = a.org_id
WHERE a.session_id = @session_id::text;

-- name: AttemptByID :one
SELECT * FROM checkout_attempts WHERE id = $1;

-- name: BeginAttempt :exec
-- The funnel is of customers, so that what an administrator tries is not in it.
INSERT INTO checkout_attempts (id, org_id, user_id, plan, "interval", price_id, params, state, created_at, visitor_id, in_funnel)
VALUES (@id, @org_id, @user_id, @plan, @interval, @price_id, @params, 'creating', @created_at, @visitor_id,
    NOT coalesce((SELECT u.is_admin FROM users u WHERE u.id = @user_id), false));

-- name: AttemptOpened :execrows
UPDATE checkout_attempts SET state = 'open', session_id = @session_id::text, url = @url::text, expires_at = @expires_at::timestamptz
WHERE id = @id AND state = 'creating';

-- name: AttemptEnded :execrows
-- Only an attempt that is still open ends; complete and expired are final.
UPDATE checkout_attempts SET
    state = @state, payment_status = nullif(@payment_status::text, ''), ended_at = @ended_at::timestamptz,
    subscription_id = nullif(@subscription_id::text, '')
WHERE id = @id AND state IN ('creating', 'open');

-- name: AttemptsBySession :many
SELECT * FROM checkout_attempts WHERE session_id = ANY (@session_ids::text[]);

-- name: AttemptsPaid :exec
-- The result of payments whose money was still on its way, or paid later by
-- another way.
UPDATE checkout_attempts SET payment_status = 'paid'
WHERE subscription_id = ANY (@subscription_ids::text[]) AND state = 'complete' AND payment_status IN ('unpaid', 'failed');

-- name: SessionsPaid :exec
UPDATE checkout_attempts SET payment_status = 'paid'
WHERE session_id = ANY (@session_ids::text[]) AND state = 'complete' AND payment_status IN ('unpaid', 'failed');

-- name: SessionsFailed :exec
UPDATE checkout_attempts SET payment_status = 'failed'
WHERE session_id = ANY (@session_ids::text[]) AND state = 'complete' AND payment_status = 'unpaid';

-- name: AttemptsPastEnd :many
SELECT * FROM checkout_attempts
WHERE state IN ('creating', 'open') AND coalesce(expires_at, created_at + interval '23 hours') < @now::timestamptz
ORDER BY expires_at LIMIT 32;
