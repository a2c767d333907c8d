// Package demo runs the main job as a person and an engine would: it starts
// the built binaries and reads what they print. It imports nothing of the
// project.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// runFor bounds the whole run, stepFor a single command.
	runFor  = 2 * time.Minute
	stepFor = 30 * time.Second

	// accessLife is how long the emulator's access tokens last. It is short so
	// that a renewal can be seen.
	accessLife = 20 * time.Second

	// maxBody bounds an answer of the API.
	maxBody = 64 << 10
)

// emulator is what boxsim prints when it starts.
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
}

// access is what connectorctl access prints.
type access struct {
	Token      string            `json:"access_token"`
	IssuedAt   time.Time         `json:"issued_at"`
	Endpoints  map[string]string `json:"endpoints"`
	Generation uint64            `json:"generation"`
}

// demo is one run.
type demo struct {
	folder string // of the binaries
	home   string
	out    io.Writer
	box    emulator
	client *http.Client

	// printed is all that the person has seen, and secrets what they must not
	// have seen.
	printed bytes.Buffer
	secrets []string
}

// Run runs the demo with the binaries in folder and tells each step on out. An
// error says which step failed.
func Run(ctx context.Context, folder string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, runFor)
	defer cancel()
	home, err := os.MkdirTemp("", "demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	d := &demo{folder: folder, home: home, client: &http.Client{Timeout: stepFor}}
	d.out = io.MultiWriter(out, &d.printed)
	began := time.Now()
	stop, err := d.startEmulator(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, s := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Describe the connector", d.describe},
		{"Validate settings: a mistake is found, and named", d.validateWrong},
		{"Validate settings: these are right", d.validateRight},
		{"Save a connection", d.create},
		{"Sign in through the browser's way, with consent given by the emulator", d.signIn},
		{"Test the connection", d.test},
		{"Open a session and use it", d.use},
		{"The service ends the token: the refusal is reported, and the token renewed once", d.renew},
		{"Pair the connection with the Box operations", d.pair},
		{"Work on folders and files with the Box operations", d.work},
		{"See which access the operations had", d.narrowed},
		{"Look at the audit", d.audit},
		{"Delete the connection and take its grant back", d.delete},
		{"Look for secrets in all that was printed and in the audit", d.scan},
	} {
		stepBegan := time.Now()
		d.say("== %s", s.title)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("at the step %q: %w", s.title, err)
		}
		d.say("   done in %s", time.Since(stepBegan).Round(time.Millisecond))
	}
	d.say("All steps passed in %s.", time.Since(began).Round(time.Millisecond))
	return nil
}

func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format+"\n", args...) }

// show prints what a command printed, behind a margin.
func (d *demo) show(text []byte) {
	for line := range strings.Lines(strings.TrimRight(string(text), "\n")) {
		d.say("   | %s", strings.TrimRight(line, "\n"))
	}
}

func (d *demo) describe(ctx context.Context) error {
	out, err := d.ctl(ctx, nil, "plugin", "describe", "box-connection")
	d.show(out)
	return err
}

func (d *demo) validateWrong(ctx context.Context) error {
	out, err := d.ctl(ctx, nil, "plugin", "validate", "box-connection", "--set", "clientid=oops", "--set", "api_url=ftp://box")
	d.show(out)
	if code := exitCode(err); code != 10 {
		return fmt.Errorf("exit code %d, want 10 for settings to fix", code)
	}
	return nil
}

func (d *demo) validateRight(ctx context.Context) error {
	out, err := d.ctl(ctx, d.secret(), append([]string{"plugin", "validate", "box-connection"}, d.settings()...)...)
	d.show(out)
	return err
}

func (d *demo) create(ctx context.Context) error {
	out, err := d.ctl(ctx, d.secret(), append([]string{"connection", "create", "demo"}, d.settings()...)...)
	d.show(out)
	return err
}

// settings are those of the emulator; the secret comes from standard input.
func (d *demo) settings() []string {
	return []string{
		"--set", "authorize_url=" + d.box.AuthorizeURL, "--set", "token_url=" + d.box.TokenURL,
		"--set", "revoke_url=" + d.box.RevokeURL, "--set", "api_url=" + d.box.APIURL, "--set", "upload_url=" + d.box.UploadURL,
		"--set", "client_id=" + d.box.ClientID, "--secret", "client_secret=@-",
	}
}

