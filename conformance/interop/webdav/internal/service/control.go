package service

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

// maxCommand bounds the body of a call of the control protocol.
const maxCommand = 1 << 20

// fault is what happens to requests.
type fault struct {
	On      string            `json:"on"`
	Grant   string            `json:"grant"`
	Times   int               `json:"times"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Drop    string            `json:"drop"`
	Hold    bool              `json:"hold"`
	DelayMS int               `json:"delay_ms"`
	Meaning string            `json:"meaning"`
}

// command runs a call of the control protocol. What is about sign-ins and
// renewals is answered and does nothing: there are none.
func (s *Service) command(w http.ResponseWriter, r *http.Request, path string) {
	if r.Header.Get("Authorization") != "Bearer "+s.Control {
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
	if err != nil {
		http.Error(w, "the body can't be read", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out any = struct{}{}
	switch r.Method + " " + path {
	case "GET /requests":
		since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64) // all, if it is none
		list := []*request{}
		for _, q := range s.requests {
			if q.Seq > since {
				list = append(list, q)
			}
		}
		out = map[string]any{"requests": list, "last": s.last}
	case "POST /faults":
		f := &fault{Times: 1}
		if json.Unmarshal(body, f) != nil {
			http.Error(w, "the body isn't a fault", http.StatusBadRequest)
			return
		}
		s.faults = append(s.faults, f)
	case "DELETE /faults":
		s.letGo()
	case "POST /reset":
		s.letGo()
		s.requests, s.changed = nil, false
	case "POST /expire", "POST /kill":
		s.changed = true // somebody gave the user another password
	case "GET /alive":
		out = map[string]int{"access": 0, "renewal": 0}
	case "POST /consent", "POST /lifetime", "POST /clock", "POST /rotate":
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // a caller that went away can't be told
}

func (s *Service) letGo() {
	s.faults = nil
	close(s.release)
	s.release = make(chan struct{})
}
