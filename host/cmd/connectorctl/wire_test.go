package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
)

// wire stands between the connector and the emulator. It knows each secret that
// passes, and can answer as a careless service or a proxy would: with the
// secrets of the request in the answer.
type wire struct {
	server *httptest.Server
	vault  *vault
	client *http.Client

	mu    sync.Mutex
	fault *wireFault
}

// wireFault spoils the answers to requests whose path begins with a prefix.
type wireFault struct {
	path  string
	times int
	spoil func(w http.ResponseWriter, secrets []string, answer []byte)
}

// startWire starts a wire to the world's emulator, and points the connections
// that are created from now on to it.
func (w *world) startWire(v *vault) *wire {
	x := &wire{vault: v, client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	target := w.box.APIURL[:strings.LastIndex(w.box.APIURL, "/")]
	x.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { x.pass(rw, r, target) }))
	w.onClose(func() {
		x.server.CloseClientConnections()
		x.server.Close()
	})
	return x
}

// settings are those of a connection that goes over the wire.
func (x *wire) settings(e *emulator) []string {
	at := func(original string) string {
		u, _ := url.Parse(original) // the emulator's own
		return x.server.URL + u.Path
	}
	return []string{
		"--set", "token_url=" + at(e.TokenURL), "--set", "revoke_url=" + at(e.RevokeURL), "--set", "api_url=" + at(e.APIURL),
	}
}

// spoil lets the next answers to a path be spoilt; nil lets all pass.
func (x *wire) spoil(f *wireFault) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fault = f
}

// faultFor is the fault for a request; one that holds no secret has nothing to
// leak.
func (x *wire) faultFor(path string, secrets []string) *wireFault {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.fault
	if f == nil || f.times == 0 || len(secrets) == 0 || !strings.HasPrefix(path, f.path) {
		return nil
	}
	f.times--
	return f
}

func (x *wire) pass(w http.ResponseWriter, r *http.Request, target string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPage))
	if err != nil {
		return
	}
	secrets := x.learnRequest(r, body)
	out, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return
	}
	out.Header = r.Header.Clone()
	resp, err := x.client.Do(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return
	}
	secrets = append(secrets, x.learnAnswer(answer)...)
	if f := x.faultFor(r.URL.Path, secrets); f != nil {
		f.spoil(w, secrets, answer)
		return
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer) // who went away misses it
}

// learnRequest keeps what a request shows that nobody else may see.
func (x *wire) learnRequest(r *http.Request, body []byte) (secrets []string) {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		x.vault.keep("access token", bearer)
		secrets = append(secrets, bearer)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return secrets
	}
	for name, what := range map[string]string{
		"client_secret": "client secret", "code": "code", "code_verifier": "PKCE verifier",
		"refresh_token": "refresh token", "token": "token to revoke",
	} {
		if value := form.Get(name); value != "" {
			x.vault.keep(what, value)
			secrets = append(secrets, value)
		}
	}
	return secrets
}

func (x *wire) learnAnswer(answer []byte) (secrets []string) {
	var pair struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(answer, &pair) != nil || pair.Access == "" {
		return nil
	}
	x.vault.keep("access token", pair.Access)
	x.vault.keep("refresh token", pair.Refresh)
	return []string{pair.Access, pair.Refresh}
}

// carelessAnswers are the ways in which services and proxies put what they got
// into what they answer.
func carelessAnswers() map[string]func(w http.ResponseWriter, secrets []string, answer []byte) {
	write := func(w http.ResponseWriter, contentType string, status int, body string) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Retry-After", "3600") // no second try within the command
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // who went away misses it
	}
	object := func(fields map[string]string) string {
		data, _ := json.Marshal(fields) // strings can always be marshalled
		return string(data)
	}
	return map[string]func(w http.ResponseWriter, secrets []string, answer []byte){
		"plain text": func(w http.ResponseWriter, secrets []string, _ []byte) {
			write(w, "text/plain", 400, "bad request: "+strings.Join(secrets, " "))
		},
		"OAuth description": func(w http.ResponseWriter, secrets []string, _ []byte) {
			write(w, "application/json", 400, object(map[string]string{
				"error": "invalid_request", "error_description": "no: " + strings.Join(secrets, " "), "error_uri": "https://x/?" + secrets[0],
			}))
		},
		"OAuth error": func(w http.ResponseWriter, secrets []string, _ []byte) {
			write(w, "application/json", 400, object(map[string]string{"error": secrets[len(secrets)-1], "error_description": secrets[0]}))
		},
		"API error": func(w http.ResponseWriter, secrets []string, _ []byte) {
			write(w, "application/json", 403, object(map[string]string{
				"type": "error", "code": secrets[0], "message": "no: " + strings.Join(secrets, " "), "request_id": secrets[0],
			}))
		},
		"page": func(w http.ResponseWriter, secrets []string, _ []byte) {
			write(w, "text/html", 502, "<html><title>"+secrets[0]+"</title><pre>"+strings.Join(secrets, "\n")+"</pre></html>")
		},
		"broken JSON": func(w http.ResponseWriter, _ []string, answer []byte) {
			write(w, "application/json", 200, strings.TrimSuffix(string(answer), "}"))
		},
		"wrong types": func(w http.ResponseWriter, secrets []string, _ []byte) {
			write(w, "application/json", 200, fmt.Sprintf(`{"access_token":[%q],"refresh_token":{"a":%[1]q},"expires_in":%[1]q,"token_type":%[1]q}`, secrets[0]))
		},
		"redirect": func(w http.ResponseWriter, secrets []string, _ []byte) {
			w.Header().Set("Location", "https://elsewhere.invalid/"+url.PathEscape(secrets[0])+"?t="+url.QueryEscape(secrets[0]))
			write(w, "text/html", 307, "moved")
		},
		"challenge": func(w http.ResponseWriter, secrets []string, _ []byte) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q, error="invalid_token", error_description=%q`, secrets[0], strings.Join(secrets, " ")))
			write(w, "text/plain", 401, "")
		},
		"odd headers": func(w http.ResponseWriter, secrets []string, _ []byte) {
			w.Header().Set("Box-Request-Id", secrets[0])
			w.Header().Set("X-Debug", secrets[0])
			w.Header().Set("Date", secrets[0])
			write(w, "application/json; charset="+secrets[0], 418, `{}`)
		},
		"not HTTP": func(w http.ResponseWriter, secrets []string, _ []byte) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, strings.Join(secrets, " ")+"\r\n\r\n") // who went away misses it
			_ = conn.Close()
		},
	}
}
