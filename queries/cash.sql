-- name: ClaimCash :one
-- Who reads Stripe's list of balance transactions until the lease is over. No row:
-- somebody else does.
INSERT INTO cash_progress (livemode, whole_from, whole_to, holder, lease_until)
VALUES (@livemode, @now, @now, @holder, clock_timestamp() + @lease::interval)
ON CONFLICT (livemode) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
WHERE cash_progress.lease_until < clock_timestamp()
RETURNING *;

-- name: KeepCash :execrows
-- Goes on holding the lease. No row: it is somebody else's by now.
UPDATE cash_progress SET lease_until = clock_timestamp() + @lease::interval WHERE livemode = @livemode AND holder = @holder;

-- name: ReleaseCash :exec
UPDATE cash_progress SET lease_until = 'epoch' WHERE livemode = @livemode AND holder = @holder;

-- name: CashWholeFrom :exec
UPDATE cash_progress SET whole_from = least(whole_from, @whole_from) WHERE livemode = @livemode;

-- name: CashWholeTo :exec
UPDATE cash_progress SET whole_to = greatest(whole_to, @whole_to) WHERE livemode = @livemode;

-- name: CashProgress :one
SELECT * FROM cash_progress WHERE livemode = @livemode;

-- name: RecordBalanceTransactions :execrows
-- Those that nobody knew, with a mark for each.
WITH new AS (
    INSERT INTO balance_transactions (id, type, reporting_category, currency, amount_minor, fee_minor, net_minor, source_id, created_at, available_at, livemode)
    SELECT r.id, r.type, r.reporting_category, r.currency, r.amount_minor, r.fee_minor, r.net_minor, r.source_id, r.created_at, r.available_at, r.livemode
    FROM jsonb_populate_recordset(NULL::balance_transactions, @rows::jsonb) AS r ORDER BY r.id
    ON CONFLICT (id) DO NOTHING RETURNING id
)
INSERT INTO metric_dirty (customer_id) SELECT id FROM new;

-- name: BalanceTransactionsByID :many
SELECT * FROM balance_transactions WHERE id = ANY (@ids::text[]);

-- name: MarkEveryTransaction :execrows
-- All balance transactions, for a generation that is being built.
INSERT INTO metric_todo (gen, customer_id) SELECT @gen, id FROM balance_transactions ORDER BY id;

-- name: AppliedCash :many
SELECT * FROM cash_entry WHERE gen = ANY (@gens::int[]) AND id = ANY (@ids::text[]);

-- name: DeleteCash :exec
DELETE FROM cash_entry t USING jsonb_populate_recordset(NULL::cash_entry, @rows::jsonb) AS r WHERE (t.gen, t.id) = (r.gen, r.id);

-- name: InsertCash :exec
INSERT INTO cash_entry (gen, id, day, currency, kind, amount_minor, fee_minor, net_minor)
SELECT r.gen, r.id, r.day, r.currency, r.kind, r.amount_minor, r.fee_minor, r.net_minor FROM jsonb_populate_recordset(NULL::cash_entry, @rows::jsonb) AS r;

