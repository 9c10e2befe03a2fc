-- name: PlanWithParameters :exec
-- Until the end of the transaction. A plan that must serve every filter at once
-- decides for each row anew what it is asked for: three times the work.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: SubscriptionsMatching :many
-- Every subscription that a filter lets through, in order. Whoever asks counts
-- them, adds them up by currency and cuts out a page, so that no figure beside
-- the list can disagree with the list. Amounts of several currencies are not
-- comparable, so that the order by MRR is within each.
SELECT l.id, l.currency, l.mrr_micro FROM (
    SELECT v.stripe_subscription_id AS id, v.currency, coalesce(v.mrr_micro, 0)::bigint AS mrr_micro, v.created_at,
        CASE @sort::text
            WHEN 'mrr' THEN v.currency
            WHEN 'organization' THEN (v.org_name IS NULL)::text
        END AS section,
        CASE WHEN @sort = 'organization' THEN lower(coalesce(v.org_name, v.stripe_customer_id)) END AS by_text,
        CASE @sort
            WHEN 'plan' THEN 10 * array_position(@plans::text[], v.plan) + array_position(ARRAY['day', 'week', 'month', 'year'], v."interval")
            WHEN 'mrr' THEN coalesce(v.mrr_micro, 0)
            WHEN 'status' THEN array_position(
                ARRAY['past_due', 'unpaid', 'incomplete', 'paused', 'trialing', 'active', 'canceled', 'incomplete_expired'], v.status)
            WHEN 'started' THEN extract(epoch FROM v.created_at)::bigint
            WHEN 'renews' THEN extract(epoch FROM v.renews_at)::bigint
        END AS by_number
    FROM subscription_list v
    WHERE (@status::text = '' OR v.status = @status)
        AND (@plan::text = '' OR coalesce(v.plan, 'unknown') = @plan)
        AND (@interval::text = '' OR v."interval" = @interval)
        AND (NOT @is_ending::boolean OR v.ends_at IS NOT NULL)
        AND (NOT @is_failing::boolean OR v.status IN ('past_due', 'unpaid'))
        -- Both sides are put in lower case here: what that means is for the
        -- database's locale to say.
        AND (@words::text = ''
            OR strpos(lower(v.org_name), lower(@words)) > 0
            OR strpos(lower(v.stripe_customer_id), lower(@words)) > 0
            OR strpos(lower(v.stripe_subscription_id), lower(@words)) > 0
            OR strpos(lower(v.stripe_price_id), lower(@words)) > 0
            OR strpos(lower(v.latest_invoice_id), lower(@words)) > 0
            OR v.org_id IN (SELECT m.org_id FROM memberships m JOIN users u ON u.id = m.user_id WHERE strpos(u.email, lower(@words)) > 0))
) l
ORDER BY l.section,
    CASE WHEN NOT @descending::boolean THEN l.by_text END, CASE WHEN @descending THEN l.by_text END DESC NULLS LAST,
    CASE WHEN NOT @descending THEN l.by_number END NULLS LAST, CASE WHEN @descending THEN l.by_number END DESC NULLS LAST,
    l.created_at DESC, l.id;

-- name: ListedSubscriptions :many
-- Of the given ids, in their order.
SELECT * FROM subscription_list WHERE stripe_subscription_id = ANY (@ids::text[])
ORDER BY array_position(@ids::text[], stripe_subscription_id);

-- name: PlansAndIntervals :many
-- What there is to choose from.
SELECT DISTINCT coalesce(plan, 'unknown')::text AS plan, coalesce("interval", '')::text AS "interval" FROM subscriptions ORDER BY 1, 2;

-- name: OrganizationByID :one
SELECT * FROM organizations WHERE id = $1;

-- name: MembersOf :many
-- The owner first.
SELECT u.name, u.email, m.role, m.created_at FROM memberships m JOIN users u ON u.id = m.user_id
WHERE m.org_id = $1
ORDER BY array_position(ARRAY['owner', 'admin', 'billing', 'member'], m.role), m.created_at, u.email;

-- name: CustomersOfOrganization :many
-- The current one first.
SELECT * FROM customers WHERE org_id = @org_id::uuid ORDER BY is_current DESC, created_at DESC, stripe_customer_id;

-- name: ListedSubscriptionsOfCustomers :many
-- Newest first.
SELECT * FROM subscription_list WHERE stripe_customer_id = ANY (@stripe_customer_ids::text[])
ORDER BY created_at DESC, stripe_subscription_id;

-- name: BalancesOfCustomer :many
-- What a ledger customer is worth now and was worth at its best, by currency.
SELECT d.currency, (array_agg(d.mrr_micro ORDER BY d.day DESC))[1]::bigint AS now_micro, max(d.mrr_micro)::bigint AS best_micro,
    (array_agg(d.day ORDER BY d.mrr_micro DESC, d.day))[1]::date AS best_day, min(d.day)::date AS first_day
FROM customer_day d WHERE d.gen = @gen AND d.customer = @customer
GROUP BY d.currency ORDER BY d.currency;

