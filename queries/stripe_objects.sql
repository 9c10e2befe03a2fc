-- name: StripeObject :one
SELECT * FROM stripe_objects WHERE object_id = $1;

-- name: StripeObjects :many
SELECT * FROM stripe_objects WHERE object_id = ANY (@ids::text[]);

-- name: RememberStripeObjects :exec
-- What one shape does not say, another has said: nothing is forgotten.
INSERT INTO stripe_objects (object_id, stripe_customer_id, invoice_id, amount_minor, currency, balance_transaction_id, created_at, failure_reason)
SELECT r.object_id, min(r.stripe_customer_id), min(r.invoice_id), min(r.amount_minor), min(r.currency), min(r.balance_transaction_id), min(r.created_at), min(r.failure_reason)
FROM jsonb_populate_recordset(NULL::stripe_objects, @rows::jsonb) AS r GROUP BY r.object_id ORDER BY r.object_id
ON CONFLICT (object_id) DO UPDATE SET
    stripe_customer_id     = coalesce(stripe_objects.stripe_customer_id, excluded.stripe_customer_id),
    invoice_id             = coalesce(stripe_objects.invoice_id, excluded.invoice_id),
    amount_minor           = coalesce(stripe_objects.amount_minor, excluded.amount_minor),
    currency               = coalesce(stripe_objects.currency, excluded.currency),
    balance_transaction_id = coalesce(stripe_objects.balance_transaction_id, excluded.balance_transaction_id),
    created_at             = coalesce(stripe_objects.created_at, excluded.created_at),
    failure_reason         = coalesce(stripe_objects.failure_reason, excluded.failure_reason);

-- name: LockHandover :many
-- Locks the rows of a subject and of the customer it turned out to be, in the
-- order that everyone keeps, and raises the customer.
INSERT INTO sync_queue (subject, lane, due_at)
SELECT s.subject, @lane::smallint, @now::timestamptz
FROM (SELECT unnest(ARRAY[@subject::text, @customer::text]) AS subject) AS s ORDER BY s.subject
ON CONFLICT (subject) DO UPDATE SET
    wanted = sync_queue.wanted + CASE WHEN sync_queue.subject = @customer THEN 1 ELSE 0 END,
    lane   = least(sync_queue.lane, excluded.lane),
    due_at = CASE WHEN sync_queue.attempts = 0 THEN least(sync_queue.due_at, excluded.due_at) ELSE sync_queue.due_at END
RETURNING subject, ticket;

-- name: HandOverEvents :exec
UPDATE webhook_events SET subject = @customer::text WHERE subject = @subject::text AND state = 'pending';

-- name: IgnoreEvents :exec
UPDATE webhook_events SET state = 'ignored', reason = @reason::text, processed_at = now()
WHERE subject = @subject::text AND state = 'pending';
