//go:build unix

package launch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
)

// What prints before the handshake, isn't a plugin, ends or hangs at its start
// is a diagnostic that names the plugin, within the start time-out. The
// launcher's cleanup finds no folder left, and other plugins are unaffected.
func TestStartThatFails(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{StartTimeout: 2 * time.Second})
	other := load(t, l, "good")
	for mode, c := range map[string]struct {
		code connector.Code
		says string
	}{
		"line":       {connector.PluginHandshakeFailed, "starting up!"},
		"unfinished": {connector.PluginHandshakeFailed, "starting up without an end"},
		"megabyte":   {connector.PluginHandshakeFailed, "xxxxx"},
		"silent":     {connector.PluginHandshakeFailed, "2s"},
		"mute":       {connector.PluginHandshakeFailed, ""},
		"stops":      {connector.PluginHandshakeFailed, "2s"},
		"exits":      {connector.PluginHandshakeFailed, "exit status 0"},
		"panics":     {connector.PluginHandshakeFailed, "no way to start"},
		"cookie":     {connector.PluginHandshakeFailed, "exit status 1"},
		"v3":         {connector.PluginVersionUnsupported, "this program"},
		"v0":         {connector.PluginVersionUnsupported, "the plugin"},
		"stranger":   {connector.PluginHandshakeFailed, ""},
		"plain":      {connector.PluginHandshakeFailed, ""},
		"nocert":     {connector.PluginHandshakeFailed, "certificate"},
		"elsewhere":  {connector.PluginHandshakeFailed, "folder"},
		// An orphan in the group must not keep the start from ending.
		"parent+line": {connector.PluginHandshakeFailed, "starting up!"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p := load(t, l, mode)
			begin := time.Now()
			_, err := do(t.Context(), p, "echo x")
			d := wantCode(t, err, c.code)
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if !strings.Contains(d.Error(), p.Name()) || !strings.Contains(strings.ToLower(d.Error()), strings.ToLower(c.says)) {
				t.Errorf("%q doesn't name %q or say %q", d.Error(), p.Name(), c.says)
			}
			if got := must(t, other, "echo fine"); got != "fine" {
				t.Errorf("the other plugin says %q", got)
			}
		})
	}
}

// The highest common version is used.
func TestVersions(t *testing.T) {
	t.Parallel()
	for mode, c := range map[string]struct {
		host []int
		want int
	}{
		"good": {[]int{1}, 1}, "v1v2": {[]int{2}, 2}, "v1v2+good": {[]int{1, 2}, 2}, "v3": {[]int{1, 3}, 3},
	} {
		l := launcher(t, launch.Options{Versions: c.host})
		inc, err := load(t, l, mode).Incarnation(t.Context())
		if err != nil || inc.Version() != c.want {
			t.Errorf("%s: %v, %v", mode, inc, err)
		}
	}
	l := launcher(t, launch.Options{Versions: []int{2}})
	_, err := load(t, l, "good").Incarnation(t.Context())
	d := wantCode(t, err, connector.PluginVersionUnsupported)
	if !strings.Contains(d.Suggestion, "Update the plugin") || !strings.Contains(d.Detail, "version: 1") || !strings.Contains(d.Detail, "2") {
		t.Errorf("got %q", d.Error())
	}
}

func TestScriptWithoutItsInterpreter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := launcher(t, launch.Options{}).Load(t.Context(), path, launch.AnyDigest())
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, p.Ping(t.Context()), connector.PluginNotExecutable)
}

// A plugin that can't be started isn't tried for ever: after the limit the
// answer comes at once and says how long to wait and what happened last.
func TestRestartLimit(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{CrashLimit: 3, Backoff: time.Millisecond})
	p := load(t, l, "panics")
	for range 3 {
		wantCode(t, p.Ping(t.Context()), connector.PluginHandshakeFailed)
	}
	err := p.Ping(t.Context())
	d := wantCode(t, err, connector.PluginRestartLimit)
	if d.RetryAfter <= 50*time.Second || d.RetryAfter > time.Minute || d.Disposition != connector.Retry {
		t.Errorf("retry after %v, %s", d.RetryAfter, d.Disposition)
	}
	if !strings.Contains(d.Detail, "ended at its start") {
		t.Errorf("%q doesn't tell the last crash", d.Detail)
	}
}

// The folders that a plugin needs must be private, short enough and usable;
// blanks don't matter.
func TestRuntimeFolder(t *testing.T) {
	t.Parallel()
	base := shortDir(t)
	deep := func(n int) string {
		dir := filepath.Join(base, strings.Repeat("d", n-len(base)-1))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	blanks := filepath.Join(base, "a b  c")
	open := filepath.Join(base, "open")
	file := filepath.Join(base, "file")
	for _, dir := range []string{blanks, open} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{blanks, deep(54), deep(40)} {
		p := load(t, launcher(t, launch.Options{RuntimeDir: dir}), "good")
		if got := must(t, p, "echo x"); got != "x" {
			t.Errorf("%s: %q", dir, got)
		}
	}
	for name, c := range map[string]struct{ dir, says string }{
		"92":        {deep(92), "too long"},
		"120":       {deep(120), "too long"},
		"200":       {deep(200), "too long"},
		"missing":   {filepath.Join(base, "missing"), "no such file"},
		"file":      {file, "isn't a folder"},
		"open":      {open, "every user"},
		"separator": {filepath.Join(base, "a|b"), "characters"},
	} {
		_, err := launch.New(launch.Options{RuntimeDir: c.dir})
		d := wantCode(t, err, connector.StoreUnsuitable)
		if !strings.Contains(d.Detail, c.says) {
			t.Errorf("%s: %q doesn't say %q", name, d.Detail, c.says)
		}
	}
}

// With a temporary folder that can't be used, a private one elsewhere is.
func TestRuntimeFolderFallsBack(t *testing.T) {
	long := filepath.Join(shortDir(t), strings.Repeat("d", 200))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{long, filepath.Join(long, "missing"), "/dev/null"} {
		t.Setenv("TMPDIR", dir)
		l, err := launch.New(launch.Options{})
		if err != nil {
			t.Fatal(err)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(filepath.Dir(long), "fake-good")
		if _, err := os.Stat(path); err != nil {
			copyFile(t, self, path)
		}
		p, err := l.Load(t.Context(), path, launch.AnyDigest())
		if err == nil {
			_, err = do(t.Context(), p, "echo x")
		}
		if err != nil {
			t.Errorf("TMPDIR=%s: %v", dir, err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
