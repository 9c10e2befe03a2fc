-- name: LiveGeneration :one
SELECT * FROM metric_generation WHERE state = 'live';

-- name: FirstFlow :one
-- The month in which anything moved for the first time, or another before that.
SELECT coalesce(min(month), @otherwise::date)::date AS month FROM flow_monthly WHERE gen = @gen;

-- name: NewestPaymentEvents :many
-- With the organization of the customer as it is linked now, where it was not
-- linked when it happened.
SELECT e.id, e.kind, e.at, o.id AS org_id, o.name AS org_name, e.stripe_customer_id, e.subscription_id, e.plan, e."interval",
    e.currency, e.amount_minor, coalesce(e.details ->> 'billing_reason', '')::text AS billing_reason,
    coalesce(e.details ->> 'from_plan', '')::text AS from_plan, coalesce(e.details ->> 'from_status', '')::text AS from_status,
    coalesce(e.details ->> 'status', '')::text AS outcome
FROM payment_events e
LEFT JOIN customers c ON c.stripe_customer_id = e.stripe_customer_id
LEFT JOIN organizations o ON o.id = coalesce(e.org_id, c.org_id)
-- A card comes with every purchase, and its owner's page tells of it; of whoever
-- only looks the funnel tells. A trial that ends becomes something that is told.
WHERE e.kind <> 'pricing_viewed' AND e.kind NOT IN ('trial_ended', 'payment_method_attached', 'payment_method_detached', 'payment_method_updated')
ORDER BY e.at DESC, e.id DESC LIMIT $1;

-- name: LiveFigures :one
SELECT g.gen, g.time_zone, g.definition, s.version, s.changed_at FROM metric_generation g, metric_state s WHERE g.state = 'live';

-- name: FigureSegments :many
-- Every currency and plan that ever had MRR, and the MRR of the currency now.
SELECT currency, plan, sum(sum(amount_micro)) OVER (PARTITION BY currency)::bigint AS mrr_micro
FROM flow_monthly WHERE gen = @gen GROUP BY currency, plan ORDER BY currency, plan;

-- name: LevelBefore :one
-- The running sum of all flows before a day: of whole months, and of the days of
-- the last one. An empty plan is the account; a plan's customers are those who
-- have MRR on it.
SELECT coalesce(sum(f.amount_micro), 0)::bigint AS mrr_micro,
    coalesce(sum(CASE WHEN @plan::text = '' THEN f.customers ELSE f.subscribers END), 0)::bigint AS customers
FROM (
    SELECT m.amount_micro, m.customers, m.subscribers FROM flow_monthly m
    WHERE m.gen = @gen AND m.month < @month::date AND m.currency = @currency AND (@plan::text = '' OR m.plan = @plan::text)
    UNION ALL
    SELECT d.amount_micro, d.customers, d.subscribers FROM flow_daily d
    WHERE d.gen = @gen AND d.day >= @month::date AND d.day < @day::date AND d.currency = @currency AND (@plan::text = '' OR d.plan = @plan::text)
) f;

-- name: MonthlyFlows :many
SELECT month, kind, sum(amount_micro)::bigint AS amount_micro,
    sum(CASE WHEN @plan::text = '' THEN customers ELSE subscribers END)::bigint AS customers
FROM flow_monthly
WHERE gen = @gen AND month BETWEEN @first::date AND @last::date AND currency = @currency AND (@plan::text = '' OR plan = @plan::text)
GROUP BY month, kind ORDER BY month, kind;

-- name: DailyFlows :many
SELECT day, kind, sum(amount_micro)::bigint AS amount_micro,
    sum(CASE WHEN @plan::text = '' THEN customers ELSE subscribers END)::bigint AS customers
FROM flow_daily
WHERE gen = @gen AND day BETWEEN @first::date AND @last::date AND currency = @currency AND (@plan::text = '' OR plan = @plan::text)
GROUP BY day, kind ORDER BY day, kind;

-- name: Pledges :many
-- By how much pledges changed up to the last day: on each from one day on, the
-- first of a month, and in each month before that.
SELECT p.day::date AS day, sum(p.ending_micro)::bigint AS ending_micro, sum(p.trial_micro)::bigint AS trial_micro
FROM (
    SELECT m.month AS day, m.ending_micro, m.trial_micro FROM pledge_monthly m
    WHERE m.gen = @gen AND m.month < @daily_from::date AND m.month <= @last::date AND m.currency = @currency AND (@plan::text = '' OR m.plan = @plan::text)
    UNION ALL
    SELECT d.day, d.ending_micro, d.trial_micro FROM pledge_daily d
    WHERE d.gen = @gen AND d.day BETWEEN @daily_from::date AND @last::date AND d.currency = @currency AND (@plan::text = '' OR d.plan = @plan::text)
) p
GROUP BY p.day ORDER BY p.day;

-- name: RetentionBetween :many
-- Of the account where the plan is empty: it has rows of its own.
SELECT period_end, horizon, net_micro, gross_lost_micro, lost_customers, lost_micro, involuntary_customers, involuntary_micro
FROM retention_change
WHERE gen = @gen AND period_end BETWEEN @first::date AND @last::date AND currency = @currency AND plan = @plan
ORDER BY period_end, horizon;
