package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// ErrUnknownCustomer says that we know neither an organization nor a Stripe
// customer by that id.
var ErrUnknownCustomer = errors.New("no such organization or customer")

// Organization is all that an administrator sees of a customer: an organization,
// or a Stripe customer that none owns.
type Organization struct {
	// ID is uuid.Nil and Name empty for a customer that no organization owns.
	ID        uuid.UUID
	Name      string
	CreatedAt time.Time
	Members   []Member
	// StripeCustomers are its ids at Stripe, the current one first.
	StripeCustomers []string
	// Subscriptions are newest first.
	Subscriptions []Subscription
	// Alerts are those about it that are open, the gravest first.
	Alerts []Alert
	// Access is the stored entitlement as it is now; HasAccess is false where
	// there never was one.
	Access    billing.Access
	HasAccess bool
	// Balances are by currency; empty for who never had MRR.
	Balances []Balance
	// Paid is what has come in.
	Paid []Paid
	// TimeZone is that of TimeLine's days.
	TimeZone *time.Location
	// Page of Pages, counted from 1, of a time line of Total entries.
	Page, Pages, Total int
	TimeLine           []Entry
}

// Member is a person of an organization.
type Member struct {
	Name, Email string
	Role        billing.Role
	Since       time.Time
}

// Balance is what a customer is worth a month in one currency, now and at its
// best, as the ledger has it.
type Balance struct {
	Currency            money.Currency
	NowMicro, BestMicro int64
	// BestDay is the first on which it was at its best, FirstDay the first with
	// any; midnight UTC of the date.
	BestDay, FirstDay time.Time
}

// Paid is what has come in from a customer in one currency.
type Paid struct {
	Currency    money.Currency
	AmountMinor int64
	Payments    int64
}

// Entry is one entry of a time line: an event, or what a day did to the MRR.
type Entry struct {
	// Day is the date in the definition's zone, as midnight UTC.
	Day time.Time
	// Movement is nil for an event.
	Movement *DayMovement
	// Event is what happened; zero for a movement.
	Event CustomerEvent
}

// DayMovement is how the MRR of a customer in one currency moved in a day.
type DayMovement struct {
	// Kind is empty where MRR went from one plan to another and stayed the same.
	Kind     analytics.MovementKind
	Reason   analytics.Reason
	Currency money.Currency
	// AmountMicro is the change, BalanceMicro what it led to.
	AmountMicro, BalanceMicro int64
	// LeftPlan and EnteredPlan are codes; empty where no plan was changed.
	LeftPlan, EnteredPlan string
}

// CustomerEvent is a business event with what an administrator may look up.
type CustomerEvent struct {
	Kind           string
	At             time.Time
	Plan           string
	Interval       billing.Interval
	Currency       money.Currency
	AmountMinor    *int64
	SubscriptionID string
	InvoiceID      string
	// SourceID is the Stripe event that told it; empty where none did.
	SourceID string
	Details  EventDetails
}

// EventDetails are what single kinds of events tell beside; zero where they do
// not.
type EventDetails struct {
	Attempt       int64  `json:"attempt"`
	BillingReason string `json:"billing_reason"`
	FromPlan      string `json:"from_plan"`
	FromStatus    string `json:"from_status"`
	// ToStatus is what a trial ended in. Direction is "upgrade" or "downgrade" of a
	// change, FromQuantity and Quantity are its seats.
	ToStatus     string    `json:"to_status"`
	Direction    string    `json:"direction"`
	FromQuantity int64     `json:"from_quantity"`
	Quantity     int64     `json:"quantity"`
	EndsAt       time.Time `json:"ends_at"`
	TrialEnd     time.Time `json:"trial_end"`
	Behavior     string    `json:"behavior"`
	// InvoiceURL is where Stripe shows the invoice; Error why one could not be
	// issued, by Stripe's code.
	InvoiceURL string `json:"invoice_url"`
	Error      string `json:"error"`
	// Charge and Reason are of a refund or a dispute, Status of how it went,
	// FailureReason of a refund that came back.
	Charge        string    `json:"charge"`
	Reason        string    `json:"reason"`
	Status        string    `json:"status"`
	FailureReason string    `json:"failure_reason"`
	EvidenceDueAt time.Time `json:"evidence_due_at"`
	// The rest is of a payment method.
	Type     string `json:"type"`
	Brand    string `json:"brand"`
	Last4    string `json:"last4"`
	ExpMonth int64  `json:"exp_month"`
	ExpYear  int64  `json:"exp_year"`
}

