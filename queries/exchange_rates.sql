-- name: WriteExchangeRates :execrows
-- Replaces by base, currency and day; says how many are new or differ.
INSERT INTO exchange_rates (base, currency, day, rate)
SELECT @base, unnest(@currencies::text[]), unnest(@days::date[]), unnest(@rates::text[])::numeric
ON CONFLICT (base, currency, day) DO UPDATE SET rate = excluded.rate WHERE exchange_rates.rate <> excluded.rate;

-- name: ExchangeRates :many
-- Those of some days, and of each currency the last one before them.
SELECT r.currency, r.day, r.rate::text AS rate FROM exchange_rates r
WHERE r.base = @base AND r.day <= @last
    AND r.day >= coalesce((SELECT max(e.day) FROM exchange_rates e WHERE e.base = r.base AND e.currency = r.currency AND e.day <= @first), '-infinity'::date)
ORDER BY r.currency, r.day;

-- name: ExchangeRateSpans :many
-- From when to when rates are known, and how many, by currency.
SELECT base, currency, min(day)::date AS first_day, max(day)::date AS last_day, count(*) AS days FROM exchange_rates GROUP BY base, currency ORDER BY base, currency;

-- name: HasExchangeRates :one
SELECT EXISTS (SELECT FROM exchange_rates WHERE base = @base)::boolean AS has_rates;
