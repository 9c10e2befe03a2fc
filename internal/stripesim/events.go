package stripesim

import (
	_ "embed"
	"slices"
	"strings"
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
	event := t.newEvent(eventType, data, len(endpoints))
	t.put(event)
	t.events++
	for _, endpoint := range endpoints {
		t.schedule(event, endpoint)
	}
	return event.id()
}

func (t *tx) newEvent(eventType string, data object, endpoints int) object {
	return object{
		"id":               newID("evt_", longID),
		"object":           kindEvent,
		"api_version":      APIVersion,
		"created":          t.unix(),
		"data":             data,
		"livemode":         false,
		"pending_webhooks": int64(endpoints),
		"request":          object{"id": t.cause.requestID, "idempotency_key": t.cause.idempotencyKey},
		"type":             eventType,
	}
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
const eventLifetime = 30 * day

// forgetOldEvents drops the events that are past their lifetime, but for those
// that are still being delivered.
func (t *tx) forgetOldEvents() {
	tooOld := t.now.Add(-eventLifetime).Unix()
	for _, r := range t.server.store.table(kindEvent).order {
		if r.Object.int("created") > tooOld {
			return
		}
		t.forgetEvent(r.ID)
	}
}

func (t *tx) forgetEvent(id string) {
	deliveries := t.server.store.undelivered[id]
	for _, delivery := range deliveries {
		if t.get(kindDelivery, delivery).str("state") == "pending" {
			return
		}
	}
	for _, delivery := range deliveries {
		t.remove(kindDelivery, delivery)
	}
	t.remove(kindEvent, id)
}

// shown is the event with the number of endpoints that have not acknowledged it.
func (t *tx) shown(event object) object {
	shown := make(object, len(event))
	return shown.set(event).set(object{"pending_webhooks": t.unacknowledged(event)})
}

func (t *tx) unacknowledged(event object) int64 {
	return int64(len(t.server.store.undelivered[event.id()]))
}
