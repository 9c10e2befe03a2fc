package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
)

// Severity is how much an alert matters.
type Severity string

// The severities, gravest first.
const (
	SeverityCritical Severity = "critical"
	SeverityWarning  Severity = "warning"
	SeverityInfo     Severity = "info"
)

// Alert is something that somebody should look at, and that is still so.
type Alert struct {
	ID       int64
	Rule     string
	Severity Severity
	// OpenedAt and LastSeenAt are of the business clock; Seen is how often it was
	// found to be so.
	OpenedAt, LastSeenAt time.Time
	Seen                 int64
	// OrgID is nil and OrgName empty where no organization is concerned;
	// StripeCustomerID and ObjectID are empty where none is.
	OrgID            *uuid.UUID
	OrgName          string
	StripeCustomerID string
	ObjectID         string
	// Message says what is wrong, Proposal what to do; the latter may be empty.
	Message, Proposal string
}

// Attention is what needs somebody's attention, the gravest first.
type Attention struct {
	// Total is how many alerts are open, of which Alerts are the first.
	Total  int
	Alerts []Alert
}

// mostAlerts is how many of them a page shows; what needs more needs another
// page.
const mostAlerts = 8

// OpenAlerts is how many alerts are open.
func (r *Reports) OpenAlerts(ctx context.Context) (int, error) {
	n, err := db.New(r.Pool).FiringAlertCount(ctx)
	if err != nil {
		return 0, fmt.Errorf("count open alerts: %w", err)
	}
	return int(n), nil
}

// Attention returns the alerts that are open.
func (r *Reports) Attention(ctx context.Context) (Attention, error) {
	var out Attention
	err := r.snapshot(ctx, func(q *db.Queries) error {
		n, err := q.FiringAlertCount(ctx)
		if err != nil {
			return err
		}
		out.Total = int(n)
		rows, err := q.AlertsThatFire(ctx, mostAlerts)
		for _, row := range rows {
			out.Alerts = append(out.Alerts, alertOf(row))
		}
		return err
	})
	if err != nil {
		return Attention{}, fmt.Errorf("read open alerts: %w", err)
	}
	return out, nil
}

func alertOf(row db.AlertsThatFireRow) Alert {
	return Alert{
		ID: row.ID, Rule: row.Rule, Severity: Severity(row.Severity), OpenedAt: row.OpenedAt.UTC(), LastSeenAt: row.LastSeenAt.UTC(), Seen: row.Seen,
		OrgID: row.OrgID, OrgName: orZero(row.OrgName), StripeCustomerID: orZero(row.StripeCustomerID), ObjectID: row.ObjectID,
		Message: row.Message, Proposal: row.Proposal,
	}
}

// attend reads the alerts of a customer.
func (o *Organization) attend(ctx context.Context, q *db.Queries) error {
	rows, err := q.AlertsThatFireFor(ctx, db.AlertsThatFireForParams{OrgID: o.ID, StripeCustomerIds: o.StripeCustomers, AtMost: mostAlerts})
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	for _, row := range rows {
		o.Alerts = append(o.Alerts, alertOf(db.AlertsThatFireRow(row)))
	}
	return nil
}
