package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

// organization begins the name of a ledger customer that is an organization;
// others are named by their Stripe customer.
const organization = "org:"

// resolve returns the ledger customers that the marks concern, each once, in
// order, and under which one each Stripe customer is counted from now on. One that
// was counted elsewhere before it was linked concerns both.
func resolve(ctx context.Context, q *db.Queries, marked []string) ([]string, db.RememberLedgerCustomersParams, error) {
	var counted db.RememberLedgerCustomersParams
	rows, err := q.LedgerCustomers(ctx, marked)
	if err != nil {
		return nil, counted, fmt.Errorf("resolve customers: %w", err)
	}
	var customers []string
	for _, r := range rows {
		customers = append(customers, r.Customer)
		if r.Applied != nil {
			customers = append(customers, *r.Applied)
		}
		if !strings.HasPrefix(r.Marked, organization) && (r.Applied == nil || *r.Applied != r.Customer) {
			counted.StripeCustomerIds = append(counted.StripeCustomerIds, r.Marked)
			counted.Customers = append(counted.Customers, r.Customer)
		}
	}
	return distinct(customers), counted, nil
}

func distinct(names []string) []string {
	sorted := slices.Sorted(slices.Values(names))
	return slices.Compact(sorted)
}

// account is a ledger customer under every working generation.
type account struct {
	customer string
	// history is all versions of its subscriptions, in no order; catalog has the
	// prices that they name.
	history []analytics.Version
	catalog analytics.Catalog
	// figures are by generation.
	figures map[int32]analytics.Account
	// next is when something else about it changes by itself; zero: never.
	next time.Time
}

// compute returns the accounts of the customers, in their order. One whose
// versions cannot be read is left out with an error in the log: its figures
// stay as they are, and it does not hold up the others.
func (l *Ledger) compute(ctx context.Context, q *db.Queries, customers []string, generations map[int32]analytics.Definition, now time.Time) ([]account, error) {
	histories, broken, err := readHistories(ctx, q, customers)
	if err != nil {
		return nil, err
	}
	catalog, err := l.readCatalog(ctx, q, histories)
	if err != nil {
		return nil, err
	}
	var accounts []account
	for _, customer := range customers {
		if err := broken[customer]; err != nil {
			l.Logger.ErrorContext(ctx, "versions unreadable", "customer", customer, "error", err)
			continue
		}
		a := account{customer: customer, history: histories[customer], catalog: catalog, figures: map[int32]analytics.Account{}}
		missing := map[string]bool{}
		for gen, definition := range generations {
			figures := analytics.Movements(histories[customer], catalog, definition, now)
			a.figures[gen] = figures
			for _, id := range figures.Missing {
				missing[id] = true
			}
		}
		if len(missing) > 0 {
			l.Logger.WarnContext(ctx, "amounts unknown", "customer", customer, "missing", slices.Sorted(maps.Keys(missing)))
		}
		accounts = append(accounts, a)
	}
	return accounts, nil
}

// definitions are those by which figures are counted, by generation: the live
// one's and those of generations that are being built, and the latter alone.
func definitions(ctx context.Context, q *db.Queries) (all, building map[int32]analytics.Definition, err error) {
	rows, err := q.WorkingGenerations(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read generations: %w", err)
	}
	all, building = map[int32]analytics.Definition{}, map[int32]analytics.Definition{}
	for _, r := range rows {
		if r.Definition > Rules {
			return nil, nil, fmt.Errorf("generation %d is counted by rules %d, and this program knows %d: a newer one counts", r.Gen, r.Definition, Rules)
		}
		zone, err := time.LoadLocation(r.TimeZone)
		if err != nil {
			return nil, nil, fmt.Errorf("time zone of generation %d: %w", r.Gen, err)
		}
		policy, err := analytics.ParseDiscountPolicy(r.DiscountPolicy)
		if err != nil {
			return nil, nil, fmt.Errorf("generation %d: %w", r.Gen, err)
		}
		all[r.Gen] = analytics.Definition{Zone: zone, Discounts: policy, PastDueCap: int(r.PastDueCapDays)}
		if r.State == "building" {
			building[r.Gen] = all[r.Gen]
		}
	}
	return all, building, nil
}

