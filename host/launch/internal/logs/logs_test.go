package logs

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func same(s string) string { return s }

func TestParse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]entry{
		"plain":              {level: slog.LevelDebug, message: "plain"},
		"[ERROR] text":       {level: slog.LevelError, message: "text"},
		"[other] text":       {level: slog.LevelDebug, message: "[other] text"},
		"panic: x":           {level: slog.LevelError, message: "panic: x", crash: true},
		"fatal error: x":     {level: slog.LevelError, message: "fatal error: x", crash: true},
		`{"@message":123}`:   {level: slog.LevelDebug, message: `{"@message":123}`},
		`{"@message":"m"}`:   {level: slog.LevelDebug, message: "m"},
		`{"@message":"m"} `:  {level: slog.LevelDebug, message: "m"},
		`{"@message":"m"}{}`: {level: slog.LevelDebug, message: `{"@message":"m"}{}`},
		`{`:                  {level: slog.LevelDebug, message: `{`},
		`{"a":"b"}`:          {level: slog.LevelDebug, message: `{"a":"b"}`},
		"":                   {level: slog.LevelDebug},
		`{"@level":"trace","@message":"m","@timestamp":1}`: {level: levelTrace, message: "m"},
		`{"level":"WARN","msg":"m","time":"t"}`:            {level: slog.LevelWarn, message: "m"},
		`{"@level":7,"@message":"m"}`:                      {level: slog.LevelDebug, message: "m"},
	} {
		got := parse(line)
		if got.level != want.level || got.message != want.message || got.crash != want.crash || len(got.attrs) != 0 {
			t.Errorf("%q: %+v", line, got)
		}
	}
	e := parse(`{"@message":"m","b":{"c":1},"a":"x"}`)
	if len(e.attrs) != 2 || e.attrs[0].String() != "a=x" || e.attrs[1].String() != `b={"c":1}` {
		t.Errorf("fields: %v", e.attrs)
	}
}

func FuzzLine(f *testing.F) {
	for _, seed := range []string{`{"@message":123}`, "panic: x", "[WARN", "\xff\x00", `{"@level":"info","@message":"m","k":[1]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var out bytes.Buffer
		l := New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: levelTrace})), same)
		w := l.Writer(Stderr)
		_, _ = w.Write(raw)
		_ = w.Close()
		l.Close()
		if words := l.LastWords(10); utf8.RuneCountInString(words) > 13 {
			t.Errorf("%q is too long", words)
		}
		if text := out.String(); !utf8.ValidString(text) ||
			strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
			t.Errorf("%q", text)
		}
	})
}

func TestClean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain": "plain", " \t a\nb\x1b[0m\x00 ": "a b [0m", "\xffx": "x", "123456789": "12345678...", "äöüß": "äöüß", "\u202eabc": "abc",
	} {
		if got := Clean(text, 8); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// A logger that hangs costs lines, not the plugin's writes; the loss is told.
func TestSlowLoggerLosesLines(t *testing.T) {
	t.Parallel()
	h := &blocking{release: make(chan struct{})}
	l := New(slog.New(h), same)
	w := l.Writer(Stderr)
	for range 10 * maxQueued {
		if _, err := w.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	close(h.release)
	l.Close()
	if n := h.dropped(); n == 0 {
		t.Error("the loss isn't told")
	}
}

func TestLongLinesAreCut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: levelTrace})), same)
	w := l.Writer(Stdout)
	for range 100 {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10<<10))
	}
	_, _ = w.Write([]byte("\nnext"))
	_ = w.Close()
	l.Close()
	if text := out.String(); len(text) > maxLine || !strings.Contains(text, "msg=next") {
		t.Errorf("%d bytes", len(text))
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	l := New(slog.New(slog.DiscardHandler), func(s string) string { return strings.ReplaceAll(s, "secret", "*") })
	w := l.Writer(Stderr)
	_, _ = w.Write([]byte("first\npanic: secret cause\n\ngoroutine 1 [running]:\n\tmain.main()\n"))
	l.Close()
	if got := l.LastWords(100); got != "panic: * cause" {
		t.Errorf("got %q", got)
	}
}

// blocking is a handler that waits and remembers how much was dropped.
type blocking struct {
	release chan struct{}
	mu      sync.Mutex
	n       int64
}

func (b *blocking) Enabled(context.Context, slog.Level) bool { return true }
func (b *blocking) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *blocking) WithGroup(string) slog.Handler            { return b }
func (b *blocking) Handle(_ context.Context, r slog.Record) error {
	<-b.release
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "dropped" {
			b.mu.Lock()
			b.n += a.Value.Int64()
			b.mu.Unlock()
		}
		return true
	})
	return nil
}

func (b *blocking) dropped() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}
