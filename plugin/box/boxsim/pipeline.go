package boxsim

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxBody bounds what is read of a request. Box's token requests are a
	// few hundred bytes, a JWT some thousand.
	maxBody = 256 << 10
	// maxNoted bounds what the journal keeps of a client's words.
	maxNoted = 256
	// slowSteps is the number of pieces of a slow body.
	slowSteps = 10
)

// call is one request on its way.
type call struct {
	r      *http.Request
	form   url.Values // of the body alone
	formOK bool       // the body was a form
	entry  Request
	tooBig bool
}

// note records a token's fingerprint.
func (c *call) note(name, token string) {
	if token == "" {
		return
	}
	if c.entry.Tokens == nil {
		c.entry.Tokens = map[string]string{}
	}
	c.entry.Tokens[name] = Fingerprint(token)
}

// newCall reads the request. The body is read to its end even if it isn't
// wanted, since only then does the server notice a client that goes away.
func newCall(w http.ResponseWriter, r *http.Request, now time.Time) *call {
	c := &call{r: r, form: url.Values{}, entry: Request{
		Time: now, Method: clip(r.Method), Path: clip(r.URL.Path), UserAgent: clip(r.UserAgent()), Stage: Arrived,
	}}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	c.tooBig = err != nil
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && kind == "application/x-www-form-urlencoded" && !c.tooBig {
		if form, err := url.ParseQuery(string(body)); err == nil {
			c.form, c.formOK = form, true
		}
	}
	c.entry.GrantType, c.entry.ClientID = clip(c.form.Get("grant_type")), clip(c.form.Get("client_id"))
	if c.entry.ClientID == "" && strings.HasSuffix(r.URL.Path, "/authorize") {
		c.entry.ClientID = clip(r.URL.Query().Get("client_id"))
	}
	for _, name := range []string{"refresh_token", "code", "token", "subject_token"} {
		c.note(name, c.form.Get(name))
	}
	if scheme, _, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		c.entry.AuthScheme = clip(scheme)
	}
	if token, ok := bearer(r); ok {
		c.note("access_token", token)
	}
	return c
}

func clip(text string) string {
	if len(text) > maxNoted {
		text = text[:maxNoted]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// serve carries a request through: read it, meet it with a fault, let it take
// effect, answer it.
func (s *Server) serve(rt route, w http.ResponseWriter, r *http.Request) {
	c := newCall(w, r, s.clock.now())
	s.journal.open(&c.entry)
	f := s.faults.meet(&c.entry)
	var then Action
	if f != nil {
		then = f.Then
		c.entry.Fault = f.ID
	}
	var a *answer
	if f != nil && then.When != AfterCommit {
		var goOn bool
		if a, goOn = s.strike(c, f, w); !goOn {
			return
		}
	}
	if a == nil {
		a = s.effect(rt, c)
		if f != nil && then.When == AfterCommit {
			spoilt, goOn := s.strike(c, f, w)
			if !goOn {
				return
			}
			if spoilt != nil {
				a = spoilt
			}
		}
	}
	// What was answered is written down before it is sent, so that a client
	// that has its answer finds the request in the journal.
	c.entry.Status = a.status
	c.entry.Dropped = then.Truncate
	s.finish(c)
	s.write(w, r, *a, then)
}

// strike lets a fault act. It returns an answer in place of the real one, if
// there is one, and whether the request goes on.
func (s *Server) strike(c *call, f *fault, w http.ResponseWriter) (*answer, bool) {
	if f.Then.Hold {
		c.entry.Stage = Held
		s.journal.set(&c.entry)
	}
	if !f.pause(c.r.Context()) {
		c.entry.ClientGone = true
		s.finish(c)
		return nil, false
	}
	if f.Then.Drop {
		c.entry.Dropped = true
		s.finish(c)
		s.drop(w)
		return nil, false
	}
	return f.replacement(), true
}

// effect runs the endpoint.
func (s *Server) effect(rt route, c *call) *answer {
	if c.tooBig {
		return &answer{status: http.StatusRequestEntityTooLarge, contentType: typeHTML, body: []byte("<html><body><h1>413 Request Entity Too Large</h1></body></html>\n")}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := rt.handle(s, c)
	c.entry.Committed = a.status < 400
	return &a
}

func (s *Server) finish(c *call) {
	c.entry.Stage = Done
	s.journal.set(&c.entry)
	s.log.Debug("request", "seq", c.entry.Seq, "method", c.entry.Method, "status", c.entry.Status,
		"dropped", c.entry.Dropped, "fault", c.entry.Fault)
}

// drop breaks the connection.
func (s *Server) drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// Not a connection that can be broken: HTTP/2, or a recorder.
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if err := conn.Close(); err != nil {
		s.log.Debug("closing a dropped connection", "error", err)
	}
}

// write sends an answer. Box sends its header names in lower case; net/http
// would make them canonical, so they are put into the map as they are.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer, then Action) {
	h := w.Header()
	h["Date"] = []string{s.clock.now().UTC().Format(http.TimeFormat)}
	h["box-request-id"] = []string{randomString(26, lowercase)}
	h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	if a.contentType != "" {
		h["Content-Type"] = []string{a.contentType}
	}
	for _, headers := range []map[string]string{a.header, then.Headers} {
		for name, value := range headers {
			h[wireName(name)] = []string{value}
		}
	}
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead {
		return
	}
	switch {
	case then.Truncate:
		s.send(w, a.body[:len(a.body)/2])
		s.drop(w)
	case then.SlowBody > 0 && len(a.body) > 0:
		s.drip(w, r, a.body, time.Duration(then.SlowBody))
	default:
		if _, err := io.Copy(w, bytes.NewReader(a.body)); err != nil {
			s.log.Debug("answering", "error", err)
		}
	}
}

// drip sends the body piece by piece.
func (s *Server) drip(w http.ResponseWriter, r *http.Request, body []byte, total time.Duration) {
	step := max(1, (len(body)+slowSteps-1)/slowSteps)
	for len(body) > 0 {
		n := min(step, len(body))
		if !rest(r.Context(), total/slowSteps) || !s.send(w, body[:n]) {
			return
		}
		body = body[n:]
	}
}

func (s *Server) send(w http.ResponseWriter, piece []byte) bool {
	if _, err := w.Write(piece); err != nil {
		return false
	}
	return http.NewResponseController(w).Flush() == nil
}

// wireName is a header's name as it is sent. Those that net/http looks at
// keep the form in which it does.
func wireName(name string) string {
	switch lower := strings.ToLower(name); lower {
	case "date", "content-type", "content-length", "connection", "transfer-encoding":
		return http.CanonicalHeaderKey(lower)
	default:
		return lower
	}
}
