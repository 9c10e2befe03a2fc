-- name: RecordPaymentEvents :exec
-- Of two that are one and the same, the earlier stays, and of the same moment
-- the one that an event told: whichever is heard first.
INSERT INTO payment_events
    (kind, natural_key, at, org_id, stripe_customer_id, subscription_id, plan, "interval", currency, amount_minor, invoice_id, source_event_id, details, livemode, visitor_id)
SELECT DISTINCT ON (r.kind, r.natural_key)
    r.kind, r.natural_key, r.at, r.org_id, r.stripe_customer_id, r.subscription_id, r.plan, r."interval", r.currency, r.amount_minor, r.invoice_id, r.source_event_id, r.details, r.livemode, r.visitor_id
FROM jsonb_populate_recordset(NULL::payment_events, @rows::jsonb) AS r
ORDER BY r.kind, r.natural_key, r.at, coalesce(r.source_event_id, '~')
ON CONFLICT (kind, natural_key) DO UPDATE SET
    at = excluded.at, plan = coalesce(excluded.plan, payment_events.plan), "interval" = coalesce(excluded."interval", payment_events."interval"),
    amount_minor = excluded.amount_minor, source_event_id = excluded.source_event_id, details = excluded.details
WHERE (excluded.at, coalesce(excluded.source_event_id, '~')) < (payment_events.at, coalesce(payment_events.source_event_id, '~'));

-- name: PaymentEventsOfCustomers :many
SELECT * FROM payment_events WHERE stripe_customer_id = ANY (@customers::text[]);

-- name: DeletePaymentEvents :exec
DELETE FROM payment_events WHERE id = ANY (@ids::bigint[]);

-- name: RevisePaymentEvent :batchexec
UPDATE payment_events SET plan = @plan, "interval" = @interval WHERE id = @id;

-- name: LocatePaymentEvent :batchexec
UPDATE payment_events SET subscription_id = @subscription_id WHERE id = @id AND subscription_id IS NULL;

-- name: LastPaymentOfSubscription :one
SELECT at, amount_minor::bigint AS amount_minor, coalesce(details ->> 'invoice_url', '')::text AS invoice_url FROM payment_events
WHERE stripe_customer_id = @stripe_customer_id::text AND subscription_id = @subscription_id::text AND currency = @currency::text
    AND kind = 'payment_succeeded' AND amount_minor > 0
ORDER BY at DESC, id DESC LIMIT 1;

-- name: OwedOfSubscription :one
-- The invoices whose payment failed or waits for the customer, each as its last
-- try told it, without those that were settled since.
WITH tried AS (
    SELECT DISTINCT ON (invoice_id) invoice_id, amount_minor FROM payment_events
    WHERE stripe_customer_id = @stripe_customer_id::text AND subscription_id = @subscription_id::text AND currency = @currency::text
        AND kind IN ('payment_failed', 'payment_action_required') AND invoice_id IS NOT NULL
    ORDER BY invoice_id, at DESC, id DESC
)
SELECT coalesce(sum(t.amount_minor), 0)::bigint FROM tried t
WHERE NOT EXISTS (
    SELECT FROM payment_events s
    WHERE s.invoice_id = t.invoice_id AND s.kind IN ('payment_succeeded', 'invoice_voided', 'invoice_marked_uncollectible'));

-- name: OpenInvoiceOfSubscription :one
-- Stripe's page of the oldest invoice of which a payment failed or waits for the
-- customer, and that was not settled since.
SELECT (t.details ->> 'invoice_url')::text AS invoice_url FROM payment_events t
WHERE t.stripe_customer_id = @stripe_customer_id::text AND t.subscription_id = @subscription_id::text
    AND t.kind IN ('payment_failed', 'payment_action_required') AND t.details ->> 'invoice_url' IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM payment_events s
        WHERE s.invoice_id = t.invoice_id AND s.kind IN ('payment_succeeded', 'invoice_voided', 'invoice_marked_uncollectible'))
ORDER BY t.at, t.id LIMIT 1;
