-- name: ObservationsOfCustomers :many
SELECT * FROM subscription_observations WHERE stripe_customer_id = ANY (@customers::text[]);

-- name: Observe :exec
INSERT INTO subscription_observations
    (subscription_id, source, source_id, stripe_customer_id, kind, at, object_created, facts, before, complete, decoder)
SELECT r.subscription_id, r.source, r.source_id, r.stripe_customer_id, r.kind, r.at, r.object_created, r.facts, r.before, r.complete, r.decoder
FROM jsonb_populate_recordset(NULL::subscription_observations, @rows::jsonb) AS r
ON CONFLICT DO NOTHING;
