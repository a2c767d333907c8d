package process

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/boxconnection/connector/proto/connector"
)

// Whatever other goroutines print while the handshake is printed, a host must
// read that one line and nothing else.
func TestHandshakeFilter(t *testing.T) {
	t.Parallel()
	const line = "1|1|unix|/tmp/x/plugin1|grpc|MIIBszCC+/09\n"
	outR, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	otherR, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w := filterHandshake(out, other, (*identity)(nil).announce)
	noise := []string{"starting up!\n", strings.Repeat("x", 20<<10), "\n", "no end of line", line, line, "later\n", "1|1|unix|cut off"}
	for _, s := range noise {
		if _, err := io.WriteString(w, s); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Close()
	want := strings.Join(noise, "")
	got := make([]byte, len(want)-len(line))
	if _, err := io.ReadFull(otherR, got); err != nil {
		t.Fatal(err)
	}
	if want = strings.Replace(want, line, "", 1); string(got) != want {
		t.Errorf("the rest is %.100q…, want %.100q…", got, want)
	}
	_ = out.Close() // the line came before what was just read
	printed, err := io.ReadAll(outR)
	if err != nil || string(printed) != line {
		t.Errorf("the host reads %q, %v", printed, err)
	}
	_, _, _ = other.Close(), otherR.Close(), outR.Close()
}

func TestLogKeysAreStrings(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newLog(&out, true)
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, 42} {
		log.With("level", slog.LevelInfo, "@message", 9, slog.Group("", "msg", "x")).Log(context.Background(), level, "hello", "@message", 1, "@level", 2, "@timestamp", 3, "level", 4, "msg", "5", "time", time.Now(),
			slog.Group("g", "@message", 7), slog.Group("", "@level", 8))
	}
	levels := ""
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		// A later member of the same name would win in most readers.
		for _, key := range []string{"@level", "@message", "@timestamp"} {
			if strings.Count(line, `"`+key+`":"`) != 1 || strings.Count(strings.ReplaceAll(line, `"g":{"@message":7}`, ""), `"`+key+`"`) != 1 {
				t.Errorf("%s: %s", key, line)
			}
		}
		var entry struct {
			Level string `json:"@level"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Error(err)
		}
		levels += entry.Level + " "
	}
	if levels != "debug info warn error error " {
		t.Errorf("levels: %s", levels)
	}
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCalls(Guard{Log: slog.New(slog.DiscardHandler)}, func() {})
		release := make(chan struct{})
		go func() {
			_ = c.guard(context.Background(), "m", func(context.Context) error { <-release; return nil })
		}()
		synctest.Wait()
		start := time.Now()
		c.drain(time.Second)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v", took)
		}
		err := c.guard(context.Background(), "m", func(context.Context) error { return nil })
		if d := connector.Diagnose(err, ""); err == nil || d == nil {
			t.Error("a call is taken while draining")
		}
		close(release)
		synctest.Wait()
		c.drain(time.Hour) // returns at once
		if took := time.Since(start); took != time.Second {
			t.Errorf("idle, it took %v", took-time.Second)
		}
	})
}

// Asked to terminate before there is a server, the process must not begin to
// serve.
func TestDrainBeforeTheServer(t *testing.T) {
	t.Parallel()
	c := newCalls(Guard{}, func() {})
	c.drain(time.Hour)
	if err := c.server(nil).Serve(bufconn.Listen(1)); err != grpc.ErrServerStopped { //nolint:errorlint // it is never wrapped
		t.Errorf("got %v", err)
	}
}
