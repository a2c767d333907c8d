package connector

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"unique"
)

// Redacted stands wherever a secret would have been printed.
const Redacted = "[redacted]"

// Secret is a value that prints as [Redacted] under every verb of fmt, in
// JSON, as text and in log/slog. Only Reveal gives the value out. The zero
// Secret is empty. Secrets are equal if their values are.
type Secret struct {
	// A handle instead of the string: where fmt reports a wrong verb for a
	// struct, it prints the fields without asking their methods, and then
	// shows an address.
	value unique.Handle[string]
}

// NewSecret wraps a value.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{unique.Make(value)}
}

// Reveal returns the value, for the one place that has to send it.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.value.Value()
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s == Secret{} }

// Fingerprint returns the first 12 hexadecimal digits of the value's SHA-256,
// enough to tell two long random tokens apart in a log, or "" for an empty
// secret. Don't print the fingerprint of a value that could be guessed.
func (s Secret) Fingerprint() string {
	if s.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:6])
}

// String returns [Redacted], or "" for an empty secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return Redacted
}

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText returns what String returns, so that JSON, YAML and the like
// never see the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
