package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/ledger/ledgertest"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/migrations"
)

const (
	// copiedAtOnce is how many customers one worker copies together.
	copiedAtOnce = 2000
	// renewing is how many customers there are to each whose invoices are recorded
	// too: what they are read from is a row a day, however many there are.
	renewing = 50
)

// history is a company of so many customers, over eight years, as of a moment.
type history struct {
	ledgertest.Population
	customers  int
	now        time.Time
	catalog    analytics.Catalog
	definition analytics.Definition
	movements  atomic.Int64
}

func newHistory(customers int) *history {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	h := &history{
		Population: ledgertest.Population{
			Seed: 5, Begin: now.AddDate(-8, 0, 0), End: now.Add(-time.Hour), Every: 54 * 24 * time.Hour, Loyalty: 0.62,
			Currencies: []money.Currency{"usd", "eur", "gbp"},
		},
		customers: customers, now: now,
		catalog:    analytics.Catalog{Prices: map[string]billing.Price{}, Coupons: map[string]billing.Coupon{}},
		definition: analytics.Definition{Zone: time.UTC, Discounts: analytics.DiscountsRecurring},
	}
	for _, p := range ledgertest.Prices() {
		h.catalog.Prices[p.ID] = p
	}
	for _, c := range ledgertest.Coupons() {
		h.catalog.Coupons[c.ID] = c
	}
	return h
}

// load writes the whole history into an empty database: rows are made by the
// rules, counted by the ledger's own functions and copied.
func (h *history) load(ctx context.Context, url string, say func(string, ...any)) error {
	began := time.Now()
	if _, err := migrations.Up(ctx, url); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	indexes, err := setAside(ctx, conn)
	if err != nil {
		return fmt.Errorf("set indexes aside: %w", err)
	}
	if err := h.teach(ctx, conn); err != nil {
		return err
	}
	all, err := h.copyCustomers(ctx, url)
	if err != nil {
		return err
	}
	s := newSheets()
	sums := all.Sums()
	put(s, "flow_daily", sums.Daily)
	put(s, "flow_monthly", sums.Monthly)
	put(s, "cohort_change", sums.Cohorts)
	put(s, "retention_change", sums.Retention)
	put(s, "pledge_daily", sums.Pledges)
	put(s, "pledge_monthly", sums.Pledged)
	put(s, "payment_hourly", sums.Hours)
	put(s, "payment_daily", sums.Payments)
	put(s, "payment_monthly", sums.Months)
	put(s, "trial_daily", sums.Trials)
	put(s, "outlook_daily", sums.Outlook)
	if err := s.copy(ctx, conn); err != nil {
		return err
	}
	say("%d customers with %d movements copied in %v", h.customers, h.movements.Load(), time.Since(began).Round(time.Second))
	for _, index := range indexes {
		if _, err := conn.Exec(ctx, index); err != nil {
			return fmt.Errorf("%s: %w", index, err)
		}
	}
	if _, err := conn.Exec(ctx, "UPDATE metric_state SET version = version + 1, changed_at = $1", h.now); err != nil {
		return err
	}
	say("indexed after %v", time.Since(began).Round(time.Second))
	if err := h.follow(ctx, url); err != nil {
		return err
	}
	say("visits and cash counted after %v", time.Since(began).Round(time.Second))
	if _, err := conn.Exec(ctx, "VACUUM (ANALYZE)"); err != nil {
		return err
	}
	say("vacuumed after %v", time.Since(began).Round(time.Second))
	_, err = conn.Exec(ctx, "CREATE TABLE made_up (what text)")
	if err == nil {
		_, err = conn.Exec(ctx, "INSERT INTO made_up VALUES ($1)", h.name())
	}
	return err
}

// Visitors and balance transactions are what comes in by other doors, so many of
// each whatever the size: what is read of them is a row a day.
const (
	visitors     = 15_000
	transactions = 15_000
)