// readHistories returns all versions of each customer, and an error for each
// whose versions cannot be decoded.
func readHistories(ctx context.Context, q *db.Queries, customers []string) (map[string][]analytics.Version, map[string]error, error) {
	var params db.LedgerVersionsParams
	for _, customer := range customers {
		if id, ok := strings.CutPrefix(customer, organization); ok {
			if org, err := uuid.Parse(id); err == nil {
				params.OrgIds = append(params.OrgIds, org)
				continue
			}
		}
		params.StripeCustomerIds = append(params.StripeCustomerIds, customer)
	}
	rows, err := q.LedgerVersions(ctx, params)
	if err != nil {
		return nil, nil, fmt.Errorf("read versions: %w", err)
	}
	histories, broken := map[string][]analytics.Version{}, map[string]error{}
	for _, r := range rows {
		v := analytics.Version{SubscriptionID: r.SubscriptionID, At: r.At.UTC()}
		if err := json.Unmarshal(r.Facts, &v.Facts); err != nil {
			broken[r.Customer] = fmt.Errorf("version of %s at %s: %w", r.SubscriptionID, r.At, err)
			continue
		}
		histories[r.Customer] = append(histories[r.Customer], v)
	}
	return histories, broken, nil
}

// readCatalog returns what is known of the prices and coupons that the
// histories name. Amounts that cannot be read are amounts that are not known:
// the customers are flagged, and the others are not held up.
func (l *Ledger) readCatalog(ctx context.Context, q *db.Queries, histories map[string][]analytics.Version) (analytics.Catalog, error) {
	var priceIDs, couponIDs []string
	for _, history := range histories {
		for _, v := range history {
			for _, item := range v.Facts.Items {
				priceIDs = append(priceIDs, item.PriceID)
			}
			for _, d := range v.Facts.Discounts {
				couponIDs = append(couponIDs, d.CouponID)
			}
		}
	}
	catalog := analytics.Catalog{Prices: map[string]billing.Price{}, Coupons: map[string]billing.Coupon{}}
	if len(priceIDs) == 0 { // whoever has a coupon has an item
		return catalog, nil
	}
	prices, err := q.PricesByID(ctx, distinct(priceIDs))
	if err != nil {
		return catalog, fmt.Errorf("read prices: %w", err)
	}
	for _, r := range prices {
		price := billing.Price{
			ID: r.StripePriceID, Interval: billing.Interval(r.Interval), IntervalCount: int64(r.IntervalCount),
			UsageType: r.UsageType, ProductID: r.Product, Livemode: r.Livemode,
		}
		if r.Plan != nil {
			price.Plan = *r.Plan
		}
		if err := json.Unmarshal(r.Amounts, &price.Amounts); err != nil {
			l.Logger.ErrorContext(ctx, "price unreadable", "price", r.StripePriceID, "error", err)
			continue
		}
		catalog.Prices[price.ID] = price
	}
	if len(couponIDs) == 0 {
		return catalog, nil
	}
	coupons, err := q.CouponsByID(ctx, distinct(couponIDs))
	if err != nil {
		return catalog, fmt.Errorf("read coupons: %w", err)
	}
	for _, r := range coupons {
		coupon := billing.Coupon{ID: r.StripeCouponID, Duration: r.Duration}
		if r.PercentOff != nil {
			coupon.PercentOff = *r.PercentOff
		}
		if err := json.Unmarshal(r.AmountsOff, &coupon.AmountsOff); err != nil {
			l.Logger.ErrorContext(ctx, "coupon unreadable", "coupon", r.StripeCouponID, "error", err)
			continue
		}
		catalog.Coupons[coupon.ID] = coupon
	}
	return catalog, nil
}
