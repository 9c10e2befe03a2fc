-- name: LiveGeneration :one
SELECT * FROM metric_generation WHERE state = 'live';

-- name: LevelsBefore :many
-- Running sums of all flows before a month.
SELECT currency, sum(amount_micro)::bigint AS mrr_micro, sum(customers)::bigint AS customers
FROM flow_monthly WHERE gen = @gen AND month < @month
GROUP BY currency ORDER BY currency;

-- name: FlowsBetween :many
-- What moved in each month from the first to the last, of all plans together.
SELECT currency, month, kind, sum(amount_micro)::bigint AS amount_micro, sum(customers)::bigint AS customers
FROM flow_monthly WHERE gen = @gen AND month BETWEEN @first::date AND @last::date
GROUP BY currency, month, kind ORDER BY currency, month, kind;

-- name: FirstFlow :one
-- The month in which anything moved for the first time, or another before that.
SELECT coalesce(min(month), @otherwise::date)::date AS month FROM flow_monthly WHERE gen = @gen;

-- name: PlanLevels :many
-- MRR by plan at the end of a month and at its beginning. Customers are not
-- counted by plan here: a movement counts them on one plan's row only.
SELECT currency, plan, sum(amount_micro)::bigint AS mrr_micro,
    coalesce(sum(amount_micro) FILTER (WHERE month < @month::date), 0)::bigint AS opening_micro
FROM flow_monthly WHERE gen = @gen AND month <= @month::date
GROUP BY currency, plan ORDER BY currency, plan;

-- name: SubscribersByPlan :many
-- Customers with MRR by the plan that Stripe has their subscriptions on now, and
-- what has none: trials, and what is paid for at a price that is not known. A
-- price that no plan claims is called as the ledger calls it.
SELECT l.currency, coalesce(nullif(l.plan, ''), @unknown_plan)::text AS plan,
    count(DISTINCT coalesce(l.org_id::text, l.stripe_customer_id)) FILTER (WHERE l.mrr_micro IS NOT NULL) AS customers,
    count(*) FILTER (WHERE l.status = 'trialing') AS trialing,
    count(*) FILTER (WHERE l.status IN ('active', 'past_due') AND l.amount_minor IS NULL) AS unpriced
FROM subscription_list l WHERE l.status IN ('active', 'past_due', 'trialing')
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: FailedInvoices :many
-- Renewals that were not paid at the first try: by the month of that try, by
-- whether the bank asked for the customer's confirmation then or declined, by
-- what became of them, and by the month in which that was settled, which means
-- nothing for those in retry. Paid by whatever means is recovered; lost is what
-- is not paid when the subscription ends or turns unpaid, when the invoice is
-- marked uncollectible, or sixty days after the last try, beyond which nobody
-- lets Stripe retry. Of a voided invoice nothing is owed, so it is none of them.
-- Neither is the first after a trial, which is a sign-up: no event tells its
-- period, but Stripe tries it within an hour of the trial's end, or within
-- three days where a webhook keeps its draft waiting.
-- Materialized, or each look-up would be made for each column that needs it.
WITH tried AS (
    SELECT invoice_id, min(at) AS first_at, max(at) AS last_at,
        min(at) FILTER (WHERE kind = 'payment_failed') AS failed_at, min(at) FILTER (WHERE kind = 'payment_action_required') AS asked_at,
        min(stripe_customer_id) AS stripe_customer_id, min(subscription_id) AS subscription_id, min(currency)::text AS currency,
        (array_agg(amount_minor ORDER BY at, id))[1] AS amount_minor
    FROM payment_events
    WHERE kind IN ('payment_failed', 'payment_action_required') AND at >= @since::timestamptz
        AND invoice_id IS NOT NULL AND currency IS NOT NULL AND amount_minor > 0
        AND details ->> 'billing_reason' = 'subscription_cycle'
    GROUP BY invoice_id
), fate AS MATERIALIZED (
    SELECT t.*,
        -- Of one try Stripe tells both, in whatever order.
        coalesce(t.asked_at <= t.failed_at + interval '1 minute', t.failed_at IS NULL) AS asked,
        (SELECT min(p.at) FROM payment_events p WHERE p.invoice_id = t.invoice_id AND p.kind = 'payment_succeeded') AS paid_at,
        least((SELECT min(e.at) FROM payment_events e
               WHERE e.stripe_customer_id = t.stripe_customer_id AND e.subscription_id = t.subscription_id AND e.at >= t.first_at
                   AND e.kind IN ('subscription_canceled', 'subscription_unpaid', 'subscription_incomplete_expired')),
              (SELECT min(w.at) FROM payment_events w WHERE w.invoice_id = t.invoice_id AND w.kind = 'invoice_marked_uncollectible'),
              CASE WHEN t.last_at + interval '60 days' <= @as_of::timestamptz THEN t.last_at + interval '60 days' END) AS lost_at
    FROM tried t
    WHERE NOT EXISTS (SELECT FROM payment_events v WHERE v.invoice_id = t.invoice_id AND v.kind = 'invoice_voided')
        -- The history as it was then, or as it begins where that is later.
        AND coalesce(to_timestamp((coalesce(
            (SELECT v.facts FROM subscription_versions v WHERE v.subscription_id = t.subscription_id AND v.at <= t.first_at ORDER BY v.at DESC LIMIT 1),
            (SELECT v.facts FROM subscription_versions v WHERE v.subscription_id = t.subscription_id ORDER BY v.at LIMIT 1)
        ) ->> 'trial_end')::bigint) NOT BETWEEN t.first_at - interval '3 days' AND t.first_at, true)
)
SELECT currency, date_trunc('month', first_at AT TIME ZONE @zone::text)::date AS month, asked::boolean AS asked,
    (CASE WHEN paid_at IS NOT NULL THEN 'recovered' WHEN lost_at IS NOT NULL THEN 'lost' ELSE 'in_retry' END)::text AS outcome,
    date_trunc('month', coalesce(paid_at, lost_at, first_at) AT TIME ZONE @zone::text)::date AS settled,
    sum(amount_minor)::bigint AS amount_minor, count(*) AS invoices
FROM fate GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5;

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
-- only looks the funnel tells.
WHERE e.kind <> 'pricing_viewed' AND e.kind NOT IN ('payment_method_attached', 'payment_method_detached', 'payment_method_updated')
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
-- By how much pledges changed on each day up to the last one.
SELECT day, sum(ending_micro)::bigint AS ending_micro, sum(trial_micro)::bigint AS trial_micro
FROM pledge_daily WHERE gen = @gen AND day <= @last::date AND currency = @currency AND (@plan::text = '' OR plan = @plan::text)
GROUP BY day ORDER BY day;

-- name: RetentionBetween :many
-- Of the account where the plan is empty: it has rows of its own.
SELECT period_end, horizon, net_micro, gross_lost_micro, lost_customers, lost_micro, involuntary_customers, involuntary_micro
FROM retention_change
WHERE gen = @gen AND period_end BETWEEN @first::date AND @last::date AND currency = @currency AND plan = @plan
ORDER BY period_end, horizon;
