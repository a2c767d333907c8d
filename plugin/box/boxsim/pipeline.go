package boxsim

import (
	"bytes"
	"cmp"
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
	body   []byte     // unless the route receives content
	token  *accessToken
	in     *intake // if the route receives content
	// What a route has received: an upload, a part, or what a commit is about.
	arrival *arrival
	entry   Request
	tooBig  bool
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

// newCall looks at the request, and reads its body unless that is content.
func newCall(w http.ResponseWriter, r *http.Request, now time.Time, content bool) *call {
	c := &call{r: r, form: url.Values{}, entry: Request{
		Time: now, Method: clip(r.Method), Path: clip(r.URL.Path), UserAgent: clip(r.UserAgent()), Stage: Arrived,
		Range: clip(cmp.Or(r.Header.Get("Content-Range"), r.Header.Get("Range"))),
	}}
	if !content {
		c.readBody(w)
	}
	c.entry.GrantType, c.entry.ClientID = clip(c.form.Get("grant_type")), clip(c.form.Get("client_id"))
	c.entry.RedirectURI = clip(c.form.Get("redirect_uri"))
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

// readBody reads the body to its end even if it isn't wanted, since only then
// does the server notice a client that goes away.
func (c *call) readBody(w http.ResponseWriter) {
	body, err := io.ReadAll(http.MaxBytesReader(w, c.r.Body, maxBody))
	c.tooBig = err != nil
	c.body = body
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err == nil && kind == "application/x-www-form-urlencoded" && !c.tooBig {
		if form, err := url.ParseQuery(string(body)); err == nil {
			c.form, c.formOK = form, true
		}
	}
	// The rest of the call may take longer than the reading of a request.
	extend(http.NewResponseController(w).SetReadDeadline, writeTimeout)
}

func clip(text string) string {
	if len(text) > maxNoted {
		text = text[:maxNoted]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// serve carries a request through: look at it, meet it with a fault, take its
// content, let it take effect, answer it.
func (s *Server) serve(rt route, w http.ResponseWriter, r *http.Request) {
	c := newCall(w, r, s.clock.now(), rt.receive != nil)
	s.journal.open(&c.entry)
	f := s.faults.meet(&c.entry)
	var then Action
	if f != nil {
		then = f.Then
		c.entry.Fault = f.ID
	}
	if rt.receive != nil {
		c.in = &intake{s: s, c: c, w: w, body: r.Body}
		extend(http.NewResponseController(w).SetReadDeadline, writeTimeout)
	}
	// A fault in the middle acts on the content of an upload, or else on the
	// answer's body.
	midway := then.AfterBytes > 0
	var a *answer
	switch {
	case f == nil || then.When == AfterCommit:
	case midway && c.in != nil:
		c.in.fault = f
	case !midway:
		var goOn bool
		if a, goOn = s.strike(c, f); !goOn {
			s.cut(c, w)
			return
		}
	}
	if a == nil {
		var goOn bool
		if a, goOn = s.receive(rt, c); !goOn {
			return
		}
	}
	if a == nil {
		a = s.effect(rt, c)
		if f != nil && then.When == AfterCommit && !midway {
			spoilt, goOn := s.strike(c, f)
			if !goOn {
				a.discard()
				s.cut(c, w)
				return
			}
			if spoilt != nil {
				a.discard()
				a = spoilt
			}
		}
	}
	if c.in != nil {
		c.in.drain()
		extend(http.NewResponseController(w).SetReadDeadline, writeTimeout)
		if then.When != AfterCommit {
			f, then.AfterBytes = nil, 0
		}
	}
	c.entry.Status = a.status
	c.entry.Dropped = then.Truncate
	// What was answered is written down before it is sent, so that a client
	// that has its answer finds the request in the journal. How far a file came
	// is known afterwards.
	wait := then.AfterBytes > 0 || a.file != nil
	if wait {
		s.journal.set(&c.entry)
	} else {
		s.finish(c)
	}
	s.write(c, w, *a, f, then)
	a.discard()
	if wait {
		s.finish(c)
	}
}

// receive takes the content of an upload. It returns the refusal, if there is
// one, and whether the request goes on.
func (s *Server) receive(rt route, c *call) (*answer, bool) {
	if rt.receive == nil {
		return nil, true
	}
	a, err := rt.receive(s, c)
	if err == nil {
		return a, true
	}
	if c.in.spoil != nil {
		return c.in.spoil, true
	}
	s.cut(c, c.in.w) // the body isn't whole, so that there is nothing to answer
	return nil, false
}

// cut ends a call without an answer. Content that was taken has been given
// back by then.
func (s *Server) cut(c *call, w http.ResponseWriter) {
	s.finish(c)
	if c.entry.Dropped || c.in != nil {
		s.drop(w)
	}
}

// strike lets a fault act. It returns an answer in place of the real one, if
// there is one, and whether the request goes on.
func (s *Server) strike(c *call, f *fault) (*answer, bool) {
	if f.Then.Hold {
		c.entry.Stage = Held
		s.journal.set(&c.entry)
	}
	if f.Then.ExpireToken {
		s.expirePresented(c)
	}
	if !f.pause(c.r.Context()) {
		c.entry.ClientGone = true
		return nil, false
	}
	if f.Then.Drop {
		c.entry.Dropped = true
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
func (s *Server) write(c *call, w http.ResponseWriter, a answer, f *fault, then Action) {
	out := outgoing{s: s, w: w, c: c, from: bytes.NewReader(a.body), size: int64(len(a.body))}
	if a.file != nil {
		out.from, out.size = a.file, a.file.left
	}
	h := w.Header()
	h["Date"] = []string{s.clock.now().UTC().Format(http.TimeFormat)}
	h["box-request-id"] = []string{randomString(26, lowercase)}
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		h["Content-Length"] = []string{strconv.FormatInt(out.size, 10)}
	}
	if a.contentType != "" {
		h["Content-Type"] = []string{a.contentType}
	}
	for _, headers := range []map[string]string{a.header, then.Headers} {
		for name, value := range headers {
			h[wireName(name)] = []string{value}
		}
	}
	w.WriteHeader(a.status)
	if c.r.Method != http.MethodHead {
		out.all(f, then)
	}
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
