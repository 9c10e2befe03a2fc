package stripesim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// attach gives one of Stripe's test methods to the shop's customer.
func (s *shop) attach(t *testing.T, method string) *stripe.PaymentMethod {
	t.Helper()
	attached, err := s.api.PaymentMethods.Attach(method, &stripe.PaymentMethodAttachParams{Customer: stripe.String(s.customer.ID)})
	must(t, err)
	return attached
}

// makeDefault lets the customer's invoices be paid with the method.
func (s *shop) makeDefault(t *testing.T, method string) {
	t.Helper()
	_, err := s.api.Customers.Update(s.customer.ID, &stripe.CustomerParams{
		InvoiceSettings: &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: stripe.String(method)},
	})
	must(t, err)
}

// eventsSince answers the events after the first n.
func (s *shop) eventsSince(t *testing.T, n int) []map[string]any {
	t.Helper()
	return s.State(t)["event"][n:]
}

func typesOf(events []map[string]any) string {
	var types []string
	for _, event := range events {
		types = append(types, event["type"].(string))
	}
	return strings.Join(types, " ")
}

func previousOf(event map[string]any) map[string]any {
	previous, _ := event["data"].(map[string]any)["previous_attributes"].(map[string]any)
	return previous
}

func TestACardIsAttachedUsedAndDetached(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	before := len(eventTypesOf(t, shop))
	visa, second := shop.attach(t, "pm_card_visa"), shop.attach(t, "pm_card_visa")
	if visa.ID == second.ID || !strings.HasPrefix(visa.ID, "pm_1") {
		t.Errorf("ids %s and %s", visa.ID, second.ID)
	}
	equal(t, "customer", visa.Customer.ID, shop.customer.ID)
	equal(t, "card", visa.Card.Last4, "4242")
	again := shop.attach(t, visa.ID)
	equal(t, "attached to the same customer again", again.ID, visa.ID)

	shop.makeDefault(t, visa.ID)
	subscription, err := shop.api.Subscriptions.New(&stripe.SubscriptionParams{
		Customer: stripe.String(shop.customer.ID), Items: []*stripe.SubscriptionItemsParams{{Price: stripe.String(shop.price.ID)}},
		DefaultPaymentMethod: stripe.String(visa.ID),
	})
	must(t, err)
	equal(t, "paid with its own card", subscription.Status, stripe.SubscriptionStatusActive)

	updated, err := shop.api.PaymentMethods.Update(second.ID, &stripe.PaymentMethodParams{
		Card: &stripe.PaymentMethodCardParams{ExpMonth: stripe.Int64(3), ExpYear: stripe.Int64(2044)},
	})
	must(t, err)
	equal(t, "expiry", updated.Card.ExpYear, 2044)

	events := shop.eventsSince(t, before)
	equal(t, "first events", typesOf(events[:3]), "payment_method.attached payment_method.attached customer.updated")
	equal(t, "the default before", fmt.Sprint(previousOf(events[2])), "map[invoice_settings:map[default_payment_method:<nil>]]")
	last := events[len(events)-1]
	equal(t, "last event", last["type"], any("payment_method.updated"))

	at := before + len(events)
	detached, err := shop.api.PaymentMethods.Detach(visa.ID, nil)
	must(t, err)
	if detached.Customer != nil {
		t.Errorf("still attached to %v", detached.Customer)
	}
	events = shop.eventsSince(t, at)
	equal(t, "events", typesOf(events), "payment_method.detached customer.updated customer.subscription.updated")
	equal(t, "whose it was", fmt.Sprint(previousOf(events[0])), "map[customer:"+shop.customer.ID+"]")
	equal(t, "what it paid", fmt.Sprint(previousOf(events[2])), "map[default_payment_method:"+visa.ID+"]")

	_, err = shop.api.PaymentMethods.Attach(visa.ID, &stripe.PaymentMethodAttachParams{Customer: stripe.String(shop.customer.ID)})
	wantError(t, err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, "payment_method_unexpected_state", "")
	_, err = shop.api.PaymentMethods.Detach(visa.ID, nil)
	wantError(t, err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, "payment_method_unexpected_state", "")
	var left []string
	for it := shop.api.PaymentMethods.List(&stripe.PaymentMethodListParams{Customer: stripe.String(shop.customer.ID)}); it.Next(); {
		left = append(left, it.PaymentMethod().ID)
	}
	equal(t, "what is left", fmt.Sprint(left), fmt.Sprint([]string{second.ID}))
}

func TestACardThatDeclinesCannotBeAttached(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	other, err := shop.api.Customers.New(nil)
	must(t, err)
	theirs, err := shop.api.PaymentMethods.Attach("pm_card_visa", &stripe.PaymentMethodAttachParams{Customer: stripe.String(other.ID)})
	must(t, err)
	for _, c := range []struct {
		sentence, method string
		status           int
		kind             stripe.ErrorType
		code             stripe.ErrorCode
	}{
		{"one that is always declined", "pm_card_chargeDeclined", http.StatusPaymentRequired, stripe.ErrorTypeCard, "card_declined"},
		{"one that is somebody else's", theirs.ID, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, "payment_method_unexpected_state"},
	} {
		_, err := shop.api.PaymentMethods.Attach(c.method, &stripe.PaymentMethodAttachParams{Customer: stripe.String(shop.customer.ID)})
		t.Log(c.sentence)
		wantError(t, err, c.status, c.kind, c.code, "")
	}
	_, err = shop.api.PaymentMethods.Attach("pm_none", &stripe.PaymentMethodAttachParams{Customer: stripe.String(shop.customer.ID)})
	wantError(t, err, http.StatusNotFound, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, "payment_method")
	_, err = shop.api.Customers.Update(shop.customer.ID, &stripe.CustomerParams{
		InvoiceSettings: &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: stripe.String(theirs.ID)},
	})
	wantError(t, err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, "invoice_settings[default_payment_method]")
	equal(t, "methods of the customer", len(shop.State(t)["payment_method"]), 1)
}

func TestChangesOfACardThatStripeRefuses(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	method := shop.attach(t, "pm_card_visa")
	for sentence, c := range map[string]struct {
		path, params string
		status       int
		param        string
	}{
		"a thirteenth month":     {method.ID, "card[exp_month]=13", http.StatusPaymentRequired, "card[exp_month]"},
		"a year that is over":    {method.ID, "card[exp_year]=2020", http.StatusPaymentRequired, "card[exp_year]"},
		"a card that is none":    {"pm_none", "card[exp_year]=2044", http.StatusNotFound, "payment_method"},
		"detaching what is none": {"pm_none/detach", "", http.StatusNotFound, "payment_method"},
	} {
		status, answer := shop.Do(t, http.MethodPost, "/v1/payment_methods/"+c.path, c.params)
		if status != c.status || !strings.Contains(string(answer), `"param": "`+c.param+`"`) {
			t.Errorf("%s: want %d for %s, got %d %s", sentence, c.status, c.param, status, answer)
		}
	}
	found, err := shop.api.PaymentMethods.Get(method.ID, nil)
	must(t, err)
	equal(t, "unchanged", found.Card.ExpYear, method.Card.ExpYear)
	it := shop.api.Customers.ListPaymentMethods(&stripe.CustomerListPaymentMethodsParams{Customer: stripe.String(shop.customer.ID)})
	equal(t, "listed", it.Next() && it.PaymentMethod().ID == method.ID && !it.Next(), true)
}
