// Package probe is a connector that hosts are judged with. It has no service:
// it plays one, does what a script says, and writes down each call, so that
// what a host did can be read afterwards.
//
// A probe is a copy of its binary with the name of a folder at its end, since
// a host passes on neither arguments nor environment. In the folder are the
// script, which is read again for each call, and the journal.
package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of the files in a probe's folder.
const (
	scriptFile  = "script.json"
	journalFile = "journal.jsonl"
)

// Mark is part of every secret that a probe makes, with what it is behind it.
const Mark = "c4n4ry-"

// What a secret is.
const (
	AccessMark     = Mark + "access-"
	CredentialMark = Mark + "credential-"
	PendingMark    = Mark + "pending-"
	MessageMark    = Mark + "message-"
)

// AuthorizeURL is where a probe sends browsers. Nobody listens there.
const AuthorizeURL = "http://127.0.0.1:9/authorize"

// Script says what a probe does.
type Script struct {
	// Start is what happens at the handshake.
	Start Start `json:"start"`
	// NeverReplay declares that a renewal that was cut off can't be repeated.
	NeverReplay bool `json:"never_replay,omitempty"`
	// Spent is the last generation whose access has expired.
	Spent uint64 `json:"spent,omitempty"`
	// Rules say which calls don't go well; the first that fits counts.
	Rules []Rule `json:"rules,omitempty"`
}

// Start is what happens at the handshake.
type Start struct {
	DelayMS int `json:"delay_ms,omitempty"`
	// Version replaces the contract's version in the line.
	Version int `json:"version,omitempty"`
	// OtherCertificate names another certificate in the line than is served.
	OtherCertificate bool `json:"other_certificate,omitempty"`
	// Line replaces the whole line.
	Line string `json:"line,omitempty"`
}

// Rule says how calls go wrong.
type Rule struct {
	// Call is the method's name. Renew limits it to calls with allow_renew.
	Call  string `json:"call"`
	Renew bool   `json:"renew,omitempty"`
	// DelayMS passes before the call does anything.
	DelayMS int `json:"delay_ms,omitempty"`
	// Do is one of the deeds below; none, and the call goes well.
	Do Deed `json:"do,omitempty"`
}

// Deed is what a call does in place of going well.
type Deed string

// The deeds.
const (
	// Hang waits until the call is cancelled.
	Hang Deed = "hang"
	// Crash ends the process before the call took effect, CrashAfter after.
	Crash      Deed = "crash"
	CrashAfter Deed = "crash_after"
	// Flood prints many megabytes before it answers.
	Flood Deed = "flood"
	// Dirty fails with a diagnostic full of control characters, Bare without
	// a diagnostic, Later with a wait of LaterSeconds.
	Dirty Deed = "dirty"
	Bare  Deed = "bare"
	Later Deed = "later"
	// NoAccess renews and answers without access.
	NoAccess Deed = "no_access"
	// Unsupported reports the last check as not supported, Missing leaves it
	// out.
	Unsupported Deed = "unsupported"
	Missing     Deed = "missing"
)

// LaterSeconds is the wait of [Later].
const LaterSeconds = 3

var trailer = []byte("\nconnector-probe folder:")

// Install makes a probe for a folder: a copy of the probe's binary at path.
func Install(binary, path, folder string) error {
	data, err := os.ReadFile(binary) //nolint:gosec // the suite names it
	if err != nil {
		return err
	}
	data = append(append(data, trailer...), folder...)
	return os.WriteFile(path, data, 0o700) //nolint:gosec // a program
}

// folder is that of the running probe.
func folder() (_ string, err error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path) //nolint:gosec // this program
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	const most = 8 << 10
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	tail := make([]byte, min(most, size))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return "", err
	}
	at := bytes.LastIndex(tail, trailer)
	if at < 0 {
		return "", errors.New("this probe belongs to no suite: connector-conformance host makes copies that do")
	}
	return string(tail[at+len(trailer):]), nil
}

// Write puts a script in place.
func (s *Script) Write(folder string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, scriptFile)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func readScript(folder string) (*Script, error) {
	data, err := os.ReadFile(filepath.Join(folder, scriptFile)) //nolint:gosec // the suite's
	if errors.Is(err, fs.ErrNotExist) {
		return &Script{}, nil
	}
	if err != nil {
		return nil, err
	}
	var s Script
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	return &s, nil
}

// rule is the one that a call meets.
func (s *Script) rule(call string, renew bool) Rule {
	for _, r := range s.Rules {
		if r.Call == call && (!r.Renew || renew) {
			return r
		}
	}
	return Rule{}
}
