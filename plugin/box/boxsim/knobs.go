package boxsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Rotation says what becomes of a refresh token that has been spent. Sources
// about Box disagree, so all three versions can be chosen.
type Rotation string

// The rotations.
const (
	// ReplayUntilUsed answers a spent refresh token with the same pair again
	// until the new access or refresh token is used for the first time, which
	// kills the old pair. It is what Box's staff described in 2023, and the
	// default.
	ReplayUntilUsed Rotation = "replay_until_used"
	// StrictSingleUse kills a refresh token when it is spent, as Box's
	// documentation says.
	StrictSingleUse Rotation = "strict_single_use"
	// DistinctChildren answers each use of a refresh token with another new
	// pair; the first pair that is used kills the others and the old one. It
	// was reported between 2015 and 2019.
	DistinctChildren Rotation = "distinct_children"
)

// AbsentExpiresIn is the value of [Knobs].ExpiresIn that leaves the field out.
const AbsentExpiresIn = "absent"

// Knobs chooses the emulator's behaviour where Box isn't clear, and where a
// client should be tried with something unusual. The zero value is not valid;
// start from [DefaultKnobs].
type Knobs struct {
	// Rotation says what happens to a spent refresh token.
	Rotation Rotation `json:"rotation"`
	// KeepOldAccess leaves the old access token alive when a rotation is
	// committed. By default it dies, as seen in Box's server logs in 2017.
	KeepOldAccess bool `json:"keep_old_access"`
	// ConsumedDescription is the text for a refresh token that was spent:
	// "Invalid refresh token" (the default) or "Refresh token has expired",
	// both of which have been reported.
	ConsumedDescription string `json:"consumed_description"`
	// AccessLifetime is how long an access token lives. Zero, the default,
	// varies it between 3600 and 4200 seconds as Box does.
	AccessLifetime Duration `json:"access_lifetime"`
	// RefreshLifetime is how long an unused refresh token lives: 60 days.
	RefreshLifetime Duration `json:"refresh_lifetime"`
	// CodeLifetime is how long an authorization code lives: 30 seconds.
	CodeLifetime Duration `json:"code_lifetime"`
	// ExpiresIn replaces the value of expires_in in token answers by a piece
	// of JSON (null, "3600" with its quotes, 3600.0, -5, 1e18), or leaves the
	// field out ([AbsentExpiresIn]). Empty, the default, tells the truth. The
	// token's real lifetime isn't changed by it.
	ExpiresIn string `json:"expires_in"`
	// OmitRefreshToken leaves refresh_token out of token answers.
	OmitRefreshToken bool `json:"omit_refresh_token"`
	// EnforcePKCE checks the code verifier if the authorization request had a
	// challenge. Box is reported to ignore both, so it is off.
	EnforcePKCE bool `json:"enforce_pkce"`
	// AutoConsent answers an authorization request with the redirect at once,
	// for the account named by box_login or else the first user.
	AutoConsent bool `json:"auto_consent"`
	// DenyDescription is the error_description of a denied sign-in; empty
	// leaves it out. Box's own text isn't known.
	DenyDescription string `json:"deny_description"`
	// RefuseAddresses answers 403 if the state or the redirect URI of an
	// authorization request holds an IP address, as was reported in 2023.
	RefuseAddresses bool `json:"refuse_addresses"`
	// TokenRate is the number of requests a second that the token endpoint
	// takes before it answers 429. Zero, the default, is no limit.
	TokenRate int `json:"token_rate"`
	ContentKnobs
}

// ContentKnobs are those of uploads and of the search.
type ContentKnobs struct {
	// Quota is how many bytes of content the account holds, parts of unfinished
	// uploads included; with 0 it is full. It also bounds what the emulator
	// writes to the disk. The default is 8 GiB.
	Quota int64 `json:"quota"`
	// IndexDelay is how long, by the emulator's clock, a new item isn't found by
	// the search yet: ten minutes.
	IndexDelay Duration `json:"index_delay"`
	// ChunkedMinimum is the smallest file, in bytes, that may be uploaded in
	// parts: 20,000,000.
	ChunkedMinimum int64 `json:"chunked_minimum"`
	// PartSize is the size of the parts, in bytes. Zero, the default, takes 8
	// MiB, and more for files that would have over 1,000 parts.
	PartSize int64 `json:"part_size"`
	// SessionLifetime is how long an upload in parts may take: 7 days.
	SessionLifetime Duration `json:"session_lifetime"`
	// ProcessingTime is how long, by the emulator's clock, a part isn't ready
	// yet after it came. A commit in that time is answered with 202. The default
	// is none.
	ProcessingTime Duration `json:"processing_time"`
	// AcceptRepeatedParts answers a part that is there already, with the same
	// bytes, as if it were new. By default it is refused as an overlap.
	AcceptRepeatedParts bool `json:"accept_repeated_parts"`
}

// DefaultKnobs returns the behaviour that is best supported by what is known
// about Box.
func DefaultKnobs() Knobs {
	return Knobs{
		Rotation:            ReplayUntilUsed,
		ConsumedDescription: descInvalidRefresh,
		RefreshLifetime:     Duration(60 * 24 * time.Hour),
		CodeLifetime:        Duration(30 * time.Second),
		DenyDescription:     "The resource owner denied the request",
		ContentKnobs: ContentKnobs{
			Quota: 8 << 30, IndexDelay: Duration(10 * time.Minute), ChunkedMinimum: 20_000_000,
			SessionLifetime: Duration(7 * 24 * time.Hour),
		},
	}
}

func (k Knobs) validate() error {
	var errs []error
	switch k.Rotation {
	case ReplayUntilUsed, StrictSingleUse, DistinctChildren:
	default:
		errs = append(errs, fmt.Errorf("rotation: %q is not one of %s, %s, %s",
			k.Rotation, ReplayUntilUsed, StrictSingleUse, DistinctChildren))
	}
	for name, d := range map[string]Duration{
		"access_lifetime": k.AccessLifetime, "refresh_lifetime": k.RefreshLifetime, "code_lifetime": k.CodeLifetime,
		"index_delay": k.IndexDelay, "session_lifetime": k.SessionLifetime, "processing_time": k.ProcessingTime,
	} {
		if d < 0 || time.Duration(d) > maxOffset {
			errs = append(errs, fmt.Errorf("%s: out of range", name))
		}
	}
	if k.RefreshLifetime == 0 || k.CodeLifetime == 0 {
		errs = append(errs, errors.New("refresh_lifetime and code_lifetime must not be zero"))
	}
	if k.ExpiresIn != "" && k.ExpiresIn != AbsentExpiresIn && (len(k.ExpiresIn) > 1024 || !json.Valid([]byte(k.ExpiresIn))) {
		errs = append(errs, fmt.Errorf("expires_in: neither JSON nor %q", AbsentExpiresIn))
	}
	if k.TokenRate < 0 {
		errs = append(errs, errors.New("token_rate: must not be negative"))
	}
	for name, n := range map[string]int64{"quota": k.Quota, "chunked_minimum": k.ChunkedMinimum, "part_size": k.PartSize} {
		if n < 0 || n > maxUpload*1000 {
			errs = append(errs, fmt.Errorf("%s: out of range", name))
		}
	}
	if k.SessionLifetime == 0 {
		errs = append(errs, errors.New("session_lifetime must not be zero"))
	}
	return errors.Join(errs...)
}
