package launch

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/boxconnection/connector/proto/connector"
)

const digestPrefix = "sha256:"

// Digest is the SHA-256 of a plugin binary. The zero Digest is none.
type Digest struct {
	sum [sha256.Size]byte
	set bool
}

// DigestOf returns the digest with the given bytes.
func DigestOf(sum [sha256.Size]byte) Digest { return Digest{sum, true} }

// ParseDigest reads 64 hexadecimal digits, with or without "sha256:" in
// front. Capitals and blanks around it are accepted. What can't be a digest is
// a UsageWrong diagnostic, so that a typing mistake never looks like a binary
// that was tampered with.
func ParseDigest(text string) (Digest, error) {
	digits := strings.ToLower(strings.TrimSpace(text))
	digits = strings.TrimSpace(strings.TrimPrefix(digits, digestPrefix))
	malformed := func(format string, args ...any) error {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, format, args...).
			Suggest("Give the 64 hexadecimal digits that sha256sum prints for the plugin's file.")
	}
	if digits == "" {
		return Digest{}, malformed("The plugin digest is empty.")
	}
	if len(digits) != hex.EncodedLen(sha256.Size) {
		return Digest{}, malformed("The plugin digest has %d characters; a SHA-256 has %d hexadecimal digits.",
			len(digits), hex.EncodedLen(sha256.Size))
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return Digest{}, malformed("The plugin digest isn't hexadecimal.")
	}
	return DigestOf([sha256.Size]byte(raw)), nil
}

// IsZero reports whether there is no digest.
func (d Digest) IsZero() bool { return !d.set }

// String returns "sha256:" and the digits in lower case, or "" for none.
func (d Digest) String() string {
	if !d.set {
		return ""
	}
	return digestPrefix + hex.EncodeToString(d.sum[:])
}
