package plugin

import (
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// validate reads settings and finds what is wrong with them. The error is for
// what isn't a matter of the settings. The settings are encoded again only
// where somebody reads them.
func (s *Server) validate(raw []byte, encode bool) (Settings, connector.Diagnostics, error) {
	form, err := s.descriptor()
	if err != nil {
		return nil, nil, err
	}
	values, err := descriptor.Decode(raw)
	if err != nil {
		return nil, connector.Diagnostics{connector.Diagnose(err, connector.OriginSettings)}, nil
	}
	values = form.Normalize(values)
	problems := form.Validate(values)
	validator, ok := s.connector.(Validator)
	if hasError(problems) || (!ok && !encode) {
		return nil, problems, nil
	}
	settings, err := json.Marshal(values)
	if err != nil {
		return nil, nil, err
	}
	if ok {
		problems = append(problems, validator.Validate(settings)...)
	}
	return settings, problems, nil
}

func hasError(ds connector.Diagnostics) bool { return ds.Err() != nil }

// settings reads settings that must be valid.
func (s *Server) settings(raw []byte) (Settings, error) {
	settings, problems, err := s.validate(raw, true)
	if err != nil {
		return nil, err
	}
	return settings, problems.Err()
}

// format reads which credential format to write.
func (s *Server) format(asked uint32) (uint32, error) {
	switch d := s.description; asked {
	case 0, d.CredentialWrites:
		return d.CredentialWrites, nil
	case d.CredentialBefore():
		return asked, nil
	default:
		return 0, misuse("it asks for credential format %d; %s %s writes %d and %d", asked, d.ID, d.Version, d.CredentialBefore(), d.CredentialWrites)
	}
}

// credential reads a credential; required says that there must be one.
func (s *Server) credential(p *connectorv1.Credential, required bool) (connector.Credential, error) {
	c, err := protoconv.CredentialFromProto(p)
	d := s.description
	switch {
	case err != nil:
		return c, misuse("%v", err)
	case c.IsZero() && required:
		return c, misuse("it has no credential")
	case c.IsZero():
		return connector.Credential{}, nil
	case len(c.Data.Reveal()) > handshake.MaxCredentialBytes:
		return c, connector.Errorf(connector.LimitExceeded, connector.OriginHost,
			"The credential is larger than %d KiB.", handshake.MaxCredentialBytes>>10)
	case c.Format == 0 || !slices.Contains(d.CredentialReads, c.Format):
		return c, connector.Errorf(connector.CredentialUnreadable, connector.OriginHost,
			"The credential has format %d, but %s %s reads %v.", c.Format, d.ID, d.Version, d.CredentialReads).
			Suggest("Use %s, whose description lists format %d; the credential itself is unharmed.",
				otherBuild(c.Format, d.CredentialReads), c.Format)
	}
	return c, nil
}

func otherBuild(format uint32, reads []uint32) string {
	if format > slices.Max(reads) {
		return "a newer build of the connector"
	}
	return "an older build of the connector"
}

// access reads access that there must be.
func access(p *connectorv1.Access) (*connector.Access, error) {
	a, err := protoconv.AccessFromProto(p)
	if err != nil {
		return nil, misuse("%v", err)
	}
	if a == nil || a.Token.IsZero() {
		return nil, connector.Errorf(connector.SignInRequired, connector.OriginHost,
			"There is no access yet.").With(connector.SignInAgain).Suggest("Sign in first.")
	}
	return a, nil
}

// clock reads the host's time, or takes this machine's.
func clock(ts *timestamppb.Timestamp) (time.Time, error) {
	now, err := protoconv.Time(ts, "now")
	if err != nil {
		return now, misuse("%v", err)
	}
	if now.IsZero() {
		now = time.Now()
	}
	return now, nil
}

// checkRedirectURI refuses what RFC 6749, section 3.1.2, forbids.
func checkRedirectURI(s string) error {
	u, err := url.Parse(s)
	switch {
	case len(s) > handshake.MaxCallbackBytes:
		return connector.Errorf(connector.LimitExceeded, connector.OriginHost,
			"The redirect URI is larger than %d KiB.", handshake.MaxCallbackBytes>>10)
	case err != nil || !u.IsAbs() || (u.Host == "" && u.Opaque == "" && u.Path == ""):
		return misuse("the redirect URI isn't absolute")
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() == "":
		return misuse("the redirect URI has no host")
	case u.Fragment != "":
		return misuse("the redirect URI has a fragment")
	}
	return nil
}

// checkCallback refuses what can't be where a browser was sent to.
func checkCallback(callback string, pending []byte) error {
	u, err := url.Parse(callback)
	switch {
	case len(callback) > handshake.MaxCallbackBytes:
		return connector.Errorf(connector.LimitExceeded, connector.OriginHost,
			"The callback URL is larger than %d KiB.", handshake.MaxCallbackBytes>>10)
	case len(pending) > handshake.MaxPendingBytes:
		return connector.Errorf(connector.LimitExceeded, connector.OriginHost,
			"The pending sign-in is larger than %d KiB.", handshake.MaxPendingBytes>>10)
	case err != nil || !u.IsAbs():
		return connector.Errorf(connector.AuthorizationInvalid, connector.OriginHost,
			"The callback isn't an absolute URL.").
			Suggest("Copy the whole address that the browser was sent to, and start the sign-in again if it is gone.")
	}
	return nil
}
