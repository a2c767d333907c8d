package process

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// newLog makes the plugin's log: JSON lines whose own keys, @level, @message
// and @timestamp, are strings, as go-plugin's hosts demand.
func newLog(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(&logHandler{Handler: slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: hostKeys})})
}

// hostKeys renames slog's own keys.
func hostKeys(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
	case slog.LevelKey:
		level, _ := a.Value.Any().(slog.Level)
		return slog.String("@level", levelName(level))
	case slog.MessageKey:
		return slog.String("@message", a.Value.String())
	}
	return a
}

// logHandler keeps the keys of callers apart from those that hostKeys looks
// for and makes.
type logHandler struct {
	slog.Handler
	grouped bool // within a group every key is free
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.grouped {
		return h.Handler.Handle(ctx, r)
	}
	renamed := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		renamed.AddAttrs(rename(a))
		return true
	})
	return h.Handler.Handle(ctx, renamed)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if !h.grouped {
		attrs = renameAll(attrs)
	}
	return &logHandler{h.Handler.WithAttrs(attrs), h.grouped}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.Handler.WithGroup(name), h.grouped || name != ""}
}

func rename(a slog.Attr) slog.Attr {
	a.Key = strings.TrimLeft(a.Key, "@")
	switch a.Key {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey:
		a.Key = "_" + a.Key
	case "": // a group whose members are inlined
		if a.Value.Kind() == slog.KindGroup {
			a.Value = slog.GroupValue(renameAll(a.Value.Group())...)
		}
	}
	return a
}

func renameAll(attrs []slog.Attr) []slog.Attr {
	renamed := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		renamed[i] = rename(a)
	}
	return renamed
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

// newHCLog makes the logger for go-plugin's own messages, over the same sink.
func newHCLog(w io.Writer, name string, verbose bool) hclog.Logger {
	level := hclog.Warn
	if verbose {
		level = hclog.Debug
	}
	return hclog.New(&hclog.LoggerOptions{
		Name: name, Level: level, Output: w, JSONFormat: true, TimeFn: time.Now,
	})
}
