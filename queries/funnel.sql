-- name: RecordPricingViews :exec
-- A visitor once a day of the reporting zone, at the first look of that day in
-- whatever order they are written. Who is new is marked in the same transaction.
WITH fresh AS (
    INSERT INTO payment_events (kind, natural_key, at, visitor_id, livemode)
    SELECT 'pricing_viewed', v.visitor_id::text || ':' || to_char(v.at AT TIME ZONE g.time_zone, 'YYYY-MM-DD'),
        date_trunc('second', min(v.at)), v.visitor_id, @livemode
    FROM (SELECT unnest(@visitor_ids::uuid[]) AS visitor_id, unnest(@at::timestamptz[]) AS at) v, metric_generation g
    WHERE g.state = 'live'
    GROUP BY 2, v.visitor_id ORDER BY 2
    ON CONFLICT (kind, natural_key) DO UPDATE SET at = excluded.at WHERE excluded.at < payment_events.at
    RETURNING visitor_id
)
INSERT INTO metric_dirty (customer_id) SELECT DISTINCT 'visit:' || visitor_id::text FROM fresh;

-- name: MarkVisits :exec
-- The visitors whose checkouts these are, or the organizations of those without.
INSERT INTO metric_dirty (customer_id)
SELECT DISTINCT 'visit:' || coalesce(a.visitor_id::text, 'org:' || a.org_id::text) FROM checkout_attempts a
WHERE a.in_funnel AND (a.session_id = ANY (@session_ids::text[]) OR a.subscription_id = ANY (@subscription_ids::text[]));

-- name: MarkEveryVisit :execrows
INSERT INTO metric_todo (gen, customer_id)
SELECT @gen, 'visit:' || v.visitor FROM (
    SELECT visitor_id::text AS visitor FROM payment_events WHERE kind = 'pricing_viewed'
    UNION SELECT coalesce(visitor_id::text, 'org:' || org_id::text) FROM checkout_attempts WHERE in_funnel
) v WHERE v.visitor IS NOT NULL ORDER BY 2;

-- name: PricingViews :many
SELECT visitor_id::uuid AS visitor_id, at FROM payment_events
WHERE kind = 'pricing_viewed' AND visitor_id = ANY (@visitor_ids::uuid[]) AND livemode = @livemode;

-- name: FunnelCheckouts :many
-- Checkouts of visitors, and those of organizations that came without one, with
-- what became of each; what has not happened has the second 0. Where no event
-- told that one is complete it was found so.
SELECT a.id, a.visitor_id, a.org_id, a.plan, coalesce((a.params ->> 'trial_days')::int, 0)::int AS trial_days, s.at AS started_at,
    coalesce(
        (SELECT c.at FROM payment_events c WHERE c.kind = 'checkout_completed' AND c.natural_key = a.session_id),
        CASE WHEN a.state = 'complete' THEN date_trunc('second', a.ended_at) END, to_timestamp(0)
    )::timestamptz AS completed_at,
    coalesce((SELECT min(e.at) FROM payment_events e
        WHERE e.kind IN ('trial_started', 'subscription_activated') AND e.natural_key = a.subscription_id
    ), to_timestamp(0))::timestamptz AS activated_at,
    coalesce((SELECT min(e.at) FROM payment_events e
        WHERE e.stripe_customer_id = a.params ->> 'customer' AND e.kind = 'payment_succeeded' AND e.subscription_id = a.subscription_id AND e.amount_minor > 0
    ), to_timestamp(0))::timestamptz AS paid_at
FROM checkout_attempts a JOIN payment_events s ON s.kind = 'checkout_started' AND s.natural_key = a.session_id
WHERE a.in_funnel AND s.livemode = @livemode
    AND (a.visitor_id = ANY (@visitor_ids::uuid[]) OR a.visitor_id IS NULL AND a.org_id = ANY (@org_ids::uuid[]));

-- name: AppliedUnits :many
SELECT * FROM funnel_unit WHERE gen = ANY (@gens::int[]) AND visitor = ANY (@visitors::text[]);

