package stripesim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"
)

const (
	// maxKeyLength and keyLifetime are Stripe's.
	// https://stripe.com/docs/api/idempotent_requests
	maxKeyLength = 255
	keyLifetime  = 24 * time.Hour
)

// idempotently executes a request, or answers what the same request was
// answered before. The answer is stored in the same change as what the request
// did: there is no moment at which one survives without the other.
func (s *Server) idempotently(a *answer, tree *node, execute func(t *tx) (object, error)) {
	key := a.r.Header.Get("Idempotency-Key")
	if a.r.Method != http.MethodPost {
		key = "" // reading and deleting are idempotent by themselves
	}
	if err := s.claimKey(key); err != nil {
		a.fail(err)
		return
	}
	defer s.releaseKey(key)

	digest := fingerprint(a.r, tree)
	var result object
	status, body := http.StatusOK, []byte(nil)
	err := s.update(a.cause(), func(t *tx) error {
		// What is read is dated by the moment at which it is read, not by the one
		// at which the request came.
		a.w.Header().Set("Date", t.now.Format(http.TimeFormat))
		if stored := t.storedAnswer(key); stored != nil {
			return a.replay(stored, digest, &status, &body)
		}
		var err error
		result, err = execute(t)
		var failed *apiError
		switch {
		case errors.As(err, &failed) && failed.kept:
			status, body = a.errorAnswer(failed)
		case err != nil:
			return err
		case key != "":
			if body, err = encodeBody(result); err != nil {
				return err
			}
		}
		t.storeAnswer(key, digest, a, status, body)
		return nil
	})
	if err == nil && body == nil {
		// Most requests only read. What they read is never changed, so that it is
		// written down when others may have the lock.
		body, err = encodeBody(result)
	}
	if err != nil {
		status, body = s.refuse(a, key, digest, err)
	}
	a.send(status, body)
}

// refuse answers an error and keeps the answer under the key, unless no
// endpoint began to execute or the fault is the stand-in's own.
func (s *Server) refuse(a *answer, key, digest string, err error) (int, []byte) {
	status, body := a.errorAnswer(err)
	if e := asAPIError(err); key == "" || e.unstored || status >= http.StatusInternalServerError {
		return status, body
	}
	if err := s.update(cause{}, func(t *tx) error {
		t.storeAnswer(key, digest, a, status, body)
		return nil
	}); err != nil {
		return a.errorAnswer(err)
	}
	return status, body
}

// claimKey refuses a key that another request is using at this moment.
func (s *Server) claimKey(key string) error {
	if key == "" {
		return nil
	}
	if len(key) > maxKeyLength {
		return badParameter("", "", "Idempotency keys can only have at most %d characters.", maxKeyLength)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inflight[key] {
		return &apiError{
			status: http.StatusConflict, kind: typeInvalidRequest, code: "idempotency_key_in_use", unstored: true,
			message: "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): " + key,
		}
	}
	s.inflight[key] = true
	return nil
}

func (s *Server) releaseKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inflight, key)
}

// replay answers what is stored, if the request is the one that it was stored for.
func (a *answer) replay(stored object, digest string, status *int, body *[]byte) error {
	if stored.str("fingerprint") != digest {
		message := "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '" + stored.id() + "' if you meant to execute a different request."
		if stored.str("path") != a.r.URL.Path {
			message = "Keys for idempotent requests can only be used for the same endpoint they were first used for ('" + a.r.URL.Path + "' vs '" + stored.str("path") + "'). Try using a key other than '" + stored.id() + "' if you meant to execute a different request."
		}
		return &apiError{status: http.StatusBadRequest, kind: typeIdempotency, message: message, unstored: true}
	}
	a.w.Header().Set("Idempotent-Replayed", "true")
	a.w.Header().Set("Original-Request", stored.str("request"))
	*status, *body = int(stored.int("status")), []byte(stored.str("body"))
	return nil
}

func (t *tx) storedAnswer(key string) object {
	if key == "" {
		return nil
	}
	stored := t.get(kindIdempotency, key)
	if stored == nil || t.server.outdated(stored) {
		return nil
	}
	return stored
}

func (t *tx) storeAnswer(key, digest string, a *answer, status int, body []byte) {
	if key == "" {
		return
	}
	t.put(object{
		"id":          key,
		"object":      kindIdempotency,
		"fingerprint": digest,
		"path":        a.r.URL.Path,
		"request":     a.requestID,
		"status":      int64(status),
		"body":        string(body),
		"stored_at":   t.server.cfg.MachineNow().Unix(),
	})
}

func (s *Server) outdated(stored object) bool {
	return s.cfg.MachineNow().Sub(time.Unix(stored.int("stored_at"), 0)) > keyLifetime
}

// forgetOldKeys drops what is past its lifetime, before the journal is compacted.
func (s *Server) forgetOldKeys() {
	for _, r := range s.store.records() {
		if r.Kind == kindIdempotency && s.outdated(r.Object) {
			s.store.apply(&record{Kind: r.Kind, ID: r.ID, Seq: r.Seq, Gone: true})
		}
	}
}

// fingerprint is what must be the same for a key to be used again.
func fingerprint(r *http.Request, tree *node) string {
	sum := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + " " + tree.canonical()))
	return hex.EncodeToString(sum[:])
}
