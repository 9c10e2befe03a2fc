-- name: PricesByID :many
SELECT * FROM prices WHERE stripe_price_id = ANY (@ids::text[]);

-- name: RememberPrice :execrows
-- A price never leaves, and a plan once known is not forgotten for an unknown one.
INSERT INTO prices (stripe_price_id, plan, "interval", interval_count, usage_type, amounts, product, lookup_key, livemode, seen_at)
VALUES (@stripe_price_id, nullif(@plan::text, ''), @interval, @interval_count, @usage_type, @amounts, @product, nullif(@lookup_key::text, ''), @livemode, @seen_at)
ON CONFLICT (stripe_price_id) DO UPDATE SET
    plan = coalesce(excluded.plan, prices.plan), amounts = excluded.amounts, lookup_key = excluded.lookup_key
WHERE (coalesce(excluded.plan, prices.plan), excluded.amounts, excluded.lookup_key)
    IS DISTINCT FROM (prices.plan, prices.amounts, prices.lookup_key);