-- name: DeleteUnits :exec
DELETE FROM funnel_unit t USING jsonb_populate_recordset(NULL::funnel_unit, @rows::jsonb) AS r
WHERE (t.gen, t.visitor, t.entered_at) = (r.gen, r.visitor, r.entered_at);

-- name: InsertUnits :exec
INSERT INTO funnel_unit (gen, visitor, entered_at, day, bucket, plan, customer, reached, started_seconds, completed_seconds, activated_seconds, paid_seconds, settled_on)
SELECT r.gen, r.visitor, r.entered_at, r.day, r.bucket, r.plan, r.customer, r.reached, r.started_seconds, r.completed_seconds, r.activated_seconds, r.paid_seconds, r.settled_on
FROM jsonb_populate_recordset(NULL::funnel_unit, @rows::jsonb) AS r;

-- name: AddToFunnelDaily :one
WITH sums AS (
    INSERT INTO funnel_daily (gen, day, bucket, plan, viewed, started, completed, activated, paid)
    SELECT r.gen, r.day, r.bucket, r.plan, r.viewed, r.started, r.completed, r.activated, r.paid
    FROM jsonb_populate_recordset(NULL::funnel_daily, @rows::jsonb) AS r ORDER BY 1, 2, 3, 4
    ON CONFLICT (gen, day, bucket, plan) DO UPDATE SET
        viewed = funnel_daily.viewed + excluded.viewed, started = funnel_daily.started + excluded.started,
        completed = funnel_daily.completed + excluded.completed, activated = funnel_daily.activated + excluded.activated,
        paid = funnel_daily.paid + excluded.paid
    RETURNING viewed, started, completed, activated, paid
)
SELECT count(*) FROM sums WHERE viewed = 0 AND started = 0 AND completed = 0 AND activated = 0 AND paid = 0;

-- name: DropEmptyFunnelDaily :exec
DELETE FROM funnel_daily t USING jsonb_populate_recordset(NULL::funnel_daily, @rows::jsonb) AS r
WHERE (t.gen, t.day, t.bucket, t.plan) = (r.gen, r.day, r.bucket, r.plan)
    AND t.viewed = 0 AND t.started = 0 AND t.completed = 0 AND t.activated = 0 AND t.paid = 0;

-- name: AddToFunnelTime :one
WITH sums AS (
    INSERT INTO funnel_time (gen, day, bucket, plan, step, took, n)
    SELECT r.gen, r.day, r.bucket, r.plan, r.step, r.took, r.n
    FROM jsonb_populate_recordset(NULL::funnel_time, @rows::jsonb) AS r ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (gen, day, bucket, plan, step, took) DO UPDATE SET n = funnel_time.n + excluded.n
    RETURNING n
)
SELECT count(*) FROM sums WHERE n = 0;

-- name: DropEmptyFunnelTime :exec
DELETE FROM funnel_time t USING jsonb_populate_recordset(NULL::funnel_time, @rows::jsonb) AS r
WHERE (t.gen, t.day, t.bucket, t.plan, t.step, t.took) = (r.gen, r.day, r.bucket, r.plan, r.step, r.took) AND t.n = 0;

-- name: AddToFunnelTimeMonthly :one
WITH sums AS (
    INSERT INTO funnel_time_monthly (gen, month, bucket, plan, step, took, n)
    SELECT r.gen, r.month, r.bucket, r.plan, r.step, r.took, r.n
    FROM jsonb_populate_recordset(NULL::funnel_time_monthly, @rows::jsonb) AS r ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (gen, month, bucket, plan, step, took) DO UPDATE SET n = funnel_time_monthly.n + excluded.n
    RETURNING n
)
SELECT count(*) FROM sums WHERE n = 0;

-- name: DropEmptyFunnelTimeMonthly :exec
DELETE FROM funnel_time_monthly t USING jsonb_populate_recordset(NULL::funnel_time_monthly, @rows::jsonb) AS r
WHERE (t.gen, t.month, t.bucket, t.plan, t.step, t.took) = (r.gen, r.month, r.bucket, r.plan, r.step, r.took) AND t.n = 0;

