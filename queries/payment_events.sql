-- name: RecordPaymentEvent :execrows
INSERT INTO payment_events
    (kind, natural_key, at, org_id, stripe_customer_id, subscription_id, plan, "interval", currency, amount_minor, invoice_id, source_event_id, details, livemode)
VALUES (@kind, @natural_key, @at, @org_id, @stripe_customer_id, @subscription_id, @plan, @interval, @currency, @amount_minor, @invoice_id, @source_event_id, @details, @livemode)
ON CONFLICT (kind, natural_key) DO NOTHING;

-- name: PaymentEventsOfCustomer :many
SELECT * FROM payment_events WHERE stripe_customer_id = $1;

-- name: DeletePaymentEvent :exec
DELETE FROM payment_events WHERE id = $1;

-- name: RevisePaymentEvent :exec
UPDATE payment_events SET plan = @plan, "interval" = @interval WHERE id = @id;
