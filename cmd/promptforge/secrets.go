package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secrets are those of a data directory: made at its first use, the same ever
// after, different in each.
type secrets struct {
	SecretKey        string `json:"secret_key"`
	AdminPassword    string `json:"admin_password"`
	CustomerPassword string `json:"customer_password"`
	// APIKey is a program's; folders of before there were any lack it.
	APIKey string `json:"api_key,omitempty"`
	// WebhookSecret is that of the endpoint WebhookID; Stripe tells it once.
	WebhookID     string `json:"webhook_id,omitempty"`
	WebhookSecret string `json:"webhook_secret,omitempty"`

	path string
}

// openSecrets reads or makes them; a new key begins with keyPrefix.
func openSecrets(path, keyPrefix string) (*secrets, error) {
	s := &secrets{path: path}
	raw, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(raw, s); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		return s, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	s.SecretKey = keyPrefix + randomHex(24)
	s.AdminPassword, s.CustomerPassword = randomHex(8), randomHex(8)
	return s, s.save()
}

func (s *secrets) save() error { return writeJSON(s.path, s) }

// writeJSON writes a file that only its owner may read, whole or not at all.
func writeJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(append(raw, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