-- name: AddToFunnelPending :one
WITH sums AS (
    INSERT INTO funnel_pending (gen, settled_on, day, bucket, plan, reached, n)
    SELECT r.gen, r.settled_on, r.day, r.bucket, r.plan, r.reached, r.n
    FROM jsonb_populate_recordset(NULL::funnel_pending, @rows::jsonb) AS r ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (gen, settled_on, day, bucket, plan, reached) DO UPDATE SET n = funnel_pending.n + excluded.n
    RETURNING n
)
SELECT count(*) FROM sums WHERE n = 0;

-- name: DropEmptyFunnelPending :exec
DELETE FROM funnel_pending t USING jsonb_populate_recordset(NULL::funnel_pending, @rows::jsonb) AS r
WHERE (t.gen, t.settled_on, t.day, t.bucket, t.plan, t.reached) = (r.gen, r.settled_on, r.day, r.bucket, r.plan, r.reached) AND t.n = 0;

-- name: UnitsAfter :many
-- Every unit, a page at a time in the order of its key.
SELECT * FROM funnel_unit
WHERE gen = @gen AND (visitor, entered_at) > (@after_visitor::text, @after_entered_at::timestamptz)
ORDER BY visitor, entered_at LIMIT @at_most;

-- name: FunnelDailyOf :many
SELECT * FROM funnel_daily WHERE gen = @gen;

-- name: FunnelTimeOf :many
SELECT * FROM funnel_time WHERE gen = @gen;

-- name: FunnelTimeMonthlyOf :many
SELECT * FROM funnel_time_monthly WHERE gen = @gen;

-- name: FunnelPendingOf :many
SELECT * FROM funnel_pending WHERE gen = @gen;

-- name: FunnelOfPeriods :many
-- How many of those who entered in each period, a day, a week or a month, reached
-- each step, by plan.
SELECT date_trunc(@unit::text, day::timestamp)::date AS start, bucket, plan, sum(viewed)::bigint AS viewed, sum(started)::bigint AS started,
    sum(completed)::bigint AS completed, sum(activated)::bigint AS activated, sum(paid)::bigint AS paid
FROM funnel_daily WHERE gen = @gen AND day BETWEEN @first::date AND @last::date AND (@plan::text = '' OR plan = @plan::text)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: FunnelPendingOfPeriods :many
-- How many of those may still be counted for more.
SELECT date_trunc(@unit::text, day::timestamp)::date AS start, (reached < 2)::boolean AS is_before_completed, sum(n)::bigint AS n
FROM funnel_pending
WHERE gen = @gen AND settled_on > @today::date AND day BETWEEN @first::date AND @last::date AND (@plan::text = '' OR plan = @plan::text)
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: FunnelTimes :many
-- Of the whole months from month up to before after, and of the days before and
-- after them.
SELECT t.bucket, t.step, t.took, sum(t.n)::bigint AS n
FROM (
    SELECT m.bucket, m.step, m.took, m.n FROM funnel_time_monthly m
    WHERE m.gen = @gen AND m.month >= @month::date AND m.month < @after::date AND (@plan::text = '' OR m.plan = @plan::text)
    UNION ALL
    SELECT d.bucket, d.step, d.took, d.n FROM funnel_time d
    WHERE d.gen = @gen AND d.day >= @first::date AND d.day < @month::date AND (@plan::text = '' OR d.plan = @plan::text)
    UNION ALL
    SELECT d.bucket, d.step, d.took, d.n FROM funnel_time d
    WHERE d.gen = @gen AND d.day >= @after::date AND d.day <= @last::date AND (@plan::text = '' OR d.plan = @plan::text)
) t
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: FunnelBegan :one
-- The day of the first who entered, or another where nobody did.
SELECT coalesce(min(day), @otherwise::date)::date AS day FROM funnel_daily WHERE gen = @gen;
