-- name: ObservationsOfCustomers :many
SELECT * FROM subscription_observations WHERE stripe_customer_id = ANY (@customers::text[])
ORDER BY subscription_id, at, source, source_id;

-- name: Observe :batchexec
INSERT INTO subscription_observations
    (subscription_id, source, source_id, stripe_customer_id, kind, at, object_created, facts, before, complete, decoder)
VALUES (@subscription_id, @source, @source_id, @stripe_customer_id, @kind, @at, @object_created, @facts, @before, @complete, @decoder)
ON CONFLICT DO NOTHING;
