-- name: VersionsOfCustomers :many
SELECT * FROM subscription_versions WHERE stripe_customer_id = ANY (@customers::text[]) ORDER BY subscription_id, at;

-- name: WriteVersions :exec
INSERT INTO subscription_versions (subscription_id, at, stripe_customer_id, facts, source, source_id)
SELECT r.subscription_id, r.at, r.stripe_customer_id, r.facts, r.source, r.source_id
FROM jsonb_populate_recordset(NULL::subscription_versions, @rows::jsonb) AS r
ON CONFLICT (subscription_id, at) DO UPDATE SET facts = excluded.facts, source = excluded.source, source_id = excluded.source_id;

-- name: DeleteVersion :batchexec
DELETE FROM subscription_versions WHERE subscription_id = @subscription_id AND at = @at;

-- name: MarkDirty :exec
INSERT INTO metric_dirty (customer_id) SELECT unnest(@customers::text[]);

-- name: MarkDirtyByPrice :exec
-- What a price costs was not known until now: whoever ever had it is counted
-- again, whichever customer taught us.
INSERT INTO metric_dirty (customer_id)
SELECT DISTINCT stripe_customer_id FROM subscription_versions
WHERE facts @> jsonb_build_object('items', jsonb_build_array(jsonb_build_object('price', @stripe_price_id::text)))
ORDER BY stripe_customer_id;
