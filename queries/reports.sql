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

-- name: SubscriptionsByPlan :many
-- The copies: what Stripe says now, whatever it is worth.
SELECT coalesce(plan, '')::text AS plan,
    count(*) FILTER (WHERE status IN ('active', 'past_due')) AS active,
    count(*) FILTER (WHERE status = 'trialing') AS trialing,
    count(*) FILTER (WHERE status IN ('active', 'past_due') AND amount_minor IS NULL) AS unpriced
FROM subscriptions WHERE status IN ('active', 'past_due', 'trialing')
GROUP BY 1 ORDER BY 1;

-- name: NewestPaymentEvents :many
-- With the organization of the customer as it is linked now, where it was not
-- linked when it happened.
SELECT e.id, e.kind, e.at, o.id AS org_id, o.name AS org_name, e.stripe_customer_id, e.subscription_id, e.plan, e."interval",
    e.currency, e.amount_minor
FROM payment_events e
LEFT JOIN customers c ON c.stripe_customer_id = e.stripe_customer_id
LEFT JOIN organizations o ON o.id = coalesce(e.org_id, c.org_id)
ORDER BY e.at DESC, e.id DESC LIMIT $1;
