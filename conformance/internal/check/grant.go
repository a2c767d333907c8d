package check

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// renewTime is how long the suite gives a renewal.
const renewTime = 6 * time.Second

// Settings are the profile's, with the secrets.
func (t *T) Settings() map[string]any {
	p := t.Profile()
	s := maps.Clone(p.Settings)
	for name, value := range p.Secrets {
		s[name] = value
	}
	return s
}

// JSON encodes settings.
func (t *T) JSON(settings map[string]any) []byte {
	data, err := json.Marshal(settings)
	if err != nil {
		t.Brokenf("settings: %v", err)
	}
	return data
}

// Good is the profile's settings as JSON.
func (t *T) Good() []byte { return t.JSON(t.Settings()) }

// SignsIn reports whether a person signs in.
func (t *T) SignsIn() bool {
	return slices.Contains(t.Described().GetSignIns(), connectorv1.SignIn_SIGN_IN_AUTHORIZATION_CODE)
}

// State is a state as hosts make them.
const State = "st-4fT9_xQ7.kz~R2mB8vWc1LdY6pHs0Jg"

// Begun is a sign-in that waits for a person.
type Begun struct {
	*connectorv1.BeginAuthorizationResponse
	Settings []byte
	Now      time.Time
}

// Begin begins a sign-in.
func (t *T) Begin(c *Conn) *Begun {
	now := time.Now()
	settings := t.Good()
	answer, err := c.BeginAuthorization(t.Call(), &connectorv1.BeginAuthorizationRequest{
		Settings: settings, RedirectUri: t.Profile().RedirectURI, State: State, Now: timestamppb.New(now),
	})
	if err != nil {
		t.Blockf("BeginAuthorization failed: %s", Brief(err))
	}
	return &Begun{answer, settings, now}
}

// Allow lets the person allow a sign-in.
func (t *T) Allow(b *Begun) string { return t.Decide(b, "allow", t.Profile().Person) }

// Decide lets a person decide, and returns the callback.
func (t *T) Decide(b *Begun, decision, person string) string {
	callback, err := t.Service().Consent(t.ctx, b.GetAuthorizationUrl(), decision, person)
	if err != nil {
		t.Blockf("the service doesn't take the authorization URL: %v", err)
	}
	return callback
}

// Complete is a request to complete a sign-in.
func (b *Begun) Complete(callback string) *connectorv1.CompleteAuthorizationRequest {
	return &connectorv1.CompleteAuthorizationRequest{
		Settings: b.Settings, Pending: b.GetPending(), CallbackUrl: callback, Now: timestamppb.New(b.Now.Add(time.Second)),
	}
}

// SignIn signs the profile's person in. Without sign-ins of persons it
// returns nil.
func (t *T) SignIn(c *Conn) *connectorv1.Credential { return t.SignInAs(c, t.Profile().Person) }

// SignInAs signs a person in.
func (t *T) SignInAs(c *Conn, person string) *connectorv1.Credential {
	if !t.SignsIn() {
		return nil
	}
	b := t.Begin(c)
	done, err := c.CompleteAuthorization(t.Call(), b.Complete(t.Decide(b, "allow", person)))
	if err != nil {
		t.Blockf("CompleteAuthorization failed: %s", Brief(err))
	}
	if len(done.GetCredential().GetData()) == 0 {
		t.Blockf("CompleteAuthorization answered without a credential")
	}
	return done.GetCredential()
}

// Open is a request to open a session that may not renew.
func (t *T) Open(credential *connectorv1.Credential) *connectorv1.OpenSessionRequest {
	return &connectorv1.OpenSessionRequest{Settings: t.Good(), Credential: credential, Now: timestamppb.Now()}
}

// Renew is a request to open a session that must renew: the access counts as
// refused.
func (t *T) Renew(credential *connectorv1.Credential) *connectorv1.OpenSessionRequest {
	r := t.Open(credential)
	r.AllowRenew, r.AccessRefused = true, true
	r.Deadline = timestamppb.New(time.Now().Add(renewTime))
	return r
}

