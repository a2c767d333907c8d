// Package profile reads what the suite must know of a connector that the
// connector can't tell by itself.
package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxFile bounds a profile.
const maxFile = 1 << 20

// Profile tells how to exercise a connector. In its texts, ${name} stands for
// a string member of the line that the peer prints.
type Profile struct {
	// Name is shown in reports.
	Name string `json:"name"`
	// Peer is the service behind the connector.
	Peer *Peer `json:"peer"`
	// Settings are a complete, valid set without its secrets, Secrets the
	// secret settings. What is in Secrets must never be seen anywhere.
	Settings map[string]any    `json:"settings"`
	Secrets  map[string]string `json:"secrets"`
	// RedirectURI is one that the service takes.
	RedirectURI string `json:"redirect_uri"`
	// Person signs in; WithoutEnterprise is one who belongs to none.
	Person            string `json:"person"`
	WithoutEnterprise string `json:"without_enterprise"`
	// RequiredScopes are scopes that the access has or may have.
	RequiredScopes []string `json:"required_scopes"`
	// Narrow is a request that the service can grant exactly, Unnarrowable
	// one that it can't.
	Narrow       *Narrowing `json:"narrow"`
	Unnarrowable *Narrowing `json:"unnarrowable"`
	// Credentials are samples of formats that the build reads and doesn't
	// write.
	Credentials []Sample `json:"credentials"`
	// KnownFailures are checks that are known to fail.
	KnownFailures []KnownFailure `json:"known_failures"`

	// Folder is where the profile lies; the suite sets it.
	Folder string `json:"-"`
}

// Peer is how to reach the service.
type Peer struct {
	// Command is started once for each check. Without it, ControlURL and
	// ControlToken are those of a peer that runs, and Vars what its line would
	// hold.
	Command []string `json:"command"`
	// ControlURL and ControlToken are members of the peer's line if empty.
	ControlURL   string            `json:"control_url"`
	ControlToken string            `json:"control_token"`
	Vars         map[string]string `json:"vars"`
}

// Narrowing is what NarrowAccess is asked for.
type Narrowing struct {
	Scopes   []string `json:"scopes"`
	Resource string   `json:"resource"`
}

// Sample is a credential of a format, its data in base64.
type Sample struct {
	Format uint32 `json:"format"`
	Data   []byte `json:"data"`
}

// KnownFailure is a check that fails for a known reason. It is listed as a
// failure still; an entry whose check passes or fails otherwise is stale,
// which fails the run.
type KnownFailure struct {
	Check string `json:"check"`
	// Reason is a part of the message that the check gives.
	Reason string `json:"reason"`
}

// ErrMalformed says that a profile can't be meant.
var ErrMalformed = errors.New("malformed profile")

// Read reads a profile from a file.
func Read(path string) (*Profile, error) {
	f, err := os.Open(path) //nolint:gosec // the person names it
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	p, err := Parse(data)
	if err != nil {
		return nil, err
	}
	p.Folder = filepath.Dir(path)
	return p, nil
}

// Parse reads a profile. Names that it doesn't know are refused.
func Parse(data []byte) (*Profile, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrMalformed, maxFile)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var p Profile
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the object", ErrMalformed)
	}
	return &p, p.check()
}

func (p *Profile) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	if p.Settings == nil {
		return bad("settings are missing")
	}
	if peer := p.Peer; peer != nil {
		if len(peer.Command) == 0 && (peer.ControlURL == "" || peer.ControlToken == "") {
			return bad("peer needs a command, or control_url and control_token")
		}
	}
	for _, k := range p.KnownFailures {
		if k.Check == "" || k.Reason == "" {
			return bad("a known failure needs a check and a reason")
		}
	}
	for name := range p.Secrets {
		if _, twice := p.Settings[name]; twice {
			return bad("%s is both a setting and a secret", name)
		}
	}
	return nil
}

// Fill puts a peer's values in the place of their names in a text.
func Fill(text string, vars map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(m string) string { return vars[m[2:len(m)-1]] })
}

var variable = regexp.MustCompile(`\$\{([a-z][a-z0-9_]*)\}`)

// Expand returns the profile with the peer's values in place.
func (p *Profile) Expand(vars map[string]string) (*Profile, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var missing []string
	data = variable.ReplaceAllFunc(data, func(m []byte) []byte {
		name := string(m[2 : len(m)-1])
		value, ok := vars[name]
		if !ok {
			missing = append(missing, name)
			return m
		}
		quoted, _ := json.Marshal(value)
		return quoted[1 : len(quoted)-1]
	})
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: the peer doesn't tell %s", ErrMalformed, strings.Join(missing, ", "))
	}
	var out Profile
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, err
	}
	out.Folder = p.Folder
	return &out, nil
}
