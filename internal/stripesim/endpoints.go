package stripesim

import (
	"net/url"
)

// maxEndpoints is how many webhook endpoints Stripe allows an account.
const maxEndpoints = 16

var enabledEvents = array(enum(append([]string{"*"}, eventTypes...)...))

var endpointCreate = objectParams(fields{
	"api_version":    nonEmpty,
	"description":    text,
	"enabled_events": enabledEvents.must(),
	"metadata":       metadata,
	"url":            nonEmpty.must(),
})

var endpointUpdate = objectParams(fields{
	"description":    text,
	"disabled":       boolean,
	"enabled_events": enabledEvents,
	"metadata":       metadata,
	"url":            nonEmpty,
})

// createEndpoint is the only answer that shows the signing secret.
func (c *call) createEndpoint() (object, error) {
	version, pinned := c.params["api_version"]
	if pinned && version != APIVersion {
		return nil, invalidRequest("api_version", "", "This stand-in renders events in API version %s only, not in %s.", APIVersion, version)
	}
	if err := checkURL("url", c.params.str("url")); err != nil {
		return nil, err
	}
	if len(c.params.list("enabled_events")) == 0 {
		return nil, invalidRequest("enabled_events", "parameter_invalid_empty", "You must enable at least one event.")
	}
	if len(c.newestFirst(kindWebhookEndpoint)) >= maxEndpoints {
		return nil, invalidRequest("", "", "You have reached the maximum of %d test webhook endpoints.", maxEndpoints)
	}
	endpoint := object{
		"id":             newID("we_1", longID-1),
		"object":         kindWebhookEndpoint,
		"api_version":    version,
		"application":    nil,
		"created":        c.unix(),
		"description":    c.params["description"],
		"enabled_events": c.params.list("enabled_events"),
		"livemode":       false,
		"metadata":       mergedMetadata(nil, c.params),
		"status":         "enabled",
		"url":            c.params.str("url"),
	}
	secret := newID("whsec_", secretID)
	c.putHidden(endpoint, object{"secret": secret})
	return endpoint.clone().set(object{"secret": secret}), nil
}

func checkURL(param, given string) error {
	parsed, err := url.Parse(given)
	if err == nil && parsed.Scheme == "" {
		return invalidRequest(param, "url_invalid", "Invalid URL: An explicit scheme (such as https) must be provided.")
	}
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return invalidRequest(param, "url_invalid", "Not a valid URL")
	}
	return nil
}

func (c *call) retrieveEndpoint() (object, error) {
	return c.fromPath(kindWebhookEndpoint)
}

func (c *call) listEndpoints() (object, error) {
	return c.page(kindWebhookEndpoint, "/v1/webhook_endpoints", func(object) bool { return true })
}

func (c *call) updateEndpoint() (object, error) {
	before, err := c.fromPath(kindWebhookEndpoint)
	if err != nil {
		return nil, err
	}
	if given, came := c.params["url"].(string); came {
		if err := checkURL("url", given); err != nil {
			return nil, err
		}
	}
	endpoint := before.clone().set(changes(c.params, "description", "enabled_events", "url"))
	endpoint["metadata"] = mergedMetadata(before.obj("metadata"), c.params)
	if disabled, came := c.params["disabled"].(bool); came {
		endpoint["status"] = "enabled"
		if disabled {
			endpoint["status"] = "disabled"
		}
	}
	c.put(endpoint)
	return endpoint, nil
}

// deleteEndpoint also gives up what the endpoint has not acknowledged.
func (c *call) deleteEndpoint() (object, error) {
	endpoint, err := c.fromPath(kindWebhookEndpoint)
	if err != nil {
		return nil, err
	}
	for _, delivery := range c.where(kindDelivery, func(o object) bool { return o.str("endpoint") == endpoint.id() }) {
		c.remove(kindDelivery, delivery.id())
	}
	c.remove(kindWebhookEndpoint, endpoint.id())
	return object{"id": endpoint.id(), "object": kindWebhookEndpoint, "deleted": true}, nil
}
