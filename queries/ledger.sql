-- name: LockLedger :exec
-- One ledger transaction at a time, in all processes; released by its end.
SELECT pg_advisory_xact_lock(@key::bigint);

-- name: LedgerIsSettled :one
SELECT (NOT EXISTS (SELECT FROM metric_dirty)
    AND NOT EXISTS (SELECT FROM metric_clock WHERE next_at <= @now::timestamptz))::boolean AS is_settled;

-- name: TakeMarks :many
DELETE FROM metric_dirty WHERE id IN (SELECT id FROM metric_dirty ORDER BY id LIMIT $1) RETURNING customer_id;

-- name: DueClocks :many
SELECT customer_id FROM metric_clock WHERE next_at <= @now::timestamptz ORDER BY next_at, customer_id LIMIT @at_most::int;

-- name: WorkingGenerations :many
SELECT * FROM metric_generation WHERE state IN ('live', 'building') ORDER BY gen;

-- name: LedgerCustomers :many
-- For each marked customer the ledger customer it is counted under now, and the
-- one it was counted under; a mark may also name a ledger customer.
SELECT m.id::text AS marked, coalesce('org:' || c.org_id::text, m.id)::text AS customer, a.customer AS applied
FROM (SELECT unnest(@marked::text[]) AS id) m
LEFT JOIN customers c ON c.stripe_customer_id = m.id
LEFT JOIN metric_customer a ON a.stripe_customer_id = m.id;

-- name: RememberLedgerCustomers :exec
INSERT INTO metric_customer (stripe_customer_id, customer)
SELECT unnest(@stripe_customer_ids::text[]), unnest(@customers::text[])
ON CONFLICT (stripe_customer_id) DO UPDATE SET customer = excluded.customer;

-- name: LedgerVersions :many
-- All versions of the Stripe customers that make up each ledger customer.
SELECT ('org:' || c.org_id::text)::text AS customer, v.subscription_id, v.at, v.facts
FROM customers c JOIN subscription_versions v USING (stripe_customer_id)
WHERE c.org_id = ANY (@org_ids::uuid[])
UNION ALL
SELECT v.stripe_customer_id, v.subscription_id, v.at, v.facts
FROM subscription_versions v LEFT JOIN customers c USING (stripe_customer_id)
WHERE v.stripe_customer_id = ANY (@stripe_customer_ids::text[]) AND c.org_id IS NULL;

-- name: CouponsByID :many
SELECT * FROM coupons WHERE stripe_coupon_id = ANY (@ids::text[]);

-- name: AppliedDays :many
SELECT * FROM customer_day WHERE gen = ANY (@gens::int[]) AND customer = ANY (@customers::text[]);

-- name: AppliedMovements :many
SELECT * FROM customer_movement WHERE gen = ANY (@gens::int[]) AND customer = ANY (@customers::text[]);

-- name: AppliedSubscriptions :many
SELECT * FROM customer_subscription WHERE gen = ANY (@gens::int[]) AND customer = ANY (@customers::text[]);

-- name: DeleteDays :exec
DELETE FROM customer_day WHERE gen = @gen AND customer = ANY (@customers::text[]);

-- name: DeleteMovements :exec
DELETE FROM customer_movement WHERE gen = @gen AND customer = ANY (@customers::text[]);

-- name: DeleteContributingSubscriptions :exec
DELETE FROM customer_subscription WHERE gen = @gen AND customer = ANY (@customers::text[]);

-- name: InsertDays :copyfrom
INSERT INTO customer_day (gen, customer, currency, day, mrr_micro) VALUES ($1, $2, $3, $4, $5);

