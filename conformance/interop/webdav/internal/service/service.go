// Package service is a WebDAV server behind a user and a password (RFC 7617),
// and the control protocol by which a suite has it fail (PEER.md there).
package service

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/webdav"
)

// Service is the server. It serves one folder, /team/, which is in memory.
type Service struct {
	// User and Password may use it; Control is the control protocol's token.
	User, Password, Control string

	files *webdav.Handler

	mu       sync.Mutex
	requests []*request
	last     int64
	faults   []*fault
	release  chan struct{} // closed when held requests may go on
	changed  bool          // the password is another one now
}

// request is one that was seen, as the protocol tells it.
type request struct {
	Seq         int64    `json:"seq"`
	Kind        string   `json:"kind"`
	Grant       string   `json:"grant"`
	Status      int      `json:"status"`
	Succeeded   bool     `json:"succeeded"`
	Done        bool     `json:"done"`
	Gone        bool     `json:"gone"`
	Presented   []string `json:"presented"`
	Issued      []string `json:"issued"`
	RedirectURI string   `json:"redirect_uri"`
}

// New returns a service with a password of its own.
func New() *Service {
	return &Service{
		User: "ada", Password: rand.Text(), Control: rand.Text(), release: make(chan struct{}),
		files: &webdav.Handler{FileSystem: webdav.NewMemFS(), LockSystem: webdav.NewMemLS()},
	}
}

// ServeHTTP serves files and the control protocol.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, ok := strings.CutPrefix(r.URL.Path, "/_control"); ok {
		s.command(w, r, path)
		return
	}
	entry, f, release := s.enter(r)
	answer := &answer{ResponseWriter: w}
	defer func() {
		gone := r.Context().Err() != nil
		s.mu.Lock()
		defer s.mu.Unlock()
		entry.Done, entry.Gone, entry.Status = true, gone, answer.status
	}()
	if f.Hold {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	if f.DelayMS > 0 {
		wait := time.NewTimer(time.Duration(f.DelayMS) * time.Millisecond)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
		}
	}
	switch {
	case f.Drop == "before":
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		for name, value := range f.Headers {
			w.Header().Set(name, value)
		}
		answer.WriteHeader(f.Status)
		_, _ = answer.Write([]byte(f.Body))
		return
	}
	took := s.serve(answer, r, f.Meaning == "client_rejected")
	s.mu.Lock()
	entry.Succeeded = took
	s.mu.Unlock()
	if f.Drop == "after" {
		panic(http.ErrAbortHandler)
	}
}

// serve answers a request, and reports whether it was let in.
func (s *Service) serve(w *answer, r *http.Request, refuse bool) bool {
	s.mu.Lock()
	refuse = refuse || s.changed
	s.mu.Unlock()
	user, password, ok := r.BasicAuth()
	if !ok || refuse || user != s.User || password != s.Password {
		w.Header().Set("WWW-Authenticate", `Basic realm="files", charset="UTF-8"`)
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return false
	}
	// The folder is there from the first request on.
	_ = s.files.FileSystem.Mkdir(r.Context(), "/team", 0o700) // it may be there
	s.files.ServeHTTP(w, r)
	return w.status < http.StatusBadRequest
}

// enter lists a request, and takes the fault that meets it.
func (s *Service) enter(r *http.Request) (*request, fault, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	entry := &request{Seq: s.last, Kind: "api", Presented: []string{}, Issued: []string{}}
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		sum := sha256.Sum256([]byte(token))
		entry.Presented = append(entry.Presented, hex.EncodeToString(sum[:8]))
	}
	s.requests = append(s.requests, entry)
	for i, f := range s.faults {
		if f.On != "any" && f.On != entry.Kind || f.Grant != "" {
			continue
		}
		met := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		return entry, met, s.release
	}
	return entry, fault{}, s.release
}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}
