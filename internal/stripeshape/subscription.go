package stripeshape

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// ErrIncomplete says that a subscription's shape lacks what the facts need. The
// event still wakes a sync, but it dates nothing.
var ErrIncomplete = errors.New("incomplete shape")

type subscription struct {
	ID                 string          `json:"id"`
	Customer           reference       `json:"customer"`
	Status             billing.Status  `json:"status"`
	Currency           string          `json:"currency"`
	Livemode           bool            `json:"livemode"`
	Created            number          `json:"created"`
	CurrentPeriodStart number          `json:"current_period_start"`
	CurrentPeriodEnd   number          `json:"current_period_end"`
	CancelAtPeriodEnd  bool            `json:"cancel_at_period_end"`
	CancelAt           number          `json:"cancel_at"`
	CanceledAt         number          `json:"canceled_at"`
	EndedAt            number          `json:"ended_at"`
	TrialEnd           number          `json:"trial_end"`
	Discount           json.RawMessage `json:"discount"`
	LatestInvoice      json.RawMessage `json:"latest_invoice"`
	Items              struct {
		Data []item `json:"data"`
	} `json:"items"`
	PauseCollection *struct {
		Behavior  string `json:"behavior"`
		ResumesAt number `json:"resumes_at"`
	} `json:"pause_collection"`
	CancellationDetails *struct {
		Reason *string `json:"reason"`
	} `json:"cancellation_details"`
}

type item struct {
	ID                 string          `json:"id"`
	Quantity           *number         `json:"quantity"`
	Price              json.RawMessage `json:"price"`
	Plan               json.RawMessage `json:"plan"`
	CurrentPeriodStart number          `json:"current_period_start"` // 2025-03-31 and later
	CurrentPeriodEnd   number          `json:"current_period_end"`
}

// priceID reads the item's price; before prices there were plans, and a plan's
// id is the id of its price.
func (i item) priceID() string {
	for _, raw := range []json.RawMessage{i.Price, i.Plan} {
		var id reference
		if present(raw) && json.Unmarshal(raw, &id) == nil && id != "" {
			return string(id)
		}
	}
	return ""
}

// DecodeSubscription reads a subscription object. An error that wraps
// ErrIncomplete comes with what could be read.
func DecodeSubscription(raw json.RawMessage) (billing.Subscription, error) {
	var s subscription
	if err := json.Unmarshal(raw, &s); err != nil {
		return billing.Subscription{}, fmt.Errorf("read subscription: %w", err)
	}
	if s.ID == "" || s.Customer == "" {
		return billing.Subscription{}, errors.New("read subscription: it has no id or no customer")
	}
	items := slices.SortedStableFunc(slices.Values(s.Items.Data), func(a, b item) int { return strings.Compare(a.ID, b.ID) })
	if s.CurrentPeriodEnd == 0 && len(items) > 0 {
		s.CurrentPeriodStart, s.CurrentPeriodEnd = items[0].CurrentPeriodStart, items[0].CurrentPeriodEnd
	}
	out := billing.Subscription{
		ID: s.ID, CustomerID: string(s.Customer), Livemode: s.Livemode,
		CreatedAt:          billing.Second(s.Created).Time(),
		CurrentPeriodStart: billing.Second(s.CurrentPeriodStart).Time(),
		CurrentPeriodEnd:   billing.Second(s.CurrentPeriodEnd).Time(),
		CancelAtPeriodEnd:  s.CancelAtPeriodEnd,
		CancelAt:           billing.Second(s.CancelAt).Time(),
		CanceledAt:         billing.Second(s.CanceledAt).Time(),
	}
	facts, faults := s.facts(items)
	out.Facts = facts
	for _, i := range items {
		if price, ok := decodePrice(i.Price); ok {
			out.Prices = append(out.Prices, price)
		}
	}
	if coupon, ok := decodeCoupon(s.Discount); ok {
		out.Coupons = append(out.Coupons, coupon)
	}
	if present(s.LatestInvoice) && s.LatestInvoice[0] == '{' {
		invoice, err := DecodeInvoice(s.LatestInvoice)
		if err != nil {
			return out, fmt.Errorf("subscription %s: %w", s.ID, err)
		}
		out.LatestInvoice = &invoice
	}
	if len(faults) > 0 {
		return out, fmt.Errorf("subscription %s: %w: %s", s.ID, ErrIncomplete, strings.Join(faults, ", "))
	}
	return out, nil
}