-- name: PaidByCustomer :many
-- What has come in, by currency. Whose an event is, TimeLine says.
SELECT coalesce(e.currency, '')::text AS currency, sum(e.amount_minor)::bigint AS amount_minor, count(*) AS payments
FROM payment_events e
WHERE (e.org_id = @org_id::uuid OR e.org_id IS NULL AND e.stripe_customer_id = ANY (@stripe_customer_ids::text[]))
    AND e.kind = 'payment_succeeded' AND e.amount_minor IS NOT NULL
GROUP BY 1 ORDER BY 1;

-- name: TimeLineLength :one
SELECT (SELECT count(*) FROM payment_events e
        WHERE e.org_id = @org_id::uuid OR e.org_id IS NULL AND e.stripe_customer_id = ANY (@stripe_customer_ids::text[]))
    + (SELECT count(DISTINCT (m.day, m.currency)) FROM customer_movement m WHERE m.gen = @gen AND m.customer = @customer) AS length;

-- name: TimeLine :many
-- What happened to a customer, newest first, and between it how its MRR moved:
-- a movement stands above the events of its day, since it is the day's result.
-- An event is of the organization that it names; where it names none, of the
-- customer's.
SELECT t.day::date AS day, t.at::timestamptz AS at, t.is_movement::boolean AS is_movement, t.kind::text AS kind, t.plan, t."interval",
    t.currency, t.amount_minor, t.subscription_id, t.invoice_id, t.source_event_id, t.details::jsonb AS details,
    t.amount_micro::bigint AS amount_micro, t.balance_micro::bigint AS balance_micro, t.reason::text AS reason,
    t.left_plan::text AS left_plan, t.entered_plan::text AS entered_plan
FROM (
    SELECT (e.at AT TIME ZONE @time_zone::text)::date AS day, e.at, e.id, false AS is_movement, e.kind, e.plan, e."interval",
        e.currency, e.amount_minor, e.subscription_id, e.invoice_id, e.source_event_id, e.details,
        0 AS amount_micro, 0 AS balance_micro, '' AS reason, '' AS left_plan, '' AS entered_plan
    FROM payment_events e
    WHERE e.org_id = @org_id::uuid OR e.org_id IS NULL AND e.stripe_customer_id = ANY (@stripe_customer_ids::text[])
    UNION ALL
    SELECT m.day, m.day::timestamp AT TIME ZONE @time_zone, 0, true,
        coalesce(min(m.kind) FILTER (WHERE m.kind NOT IN ('transfer_in', 'transfer_out')), 'transfer'), NULL, NULL,
        m.currency, NULL, NULL, NULL, NULL, '{}',
        sum(m.amount_micro), coalesce((SELECT d.mrr_micro FROM customer_day d WHERE (d.gen, d.customer, d.currency) = (m.gen, m.customer, m.currency)
            AND d.day <= m.day ORDER BY d.day DESC LIMIT 1), 0), min(m.reason),
        coalesce(min(m.plan) FILTER (WHERE m.kind = 'transfer_out'), ''), coalesce(min(m.plan) FILTER (WHERE m.kind = 'transfer_in'), '')
    FROM customer_movement m WHERE m.gen = @gen AND m.customer = @customer
    GROUP BY m.gen, m.customer, m.currency, m.day
) t
ORDER BY t.day DESC, t.is_movement DESC, t.at DESC, t.id DESC, t.currency
LIMIT @at_most OFFSET @past;

-- name: AlertsThatFire :many
-- The gravest first, then the newest, with the organization of the customer as
-- it is linked now.
SELECT a.id, a.rule, a.severity, a.opened_at, a.last_seen_at, a.seen, o.id AS org_id, o.name AS org_name, a.stripe_customer_id,
    coalesce(a.object_id, '')::text AS object_id, a.message, coalesce(a.proposal, '')::text AS proposal
FROM payment_alerts a
LEFT JOIN customers c ON c.stripe_customer_id = a.stripe_customer_id
LEFT JOIN organizations o ON o.id = coalesce(a.org_id, c.org_id)
WHERE a.state = 'firing'
ORDER BY array_position(ARRAY['critical', 'warning', 'info'], a.severity), a.opened_at DESC, a.id DESC
LIMIT @at_most;

-- name: AlertsThatFireFor :many
-- Those of one customer, in the same order.
SELECT a.id, a.rule, a.severity, a.opened_at, a.last_seen_at, a.seen, o.id AS org_id, o.name AS org_name, a.stripe_customer_id,
    coalesce(a.object_id, '')::text AS object_id, a.message, coalesce(a.proposal, '')::text AS proposal
FROM payment_alerts a
LEFT JOIN organizations o ON o.id = a.org_id
WHERE a.state = 'firing' AND (a.org_id = @org_id::uuid OR a.stripe_customer_id = ANY (@stripe_customer_ids::text[]))
ORDER BY array_position(ARRAY['critical', 'warning', 'info'], a.severity), a.opened_at DESC, a.id DESC
LIMIT @at_most;

-- name: FiringAlertCount :one
SELECT count(*) FROM payment_alerts WHERE state = 'firing';