// EntriesPerPage is how many entries a page of a time line has.
const EntriesPerPage = 50

// Organization returns a page of the time line, counted from 1, and all that
// stands above it, in one snapshot. The id is an organization's, or that of a
// Stripe customer; one that an organization owns answers with the organization.
// Anything else is ErrUnknownCustomer.
func (r *Reports) Organization(ctx context.Context, id string, page int) (Organization, error) {
	var out Organization
	err := r.snapshot(ctx, func(q *db.Queries) error {
		if err := out.identify(ctx, q, id); err != nil {
			return err
		}
		if err := out.describe(ctx, q, r.Now()); err != nil {
			return err
		}
		if err := out.attend(ctx, q); err != nil {
			return err
		}
		return out.count(ctx, q, page)
	})
	if errors.Is(err, ErrUnknownCustomer) {
		return Organization{}, ErrUnknownCustomer
	}
	if err != nil {
		return Organization{}, fmt.Errorf("read organization %s: %w", id, err)
	}
	return out, nil
}

// stripeCustomerID is how Stripe writes a customer's id; what is written
// otherwise may hold what no text in the database can.
var stripeCustomerID = regexp.MustCompile(`^cus_[A-Za-z0-9_]{1,250}$`)

// identify finds whom the id means.
func (o *Organization) identify(ctx context.Context, q *db.Queries, id string) error {
	if stripeCustomerID.MatchString(id) {
		customer, err := q.CustomerByStripeID(ctx, id)
		if db.IsNotFound(err) {
			return ErrUnknownCustomer
		}
		if err != nil {
			return fmt.Errorf("customer: %w", err)
		}
		if customer.OrgID == nil {
			o.CreatedAt, o.StripeCustomers = customer.CreatedAt.UTC(), []string{id}
			return nil
		}
		o.ID = *customer.OrgID
	} else if o.ID = parseID(id); o.ID == uuid.Nil {
		return ErrUnknownCustomer
	}
	row, err := q.OrganizationByID(ctx, o.ID)
	if db.IsNotFound(err) {
		return ErrUnknownCustomer
	}
	if err != nil {
		return fmt.Errorf("organization: %w", err)
	}
	o.Name, o.CreatedAt = row.Name, row.CreatedAt.UTC()
	customers, err := q.CustomersOfOrganization(ctx, o.ID)
	if err != nil {
		return fmt.Errorf("customers: %w", err)
	}
	for _, c := range customers {
		o.StripeCustomers = append(o.StripeCustomers, c.StripeCustomerID)
	}
	return nil
}

// parseID is uuid.Nil for what is not written as we write ids, so that a page
// has one address.
func parseID(id string) uuid.UUID {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.String() != id {
		return uuid.Nil
	}
	return parsed
}

// describe reads members, access and subscriptions.
func (o *Organization) describe(ctx context.Context, q *db.Queries, now time.Time) error {
	subscriptions, err := q.ListedSubscriptionsOfCustomers(ctx, o.StripeCustomers)
	if err != nil {
		return fmt.Errorf("subscriptions: %w", err)
	}
	o.Subscriptions = subscriptionsOf(subscriptions)
	if o.ID == uuid.Nil {
		return nil
	}
	members, err := q.MembersOf(ctx, o.ID)
	if err != nil {
		return fmt.Errorf("members: %w", err)
	}
	for _, m := range members {
		o.Members = append(o.Members, Member{m.Name, m.Email, billing.Role(m.Role), m.CreatedAt.UTC()})
	}
	entitlement, err := q.Entitlement(ctx, o.ID)
	if db.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("entitlement: %w", err)
	}
	stages, err := billing.ReadStages(
		billing.Stage{Level: billing.Level(entitlement.Access), Reason: entitlement.Reason},
		billing.Access{
			Until: utc(entitlement.Until), Then: billing.Level(orZero(entitlement.ThenAccess)), ThenReason: orZero(entitlement.ThenReason),
		}, entitlement.Later)
	if err != nil {
		return fmt.Errorf("entitlement: %w", err)
	}
	o.HasAccess, o.Access = true, billing.Now(stages, billing.Plans{}, now).Access
	return nil
}