func (s subscription) facts(items []item) (billing.Facts, []string) {
	var faults []string
	facts := billing.Facts{
		Status: s.Status, Currency: money.Currency(s.Currency), Items: []billing.Item{},
		TrialEnd: billing.Second(s.TrialEnd), EndedAt: billing.Second(s.EndedAt), EndsAt: billing.Second(s.CancelAt),
	}
	if s.CancelAtPeriodEnd && facts.EndsAt == 0 {
		facts.EndsAt = billing.Second(s.CurrentPeriodEnd)
	}
	for _, i := range items {
		id := i.priceID()
		if id == "" {
			faults = append(faults, "item "+i.ID+" has no price")
			continue
		}
		var quantity int64 // metered items have none
		if i.Quantity != nil {
			quantity = int64(*i.Quantity)
		}
		facts.Items = append(facts.Items, billing.Item{PriceID: id, Quantity: quantity})
	}
	if discount, ok := decodeDiscount(s.Discount); ok {
		facts.Discounts = []billing.Discount{discount}
	}
	if p := s.PauseCollection; p != nil && p.Behavior != "" {
		facts.Pause = &billing.Pause{
			Behavior: p.Behavior, ResumesAt: billing.Second(p.ResumesAt), PeriodEnd: billing.Second(s.CurrentPeriodEnd),
		}
	}
	if d := s.CancellationDetails; d != nil && d.Reason != nil {
		facts.Reason = *d.Reason
	}
	for _, missing := range []struct {
		is   bool
		what string
	}{
		{facts.Status == "", "no status"},
		{facts.Currency == "", "no currency"},
		{len(items) == 0, "no items"},
		{s.Created == 0, "no time of creation"},
		{s.CurrentPeriodEnd == 0, "no period"},
	} {
		if missing.is {
			faults = append(faults, missing.what)
		}
	}
	return facts, faults
}

type discount struct {
	Start  number          `json:"start"`
	End    number          `json:"end"`
	Coupon json.RawMessage `json:"coupon"`
}

func decodeDiscount(raw json.RawMessage) (billing.Discount, bool) {
	var d discount
	if !present(raw) || json.Unmarshal(raw, &d) != nil {
		return billing.Discount{}, false
	}
	var id reference
	if !present(d.Coupon) || json.Unmarshal(d.Coupon, &id) != nil {
		return billing.Discount{}, false
	}
	return billing.Discount{CouponID: string(id), Start: billing.Second(d.Start), End: billing.Second(d.End)}, true
}

func decodeCoupon(raw json.RawMessage) (billing.Coupon, bool) {
	var d discount
	if !present(raw) || json.Unmarshal(raw, &d) != nil || !present(d.Coupon) {
		return billing.Coupon{}, false
	}
	var c struct {
		ID         string      `json:"id"`
		Duration   string      `json:"duration"`
		PercentOff json.Number `json:"percent_off"`
		AmountOff  number      `json:"amount_off"`
		Currency   string      `json:"currency"`
	}
	if json.Unmarshal(d.Coupon, &c) != nil || c.ID == "" {
		return billing.Coupon{}, false
	}
	out := billing.Coupon{ID: c.ID, Duration: c.Duration, PercentOff: c.PercentOff.String()}
	if c.AmountOff > 0 {
		out.AmountsOff = map[money.Currency]int64{money.Currency(c.Currency): int64(c.AmountOff)}
	}
	return out, true
}

// Before is the object as it was: the event's with previous_attributes put
// back. Stripe gives the old value of each key that changed, and of nested
// objects only the keys that changed.
func Before(object, previous json.RawMessage) (json.RawMessage, error) {
	var o, p map[string]any
	if err := unmarshalNumbers(object, &o); err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	if err := unmarshalNumbers(previous, &p); err != nil {
		return nil, fmt.Errorf("read previous attributes: %w", err)
	}
	putBack(o, p)
	return json.Marshal(o)
}

func putBack(object, previous map[string]any) {
	for key, old := range previous {
		before, ok := old.(map[string]any)
		now, both := object[key].(map[string]any)
		if ok && both {
			putBack(now, before)
			continue
		}
		object[key] = old
	}
}

// unmarshalNumbers keeps numbers as they are written.
func unmarshalNumbers(raw json.RawMessage, v any) error {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	return d.Decode(v)
}
