package connector

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Scopes is what a grant covers. The service may not tell; then Known is
// false and Values is empty, which means "unknown" and never "none".
type Scopes struct {
	Known  bool     `json:"known"`
	Values []string `json:"values,omitempty"`
}

// TokenRefusal says how the service words "this access token is no longer
// good", so that no other refusal costs a renewal. Only status 401 counts.
type TokenRefusal struct {
	// ChallengeErrors are the values of the error parameter of a Bearer
	// challenge (RFC 6750, section 3) that mean it.
	ChallengeErrors []string `json:"challenge_errors,omitempty"`
	// EmptyBody: an empty body without a challenge of another scheme and
	// without an error parameter means it too.
	EmptyBody bool `json:"empty_body,omitempty"`
}

// Access is what lets a caller in: a token, how long it lasts, and where it
// may be sent. It is shared by pointer and never changed after it was made.
type Access struct {
	Token Secret `json:"token"`
	// Type is the token's type for the Authorization header, "Bearer" as a
	// rule.
	Type string `json:"type"`
	// IssuedAt is when the request for the token was begun.
	IssuedAt time.Time `json:"issued_at"`
	// ExpiresAt is the end of the token's life; zero means unknown: it is
	// used until it is refused.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// RenewAt is when a renewal is due; zero means never before expiry.
	RenewAt time.Time `json:"renew_at,omitzero"`
	// Endpoints are the base URLs that the token may be sent to, by name
	// ("api", "upload").
	Endpoints map[string]string `json:"endpoints,omitempty"`
	// Headers are sent with every request, beside Authorization.
	Headers map[string]string `json:"headers,omitempty"`
	Scopes  Scopes            `json:"scopes"`
	Refusal TokenRefusal      `json:"refusal"`
	// Generation numbers the credential that the token came from. The host
	// sets it; it grows by one with every renewal and every sign-in.
	Generation uint64 `json:"generation"`
}

// ValidFor reports whether the token still lasts for d after now. A token of
// unknown expiry does.
func (a *Access) ValidFor(now time.Time, d time.Duration) bool {
	return a.ExpiresAt.IsZero() || a.ExpiresAt.Sub(now) > d
}

// Refuses reports whether an answer means that the token is no longer good.
// The caller says whether the body was empty.
func (r TokenRefusal) Refuses(status int, header http.Header, emptyBody bool) bool {
	if status != http.StatusUnauthorized {
		return false
	}
	foreign := false
	for _, line := range header.Values("WWW-Authenticate") {
		for _, c := range parseChallenges(line) {
			if c.scheme != "bearer" {
				foreign = true
			} else if code := c.params["error"]; code != "" {
				return slices.Contains(r.ChallengeErrors, code)
			}
		}
	}
	return r.EmptyBody && emptyBody && !foreign
}

// AccessRequest asks for access.
type AccessRequest struct {
	// MinValidity is how long the token must still last; zero leaves it to
	// the connector's renewal margin.
	MinValidity time.Duration
	// Refused is the generation whose token the service refused, zero for
	// none. If the credential has moved on since, nothing is renewed.
	Refused uint64
}

// AccessSource hands out access. Implementations are safe for concurrent use,
// return within the context's deadline, renew at most once for all callers
// together, and fail with a *Diagnostic.
type AccessSource interface {
	Access(ctx context.Context, req AccessRequest) (*Access, error)
}

// Throttle is what an [AccessSource] implements whose callers share one wait:
// when the service asks one of them to wait, all do. It is safe for concurrent
// use.
type Throttle interface {
	// AskedToWait tells that the service doesn't want to be asked for d. A
	// longer wait that is already on stays.
	AskedToWait(d time.Duration)
	// Pause returns how long to wait before the next request; zero for none.
	Pause() time.Duration
}
