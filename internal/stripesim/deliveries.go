package stripesim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// deliveryTimeout is how long an endpoint may take to answer.
	deliveryTimeout = 10 * time.Second
	// maxDeliveries is how many are on their way at the same time.
	maxDeliveries = 16
)

// defaultRetries grows from seconds, which suit a demo, to the three days that
// Stripe goes on for. https://stripe.com/docs/webhooks#retries
var defaultRetries = []time.Duration{
	5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// deliverer carries events to endpoints. A delivery is a record until the
// endpoint has acknowledged it, so that it survives a restart; while the server
// runs it is a goroutine, and events overtake each other as they do at Stripe.
type deliverer struct {
	ctx    context.Context
	server *Server
	client *http.Client
	slots  chan struct{}

	mu    sync.Mutex
	first map[string]chan struct{} // closed when the first attempt was answered
}

func newDeliverer(ctx context.Context, s *Server) *deliverer {
	return &deliverer{
		ctx:    ctx,
		server: s,
		client: &http.Client{
			Timeout:   deliveryTimeout,
			Transport: &http.Transport{MaxIdleConnsPerHost: maxDeliveries, IdleConnTimeout: 30 * time.Second},
			// Stripe does not follow redirects: a 3xx is a failure.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		slots: make(chan struct{}, maxDeliveries),
		first: map[string]chan struct{}{},
	}
}

// schedule writes a delivery that begins when the change is committed.
func (t *tx) schedule(event, endpoint object) {
	delivery := object{
		"id":       newID("del_", longID),
		"object":   kindDelivery,
		"event":    event.id(),
		"endpoint": endpoint.id(),
		"state":    "pending",
		"attempts": int64(0),
		"due_at":   t.server.cfg.MachineNow().UnixMilli(),
	}
	t.put(delivery)
	t.deliveries = append(t.deliveries, delivery.id())
}

// resume takes up what was pending when the last process ended.
func (d *deliverer) resume() {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	for _, r := range d.server.store.table(kindDelivery).order {
		if r.Object.str("state") == "pending" {
			d.start(r.ID)
		}
	}
}

// start lets a stored delivery begin. The caller holds the server's lock.
func (d *deliverer) start(id string) {
	d.mu.Lock()
	d.first[id] = make(chan struct{})
	d.mu.Unlock()
	d.server.background.Go(func() { d.run(id) })
}

// answered waits until each of the deliveries was answered once, well or badly,
// or until the context ends.
func (d *deliverer) answered(ctx context.Context, ids []string) {
	for _, id := range ids {
		d.mu.Lock()
		first := d.first[id]
		d.mu.Unlock()
		if first == nil {
			continue
		}
		select {
		case <-first:
		case <-ctx.Done():
			return
		}
	}
}

// run tries until the endpoint acknowledges or the schedule ends.
func (d *deliverer) run(id string) {
	defer d.markAnswered(id)
	for {
		due, ok := d.due(id)
		if !ok || !d.sleep(due) {
			return
		}
		select {
		case d.slots <- struct{}{}:
		case <-d.ctx.Done():
			return
		}
		again := d.attempt(id)
		<-d.slots
		d.markAnswered(id)
		if !again {
			return
		}
	}
}

func (d *deliverer) markAnswered(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if first := d.first[id]; first != nil {
		close(first)
		delete(d.first, id)
	}
}

// due answers how long the delivery has to wait yet.
func (d *deliverer) due(id string) (time.Duration, bool) {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	r := d.server.store.table(kindDelivery).byID[id]
	if r == nil || r.Object.str("state") != "pending" {
		return 0, false
	}
	return time.UnixMilli(r.Object.int("due_at")).Sub(d.server.cfg.MachineNow()), true
}

func (d *deliverer) sleep(wait time.Duration) bool {
	if wait <= 0 {
		return d.ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// attempt sends once and says whether it is to be tried again.
func (d *deliverer) attempt(id string) (again bool) {
	message, ok := d.compose(id)
	if !ok {
		return false
	}
	sendErr := d.send(message)
	if d.ctx.Err() != nil {
		return false // cut off by Close: whether it arrived is unknown, so it stays pending
	}
	err := d.server.update(cause{}, func(t *tx) error {
		again = t.recordAttempt(id, sendErr)
		return nil
	})
	if err != nil {
		d.server.cfg.Logger.Error("webhook delivery not recorded", slog.String("delivery", id), slog.Any("error", err))
		return false
	}
	if sendErr != nil {
		d.server.cfg.Logger.Warn("webhook delivery failed", slog.String("event", message.eventID),
			slog.String("url", message.url), slog.Bool("again", again), slog.Any("error", sendErr))
	}
	return again
}

// message is one attempt.
type message struct {
	eventID string
	url     string
	secret  string
	body    []byte
}

// compose reads what is to be sent now. An endpoint that was deleted or
// disabled meanwhile gets nothing more of what it missed.
func (d *deliverer) compose(id string) (m message, ok bool) {
	var shown object
	err := d.server.update(cause{}, func(t *tx) error {
		delivery := t.get(kindDelivery, id)
		event := t.get(kindEvent, delivery.str("event"))
		endpoint := t.get(kindWebhookEndpoint, delivery.str("endpoint"))
		if delivery == nil || event == nil || endpoint == nil {
			t.remove(kindDelivery, id)
			return nil
		}
		if endpoint.str("status") != "enabled" {
			t.put(delivery.clone().set(object{"state": "failed", "last_error": "endpoint disabled"}))
			return nil
		}
		shown = t.shown(event)
		m = message{
			eventID: event.id(),
			url:     endpoint.str("url"),
			secret:  t.hidden(kindWebhookEndpoint, endpoint.id()).str("secret"),
		}
		ok = true
		return nil
	})
	if ok && err == nil {
		m.body, err = encodeBody(shown) // which takes a while, and needs no lock
	}
	if err != nil {
		d.server.cfg.Logger.Error("webhook delivery not composed", slog.String("delivery", id), slog.Any("error", err))
	}
	return m, ok && err == nil
}

func (d *deliverer) send(m message) error {
	request, err := http.NewRequestWithContext(d.ctx, http.MethodPost, m.url, bytes.NewReader(m.body))
	if err != nil {
		return fmt.Errorf("address %s: %w", m.url, err)
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	request.Header.Set("Stripe-Signature", signatureHeader(m.secret, d.server.cfg.MachineNow(), m.body))
	response, err := d.client.Do(request)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	defer response.Body.Close()
	// The connection is used again only when its answer has been read.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("endpoint answered %d", response.StatusCode)
	}
	return nil
}

// recordAttempt removes what was acknowledged and dates the next attempt of
// what was not.
func (t *tx) recordAttempt(id string, sendErr error) (again bool) {
	delivery := t.get(kindDelivery, id)
	if delivery == nil {
		return false
	}
	if sendErr == nil {
		t.remove(kindDelivery, id)
		return false
	}
	attempts := delivery.int("attempts") + 1
	next := delivery.clone().set(object{"attempts": attempts, "last_error": sendErr.Error()})
	schedule := t.server.cfg.RetrySchedule
	if attempts > int64(len(schedule)) {
		t.put(next.set(object{"state": "failed"}))
		return false
	}
	t.put(next.set(object{"due_at": t.server.cfg.MachineNow().Add(schedule[attempts-1]).UnixMilli()}))
	return true
}
