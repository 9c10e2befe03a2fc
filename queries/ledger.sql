-- name: LockLedger :one
-- One ledger transaction at a time, in all processes; released by its end. What it
-- reads and writes it knows by key, whatever was planned while tables were small,
-- and planning three dozen statements for one customer would take longer than
-- running them: each is planned once.
SELECT (pg_advisory_xact_lock(@key::bigint) IS NOT NULL AND set_config('enable_seqscan', 'off', true) = 'off'
    AND set_config('enable_hashjoin', 'off', true) = 'off' AND set_config('enable_mergejoin', 'off', true) = 'off'
    AND set_config('plan_cache_mode', 'force_generic_plan', true) <> '')::boolean AS is_ours;

-- name: LedgerIsSettled :one
SELECT (NOT EXISTS (SELECT FROM metric_dirty)
    AND NOT EXISTS (SELECT FROM metric_clock WHERE next_at <= @now::timestamptz))::boolean AS is_settled;

-- name: TakeMarks :many
-- Marks, which are deleted, and customers whose clock is due.
WITH taken AS (
    DELETE FROM metric_dirty WHERE id IN (SELECT d.id FROM metric_dirty d ORDER BY d.id LIMIT @at_most::int) RETURNING customer_id
)
SELECT t.customer_id::text AS customer_id FROM taken t
UNION ALL
(SELECT c.customer_id FROM metric_clock c WHERE c.next_at <= @now::timestamptz ORDER BY c.next_at, c.customer_id LIMIT @at_most);

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

-- name: AppliedPledges :many
SELECT * FROM customer_pledge WHERE gen = ANY (@gens::int[]) AND customer = ANY (@customers::text[]);

-- name: DeleteDays :exec
DELETE FROM customer_day t USING jsonb_populate_recordset(NULL::customer_day, @rows::jsonb) AS r
WHERE (t.gen, t.customer, t.currency, t.day) = (r.gen, r.customer, r.currency, r.day);

-- name: DeleteMovements :exec
DELETE FROM customer_movement t USING jsonb_populate_recordset(NULL::customer_movement, @rows::jsonb) AS r
WHERE (t.gen, t.customer, t.currency, t.day, t.kind, t.plan) = (r.gen, r.customer, r.currency, r.day, r.kind, r.plan);

-- name: DeletePledges :exec
DELETE FROM customer_pledge t USING jsonb_populate_recordset(NULL::customer_pledge, @rows::jsonb) AS r
WHERE (t.gen, t.customer, t.currency, t.day, t.plan) = (r.gen, r.customer, r.currency, r.day, r.plan);

-- name: DeleteContributingSubscriptions :exec
DELETE FROM customer_subscription t USING jsonb_populate_recordset(NULL::customer_subscription, @rows::jsonb) AS r
WHERE (t.gen, t.customer, t.subscription_id) = (r.gen, r.customer, r.subscription_id);

-- name: InsertDays :exec
INSERT INTO customer_day (gen, customer, currency, day, mrr_micro)
SELECT r.gen, r.customer, r.currency, r.day, r.mrr_micro FROM jsonb_populate_recordset(NULL::customer_day, @rows::jsonb) AS r;

-- name: InsertMovements :exec
INSERT INTO customer_movement (gen, customer, currency, day, kind, plan, amount_micro, customers, subscribers, reason)
SELECT r.gen, r.customer, r.currency, r.day, r.kind, r.plan, r.amount_micro, r.customers, r.subscribers, r.reason FROM jsonb_populate_recordset(NULL::customer_movement, @rows::jsonb) AS r;

-- name: InsertPledges :exec
INSERT INTO customer_pledge (gen, customer, currency, day, plan, ending_micro, trial_micro)
SELECT r.gen, r.customer, r.currency, r.day, r.plan, r.ending_micro, r.trial_micro FROM jsonb_populate_recordset(NULL::customer_pledge, @rows::jsonb) AS r;

-- name: InsertContributingSubscriptions :exec
-- Or what they are worth now, of those that are there.
INSERT INTO customer_subscription (gen, customer, subscription_id, currency, mrr_micro)
SELECT r.gen, r.customer, r.subscription_id, r.currency, r.mrr_micro FROM jsonb_populate_recordset(NULL::customer_subscription, @rows::jsonb) AS r
ON CONFLICT (gen, customer, subscription_id) DO UPDATE SET currency = excluded.currency, mrr_micro = excluded.mrr_micro;

