package payments

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

// writeHistory adds the observations and folds them again. An answer becomes
// an observation only if the events do not already end in it.
func (w *writing) writeHistory() error {
	observations, err := w.observations()
	if err != nil {
		return err
	}
	for _, t := range w.events {
		if t.observation != nil && t.parked == "" {
			w.observe(observations, *t.observation)
		}
	}
	for _, all := range observations {
		for _, o := range all {
			if o.Source == analytics.SourceEvent && o.At.After(w.newestEvent) {
				w.newestEvent = o.At
			}
		}
	}
	w.histories = map[string][]analytics.Version{}
	for id, all := range observations {
		w.histories[id] = analytics.Versions(all)
	}
	for _, s := range w.answer.Subscriptions {
		if endsIn(w.histories[s.ID], s.Facts) {
			continue
		}
		w.observe(observations, analytics.Observation{
			SubscriptionID: s.ID, Source: analytics.SourceRead, SourceID: fmt.Sprintf("%d-%d", w.answer.At.Unix(), w.Ticket),
			Kind: analytics.Read, At: w.answer.At.Truncate(time.Second), ObjectCreated: s.CreatedAt, After: s.Facts, Complete: true,
		})
		w.histories[s.ID] = analytics.Versions(observations[s.ID])
		w.meets = w.meets && endsIn(w.histories[s.ID], s.Facts)
	}
	return w.writeVersions()
}

func endsIn(history []analytics.Version, facts billing.Facts) bool {
	return len(history) > 0 && history[len(history)-1].Facts.Equal(facts)
}

// observe keeps an observation, once.
func (w *writing) observe(observations map[string][]analytics.Observation, o analytics.Observation) {
	for _, known := range observations[o.SubscriptionID] {
		if known.Source == o.Source && known.SourceID == o.SourceID {
			return
		}
	}
	observations[o.SubscriptionID] = append(observations[o.SubscriptionID], o)
	params := db.SubscriptionObservation{
		SubscriptionID: o.SubscriptionID, Source: string(o.Source), SourceID: o.SourceID, StripeCustomerID: w.Subject,
		Kind: string(o.Kind), At: o.At, ObjectCreated: o.ObjectCreated, Facts: mustJSON(o.After), Complete: o.Complete, Decoder: decoder,
	}
	if o.Before != nil {
		params.Before = mustJSON(*o.Before)
	}
	w.changes.observed = append(w.changes.observed, params)
}

func (w *writing) observations() (map[string][]analytics.Observation, error) {
	out := map[string][]analytics.Observation{}
	for _, row := range w.rows.observations[w.Subject] {
		o := analytics.Observation{
			SubscriptionID: row.SubscriptionID, Source: analytics.Source(row.Source), SourceID: row.SourceID, Kind: analytics.Kind(row.Kind),
			At: row.At.UTC(), ObjectCreated: row.ObjectCreated.UTC(), Complete: row.Complete,
		}
		if err := json.Unmarshal(row.Facts, &o.After); err != nil {
			return nil, fmt.Errorf("read facts of %s: %w", row.SourceID, err)
		}
		if row.Before != nil {
			o.Before = new(billing.Facts)
			if err := json.Unmarshal(row.Before, o.Before); err != nil {
				return nil, fmt.Errorf("read facts before %s: %w", row.SourceID, err)
			}
		}
		out[row.SubscriptionID] = append(out[row.SubscriptionID], o)
	}
	return out, nil
}

// writeVersions rewrites the stored history by difference.
func (w *writing) writeVersions() error {
	type key struct {
		id string
		at int64
	}
	stored := map[key]db.SubscriptionVersion{}
	for _, row := range w.rows.versions[w.Subject] {
		stored[key{row.SubscriptionID, row.At.Unix()}] = row
	}
	changed := false
	for _, history := range w.histories {
		for _, v := range history {
			k := key{v.SubscriptionID, v.At.Unix()}
			row, ok := stored[k]
			delete(stored, k)
			if ok && row.Source == string(v.Source) && row.SourceID == v.SourceID && equalFacts(row.Facts, v.Facts) {
				continue
			}
			changed = true
			w.changes.versions = append(w.changes.versions, db.SubscriptionVersion{
				SubscriptionID: v.SubscriptionID, At: v.At, StripeCustomerID: w.Subject, Facts: mustJSON(v.Facts),
				Source: string(v.Source), SourceID: v.SourceID,
			})
		}
	}
	for k, row := range stored { // the history no longer has them
		changed = true
		w.changes.versionsGone = append(w.changes.versionsGone, db.DeleteVersionParams{SubscriptionID: k.id, At: row.At})
	}
	if changed {
		w.mark()
	}
	return nil
}

// mark lets the ledger count the customer anew: by a history that is another, or
// by what else was told of it, which says what came of its invoices.
func (w *writing) mark() {
	if !slices.Contains(w.changes.dirty, w.Subject) {
		w.changes.dirty = append(w.changes.dirty, w.Subject)
	}
}

func equalFacts(stored json.RawMessage, facts billing.Facts) bool {
	var s billing.Facts
	return json.Unmarshal(stored, &s) == nil && s.Equal(facts)
}

// versions are the histories as rows, each subscription's in order of time.
func (w *writing) versions() []db.SubscriptionVersion {
	var out []db.SubscriptionVersion
	for _, id := range slices.Sorted(maps.Keys(w.histories)) {
		for _, v := range w.histories[id] {
			out = append(out, db.SubscriptionVersion{
				SubscriptionID: v.SubscriptionID, At: v.At, StripeCustomerID: w.Subject, Facts: mustJSON(v.Facts),
				Source: string(v.Source), SourceID: v.SourceID,
			})
		}
	}
	return out
}

// pricesOfHistory are the ids of all prices that the histories name.
func (w *writing) pricesOfHistory() map[string]bool {
	out := map[string]bool{}
	for _, history := range w.histories {
		for _, v := range history {
			for _, item := range v.Facts.Items {
				out[item.PriceID] = true
			}
		}
	}
	return out
}
