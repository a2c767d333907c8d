//go:build unix

package launch_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
)

// A path that leads to something else than a program is told as what it is:
// an archive or a folder in the binary's place, a file without its bit.
func TestLoadSaysWhatThePathLeadsTo(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{})
	dir := t.TempDir()
	write := func(name string, content []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	loop := filepath.Join(dir, "loop")
	for link, target := range map[string]string{dangling: "nowhere", loop: "loop"} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(fake(t, "good"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, says string }{
		"no path":         {"", "no path"},
		"absent":          {filepath.Join(dir, "absent"), "no such file"},
		"folder":          {dir, "folder"},
		"named pipe":      {fifo, "regular"},
		"empty":           {write("empty", nil, 0o700), "empty"},
		"text":            {write("text", []byte("hello\n"), 0o700), "isn't a program"},
		"not executable":  {write("plain", program, 0o600), "executable"},
		"dangling link":   {dangling, "no such file"},
		"circular link":   {loop, ""},
		"zip":             {write("a.zip", zipped(t, program), 0o700), "zip"},
		"gzip":            {write("a.gz", gzipped(t, program), 0o600), "gzip"},
		"tar":             {write("a.tar", tarred(t, program), 0o700), "tar"},
		"Windows program": {write("w.exe", []byte("MZ\x90\x00rest"), 0o700), "Windows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := l.Load(t.Context(), c.path, launch.AnyDigest())
			if d := wantCode(t, err, connector.PluginNotExecutable); !strings.Contains(d.Summary, c.says) {
				t.Errorf("%q doesn't say %q", d.Summary, c.says)
			}
		})
	}
}

func TestLoadResolvesLinksAndKeepsTheName(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{})
	target := fake(t, "good")
	link := filepath.Join(t.TempDir(), "fake-v1v2")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	p, err := l.Load(t.Context(), link, launch.AnyDigest())
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != "fake-v1v2" || p.Path() != target || p.Digest() != digestOf(t, target) {
		t.Errorf("name %q, path %q, digest %v", p.Name(), p.Path(), p.Digest())
	}
	must(t, p, "echo x")
}

// One changed byte, a stale digest or none: nothing is executed, and the
// message names the plugin, the path and both digests.
func TestLoadChecksTheDigest(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{})
	path := marking(t)
	right := digestOf(t, path)
	wrong := right.String()[:len(right.String())-1] + "0"
	if wrong == right.String() {
		wrong = wrong[:len(wrong)-1] + "1"
	}
	other, err := launch.ParseDigest(wrong)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Load(t.Context(), path, launch.RequireDigest(other))
	d := wantCode(t, err, connector.PluginDigestMismatch)
	for _, part := range []string{filepath.Base(path), path, right.String(), other.String()} {
		if !strings.Contains(d.Error(), part) {
			t.Errorf("%q doesn't name %q", d.Error(), part)
		}
	}
	for name, trust := range map[string]launch.Trust{
		"no digest": launch.RequireDigest(launch.Digest{}), "no trust": {},
		"not in the file": launch.TrustedBy(launch.TrustFileAt(filepath.Join(t.TempDir(), "trust.json"))),
	} {
		_, err := l.Load(t.Context(), path, trust)
		if d := wantCode(t, err, connector.PluginUntrusted); !strings.Contains(d.Error(), right.String()) {
			t.Errorf("%s: %q doesn't name the digest", name, d.Error())
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "mark")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a plugin that wasn't trusted was executed")
	}
	if _, err := l.Load(t.Context(), path, launch.RequireDigest(right)); err != nil {
		t.Error(err)
	}
}

// A file that is replaced after it was checked isn't what runs.
func TestTheBytesCheckedAreTheBytesRun(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{})
	path := filepath.Join(t.TempDir(), "fake-good")
	copyFile(t, fake(t, "good"), path)
	p, err := l.Load(t.Context(), path, launch.RequireDigest(digestOf(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := must(t, p, "echo original"); got != "original" {
		t.Errorf("got %q", got)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Load(ctx, fake(t, "good"), launch.AnyDigest())
	wantCode(t, err, connector.Canceled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v doesn't unwrap to the context's error", err)
	}
}

// Capitals and blanks are accepted; what can't be a digest is told apart from
// a digest that differs.
func TestParseDigest(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("x"))
	want := launch.DigestOf(sum)
	digits := hex.EncodeToString(sum[:])
	for _, text := range []string{
		digits, "sha256:" + digits, strings.ToUpper(digits), " SHA256:" + strings.ToUpper(digits) + "\n",
	} {
		if got, err := launch.ParseDigest(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", " ", "sha256:", digits[1:], digits + "0", "sha512:" + digits, strings.Repeat("g", 64)} {
		if _, err := launch.ParseDigest(text); !errors.Is(err, connector.UsageWrong) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if !(launch.Digest{}).IsZero() || want.IsZero() || (launch.Digest{}) == launch.DigestOf([32]byte{}) {
		t.Error("the zero digest must be none")
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0a", 32))
	f.Fuzz(func(t *testing.T, text string) {
		d, err := launch.ParseDigest(text)
		if err != nil {
			return
		}
		if again, err := launch.ParseDigest(d.String()); err != nil || again != d {
			t.Errorf("%q became %v, %v", text, again, err)
		}
	})
}

// marking returns a script that leaves a mark beside itself when it runs.
func marking(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "marking")
	script := "#!/bin/sh\ntouch " + filepath.Join(dir, "mark") + "\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func digestOf(t testing.TB, path string) launch.Digest {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return launch.DigestOf(sha256.Sum256(content))
}

func zipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("plugin")
	if err == nil {
		_, err = f.Write(content[:1000])
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content[:1000])
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: "plugin", Mode: 0o700, Size: 1000})
	if err == nil {
		_, err = w.Write(content[:1000])
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
