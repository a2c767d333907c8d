package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
)

// startEmulator starts boxsim. It ends with its standard input, so it can't
// outlive the demo.
func (d *demo) startEmulator(ctx context.Context) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(d.folder, "boxsim"),
		"--listen", "localhost:0", "--json", "--auto-consent", "--exit-with-stdin", "--access-lifetime", accessLife.String())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = stdin.Close()
		_ = cmd.Wait() // it was told to end; how it did doesn't matter any more
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &d.box)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("the emulator didn't start: %w", err)
	}
	d.secrets = append(d.secrets, d.box.ClientSecret, d.box.ControlToken)
	d.say("The Box emulator serves at %s", d.box.APIURL)
	return stop, nil
}

// ctl runs connectorctl in the demo's home and returns what it printed on both
// outputs.
func (d *demo) ctl(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, stepFor)
	defer cancel()
	d.say("   $ connectorctl %s", strings.Join(args, " "))
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(d.folder, "connectorctl"), append([]string{"--home", d.home}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &out
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%w: %s", err, bytes.TrimSpace(out.Bytes()))
	}
	return out.Bytes(), nil
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return 0
}

// signIn runs the sign-in and goes the browser's way in its place: it opens
// the URL that connectorctl prints and follows the redirects, the last of
// which leads to the callback.
func (d *demo) signIn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepFor)
	defer cancel()
	args := []string{"--home", d.home, "--json", "connection", "sign-in", "demo", "--no-browser"}
	d.say("   $ connectorctl %s", strings.Join(args[3:], " "))
	cmd := exec.CommandContext(ctx, filepath.Join(d.folder, "connectorctl"), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	told, visited := d.followSignIn(ctx, stdout)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	if err := errors.Join(told, visited); err != nil {
		return err
	}
	return nil
}

// followSignIn reads the events of a sign-in and visits its URL.
func (d *demo) followSignIn(ctx context.Context, events io.Reader) (told, visited error) {
	var event struct {
		Event       string          `json:"event"`
		URL         string          `json:"url"`
		RedirectURI string          `json:"redirect_uri"`
		Account     json.RawMessage `json:"account"`
	}
	lines := json.NewDecoder(events)
	for {
		if err := lines.Decode(&event); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, visited
			}
			return err, visited
		}
		switch event.Event {
		case "url":
			d.say("   the redirect URI to register is %s", event.RedirectURI)
			visited = d.visit(ctx, event.URL)
		case "signed_in":
			d.say("   signed in as %s", event.Account)
		}
	}
}

// visit opens a page as a browser would.
func (d *demo) visit(ctx context.Context, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return err
	}
	if _, title, ok := bytes.Cut(page, []byte("<h1>")); ok {
		heading, _, _ := bytes.Cut(title, []byte("</h1>"))
		d.say("   the browser ends at a page that says: %s", heading)
	}
	return nil
}

// call makes an API request with access.
func (d *demo) call(ctx context.Context, a access, path string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Endpoints["api"]+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+a.Token)
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, body, err
}

// control steers the emulator.
func (d *demo) control(ctx context.Context, method, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, d.box.ControlURL+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.box.ControlToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the emulator's control API answered %d", resp.StatusCode)
	}
	return nil
}

// forms are the encodings in which a secret could have slipped out.
func forms(secret string) []string {
	quoted, _ := json.Marshal(secret) // a string can always be marshalled
	list := []string{
		secret, url.QueryEscape(secret),
		strings.Trim(string(quoted), `"`),
	}
	for shift := range 3 { // base64 looks different at each offset
		padded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
		if from, to := 4*((shift+2)/3), len(padded)-4; from < to {
			list = append(list, padded[from:to])
		}
	}
	return list
}
