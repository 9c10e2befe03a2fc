-- name: InvoiceEvents :many
-- What is told of the invoices of the Stripe customers that make up each ledger
-- customer.
SELECT ('org:' || c.org_id::text)::text AS customer, e.kind, e.at, coalesce(e.invoice_id, '')::text AS invoice_id,
    coalesce(e.subscription_id, '')::text AS subscription_id, coalesce(e.currency, '')::text AS currency,
    coalesce(e.amount_minor, 0)::bigint AS amount_minor, coalesce(e.details ->> 'billing_reason', '')::text AS billing_reason
FROM customers c JOIN payment_events e USING (stripe_customer_id)
WHERE c.org_id = ANY (@org_ids::uuid[]) AND e.invoice_id IS NOT NULL AND e.kind = ANY (@kinds::text[])
UNION ALL
SELECT e.stripe_customer_id, e.kind, e.at, coalesce(e.invoice_id, ''), coalesce(e.subscription_id, ''), coalesce(e.currency, ''),
    coalesce(e.amount_minor, 0), coalesce(e.details ->> 'billing_reason', '')
FROM payment_events e LEFT JOIN customers c USING (stripe_customer_id)
WHERE e.stripe_customer_id = ANY (@stripe_customer_ids::text[]) AND c.org_id IS NULL AND e.invoice_id IS NOT NULL AND e.kind = ANY (@kinds::text[]);

-- name: DeclinedCharges :many
-- The charges of the same customers that did not come through.
SELECT ('org:' || c.org_id::text)::text AS customer, coalesce(o.invoice_id, '')::text AS invoice_id,
    coalesce(o.created_at, o.seen_at)::timestamptz AS at, coalesce(o.failure_reason, '')::text AS reason
FROM customers c JOIN stripe_objects o USING (stripe_customer_id)
WHERE c.org_id = ANY (@org_ids::uuid[]) AND o.failure_reason IS NOT NULL AND o.invoice_id IS NOT NULL
UNION ALL
SELECT o.stripe_customer_id, coalesce(o.invoice_id, ''), coalesce(o.created_at, o.seen_at), coalesce(o.failure_reason, '')
FROM stripe_objects o LEFT JOIN customers c USING (stripe_customer_id)
WHERE o.stripe_customer_id = ANY (@stripe_customer_ids::text[]) AND c.org_id IS NULL AND o.failure_reason IS NOT NULL AND o.invoice_id IS NOT NULL;

-- name: AppliedTrialOutcomes :many
SELECT * FROM trial_outcome WHERE gen = ANY (@gens::int[]) AND customer = ANY (@customers::text[]);

-- name: DeleteTrialOutcomes :exec
DELETE FROM trial_outcome t USING jsonb_populate_recordset(NULL::trial_outcome, @rows::jsonb) AS r
WHERE (t.gen, t.customer, t.subscription_id) = (r.gen, r.customer, r.subscription_id);

-- name: InsertTrialOutcomes :exec
INSERT INTO trial_outcome (gen, customer, subscription_id, currency, plan, started_at, started_day, ended_at, ended_day, fate)
SELECT r.gen, r.customer, r.subscription_id, r.currency, r.plan, r.started_at, r.started_day, r.ended_at, r.ended_day, r.fate FROM jsonb_populate_recordset(NULL::trial_outcome, @rows::jsonb) AS r;

-- name: AppliedInvoiceOutcomes :many
SELECT * FROM invoice_outcome WHERE gen = ANY (@gens::int[]) AND customer = ANY (@customers::text[]);

-- name: DeleteInvoiceOutcomes :exec
DELETE FROM invoice_outcome t USING jsonb_populate_recordset(NULL::invoice_outcome, @rows::jsonb) AS r
WHERE (t.gen, t.customer, t.invoice_id) = (r.gen, r.customer, r.invoice_id);

