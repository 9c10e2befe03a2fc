-- name: MovementsBehind :many
-- The movements of some kinds, newest first, from behind the last row of a page.
-- Each kind is read by its own index, however many there are of the others.
SELECT m.day, m.customer, m.kind, m.plan, m.amount_micro, m.customers, m.subscribers, m.reason, coalesce(o.name, '')::text AS org_name
FROM (
    SELECT b.day, b.customer, b.kind, b.plan, b.amount_micro, b.customers, b.subscribers, b.reason
    FROM (SELECT unnest(@kinds::text[]) AS kind) k
    CROSS JOIN LATERAL (
        SELECT c.day, c.customer, c.kind, c.plan, c.amount_micro, c.customers, c.subscribers, c.reason
        FROM customer_movement c
        WHERE c.gen = @gen AND c.kind = k.kind AND c.currency = @currency AND (@plan::text = '' OR c.plan = @plan::text)
            AND c.day BETWEEN @first::date AND @until::date
            AND (c.day < @until::date OR (c.customer, c.kind, c.plan) > (@after_customer::text, @after_kind::text, @after_plan::text))
            AND (NOT @is_counted::boolean OR CASE WHEN @is_plan::boolean THEN c.subscribers ELSE c.customers END <> 0)
        ORDER BY c.day DESC, c.customer, c.plan LIMIT @at_most::int
    ) b
    ORDER BY b.day DESC, b.customer, b.kind, b.plan LIMIT @at_most::int
) m
LEFT JOIN organizations o ON o.id = CASE WHEN m.customer LIKE 'org:%' THEN substr(m.customer, 5)::uuid END
ORDER BY m.day DESC, m.customer, m.kind, m.plan;

-- name: LastMovedBetween :many
-- Customers by the day of their last movement in a period, newest first, with the
-- MRR that they had as it began and have at its end.
SELECT m.day, m.customer,
    coalesce((SELECT b.mrr_micro FROM customer_day b WHERE b.gen = @gen AND b.customer = m.customer AND b.currency = @currency AND b.day < @first::date
        ORDER BY b.day DESC LIMIT 1), 0)::bigint AS opening_micro,
    coalesce((SELECT e.mrr_micro FROM customer_day e WHERE e.gen = @gen AND e.customer = m.customer AND e.currency = @currency AND e.day <= @last::date
        ORDER BY e.day DESC LIMIT 1), 0)::bigint AS closing_micro
FROM (
    SELECT c.day, c.customer FROM customer_movement c
    WHERE c.gen = @gen AND c.currency = @currency AND c.day BETWEEN @first::date AND @until::date AND c.kind = ANY (@kinds::text[])
        AND (@reason::text = '' OR c.reason = @reason::text) AND (c.day < @until::date OR c.customer > @after_customer::text)
        AND NOT EXISTS (SELECT FROM customer_movement l
            WHERE l.gen = c.gen AND l.customer = c.customer AND l.currency = c.currency AND l.day > c.day AND l.day <= @last::date)
    GROUP BY c.day, c.customer ORDER BY c.day DESC, c.customer LIMIT @at_most::int
) m
ORDER BY m.day DESC, m.customer;

-- name: LastPledgedBefore :many
-- Customers by the day on which what they pledged changed last, newest first, with
-- what came of it by the last day: MRR that is scheduled to end, and what their
-- trials are worth.
SELECT m.day, m.customer, t.ending_micro::bigint AS ending_micro, t.trial_micro::bigint AS trial_micro, coalesce(o.name, '')::text AS org_name
FROM (
    SELECT c.day, c.customer FROM customer_pledge c
    WHERE c.gen = @gen AND c.currency = @currency AND (@plan::text = '' OR c.plan = @plan::text)
        AND c.day <= @until::date AND (c.day < @until::date OR c.customer > @after_customer::text)
        AND NOT EXISTS (SELECT FROM customer_pledge l
            WHERE l.gen = c.gen AND l.customer = c.customer AND l.currency = c.currency AND l.day > c.day AND l.day <= @last::date
                AND (@plan::text = '' OR l.plan = @plan::text))
    GROUP BY c.day, c.customer ORDER BY c.day DESC, c.customer LIMIT @at_most::int
) m
CROSS JOIN LATERAL (
    SELECT sum(p.ending_micro) AS ending_micro, sum(p.trial_micro) AS trial_micro FROM customer_pledge p
    WHERE p.gen = @gen AND p.customer = m.customer AND p.currency = @currency AND (@plan::text = '' OR p.plan = @plan::text) AND p.day <= @last::date
) t
LEFT JOIN organizations o ON o.id = CASE WHEN m.customer LIKE 'org:%' THEN substr(m.customer, 5)::uuid END
ORDER BY m.day DESC, m.customer;

-- name: EventsOfDays :many
-- What happened to ledger customers on days, in a zone.
SELECT d.customer::text AS customer, d.day::date AS day, e.kind, e.at, e.plan, e."interval", e.currency, e.amount_minor, e.subscription_id, e.invoice_id, e.source_event_id, e.details
FROM (SELECT unnest(@customers::text[]) AS customer, unnest(@days::date[]) AS day) d
CROSS JOIN LATERAL (
    SELECT c.stripe_customer_id FROM customers c WHERE c.org_id = CASE WHEN d.customer LIKE 'org:%' THEN substr(d.customer, 5)::uuid END
    UNION ALL SELECT d.customer WHERE d.customer NOT LIKE 'org:%'
) s
JOIN payment_events e ON e.stripe_customer_id = s.stripe_customer_id
    AND e.at >= d.day::timestamp AT TIME ZONE @time_zone::text AND e.at < (d.day + 1)::timestamp AT TIME ZONE @time_zone::text
