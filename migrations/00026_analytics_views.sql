-- The figures for people who write SQL: views and functions in a schema of their
-- own, under the live definition, with names that stay. Days and months are those
-- of its zone. docs/figures.md has examples.

-- +goose Up
-- What is behind a rate, newest first, for its explanation. Few renewals fail.
CREATE INDEX invoice_outcome_failed_idx ON invoice_outcome (day DESC, customer, invoice_id) WHERE fate <> 'paid';
CREATE INDEX trial_outcome_ended_idx ON trial_outcome (ended_day DESC, customer, subscription_id) WHERE ended_day IS NOT NULL;
CREATE INDEX customer_pledge_day_idx ON customer_pledge (day DESC, customer);
CREATE INDEX cash_entry_day_idx ON cash_entry (day DESC, id);

CREATE SCHEMA analytics;
COMMENT ON SCHEMA analytics IS 'Figures under the live definition, for people who write SQL. Amounts have no suffix in the currency itself (12.50 is twelve dollars fifty), _micro in millionths of its minor unit, exact, and _minor in its minor unit';

-- +goose StatementBegin
CREATE FUNCTION analytics.amount(micro numeric, currency text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    trim_scale(micro * CASE
        WHEN currency IN ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof', 'xpf') THEN 0.000001
        WHEN currency IN ('bhd', 'jod', 'kwd', 'omr', 'tnd') THEN 0.000000001
        ELSE 0.00000001 END);
-- +goose StatementEnd
COMMENT ON FUNCTION analytics.amount IS 'Micro-units as an amount in the currency itself, exact: amount(1250000000, ''usd'') is 12.5';

CREATE VIEW analytics.definition AS
SELECT g.gen AS generation, g.definition, g.time_zone, g.discount_policy, g.live_since, s.version AS figures_version, s.changed_at,
    (greatest(s.changed_at, now()) AT TIME ZONE g.time_zone)::date AS today
FROM metric_generation g CROSS JOIN metric_state s WHERE g.state = 'live';
COMMENT ON VIEW analytics.definition IS 'What the figures are counted by: one row. The same figures_version, the same figures';
COMMENT ON COLUMN analytics.definition.today IS 'The date in the zone of the figures; in a demo whose clock is ahead that of the newest change';

CREATE VIEW analytics.flows_daily AS
SELECT f.day, f.currency, f.plan, f.kind, analytics.amount(f.amount_micro, f.currency) AS amount, f.amount_micro, f.customers, f.subscribers
FROM flow_daily f JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW analytics.flows_daily IS 'What moved on each day, by currency, plan and kind. MRR on a day is the sum of all up to it';
COMMENT ON COLUMN analytics.flows_daily.customers IS 'By how much the number of active customers changed; subscribers is that of the plan''s';

CREATE VIEW analytics.flows_monthly AS
SELECT f.month, f.currency, f.plan, f.kind, analytics.amount(f.amount_micro, f.currency) AS amount, f.amount_micro, f.customers, f.subscribers
FROM flow_monthly f JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW analytics.flows_monthly IS 'The same by month: thirty times fewer rows to add up';

CREATE VIEW analytics.mrr_movements AS
SELECT m.customer, o.id AS organization_id, o.name AS organization, m.day, m.currency, m.kind, m.plan,
    analytics.amount(m.amount_micro, m.currency) AS amount, m.amount_micro, m.customers, m.subscribers, m.reason
FROM customer_movement m
JOIN metric_generation g USING (gen)
LEFT JOIN organizations o ON o.id = CASE WHEN m.customer LIKE 'org:%' THEN substr(m.customer, 5)::uuid END
WHERE g.state = 'live';
COMMENT ON VIEW analytics.mrr_movements IS 'Every movement of every customer. What moved from plan to plan is a transfer_out and a transfer_in, which add up to nothing';
COMMENT ON COLUMN analytics.mrr_movements.customer IS 'org: and the id of the organization, or Stripe''s id of a customer that none owns';
COMMENT ON COLUMN analytics.mrr_movements.reason IS 'Why: purchase, plan_change, cancel_voluntary, cancel_involuntary, pause, …';

CREATE VIEW analytics.mrr_daily AS
WITH flows AS (
    SELECT f.currency, f.day, sum(f.amount_micro) AS net_micro, sum(f.customers) AS customers,
        sum(f.amount_micro) FILTER (WHERE f.kind = 'new') AS new_micro,
        sum(f.amount_micro) FILTER (WHERE f.kind = 'reactivation') AS reactivation_micro,
        sum(f.amount_micro) FILTER (WHERE f.kind = 'expansion') AS expansion_micro,
        sum(f.amount_micro) FILTER (WHERE f.kind = 'contraction') AS contraction_micro,
        sum(f.amount_micro) FILTER (WHERE f.kind = 'churn') AS churn_micro
    FROM analytics.flows_daily f GROUP BY f.currency, f.day
), pledges AS (
    SELECT p.currency, p.day, sum(p.ending_micro) AS ending_micro, sum(p.trial_micro) AS trial_micro
    FROM pledge_daily p JOIN analytics.definition d ON d.generation = p.gen GROUP BY p.currency, p.day
), spans AS (
    SELECT s.currency, min(s.day) AS first_day FROM (SELECT currency, day FROM flows UNION ALL SELECT currency, day FROM pledges) s GROUP BY s.currency
), days AS (
    SELECT s.currency, t.day::date AS day FROM spans s CROSS JOIN analytics.definition d
    CROSS JOIN generate_series(s.first_day::timestamp, d.today::timestamp, interval '1 day') AS t (day)
), levels AS (
    SELECT d.day, d.currency,
        sum(coalesce(f.net_micro, 0)) OVER w AS mrr_micro, (sum(coalesce(f.customers, 0)) OVER w)::bigint AS customers,
        coalesce(f.net_micro, 0) AS net_new_micro, coalesce(f.new_micro, 0) AS new_micro, coalesce(f.reactivation_micro, 0) AS reactivation_micro,
        coalesce(f.expansion_micro, 0) AS expansion_micro, coalesce(f.contraction_micro, 0) AS contraction_micro, coalesce(f.churn_micro, 0) AS churn_micro,
        sum(coalesce(p.ending_micro, 0)) OVER w AS ending_micro, sum(coalesce(p.trial_micro, 0)) OVER w AS trial_micro
    FROM days d
    LEFT JOIN flows f ON f.currency = d.currency AND f.day = d.day
    LEFT JOIN pledges p ON p.currency = d.currency AND p.day = d.day
    WINDOW w AS (PARTITION BY d.currency ORDER BY d.day)
)
SELECT l.day, l.currency, analytics.amount(l.mrr_micro, l.currency) AS mrr, l.customers,
    analytics.amount(l.net_new_micro, l.currency) AS net_new, analytics.amount(l.new_micro, l.currency) AS new,
    analytics.amount(l.reactivation_micro, l.currency) AS reactivation, analytics.amount(l.expansion_micro, l.currency) AS expansion,
    analytics.amount(l.contraction_micro, l.currency) AS contraction, analytics.amount(l.churn_micro, l.currency) AS churn,
    analytics.amount(l.mrr_micro - l.ending_micro, l.currency) AS committed_mrr, analytics.amount(l.trial_micro, l.currency) AS trial_mrr,
    l.mrr_micro::bigint AS mrr_micro
FROM levels l;
COMMENT ON VIEW analytics.mrr_daily IS 'MRR, active customers and what moved, of the account on every day from the first to today, by currency';
COMMENT ON COLUMN analytics.mrr_daily.mrr IS 'At the end of the day; net_new and the kinds are what moved in it';
COMMENT ON COLUMN analytics.mrr_daily.committed_mrr IS 'MRR without what is scheduled to end';
COMMENT ON COLUMN analytics.mrr_daily.trial_mrr IS 'What the trials under way would be worth';

CREATE VIEW analytics.plan_daily AS
WITH flows AS (
    SELECT f.currency, f.plan, f.day, sum(f.amount_micro) AS net_micro, sum(f.subscribers) AS subscribers,
        sum(f.amount_micro) FILTER (WHERE f.kind = 'new') AS new_micro,
        sum(f.amount_micro) FILTER (WHERE f.kind = 'churn') AS churn_micro,
        sum(f.amount_micro) FILTER (WHERE f.kind IN ('transfer_in', 'transfer_out')) AS transfer_micro
    FROM analytics.flows_daily f GROUP BY f.currency, f.plan, f.day
), spans AS (
    SELECT f.currency, f.plan, min(f.day) AS first_day FROM flows f GROUP BY f.currency, f.plan
), days AS (
    SELECT s.currency, s.plan, t.day::date AS day FROM spans s CROSS JOIN analytics.definition d
    CROSS JOIN generate_series(s.first_day::timestamp, d.today::timestamp, interval '1 day') AS t (day)
), levels AS (
    SELECT d.day, d.currency, d.plan,
        sum(coalesce(f.net_micro, 0)) OVER w AS mrr_micro, (sum(coalesce(f.subscribers, 0)) OVER w)::bigint AS subscribers,
        coalesce(f.net_micro, 0) AS net_new_micro, coalesce(f.new_micro, 0) AS new_micro, coalesce(f.churn_micro, 0) AS churn_micro,
        coalesce(f.transfer_micro, 0) AS transfer_micro
    FROM days d
    LEFT JOIN flows f ON f.currency = d.currency AND f.plan = d.plan AND f.day = d.day
    WINDOW w AS (PARTITION BY d.currency, d.plan ORDER BY d.day)
)
SELECT l.day, l.currency, l.plan, analytics.amount(l.mrr_micro, l.currency) AS mrr, l.subscribers,
    analytics.amount(l.net_new_micro, l.currency) AS net_new, analytics.amount(l.new_micro, l.currency) AS new,
    analytics.amount(l.churn_micro, l.currency) AS churn, analytics.amount(l.transfer_micro, l.currency) AS net_transfers,
    l.mrr_micro::bigint AS mrr_micro
FROM levels l;
COMMENT ON VIEW analytics.plan_daily IS 'MRR and subscribers of each plan on every day; the MRR of all plans is that of the account. Who is on two plans is a subscriber of both';

CREATE VIEW analytics.customer_days AS
SELECT c.customer, o.id AS organization_id, o.name AS organization, c.currency, c.day, analytics.amount(c.mrr_micro, c.currency) AS mrr, c.mrr_micro
FROM customer_day c
JOIN metric_generation g USING (gen)
LEFT JOIN organizations o ON o.id = CASE WHEN c.customer LIKE 'org:%' THEN substr(c.customer, 5)::uuid END
WHERE g.state = 'live';
COMMENT ON VIEW analytics.customer_days IS 'MRR of each customer at the end of each day on which it changed';

CREATE VIEW analytics.customers AS
SELECT n.customer, n.organization_id, n.organization, n.currency, n.mrr, n.mrr > 0 AS is_active, f.first_day, date_trunc('month', e.cohort_day::timestamp)::date AS cohort,
    n.day AS changed_on, n.mrr_micro
FROM (SELECT DISTINCT ON (c.customer, c.currency) c.* FROM analytics.customer_days c ORDER BY c.customer, c.currency, c.day DESC) n
JOIN (SELECT c.customer, c.currency, min(c.day) AS first_day FROM analytics.customer_days c GROUP BY c.customer, c.currency) f USING (customer, currency)
JOIN (SELECT c.customer, min(c.day) AS cohort_day FROM analytics.customer_days c GROUP BY c.customer) e USING (customer);
COMMENT ON VIEW analytics.customers IS 'Everyone who ever had MRR, by currency, with what they have now';
COMMENT ON COLUMN analytics.customers.cohort IS 'The month of the first MRR in whatever currency; it never changes';

CREATE VIEW analytics.subscriptions AS
SELECT l.stripe_subscription_id AS subscription, l.stripe_customer_id AS stripe_customer, l.org_id AS organization_id, l.org_name AS organization, l.status, l.plan,
    l."interval", l.interval_count, l.quantity, l.currency, analytics.amount(l.amount_minor * 1000000, l.currency) AS amount,
    coalesce(analytics.amount(l.mrr_micro, l.currency), 0) AS mrr, l.created_at AS started_at, l.trial_end AS trial_ends_at, l.renews_at, l.ends_at, l.ended_at, l.next_payment_attempt AS next_attempt_at
FROM subscription_list l;
COMMENT ON VIEW analytics.subscriptions IS 'Subscriptions as Stripe told of them last, with their MRR';
COMMENT ON COLUMN analytics.subscriptions.amount IS 'What a period costs before discounts and taxes; NULL while a price is not known';

CREATE VIEW analytics.cohorts AS
WITH changes AS (
    SELECT c.cohort, c.month, c.currency, sum(c.mrr_micro) AS mrr_micro, sum(c.gross_micro) AS gross_micro, sum(c.active) AS active,
        sum(c.initial_micro) AS initial_micro, sum(c.customers) AS customers
    FROM cohort_change c JOIN metric_generation g USING (gen) WHERE g.state = 'live' GROUP BY c.cohort, c.month, c.currency
), months AS (
    SELECT c.cohort, c.currency, t.month::date AS month, t.month >= date_trunc('month', d.today::timestamp) AS is_running
    FROM (SELECT DISTINCT cohort, currency FROM changes) c CROSS JOIN analytics.definition d
    CROSS JOIN generate_series(c.cohort::timestamp, date_trunc('month', d.today::timestamp), interval '1 month') AS t (month)
), levels AS (
    SELECT m.cohort, m.currency, m.month, m.is_running, (row_number() OVER w - 1)::int AS months,
        (sum(coalesce(c.customers, 0)) OVER w)::bigint AS customers, (sum(coalesce(c.active, 0)) OVER w)::bigint AS active,
        sum(coalesce(c.initial_micro, 0)) OVER w AS initial_micro, sum(coalesce(c.mrr_micro, 0)) OVER w AS mrr_micro, sum(coalesce(c.gross_micro, 0)) OVER w AS gross_micro
    FROM months m LEFT JOIN changes c ON c.cohort = m.cohort AND c.currency = m.currency AND c.month = m.month
    WINDOW w AS (PARTITION BY m.cohort, m.currency ORDER BY m.month)
)
SELECT l.cohort, l.currency, l.months, l.month, l.is_running, l.customers, l.active, l.active::numeric / nullif(l.customers, 0) AS customer_retention,
    analytics.amount(l.initial_micro, l.currency) AS initial_mrr, analytics.amount(l.mrr_micro, l.currency) AS mrr,
    l.mrr_micro / nullif(l.initial_micro, 0) AS net_retention, l.gross_micro / nullif(l.initial_micro, 0) AS gross_retention
FROM levels l;
COMMENT ON VIEW analytics.cohorts IS 'What is left of everyone whose first MRR lies in a month, at the end of that month and of each month after it';
COMMENT ON COLUMN analytics.cohorts.months IS 'How many months after that of the cohort; 0 is the end of its own month, when some may have left already';
COMMENT ON COLUMN analytics.cohorts.gross_retention IS 'Like net_retention, but nobody counts with more than they began with';

CREATE VIEW analytics.retention AS
WITH flows AS (
    SELECT f.currency, ''::text AS plan, f.month, sum(f.amount_micro) AS micro, sum(f.customers) AS customers FROM analytics.flows_monthly f GROUP BY f.currency, f.month
    UNION ALL
    SELECT f.currency, f.plan, f.month, sum(f.amount_micro), sum(f.subscribers) FROM analytics.flows_monthly f GROUP BY f.currency, f.plan, f.month
), months AS (
    SELECT s.currency, s.plan, t.month::date AS month
    FROM (SELECT currency, plan, min(month) AS first_month FROM flows GROUP BY currency, plan) s CROSS JOIN analytics.definition d
    CROSS JOIN generate_series(s.first_month::timestamp, date_trunc('month', d.today::timestamp), interval '1 month') AS t (month)
), levels AS (
    -- What was there when the month after this one began.
    SELECT m.currency, m.plan, (m.month + interval '1 month')::date AS starts, sum(coalesce(f.micro, 0)) OVER w AS base_micro, sum(coalesce(f.customers, 0)) OVER w AS base_customers
    FROM months m LEFT JOIN flows f ON f.currency = m.currency AND f.plan = m.plan AND f.month = m.month
    WINDOW w AS (PARTITION BY m.currency, m.plan ORDER BY m.month)
), periods AS (
    SELECT l.currency, l.plan, h.months, l.starts, (l.starts + h.months * interval '1 month')::date AS period_end, l.base_micro, l.base_customers
    FROM levels l CROSS JOIN (SELECT 1 AS months UNION ALL SELECT 12) h CROSS JOIN analytics.definition d
    WHERE l.base_micro > 0 AND l.starts + h.months * interval '1 month' <= date_trunc('month', d.today::timestamp) + interval '1 month'
)
SELECT p.currency, nullif(p.plan, '') AS plan, p.months, p.starts AS first_day, p.period_end - 1 AS last_day, p.period_end > d.today AS is_running,
    analytics.amount(p.base_micro, p.currency) AS opening_mrr, p.base_customers::bigint AS opening_customers,
    (p.base_micro + coalesce(r.net_micro, 0)) / p.base_micro AS nrr, (p.base_micro - coalesce(r.gross_lost_micro, 0)) / p.base_micro AS grr,
    coalesce(r.lost_customers, 0)::numeric / nullif(p.base_customers, 0) AS customer_churn,
    coalesce(r.involuntary_customers, 0)::numeric / nullif(p.base_customers, 0) AS involuntary_customer_churn,
    coalesce(r.gross_lost_micro, 0) / p.base_micro AS revenue_churn, coalesce(r.lost_micro, 0) / p.base_micro AS churn_only_revenue_churn,
    coalesce(r.lost_customers, 0) AS lost_customers, analytics.amount(coalesce(r.lost_micro, 0), p.currency) AS lost_mrr
FROM periods p
CROSS JOIN analytics.definition d
LEFT JOIN retention_change r ON r.gen = d.generation AND r.currency = p.currency AND r.plan = p.plan AND r.horizon = p.months AND r.period_end = p.period_end;
COMMENT ON VIEW analytics.retention IS 'What became of the customers who had MRR when a period of 1 or 12 whole months began, by its end; periods that began with nobody are left out';
COMMENT ON COLUMN analytics.retention.plan IS 'NULL is the account; of a plan it is what became of those who were on it, wherever they are now';
COMMENT ON COLUMN analytics.retention.is_running IS 'The period is not over: it is what became of them so far';

CREATE VIEW analytics.trials AS
SELECT t.day, t.currency, t.plan, t.started, t.ended, t.converted, t.provisional
FROM trial_daily t JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW analytics.trials IS 'Trials, counted by subscription, by the day they began or ended';
COMMENT ON COLUMN analytics.trials.converted IS 'Those of ended whose first invoice was paid';
COMMENT ON COLUMN analytics.trials.provisional IS 'Those of ended that were not paid for and still may be, until fourteen days after their end';

CREATE VIEW analytics.payments AS
SELECT p.day, p.currency, p.plan, sum(p.attempted)::bigint AS attempted, sum(p.asked)::bigint AS asked,
    sum(p.recovered + p.in_retry + p.lost)::bigint AS failed, sum(p.recovered)::bigint AS recovered, sum(p.in_retry)::bigint AS in_retry, sum(p.lost)::bigint AS lost,
    analytics.amount(sum(p.attempted_minor) * 1000000, p.currency) AS attempted_amount,
    analytics.amount(sum(p.recovered_minor + p.in_retry_minor + p.lost_minor) * 1000000, p.currency) AS failed_amount,
    analytics.amount(sum(p.recovered_minor) * 1000000, p.currency) AS recovered_amount,
    analytics.amount(sum(p.in_retry_minor) * 1000000, p.currency) AS in_retry_amount,
    analytics.amount(sum(p.lost_minor) * 1000000, p.currency) AS lost_amount
FROM payment_daily p JOIN metric_generation g USING (gen) WHERE g.state = 'live'
GROUP BY p.day, p.currency, p.plan;
COMMENT ON VIEW analytics.payments IS 'Renewals by the day of their first attempt, each once, with what was due then and what became of it by now';
COMMENT ON COLUMN analytics.payments.asked IS 'Those for which the bank asked for the customer''s confirmation, which is no decline';

CREATE VIEW analytics.payment_failures AS
SELECT p.day, p.currency, p.plan, p.reason, (p.recovered + p.in_retry + p.lost) AS failed, p.recovered, p.in_retry, p.lost,
    analytics.amount((p.recovered_minor + p.in_retry_minor + p.lost_minor)::numeric * 1000000, p.currency) AS failed_amount
FROM payment_daily p JOIN metric_generation g USING (gen) WHERE g.state = 'live' AND p.recovered + p.in_retry + p.lost > 0;
COMMENT ON VIEW analytics.payment_failures IS 'Renewals that were declined at the first attempt, by the bank''s reason; empty where nobody told it';

CREATE VIEW analytics.cash_daily AS
SELECT c.day, c.currency,
    analytics.amount(coalesce(sum(c.amount_minor) FILTER (WHERE c.kind = 'gross'), 0) * 1000000, c.currency) AS gross,
    analytics.amount(coalesce(sum(c.amount_minor) FILTER (WHERE c.kind = 'refund'), 0) * 1000000, c.currency) AS refunds,
    analytics.amount(coalesce(sum(c.amount_minor) FILTER (WHERE c.kind = 'dispute'), 0) * 1000000, c.currency) AS disputes,
    analytics.amount(sum(c.fee_minor) * 1000000, c.currency) AS fees, analytics.amount(sum(c.net_minor) * 1000000, c.currency) AS net,
    sum(c.transactions)::bigint AS transactions
FROM cash_daily c JOIN metric_generation g USING (gen) WHERE g.state = 'live'
GROUP BY c.day, c.currency;
COMMENT ON VIEW analytics.cash_daily IS 'What went through the balance at Stripe on each day: refunds and lost disputes are below nought, fees above. Without payouts, transfers and top-ups';

CREATE VIEW analytics.funnel AS
SELECT f.day, f.bucket, f.plan, f.viewed, f.started, f.completed, f.activated, f.paid
FROM funnel_daily f JOIN metric_generation g USING (gen) WHERE g.state = 'live';
COMMENT ON VIEW analytics.funnel IS 'Visitors by the day they entered, with how many reached each step, whenever they did; direct are those who began with a checkout';

-- +goose StatementBegin
CREATE FUNCTION analytics.mrr_at(on_day date, in_currency text) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT analytics.amount(coalesce(sum(f.amount_micro), 0), in_currency) FROM (
        SELECT m.amount_micro FROM analytics.flows_monthly m WHERE m.currency = in_currency AND m.month < date_trunc('month', on_day::timestamp)::date
        UNION ALL
        SELECT d.amount_micro FROM analytics.flows_daily d WHERE d.currency = in_currency AND d.day BETWEEN date_trunc('month', on_day::timestamp)::date AND on_day
    ) f
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION analytics.mrr_at IS 'MRR at the end of a day: mrr_at(''2026-03-31'', ''usd'')';

-- +goose StatementBegin
CREATE FUNCTION analytics.customer_mrr(on_day date) RETURNS TABLE (customer text, organization_id uuid, organization text, currency text, mrr numeric) LANGUAGE sql STABLE AS $$
    SELECT n.customer, n.organization_id, n.organization, n.currency, n.mrr
    FROM (SELECT DISTINCT ON (c.customer, c.currency) c.* FROM analytics.customer_days c WHERE c.day <= on_day ORDER BY c.customer, c.currency, c.day DESC) n
    WHERE n.mrr > 0
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION analytics.customer_mrr IS 'Everyone with MRR at the end of a day, and how much';

-- +goose StatementBegin
CREATE FUNCTION analytics.series(first_day date, last_day date, by_interval text DEFAULT 'month', in_currency text DEFAULT 'usd', on_plan text DEFAULT NULL)
RETURNS TABLE (
    first date, last date, is_running boolean, opening_mrr numeric, new numeric, reactivation numeric, expansion numeric, contraction numeric, churn numeric,
    transfers numeric, mrr numeric, arr numeric, growth numeric, quick_ratio numeric, customers bigint, new_customers bigint, reactivated_customers bigint, churned_customers bigint, arpa numeric,
    nrr numeric, grr numeric, customer_churn numeric
) LANGUAGE sql STABLE AS $$
    WITH definition AS (
        SELECT * FROM analytics.definition
    ), periods AS (
        SELECT t.first::date AS first, (t.first + CASE by_interval WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || by_interval)::interval END)::date - 1 AS last
        FROM definition d
        CROSS JOIN generate_series(date_trunc(by_interval, first_day::timestamp), least(last_day, d.today)::timestamp, CASE by_interval WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || by_interval)::interval END) AS t (first)
    ), flows AS (
        SELECT f.day, f.kind, sum(f.amount_micro) AS micro, sum(CASE WHEN on_plan IS NULL THEN f.customers ELSE f.subscribers END) AS customers
        FROM analytics.flows_daily f WHERE f.currency = in_currency AND (on_plan IS NULL OR f.plan = on_plan) GROUP BY f.day, f.kind
    ), opening AS (
        SELECT coalesce(sum(f.micro), 0) AS micro, coalesce(sum(f.customers), 0) AS customers FROM flows f WHERE f.day < (SELECT min(p.first) FROM periods p)
    ), moved AS (
        SELECT p.first, p.last, coalesce(sum(f.micro), 0) AS micro, coalesce(sum(f.customers), 0) AS customers,
            coalesce(sum(f.micro) FILTER (WHERE f.kind = 'new'), 0) AS new, coalesce(sum(f.micro) FILTER (WHERE f.kind = 'reactivation'), 0) AS reactivation,
            coalesce(sum(f.micro) FILTER (WHERE f.kind = 'expansion'), 0) AS expansion, coalesce(sum(f.micro) FILTER (WHERE f.kind = 'contraction'), 0) AS contraction,
            coalesce(sum(f.micro) FILTER (WHERE f.kind = 'churn'), 0) AS churn, coalesce(sum(f.micro) FILTER (WHERE f.kind IN ('transfer_in', 'transfer_out')), 0) AS transfers,
            coalesce(sum(f.customers) FILTER (WHERE f.kind = 'new'), 0) AS joined, coalesce(sum(f.customers) FILTER (WHERE f.kind = 'reactivation'), 0) AS returned,
            coalesce(sum(f.customers) FILTER (WHERE f.kind = 'churn'), 0) AS gone
        FROM periods p LEFT JOIN flows f ON f.day BETWEEN p.first AND p.last GROUP BY p.first, p.last
    ), levels AS (
        SELECT m.*, o.micro + sum(m.micro) OVER w AS closing, o.customers + sum(m.customers) OVER w AS closing_customers
        FROM moved m CROSS JOIN opening o WINDOW w AS (ORDER BY m.first)
    )
    SELECT l.first, l.last, l.last >= d.today, analytics.amount(l.closing - l.micro, in_currency),
        analytics.amount(l.new, in_currency), analytics.amount(l.reactivation, in_currency), analytics.amount(l.expansion, in_currency),
        analytics.amount(l.contraction, in_currency), analytics.amount(l.churn, in_currency), analytics.amount(l.transfers, in_currency),
        analytics.amount(l.closing, in_currency), analytics.amount(12 * l.closing, in_currency), l.micro / nullif(l.closing - l.micro, 0),
        (l.new + l.expansion) / nullif(-(l.churn + l.contraction), 0),
        l.closing_customers::bigint, l.joined::bigint, l.returned::bigint, (-l.gone)::bigint, analytics.amount(l.closing, in_currency) / nullif(l.closing_customers, 0),
        r.nrr, r.grr, r.customer_churn
    FROM levels l CROSS JOIN definition d
    LEFT JOIN analytics.retention r ON r.months = 1 AND r.currency = in_currency AND r.plan IS NOT DISTINCT FROM on_plan AND r.first_day = l.first AND r.last_day = l.last
    ORDER BY l.first
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION analytics.series IS 'Figures by period: series(''2026-01-01'', ''2026-12-31'', ''month'', ''usd''). The interval is day, week, month, quarter or year; rates are there for months; a plan narrows it, and then customers are subscribers';

-- +goose Down
DROP SCHEMA analytics CASCADE;
DROP INDEX cash_entry_day_idx, customer_pledge_day_idx, trial_outcome_ended_idx, invoice_outcome_failed_idx;
