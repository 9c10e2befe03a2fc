package money_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/money"
)

func TestFormat(t *testing.T) {
	for name, tt := range map[string]struct {
		minor    int64
		currency money.Currency
		want     string
	}{
		"cents are padded":                   {5, "usd", "$0.05"},
		"thousands are grouped":              {129_900, "usd", "$1,299.00"},
		"millions are grouped":               {123_456_789, "eur", "€1,234,567.89"},
		"yen have no decimals":               {500, "jpy", "¥500"},
		"dinars have three":                  {12_345, "kwd", "KWD 12.345"},
		"a currency without symbol is named": {1250, "chf", "CHF 12.50"},
		"a minus stands before the symbol":   {-9900, "usd", "-$99.00"},
		"the smallest amount has a form":     {math.MinInt64, "usd", "-$92,233,720,368,547,758.08"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := money.Format(tt.minor, tt.currency); got != tt.want {
				t.Errorf("Format(%d, %s) = %q, want %q", tt.minor, tt.currency, got, tt.want)
			}
		})
	}
}

func TestFormatShortDropsOnlyZeroDecimals(t *testing.T) {
	for _, tt := range []struct {
		minor int64
		want  string
	}{{9900, "$99"}, {9950, "$99.50"}, {399_000, "$3,990"}} {
		if got := money.FormatShort(tt.minor, "usd"); got != tt.want {
			t.Errorf("FormatShort(%d) = %q, want %q", tt.minor, got, tt.want)
		}
	}
	if got := money.FormatShort(500, "jpy"); got != "¥500" {
		t.Errorf("FormatShort of yen = %q, want ¥500", got)
	}
}

func TestRoundMicroRoundsHalvesAwayFromZero(t *testing.T) {
	for _, tt := range []struct{ micro, want int64 }{
		{0, 0},
		{499_999, 0},
		{500_000, 1},
		{-499_999, 0},
		{-500_000, -1},
		{16_666_666_666, 16_667},
		{math.MaxInt64, 9_223_372_036_855},
		{math.MinInt64, -9_223_372_036_855},
	} {
		if got := money.RoundMicro(tt.micro); got != tt.want {
			t.Errorf("RoundMicro(%d) = %d, want %d", tt.micro, got, tt.want)
		}
	}
}

func TestParseCurrency(t *testing.T) {
	if c, err := money.ParseCurrency(" USD "); err != nil || c != "usd" {
		t.Errorf("ParseCurrency(USD) = %q, %v", c, err)
	}
	for _, bad := range []string{"", "us", "usdd", "u$d", "123"} {
		if _, err := money.ParseCurrency(bad); err == nil {
			t.Errorf("ParseCurrency(%q) was accepted", bad)
		}
	}
}

func TestFormatKeepsEveryDigit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64().Draw(t, "minor")
		c := rapid.SampledFrom([]money.Currency{"usd", "jpy", "kwd", "chf"}).Draw(t, "currency")
		digits := strings.Map(func(r rune) rune {
			if r == '-' || r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, money.Format(minor, c))
		digits = strings.Replace(digits, "-", "", 1)
		trimmed := strings.TrimLeft(digits, "0")
		want := strings.TrimPrefix(money.Format(minor, "jpy"), "-")
		want = strings.NewReplacer("¥", "", ",", "").Replace(want)
		if trimmed != strings.TrimLeft(want, "0") {
			t.Fatalf("Format(%d, %s) has digits %q, want %q", minor, c, trimmed, want)
		}
	})
}

func TestDecimalMicroLosesNothing(t *testing.T) {
	for micro, want := range map[int64]string{
		0: "0", 1: "0.000001", -1: "-0.000001", 9_900_000_000: "9900", 2_416_666_667: "2416.666667", 500_000: "0.5", -1_234_567_890_123: "-1234567.890123",
		math.MaxInt64: "9223372036854.775807", math.MinInt64: "-9223372036854.775808",
	} {
		if got := money.DecimalMicro(micro); got != want {
			t.Errorf("DecimalMicro(%d) = %s, want %s", micro, got, want)
		}
	}
}
