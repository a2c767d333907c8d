package boxsim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxControlBody is a fault's body and its JSON around it.
	maxControlBody = 8 << 20
	// maxWait bounds GET /_sim/requests.
	maxWait = time.Minute
)

// controlError is a refusal by the control API.
type controlError struct {
	status int
	err    error
}

func (e *controlError) Error() string { return e.err.Error() }

func badControl(err error) error { return &controlError{http.StatusBadRequest, err} }

func notFoundControl(what string) error {
	return &controlError{http.StatusNotFound, fmt.Errorf("no such %s", what)}
}

// controlRoute is an endpoint of the control API: it returns what is answered
// as JSON, nil meaning 204.
type controlRoute struct {
	pattern string
	handle  func(*Server, *http.Request) (any, error)
}

func controlRoutes() []controlRoute {
	return append(peerRoutes(), []controlRoute{
		{"GET /_sim/info", (*Server).ctlInfo},
		{"GET /_sim/state", func(s *Server, _ *http.Request) (any, error) { return s.State(), nil }},
		{"GET /_sim/requests", (*Server).ctlRequests},
		{"DELETE /_sim/requests", (*Server).ctlResetRequests},
		{"GET /_sim/faults", func(s *Server, _ *http.Request) (any, error) { return s.faults.all(), nil }},
		{"POST /_sim/faults", (*Server).ctlAddFault},
		{"DELETE /_sim/faults", (*Server).ctlClearFaults},
		{"DELETE /_sim/faults/{id}", (*Server).ctlRemoveFault},
		{"POST /_sim/faults/{id}/release", (*Server).ctlRelease},
		{"GET /_sim/knobs", (*Server).ctlKnobs},
		{"PATCH /_sim/knobs", (*Server).ctlSetKnobs},
		{"GET /_sim/clock", func(s *Server, _ *http.Request) (any, error) { return s.clock.read(), nil }},
		{"POST /_sim/clock", (*Server).ctlAdvance},
		{"POST /_sim/tokens/expire", (*Server).ctlExpire},
		{"POST /_sim/tokens/revoke", (*Server).ctlRevoke},
		{"POST /_sim/grants", (*Server).ctlSeed},
		{"GET /_sim/users", func(s *Server, _ *http.Request) (any, error) { return s.Users(), nil }},
		{"POST /_sim/users/{user}/deactivate", (*Server).ctlDeactivate},
		{"POST /_sim/users/{user}/activate", (*Server).ctlActivate},
		{"GET /_sim/catalogue", func(*Server, *http.Request) (any, error) { return Catalogue(), nil }},
		{"GET /_sim/evidence", func(*Server, *http.Request) (any, error) { return Evidence(), nil }},
	}...)
}

func (s *Server) routeControl() {
	for _, rt := range controlRoutes() {
		s.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.serveControl(w, r, rt.handle) })
	}
	s.mux.HandleFunc("/_sim/", func(w http.ResponseWriter, r *http.Request) {
		s.serveControl(w, r, func(*Server, *http.Request) (any, error) { return nil, notFoundControl("control call") })
	})
}

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request, handle func(*Server, *http.Request) (any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxControlBody)
	var v any
	err := error(&controlError{http.StatusUnauthorized, errors.New("the control token is missing or wrong")})
	if s.controls(r) {
		v, err = handle(s, r)
	}
	a := answer{status: http.StatusNoContent}
	var refused *controlError
	switch {
	case errors.As(err, &refused):
		a = jsonAnswer(refused.status, map[string]string{"error": refused.Error()})
	case err != nil:
		a = jsonAnswer(http.StatusInternalServerError, map[string]string{"error": "the emulator failed"})
	case v != nil:
		a = jsonAnswer(http.StatusOK, v)
	}
	if a.contentType != "" {
		w.Header().Set("Content-Type", a.contentType)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(a.status)
	if _, err := w.Write(a.body); err != nil && a.status != http.StatusNoContent {
		s.log.Debug("answering a control call", "error", err)
	}
}

// controls checks the control token in constant time.
func (s *Server) controls(r *http.Request) bool {
	token, ok := bearer(r)
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.controlToken))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && ok
}

// readControl reads a JSON body; fields that aren't known are refused.
func readControl(r *http.Request, v any) error { return decodeControl(r.Body, v) }