-- name: InsertMovements :copyfrom
INSERT INTO customer_movement (gen, customer, currency, day, kind, plan, amount_micro, customers, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: InsertContributingSubscriptions :copyfrom
INSERT INTO customer_subscription (gen, customer, subscription_id, currency, mrr_micro) VALUES ($1, $2, $3, $4, $5);

-- name: AddToFlowDaily :exec
-- In the order of the key, so that no two writers wait for each other.
INSERT INTO flow_daily (gen, day, currency, plan, kind, amount_micro, customers)
SELECT d.gen, d.day, d.currency, d.plan, d.kind, d.amount_micro, d.customers FROM (
    SELECT unnest(@gens::int[]) AS gen, unnest(@days::date[]) AS day, unnest(@currencies::text[]) AS currency,
        unnest(@plans::text[]) AS plan, unnest(@kinds::text[]) AS kind,
        unnest(@amounts_micro::bigint[]) AS amount_micro, unnest(@customers::bigint[]) AS customers
) d ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (gen, day, currency, plan, kind) DO UPDATE SET
    amount_micro = flow_daily.amount_micro + excluded.amount_micro, customers = flow_daily.customers + excluded.customers;

-- name: AddToFlowMonthly :exec
INSERT INTO flow_monthly (gen, month, currency, plan, kind, amount_micro, customers)
SELECT d.gen, d.month, d.currency, d.plan, d.kind, d.amount_micro, d.customers FROM (
    SELECT unnest(@gens::int[]) AS gen, unnest(@months::date[]) AS month, unnest(@currencies::text[]) AS currency,
        unnest(@plans::text[]) AS plan, unnest(@kinds::text[]) AS kind,
        unnest(@amounts_micro::bigint[]) AS amount_micro, unnest(@customers::bigint[]) AS customers
) d ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (gen, month, currency, plan, kind) DO UPDATE SET
    amount_micro = flow_monthly.amount_micro + excluded.amount_micro, customers = flow_monthly.customers + excluded.customers;

-- name: DropEmptyFlowDaily :exec
-- All amounts of a kind have one sign, so a sum of nothing has no rows behind it.
DELETE FROM flow_daily WHERE gen = ANY (@gens::int[]) AND day = ANY (@days::date[]) AND amount_micro = 0;

-- name: DropEmptyFlowMonthly :exec
DELETE FROM flow_monthly WHERE gen = ANY (@gens::int[]) AND month = ANY (@months::date[]) AND amount_micro = 0;

-- name: ClearClocks :exec
DELETE FROM metric_clock WHERE customer_id = ANY (@customers::text[]);

-- name: SetClocks :exec
INSERT INTO metric_clock (customer_id, next_at)
SELECT unnest(@customers::text[]), unnest(@next_at::timestamptz[])
ON CONFLICT (customer_id) DO UPDATE SET next_at = excluded.next_at;

-- name: BrokenFlowDaily :many
-- Rows in which the daily rollup and a recount of the movements differ.
WITH recount AS (
    SELECT gen, day, currency, plan, kind, sum(amount_micro)::bigint AS amount_micro, sum(customers)::bigint AS customers
    FROM customer_movement GROUP BY gen, day, currency, plan, kind
), rollup AS (
    SELECT gen, day, currency, plan, kind, amount_micro, customers FROM flow_daily
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, day, currency, plan, kind FROM broken ORDER BY 1, 2, 3, 4, 5 LIMIT 1;

-- name: BrokenFlowMonthly :many
-- Rows in which the monthly rollup and a recount of the movements differ.
WITH recount AS (
    SELECT gen, date_trunc('month', day::timestamp)::date AS month, currency, plan, kind,
        sum(amount_micro)::bigint AS amount_micro, sum(customers)::bigint AS customers
    FROM customer_movement GROUP BY 1, 2, 3, 4, 5
), rollup AS (
    SELECT gen, month, currency, plan, kind, amount_micro, customers FROM flow_monthly
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, month, currency, plan, kind FROM broken ORDER BY 1, 2, 3, 4, 5 LIMIT 1;

-- name: BrokenLevels :many
-- Days on which the flows of all plans differ from the change of the customers'
-- balances, in amount or in the number of customers with one.
WITH balance AS (
    SELECT gen, currency, day, mrr_micro,
        lag(mrr_micro, 1, 0::bigint) OVER (PARTITION BY gen, customer, currency ORDER BY day) AS before_micro
    FROM customer_day
), changed AS (
    SELECT gen, day, currency, sum(mrr_micro - before_micro)::bigint AS amount_micro,
        sum((mrr_micro > 0)::int - (before_micro > 0)::int)::bigint AS customers
    FROM balance GROUP BY gen, day, currency
), flowed AS (
    SELECT gen, day, currency, sum(amount_micro)::bigint AS amount_micro, sum(customers)::bigint AS customers
    FROM flow_daily GROUP BY gen, day, currency
), days AS (
    SELECT gen, day, currency FROM changed UNION SELECT gen, day, currency FROM flowed
)
SELECT d.gen, d.day, d.currency,
    coalesce(f.amount_micro, 0)::bigint AS flowed_micro, coalesce(c.amount_micro, 0)::bigint AS changed_micro,
    coalesce(f.customers, 0)::bigint AS flowed_customers, coalesce(c.customers, 0)::bigint AS changed_customers
FROM days d
LEFT JOIN flowed f ON (f.gen, f.day, f.currency) = (d.gen, d.day, d.currency)
LEFT JOIN changed c ON (c.gen, c.day, c.currency) = (d.gen, d.day, d.currency)
WHERE coalesce(f.amount_micro, 0) <> coalesce(c.amount_micro, 0) OR coalesce(f.customers, 0) <> coalesce(c.customers, 0)
ORDER BY 1, 2, 3 LIMIT 1;

-- name: BrokenTransfers :many
-- Days on which what left some plans did not arrive at others.
SELECT gen, day, currency, sum(amount_micro)::bigint AS amount_micro FROM flow_daily
WHERE kind IN ('transfer_in', 'transfer_out')
GROUP BY gen, day, currency HAVING sum(amount_micro) <> 0 ORDER BY 1, 2, 3 LIMIT 1;

-- name: BrokenSubscriptions :many
-- Customers whose subscriptions do not add up to their newest balance.
WITH newest AS (
    SELECT DISTINCT ON (gen, customer, currency) gen, customer, currency, mrr_micro
    FROM customer_day ORDER BY gen, customer, currency, day DESC
), added AS (
    SELECT gen, customer, currency, sum(mrr_micro)::bigint AS mrr_micro
    FROM customer_subscription GROUP BY gen, customer, currency
), keys AS (
    SELECT gen, customer, currency FROM newest UNION SELECT gen, customer, currency FROM added
)
SELECT k.gen, k.customer, k.currency, coalesce(n.mrr_micro, 0)::bigint AS balance_micro, coalesce(a.mrr_micro, 0)::bigint AS added_micro
FROM keys k
LEFT JOIN newest n ON (n.gen, n.customer, n.currency) = (k.gen, k.customer, k.currency)
LEFT JOIN added a ON (a.gen, a.customer, a.currency) = (k.gen, k.customer, k.currency)
WHERE coalesce(n.mrr_micro, 0) <> coalesce(a.mrr_micro, 0)
ORDER BY 1, 2, 3 LIMIT 1;
