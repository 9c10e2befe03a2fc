-- name: RememberCoupon :exec
INSERT INTO coupons (stripe_coupon_id, duration, percent_off, amounts_off, seen_at)
VALUES (@stripe_coupon_id, @duration, nullif(@percent_off::text, ''), @amounts_off, @seen_at)
ON CONFLICT (stripe_coupon_id) DO UPDATE SET amounts_off = coupons.amounts_off || excluded.amounts_off
WHERE NOT coupons.amounts_off @> excluded.amounts_off;