func (d *demo) secret() io.Reader { return strings.NewReader(d.box.ClientSecret + "\n") }

func (d *demo) test(ctx context.Context) error {
	out, err := d.ctl(ctx, nil, "connection", "test", "demo")
	d.show(out)
	return err
}

func (d *demo) audit(ctx context.Context) error {
	out, err := d.ctl(ctx, nil, "audit")
	d.show(out)
	return err
}

func (d *demo) delete(ctx context.Context) error {
	out, err := d.ctl(ctx, nil, "connection", "delete", "demo", "--yes")
	d.show(out)
	if err != nil {
		return err
	}
	a := access{Token: d.secrets[len(d.secrets)-1], Endpoints: map[string]string{"api": d.box.APIURL}}
	status, _, err := d.call(ctx, a, "/users/me")
	if err != nil {
		return err
	}
	d.say("   the service answers the deleted connection's token with %d", status)
	if status != http.StatusUnauthorized {
		return fmt.Errorf("the token still works")
	}
	return nil
}

// scan looks for the secrets of the run in all that a person has seen and in
// the audit.
func (d *demo) scan(context.Context) error {
	kept, err := os.ReadFile(filepath.Join(d.home, "audit.jsonl"))
	if err != nil {
		return err
	}
	for _, s := range d.secrets {
		for _, form := range forms(s) {
			if bytes.Contains(d.printed.Bytes(), []byte(form)) || bytes.Contains(kept, []byte(form)) {
				return errors.New("a secret was printed")
			}
		}
	}
	d.say("   %d secrets (client secret, tokens, control token), in four encodings each: no secret was printed", len(d.secrets))
	return nil
}

// access asks connectorctl for access, as an engine in any language would.
func (d *demo) access(ctx context.Context, args ...string) (access, error) {
	var a access
	out, err := d.ctl(ctx, nil, append([]string{"--json", "access", "demo"}, args...)...)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(out, &a); err != nil {
		return a, err
	}
	d.secrets = append(d.secrets, a.Token)
	return a, nil
}

func (d *demo) use(ctx context.Context) error {
	a, err := d.access(ctx)
	if err != nil {
		return err
	}
	return d.callAll(ctx, a)
}

// callAll makes API calls with access and shows the answers.
func (d *demo) callAll(ctx context.Context, a access) error {
	for _, path := range []string{"/users/me?fields=id,name,login", "/folders/0/items?limit=3&fields=id,type,name"} {
		status, body, err := d.call(ctx, a, path)
		if err != nil {
			return err
		}
		d.say("   GET %s: %d", path, status)
		d.show(body)
		if status != http.StatusOK {
			return fmt.Errorf("the API answered %d", status)
		}
	}
	return nil
}

// renew lets the service end the access token before its time, as it does when
// somebody changes a password, and asks for another.
func (d *demo) renew(ctx context.Context) error {
	before, err := d.access(ctx)
	if err != nil {
		return err
	}
	if err := d.control(ctx, http.MethodPost, "/tokens/expire", map[string]string{"token": before.Token}); err != nil {
		return err
	}
	status, _, err := d.call(ctx, before, "/users/me")
	if err != nil {
		return err
	}
	d.say("   the API now answers %d to generation %d", status, before.Generation)
	if status != http.StatusUnauthorized {
		return errors.New("the emulator still takes the token")
	}
	// A host doesn't renew what it got a moment ago: not within a quarter of
	// the token's life.
	if err := wait(ctx, time.Until(before.IssuedAt.Add(accessLife/4+time.Second))); err != nil {
		return err
	}
	after, err := d.access(ctx, "--refused", fmt.Sprint(before.Generation))
	if err != nil {
		return err
	}
	d.say("   renewed: generation %d", after.Generation)
	if after.Generation != before.Generation+1 || after.Token == before.Token {
		return errors.New("that was no renewal")
	}
	return d.callAll(ctx, after)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