// follow lets people look at the prices and money come in over two years, and the
// ledger count both.
func (h *history) follow(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	q := db.New(pool)
	const span = 2 * 365 * 24 * time.Hour
	views := db.RecordPricingViewsParams{}
	for i := range visitors {
		views.VisitorIds = append(views.VisitorIds, uuid.NewSHA1(uuid.Nil, []byte(strconv.Itoa(i))))
		views.At = append(views.At, h.now.Add(-span*time.Duration(i)/visitors))
	}
	if err := q.RecordPricingViews(ctx, views); err != nil {
		return fmt.Errorf("record visits: %w", err)
	}
	var moved []db.BalanceTransaction
	for i := range transactions {
		t := db.BalanceTransaction{
			ID: fmt.Sprintf("txn_%06d", i), Type: "charge", ReportingCategory: "charge", Currency: "usd", AmountMinor: 9900, FeeMinor: 317, NetMinor: 9583,
			CreatedAt: h.now.Add(-span * time.Duration(i) / transactions),
		}
		if i%20 == 0 {
			t.Type, t.ReportingCategory, t.AmountMinor, t.FeeMinor, t.NetMinor = "refund", "refund", -9900, 0, -9900
		}
		t.AvailableAt = t.CreatedAt.AddDate(0, 0, 2)
		moved = append(moved, t)
	}
	raw, err := json.Marshal(moved)
	if err != nil {
		return err
	}
	if _, err := q.RecordBalanceTransactions(ctx, raw); err != nil {
		return fmt.Errorf("record balance transactions: %w", err)
	}
	l := &ledger.Ledger{Pool: pool, Now: func() time.Time { return h.now }, Logger: slog.New(slog.DiscardHandler)}
	for {
		n, err := l.Step(ctx)
		if n == 0 || err != nil {
			return err
		}
	}
}

// name tells histories apart that are kept.
func (h *history) name() string { return fmt.Sprint(h.Population, " ", h.customers) }

// isThere reports whether the database has this history, and brings it up to the
// schema of this program. What later migrations begin to keep is not in it.
func (h *history) isThere(ctx context.Context, url string) bool {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false
	}
	defer conn.Close(ctx)
	what := ""
	if err := conn.QueryRow(ctx, "SELECT what FROM made_up").Scan(&what); err != nil || what != h.name() {
		return false
	}
	_, err = migrations.Up(ctx, url)
	return err == nil
}