ORDER BY d.customer, d.day, e.at, e.id;

-- name: OpenIntegrityIssues :many
-- A day that is not said is the first of the calendar.
SELECT id, check_name, detail, coalesce(first_day, '0001-01-01')::date AS first_day, coalesce(last_day, '0001-01-01')::date AS last_day, found_at, seen_at FROM metric_integrity_issue
WHERE resolved_at IS NULL ORDER BY found_at, id;

-- name: LastChecks :many
-- When the invariants were last checked to the end, of the last weeks and of all.
SELECT DISTINCT ON (scope) scope, finished_at::timestamptz AS finished_at, customers
FROM metric_verification WHERE finished_at IS NOT NULL ORDER BY scope, started_at DESC;

-- name: DeclinedBehind :many
-- Renewals that were declined at their first attempt, newest first.
SELECT i.day, i.customer, i.invoice_id, i.plan, i.amount_minor, i.fate, i.reason, coalesce(o.name, '')::text AS org_name
FROM (
    SELECT c.day, c.customer, c.invoice_id, c.plan, c.amount_minor, c.fate, c.reason FROM invoice_outcome c
    WHERE c.gen = @gen AND c.currency = @currency AND (@plan::text = '' OR c.plan = @plan::text) AND c.fate <> 'paid' AND NOT c.asked
        AND c.day BETWEEN @first::date AND @until::date AND (c.day < @until::date OR (c.customer, c.invoice_id) > (@after_customer::text, @after_invoice::text))
    ORDER BY c.day DESC, c.customer, c.invoice_id LIMIT @at_most::int
) i
LEFT JOIN organizations o ON o.id = CASE WHEN i.customer LIKE 'org:%' THEN substr(i.customer, 5)::uuid END
ORDER BY i.day DESC, i.customer, i.invoice_id;

-- name: TrialsBehind :many
-- Trials that ended, newest first.
SELECT t.ended_day::date AS ended_day, t.customer, t.subscription_id, t.plan, t.fate, coalesce(o.name, '')::text AS org_name
FROM (
    SELECT c.ended_day, c.customer, c.subscription_id, c.plan, c.fate FROM trial_outcome c
    WHERE c.gen = @gen AND c.currency = @currency AND (@plan::text = '' OR c.plan = @plan::text)
        AND c.ended_day BETWEEN @first::date AND @until::date AND (c.ended_day < @until::date OR (c.customer, c.subscription_id) > (@after_customer::text, @after_subscription::text))
    ORDER BY c.ended_day DESC, c.customer, c.subscription_id LIMIT @at_most::int
) t
LEFT JOIN organizations o ON o.id = CASE WHEN t.customer LIKE 'org:%' THEN substr(t.customer, 5)::uuid END
ORDER BY t.ended_day DESC, t.customer, t.subscription_id;

-- name: TransactionsBehind :many
-- Balance transactions that are counted, newest first, with whose they are where
-- that is known.
SELECT e.day, e.id, e.kind, e.amount_minor, e.fee_minor, e.net_minor, b.type, coalesce(b.source_id, '')::text AS source_id,
    coalesce('org:' || c.org_id::text, s.stripe_customer_id, '')::text AS customer, coalesce(o.name, '')::text AS org_name
FROM (
    SELECT t.day, t.id, t.kind, t.amount_minor, t.fee_minor, t.net_minor FROM cash_entry t
    WHERE t.gen = @gen AND t.currency = @currency AND (@kind::text = '' OR t.kind = @kind::text) AND (NOT @has_fee::boolean OR t.fee_minor <> 0)
        AND t.day BETWEEN @first::date AND @until::date AND (t.day < @until::date OR t.id > @after_id::text)
    ORDER BY t.day DESC, t.id LIMIT @at_most::int
) e
JOIN balance_transactions b ON b.id = e.id
LEFT JOIN stripe_objects s ON s.object_id = b.source_id
LEFT JOIN customers c ON c.stripe_customer_id = s.stripe_customer_id
LEFT JOIN organizations o ON o.id = c.org_id
ORDER BY e.day DESC, e.id;

-- name: VisitorsBehind :many
-- Visitors who entered with a look at the prices and reached a step, newest first.
SELECT f.day, f.visitor, f.entered_at, f.plan, f.customer, f.reached, coalesce(o.name, '')::text AS org_name
FROM (
    SELECT u.day, u.visitor, u.entered_at, u.plan, u.customer, u.reached FROM funnel_unit u
    WHERE u.gen = @gen AND u.bucket = 'viewed' AND (@plan::text = '' OR u.plan = @plan::text) AND u.reached >= @reached::smallint
        AND u.day BETWEEN @first::date AND @until::date AND (u.day < @until::date OR u.visitor > @after_visitor::text)
    ORDER BY u.day DESC, u.visitor LIMIT @at_most::int
) f
LEFT JOIN organizations o ON o.id = CASE WHEN f.customer LIKE 'org:%' THEN substr(f.customer, 5)::uuid END
ORDER BY f.day DESC, f.visitor;
