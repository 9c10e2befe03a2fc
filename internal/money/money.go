// Package money holds amounts in minor units of a currency and prints them.
//
// An amount is never a float: it is an int64 in the currency's minor unit
// (cents for USD, whole yen for JPY, fils for KWD) or, where division would
// lose something, in a millionth of it (Micro).
package money

import (
	"fmt"
	"strconv"
	"strings"
)

// Micro is the number of micro-units in one minor unit.
const Micro = 1_000_000

// Currency is a lower-case ISO 4217 code as Stripe writes it, e.g. "usd".
type Currency string

// ParseCurrency accepts a three-letter code in any case.
func ParseCurrency(s string) (Currency, error) {
	c := strings.ToLower(strings.TrimSpace(s))
	if len(c) != 3 || strings.Trim(c, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", fmt.Errorf("currency %q is not a three-letter code", s)
	}
	return Currency(c), nil
}

// Currencies whose minor unit is not a hundredth. Source:
// https://docs.stripe.com/currencies#zero-decimal and #three-decimal; ISK and
// UGX are charged with two decimals although they have none in daily life.
var exponents = map[Currency]int{
	"bif": 0, "clp": 0, "djf": 0, "gnf": 0, "jpy": 0, "kmf": 0, "krw": 0, "mga": 0,
	"pyg": 0, "rwf": 0, "vnd": 0, "vuv": 0, "xaf": 0, "xof": 0, "xpf": 0,
	"bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3,
}

// Exponent is the number of decimals of the minor unit: 2 for usd, 0 for jpy.
func (c Currency) Exponent() int {
	if e, ok := exponents[c]; ok {
		return e
	}
	return 2
}

var symbols = map[Currency]string{"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}

// Format prints an amount in minor units for people: "$1,299.00", "¥500",
// "CHF 12.50". A minus stands before the symbol.
func Format(minor int64, c Currency) string {
	sign, digits := split(minor, c.Exponent())
	return sign + prefix(c) + digits
}

// FormatShort is Format without decimals where they are all zero: "$99".
func FormatShort(minor int64, c Currency) string {
	s := Format(minor, c)
	if i := strings.LastIndexByte(s, '.'); i >= 0 && strings.Trim(s[i+1:], "0") == "" {
		return s[:i]
	}
	return s
}

// RoundMicro rounds micro-units to the nearest minor unit, halves away from
// zero. It is for display only: figures add up before they are rounded.
func RoundMicro(micro int64) int64 {
	half := int64(Micro / 2)
	if micro < 0 {
		half = -half
	}
	// Dividing before adding the half keeps the extremes from overflowing.
	return micro/Micro + (micro%Micro+half)/Micro
}

// FormatMicro prints micro-units rounded to the minor unit.
func FormatMicro(micro int64, c Currency) string { return Format(RoundMicro(micro), c) }

// DecimalMicro prints micro-units as a decimal number of minor units, with as
// many of six decimals as it takes: "9900", "2416.666667".
func DecimalMicro(micro int64) string {
	sign, digits := split(micro, 6)
	digits = strings.ReplaceAll(digits, ",", "")
	return sign + strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
}

func prefix(c Currency) string {
	if s, ok := symbols[c]; ok {
		return s
	}
	return strings.ToUpper(string(c)) + " "
}

func split(minor int64, exponent int) (sign, digits string) {
	// The unsigned magnitude also holds the smallest int64.
	magnitude := uint64(minor)
	if minor < 0 {
		sign, magnitude = "-", -magnitude
	}
	s := strconv.FormatUint(magnitude, 10)
	if pad := exponent + 1 - len(s); pad > 0 {
		s = strings.Repeat("0", pad) + s
	}
	whole, fraction := s[:len(s)-exponent], s[len(s)-exponent:]
	var b strings.Builder
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	if exponent > 0 {
		b.WriteString("." + fraction)
	}
	return sign, b.String()
}