-- name: AddToCashDaily :one
WITH sums AS (
    INSERT INTO cash_daily (gen, day, currency, kind, amount_minor, fee_minor, net_minor, transactions)
    SELECT r.gen, r.day, r.currency, r.kind, r.amount_minor, r.fee_minor, r.net_minor, r.transactions FROM jsonb_populate_recordset(NULL::cash_daily, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (gen, day, currency, kind) DO UPDATE SET amount_minor = cash_daily.amount_minor + excluded.amount_minor,
        fee_minor = cash_daily.fee_minor + excluded.fee_minor, net_minor = cash_daily.net_minor + excluded.net_minor,
        transactions = cash_daily.transactions + excluded.transactions
    RETURNING amount_minor, fee_minor, net_minor, transactions
)
SELECT count(*) FROM sums WHERE amount_minor = 0 AND fee_minor = 0 AND net_minor = 0 AND transactions = 0;

-- name: DropEmptyCashDaily :exec
DELETE FROM cash_daily t USING jsonb_populate_recordset(NULL::cash_daily, @rows::jsonb) AS r
WHERE (t.gen, t.day, t.currency, t.kind) = (r.gen, r.day, r.currency, r.kind)
    AND t.amount_minor = 0 AND t.fee_minor = 0 AND t.net_minor = 0 AND t.transactions = 0;

-- name: BrokenCashDaily :many
-- Days on which the rollup and a recount of the entries differ, or an entry and
-- the transaction that it is of.
WITH recount AS (
    SELECT gen, day, currency, kind, sum(amount_minor)::bigint AS amount_minor, sum(fee_minor)::bigint AS fee_minor,
        sum(net_minor)::bigint AS net_minor, count(*) AS transactions
    FROM cash_entry WHERE day >= @since::date AND gen = ANY (@gens::int[]) GROUP BY gen, day, currency, kind
), rollup AS (
    SELECT gen, day, currency, kind, amount_minor, fee_minor, net_minor, transactions
    FROM cash_daily WHERE day >= @since::date AND gen = ANY (@gens::int[])
), differing AS (
    (SELECT * FROM recount EXCEPT ALL SELECT * FROM rollup) UNION ALL (SELECT * FROM rollup EXCEPT ALL SELECT * FROM recount)
)
SELECT d.gen, d.day, d.currency, d.kind, max(d.day) OVER ()::date AS last_day FROM differing d ORDER BY d.gen, d.day, d.currency, d.kind LIMIT 1;

-- name: BrokenCashEntry :many
-- Entries that say otherwise than their transaction, or that have none.
SELECT e.gen, e.day, e.id FROM cash_entry e LEFT JOIN balance_transactions b USING (id)
WHERE e.gen = ANY (@gens::int[]) AND (b.id IS NULL OR e.currency <> b.currency
    OR (e.amount_minor, e.fee_minor, e.net_minor) <> (b.amount_minor, b.fee_minor, b.net_minor) OR e.net_minor <> e.amount_minor - e.fee_minor)
ORDER BY e.day, e.id LIMIT 1;

-- name: UncountedCash :many
-- Transactions that are in no figure of a generation and wait for nothing: they
-- should be, unless they are of a kind that no figure has.
SELECT b.id, b.type, b.created_at, g.gen FROM metric_generation g CROSS JOIN balance_transactions b
WHERE g.gen = ANY (@gens::int[]) AND NOT (b.type = ANY (@outside::text[]))
    AND NOT EXISTS (SELECT FROM cash_entry e WHERE e.gen = g.gen AND e.id = b.id)
    AND NOT EXISTS (SELECT FROM metric_dirty d WHERE d.customer_id = b.id)
    AND NOT EXISTS (SELECT FROM metric_todo t WHERE t.gen = g.gen AND t.customer_id = b.id)
ORDER BY b.created_at, b.id LIMIT 1;

-- name: CashBetween :many
-- What moved the balance by kind, on days or in months.
SELECT date_trunc(@unit::text, day::timestamp)::date AS day, kind, sum(amount_minor)::bigint AS amount_minor, sum(fee_minor)::bigint AS fee_minor,
    sum(net_minor)::bigint AS net_minor, sum(transactions)::bigint AS transactions
FROM cash_daily
WHERE gen = @gen AND currency = @currency AND day BETWEEN @first::date AND @last::date
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: OutlookCopies :many
-- What Stripe last said of the subscriptions that may renew or end, of ledger
-- customers.
SELECT ('org:' || c.org_id::text)::text AS customer, s.*
FROM customers c JOIN subscriptions s USING (stripe_customer_id)
WHERE c.org_id = ANY (@org_ids::uuid[]) AND s.status IN ('trialing', 'active', 'past_due') AND s.is_verified
UNION ALL
SELECT s.stripe_customer_id, s.*
FROM subscriptions s LEFT JOIN customers c USING (stripe_customer_id)
WHERE s.stripe_customer_id = ANY (@stripe_customer_ids::text[]) AND c.org_id IS NULL AND s.status IN ('trialing', 'active', 'past_due') AND s.is_verified;

-- name: AppliedOutlook :many
SELECT * FROM customer_outlook WHERE gen = ANY (@gens::int[]) AND customer = ANY (@customers::text[]);

-- name: DeleteOutlook :exec
DELETE FROM customer_outlook t USING jsonb_populate_recordset(NULL::customer_outlook, @rows::jsonb) AS r
WHERE (t.gen, t.customer, t.subscription_id, t.kind, t.day) = (r.gen, r.customer, r.subscription_id, r.kind, r.day);

-- name: InsertOutlook :exec
INSERT INTO customer_outlook (gen, customer, subscription_id, kind, day, currency, plan, amount_micro)
SELECT r.gen, r.customer, r.subscription_id, r.kind, r.day, r.currency, r.plan, r.amount_micro FROM jsonb_populate_recordset(NULL::customer_outlook, @rows::jsonb) AS r;

-- name: AddToOutlookDaily :one
WITH sums AS (
    INSERT INTO outlook_daily (gen, currency, day, plan, kind, amount_micro, subscriptions)
    SELECT r.gen, r.currency, r.day, r.plan, r.kind, r.amount_micro, r.subscriptions FROM jsonb_populate_recordset(NULL::outlook_daily, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (gen, currency, day, plan, kind) DO UPDATE SET
        amount_micro = outlook_daily.amount_micro + excluded.amount_micro, subscriptions = outlook_daily.subscriptions + excluded.subscriptions
    RETURNING amount_micro, subscriptions
)
SELECT count(*) FROM sums WHERE amount_micro = 0 AND subscriptions = 0;

-- name: DropEmptyOutlookDaily :exec
DELETE FROM outlook_daily t USING jsonb_populate_recordset(NULL::outlook_daily, @rows::jsonb) AS r
WHERE (t.gen, t.currency, t.day, t.plan, t.kind) = (r.gen, r.currency, r.day, r.plan, r.kind) AND t.amount_micro = 0 AND t.subscriptions = 0;

-- name: BrokenOutlook :many
WITH recount AS (
    SELECT gen, currency, day, plan, kind, sum(amount_micro)::bigint AS amount_micro, count(*) AS subscriptions
    FROM customer_outlook WHERE gen = ANY (@gens::int[]) GROUP BY gen, currency, day, plan, kind
), rollup AS (
    SELECT gen, currency, day, plan, kind, amount_micro, subscriptions FROM outlook_daily WHERE gen = ANY (@gens::int[])
), differing AS (
    (SELECT * FROM recount EXCEPT ALL SELECT * FROM rollup) UNION ALL (SELECT * FROM rollup EXCEPT ALL SELECT * FROM recount)
)
SELECT d.gen, d.day, d.currency, d.plan, d.kind FROM differing d ORDER BY d.gen, d.day, d.currency, d.plan, d.kind LIMIT 1;

-- name: OutlookBetween :many
SELECT day, kind, sum(amount_micro)::bigint AS amount_micro, sum(subscriptions)::bigint AS subscriptions
FROM outlook_daily
WHERE gen = @gen AND currency = @currency AND day BETWEEN @first::date AND @last::date AND (@plan::text = '' OR plan = @plan::text)
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: LargestEndings :many
-- The scheduled endings that take most MRR with them, with whose they are.
SELECT o.customer, o.subscription_id, o.day, o.plan, o.amount_micro, g.name AS org_name
FROM customer_outlook o
LEFT JOIN subscriptions s ON s.stripe_subscription_id = o.subscription_id
LEFT JOIN customers c ON c.stripe_customer_id = s.stripe_customer_id
LEFT JOIN organizations g ON g.id = c.org_id
WHERE o.gen = @gen AND o.currency = @currency AND o.kind = 'ending' AND o.day BETWEEN @first::date AND @last::date
ORDER BY o.amount_micro DESC, o.customer, o.subscription_id LIMIT @at_most::int;

-- name: LargestEndingsOfPlan :many
-- A statement of its own, so that a plan with few of them is not looked for among
-- all.
SELECT o.customer, o.subscription_id, o.day, o.plan, o.amount_micro, g.name AS org_name
FROM customer_outlook o
LEFT JOIN subscriptions s ON s.stripe_subscription_id = o.subscription_id
LEFT JOIN customers c ON c.stripe_customer_id = s.stripe_customer_id
LEFT JOIN organizations g ON g.id = c.org_id
WHERE o.gen = @gen AND o.currency = @currency AND o.plan = @plan AND o.kind = 'ending' AND o.day BETWEEN @first::date AND @last::date
ORDER BY o.amount_micro DESC, o.customer, o.subscription_id LIMIT @at_most::int;

-- name: CashCurrencies :many
-- From one to the next by the index, past all days between.
WITH RECURSIVE found AS (
    (SELECT min(d.currency)::text AS currency FROM cash_daily d WHERE d.gen = @gen)
    UNION ALL
    SELECT (SELECT min(n.currency) FROM cash_daily n WHERE n.gen = @gen AND n.currency > f.currency)::text FROM found f WHERE f.currency IS NOT NULL
)
SELECT f.currency::text AS currency FROM found f WHERE f.currency IS NOT NULL ORDER BY 1;

-- name: CashRead :one
-- How far Stripe's list has been read, of the mode that was read last.
SELECT whole_from, whole_to FROM cash_progress ORDER BY whole_to DESC LIMIT 1;
