-- name: RaiseAlert :batchexec
-- Opens an alert, or notes that it is still so. What was pending fires once it
-- has been so for long enough.
INSERT INTO payment_alerts
    (rule, fingerprint, severity, state, opened_at, last_seen_at, seen, org_id, stripe_customer_id, object_id, message, evidence, proposal)
VALUES (@rule, @fingerprint, @severity, CASE WHEN @pending_for::interval > '0' THEN 'pending' ELSE 'firing' END, @at, @at, @seen,
    @org_id, @stripe_customer_id, @object_id, @message, @evidence, @proposal)
ON CONFLICT (fingerprint) WHERE state IN ('pending', 'firing') DO UPDATE SET
    last_seen_at = greatest(payment_alerts.last_seen_at, excluded.last_seen_at), seen = payment_alerts.seen + excluded.seen,
    state = CASE WHEN payment_alerts.opened_at + @pending_for::interval <= excluded.last_seen_at THEN 'firing' ELSE payment_alerts.state END,
    severity = excluded.severity, org_id = coalesce(excluded.org_id, payment_alerts.org_id),
    stripe_customer_id = coalesce(excluded.stripe_customer_id, payment_alerts.stripe_customer_id),
    object_id = excluded.object_id, message = excluded.message, evidence = excluded.evidence, proposal = excluded.proposal;

-- name: ResolveAlerts :exec
-- What was only pending has called nobody and leaves no trace. Rows are taken
-- in order of their fingerprints, as by whoever raises them.
WITH over AS (
    SELECT id, state FROM payment_alerts WHERE fingerprint = ANY (@fingerprints::text[]) AND state IN ('pending', 'firing')
    ORDER BY fingerprint FOR UPDATE
), cleared AS (
    DELETE FROM payment_alerts WHERE id IN (SELECT id FROM over WHERE state = 'pending')
)
UPDATE payment_alerts SET state = 'resolved', resolved_at = greatest(@at::timestamptz, last_seen_at)
WHERE id IN (SELECT id FROM over WHERE state = 'firing');

-- name: ResolveSilentAlerts :exec
-- Rules whose trouble shows only while events come are over when none has come
-- for long.
UPDATE payment_alerts SET state = 'resolved', resolved_at = @at::timestamptz
WHERE rule = ANY (@rules::text[]) AND state = 'firing' AND last_seen_at < @silent_since::timestamptz;

-- name: IsAlertOpen :one
SELECT EXISTS (SELECT FROM payment_alerts WHERE fingerprint = @fingerprint AND state IN ('pending', 'firing'));
