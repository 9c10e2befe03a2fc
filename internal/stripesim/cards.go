package stripesim

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// testCard is a number that is known to be a test. Every other number is
// declined before anything is made of it.
// https://stripe.com/docs/testing#cards
type testCard struct {
	number      string
	brand       string
	fingerprint string
	// decline is Stripe's decline code, empty for a card that pays.
	decline string
	// does says in a few words what the card is for.
	does string
}

var testCards = []testCard{
	{number: "4242424242424242", brand: "visa", fingerprint: "r40d4vOgg3VecDJF", does: "pays"},
	{number: "4000000000000002", brand: "visa", fingerprint: "Kp7s2fXo9QdTz4Lm", decline: "generic_decline", does: "is declined"},
}

func findTestCard(number string) (testCard, bool) {
	for _, card := range testCards {
		if card.number == number {
			return card, true
		}
	}
	return testCard{}, false
}

func (c testCard) last4() string { return c.number[len(c.number)-4:] }

// grouped is the number as it is printed on a card.
func (c testCard) grouped() string {
	var groups []string
	for number := c.number; number != ""; {
		n := min(4, len(number))
		groups = append(groups, number[:n])
		number = number[n:]
	}
	return strings.Join(groups, " ")
}

// payer is what a buyer types into the hosted page.
type payer struct {
	email  string
	name   string
	number string
	expiry string // MM / YY
	cvc    string
}

// checkedCard is a payer's card that a payment may be tried with.
type checkedCard struct {
	testCard
	expMonth, expYear int64
}

// cardFault is what is wrong with one field of the page's form.
type cardFault struct {
	field   string
	code    string
	message string
}

// checkCard answers the card, or what is wrong with what was typed, field by
// field, in the words of Stripe's page.
func checkCard(p payer, now time.Time) (checkedCard, []cardFault) {
	var faults []cardFault
	fault := func(field, code, message string) {
		faults = append(faults, cardFault{field, code, message})
	}
	number := strings.NewReplacer(" ", "", "-", "").Replace(p.number)
	card, known := findTestCard(number)
	switch {
	case number == "":
		fault("card_number", "invalid_number", "Enter a card number.")
	case !isDigits(number) || len(number) > 19:
		fault("card_number", "invalid_number", "Your card number is invalid.")
	case len(number) < 12:
		fault("card_number", "incomplete_number", "Your card number is incomplete.")
	case !passesLuhn(number):
		fault("card_number", "incorrect_number", "Your card number is invalid.")
	case !known:
		fault("card_number", "card_declined", "Your card was declined. This is a test page, and this is not one of its test cards.")
	}
	month, year, ok := parseExpiry(p.expiry)
	switch {
	case !ok:
		fault("expiry", "invalid_expiry_month", "Enter the date as MM / YY.")
	case year < int64(now.Year()) || year == int64(now.Year()) && month < int64(now.Month()):
		fault("expiry", "invalid_expiry_year", "Your card's expiration date is in the past.")
	}
	if cvc := strings.TrimSpace(p.cvc); !isDigits(cvc) || len(cvc) < 3 || len(cvc) > 4 {
		fault("cvc", "invalid_cvc", "Enter the three or four digits of the security code.")
	}
	return checkedCard{testCard: card, expMonth: month, expYear: year}, faults
}

func parseExpiry(s string) (month, year int64, ok bool) {
	m, y, cut := strings.Cut(strings.ReplaceAll(s, " ", ""), "/")
	if !cut && len(m) == 4 {
		m, y = m[:2], m[2:]
	}
	month, monthErr := strconv.ParseInt(m, 10, 64)
	year, yearErr := strconv.ParseInt(y, 10, 64)
	if monthErr != nil || yearErr != nil || month < 1 || month > 12 || year < 0 {
		return 0, 0, false
	}
	switch len(y) {
	case 2:
		return month, 2000 + year, true
	case 4:
		return month, year, true
	}
	return 0, 0, false
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// passesLuhn is the check sum of every card number.
func passesLuhn(number string) bool {
	sum := 0
	for i := range len(number) {
		digit := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0
}

// declined is Stripe's 402.
func declined(card checkedCard, extra object) *apiError {
	return &apiError{
		status: http.StatusPaymentRequired, kind: typeCard, code: "card_declined",
		message: "Your card was declined.",
		extra:   object{"decline_code": card.decline}.set(extra),
	}
}
