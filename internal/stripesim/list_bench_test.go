package stripesim

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// BenchmarkSubscriptionsOfACustomer asks what is asked after every event: what
// a customer has, with the latest invoice, in a shop of five hundred customers
// with twelve invoices each.
func BenchmarkSubscriptionsOfACustomer(b *testing.B) {
	s, err := Open(Config{SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	customers := make([]string, 500)
	for i := range customers {
		err := s.update(cause{}, func(t *tx) error {
			price := newPrice(t).set(object{
				"currency": "usd", "metadata": object{}, "product": "prod_none", "type": "recurring", "unit_amount": int64(9900),
				"unit_amount_decimal": "9900", "recurring": object{"interval": "month", "interval_count": int64(1)},
			})
			customer := newCustomer(t)
			t.put(customer)
			customers[i] = customer.id()
			card, _ := findTestCard("4242424242424242")
			made := t.subscribe(purchase{
				customer: customer, lines: []purchaseLine{{price: price, quantity: 1}},
				method: newPaymentMethod(t, checkedCard{testCard: card, expMonth: 1, expYear: 2040}, payer{}),
			})
			for range 11 {
				t.put(made.invoice.clone().set(object{"id": newID("in_1", longID-1)}))
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	handler := s.Handler()
	query := url.Values{"status": {"all"}, "limit": {"100"}, "expand[]": {"data.latest_invoice"}}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		query.Set("customer", customers[i%len(customers)])
		r := httptest.NewRequest(http.MethodGet, "/v1/subscriptions?"+query.Encode(), nil)
		r.Header.Set("Authorization", "Bearer sk_test_x")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(fmt.Sprint(w.Code, w.Body))
		}
	}
}
