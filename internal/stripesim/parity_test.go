package stripesim_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// TestParametersAreJudgedAsStripeMockJudgesThem puts the same requests to both.
// What depends on state (a price that exists) is prepared so that the form of
// the request alone decides.
func TestParametersAreJudgedAsStripeMockJudgesThem(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithoutMirror())
	bought := shop.buy(t)
	endpoint := shop.addEndpoint(t, "http://127.0.0.1:1/none", "customer.created")
	ids := strings.NewReplacer(
		"$customer", shop.customer.ID, "$product", shop.product.ID, "$price", shop.price.ID,
		"$subscription", bought.Subscription.ID, "$endpoint", endpoint.ID, "$session", bought.ID, "$invoice", bought.Invoice.ID,
		"$charge", chargeOf(t, shop, bought.Invoice.ID), "$item", itemOf(t, shop, bought.Subscription.ID).ID, "$method", shop.attach(t, "pm_card_visa").ID,
	)
	const session = "mode=subscription&success_url=http://a/b&line_items[0][price]=$price&line_items[0][quantity]=1"
	for _, c := range []struct {
		sentence      string
		method, path  string
		params        string
		code, atParam string // of the refusal; no code and no parameter: accepted
	}{
		{"a customer needs nothing", "POST", "/v1/customers", "", "", ""},
		{"a customer with all that we send", "POST", "/v1/customers", "name=A&email=a@b.co&metadata[org_id]=1&description=x&phone=1&preferred_locales[0]=en&address[line1]=1&tax_exempt=none&expand[0]=default_source", "", ""},
		{"a customer's empty name unsets it", "POST", "/v1/customers/$customer", "name=", "", ""},
		{"a customer's metadata can be emptied", "POST", "/v1/customers/$customer", "metadata=", "", ""},
		{"an unknown parameter", "POST", "/v1/customers", "nmae=A", "parameter_unknown", "nmae"},
		{"a text where a hash belongs", "POST", "/v1/customers", "address=x", "parameter_invalid_object", "address"},
		{"a hash where a text belongs", "POST", "/v1/customers", "name[first]=x", "", "name"},
		{"a word that is not in the list", "POST", "/v1/customers", "tax_exempt=maybe", "", "tax_exempt"},
		{"a product needs a name", "POST", "/v1/products", "active=true", "parameter_missing", "name"},
		{"a product with all that we send", "POST", "/v1/products", "name=Pro&id=prod_fixed&description=d&metadata[plan]=pro&active=true&unit_label=seat&url=http://a&images[0]=http://a/b.png&statement_descriptor=PF&shippable=false&tax_code=txcd_1", "", ""},
		{"a product's truth is true or false", "POST", "/v1/products", "name=Pro&active=perhaps", "", "active"},
		{"a product is changed", "POST", "/v1/products/$product", "name=Better&active=true&default_price=$price&description=", "", ""},
		{"a price needs a currency", "POST", "/v1/prices", "product=$product&unit_amount=5", "parameter_missing", "currency"},
		{"a price with all that we send", "POST", "/v1/prices", "currency=usd&product=$product&unit_amount=9900&recurring[interval]=year&recurring[interval_count]=1&recurring[usage_type]=licensed&lookup_key=k1&transfer_lookup_key=true&nickname=n&metadata[plan]=pro&tax_behavior=exclusive&billing_scheme=per_unit&currency_options[eur][unit_amount]=9000&active=true", "", ""},
		{"a price in words", "POST", "/v1/prices", "currency=usd&product=$product&unit_amount=ninety", "parameter_invalid_integer", "unit_amount"},
		{"a price in halves", "POST", "/v1/prices", "currency=usd&product=$product&unit_amount=1.5", "parameter_invalid_integer", "unit_amount"},
		{"a price each fortnight", "POST", "/v1/prices", "currency=usd&product=$product&unit_amount=5&recurring[interval]=fortnight", "", "recurring[interval]"},
		{"a rhythm without its interval", "POST", "/v1/prices", "currency=usd&product=$product&unit_amount=5&recurring[interval_count]=2", "parameter_missing", "recurring[interval]"},
		{"a price's amount cannot be changed", "POST", "/v1/prices/$price", "unit_amount=1", "parameter_unknown", "unit_amount"},
		{"a price is archived", "POST", "/v1/prices/$price", "active=true&lookup_key=k2&nickname=x&metadata[a]=b&transfer_lookup_key=true", "", ""},
		{"prices by lookup key", "GET", "/v1/prices", "lookup_keys[0]=a&lookup_keys[1]=b&active=true&product=$product&limit=100&type=recurring&currency=usd&recurring[interval]=month&expand[0]=data.product", "", ""},
		{"prices by something unknown", "GET", "/v1/prices", "lookup_key=a", "parameter_unknown", "lookup_key"},
		{"products by id", "GET", "/v1/products", "ids[0]=$product&active=true&limit=3&created[gte]=1", "", ""},
		{"products by ids in a text", "GET", "/v1/products", "ids=$product", "parameter_invalid_array", "ids"},
		{"a session with what it must have", "POST", "/v1/checkout/sessions", session, "", ""},
		{"a session with all that we send", "POST", "/v1/checkout/sessions", session + "&cancel_url=http://a/c&customer=$customer&client_reference_id=r&metadata[a]=b&subscription_data[metadata][a]=b&subscription_data[trial_period_days]=14&subscription_data[trial_settings][end_behavior][missing_payment_method]=cancel&allow_promotion_codes=true&payment_method_collection=always&billing_address_collection=auto&customer_update[name]=auto&customer_update[address]=auto&locale=auto&automatic_tax[enabled]=false&payment_method_types[0]=card&ui_mode=hosted&currency=usd&expand[0]=line_items", "", ""},
		{"a session with a mode that is none", "POST", "/v1/checkout/sessions", strings.Replace(session, "subscription", "donation", 1), "", "mode"},
		{"a session with a trial in words", "POST", "/v1/checkout/sessions", session + "&subscription_data[trial_period_days]=two", "parameter_invalid_integer", "subscription_data[trial_period_days]"},
		{"a trial's end without what happens then", "POST", "/v1/checkout/sessions", session + "&subscription_data[trial_settings][end_behavior][x]=1", "parameter_unknown", "subscription_data[trial_settings][end_behavior][x]"},
		{"tax that is neither on nor off", "POST", "/v1/checkout/sessions", session + "&automatic_tax[liability]=self", "", "automatic_tax[liability]"},
		{"items that are no list", "POST", "/v1/checkout/sessions", "mode=subscription&success_url=http://a/b&line_items=$price", "parameter_invalid_array", "line_items"},
		{"a language that nobody speaks", "POST", "/v1/checkout/sessions", session + "&locale=xx", "", "locale"},
		{"sessions of a customer", "GET", "/v1/checkout/sessions", "customer=$customer&status=complete&subscription=$subscription&limit=1&created[lt]=99999999999", "", ""},
		{"sessions of a status that is none", "GET", "/v1/checkout/sessions", "status=paid", "", "status"},
		{"a session's items", "GET", "/v1/checkout/sessions/$session/line_items", "limit=5", "", ""},
		{"subscriptions of every status", "GET", "/v1/subscriptions", "customer=$customer&status=all&price=$price&limit=100&created[gte]=0&current_period_end[gte]=1&expand[0]=data.latest_invoice", "", ""},
		{"subscriptions of a status that is none", "GET", "/v1/subscriptions", "status=live", "", "status"},
		{"a subscription that ends", "POST", "/v1/subscriptions/$subscription", "cancel_at_period_end=true&metadata[a]=b&cancellation_details[feedback]=too_expensive&cancellation_details[comment]=c&description=d", "", ""},
		{"a subscription that ends for no listed reason", "POST", "/v1/subscriptions/$subscription", "cancellation_details[feedback]=bored", "", "cancellation_details[feedback]"},
		{"a subscription needs a customer", "POST", "/v1/subscriptions", "items[0][price]=$price", "parameter_missing", "customer"},
		{"a subscription's customer cannot be changed", "POST", "/v1/subscriptions/$subscription", "customer=$customer", "parameter_unknown", "customer"},
		{"a subscription's items are changed", "POST", "/v1/subscriptions/$subscription", "items[0][id]=$item&items[0][quantity]=2&items[0][metadata][a]=b&proration_behavior=create_prorations&payment_behavior=allow_incomplete&billing_cycle_anchor=unchanged", "", ""},
		{"an item with a price of no name", "POST", "/v1/subscriptions/$subscription", "items[0][id]=$item&items[0][quantity]=two", "parameter_invalid_integer", "items[0][quantity]"},
		{"a proration that is none", "POST", "/v1/subscriptions/$subscription", "proration_behavior=sometimes", "", "proration_behavior"},
		{"a proration in words", "POST", "/v1/subscriptions/$subscription", "proration_date=today", "parameter_invalid_integer", "proration_date"},
		{"an anchor at another time", "POST", "/v1/subscriptions/$subscription", "billing_cycle_anchor=later", "", "billing_cycle_anchor"},
		{"a payment behaviour that is none", "POST", "/v1/subscriptions/$subscription", "payment_behavior=perhaps", "", "payment_behavior"},
		{"collection is paused", "POST", "/v1/subscriptions/$subscription", "pause_collection[behavior]=keep_as_draft&pause_collection[resumes_at]=99999999999", "", ""},
		{"collection is paused without saying how", "POST", "/v1/subscriptions/$subscription", "pause_collection[resumes_at]=99999999999", "parameter_missing", "pause_collection[behavior]"},
		{"collection goes on", "POST", "/v1/subscriptions/$subscription", "pause_collection=", "", ""},
		{"a trial that ends now", "POST", "/v1/subscriptions/$subscription", "trial_end=now", "", ""},
		{"a trial that ends some day", "POST", "/v1/subscriptions/$subscription", "trial_end=someday", "parameter_invalid_integer", "trial_end"},
		{"the next invoice", "GET", "/v1/invoices/upcoming", "customer=$customer&subscription=$subscription&subscription_items[0][id]=$item&subscription_items[0][price]=$price&subscription_items[0][quantity]=3&subscription_items[0][deleted]=false&subscription_proration_behavior=always_invoice&subscription_billing_cycle_anchor=unchanged&expand[0]=subscription", "", ""},
		{"the next invoice with a proration that is none", "GET", "/v1/invoices/upcoming", "subscription=$subscription&subscription_proration_behavior=sometimes", "", "subscription_proration_behavior"},
		{"an invoice is paid perhaps", "POST", "/v1/invoices/$invoice/pay", "paid_out_of_band=perhaps", "", "paid_out_of_band"},
		{"an invoice is voided for a reason", "POST", "/v1/invoices/$invoice/void", "reason=x", "parameter_unknown", "reason"},
		{"a draft that advances perhaps", "POST", "/v1/invoices/$invoice/finalize", "auto_advance=perhaps", "", "auto_advance"},
		{"invoice items", "GET", "/v1/invoiceitems", "customer=$customer&pending=true&invoice=$invoice&limit=3&created[gte]=1", "", ""},
		{"invoice items that are pending perhaps", "GET", "/v1/invoiceitems", "pending=perhaps", "", "pending"},
		{"a payment method needs a customer", "POST", "/v1/payment_methods/$method/attach", "", "parameter_missing", "customer"},
		{"a payment method is attached", "POST", "/v1/payment_methods/$method/attach", "customer=$customer", "", ""},
		{"a payment method is changed", "POST", "/v1/payment_methods/$method", "billing_details[name]=A&billing_details[email]=a@b.co&billing_details[phone]=1&billing_details[address][line1]=x&card[exp_month]=1&card[exp_year]=2040&metadata[a]=b", "", ""},
		{"a payment method expires in words", "POST", "/v1/payment_methods/$method", "card[exp_year]=never", "parameter_invalid_integer", "card[exp_year]"},
		{"a payment method is detached", "POST", "/v1/payment_methods/$method/detach", "", "", ""},
		{"items of a subscription", "GET", "/v1/subscription_items", "subscription=$subscription&limit=2", "", ""},
		{"items of no subscription", "GET", "/v1/subscription_items", "limit=2", "parameter_missing", "subscription"},
		{"a refund", "POST", "/v1/refunds", "charge=$charge&amount=1&reason=duplicate&metadata[a]=b&expand[0]=charge", "", ""},
		{"a refund for no listed reason", "POST", "/v1/refunds", "charge=$charge&reason=regret", "", "reason"},
		{"a refund in words", "POST", "/v1/refunds", "charge=$charge&amount=all", "parameter_invalid_integer", "amount"},
		{"refunds", "GET", "/v1/refunds", "charge=$charge&limit=3&created[gte]=1", "", ""},
		{"balance transactions", "GET", "/v1/balance_transactions", "created[gte]=1&created[lt]=99999999999&type=charge&currency=usd&source=$charge&limit=100", "", ""},
		{"balance transactions since the beginning of time", "GET", "/v1/balance_transactions", "created[gte]=bang", "parameter_invalid_integer", "created[gte]"},
		{"balance transactions of a customer", "GET", "/v1/balance_transactions", "customer=$customer", "parameter_unknown", "customer"},
		{"disputes", "GET", "/v1/disputes", "charge=$charge&limit=3&created[gte]=1", "", ""},
		{"disputes of a customer", "GET", "/v1/disputes", "customer=$customer", "parameter_unknown", "customer"},
		{"an intent is confirmed for an unknown purpose", "POST", "/v1/payment_intents/pi_1/confirm", "purpose=x", "parameter_unknown", "purpose"},
		{"a subscription is resumed some day", "POST", "/v1/subscriptions/$subscription/resume", "billing_cycle_anchor=later", "", "billing_cycle_anchor"},
		{"a subscription with a behaviour that is none", "POST", "/v1/subscriptions", "customer=$customer&items[0][price]=$price&payment_behavior=hope", "", "payment_behavior"},
		{"a schedule of phases without items", "POST", "/v1/subscription_schedules", "customer=$customer&phases[0][iterations]=2", "parameter_missing", "phases[0][items]"},
		{"a schedule that ends in wonder", "POST", "/v1/subscription_schedules", "customer=$customer&end_behavior=wonder", "", "end_behavior"},
		{"a schedule", "POST", "/v1/subscription_schedules", "customer=$customer&start_date=4102444800&end_behavior=cancel&metadata[a]=b&phases[0][items][0][price]=$price&phases[0][items][0][quantity]=2&phases[0][iterations]=3&phases[0][proration_behavior]=none", "", ""},
		{"schedules", "GET", "/v1/subscription_schedules", "customer=$customer&scheduled=true&limit=2&released_at[gte]=1", "", ""},
		{"invoices", "GET", "/v1/invoices", "customer=$customer&subscription=$subscription&status=paid&limit=2", "", ""},
		{"invoices of a status that is none", "GET", "/v1/invoices", "status=late", "", "status"},
		{"an invoice's lines", "GET", "/v1/invoices/$invoice/lines", "limit=2", "", ""},
		{"events", "GET", "/v1/events", "types[0]=customer.created&created[gte]=1&created[lte]=99999999999&limit=100&delivery_success=false", "", ""},
		{"an endpoint", "POST", "/v1/webhook_endpoints", "url=http://127.0.0.1/x&enabled_events[0]=customer.created&enabled_events[1]=invoice.paid&api_version=2023-10-16&description=d&metadata[a]=b", "", ""},
		{"an endpoint for an event that is none", "POST", "/v1/webhook_endpoints", "url=http://127.0.0.1/x&enabled_events[0]=customer.born", "", "enabled_events[0]"},
		{"an endpoint for nothing", "POST", "/v1/webhook_endpoints", "url=http://127.0.0.1/x", "parameter_missing", "enabled_events"},
		{"an endpoint nowhere", "POST", "/v1/webhook_endpoints", "enabled_events[0]=*", "parameter_missing", "url"},
		{"an endpoint's version cannot be changed", "POST", "/v1/webhook_endpoints/$endpoint", "api_version=2023-10-16", "parameter_unknown", "api_version"},
		{"an endpoint is disabled", "POST", "/v1/webhook_endpoints/$endpoint", "disabled=true&url=http://127.0.0.1/y&enabled_events[0]=*", "", ""},
		{"payment methods", "GET", "/v1/payment_methods", "customer=$customer&type=card", "", ""},
		{"payment methods of a customer", "GET", "/v1/customers/$customer/payment_methods", "limit=1", "", ""},
		{"a limit in words", "GET", "/v1/customers", "limit=ten", "parameter_invalid_integer", "limit"},
		{"a route that is none", "GET", "/v1/customer", "", "", "-"},
		{"a method that is none", "PUT", "/v1/customers", "", "", "-"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			path, params := ids.Replace(c.path), ids.Replace(c.params)
			body := params
			if c.method == http.MethodGet && params != "" {
				path, body = path+"?"+params, ""
			}
			refusal := simtest.Refusal(t, c.method, path, body)
			status, answer := shop.Do(t, c.method, path, body)
			if refused := status >= http.StatusBadRequest; refused != (refusal != "") {
				t.Errorf("the stand-in answers %d %s\nstripe-mock refuses: %q", status, answer, refusal)
			}
			if wantRefused := c.code != "" || c.atParam != ""; wantRefused != (status >= http.StatusBadRequest) {
				t.Errorf("status %d: %s", status, answer)
			}
			if c.code != "" && !strings.Contains(string(answer), `"code": "`+c.code+`"`) {
				t.Errorf("want code %s: %s", c.code, answer)
			}
			if c.atParam != "" && c.atParam != "-" && !strings.Contains(string(answer), `"param": "`+c.atParam+`"`) {
				t.Errorf("want param %s: %s", c.atParam, answer)
			}
		})
	}
}

