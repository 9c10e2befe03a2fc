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
-- what has none: trials, and what is paid for at a price that is not known.
SELECT l.currency, coalesce(l.plan, '')::text AS plan,
    count(DISTINCT coalesce(l.org_id::text, l.stripe_customer_id)) FILTER (WHERE l.mrr_micro IS NOT NULL) AS customers,
    count(*) FILTER (WHERE l.status = 'trialing') AS trialing,
    count(*) FILTER (WHERE l.status IN ('active', 'past_due') AND l.amount_minor IS NULL) AS unpriced
FROM subscription_list l WHERE l.status IN ('active', 'past_due', 'trialing')
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: FailedInvoices :many
-- Invoices for a subscription that goes on, whose payment failed: by the month of
-- the first failure, by what became of them, and by the month in which that was
-- settled, which means nothing for those in retry. Paid by whatever means is
-- recovered; lost is what is not paid when the subscription ends or turns unpaid,
-- or sixty days after the last attempt, beyond which nobody lets Stripe retry.
-- Materialized, or each look-up would be made for each column that needs it.
WITH failed AS (
    SELECT invoice_id, min(at) AS first_at, max(at) AS last_at, min(stripe_customer_id) AS stripe_customer_id,
        min(subscription_id) AS subscription_id, min(currency)::text AS currency, (array_agg(amount_minor ORDER BY at, id))[1] AS amount_minor
    FROM payment_events
    WHERE kind = 'payment_failed' AND at >= @since::timestamptz AND invoice_id IS NOT NULL AND currency IS NOT NULL AND amount_minor > 0
        AND details ->> 'billing_reason' IS DISTINCT FROM 'subscription_create'
    GROUP BY invoice_id
), fate AS MATERIALIZED (
    SELECT f.*,
        (SELECT min(p.at) FROM payment_events p WHERE p.invoice_id = f.invoice_id AND p.kind = 'payment_succeeded') AS paid_at,
        least((SELECT min(e.at) FROM payment_events e
               WHERE e.stripe_customer_id = f.stripe_customer_id AND e.subscription_id = f.subscription_id AND e.at >= f.first_at
                   AND e.kind IN ('subscription_canceled', 'subscription_unpaid', 'subscription_incomplete_expired')),
              CASE WHEN f.last_at + interval '60 days' <= @as_of::timestamptz THEN f.last_at + interval '60 days' END) AS lost_at
    FROM failed f
)
SELECT currency, date_trunc('month', first_at AT TIME ZONE @zone::text)::date AS month,
    (CASE WHEN paid_at IS NOT NULL THEN 'recovered' WHEN lost_at IS NOT NULL THEN 'lost' ELSE 'in_retry' END)::text AS outcome,
    date_trunc('month', coalesce(paid_at, lost_at, first_at) AT TIME ZONE @zone::text)::date AS settled,
    sum(amount_minor)::bigint AS amount_minor, count(*) AS invoices
FROM fate GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

-- name: NewestPaymentEvents :many
-- With the organization of the customer as it is linked now, where it was not
-- linked when it happened.
SELECT e.id, e.kind, e.at, o.id AS org_id, o.name AS org_name, e.stripe_customer_id, e.subscription_id, e.plan, e."interval",
    e.currency, e.amount_minor, coalesce(e.details ->> 'billing_reason', '')::text AS billing_reason,
    coalesce(e.details ->> 'from_plan', '')::text AS from_plan, coalesce(e.details ->> 'from_status', '')::text AS from_status
FROM payment_events e
LEFT JOIN customers c ON c.stripe_customer_id = e.stripe_customer_id
LEFT JOIN organizations o ON o.id = coalesce(e.org_id, c.org_id)
ORDER BY e.at DESC, e.id DESC LIMIT $1;