// count reads what the ledger has, and the time line.
func (o *Organization) count(ctx context.Context, q *db.Queries, page int) error {
	generation, err := q.LiveGeneration(ctx)
	if err != nil {
		return fmt.Errorf("live definition: %w", err)
	}
	if o.TimeZone, err = time.LoadLocation(generation.TimeZone); err != nil {
		return fmt.Errorf("time zone of the live definition: %w", err)
	}
	customer := "org:" + o.ID.String()
	if o.ID == uuid.Nil {
		customer = o.StripeCustomers[0]
	}
	balances, err := q.BalancesOfCustomer(ctx, db.BalancesOfCustomerParams{Gen: generation.Gen, Customer: customer})
	if err != nil {
		return fmt.Errorf("balances: %w", err)
	}
	for _, b := range balances {
		o.Balances = append(o.Balances, Balance{money.Currency(b.Currency), b.NowMicro, b.BestMicro, b.BestDay, b.FirstDay})
	}
	paid, err := q.PaidByCustomer(ctx, db.PaidByCustomerParams{OrgID: o.ID, StripeCustomerIds: o.StripeCustomers})
	if err != nil {
		return fmt.Errorf("paid: %w", err)
	}
	for _, p := range paid {
		o.Paid = append(o.Paid, Paid{money.Currency(p.Currency), p.AmountMinor, p.Payments})
	}
	length, err := q.TimeLineLength(ctx, db.TimeLineLengthParams{
		OrgID: o.ID, StripeCustomerIds: o.StripeCustomers, Gen: generation.Gen, Customer: customer,
	})
	if err != nil {
		return fmt.Errorf("length of the time line: %w", err)
	}
	o.Total = int(length)
	o.Pages = max(1, (o.Total+EntriesPerPage-1)/EntriesPerPage)
	o.Page = min(max(page, 1), o.Pages)
	rows, err := q.TimeLine(ctx, db.TimeLineParams{
		TimeZone: generation.TimeZone, OrgID: o.ID, StripeCustomerIds: o.StripeCustomers, Gen: generation.Gen, Customer: customer,
		AtMost: EntriesPerPage, Past: int32((o.Page - 1) * EntriesPerPage), //nolint:gosec // less than the length of a time line
	})
	if err != nil {
		return fmt.Errorf("time line: %w", err)
	}
	for _, row := range rows {
		entry, err := entryOf(row)
		if err != nil {
			return err
		}
		o.TimeLine = append(o.TimeLine, entry)
	}
	return nil
}

func entryOf(row db.TimeLineRow) (Entry, error) {
	entry := Entry{Day: row.Day}
	if row.IsMovement {
		kind := analytics.MovementKind(row.Kind)
		if row.Kind == "transfer" {
			kind = ""
		}
		entry.Movement = &DayMovement{
			Kind: kind, Reason: analytics.Reason(row.Reason), Currency: money.Currency(orZero(row.Currency)),
			AmountMicro: row.AmountMicro, BalanceMicro: row.BalanceMicro, LeftPlan: row.LeftPlan, EnteredPlan: row.EnteredPlan,
		}
		return entry, nil
	}
	entry.Event = CustomerEvent{
		Kind: row.Kind, At: row.At.UTC(), Plan: orZero(row.Plan), Interval: billing.Interval(orZero(row.Interval)),
		Currency: money.Currency(orZero(row.Currency)), AmountMinor: row.AmountMinor, SubscriptionID: orZero(row.SubscriptionID),
		InvoiceID: orZero(row.InvoiceID), SourceID: orZero(row.SourceEventID),
	}
	if err := json.Unmarshal(row.Details, &entry.Event.Details); err != nil {
		return Entry{}, fmt.Errorf("details of %s at %s: %w", row.Kind, row.At, err)
	}
	return entry, nil
}
