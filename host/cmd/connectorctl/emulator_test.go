package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// emulator is a running boxsim, steered through its control API.
type emulator struct {
	AuthorizeURL string `json:"authorize_url"`
	TokenURL     string `json:"token_url"`
	RevokeURL    string `json:"revoke_url"`
	APIURL       string `json:"api_url"`
	UploadURL    string `json:"upload_url"`
	ControlURL   string `json:"control_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	ControlToken string `json:"control_token"`

	process *process
	client  *http.Client
	// settingsFile holds a connection's settings without the secret, which is
	// in secretFile.
	settingsFile, secretFile string
}

// boxsim starts an emulator, the world's from now on, and writes NAME.json and
// NAME.secret for connections to it.
func (w *world) boxsim(name string, args ...string) (*emulator, error) {
	p, err := w.start(command{program: "boxsim", args: append([]string{"--json", "--exit-with-stdin", "--auto-consent"}, args...)})
	if err != nil {
		return nil, err
	}
	line, err := p.line(`^(\{.*\})$`)
	if err != nil {
		return nil, err
	}
	e := &emulator{
		process: p, client: w.http,
		settingsFile: filepath.Join(w.dir, name+".json"), secretFile: filepath.Join(w.dir, name+".secret"),
	}
	if err := json.Unmarshal([]byte(line[0]), e); err != nil {
		return nil, err
	}
	settings, err := json.Marshal(map[string]string{
		"authorize_url": e.AuthorizeURL, "token_url": e.TokenURL, "revoke_url": e.RevokeURL, "api_url": e.APIURL, "upload_url": e.UploadURL,
		"client_id": e.ClientID,
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(e.settingsFile, settings, 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(e.secretFile, []byte(e.ClientSecret), 0o644); err != nil {
		return nil, err
	}
	w.box, w.boxes[name] = e, e
	return e, nil
}

// control calls the control API.
func (e *emulator) control(method, path, body string) ([]byte, error) {
	req, err := http.NewRequest(method, e.ControlURL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+e.ControlToken)
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("the control API answers %d to %s %s: %s", resp.StatusCode, method, path, answer)
	}
	return answer, err
}

// fault adds a fault and returns its ID.
func (e *emulator) fault(fault string) (string, error) {
	answer, err := e.control(http.MethodPost, "/faults", fault)
	if err != nil {
		return "", err
	}
	var added struct {
		ID string `json:"id"`
	}
	return added.ID, json.Unmarshal(answer, &added)
}

// request is a line of the emulator's journal.
type request struct {
	Time      time.Time         `json:"time"`
	Path      string            `json:"path"`
	GrantType string            `json:"grant_type"`
	ClientID  string            `json:"client_id"`
	Tokens    map[string]string `json:"tokens"`
	Stage     string            `json:"stage"`
	Status    int               `json:"status"`
}

// requests lists the requests that match a query, which is written as in a
// URL.
func (e *emulator) requests(query string) ([]request, error) {
	answer, err := e.control(http.MethodGet, "/requests?"+query, "")
	if err != nil {
		return nil, err
	}
	var list struct {
		Requests []request `json:"requests"`
	}
	return list.Requests, json.Unmarshal(answer, &list)
}

// await waits until n requests match a query.
func (e *emulator) await(query string, n int) error {
	q, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	q.Set("wait", "50s")
	q.Set("count", strconv.Itoa(n))
	list, err := e.requests(q.Encode())
	if err == nil && len(list) < n {
		err = fmt.Errorf("only %d requests match %s, want %d", len(list), query, n)
	}
	return err
}
