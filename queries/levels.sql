-- name: AppliedLevels :many
SELECT * FROM customer_level WHERE gen = ANY (@gens::int[]) AND customer = ANY (@customers::text[]);

-- name: DeleteLevels :exec
DELETE FROM customer_level t USING jsonb_populate_recordset(NULL::customer_level, @rows::jsonb) AS r
WHERE (t.gen, t.customer, t.currency, t.plan) = (r.gen, r.customer, r.currency, r.plan);

-- name: InsertLevels :exec
INSERT INTO customer_level (gen, customer, currency, plan, mrr_micro)
SELECT r.gen, r.customer, r.currency, r.plan, r.mrr_micro FROM jsonb_populate_recordset(NULL::customer_level, @rows::jsonb) AS r
ON CONFLICT (gen, customer, currency, plan) DO UPDATE SET mrr_micro = excluded.mrr_micro;

-- name: BrokenCustomerLevels :many
-- Customers whose level is no recount of their movements.
WITH recount AS (
    SELECT gen, customer, currency, coalesce(plan, '')::text AS plan, sum(amount_micro)::bigint AS mrr_micro FROM customer_movement
    WHERE gen = ANY (@gens::int[])
    GROUP BY GROUPING SETS ((gen, customer, currency, plan), (gen, customer, currency))
    HAVING sum(amount_micro) <> 0
), level AS (
    SELECT gen, customer, currency, plan, mrr_micro FROM customer_level WHERE gen = ANY (@gens::int[])
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM level) UNION (SELECT * FROM level EXCEPT SELECT * FROM recount)
)
SELECT gen, customer, currency, plan, mrr_micro FROM broken ORDER BY 1, 2, 3, 4 LIMIT 1;

-- name: LargestCustomers :many
-- Those with most MRR now; an empty plan is the account.
SELECT customer, mrr_micro FROM customer_level
WHERE gen = @gen AND currency = @currency AND plan = @plan
ORDER BY mrr_micro DESC, customer LIMIT @at_most::int;

-- name: CustomersSince :many
-- The day of each customer's first movement.
SELECT customer, min(day)::date AS since FROM customer_movement
WHERE gen = @gen AND customer = ANY (@customers::text[]) GROUP BY customer;

-- name: OrganizationNames :many
SELECT id, name FROM organizations WHERE id = ANY (@ids::uuid[]);

-- name: MovementsBefore :many
-- The newest movements of some kinds, from the last day back to the first, after
-- the one that a page ended with. Each kind is walked along its own index and
-- stops after a page, so that it costs the same whatever came before.
SELECT m.customer, m.day, m.kind, m.plan, m.amount_micro, m.customers, m.reason
FROM unnest(@kinds::text[]) AS k(kind)
CROSS JOIN LATERAL (
    SELECT c.customer, c.day, c.kind, c.plan, c.amount_micro, c.customers, c.reason FROM customer_movement c
    WHERE c.gen = @gen AND c.kind = k.kind AND c.currency = @currency AND (@plan::text = '' OR c.plan = @plan::text)
        AND c.day BETWEEN @first::date AND @last::date
        AND (c.day < @last::date OR (c.customer, c.kind, c.plan) > (@after_customer::text, @after_kind::text, @after_plan::text))
    ORDER BY c.day DESC, c.customer, c.plan LIMIT @at_most::int
) m
ORDER BY m.day DESC, m.customer, m.kind, m.plan LIMIT @at_most::int;

-- name: Leavers :many
-- Who lost their last MRR, newest first, with what they had; with a plan, who had
-- that plan, and what they had on it.
SELECT m.customer, m.day, m.reason, coalesce(p.plan, '')::text AS plan, p.amount_micro::bigint AS amount_micro
FROM customer_movement m
CROSS JOIN LATERAL (
    SELECT sum(a.amount_micro) AS amount_micro, string_agg(a.plan, ',' ORDER BY a.amount_micro) AS plan FROM customer_movement a
    WHERE a.gen = m.gen AND a.customer = m.customer AND a.currency = m.currency AND a.day = m.day AND a.kind = m.kind
        AND (@plan::text = '' OR a.plan = @plan::text)
) p
WHERE m.gen = @gen AND m.kind = 'churn' AND m.customers <> 0 AND m.currency = @currency
    AND m.day BETWEEN @first::date AND @last::date AND p.amount_micro IS NOT NULL
ORDER BY m.day DESC, m.customer LIMIT @at_most::int;

-- name: LevelsByPlanBefore :many
-- The running sums of all flows of each plan before a month.
SELECT plan, sum(amount_micro)::bigint AS mrr_micro, sum(subscribers)::bigint AS customers
FROM flow_monthly WHERE gen = @gen AND month < @month::date AND currency = @currency
GROUP BY plan ORDER BY plan;

-- name: MonthlyFlowsByPlan :many
SELECT month, plan, kind, amount_micro, subscribers AS customers
FROM flow_monthly WHERE gen = @gen AND month BETWEEN @first::date AND @last::date AND currency = @currency
ORDER BY month, plan, kind;

-- name: DailyFlowsByPlan :many
SELECT day, plan, kind, amount_micro, subscribers AS customers
FROM flow_daily WHERE gen = @gen AND day BETWEEN @first::date AND @last::date AND currency = @currency
ORDER BY day, plan, kind;

-- name: RetentionByPlan :many
-- What became of the customers of each plan, by the end of one month.
SELECT plan, horizon, net_micro, gross_lost_micro, lost_customers, lost_micro, involuntary_customers, involuntary_micro
FROM retention_change
WHERE gen = @gen AND period_end = @period_end::date AND currency = @currency AND plan <> ''
ORDER BY plan, horizon;

-- name: CohortChangesBetween :many
-- The changes of the cohorts of some months; an empty plan is all of them.
SELECT cohort, month, sum(mrr_micro)::bigint AS mrr_micro, sum(gross_micro)::bigint AS gross_micro, sum(active)::bigint AS active,
    sum(initial_micro)::bigint AS initial_micro, sum(customers)::bigint AS customers
FROM cohort_change
WHERE gen = @gen AND cohort BETWEEN @first::date AND @last::date AND currency = @currency AND (@plan::text = '' OR plan = @plan::text)
GROUP BY cohort, month ORDER BY cohort, month;

-- name: CohortMembers :many
-- Who began in a month, in the order in which they did, with what they had at the
-- end of their first day and before another day. Their plan is the one on which
-- they began with most; an empty one is all of them.
SELECT n.customer, n.day, n.initial_micro,
    (SELECT coalesce(sum(l.amount_micro), 0) FROM customer_movement l
     WHERE l.gen = @gen AND l.customer = n.customer AND l.currency = @currency AND l.day < @until::date)::bigint AS mrr_micro
FROM (
    SELECT c.customer, c.day, sum(c.amount_micro)::bigint AS initial_micro FROM customer_movement c
    WHERE c.gen = @gen AND c.kind = 'new' AND c.currency = @currency AND c.day >= @after_day::date AND c.day < @month_end::date
        AND (c.day > @after_day::date OR c.customer > @after_customer::text)
    GROUP BY c.customer, c.day
    HAVING @plan::text = '' OR (array_agg(c.plan ORDER BY c.amount_micro DESC, c.plan COLLATE "C"))[1] = @plan::text
    ORDER BY c.day, c.customer LIMIT @at_most::int
) n
ORDER BY n.day, n.customer;