-- name: InsertInvoiceOutcomes :exec
INSERT INTO invoice_outcome (gen, customer, invoice_id, subscription_id, currency, plan, amount_minor, first_at, last_at, day, attempts, asked, fate, settled_at, settled_day, reason, failed_day, failed_week, failed_month)
SELECT r.gen, r.customer, r.invoice_id, r.subscription_id, r.currency, r.plan, r.amount_minor, r.first_at, r.last_at, r.day, r.attempts, r.asked, r.fate, r.settled_at, r.settled_day, r.reason, r.failed_day, r.failed_week, r.failed_month FROM jsonb_populate_recordset(NULL::invoice_outcome, @rows::jsonb) AS r;

-- name: AddToPaymentHourly :one
WITH sums AS (
    INSERT INTO payment_hourly (gen, hour, currency, plan, attempted, attempted_minor, asked, asked_minor, failed, failed_minor)
    SELECT r.gen, r.hour, r.currency, r.plan, r.attempted, r.attempted_minor, r.asked, r.asked_minor, r.failed, r.failed_minor FROM jsonb_populate_recordset(NULL::payment_hourly, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (gen, hour, currency, plan) DO UPDATE SET
        attempted = payment_hourly.attempted + excluded.attempted, attempted_minor = payment_hourly.attempted_minor + excluded.attempted_minor, asked = payment_hourly.asked + excluded.asked, asked_minor = payment_hourly.asked_minor + excluded.asked_minor, failed = payment_hourly.failed + excluded.failed, failed_minor = payment_hourly.failed_minor + excluded.failed_minor
    RETURNING attempted, attempted_minor, asked, asked_minor, failed, failed_minor
)
SELECT count(*) FROM sums WHERE attempted = 0 AND attempted_minor = 0 AND asked = 0 AND asked_minor = 0 AND failed = 0 AND failed_minor = 0;

-- name: DropEmptyPaymentHourly :exec
DELETE FROM payment_hourly t USING jsonb_populate_recordset(NULL::payment_hourly, @rows::jsonb) AS r
WHERE (t.gen, t.hour, t.currency, t.plan) = (r.gen, r.hour, r.currency, r.plan)
    AND (t.attempted, t.attempted_minor, t.asked, t.asked_minor, t.failed, t.failed_minor) = (0, 0, 0, 0, 0, 0);

-- name: AddToPaymentDaily :one
WITH sums AS (
    INSERT INTO payment_daily (gen, day, currency, plan, reason, attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor, lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers_day, customers_week, customers_month)
    SELECT r.gen, r.day, r.currency, r.plan, r.reason, r.attempted, r.attempted_minor, r.asked, r.asked_minor, r.confirmed, r.confirmed_minor, r.recovered, r.recovered_minor, r.in_retry, r.in_retry_minor, r.lost, r.lost_minor, r.open, r.open_minor, r.asked_open, r.asked_open_minor, r.customers_day, r.customers_week, r.customers_month FROM jsonb_populate_recordset(NULL::payment_daily, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (gen, day, currency, plan, reason) DO UPDATE SET
        attempted = payment_daily.attempted + excluded.attempted, attempted_minor = payment_daily.attempted_minor + excluded.attempted_minor, asked = payment_daily.asked + excluded.asked, asked_minor = payment_daily.asked_minor + excluded.asked_minor, confirmed = payment_daily.confirmed + excluded.confirmed, confirmed_minor = payment_daily.confirmed_minor + excluded.confirmed_minor, recovered = payment_daily.recovered + excluded.recovered, recovered_minor = payment_daily.recovered_minor + excluded.recovered_minor, in_retry = payment_daily.in_retry + excluded.in_retry, in_retry_minor = payment_daily.in_retry_minor + excluded.in_retry_minor, lost = payment_daily.lost + excluded.lost, lost_minor = payment_daily.lost_minor + excluded.lost_minor, open = payment_daily.open + excluded.open, open_minor = payment_daily.open_minor + excluded.open_minor, asked_open = payment_daily.asked_open + excluded.asked_open, asked_open_minor = payment_daily.asked_open_minor + excluded.asked_open_minor, customers_day = payment_daily.customers_day + excluded.customers_day, customers_week = payment_daily.customers_week + excluded.customers_week, customers_month = payment_daily.customers_month + excluded.customers_month
    RETURNING attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor, lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers_day, customers_week, customers_month
)
SELECT count(*) FROM sums WHERE attempted = 0 AND attempted_minor = 0 AND asked = 0 AND asked_minor = 0 AND confirmed = 0 AND confirmed_minor = 0 AND recovered = 0 AND recovered_minor = 0 AND in_retry = 0 AND in_retry_minor = 0 AND lost = 0 AND lost_minor = 0 AND open = 0 AND open_minor = 0 AND asked_open = 0 AND asked_open_minor = 0 AND customers_day = 0 AND customers_week = 0 AND customers_month = 0;

-- name: DropEmptyPaymentDaily :exec
DELETE FROM payment_daily t USING jsonb_populate_recordset(NULL::payment_daily, @rows::jsonb) AS r
WHERE (t.gen, t.day, t.currency, t.plan, t.reason) = (r.gen, r.day, r.currency, r.plan, r.reason)
    AND (t.attempted, t.attempted_minor, t.asked, t.asked_minor, t.confirmed, t.confirmed_minor, t.recovered, t.recovered_minor, t.in_retry, t.in_retry_minor, t.lost, t.lost_minor, t.open, t.open_minor, t.asked_open, t.asked_open_minor, t.customers_day, t.customers_week, t.customers_month) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

-- name: AddToPaymentMonthly :one
WITH sums AS (
    INSERT INTO payment_monthly (gen, month, currency, plan, reason, attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor, lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers)
    SELECT r.gen, r.month, r.currency, r.plan, r.reason, r.attempted, r.attempted_minor, r.asked, r.asked_minor, r.confirmed, r.confirmed_minor, r.recovered, r.recovered_minor, r.in_retry, r.in_retry_minor, r.lost, r.lost_minor, r.open, r.open_minor, r.asked_open, r.asked_open_minor, r.customers FROM jsonb_populate_recordset(NULL::payment_monthly, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (gen, month, currency, plan, reason) DO UPDATE SET
        attempted = payment_monthly.attempted + excluded.attempted, attempted_minor = payment_monthly.attempted_minor + excluded.attempted_minor, asked = payment_monthly.asked + excluded.asked, asked_minor = payment_monthly.asked_minor + excluded.asked_minor, confirmed = payment_monthly.confirmed + excluded.confirmed, confirmed_minor = payment_monthly.confirmed_minor + excluded.confirmed_minor, recovered = payment_monthly.recovered + excluded.recovered, recovered_minor = payment_monthly.recovered_minor + excluded.recovered_minor, in_retry = payment_monthly.in_retry + excluded.in_retry, in_retry_minor = payment_monthly.in_retry_minor + excluded.in_retry_minor, lost = payment_monthly.lost + excluded.lost, lost_minor = payment_monthly.lost_minor + excluded.lost_minor, open = payment_monthly.open + excluded.open, open_minor = payment_monthly.open_minor + excluded.open_minor, asked_open = payment_monthly.asked_open + excluded.asked_open, asked_open_minor = payment_monthly.asked_open_minor + excluded.asked_open_minor, customers = payment_monthly.customers + excluded.customers
    RETURNING attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor, lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers
)
SELECT count(*) FROM sums WHERE attempted = 0 AND attempted_minor = 0 AND asked = 0 AND asked_minor = 0 AND confirmed = 0 AND confirmed_minor = 0 AND recovered = 0 AND recovered_minor = 0 AND in_retry = 0 AND in_retry_minor = 0 AND lost = 0 AND lost_minor = 0 AND open = 0 AND open_minor = 0 AND asked_open = 0 AND asked_open_minor = 0 AND customers = 0;

-- name: DropEmptyPaymentMonthly :exec
DELETE FROM payment_monthly t USING jsonb_populate_recordset(NULL::payment_monthly, @rows::jsonb) AS r
WHERE (t.gen, t.month, t.currency, t.plan, t.reason) = (r.gen, r.month, r.currency, r.plan, r.reason)
    AND (t.attempted, t.attempted_minor, t.asked, t.asked_minor, t.confirmed, t.confirmed_minor, t.recovered, t.recovered_minor, t.in_retry, t.in_retry_minor, t.lost, t.lost_minor, t.open, t.open_minor, t.asked_open, t.asked_open_minor, t.customers) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

-- name: AddToTrialDaily :one
WITH sums AS (
    INSERT INTO trial_daily (gen, day, currency, plan, started, started_converted, started_open, ended, converted, provisional)
    SELECT r.gen, r.day, r.currency, r.plan, r.started, r.started_converted, r.started_open, r.ended, r.converted, r.provisional FROM jsonb_populate_recordset(NULL::trial_daily, @rows::jsonb) AS r
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (gen, day, currency, plan) DO UPDATE SET
        started = trial_daily.started + excluded.started, started_converted = trial_daily.started_converted + excluded.started_converted, started_open = trial_daily.started_open + excluded.started_open, ended = trial_daily.ended + excluded.ended, converted = trial_daily.converted + excluded.converted, provisional = trial_daily.provisional + excluded.provisional
    RETURNING started, started_converted, started_open, ended, converted, provisional
)
SELECT count(*) FROM sums WHERE started = 0 AND started_converted = 0 AND started_open = 0 AND ended = 0 AND converted = 0 AND provisional = 0;

-- name: DropEmptyTrialDaily :exec
DELETE FROM trial_daily t USING jsonb_populate_recordset(NULL::trial_daily, @rows::jsonb) AS r
WHERE (t.gen, t.day, t.currency, t.plan) = (r.gen, r.day, r.currency, r.plan)
    AND (t.started, t.started_converted, t.started_open, t.ended, t.converted, t.provisional) = (0, 0, 0, 0, 0, 0);

-- name: PaymentsByMonth :many
-- What came of the renewals of each month, of all reasons; an empty plan is the
-- account.
SELECT month, sum(attempted)::bigint AS attempted, sum(attempted_minor)::bigint AS attempted_minor, sum(asked)::bigint AS asked, sum(asked_minor)::bigint AS asked_minor, sum(confirmed)::bigint AS confirmed, sum(confirmed_minor)::bigint AS confirmed_minor, sum(recovered)::bigint AS recovered, sum(recovered_minor)::bigint AS recovered_minor, sum(in_retry)::bigint AS in_retry, sum(in_retry_minor)::bigint AS in_retry_minor, sum(lost)::bigint AS lost, sum(lost_minor)::bigint AS lost_minor, sum(open)::bigint AS open, sum(open_minor)::bigint AS open_minor, sum(asked_open)::bigint AS asked_open, sum(asked_open_minor)::bigint AS asked_open_minor, sum(customers)::bigint AS customers
FROM payment_monthly
WHERE gen = @gen AND month BETWEEN @first::date AND @last::date AND currency = @currency AND (@plan::text = '' OR plan = @plan::text)
GROUP BY month ORDER BY month;

-- name: PaymentsByDay :many
SELECT day, sum(attempted)::bigint AS attempted, sum(attempted_minor)::bigint AS attempted_minor, sum(asked)::bigint AS asked, sum(asked_minor)::bigint AS asked_minor, sum(confirmed)::bigint AS confirmed, sum(confirmed_minor)::bigint AS confirmed_minor, sum(recovered)::bigint AS recovered, sum(recovered_minor)::bigint AS recovered_minor, sum(in_retry)::bigint AS in_retry, sum(in_retry_minor)::bigint AS in_retry_minor, sum(lost)::bigint AS lost, sum(lost_minor)::bigint AS lost_minor, sum(open)::bigint AS open, sum(open_minor)::bigint AS open_minor, sum(asked_open)::bigint AS asked_open, sum(asked_open_minor)::bigint AS asked_open_minor,
    sum(customers_day)::bigint AS customers_day, sum(customers_week)::bigint AS customers_week
FROM payment_daily
WHERE gen = @gen AND day BETWEEN @first::date AND @last::date AND currency = @currency AND (@plan::text = '' OR plan = @plan::text)
GROUP BY day ORDER BY day;

-- name: PaymentsOpenBefore :one
-- How many renewals were open when a day began: the running sum of whole months,
-- and of the days of the last one.
SELECT coalesce(sum(f.open), 0)::bigint AS open, coalesce(sum(f.open_minor), 0)::bigint AS open_minor,
    coalesce(sum(f.asked_open), 0)::bigint AS asked_open, coalesce(sum(f.asked_open_minor), 0)::bigint AS asked_open_minor
FROM (
    SELECT m.open, m.open_minor, m.asked_open, m.asked_open_minor FROM payment_monthly m
    WHERE m.gen = @gen AND m.month < @month::date AND m.currency = @currency AND (@plan::text = '' OR m.plan = @plan::text)
    UNION ALL
    SELECT d.open, d.open_minor, d.asked_open, d.asked_open_minor FROM payment_daily d
    WHERE d.gen = @gen AND d.day >= @month::date AND d.day < @day::date AND d.currency = @currency AND (@plan::text = '' OR d.plan = @plan::text)
) f;

-- name: DeclinesByReason :many
-- What was declined first from a day on to another, by reason, most first.
SELECT f.reason, sum(f.recovered)::bigint AS recovered, sum(f.recovered_minor)::bigint AS recovered_minor,
    sum(f.in_retry)::bigint AS in_retry, sum(f.in_retry_minor)::bigint AS in_retry_minor, sum(f.lost)::bigint AS lost, sum(f.lost_minor)::bigint AS lost_minor
FROM (
    SELECT m.reason, m.recovered, m.recovered_minor, m.in_retry, m.in_retry_minor, m.lost, m.lost_minor FROM payment_monthly m
    WHERE @by_month::boolean AND m.gen = @gen AND m.month BETWEEN @first::date AND @last::date AND m.currency = @currency AND (@plan::text = '' OR m.plan = @plan::text)
    UNION ALL
    SELECT d.reason, d.recovered, d.recovered_minor, d.in_retry, d.in_retry_minor, d.lost, d.lost_minor FROM payment_daily d
    WHERE NOT @by_month::boolean AND d.gen = @gen AND d.day BETWEEN @first::date AND @last::date AND d.currency = @currency AND (@plan::text = '' OR d.plan = @plan::text)
) f
GROUP BY f.reason HAVING sum(f.recovered + f.in_retry + f.lost) > 0
ORDER BY sum(f.recovered + f.in_retry + f.lost) DESC, f.reason;

-- name: InRetry :many
-- What is retried now, or waits for the customer's confirmation: the largest
-- first, with the next attempt where it is its subscription's newest invoice.
SELECT o.invoice_id, o.customer, o.plan, o.amount_minor, o.first_at, o.last_at, o.attempts, o.asked, o.reason,
    s.next_payment_attempt, g.id AS org_id, coalesce(g.name, '')::text AS org_name
FROM (
    SELECT * FROM invoice_outcome t
    WHERE t.gen = @gen AND t.currency = @currency AND t.fate = 'in_retry' AND (@plan::text = '' OR t.plan = @plan::text)
    ORDER BY t.amount_minor DESC, t.invoice_id LIMIT @at_most
) o
LEFT JOIN subscriptions s ON s.stripe_subscription_id = o.subscription_id AND s.latest_invoice_id = o.invoice_id
LEFT JOIN organizations g ON g.id = CASE WHEN starts_with(o.customer, 'org:') THEN substr(o.customer, 5)::uuid END
ORDER BY o.amount_minor DESC, o.invoice_id;

-- name: TrialsByDay :many
SELECT day, sum(started)::bigint AS started, sum(started_converted)::bigint AS started_converted, sum(started_open)::bigint AS started_open,
    sum(ended)::bigint AS ended, sum(converted)::bigint AS converted, sum(provisional)::bigint AS provisional
FROM trial_daily
WHERE gen = @gen AND day BETWEEN @first::date AND @last::date AND currency = @currency AND (@plan::text = '' OR plan = @plan::text)
GROUP BY day ORDER BY day;

-- name: BrokenPaymentDaily :many
-- Days on which the rollup of renewals is no recount of them, and those whose
-- flag for counting customers is not on the first.
WITH rows AS (
    SELECT gen, day, currency, plan, reason,
        1 AS attempted,
        amount_minor AS attempted_minor,
        (asked)::int AS asked,
        CASE WHEN asked THEN amount_minor ELSE 0 END AS asked_minor,
        (asked AND fate = 'recovered')::int AS confirmed,
        CASE WHEN asked AND fate = 'recovered' THEN amount_minor ELSE 0 END AS confirmed_minor,
        (NOT asked AND fate = 'recovered')::int AS recovered,
        CASE WHEN NOT asked AND fate = 'recovered' THEN amount_minor ELSE 0 END AS recovered_minor,
        (NOT asked AND fate = 'in_retry')::int AS in_retry,
        CASE WHEN NOT asked AND fate = 'in_retry' THEN amount_minor ELSE 0 END AS in_retry_minor,
        (NOT asked AND fate = 'lost')::int AS lost,
        CASE WHEN NOT asked AND fate = 'lost' THEN amount_minor ELSE 0 END AS lost_minor,
        (NOT asked AND fate <> 'paid')::int AS open,
        CASE WHEN NOT asked AND fate <> 'paid' THEN amount_minor ELSE 0 END AS open_minor,
        (asked)::int AS asked_open,
        CASE WHEN asked THEN amount_minor ELSE 0 END AS asked_open_minor,
        failed_day::int AS customers_day,
        failed_week::int AS customers_week,
        failed_month::int AS customers_month
    FROM invoice_outcome WHERE gen = ANY (@gens::int[])
    UNION ALL
    SELECT gen, settled_day, currency, plan, reason, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        -(NOT asked)::int, -(CASE WHEN asked THEN 0 ELSE amount_minor END), -asked::int, -(CASE WHEN asked THEN amount_minor ELSE 0 END), 0, 0, 0
    FROM invoice_outcome WHERE gen = ANY (@gens::int[]) AND fate IN ('recovered', 'lost')
), recount AS (
    SELECT gen, day, currency, plan, reason,
        sum(attempted)::bigint AS attempted,
        sum(attempted_minor)::bigint AS attempted_minor,
        sum(asked)::bigint AS asked,
        sum(asked_minor)::bigint AS asked_minor,
        sum(confirmed)::bigint AS confirmed,
        sum(confirmed_minor)::bigint AS confirmed_minor,
        sum(recovered)::bigint AS recovered,
        sum(recovered_minor)::bigint AS recovered_minor,
        sum(in_retry)::bigint AS in_retry,
        sum(in_retry_minor)::bigint AS in_retry_minor,
        sum(lost)::bigint AS lost,
        sum(lost_minor)::bigint AS lost_minor,
        sum(open)::bigint AS open,
        sum(open_minor)::bigint AS open_minor,
        sum(asked_open)::bigint AS asked_open,
        sum(asked_open_minor)::bigint AS asked_open_minor,
        sum(customers_day)::bigint AS customers_day,
        sum(customers_week)::bigint AS customers_week,
        sum(customers_month)::bigint AS customers_month
    FROM rows GROUP BY gen, day, currency, plan, reason
), rollup AS (
    SELECT gen, day, currency, plan, reason, attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor, lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers_day, customers_week, customers_month
    FROM payment_daily WHERE gen = ANY (@gens::int[])
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, day, currency, plan, reason, (max(day) OVER ())::date AS last_day FROM broken ORDER BY 1, 2, 3, 4, 5 LIMIT 1;

-- name: BrokenPaymentMonthly :many
-- Months in which the monthly rollup is not the sum of the daily one.
WITH recount AS (
    SELECT gen, date_trunc('month', day::timestamp)::date AS month, currency, plan, reason,
        sum(attempted)::bigint AS attempted, sum(attempted_minor)::bigint AS attempted_minor, sum(asked)::bigint AS asked, sum(asked_minor)::bigint AS asked_minor, sum(confirmed)::bigint AS confirmed, sum(confirmed_minor)::bigint AS confirmed_minor, sum(recovered)::bigint AS recovered, sum(recovered_minor)::bigint AS recovered_minor, sum(in_retry)::bigint AS in_retry, sum(in_retry_minor)::bigint AS in_retry_minor, sum(lost)::bigint AS lost, sum(lost_minor)::bigint AS lost_minor, sum(open)::bigint AS open, sum(open_minor)::bigint AS open_minor, sum(asked_open)::bigint AS asked_open, sum(asked_open_minor)::bigint AS asked_open_minor, sum(customers_month)::bigint AS customers
    FROM payment_daily WHERE gen = ANY (@gens::int[]) GROUP BY 1, 2, 3, 4, 5
), rollup AS (
    SELECT gen, month, currency, plan, reason, attempted, attempted_minor, asked, asked_minor, confirmed, confirmed_minor, recovered, recovered_minor, in_retry, in_retry_minor, lost, lost_minor, open, open_minor, asked_open, asked_open_minor, customers
    FROM payment_monthly WHERE gen = ANY (@gens::int[])
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, month, currency, plan, reason, (max(month) OVER ())::date AS last_month FROM broken ORDER BY 1, 2, 3, 4, 5 LIMIT 1;

-- name: BrokenPaymentHourly :many
-- Hours in which the rollup of first attempts is no recount of the renewals.
WITH recount AS (
    SELECT gen, date_trunc('hour', first_at, 'UTC') AS hour, currency, plan, count(*) AS attempted, sum(amount_minor)::bigint AS attempted_minor,
        count(*) FILTER (WHERE asked) AS asked, coalesce(sum(amount_minor) FILTER (WHERE asked), 0)::bigint AS asked_minor,
        count(*) FILTER (WHERE NOT asked AND fate <> 'paid') AS failed, coalesce(sum(amount_minor) FILTER (WHERE NOT asked AND fate <> 'paid'), 0)::bigint AS failed_minor
    FROM invoice_outcome WHERE gen = ANY (@gens::int[]) GROUP BY 1, 2, 3, 4
), rollup AS (
    SELECT gen, hour, currency, plan, attempted, attempted_minor, asked, asked_minor, failed, failed_minor
    FROM payment_hourly WHERE gen = ANY (@gens::int[])
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, hour::timestamptz AS hour, currency, plan FROM broken ORDER BY 1, 2, 3, 4 LIMIT 1;

-- name: BrokenTrialDaily :many
-- Days on which the rollup of trials is no recount of them.
WITH rows AS (
    SELECT gen, started_day AS day, currency, plan, 1 AS started, (fate = 'converted')::int AS started_converted,
        (fate IN ('running', 'provisional'))::int AS started_open, 0 AS ended, 0 AS converted, 0 AS provisional
    FROM trial_outcome WHERE gen = ANY (@gens::int[])
    UNION ALL
    SELECT gen, ended_day, currency, plan, 0, 0, 0, 1, (fate = 'converted')::int, (fate = 'provisional')::int
    FROM trial_outcome WHERE gen = ANY (@gens::int[]) AND fate <> 'running'
), recount AS (
    SELECT gen, day, currency, plan, sum(started)::bigint AS started, sum(started_converted)::bigint AS started_converted,
        sum(started_open)::bigint AS started_open, sum(ended)::bigint AS ended, sum(converted)::bigint AS converted, sum(provisional)::bigint AS provisional
    FROM rows GROUP BY gen, day, currency, plan
), rollup AS (
    SELECT gen, day, currency, plan, started, started_converted, started_open, ended, converted, provisional
    FROM trial_daily WHERE gen = ANY (@gens::int[])
), broken AS (
    (SELECT * FROM recount EXCEPT SELECT * FROM rollup) UNION (SELECT * FROM rollup EXCEPT SELECT * FROM recount)
)
SELECT gen, day, currency, plan, (max(day) OVER ())::date AS last_day FROM broken ORDER BY 1, 2, 3, 4 LIMIT 1;
