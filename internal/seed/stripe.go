package seed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Stripe is where buyers pay and where the account's dashboard acts. It speaks
// to the stand-in as a script would, beside the product and not through it.
type Stripe struct {
	// Base is the stand-in's address, Key its secret key.
	Base, Key string
	HTTP      *http.Client
}

// refusal is an answer that is no success.
type refusal struct {
	status  int
	code    string
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.message) }

// isDecline reports whether a card's bank said no.
func isDecline(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == http.StatusPaymentRequired
}

func (s Stripe) get(ctx context.Context, path string, into any) error {
	return s.call(ctx, http.MethodGet, path, "", nil, into)
}

func (s Stripe) post(ctx context.Context, path string, form url.Values, into any) error {
	return s.call(ctx, http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), into)
}

// complete types a card into the checkout page.
func (s Stripe) complete(ctx context.Context, sessionID, card string) error {
	body, err := json.Marshal(map[string]string{"card": card})
	if err != nil {
		return fmt.Errorf("encode card: %w", err)
	}
	return s.call(ctx, http.MethodPost, "/sim/checkout/"+sessionID+"/complete", "application/json", strings.NewReader(string(body)), nil)
}

func (s Stripe) call(ctx context.Context, method, path, contentType string, body io.Reader, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, s.Base+path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	request.Header.Set("Authorization", "Bearer "+s.Key)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := s.HTTP.Do(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		var said struct {
			Error struct{ Code, Message string }
		}
		_ = json.Unmarshal(answer, &said) // an answer of another form has its status to tell
		return fmt.Errorf("%s %s: %w", method, path, &refusal{response.StatusCode, said.Error.Code, said.Error.Message})
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
