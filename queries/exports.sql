-- Files are read a batch at a time: each begins behind the last row of the one
-- before, so that none costs more than the first.

-- name: MovementsAfter :many
SELECT m.day, m.customer, m.kind, m.plan, m.amount_micro, m.customers, m.subscribers, m.reason, coalesce(o.name, '')::text AS org_name
FROM (
    SELECT c.day, c.customer, c.kind, c.plan, c.amount_micro, c.customers, c.subscribers, c.reason,
        CASE WHEN c.customer LIKE 'org:%' THEN substr(c.customer, 5)::uuid END AS org_id
    FROM customer_movement c
    WHERE c.gen = @gen AND c.currency = @currency AND (@plan::text = '' OR c.plan = @plan::text) AND c.day BETWEEN @from_day::date AND @last::date
        AND (c.day > @from_day::date OR (c.customer, c.kind, c.plan) > (@after_customer::text, @after_kind::text, @after_plan::text))
    ORDER BY c.day, c.customer, c.kind, c.plan LIMIT @at_most::int
) m
LEFT JOIN organizations o ON o.id = m.org_id
ORDER BY m.day, m.customer, m.kind, m.plan;

-- name: CustomersAfter :many
-- Everyone who ever had MRR in a currency up to a day, with what it was then: on
-- all plans, or on one. The first day is that of any currency.
WITH batch AS (
    SELECT DISTINCT d.customer FROM customer_day d
    WHERE d.gen = @gen AND d.customer > @after_customer::text
    ORDER BY d.customer LIMIT @at_most::int
)
SELECT b.customer, coalesce(o.name, '')::text AS org_name, m.mrr_micro, m.first_day, m.last_day, m.plans,
    (SELECT min(f.day) FROM customer_day f WHERE f.gen = @gen AND f.customer = b.customer)::date AS cohort_day
FROM batch b
CROSS JOIN LATERAL (
    SELECT coalesce(sum(p.mrr_micro), 0)::bigint AS mrr_micro, min(p.first_day)::date AS first_day, max(p.last_day)::date AS last_day,
        coalesce(string_agg(p.plan, ' ' ORDER BY p.plan) FILTER (WHERE p.mrr_micro > 0), '')::text AS plans, count(*) AS held
    FROM (
        SELECT v.plan, sum(v.amount_micro) AS mrr_micro, min(v.day) AS first_day, max(v.day) AS last_day
        FROM customer_movement v
        WHERE v.gen = @gen AND v.customer = b.customer AND v.currency = @currency AND v.day <= @last::date AND (@plan::text = '' OR v.plan = @plan::text)
        GROUP BY v.plan
    ) p
) m
LEFT JOIN organizations o ON o.id = CASE WHEN b.customer LIKE 'org:%' THEN substr(b.customer, 5)::uuid END
WHERE m.held > 0
ORDER BY b.customer;

-- name: LastCustomerOfBatch :one
-- Where a batch of CustomersAfter ends, also where it left some of it out; empty:
-- nobody is left.
SELECT coalesce(max(b.customer), '')::text AS customer FROM (
    SELECT DISTINCT d.customer FROM customer_day d
    WHERE d.gen = @gen AND d.customer > @after_customer::text
    ORDER BY d.customer LIMIT @at_most::int
) b;

-- name: PaymentEventsAfter :many
-- What has no currency is in every file.
SELECT e.id, e.at, e.kind, e.natural_key, coalesce(e.org_id, c.org_id) AS org_id, coalesce(o.name, '')::text AS org_name, e.stripe_customer_id, e.subscription_id,
    e.invoice_id, e.plan, e."interval", e.currency, e.amount_minor, e.source_event_id, e.details
FROM payment_events e
LEFT JOIN customers c ON c.stripe_customer_id = e.stripe_customer_id
LEFT JOIN organizations o ON o.id = coalesce(e.org_id, c.org_id)
WHERE e.at >= @from_at::timestamptz AND e.at < @until::timestamptz AND (e.at, e.id) > (@from_at::timestamptz, @after_id::bigint)
    AND (e.currency IS NULL OR e.currency = @currency::text) AND (@plan::text = '' OR e.plan = @plan::text)
ORDER BY e.at, e.id LIMIT @at_most::int;

-- name: InvoicesAfter :many
-- Every invoice of which an event tells, in order of the first one: the event
-- that no other of its invoice comes before.
SELECT f.id, f.at AS first_at, f.invoice_id, coalesce(f.org_id, c.org_id) AS org_id, coalesce(o.name, '')::text AS org_name, f.stripe_customer_id, f.subscription_id,
    f.plan, f."interval", f.currency, coalesce(f.details ->> 'billing_reason', '')::text AS billing_reason, f.amount_minor,
    t.failures, t.paid_minor::bigint AS paid_minor,
    -- The first instant of the calendar is a time that never was.
    coalesce(t.failed_at, '0001-01-01T00:00:00Z')::timestamptz AS failed_at, coalesce(t.asked_at, '0001-01-01T00:00:00Z')::timestamptz AS asked_at,
    coalesce(t.paid_at, '0001-01-01T00:00:00Z')::timestamptz AS paid_at, coalesce(t.written_off_at, '0001-01-01T00:00:00Z')::timestamptz AS written_off_at,
    coalesce(t.voided_at, '0001-01-01T00:00:00Z')::timestamptz AS voided_at
FROM payment_events f
LEFT JOIN customers c ON c.stripe_customer_id = f.stripe_customer_id
LEFT JOIN organizations o ON o.id = coalesce(f.org_id, c.org_id)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE e.kind = 'payment_failed') AS failures,
        min(e.at) FILTER (WHERE e.kind = 'payment_failed') AS failed_at,
        min(e.at) FILTER (WHERE e.kind = 'payment_action_required') AS asked_at,
        min(e.at) FILTER (WHERE e.kind = 'payment_succeeded') AS paid_at,
        coalesce(min(e.amount_minor) FILTER (WHERE e.kind = 'payment_succeeded'), 0) AS paid_minor,
        min(e.at) FILTER (WHERE e.kind = 'invoice_marked_uncollectible') AS written_off_at,
        min(e.at) FILTER (WHERE e.kind = 'invoice_voided') AS voided_at
    FROM payment_events e WHERE e.invoice_id = f.invoice_id
) t
WHERE f.at >= @from_at::timestamptz AND f.at < @until::timestamptz AND (f.at, f.id) > (@from_at::timestamptz, @after_id::bigint)
    AND f.invoice_id IS NOT NULL AND f.currency = @currency::text AND (@plan::text = '' OR f.plan = @plan::text)
    AND NOT EXISTS (SELECT FROM payment_events b WHERE b.invoice_id = f.invoice_id AND (b.at, b.id) < (f.at, f.id))
ORDER BY f.at, f.id LIMIT @at_most::int;