func chargeOf(t *testing.T, shop *shop, invoice string) string {
	t.Helper()
	found, err := shop.api.Invoices.Get(invoice, nil)
	must(t, err)
	return found.Charge.ID
}

// TestWhatOnlyStripeItselfRefuses is what stripe-mock, which keeps no state and
// knows no rules between parameters, lets pass.
func TestWhatOnlyStripeItselfRefuses(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithoutMirror())
	ids := strings.NewReplacer("$customer", shop.customer.ID, "$product", shop.product.ID, "$price", shop.price.ID)
	const session = "mode=subscription&success_url=http://a/b&line_items[0][price]=$price&line_items[0][quantity]=1"
	for _, c := range []struct {
		sentence, method, path, params string
		status                         int
		contains                       string
	}{
		{"an address that is no e-mail", "POST", "/v1/customers", "email=nobody", 400, `"code": "email_invalid"`},
		{"an object in the URL that is none", "GET", "/v1/customers/cus_none", "", 404, `"message": "No such customer: 'cus_none'"`},
		{"an object in the parameters that is none", "POST", "/v1/checkout/sessions", session + "&customer=cus_none", 400, `"param": "customer"`},
		{"a price that is none", "POST", "/v1/checkout/sessions", strings.Replace(session, "$price", "price_none", 1), 400, `"param": "line_items[0][price]"`},
		{"a session that expires too soon", "POST", "/v1/checkout/sessions", session + "&expires_at=1", 400, `"param": "expires_at"`},
		{"a session that expires too late", "POST", "/v1/checkout/sessions", session + "&expires_at=99999999999", 400, `"param": "expires_at"`},
		{"a session without an item", "POST", "/v1/checkout/sessions", "mode=subscription&success_url=http://a", 400, `"param": "line_items"`},
		{"a session without a mode", "POST", "/v1/checkout/sessions", strings.Replace(session, "mode=subscription&", "", 1), 400, `"param": "mode"`},
		{"a session without an amount", "POST", "/v1/checkout/sessions", "mode=subscription&success_url=http://a&line_items[0][price]=$price", 400, "Quantity is required"},
		{"a session that leads nowhere", "POST", "/v1/checkout/sessions", strings.Replace(session, "http://a/b", "/b", 1), 400, `"code": "url_invalid"`},
		{"a trial of no days", "POST", "/v1/checkout/sessions", session + "&subscription_data[trial_period_days]=0", 400, "trial_period_days"},
		{"two ways to say who buys", "POST", "/v1/checkout/sessions", session + "&customer=$customer&customer_email=a@b.co", 400, "only specify one"},
		{"another currency", "POST", "/v1/checkout/sessions", session + "&currency=eur", 400, "only supports `usd`"},
		{"a mode that the stand-in does not play", "POST", "/v1/checkout/sessions", strings.Replace(session, "subscription", "payment", 1), 400, "`subscription` mode only"},
		{"a currency that is none", "POST", "/v1/prices", "currency=xxx&product=$product&unit_amount=1", 400, "Invalid currency: xxx"},
		{"a price of nothing", "POST", "/v1/prices", "currency=usd&product=$product", 400, `"param": "unit_amount"`},
		{"a product that is there", "POST", "/v1/products", "name=x&id=$product", 400, `"code": "resource_already_exists"`},
		{"an expansion that is none", "GET", "/v1/customers/$customer", "expand[]=subscription_schedule", 400, "cannot be expanded (subscription_schedule)"},
		{"an expansion that is too deep", "GET", "/v1/checkout/sessions", "expand[]=data.a.b.c.d.e", 400, "more than 4 levels"},
		{"an expansion of a list itself", "GET", "/v1/subscriptions", "expand[]=customer", 400, "`data`"},
		{"a limit of nothing", "GET", "/v1/customers", "limit=0", 400, `"param": "limit"`},
		{"a limit beyond Stripe's", "GET", "/v1/customers", "limit=101", 400, `"param": "limit"`},
		{"two ways through a list", "GET", "/v1/customers", "starting_after=$customer&ending_before=$customer", 400, "cannot use both"},
		{"subscriptions of a customer that is none", "GET", "/v1/subscriptions", "customer=cus_none", 400, `"param": "customer"`},
		{"an endpoint of another version", "POST", "/v1/webhook_endpoints", "url=http://a/b&enabled_events[]=*&api_version=2024-06-20", 400, `"param": "api_version"`},
		{"an endpoint without a scheme", "POST", "/v1/webhook_endpoints", "url=a.example&enabled_events[]=*", 400, "explicit scheme"},
		// stripe-mock overlooks what is unknown inside a hash.
		{"an unknown parameter in a hash", "POST", "/v1/customers", "address[street]=x", 400, `"param": "address[street]"`},
		{"a misspelt item", "POST", "/v1/checkout/sessions", session + "&line_items[0][pirce]=x", 400, `"code": "parameter_unknown"`},
		{"events since yesterday", "GET", "/v1/events", "created[since]=1", 400, `"param": "created[since]"`},
		{"metadata beyond Stripe's length", "POST", "/v1/customers", "metadata[a]=" + strings.Repeat("x", 501), 400, "500 characters"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			path, body := ids.Replace(c.path), ids.Replace(c.params)
			if c.method == http.MethodGet {
				path, body = path+"?"+body, ""
			}
			status, answer := shop.Do(t, c.method, path, body)
			if status != c.status || !strings.Contains(string(answer), c.contains) {
				t.Errorf("want %d with %s, got %d %s", c.status, c.contains, status, answer)
			}
		})
	}
}

// TestEveryParameterIsOneOfStripes holds the stand-in's own lists to Stripe's
// document, nested ones too.
func TestEveryParameterIsOneOfStripes(t *testing.T) {
	t.Parallel()
	for route, names := range stripesim.RouteParams() {
		method, path, _ := strings.Cut(route, " ")
		for _, name := range names {
			if err := simtest.CheckParam(t, method, path, name); err != nil {
				t.Errorf("%s: %v", route, err)
			}
		}
	}
}
