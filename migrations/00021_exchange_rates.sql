-- What currencies were worth, for figures in a base currency.

-- +goose Up
CREATE TABLE exchange_rates (
    base     text    NOT NULL,
    currency text    NOT NULL,
    day      date    NOT NULL,
    rate     numeric NOT NULL,
    PRIMARY KEY (base, currency, day),
    -- Codes as Stripe writes them, so that they meet those of the figures.
    CONSTRAINT exchange_rates_codes CHECK (base ~ '^[a-z]{3}$' AND currency ~ '^[a-z]{3}$' AND base <> currency),
    CONSTRAINT exchange_rates_rate_positive CHECK (rate > 0)
);
COMMENT ON TABLE exchange_rates IS 'What a unit of a currency was worth in the base currency at the end of a day. A day without a rate has that of the last one before it';
COMMENT ON COLUMN exchange_rates.rate IS 'Major units: 1 EUR = 1.08 USD is 1.08 in base usd';

-- +goose Down
DROP TABLE exchange_rates;
