package stripesim

import (
	"fmt"
	"net/http"
)

// route is one request that the API knows.
type route struct {
	pattern string
	params  fields
	serve   endpoint
}

// apiRoutes is everything under /v1, a resource a paragraph.
var apiRoutes = []route{
	{"GET /v1/account", objectParams(nil), (*call).retrieveAccount},
	{"GET /v1/balance", objectParams(nil), (*call).retrieveBalance},
	{"GET /v1/balance_transactions", transactionList, (*call).listTransactions},
	{"GET /v1/balance_transactions/{id}", objectParams(nil), (*call).retrieveTransaction},

	{"POST /v1/customers", customerFields, (*call).createCustomer},
	{"GET /v1/customers", customerList, (*call).listCustomers},
	{"GET /v1/customers/{id}", objectParams(nil), (*call).retrieveCustomer},
	{"POST /v1/customers/{id}", customerFields, (*call).updateCustomer},
	{"DELETE /v1/customers/{id}", fields{}, (*call).deleteCustomer},
	{"GET /v1/customers/{id}/payment_methods", listParams(fields{"type": enum("card", bankDebit)}), (*call).listCustomerPaymentMethods},

	{"POST /v1/products", productCreate, (*call).createProduct},
	{"GET /v1/products", productList, (*call).listProducts},
	{"GET /v1/products/{id}", objectParams(nil), (*call).retrieveProduct},
	{"POST /v1/products/{id}", productUpdate, (*call).updateProduct},

	{"POST /v1/prices", priceCreate, (*call).createPrice},
	{"GET /v1/prices", priceList, (*call).listPrices},
	{"GET /v1/prices/{id}", objectParams(nil), (*call).retrievePrice},
	{"POST /v1/prices/{id}", priceUpdate, (*call).updatePrice},

	{"POST /v1/checkout/sessions", sessionCreate, (*call).createSession},
	{"GET /v1/checkout/sessions", sessionList, (*call).listSessions},
	{"GET /v1/checkout/sessions/{id}", objectParams(nil), (*call).retrieveSession},
	{"POST /v1/checkout/sessions/{id}/expire", objectParams(nil), (*call).expireSession},
	{"GET /v1/checkout/sessions/{id}/line_items", listParams(nil), (*call).listSessionItems},

	{"POST /v1/subscriptions", subscriptionCreate, (*call).createSubscription},
	{"GET /v1/subscriptions", subscriptionList, (*call).listSubscriptions},
	{"GET /v1/subscriptions/{id}", objectParams(nil), (*call).retrieveSubscription},
	{"POST /v1/subscriptions/{id}", subscriptionUpdate, (*call).updateSubscription},
	{"POST /v1/subscriptions/{id}/resume", subscriptionResume, (*call).resumeSubscription},
	{"DELETE /v1/subscriptions/{id}", subscriptionCancel, (*call).cancelSubscription},

	{"POST /v1/subscription_schedules", scheduleCreate, (*call).createSchedule},
	{"GET /v1/subscription_schedules", scheduleList, (*call).listSchedules},
	{"GET /v1/subscription_schedules/{id}", objectParams(nil), (*call).retrieveSchedule},
	{"POST /v1/subscription_schedules/{id}", scheduleUpdate, (*call).updateSchedule},
	{"POST /v1/subscription_schedules/{id}/cancel", objectParams(nil), (*call).cancelSchedule},
	{"POST /v1/subscription_schedules/{id}/release", scheduleRelease, (*call).releaseScheduleNow},

	{"GET /v1/subscription_items", listParams(fields{"subscription": nonEmpty.must()}), (*call).listSubscriptionItems},
	{"GET /v1/subscription_items/{id}", objectParams(nil), (*call).retrieveSubscriptionItem},

	{"GET /v1/invoices", invoiceList, (*call).listInvoices},
	{"GET /v1/invoices/{id}", objectParams(nil), (*call).retrieveInvoice},
	{"GET /v1/invoices/upcoming", upcomingParams, (*call).upcoming},
	{"GET /v1/invoices/{id}/lines", listParams(nil), (*call).listInvoiceLines},
	{"POST /v1/invoices/{id}/finalize", invoiceFinalize, (*call).finalizeInvoice},
	{"POST /v1/invoices/{id}/mark_uncollectible", objectParams(nil), (*call).markUncollectible},
	{"POST /v1/invoices/{id}/pay", invoicePay, (*call).payInvoice},
	{"POST /v1/invoices/{id}/void", objectParams(nil), (*call).voidInvoice},

	{"GET /v1/invoiceitems", invoiceItemList, (*call).listInvoiceItems},
	{"GET /v1/invoiceitems/{id}", objectParams(nil), (*call).retrieveInvoiceItem},

	{"GET /v1/charges", chargeList, (*call).listCharges},
	{"GET /v1/charges/{id}", objectParams(nil), (*call).retrieveCharge},

	{"POST /v1/refunds", refundCreate, (*call).createRefund},
	{"GET /v1/refunds", refundList, (*call).listRefunds},
	{"GET /v1/refunds/{id}", objectParams(nil), (*call).retrieveRefund},
	{"POST /v1/refunds/{id}", refundUpdate, (*call).updateRefund},
	{"POST /v1/refunds/{id}/cancel", objectParams(nil), (*call).cancelRefund},
	{"GET /v1/disputes", disputeList, (*call).listDisputes},
	{"GET /v1/disputes/{id}", objectParams(nil), (*call).retrieveDispute},
	{"POST /v1/disputes/{id}", disputeUpdate, (*call).respond},
	{"POST /v1/disputes/{id}/close", objectParams(nil), (*call).acceptDispute},

	{"GET /v1/payment_intents", intentList, (*call).listPaymentIntents},
	{"GET /v1/payment_intents/{id}", objectParams(nil), (*call).retrievePaymentIntent},
	{"POST /v1/payment_intents/{id}/confirm", intentConfirm, (*call).confirmPaymentIntent},
	{"GET /v1/setup_intents/{id}", objectParams(nil), (*call).retrieveSetupIntent},
	{"GET /v1/payment_methods", paymentMethodList, (*call).listPaymentMethods},
	{"GET /v1/payment_methods/{id}", objectParams(nil), (*call).retrievePaymentMethod},
	{"POST /v1/payment_methods/{id}", paymentMethodUpdate, (*call).updatePaymentMethod},
	{"POST /v1/payment_methods/{id}/attach", paymentMethodAttach, (*call).attachPaymentMethod},
	{"POST /v1/payment_methods/{id}/detach", objectParams(nil), (*call).detachPaymentMethod},

	{"GET /v1/events", eventList, (*call).listEvents},
	{"GET /v1/events/{id}", objectParams(nil), (*call).retrieveEvent},

	{"POST /v1/webhook_endpoints", endpointCreate, (*call).createEndpoint},
	{"GET /v1/webhook_endpoints", listParams(nil), (*call).listEndpoints},
	{"GET /v1/webhook_endpoints/{id}", objectParams(nil), (*call).retrieveEndpoint},
	{"POST /v1/webhook_endpoints/{id}", endpointUpdate, (*call).updateEndpoint},
	{"DELETE /v1/webhook_endpoints/{id}", fields{}, (*call).deleteEndpoint},
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range apiRoutes {
		mux.HandleFunc(rt.pattern, s.api(rt.params, rt.serve))
	}
	mux.HandleFunc("/v1/", s.unknownRoute)

	mux.HandleFunc("GET /sim/state", s.control(s.showState))
	mux.HandleFunc("GET /sim/clock", s.control(s.showClock))
	mux.HandleFunc("POST /sim/clock/advance", s.control(s.advanceClock))
	mux.HandleFunc("POST /sim/checkout/{id}/complete", s.control(s.completeFromControl))
	mux.HandleFunc("POST /sim/settings", s.control(s.changeSettings))
	mux.HandleFunc("POST /sim/payment_methods/{id}/replacement", s.control(s.replaceCard))
	mux.HandleFunc("/sim/", s.unknownRoute)

	mux.HandleFunc("GET /c/pay/{id}", s.showCheckout)
	mux.HandleFunc("POST /c/pay/{id}", s.payCheckout)
	mux.HandleFunc("GET /c/pay/{id}/confirmation", s.showConfirmation)
	mux.HandleFunc("POST /c/pay/{id}/confirmation", s.confirmCheckout)
	mux.HandleFunc("GET /c/assets/{name}", s.serveAsset)
	mux.HandleFunc("GET /{$}", s.showHome)
	mux.HandleFunc("POST /sim/clock", s.moveClockFromPage)
	mux.HandleFunc("/", s.showNotFound)
	return mux
}

// unknownRoute is Stripe's answer to an URL that it does not know, after the
// question of who asks.
func (s *Server) unknownRoute(w http.ResponseWriter, r *http.Request) {
	a := s.answer(w, r)
	if err := s.admit(r); err != nil {
		a.fail(err)
		return
	}
	a.fail(&apiError{
		status: http.StatusNotFound, kind: typeInvalidRequest,
		message: fmt.Sprintf("Unrecognized request URL (%s: %s). Please see https://stripe.com/docs or we can help at https://support.stripe.com/.", r.Method, r.URL.Path),
	})
}
