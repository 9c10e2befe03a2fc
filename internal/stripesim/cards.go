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
	// declineLater is the decline code of every charge that is made when the
	// buyer is not there.
	declineLater string
	// confirm is when the bank wants to be asked.
	confirm confirmation
	// disputes is what the card's owner says to the bank about every charge, in
	// Stripe's word for it, as soon as it is made; inquires lets the bank only ask.
	disputes string
	inquires bool
	// refund is what becomes of a refund in the end, if that is not known at once:
	// failed or, of one that is pending, succeeded.
	refund string
	// isBank marks the account number of a bank, which is debited; bounces that the
	// bank does not pay in the end.
	isBank, bounces bool
	// does says in a few words what the card is for. One that the hosted page
	// does not offer has none.
	does string
}

// confirmation is when a card wants its holder to confirm, with 3-D Secure.
type confirmation int

const (
	confirmNever confirmation = iota
	// confirmOnce is once, when it is set up or first used; from then on it pays
	// by itself.
	confirmOnce
	// confirmAlways is at each payment, also when nobody is there to do it.
	confirmAlways
)

// testCards are in the order in which the hosted page offers them.
//
// Stripe declines the card ending in 0341 at its first charge too, wherever it
// was typed. Here a buyer who is there pays with it once, so that what follows a
// failed renewal can be tried with any plan and not only after a trial. Stripe's
// bank gives no reason for it; the two after it, which Stripe does not have, are
// declined by banks that do.
var testCards = []testCard{
	{number: "4242424242424242", brand: "visa", fingerprint: "r40d4vOgg3VecDJF", does: "pays"},
	{number: "4000000000000002", brand: "visa", fingerprint: "Kp7s2fXo9QdTz4Lm", decline: "generic_decline", does: "is declined"},
	{number: "4000000000009995", brand: "visa", fingerprint: "Zt4hWq81LmCkYb2E", decline: "insufficient_funds", does: "has insufficient funds"},
	{number: "4000000000000341", brand: "visa", fingerprint: "Gd6vRn03XsPjUa7T", declineLater: "generic_decline", does: "is accepted now, fails later"},
	{number: "4000000000003410", brand: "visa", fingerprint: "Wq3nCz85TbKyEi6D", declineLater: "insufficient_funds"},
	{number: "4000000000013419", brand: "visa", fingerprint: "Rj7mAo42PvXeUs9F", declineLater: "do_not_honor"},
	{number: "4000002500003155", brand: "visa", fingerprint: "Nf9cMe52BoKxHy1R", confirm: confirmOnce, does: "asks you to confirm"},
	{number: "4000002760003184", brand: "visa", fingerprint: "Vb3kTu76DwQaSg5J", confirm: confirmAlways},
	{number: "4000003800000446", brand: "visa", fingerprint: "Yp8zLi29FrEcOn4X"},
	{number: "4000000000000259", brand: "visa", fingerprint: "Dw5rHe83QmAvUo2N", disputes: "fraudulent", does: "pays, and is disputed"},
	{number: "4000000000002685", brand: "visa", fingerprint: "Bi7tCn14JyPkSx9G", disputes: "product_not_received"},
	{number: "4000000000001976", brand: "visa", fingerprint: "Lf3uOz60WgRdVh8M", disputes: "fraudulent", inquires: true},
	{number: "4000000000005126", brand: "visa", fingerprint: "Ta9jXe47NcZqFi1K", refund: "failed"},
	{number: "4000000000007726", brand: "visa", fingerprint: "Pu2mGw95VbHsLo6R", refund: "succeeded"},
	{number: "000123456789", isBank: true, fingerprint: "Hy6rBk72SdMzAe8W", does: "bank debit, arrives after four days"},
	{number: "000222222227", isBank: true, fingerprint: "Jc1vNp59XuGtQi3D", bounces: true, does: "bank debit, fails after four days"},
}

// bankNames are what the test accounts are called where nobody looks up their
// numbers.
var bankNames = map[string]string{"bank_debit_succeeds": "000123456789", "bank_debit_fails": "000222222227"}

// findCardOf answers the test card that a payment method was made of.
func findCardOf(method object) checkedCard {
	card := method.obj("card")
	if isDebit(method) {
		card = method.obj(bankDebit)
	}
	for _, known := range testCards {
		if known.fingerprint == card.str("fingerprint") {
			return checkedCard{testCard: known, expMonth: card.int("exp_month"), expYear: card.int("exp_year")}
		}
	}
	return checkedCard{}
}

// sellerMessage is what Stripe tells the seller of a decline.
func (c testCard) sellerMessage() string {
	if c.decline == "insufficient_funds" {
		return "The bank returned the decline code `insufficient_funds`."
	}
	return "The bank did not return any further details with this decline."
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
	// confirms is set for a buyer who confirms whatever the card's bank asks.
	confirms bool
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
	number := strings.NewReplacer(" ", "", "-", "").Replace(firstOf(bankNames[p.number], p.number))
	card, known := findTestCard(number)
	if card.isBank {
		return checkedCard{testCard: card}, nil
	}
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
	message := "Your card was declined."
	if card.decline == "insufficient_funds" {
		message = "Your card has insufficient funds."
	}
	return &apiError{
		status: http.StatusPaymentRequired, kind: typeCard, code: "card_declined",
		message: message,
		extra:   object{"decline_code": card.decline}.set(extra),
	}
}