// Access opens a session, without a renewal if that does.
func (t *T) Access(c *Conn, credential *connectorv1.Credential) *connectorv1.Access {
	r := t.Open(credential)
	answer, err := c.OpenSession(t.Call(), r)
	if Code(err) == connectorv1.Code_CODE_RENEWAL_REQUIRED {
		r.AllowRenew, r.Deadline = true, timestamppb.New(time.Now().Add(renewTime))
		answer, err = c.OpenSession(t.Call(), r)
	}
	if err != nil {
		t.Blockf("OpenSession failed: %s", Brief(err))
	}
	if answer.GetAccess() == nil {
		t.Blockf("OpenSession answered without access")
	}
	return answer.GetAccess()
}

// Test runs a connection test to its end.
func (c *Conn) Test(t *T, r *connectorv1.TestConnectionRequest, limit time.Duration) ([]*connectorv1.Check, error) {
	stream, err := c.TestConnection(t.CallWithin(limit), r)
	if err != nil {
		return nil, err
	}
	var checks []*connectorv1.Check
	for {
		answer, err := stream.Recv()
		if err == io.EOF { //nolint:errorlint // the stream's own end
			return checks, nil
		}
		if err != nil {
			return checks, err
		}
		checks = append(checks, answer.GetCheck())
	}
}

// Try is a call by its name, for checks that make all of them.
type Try struct {
	Name       string
	Capability connectorv1.Capability // zero: every connector has it
	Make       func() error
}

// Calls are the calls that take settings, each made with the given ones and
// whatever else it needs in its simplest form.
func (t *T) Calls(c *Conn, settings []byte, credential *connectorv1.Credential, access *connectorv1.Access, begun *Begun) []Try {
	now := timestamppb.Now()
	narrow := &connectorv1.NarrowAccessRequest{Settings: settings, Access: access, Now: now, Scopes: []string{"any"}}
	if n := t.Profile().Narrow; n != nil {
		narrow.Scopes, narrow.Resource = n.Scopes, n.Resource
	}
	complete := &connectorv1.CompleteAuthorizationRequest{Settings: settings, Now: now}
	if begun != nil {
		complete = begun.Complete(t.Allow(begun))
		complete.Settings = settings
	}
	return []Try{
		{"BeginAuthorization", connectorv1.Capability_CAPABILITY_AUTHORIZE, func() error {
			_, err := c.BeginAuthorization(t.Call(), &connectorv1.BeginAuthorizationRequest{
				Settings: settings, RedirectUri: t.Profile().RedirectURI, State: State, Now: now})
			return err
		}},
		{"CompleteAuthorization", connectorv1.Capability_CAPABILITY_AUTHORIZE, func() error {
			_, err := c.CompleteAuthorization(t.Call(), complete)
			return err
		}},
		{"Identify", connectorv1.Capability_CAPABILITY_IDENTIFY, func() error {
			_, err := c.Identify(t.Call(), &connectorv1.IdentifyRequest{Settings: settings, Access: access})
			return err
		}},
		{"TestConnection", 0, func() error {
			_, err := c.Test(t, &connectorv1.TestConnectionRequest{Settings: settings, Access: access}, CallLimit)
			return err
		}},
		{"OpenSession", 0, func() error {
			r := t.Renew(credential)
			r.Settings, r.AccessRefused = settings, credential != nil
			_, err := c.OpenSession(t.Call(), r)
			return err
		}},
		{"NarrowAccess", connectorv1.Capability_CAPABILITY_NARROW, func() error {
			_, err := c.NarrowAccess(t.Call(), narrow)
			return err
		}},
		{"RevokeAuthorization", connectorv1.Capability_CAPABILITY_REVOKE, func() error {
			_, err := c.RevokeAuthorization(t.Call(), &connectorv1.RevokeAuthorizationRequest{Settings: settings, Credential: credential})
			return err
		}},
	}
}

// After is d after now on the host's clock of a request.
func After(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(d)) }

// Lasting is a minimum validity.
func Lasting(d time.Duration) *durationpb.Duration { return durationpb.New(d) }

// Has reports whether a list of names holds one, for messages.
func Has(list []string, name string) bool { return slices.Contains(list, name) }

// Line is a text in one line.
func Line(text string) string { return strings.Join(strings.Fields(text), " ") }
