package stripesim_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// ask sends a request with headers of the test's choice.
func ask(t *testing.T, method, url, body string, header map[string]string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(t, err)
	return response, string(answer)
}

func TestWhoAsksMustShowTheKey(t *testing.T) {
	t.Parallel()
	sim := simtest.Start(t)
	for _, c := range []struct {
		sentence, method, path, authorization string
		status                                int
		contains                              string
	}{
		{"bearer", "GET", "/v1/customers", "Bearer " + simtest.SecretKey, 200, `"object": "list"`},
		{"basic, as curl -u key:", "GET", "/v1/customers", "Basic c2tfdGVzdF9zaW10ZXN0MDEyMzQ1Njc4OTo=", 200, `"object": "list"`},
		{"basic with a password", "GET", "/v1/customers", "Basic c2tfdGVzdF9zaW10ZXN0MDEyMzQ1Njc4OTpwYXNz", 401, "You did not provide an API key"},
		{"nothing", "GET", "/v1/customers", "", 401, "You did not provide an API key"},
		{"another key", "GET", "/v1/customers", "Bearer sk_test_another0123456", 401, "Invalid API Key provided: sk_test_**********3456"},
		{"a live key", "GET", "/v1/customers", "Bearer sk_live_0123456789abcdef", 401, "refuses live keys"},
		{"nothing, on a control route", "GET", "/sim/state", "", 401, "You did not provide an API key"},
		{"nothing, on a control route that acts", "POST", "/sim/checkout/cs_1/complete", "", 401, "You did not provide an API key"},
		{"nothing, on a route that is none", "GET", "/v1/nothing", "", 401, "You did not provide an API key"},
		{"a route that is none", "GET", "/v1/nothing", "Bearer " + simtest.SecretKey, 404, "Unrecognized request URL (GET: /v1/nothing)"},
		{"a control route that is none", "GET", "/sim/nothing", "Bearer " + simtest.SecretKey, 404, "Unrecognized request URL (GET: /sim/nothing)"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			header := map[string]string{}
			if c.authorization != "" {
				header["Authorization"] = c.authorization
			}
			response, body := ask(t, c.method, sim.URL+c.path, "", header)
			if response.StatusCode != c.status || !strings.Contains(body, c.contains) {
				t.Errorf("want %d with %s, got %d %s", c.status, c.contains, response.StatusCode, body)
			}
			if c.status == 401 && response.Header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

func TestAnswersCarryStripesHeaders(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 2, 3, 4, 5, 6, 0, time.UTC)
	sim := simtest.Start(t, simtest.WithConfig(func(c *stripesim.Config) { c.Now = func() time.Time { return now } }))
	response, body := ask(t, "POST", sim.URL+"/v1/customers", "", map[string]string{
		"Authorization": "Bearer " + simtest.SecretKey, "Idempotency-Key": "k", "Stripe-Version": "2023-10-16",
	})
	equal(t, "status", response.StatusCode, 200)
	equal(t, "version", response.Header.Get("Stripe-Version"), "2023-10-16")
	equal(t, "key", response.Header.Get("Idempotency-Key"), "k")
	equal(t, "type", response.Header.Get("Content-Type"), "application/json")
	equal(t, "date, of the business clock", response.Header.Get("Date"), "Wed, 03 Feb 2027 04:05:06 GMT")
	if !strings.HasPrefix(response.Header.Get("Request-Id"), "req_") {
		t.Errorf("request id %q", response.Header.Get("Request-Id"))
	}
	if !strings.Contains(body, `"created": 1801627506`) {
		t.Errorf("created of the business clock: %s", body)
	}
	response, body = ask(t, "GET", sim.URL+"/v1/customers", "", map[string]string{
		"Authorization": "Bearer " + simtest.SecretKey, "Stripe-Version": "2024-06-20",
	})
	if response.StatusCode != 400 || !strings.Contains(body, "2023-10-16 only") {
		t.Errorf("another version: %d %s", response.StatusCode, body)
	}
	response, body = ask(t, "GET", sim.URL+"/sim/clock", "", map[string]string{"Authorization": "Bearer " + simtest.SecretKey})
	equal(t, "clock", strings.TrimSpace(body), `{"now":"2027-02-03T04:05:06Z"}`)
	equal(t, "status", response.StatusCode, 200)
}

func TestABodyMustBeAForm(t *testing.T) {
	t.Parallel()
	sim := simtest.Start(t)
	for sentence, c := range map[string]struct{ contentType, body string }{
		"JSON":         {"application/json", `{"email":"a@b.co"}`},
		"bad escaping": {"application/x-www-form-urlencoded", "email=%zz"},
		"twice":        {"application/x-www-form-urlencoded", "metadata=x&metadata[a]=b"},
		"too much":     {"application/x-www-form-urlencoded", "name=" + strings.Repeat("x", 2<<20)},
		"odd brackets": {"application/x-www-form-urlencoded", "metadata[a=b"},
	} {
		response, body := ask(t, "POST", sim.URL+"/v1/customers", c.body, map[string]string{
			"Authorization": "Bearer " + simtest.SecretKey, "Content-Type": c.contentType,
		})
		if response.StatusCode != 400 || !strings.Contains(body, "invalid_request_error") {
			t.Errorf("%s: %d %s", sentence, response.StatusCode, body)
		}
	}
	equal(t, "customers made", len(sim.State(t)["customer"]), 0)
}

func TestAnIdempotencyKeyMakesOneThing(t *testing.T) {
	t.Parallel()
	clock := newClock(time.Now())
	sim := simtest.Start(t, simtest.WithConfig(func(c *stripesim.Config) { c.MachineNow = clock.now }))
	post := func(key, path, params string) (*http.Response, string) {
		t.Helper()
		return ask(t, "POST", sim.URL+path, params, map[string]string{
			"Authorization": "Bearer " + simtest.SecretKey, "Idempotency-Key": key,
		})
	}
	first, firstBody := post("a", "/v1/customers", "name=Ada&email=ada@example.com")
	again, againBody := post("a", "/v1/customers", "email=ada@example.com&name=Ada")
	equal(t, "the same answer", againBody, firstBody)
	equal(t, "marked", again.Header.Get("Idempotent-Replayed"), "true")
	equal(t, "names the original", again.Header.Get("Original-Request"), first.Header.Get("Request-Id"))
	equal(t, "the first is not marked", first.Header.Get("Idempotent-Replayed"), "")

	other, body := post("a", "/v1/customers", "name=Grace")
	equal(t, "other parameters", other.StatusCode, 400)
	if !strings.Contains(body, `"type": "idempotency_error"`) {
		t.Errorf("want an idempotency_error: %s", body)
	}
	_, againBody = post("a", "/v1/customers", "name=Ada&email=ada@example.com")
	equal(t, "the first answer stays", againBody, firstBody)
	other, _ = post("a", "/v1/products", "name=Ada&email=ada@example.com")
	equal(t, "parameters of another endpoint", other.StatusCode, 400)

	bad, _ := post("b", "/v1/customers", "nmae=Ada")
	equal(t, "a request that fails its check", bad.StatusCode, 400)
	good, _ := post("b", "/v1/customers", "name=Ada")
	equal(t, "keeps no answer", good.StatusCode, 200)

	refused, refusedBody := post("c", "/v1/prices", "currency=usd&unit_amount=1&product=prod_later")
	equal(t, "a request that was executed", refused.StatusCode, 400)
	post("", "/v1/products", "id=prod_later&name=Later")
	refused, againBody = post("c", "/v1/prices", "currency=usd&unit_amount=1&product=prod_later")
	equal(t, "keeps its refusal", againBody, refusedBody)
	equal(t, "marked", refused.Header.Get("Idempotent-Replayed"), "true")

	long, _ := post(strings.Repeat("k", 256), "/v1/customers", "name=Ada")
	equal(t, "a key of 256 characters", long.StatusCode, 400)

	clock.set(clock.now().Add(25 * time.Hour))
	late, _ := post("a", "/v1/customers", "name=Ada&email=ada@example.com")
	equal(t, "a day later the key is new", late.Header.Get("Idempotent-Replayed"), "")
	equal(t, "customers", len(sim.State(t)["customer"]), 3)
}

func TestManyAtOnceWithOneKeyMakeOneThing(t *testing.T) {
	t.Parallel()
	sim := simtest.Start(t)
	api := clientOf(sim, 20) // stripe-go tries again what the stand-in says to try again
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			params := &stripe.CustomerParams{Name: stripe.String("Ada")}
			params.SetIdempotencyKey("customer:42")
			customer, err := api.Customers.New(params)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = customer.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		equal(t, "customer", id, ids[0])
	}
	equal(t, "customers", len(sim.State(t)["customer"]), 1)
}