-- name: AddToFlowDaily :one
-- In the order of the key, so that no two writers wait for each other.
WITH sums AS (
    INSERT INTO flow_daily (gen, day, currency, plan, kind, amount_micro, customers, subscribers)
    SELECT r.gen, r.day, r.currency, r.plan, r.kind, r.amount_micro, r.customers, r.subscribers FROM jsonb_populate_recordset(NULL::flow_daily, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (gen, day, currency, plan, kind) DO UPDATE SET
        amount_micro = flow_daily.amount_micro + excluded.amount_micro, customers = flow_daily.customers + excluded.customers, subscribers = flow_daily.subscribers + excluded.subscribers
    RETURNING amount_micro, customers, subscribers
)
SELECT count(*) FROM sums WHERE amount_micro = 0 AND customers = 0 AND subscribers = 0;

-- name: DropEmptyFlowDaily :exec
-- What comes to nothing has no rows behind it: a recount would not make it either.
DELETE FROM flow_daily t USING jsonb_populate_recordset(NULL::flow_daily, @rows::jsonb) AS r
WHERE (t.gen, t.day, t.currency, t.plan, t.kind) = (r.gen, r.day, r.currency, r.plan, r.kind) AND t.amount_micro = 0 AND t.customers = 0 AND t.subscribers = 0;

-- name: AddToFlowMonthly :one
WITH sums AS (
    INSERT INTO flow_monthly (gen, month, currency, plan, kind, amount_micro, customers, subscribers)
    SELECT r.gen, r.month, r.currency, r.plan, r.kind, r.amount_micro, r.customers, r.subscribers FROM jsonb_populate_recordset(NULL::flow_monthly, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (gen, month, currency, plan, kind) DO UPDATE SET
        amount_micro = flow_monthly.amount_micro + excluded.amount_micro, customers = flow_monthly.customers + excluded.customers, subscribers = flow_monthly.subscribers + excluded.subscribers
    RETURNING amount_micro, customers, subscribers
)
SELECT count(*) FROM sums WHERE amount_micro = 0 AND customers = 0 AND subscribers = 0;

-- name: DropEmptyFlowMonthly :exec
DELETE FROM flow_monthly t USING jsonb_populate_recordset(NULL::flow_monthly, @rows::jsonb) AS r
WHERE (t.gen, t.month, t.currency, t.plan, t.kind) = (r.gen, r.month, r.currency, r.plan, r.kind) AND t.amount_micro = 0 AND t.customers = 0 AND t.subscribers = 0;

-- name: AddToPledgeDaily :one
WITH sums AS (
    INSERT INTO pledge_daily (gen, day, currency, plan, ending_micro, trial_micro)
    SELECT r.gen, r.day, r.currency, r.plan, r.ending_micro, r.trial_micro FROM jsonb_populate_recordset(NULL::pledge_daily, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (gen, day, currency, plan) DO UPDATE SET
        ending_micro = pledge_daily.ending_micro + excluded.ending_micro, trial_micro = pledge_daily.trial_micro + excluded.trial_micro
    RETURNING ending_micro, trial_micro
)
SELECT count(*) FROM sums WHERE ending_micro = 0 AND trial_micro = 0;

-- name: DropEmptyPledgeDaily :exec
DELETE FROM pledge_daily t USING jsonb_populate_recordset(NULL::pledge_daily, @rows::jsonb) AS r
WHERE (t.gen, t.day, t.currency, t.plan) = (r.gen, r.day, r.currency, r.plan) AND t.ending_micro = 0 AND t.trial_micro = 0;

-- name: AddToPledgeMonthly :one
WITH sums AS (
    INSERT INTO pledge_monthly (gen, month, currency, plan, ending_micro, trial_micro)
    SELECT r.gen, r.month, r.currency, r.plan, r.ending_micro, r.trial_micro FROM jsonb_populate_recordset(NULL::pledge_monthly, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (gen, month, currency, plan) DO UPDATE SET
        ending_micro = pledge_monthly.ending_micro + excluded.ending_micro, trial_micro = pledge_monthly.trial_micro + excluded.trial_micro
    RETURNING ending_micro, trial_micro
)
SELECT count(*) FROM sums WHERE ending_micro = 0 AND trial_micro = 0;

-- name: DropEmptyPledgeMonthly :exec
DELETE FROM pledge_monthly t USING jsonb_populate_recordset(NULL::pledge_monthly, @rows::jsonb) AS r
WHERE (t.gen, t.month, t.currency, t.plan) = (r.gen, r.month, r.currency, r.plan) AND t.ending_micro = 0 AND t.trial_micro = 0;

-- name: AddToCohorts :one
WITH sums AS (
    INSERT INTO cohort_change (gen, cohort, month, currency, plan, mrr_micro, gross_micro, active, initial_micro, customers)
    SELECT r.gen, r.cohort, r.month, r.currency, r.plan, r.mrr_micro, r.gross_micro, r.active, r.initial_micro, r.customers FROM jsonb_populate_recordset(NULL::cohort_change, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (gen, cohort, month, currency, plan) DO UPDATE SET
        mrr_micro = cohort_change.mrr_micro + excluded.mrr_micro, gross_micro = cohort_change.gross_micro + excluded.gross_micro, active = cohort_change.active + excluded.active, initial_micro = cohort_change.initial_micro + excluded.initial_micro, customers = cohort_change.customers + excluded.customers
    RETURNING mrr_micro, gross_micro, active, initial_micro, customers
)
SELECT count(*) FROM sums WHERE mrr_micro = 0 AND gross_micro = 0 AND active = 0 AND initial_micro = 0 AND customers = 0;

-- name: DropEmptyCohorts :exec
DELETE FROM cohort_change t USING jsonb_populate_recordset(NULL::cohort_change, @rows::jsonb) AS r
WHERE (t.gen, t.cohort, t.month, t.currency, t.plan) = (r.gen, r.cohort, r.month, r.currency, r.plan) AND t.mrr_micro = 0 AND t.gross_micro = 0 AND t.active = 0 AND t.initial_micro = 0 AND t.customers = 0;

-- name: AddToRetention :one
WITH sums AS (
    INSERT INTO retention_change (gen, period_end, horizon, currency, plan, net_micro, gross_lost_micro, lost_customers, lost_micro, involuntary_customers, involuntary_micro)
    SELECT r.gen, r.period_end, r.horizon, r.currency, r.plan, r.net_micro, r.gross_lost_micro, r.lost_customers, r.lost_micro, r.involuntary_customers, r.involuntary_micro FROM jsonb_populate_recordset(NULL::retention_change, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (gen, period_end, horizon, currency, plan) DO UPDATE SET
        net_micro = retention_change.net_micro + excluded.net_micro, gross_lost_micro = retention_change.gross_lost_micro + excluded.gross_lost_micro, lost_customers = retention_change.lost_customers + excluded.lost_customers, lost_micro = retention_change.lost_micro + excluded.lost_micro, involuntary_customers = retention_change.involuntary_customers + excluded.involuntary_customers, involuntary_micro = retention_change.involuntary_micro + excluded.involuntary_micro
    RETURNING net_micro, gross_lost_micro, lost_customers, lost_micro, involuntary_customers, involuntary_micro
)
SELECT count(*) FROM sums WHERE net_micro = 0 AND gross_lost_micro = 0 AND lost_customers = 0 AND lost_micro = 0 AND involuntary_customers = 0 AND involuntary_micro = 0;

-- name: DropEmptyRetention :exec
DELETE FROM retention_change t USING jsonb_populate_recordset(NULL::retention_change, @rows::jsonb) AS r
WHERE (t.gen, t.period_end, t.horizon, t.currency, t.plan) = (r.gen, r.period_end, r.horizon, r.currency, r.plan) AND t.net_micro = 0 AND t.gross_lost_micro = 0 AND t.lost_customers = 0 AND t.lost_micro = 0 AND t.involuntary_customers = 0 AND t.involuntary_micro = 0;

-- name: ClearClocks :exec
DELETE FROM metric_clock WHERE customer_id = ANY (@customers::text[]);

-- name: SetClocks :exec
INSERT INTO metric_clock (customer_id, next_at)
SELECT unnest(@customers::text[]), unnest(@next_at::timestamptz[])
ON CONFLICT (customer_id) DO UPDATE SET next_at = excluded.next_at;

-- name: Generations :many
SELECT * FROM metric_generation ORDER BY gen;

-- name: LedgerIsEmpty :one
-- Nobody was ever seen and nothing moved, so nothing is counted under any definition.
SELECT (NOT EXISTS (SELECT FROM customers) AND NOT EXISTS (SELECT FROM metric_dirty) AND NOT EXISTS (SELECT FROM customer_day)
    AND NOT EXISTS (SELECT FROM payment_events) AND NOT EXISTS (SELECT FROM balance_transactions))::boolean AS is_empty;

-- name: RedefineGeneration :exec
UPDATE metric_generation SET time_zone = @time_zone, discount_policy = @discount_policy, past_due_cap_days = @past_due_cap_days, definition = @definition WHERE gen = @gen;

-- name: OpenGeneration :one
INSERT INTO metric_generation (gen, time_zone, discount_policy, past_due_cap_days, decoder, definition, state)
SELECT max(gen) + 1, @time_zone, @discount_policy, @past_due_cap_days, max(decoder), @definition, 'building' FROM metric_generation
RETURNING gen;

-- name: RetireGeneration :exec
UPDATE metric_generation SET state = 'old' WHERE gen = @gen;

-- name: ReviveGeneration :exec
UPDATE metric_generation SET state = 'live', live_since = @at WHERE gen = @gen;

-- name: MarkEveryCustomer :execrows
INSERT INTO metric_todo (gen, customer_id) SELECT @gen, stripe_customer_id FROM customers ORDER BY stripe_customer_id;

-- name: ForgetTodo :exec
DELETE FROM metric_todo WHERE gen = @gen;

-- name: TakeTodo :many
DELETE FROM metric_todo WHERE (gen, customer_id) IN (SELECT t.gen, t.customer_id FROM metric_todo t ORDER BY t.gen, t.customer_id LIMIT @at_most)
RETURNING customer_id;

-- name: TodoIsEmpty :one
SELECT (NOT EXISTS (SELECT FROM metric_todo))::boolean AS is_empty;

-- name: BuiltGenerations :many
-- Those being built for which everyone is counted.
SELECT g.* FROM metric_generation g
WHERE g.state = 'building' AND NOT EXISTS (SELECT FROM metric_todo t WHERE t.gen = g.gen) ORDER BY g.gen;

-- name: GenerationMRR :many
SELECT currency, sum(amount_micro)::bigint AS mrr_micro FROM flow_monthly WHERE gen = @gen GROUP BY currency ORDER BY currency;

-- name: BrokenFlowDaily :many
-- Rows in which the daily rollup and a recount of the movements differ.
WITH recount AS (
    SELECT gen, day, currency, plan, kind, sum(amount_micro)::bigint AS amount_micro, sum(customers)::bigint AS customers,
        sum(subscribers)::bigint AS subscribers
    FROM customer_movement WHERE day >= @since::date AND gen = ANY (@gens::int[]) GROUP BY gen, day, currency, plan, kind
), rollup AS (
    SELECT gen, day, currency, plan, kind, amount_micro, customers, subscribers
    FROM flow_daily WHERE day >= @since::date AND gen = ANY (@gens::int[])
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, day, currency, plan, kind FROM broken ORDER BY 1, 2, 3, 4, 5 LIMIT 1;

-- name: BrokenFlowMonthly :many
-- Months in which the monthly rollup is not the sum of the daily one.
WITH recount AS (
    SELECT gen, date_trunc('month', day::timestamp)::date AS month, currency, plan, kind,
        sum(amount_micro)::bigint AS amount_micro, sum(customers)::bigint AS customers, sum(subscribers)::bigint AS subscribers
    FROM flow_daily WHERE gen = ANY (@gens::int[]) GROUP BY 1, 2, 3, 4, 5
), rollup AS (
    SELECT gen, month, currency, plan, kind, amount_micro, customers, subscribers FROM flow_monthly WHERE gen = ANY (@gens::int[])
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
    FROM customer_day WHERE gen = ANY (@gens::int[])
), both_sides AS (
    SELECT gen, day, currency, 0::bigint AS flowed_micro, 0::bigint AS flowed_customers,
        mrr_micro - before_micro AS changed_micro, ((mrr_micro > 0)::int - (before_micro > 0)::int)::bigint AS changed_customers
    FROM balance
    UNION ALL
    SELECT gen, day, currency, amount_micro, customers, 0, 0 FROM flow_daily WHERE gen = ANY (@gens::int[])
)
SELECT gen, day, currency, sum(flowed_micro)::bigint AS flowed_micro, sum(changed_micro)::bigint AS changed_micro,
    sum(flowed_customers)::bigint AS flowed_customers, sum(changed_customers)::bigint AS changed_customers
FROM both_sides GROUP BY gen, day, currency
HAVING sum(flowed_micro) <> sum(changed_micro) OR sum(flowed_customers) <> sum(changed_customers)
ORDER BY 1, 2, 3 LIMIT 1;

-- name: BrokenTransfers :many
-- Days on which what left some plans did not arrive at others.
SELECT gen, day, currency, sum(amount_micro)::bigint AS amount_micro FROM flow_daily
WHERE kind IN ('transfer_in', 'transfer_out') AND gen = ANY (@gens::int[])
GROUP BY gen, day, currency HAVING sum(amount_micro) <> 0 ORDER BY 1, 2, 3 LIMIT 1;

-- name: BrokenPledges :many
-- Days on which the rollup of pledges is no recount of the customers'.
WITH recount AS (
    SELECT gen, day, currency, plan, sum(ending_micro)::bigint AS ending_micro, sum(trial_micro)::bigint AS trial_micro
    FROM customer_pledge WHERE gen = ANY (@gens::int[]) GROUP BY gen, day, currency, plan
    HAVING sum(ending_micro) <> 0 OR sum(trial_micro) <> 0
), rollup AS (
    SELECT gen, day, currency, plan, ending_micro, trial_micro FROM pledge_daily WHERE gen = ANY (@gens::int[])
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, day, currency, plan FROM broken ORDER BY 1, 2, 3, 4 LIMIT 1;

-- name: BrokenPledgeMonths :many
-- Months in which the rollup of pledges is not the sum of the daily one.
WITH recount AS (
    SELECT gen, date_trunc('month', day::timestamp)::date AS month, currency, plan, sum(ending_micro)::bigint AS ending_micro, sum(trial_micro)::bigint AS trial_micro
    FROM pledge_daily WHERE gen = ANY (@gens::int[]) GROUP BY 1, 2, 3, 4
    HAVING sum(ending_micro) <> 0 OR sum(trial_micro) <> 0
), rollup AS (
    SELECT gen, month, currency, plan, ending_micro, trial_micro FROM pledge_monthly WHERE gen = ANY (@gens::int[])
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, month, currency, plan FROM broken ORDER BY 1, 2, 3, 4 LIMIT 1;

-- name: BrokenSubscriptions :many
-- Customers whose subscriptions, or whose movements, do not add up to their
-- newest balance.
WITH newest AS (
    SELECT DISTINCT ON (gen, customer, currency) gen, customer, currency, mrr_micro
    FROM customer_day WHERE gen = ANY (@gens::int[]) ORDER BY gen, customer, currency, day DESC
), added AS (
    SELECT gen, customer, currency, sum(mrr_micro)::bigint AS mrr_micro
    FROM customer_subscription WHERE gen = ANY (@gens::int[]) GROUP BY gen, customer, currency
)
SELECT coalesce(n.gen, a.gen)::int AS gen, coalesce(n.customer, a.customer)::text AS customer, coalesce(n.currency, a.currency)::text AS currency,
    coalesce(n.mrr_micro, 0)::bigint AS balance_micro, coalesce(a.mrr_micro, 0)::bigint AS added_micro
FROM newest n FULL JOIN added a ON (n.gen, n.customer, n.currency) = (a.gen, a.customer, a.currency)
WHERE coalesce(n.mrr_micro, 0) <> coalesce(a.mrr_micro, 0)
ORDER BY 1, 2, 3 LIMIT 1;

-- name: BrokenTotals :many
-- Currencies in which what subscriptions are worth now is not the sum of all
-- flows: a quick look at the same thing.
WITH now AS (
    SELECT gen, currency, sum(mrr_micro)::bigint AS mrr_micro, count(DISTINCT customer) AS customers
    FROM customer_subscription WHERE gen = ANY (@gens::int[]) GROUP BY gen, currency
), flowed AS (
    SELECT gen, currency, sum(amount_micro)::bigint AS mrr_micro, sum(customers)::bigint AS customers
    FROM flow_monthly WHERE gen = ANY (@gens::int[]) GROUP BY gen, currency
)
SELECT coalesce(n.gen, f.gen)::int AS gen, coalesce(n.currency, f.currency)::text AS currency, coalesce(n.mrr_micro, 0)::bigint AS now_micro, coalesce(f.mrr_micro, 0)::bigint AS flowed_micro,
    coalesce(n.customers, 0)::bigint AS now_customers, coalesce(f.customers, 0)::bigint AS flowed_customers
FROM now n FULL JOIN flowed f ON (n.gen, n.currency) = (f.gen, f.currency)
WHERE coalesce(n.mrr_micro, 0) <> coalesce(f.mrr_micro, 0) OR coalesce(n.customers, 0) <> coalesce(f.customers, 0)
ORDER BY 1, 2 LIMIT 1;

-- name: CohortRows :many
SELECT * FROM cohort_change WHERE gen = ANY (@gens::int[]);

-- name: RetentionRows :many
SELECT * FROM retention_change WHERE gen = ANY (@gens::int[]);

-- name: SampleOfCustomers :many
-- One of so many customers that have figures, another part each time; not those
-- that changed and are not counted yet.
SELECT DISTINCT d.customer FROM customer_day d
WHERE d.gen = @gen AND abs(hashtext(d.customer)) % @one_of::int = @part::int
    AND NOT EXISTS (SELECT FROM metric_clock c WHERE c.customer_id = d.customer AND c.next_at <= @now::timestamptz)
ORDER BY d.customer LIMIT @at_most::int;

-- name: DirtyCustomers :many
-- The ledger customers of all marks.
SELECT DISTINCT coalesce('org:' || c.org_id::text, d.customer_id)::text AS customer
FROM metric_dirty d LEFT JOIN customers c ON c.stripe_customer_id = d.customer_id;

-- name: LockVerification :one
-- One process verifies at a time; released by the end of the transaction.
SELECT pg_try_advisory_xact_lock(@key::bigint) AS is_ours;

-- name: LastVerification :one
-- The last that came to its end, or one that is under way. One that did not come
-- to its end is tried again after a while.
SELECT coalesce(max(started_at), to_timestamp(0))::timestamptz AS started_at FROM metric_verification
WHERE scope = @scope AND (finished_at IS NOT NULL OR started_at > @under_way_since::timestamptz);

-- name: BeginVerification :one
INSERT INTO metric_verification (scope, started_at) VALUES (@scope, @at) RETURNING id;

-- name: EndVerification :exec
UPDATE metric_verification SET finished_at = @at, customers = @customers, findings = @findings WHERE id = @id;

-- name: ForgetVerifications :exec
DELETE FROM metric_verification WHERE started_at < @before;

-- name: RaiseIntegrityIssue :one
-- The first day of all stands for none.
INSERT INTO metric_integrity_issue (check_name, detail, first_day, last_day, found_at, seen_at)
SELECT @check_name, @detail, nullif(@first_day::date, date '0001-01-01'), nullif(@last_day::date, date '0001-01-01'), @at, @at
ON CONFLICT (check_name) WHERE resolved_at IS NULL DO UPDATE SET
    detail = excluded.detail, seen_at = excluded.seen_at,
    -- Who looked at some days only has seen no end of what was found before.
    first_day = CASE WHEN @is_full::boolean THEN excluded.first_day
        WHEN metric_integrity_issue.first_day IS NOT NULL THEN least(metric_integrity_issue.first_day, excluded.first_day) END,
    last_day = CASE WHEN @is_full THEN excluded.last_day
        WHEN metric_integrity_issue.last_day IS NOT NULL THEN greatest(metric_integrity_issue.last_day, excluded.last_day) END
RETURNING (xmax = 0)::boolean AS is_new;

-- name: ResolveIntegrityIssues :many
-- Those of checks that were made and hold, as far back as they looked; the first
-- day of all means that they looked at everything.
UPDATE metric_integrity_issue SET resolved_at = @at
WHERE resolved_at IS NULL AND check_name = ANY (@held::text[])
    AND (@since::date = date '0001-01-01' OR first_day >= @since::date)
RETURNING check_name;

-- name: FiguresChanged :exec
UPDATE metric_state SET version = version + 1, changed_at = @at;
