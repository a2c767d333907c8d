package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// callFor bounds one request to the emulator.
	callFor = 15 * time.Second
	// endFor is how long the emulator may take to end.
	endFor = 10 * time.Second
	// maxBody bounds an answer.
	maxBody = 4 << 20
)

// errBoxsim says that the emulator didn't do its part.
var errBoxsim = errors.New("the emulator failed")

// boxsim is a running emulator.
type boxsim struct {
	BaseURL      string   `json:"base_url"`
	AuthorizeURL string   `json:"authorize_url"`
	ControlURL   string   `json:"control_url"`
	UploadURL    string   `json:"upload_url"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	ControlToken string   `json:"control_token"`
	RedirectURIs []string `json:"redirect_uris"`
	Users        []struct {
		Login      string          `json:"login"`
		Enterprise json.RawMessage `json:"enterprise"`
	} `json:"users"`

	client *http.Client
	stop   func() error
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// startBoxsim starts the emulator, which ends with its standard input and so
// can't outlive this process. Every sign-in is allowed at once.
func startBoxsim(ctx context.Context, binary string) (*boxsim, error) {
	cmd := exec.CommandContext(ctx, binary, "--listen", "localhost:0", "--json", "--auto-consent", "--exit-with-stdin")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stderr, cmd.WaitDelay = os.Stderr, endFor
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBoxsim, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBoxsim, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: it can't be started; `make build` at the root of the repository makes it: %w", errBoxsim, err)
	}
	sim := &boxsim{client: &http.Client{
		Timeout: callFor, Transport: &http.Transport{}, // no proxy: it is on this machine
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	sim.stop = func() error {
		sim.client.CloseIdleConnections()
		_ = stdin.Close()
		return cmd.Wait()
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, sim)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it didn't start: %w", errBoxsim, errors.Join(err, sim.stop()))
	}
	return sim, nil
}

// get calls an address with a token, or without if it is empty.
func (b *boxsim) get(ctx context.Context, address, token string) (*reply, error) {
	return b.send(ctx, http.MethodGet, address, token, "", nil)
}

// post sends a form.
func (b *boxsim) post(ctx context.Context, address string, form url.Values) (*reply, error) {
	return b.send(ctx, http.MethodPost, address, "", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// control calls the control API with a value, and reads the answer into out
// unless it is nil.
func (b *boxsim) control(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := b.send(ctx, method, b.ControlURL+path, b.ControlToken, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if !isSuccess(r.status) {
		return fmt.Errorf("%w: %s %s answered %d: %s", errBoxsim, method, path, r.status, r.body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(r.body, out)
}

func (b *boxsim) send(ctx context.Context, method, address, token, kind string, body io.Reader) (*reply, error) {
	headers := map[string]string{}
	if kind != "" {
		headers["Content-Type"] = kind
	}
	return b.request(ctx, method, address, token, headers, body)
}

func (b *boxsim) request(ctx context.Context, method, address, token string, headers map[string]string, body io.Reader) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBoxsim, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBoxsim, err)
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: data}, nil
}
