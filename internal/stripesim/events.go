package stripesim

import (
	_ "embed"
	"slices"
	"strings"
	"time"
)

//go:embed event_types.txt
var eventTypesText string

// eventTypes are the types that an endpoint of 2023-10-16 may ask for.
var eventTypes = strings.Fields(eventTypesText)

var eventList = listParams(fields{
	"created":          createdRange,
	"type":             text,
	"types":            array(text),
	"delivery_success": boolean,
})

// emit records an event about the object as it stands now, and a delivery for
// each endpoint that asked for it.
func (t *tx) emit(eventType string, data object) string {
	return t.emitWith(eventType, object{"object": data})
}

// emitUpdate is emit for a change: it carries what was different before, and
// there is no event when nothing was.
func (t *tx) emitUpdate(eventType string, before, after object) {
	previous := previousAttributes(before, after)
	if len(previous) == 0 {
		return
	}
	t.emitWith(eventType, object{"object": after, "previous_attributes": previous})
}

func (t *tx) emitWith(eventType string, data object) string {
	endpoints := t.where(kindWebhookEndpoint, func(endpoint object) bool {
		return wantsEvent(endpoint, eventType)
	})
	event := object{
		"id":               newID("evt_", longID),
		"object":           kindEvent,
		"api_version":      APIVersion,
		"created":          t.unix(),
		"data":             data,
		"livemode":         false,
		"pending_webhooks": int64(len(endpoints)),
		"request":          object{"id": t.cause.requestID, "idempotency_key": t.cause.idempotencyKey},
		"type":             eventType,
	}
	t.put(event)
	t.events++
	for _, endpoint := range endpoints {
		t.schedule(event, endpoint)
	}
	return event.id()
}

func wantsEvent(endpoint object, eventType string) bool {
	if endpoint.str("status") != "enabled" {
		return false
	}
	return slices.ContainsFunc(endpoint.list("enabled_events"), func(wanted any) bool {
		return wanted == "*" || wanted == eventType
	})
}

func (c *call) retrieveEvent() (object, error) {
	event, err := c.fromPath(kindEvent)
	if err != nil {
		return nil, err
	}
	return c.shown(event), nil
}

func (c *call) listEvents() (object, error) {
	types := c.params.list("types")
	if one := c.params.str("type"); one != "" {
		types = list{one}
	}
	page, err := c.page(kindEvent, "/v1/events", func(event object) bool {
		if len(types) > 0 && !slices.ContainsFunc(types, func(want any) bool { return eventTypeMatches(want, event.str("type")) }) {
			return false
		}
		if success, asked := c.params["delivery_success"].(bool); asked {
			return success == (c.unacknowledged(event) == 0)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for i, event := range page.list("data") {
		page.list("data")[i] = c.shown(event.(object))
	}
	return page, nil
}

// eventTypeMatches knows Stripe's one wildcard, a group such as "charge.*".
func eventTypeMatches(want any, eventType string) bool {
	pattern, _ := want.(string)
	group, wild := strings.CutSuffix(pattern, "*")
	return pattern == eventType || wild && strings.HasPrefix(eventType, group)
}

// eventLifetime is how long an event can be asked for.
// https://stripe.com/docs/api/events
const eventLifetime = 30 * 24 * time.Hour

func eventDue(event, hidden object) int64 {
	if kept := hidden.int("kept_until"); kept != 0 {
		return kept
	}
	return event.int("created") + int64(eventLifetime/time.Second)
}

// forgetEvent drops an old event, but one that is still being delivered is kept
// for another day.
func (t *tx) forgetEvent(event object) {
	deliveries := t.server.store.undelivered[event.id()]
	for _, id := range deliveries {
		if t.get(kindDelivery, id).str("state") == "pending" {
			t.putHidden(event, object{"kept_until": t.now.Add(24 * time.Hour).Unix()})
			return
		}
	}
	for _, id := range deliveries {
		t.remove(kindDelivery, id)
	}
	t.remove(kindEvent, event.id())
}

// shown is the event with the number of endpoints that have not acknowledged it.
func (t *tx) shown(event object) object {
	shown := make(object, len(event))
	return shown.set(event).set(object{"pending_webhooks": t.unacknowledged(event)})
}

func (t *tx) unacknowledged(event object) int64 {
	return int64(len(t.server.store.undelivered[event.id()]))
}
