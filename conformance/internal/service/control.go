package service

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/boxconnection/connector/conformance/internal/peer"
)

// fault is a fault at work.
type fault struct{ peer.Fault }

// meet finds the fault for a request and counts it. The lock is held.
func (s *Service) meet(r *peer.Request) *fault {
	for _, f := range s.faults {
		if f.Times == 0 || (f.On != peer.Any && f.On != r.Kind) || (f.Grant != "" && f.Grant != r.Grant) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f
	}
	return nil
}

// pause holds and delays a request; it returns false if the client goes away.
func (f *fault) pause(r *http.Request, released <-chan struct{}) bool {
	if f.Hold {
		select {
		case <-released:
		case <-r.Context().Done():
			return false
		}
	}
	if f.DelayMS == 0 {
		return true
	}
	t := time.NewTimer(time.Duration(f.DelayMS) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// spoil gives an answer the fault's meaning.
func (f *fault) spoil(status int, answer any) (int, any) {
	fields, _ := answer.(map[string]any)
	switch {
	case f.Meaning == peer.ClientRejected:
		return refuse("invalid_client")
	case fields == nil:
	case f.Meaning == peer.UnusableAccess:
		fields["access_token"] = "no token\n"
	case f.Meaning == peer.NarrowWider:
		fields["scope"] = strings.Join(scopes, " ")
	case f.Meaning == peer.NotRenewable:
		delete(fields, "refresh_token")
	}
	return status, answer
}

func (s *Service) control(w http.ResponseWriter, r *http.Request) {
	if bearer(r) != s.ControlToken {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, err := s.command(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if answer == nil {
		answer = struct{}{}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *Service) command(r *http.Request) (any, error) {
	read := func(v any) error { return json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(v) }
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/control") {
	case "POST /consent":
		return s.consent(read)
	case "GET /requests":
		since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
		out := []peer.Request{}
		for _, q := range s.journal {
			if q.Seq > since {
				out = append(out, *q)
			}
		}
		return map[string]any{"requests": out, "last": s.last}, nil
	case "POST /faults":
		f := &fault{}
		if err := read(&f.Fault); err != nil {
			return nil, err
		}
		if f.Meaning == peer.ScopesUntold {
			s.untold = true
			return nil, nil
		}
		s.faults = append(s.faults, f)
	case "DELETE /faults":
		s.clearFaults()
	case "POST /lifetime":
		var in struct{ Seconds int64 }
		if err := read(&in); err != nil {
			return nil, err
		}
		s.life = time.Duration(in.Seconds) * time.Second
	case "POST /clock":
		var in struct {
			Seconds int64 `json:"advance_seconds"`
		}
		if err := read(&in); err != nil {
			return nil, err
		}
		s.offset += time.Duration(in.Seconds) * time.Second
	case "POST /expire":
		s.end(false)
	case "POST /rotate":
		s.end(true)
	case "POST /kill":
		s.end(false)
		s.end(true)
	case "GET /alive":
		var a peer.Alive
		for _, t := range s.tokens {
			switch {
			case t.dead:
			case t.renewal:
				a.Renewal++
			case s.now().Before(t.ends):
				a.Access++
			}
		}
		return a, nil
	case "POST /reset":
		s.reset()
	default:
		return nil, errUnknown
	}
	return nil, nil
}

type controlError string

func (e controlError) Error() string { return string(e) }

const (
	errUnknown = controlError("no such call")
	errURL     = controlError("the authorization URL can't be used")
)

func (s *Service) end(renewals bool) {
	for _, t := range s.tokens {
		t.dead = t.dead || t.renewal == renewals
	}
}

func (s *Service) consent(read func(any) error) (any, error) {
	var in struct{ URL, Decision, Person string }
	if err := read(&in); err != nil {
		return nil, err
	}
	u, err := url.Parse(in.URL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || redirect.Host == "" || q.Get("client_id") != s.ClientID || q.Get("response_type") != "code" {
		return nil, errURL
	}
	back := redirect.Query()
	back.Set("state", q.Get("state"))
	if in.Decision == "deny" {
		back.Set("error", "access_denied")
	} else {
		granted := scopes
		if asked := strings.Fields(q.Get("scope")); len(asked) > 0 {
			granted = asked
		}
		value := random()
		s.codes[value] = &code{
			person: in.Person, redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), scopes: granted, ends: s.now().Add(codeLifetime),
		}
		back.Set("code", value)
	}
	redirect.RawQuery = back.Encode()
	return map[string]string{"callback": redirect.String()}, nil
}