func decodeControl(body io.Reader, v any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badControl(fmt.Errorf("body: %w", err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badControl(errors.New("body: more than one JSON value"))
	}
	return nil
}

func (s *Server) ctlInfo(r *http.Request) (any, error) {
	base := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	return s.Info(base.String()), nil
}

// requestList is the answer of GET /_sim/requests.
type requestList struct {
	Requests []Request `json:"requests"`
	Last     int64     `json:"last"` // the highest number given so far
	Complete bool      `json:"complete"`
}

func (s *Server) ctlRequests(r *http.Request) (any, error) {
	p := r.URL.Query()
	for name := range p {
		switch name {
		case "since", "method", "path", "grant_type", "stage", "status", "wait", "count":
		default:
			return nil, badControl(fmt.Errorf("unknown parameter %q", name))
		}
	}
	q := RequestQuery{Method: p.Get("method"), Path: p.Get("path"), GrantType: p.Get("grant_type"), Stage: Stage(p.Get("stage"))}
	since, ok1 := number(p, "since", 0)
	status, ok2 := number(p, "status", 0)
	count, ok3 := number(p, "count", 1)
	if !ok1 || !ok2 || !ok3 {
		return nil, badControl(errors.New("since, status and count must be numbers"))
	}
	switch q.Stage {
	case "", Arrived, Held, Done:
	default:
		return nil, badControl(errors.New("stage must be arrived, held or done"))
	}
	q.Since, q.Status = int64(since), status
	if !p.Has("wait") {
		found, last, _ := s.journal.list(q)
		return requestList{Requests: found, Last: last, Complete: len(found) >= count}, nil
	}
	wait, err := time.ParseDuration(p.Get("wait"))
	if err != nil || wait < 0 {
		return nil, badControl(errors.New("wait must be a duration such as 5s"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(wait, maxWait))
	defer cancel()
	found, last := s.journal.wait(ctx, q, count)
	return requestList{Requests: found, Last: last, Complete: len(found) >= count}, nil
}

func (s *Server) ctlResetRequests(*http.Request) (any, error) {
	s.journal.reset()
	return nil, nil
}

func (s *Server) ctlAddFault(r *http.Request) (any, error) {
	var f Fault
	if err := readControl(r, &f); err != nil {
		return nil, err
	}
	f, err := s.faults.add(f)
	if err != nil {
		return nil, badControl(err)
	}
	return f, nil
}

func (s *Server) ctlClearFaults(*http.Request) (any, error) {
	s.faults.release("", true)
	return nil, nil
}

func (s *Server) ctlRemoveFault(r *http.Request) (any, error) {
	if !s.faults.release(r.PathValue("id"), true) {
		return nil, notFoundControl("fault")
	}
	return nil, nil
}

func (s *Server) ctlRelease(r *http.Request) (any, error) {
	if !s.faults.release(r.PathValue("id"), false) {
		return nil, notFoundControl("fault")
	}
	return nil, nil
}

func (s *Server) ctlKnobs(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knobs, nil
}

// ctlSetKnobs changes the knobs that the body names.
func (s *Server) ctlSetKnobs(r *http.Request) (any, error) {
	var body json.RawMessage // read to its end before the lock is taken
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.knobs
	if err := decodeControl(bytes.NewReader(body), &k); err != nil {
		return nil, err
	}
	if err := k.validate(); err != nil {
		return nil, badControl(err)
	}
	s.knobs = k
	return k, nil
}

func (s *Server) ctlAdvance(r *http.Request) (any, error) {
	var in struct {
		Advance Duration `json:"advance"`
	}
	if err := readControl(r, &in); err != nil {
		return nil, err
	}
	if err := s.clock.advance(time.Duration(in.Advance)); err != nil {
		return nil, badControl(err)
	}
	return s.clock.read(), nil
}

func (s *Server) ctlExpire(r *http.Request) (any, error) { return s.ctlEnd(r, endExpire) }

func (s *Server) ctlRevoke(r *http.Request) (any, error) { return s.ctlEnd(r, endRevoke) }

// tokenChoice names tokens: one by its value or fingerprint, or all of a user.
type tokenChoice struct {
	Token string `json:"token,omitempty"`
	User  string `json:"user,omitempty"`
}

func (s *Server) ctlEnd(r *http.Request, how end) (any, error) {
	var in tokenChoice
	if err := readControl(r, &in); err != nil {
		return nil, err
	}
	var chosen func(string, *grant) bool
	switch {
	case (in.Token == "") == (in.User == ""):
		return nil, badControl(errors.New("name either a token, by value or fingerprint, or a user"))
	case in.Token != "":
		chosen = func(value string, _ *grant) bool { return value == in.Token || Fingerprint(value) == in.Token }
	default:
		chosen = func(_ string, g *grant) bool { return g.user.ID == in.User || g.user.Login == in.User }
	}
	return map[string]int{"ended": s.endTokens(how, chosen)}, nil
}

func (s *Server) ctlDeactivate(r *http.Request) (any, error) {
	return s.ctlSetDeactivated(r.PathValue("user"), true)
}

func (s *Server) ctlActivate(r *http.Request) (any, error) {
	return s.ctlSetDeactivated(r.PathValue("user"), false)
}

func (s *Server) ctlSetDeactivated(key string, off bool) (any, error) {
	u, ok := s.setDeactivated(key, off)
	if !ok {
		return nil, notFoundControl("user")
	}
	return u, nil
}

// ControlEndpoints lists the endpoints of the control API.
func ControlEndpoints() []string {
	var out []string
	for _, rt := range controlRoutes() {
		out = append(out, rt.pattern)
	}
	return out
}

// query writes a RequestQuery as parameters.
func (q RequestQuery) query() url.Values {
	p := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "0" {
			p.Set(name, value)
		}
	}
	set("since", strconv.FormatInt(q.Since, 10))
	set("method", q.Method)
	set("path", q.Path)
	set("grant_type", q.GrantType)
	set("stage", string(q.Stage))
	set("status", strconv.Itoa(q.Status))
	return p
}