// setAside drops the indexes that order nothing while rows are copied, and
// returns how they are made again.
func setAside(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index i
		WHERE NOT indisunique AND indrelid IN ('customer_movement'::regclass, 'customer_level'::regclass, 'customer_pledge'::regclass, 'subscription_versions'::regclass,
			'subscriptions'::regclass, 'customers'::regclass, 'customer_subscription'::regclass, 'trial_outcome'::regclass,
			'invoice_outcome'::regclass, 'customer_outlook'::regclass, 'metric_clock'::regclass, 'payment_events'::regclass)`)
	if err != nil {
		return nil, err
	}
	var names, made []string
	var name, definition string
	if _, err := pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
		names, made = append(names, name), append(made, definition)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "DROP INDEX "+name); err != nil {
			return nil, err
		}
	}
	// Whom rows refer to is there before them.
	for _, sql := range []string{"ALTER TABLE customers DISABLE TRIGGER ALL", "ALTER TABLE subscriptions DISABLE TRIGGER ALL", "UPDATE metric_generation SET definition = " + strconv.Itoa(ledger.Rules)} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	return append(made, "ALTER TABLE customers ENABLE TRIGGER ALL", "ALTER TABLE subscriptions ENABLE TRIGGER ALL"), nil
}

// teach writes what is known of prices and coupons.
func (h *history) teach(ctx context.Context, conn *pgx.Conn) error {
	q := db.New(conn)
	for _, p := range h.catalog.Prices {
		raw, err := json.Marshal(p.Amounts)
		if err != nil {
			return err
		}
		if _, err := q.RememberPrice(ctx, db.RememberPriceParams{
			StripePriceID: p.ID, Plan: p.Plan, Interval: string(p.Interval), IntervalCount: int32(p.IntervalCount), //nolint:gosec // 1
			UsageType: p.UsageType, Product: p.ProductID, Amounts: raw, SeenAt: h.Begin,
		}); err != nil {
			return err
		}
	}
	for _, c := range h.catalog.Coupons {
		raw, err := json.Marshal(c.AmountsOff)
		if err != nil {
			return err
		}
		if c.AmountsOff == nil {
			raw = []byte(`{}`)
		}
		if err := q.RememberCoupon(ctx, db.RememberCouponParams{
			StripeCouponID: c.ID, Duration: c.Duration, PercentOff: c.PercentOff, AmountsOff: raw, SeenAt: h.Begin,
		}); err != nil {
			return err
		}
	}
	return nil
}

// copyCustomers makes all customers up, on all processors, copies their rows and
// returns what they come to.
func (h *history) copyCustomers(ctx context.Context, url string) (*ledger.Bulk, error) {
	workers := max(2, runtime.GOMAXPROCS(0))
	parts := make([]*ledger.Bulk, workers)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		parts[i] = ledger.NewBulk()
		group.Go(func() error {
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			for {
				first := int(next.Add(copiedAtOnce)) - copiedAtOnce
				if first >= h.customers {
					return nil
				}
				s := newSheets()
				for n := first; n < min(first+copiedAtOnce, h.customers); n++ {
					h.write(s, parts[i], n)
				}
				if err := s.copy(ctx, conn); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, part := range parts[1:] {
		parts[0].Merge(part)
	}
	return parts[0], nil
}

// write puts one customer onto the sheets.
func (h *history) write(s *sheets, bulk *ledger.Bulk, n int) {
	c := h.Customer(n)
	var org *uuid.UUID
	if c.Org != uuid.Nil {
		org = &c.Org
		put(s, "organizations", []organizationRow{{c.Org, fmt.Sprintf("Organization %07d", n), h.Begin}})
	}
	for i, id := range c.StripeIDs {
		put(s, "customers", []customerRow{{id, org, i == 0 && org != nil, false, h.Begin}})
		put(s, "metric_customer", []metricCustomerRow{{id, c.Name()}})
	}
	versions := versionsOf(c)
	for _, v := range versions {
		facts, err := json.Marshal(v.Facts)
		if err != nil {
			panic(err) // a struct of plain fields
		}
		put(s, "subscription_versions", []db.SubscriptionVersion{{
			SubscriptionID: v.SubscriptionID, At: v.At, StripeCustomerID: "cus_" + v.SubscriptionID[4:strings.LastIndexByte(v.SubscriptionID, '_')],
			Facts: facts, Source: "event", SourceID: "evt_" + strconv.FormatInt(v.At.Unix(), 36) + v.SubscriptionID[3:],
		}})
	}
	var copies []db.OutlookCopiesRow
	for _, sub := range c.Subscriptions {
		row := h.copyOf(sub)
		put(s, "subscriptions", []subscriptionRow{row})
		copies = append(copies, db.OutlookCopiesRow{
			Customer: c.Name(), StripeSubscriptionID: row.ID, Plan: &row.Plan, Interval: &row.Interval, IntervalCount: &row.Every,
			CurrentPeriodStart: row.PeriodStart, CurrentPeriodEnd: row.PeriodEnd, Facts: row.Facts,
		})
	}
	var events []analytics.InvoiceEvent
	if n%renewing == 0 {
		events = h.renewals(c)
		for i, e := range events {
			put(s, "payment_events", []eventRow{{
				string(e.Kind), e.InvoiceID + ":" + strconv.Itoa(i), e.At, org, c.StripeIDs[0], e.SubscriptionID, e.InvoiceID,
				string(e.Currency), e.AmountMinor, json.RawMessage(`{"billing_reason": "subscription_cycle"}`), false,
			}})
		}
	}
	rows := bulk.Count(1, c.Name(), versions, events, copies, h.catalog, h.definition, h.now)
	put(s, "customer_day", rows.Days)
	put(s, "customer_movement", rows.Movements)
	put(s, "customer_pledge", rows.Pledges)
	put(s, "customer_subscription", rows.Subscriptions)
	put(s, "customer_level", rows.Levels)
	put(s, "trial_outcome", rows.Trials)
	put(s, "invoice_outcome", rows.Invoices)
	put(s, "customer_outlook", rows.Outlook)
	if !rows.Next.IsZero() {
		put(s, "metric_clock", []clockRow{{c.Name(), rows.Next}})
	}
	h.movements.Add(int64(len(rows.Movements)))
}

// versionsOf are what is left of the states once those are passed over that were
// left within their second or are the same to us.
func versionsOf(c ledgertest.Customer) []analytics.Version {
	var out []analytics.Version
	for _, s := range c.Subscriptions {
		first := len(out)
		for i, state := range s.States {
			isPassing := i+1 < len(s.States) && s.States[i+1].At.Equal(state.At)
			if isPassing || len(out) > first && out[len(out)-1].Facts.Equal(state.Facts) {
				continue
			}
			out = append(out, analytics.Version{SubscriptionID: s.ID, At: state.At, Facts: state.Facts})
		}
	}
	return out
}

// renewals are monthly invoices of every subscription while it is paid: one in
// twelve is declined at first, and most of those are paid within days.
func (h *history) renewals(c ledgertest.Customer) []analytics.InvoiceEvent {
	var out []analytics.InvoiceEvent
	for _, s := range c.Subscriptions {
		last := s.States[len(s.States)-1]
		end := h.now
		if last.Facts.Status.IsTerminal() {
			end = last.At
		}
		month := 0
		for at := s.States[0].At.AddDate(0, 1, 0); at.Before(end); at = at.AddDate(0, 1, 0) {
			month++
			e := analytics.InvoiceEvent{
				Kind: analytics.InvoicePaid, At: at, InvoiceID: fmt.Sprintf("in_%s_%d", s.ID[4:], month), SubscriptionID: s.ID,
				BillingReason: "subscription_cycle", Currency: s.States[0].Facts.Currency, AmountMinor: 9900,
			}
			if fate := (int(at.Unix()) + month) % 12; fate == 0 {
				e.Kind = analytics.InvoiceDeclined
				out = append(out, e)
				e.Kind, e.At = analytics.InvoicePaid, at.AddDate(0, 0, 3)
				if month%4 == 0 || e.At.After(h.now) {
					continue
				}
			}
			out = append(out, e)
		}
	}
	return out
}

// copyOf is what Stripe says of a subscription now.
func (h *history) copyOf(s ledgertest.Subscription) subscriptionRow {
	last := s.States[len(s.States)-1]
	price := h.catalog.Prices[last.Facts.Items[0].PriceID]
	facts, err := json.Marshal(last.Facts)
	if err != nil {
		panic(err) // a struct of plain fields
	}
	row := subscriptionRow{
		ID: s.ID, StripeID: s.StripeID, Status: string(last.Facts.Status), Plan: price.Plan, Price: price.ID, Interval: string(price.Interval), Every: 1,
		Quantity: last.Facts.Items[0].Quantity, Currency: string(last.Facts.Currency),
		AmountMinor: price.Amounts[last.Facts.Currency].UnitMicro / money.Micro * last.Facts.Items[0].Quantity,
		PeriodStart: h.now.AddDate(0, 0, -10), PeriodEnd: h.now.AddDate(0, 0, 20), HasPaid: true, Facts: facts, CreatedAt: s.States[0].At, ReadAt: last.At,
	}
	if at := last.Facts.EndsAt; at != 0 {
		t := at.Time()
		row.CancelAt = &t
	}
	if at := last.Facts.TrialEnd; at != 0 {
		t := at.Time()
		row.TrialEnd = &t
	}
	if last.Facts.Status.IsTerminal() {
		row.EndedAt = &last.At
	}
	return row
}

// Rows of tables that the ledger does not write, as far as pages read them.
type (
	organizationRow struct {
		ID        uuid.UUID `json:"id"`
		Name      string    `json:"name"`
		CreatedAt time.Time `json:"created_at"`
	}
	customerRow struct {
		ID        string     `json:"stripe_customer_id"`
		Org       *uuid.UUID `json:"org_id"`
		IsCurrent bool       `json:"is_current"`
		Livemode  bool       `json:"livemode"`
		CreatedAt time.Time  `json:"created_at"`
	}
	metricCustomerRow struct {
		ID       string `json:"stripe_customer_id"`
		Customer string `json:"customer"`
	}
	clockRow struct {
		Customer string    `json:"customer_id"`
		NextAt   time.Time `json:"next_at"`
	}
	eventRow struct {
		Kind         string          `json:"kind"`
		Key          string          `json:"natural_key"`
		At           time.Time       `json:"at"`
		Org          *uuid.UUID      `json:"org_id"`
		StripeID     string          `json:"stripe_customer_id"`
		Subscription string          `json:"subscription_id"`
		Invoice      string          `json:"invoice_id"`
		Currency     string          `json:"currency"`
		AmountMinor  int64           `json:"amount_minor"`
		Details      json.RawMessage `json:"details"`
		Livemode     bool            `json:"livemode"`
	}
	subscriptionRow struct {
		ID          string          `json:"stripe_subscription_id"`
		StripeID    string          `json:"stripe_customer_id"`
		Status      string          `json:"status"`
		Plan        string          `json:"plan"`
		Price       string          `json:"stripe_price_id"`
		Interval    string          `json:"interval"`
		Every       int32           `json:"interval_count"`
		Quantity    int64           `json:"quantity"`
		Currency    string          `json:"currency"`
		AmountMinor int64           `json:"amount_minor"`
		PeriodStart time.Time       `json:"current_period_start"`
		PeriodEnd   time.Time       `json:"current_period_end"`
		TrialEnd    *time.Time      `json:"trial_end"`
		AtEnd       bool            `json:"cancel_at_period_end"`
		CancelAt    *time.Time      `json:"cancel_at"`
		EndedAt     *time.Time      `json:"ended_at"`
		HasPaid     bool            `json:"has_paid"`
		Livemode    bool            `json:"livemode"`
		Facts       json.RawMessage `json:"facts"`
		CreatedAt   time.Time       `json:"created_at"`
		ReadAt      time.Time       `json:"read_at"`
	}
)

// sheets are rows on their way into tables, as Postgres copies text.
type sheets struct {
	tables []string
	of     map[string]*sheet
}

type sheet struct {
	columns string
	text    []byte
}

func newSheets() *sheets { return &sheets{of: map[string]*sheet{}} }

// put writes rows as their JSON names say, which are those of the columns. The
// zero time of a field that JSON leaves out is NULL.
func put[T any](s *sheets, table string, rows []T) {
	if len(rows) == 0 {
		return
	}
	kind := reflect.TypeFor[T]()
	page := s.of[table]
	if page == nil {
		var columns []string
		for f := range fields(kind) {
			columns = append(columns, strconv.Quote(strings.Split(f.Tag.Get("json"), ",")[0]))
		}
		page = &sheet{columns: strings.Join(columns, ", ")}
		s.of[table] = page
		s.tables = append(s.tables, table)
	}
	omits := make([]bool, kind.NumField())
	for f := range fields(kind) {
		omits[f.Index[0]] = strings.HasSuffix(f.Tag.Get("json"), "omitzero")
	}
	for i := range rows {
		v := reflect.ValueOf(&rows[i]).Elem()
		for j := range omits {
			if j > 0 {
				page.text = append(page.text, '\t')
			}
			page.text = appendField(page.text, v.Field(j), omits[j])
		}
		page.text = append(page.text, '\n')
	}
}

func fields(kind reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range kind.NumField() {
			if !yield(kind.Field(i)) {
				return
			}
		}
	}
}

var timeType, uuidType = reflect.TypeFor[time.Time](), reflect.TypeFor[uuid.UUID]()

func appendField(b []byte, v reflect.Value, omitZero bool) []byte {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil(), omitZero && v.IsZero():
		return append(b, `\N`...)
	case v.Kind() == reflect.Pointer:
		return appendField(b, v.Elem(), false)
	case v.Type() == timeType:
		return v.Addr().Interface().(*time.Time).AppendFormat(b, time.RFC3339)
	case v.Type() == uuidType:
		return append(b, v.Addr().Interface().(*uuid.UUID).String()...)
	}
	switch v.Kind() {
	case reflect.String:
		return append(b, v.String()...) // made up without a character that would need escaping
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Slice:
		return append(b, v.Bytes()...)
	default:
		return strconv.AppendInt(b, v.Int(), 10)
	}
}

// copy sends all of it, whom rows refer to first.
func (s *sheets) copy(ctx context.Context, conn *pgx.Conn) error {
	slices.SortStableFunc(s.tables, func(a, b string) int {
		rank := func(t string) int { return slices.Index([]string{"customers", "organizations"}, t) }
		return rank(b) - rank(a)
	})
	for _, table := range s.tables {
		page := s.of[table]
		if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(page.text), "COPY "+table+" ("+page.columns+") FROM STDIN"); err != nil {
			return fmt.Errorf("copy into %s: %w", table, err)
		}
	}
	return nil
}
