package probe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Event is what an entry of a journal tells.
type Event string

// The events.
const (
	Started  Event = "started"  // a process
	Called   Event = "called"   // a call came
	Issued   Event = "issued"   // a credential was made, and the one before it used up
	Answered Event = "answered" // a call is answered now
)

// Entry is one event. Of secrets it holds fingerprints only.
type Entry struct {
	Time  time.Time `json:"time"`
	PID   int       `json:"pid"`
	Event Event     `json:"event"`
	// Number tells the process's calls apart.
	Number uint64 `json:"number,omitempty"`
	Call   string `json:"call,omitempty"`

	// Left is how long the call may take, in milliseconds; negative without a
	// deadline.
	Left int64 `json:"left_ms,omitempty"`
	// Renew is allow_renew, RenewLeft how long a renewal may be begun, in
	// milliseconds; 0 without.
	Renew     bool  `json:"renew,omitempty"`
	RenewLeft int64 `json:"renew_left_ms,omitempty"`
	// Generation is that of the probe, of the credential or access that came
	// or was issued, Sum its fingerprint. HostGeneration is the host's, of
	// access.
	Generation     uint64 `json:"generation,omitempty"`
	Sum            string `json:"sum,omitempty"`
	HostGeneration uint64 `json:"host_generation,omitempty"`
	// Settings and Secret are fingerprints, Callback and State too.
	Settings string `json:"settings,omitempty"`
	Secret   string `json:"secret,omitempty"`
	Callback string `json:"callback,omitempty"`
	State    string `json:"state,omitempty"`
	// StateLength is in bytes.
	StateLength int `json:"state_length,omitempty"`
	// Outcome is the code of the diagnostic or gRPC that is answered.
	Outcome string `json:"outcome,omitempty"`

	// Of a start: the environment's names, and what is known of the folder of
	// the socket.
	Environment []string `json:"environment,omitempty"`
	SocketMode  uint32   `json:"socket_mode,omitempty"`
	SocketPath  int      `json:"socket_path,omitempty"`
}

// Journal is what probes of a folder wrote.
type Journal []Entry

// Read reads a folder's journal.
func Read(folder string) (Journal, error) {
	data, err := os.ReadFile(filepath.Join(folder, journalFile)) //nolint:gosec // the suite's
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var j Journal
	for line := range bytes.Lines(data) {
		var e Entry
		if json.Unmarshal(line, &e) == nil { // a probe may be killed while it writes
			j = append(j, e)
		}
	}
	return j, nil
}

// Calls are the calls of a name; all if it is empty.
func (j Journal) Calls(name string) Journal {
	return j.where(func(e *Entry) bool { return e.Event == Called && (name == "" || e.Call == name) })
}

// Renewals are the credentials that were issued by OpenSession.
func (j Journal) Renewals() Journal {
	return j.where(func(e *Entry) bool { return e.Event == Issued && e.Call == OpenSession })
}

// Starts are the starts of processes.
func (j Journal) Starts() Journal { return j.where(func(e *Entry) bool { return e.Event == Started }) }

func (j Journal) where(ok func(*Entry) bool) Journal {
	return slices.DeleteFunc(slices.Clone(j), func(e Entry) bool { return !ok(&e) })
}

// generation is the last that was issued.
func (j Journal) generation() (last uint64) {
	for i := range j {
		if j[i].Event == Issued {
			last = max(last, j[i].Generation)
		}
	}
	return last
}

// used reports whether a generation was used.
func (j Journal) used(generation uint64) bool {
	return slices.ContainsFunc(j, func(e Entry) bool { return e.Event == Called && e.Generation == generation })
}

// add writes an entry in one piece.
func add(folder string, e Entry) error {
	e.Time, e.PID = time.Now().UTC(), os.Getpid()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(folder, journalFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the suite's
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// Fingerprint is how secrets stand in a journal.
func Fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:8])
}

// environment lists the names of the environment.
func environment() (names []string) {
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
