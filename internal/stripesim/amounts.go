package stripesim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// https://stripe.com/docs/currencies#zero-decimal and #three-decimal
var (
	zeroDecimal  = strings.Fields("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf")
	threeDecimal = strings.Fields("bhd jod kwd omr tnd")
	symbols      = map[string]string{"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}
)

// amountText is an amount for people: $1,290.00, or 12.500 KWD.
func amountText(minor int64, currency string) string {
	decimals := 2
	switch {
	case slices.Contains(zeroDecimal, currency):
		decimals = 0
	case slices.Contains(threeDecimal, currency):
		decimals = 3
	}
	digits := strconv.FormatInt(minor, 10)
	if short := decimals + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	whole, fraction := digits[:len(digits)-decimals], digits[len(digits)-decimals:]
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if decimals > 0 {
		whole += "." + fraction
	}
	if symbol := symbols[currency]; symbol != "" {
		return symbol + whole
	}
	return whole + " " + strings.ToUpper(currency)
}

func priceText(price object) string {
	return amountText(amountTimes(price, 1), price.str("currency"))
}

// intervalText is the price's rhythm as it follows "every" or a slash.
func intervalText(price object) string {
	recurring := price.obj("recurring")
	if count := recurring.int("interval_count"); count > 1 {
		return fmt.Sprintf("%d %ss", count, recurring.str("interval"))
	}
	return recurring.str("interval")
}
