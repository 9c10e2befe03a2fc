package stripeshape

import (
	"cmp"
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

// DecodeSubscription reads a subscription object of any version from 2016 to
// 2026. An error that wraps ErrIncomplete comes with what could be read.
func DecodeSubscription(raw json.RawMessage) (billing.Subscription, error) {
	o, ok := readObject(raw)
	id, customer := o.ref("id"), o.ref("customer")
	if !ok || id == "" || customer == "" {
		return billing.Subscription{}, errors.New("read subscription: it has no id or no customer")
	}
	s := shape{object: o}
	s.readItems()
	out := billing.Subscription{
		ID: id, CustomerID: customer, Livemode: o.flag("livemode"),
		CreatedAt:          cmp.Or(o.second("created"), o.second("start_date")).Time(),
		CurrentPeriodStart: s.start.Time(),
		CurrentPeriodEnd:   s.end.Time(),
		CancelAtPeriodEnd:  o.flag("cancel_at_period_end"),
		CancelAt:           o.second("cancel_at").Time(),
		CanceledAt:         o.second("canceled_at").Time(),
	}
	out.Facts = s.facts()
	// What is odd so far is odd in what the facts are made of.
	for _, name := range *o.odd {
		s.faults = append(s.faults, name+" cannot be read")
	}
	out.Coupons = s.coupons()
	if raw := o.fields["latest_invoice"]; isObject(raw) {
		if invoice, err := DecodeInvoice(raw); err == nil {
			out.LatestInvoice = &invoice
		}
	}
	if out.CreatedAt.IsZero() {
		s.faults = append(s.faults, "no time of creation")
	}
	if len(s.faults) > 0 {
		return out, fmt.Errorf("subscription %s: %w: %s", id, ErrIncomplete, strings.Join(s.faults, ", "))
	}
	return out, nil
}

// shape is a subscription whose items are found, wherever its version has them.
type shape struct {
	object
	items      []object // in order of their ids
	start, end billing.Second
	faults     []string
}

// readItems finds the items and the period. Until 2018 a subscription had one
// plan and its quantity; since 2025-03-31 the period stands on the items, and
// where they differ the one that ends first is the subscription's.
func (s *shape) readItems() {
	all, isWhole := s.list("items")
	if !isWhole {
		s.faults = append(s.faults, "more items than it shows")
	}
	for _, raw := range all {
		item, ok := readObject(raw)
		if !ok {
			s.note("items")
		}
		item.odd = s.odd
		s.items = append(s.items, item)
	}
	if len(all) == 0 && s.has("plan") {
		s.items = []object{{fields: map[string]json.RawMessage{"plan": s.fields["plan"], "quantity": s.fields["quantity"]}, odd: s.odd}}
		if !s.has("quantity") {
			s.items[0].fields["quantity"] = json.RawMessage("1")
		}
	}
	slices.SortStableFunc(s.items, func(a, b object) int { return strings.Compare(a.ref("id"), b.ref("id")) })
	s.start, s.end = s.second("current_period_start"), s.second("current_period_end")
	if s.end != 0 {
		return
	}
	for _, item := range s.items {
		if end := item.second("current_period_end"); end != 0 && (s.end == 0 || end < s.end) {
			s.start, s.end = item.second("current_period_start"), end
		}
	}
}

func (s *shape) facts() billing.Facts {
	facts := billing.Facts{
		Status: billing.Status(s.str("status")), Currency: s.currency(), Items: []billing.Item{},
		TrialEnd: s.second("trial_end"), EndedAt: s.second("ended_at"), EndsAt: s.second("cancel_at"),
		Discounts: s.discounts(),
	}
	if s.flag("cancel_at_period_end") && facts.EndsAt == 0 {
		facts.EndsAt = s.end
	}
	for _, item := range s.items {
		if read, ok := s.item(item); ok {
			facts.Items = append(facts.Items, read)
		}
	}
	if p := s.obj("pause_collection"); p.str("behavior") != "" {
		facts.Pause = &billing.Pause{Behavior: p.str("behavior"), ResumesAt: p.second("resumes_at"), PeriodEnd: s.end}
	}
	facts.Reason = s.obj("cancellation_details").str("reason")
	for _, missing := range []struct {
		is   bool
		what string
	}{
		{facts.Status == "", "no status"},
		{facts.Currency == "", "no currency"},
		{len(s.items) == 0, "no items"},
		{s.end == 0, "no period"},
		// Before 2022-11 nobody said why, so equal states would look different.
		{facts.Reason == "" && !s.knows("cancellation_details") && s.has("canceled_at"), "no cancellation details"},
	} {
		if missing.is {
			s.faults = append(s.faults, missing.what)
		}
	}
	return facts
}

// knows reports whether the shape has the field at all, be it null.
func (s *shape) knows(name string) bool {
	_, ok := s.fields[name]
	return ok
}

// currency is the subscription's, or in older shapes that of its price.
func (s *shape) currency() money.Currency {
	if currency := s.str("currency"); currency != "" {
		return money.Currency(currency)
	}
	for _, item := range s.items {
		for _, name := range []string{"price", "plan"} {
			if isObject(item.fields[name]) {
				if currency := item.obj(name).str("currency"); currency != "" {
					return money.Currency(currency)
				}
			}
		}
	}
	return ""
}

// item reads an item. Before prices there were plans, and a plan's id is the id
// of its price.
func (s *shape) item(o object) (billing.Item, bool) {
	id := cmp.Or(o.ref("price"), o.ref("plan"))
	if id == "" {
		s.faults = append(s.faults, "item "+o.ref("id")+" has no price")
		return billing.Item{}, false
	}
	if !o.has("quantity") && isLicensed(o) { // what is metered has none
		s.faults = append(s.faults, "item "+o.ref("id")+" has no quantity")
	}
	return billing.Item{PriceID: id, Quantity: o.num("quantity")}, true
}

func isLicensed(item object) bool {
	if raw := item.fields["price"]; isObject(raw) && item.obj("price").obj("recurring").str("usage_type") == "licensed" {
		return true
	}
	raw := item.fields["plan"]
	return isObject(raw) && item.obj("plan").str("usage_type") == "licensed"
}

// discountObjects are the subscription's discounts: one until 2024, then a list
// of ids or objects beside it, then the list alone. An id without its object
// says too little.
func (s *shape) discountObjects() (found []object, missing []string) {
	var single object
	if isObject(s.fields["discount"]) {
		single = s.obj("discount")
	}
	listed, _ := s.list("discounts")
	for i, raw := range listed {
		id := object{fields: map[string]json.RawMessage{"discount": raw}, odd: s.odd}.ref("discount")
		switch {
		case isObject(raw):
			o, _ := readObject(raw)
			o.odd = s.odd
			found = append(found, o)
		case single.fields != nil && single.ref("id") == id:
			found = append(found, single)
		default:
			missing = append(missing, cmp.Or(id, fmt.Sprint(i)))
		}
	}
	switch {
	case len(listed) > 0:
	case single.fields != nil:
		found = append(found, single)
	case s.has("discount") && !isEmptyList(s.fields["discount"]):
		missing = append(missing, s.ref("discount"))
	}
	return found, missing
}

func (s *shape) discounts() []billing.Discount {
	found, missing := s.discountObjects()
	for _, id := range missing {
		s.faults = append(s.faults, "discount "+id+" without its coupon")
	}
	var out []billing.Discount
	for _, d := range found {
		id := cmp.Or(d.ref("coupon"), d.obj("source").ref("coupon")) // in source since 2025-09-30
		if id == "" {
			s.faults = append(s.faults, "discount "+d.ref("id")+" without its coupon")
			continue
		}
		out = append(out, billing.Discount{CouponID: id, Start: d.second("start"), End: d.second("end")})
	}
	return out
}

// coupons are those that came whole with the discounts.
func (s *shape) coupons() []billing.Coupon {
	found, _ := s.discountObjects()
	var out []billing.Coupon
	for _, d := range found {
		raw := d.fields["coupon"]
		if !present(raw) {
			raw = d.obj("source").fields["coupon"]
		}
		if !isObject(raw) {
			continue
		}
		c, _ := readObject(raw)
		coupon := billing.Coupon{ID: c.ref("id"), Duration: c.str("duration"), PercentOff: percent(c.fields["percent_off"])}
		if off := c.num("amount_off"); off > 0 {
			coupon.AmountsOff = map[money.Currency]int64{money.Currency(c.str("currency")): off}
		}
		if coupon.ID != "" && slices.Contains([]string{"forever", "repeating", "once"}, coupon.Duration) {
			out = append(out, coupon)
		}
	}
	return out
}

// percent keeps a percentage as Stripe prints it, so that no digit is lost.
func percent(raw json.RawMessage) string {
	s := strings.Trim(string(raw), `"`)
	if _, ok := rational(s); !ok {
		return ""
	}
	return s
}

// HasMoreItems reports whether a subscription shows only the first of its items.
func HasMoreItems(raw json.RawMessage) bool {
	o, _ := readObject(raw)
	_, isWhole := o.list("items")
	return !isWhole
}

// WithItems is the subscription with all its items in place of the first ones.
func WithItems(raw json.RawMessage, items []json.RawMessage) json.RawMessage {
	o, _ := readObject(raw)
	whole, err := json.Marshal(items)
	if err != nil || o.fields == nil {
		return raw
	}
	o.fields["items"] = whole
	if out, err := json.Marshal(o.fields); err == nil {
		return out
	}
	return raw
}

// Before is the object as it was: the event's with previous_attributes put
// back. Stripe gives the old value of each key that changed, and of nested
// objects only the keys that changed.
func Before(object, previous json.RawMessage) (json.RawMessage, error) {
	o, ok := readObject(object)
	if !ok {
		return nil, errors.New("read object: it is none")
	}
	p, ok := readObject(previous)
	if !ok {
		return nil, errors.New("read previous attributes: they are no object")
	}
	fields := putBack(o.fields, p.fields)
	putBackPlan(fields, p.fields)
	return json.Marshal(fields)
}

func putBack(now, previous map[string]json.RawMessage) map[string]json.RawMessage {
	if now == nil {
		now = map[string]json.RawMessage{}
	}
	for key, old := range previous {
		if isObject(old) && isObject(now[key]) {
			was, _ := readObject(old)
			is, _ := readObject(now[key])
			if merged, err := json.Marshal(putBack(is.fields, was.fields)); err == nil {
				old = merged
			}
		}
		now[key] = old
	}
	return now
}

// putBackPlan gives the one item of a subscription the plan and quantity that
// it had: shapes that have them on the subscription too may say there alone
// what changed.
func putBackPlan(fields, previous map[string]json.RawMessage) {
	_, plan := previous["plan"]
	_, quantity := previous["quantity"]
	if _, items := previous["items"]; items || !plan && !quantity || !present(fields["items"]) {
		return
	}
	all, _ := object{fields: fields, odd: new([]string)}.list("items")
	if len(all) != 1 {
		return
	}
	item, ok := readObject(all[0])
	if !ok || item.fields == nil {
		return
	}
	if plan {
		item.fields["plan"] = fields["plan"]
		delete(item.fields, "price")
	}
	if quantity {
		item.fields["quantity"] = fields["quantity"]
	}
	if items, err := json.Marshal([]map[string]json.RawMessage{item.fields}); err == nil {
		fields["items"] = items
	}
}
