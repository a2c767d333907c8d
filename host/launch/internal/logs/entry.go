package logs

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
)

// levelTrace lies below slog's debug level, where hclog's trace belongs.
const levelTrace = slog.LevelDebug - 4

// entry is one line of a plugin's output, as it will be logged.
type entry struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
	// crash marks the first line of a Go runtime's last words.
	crash bool
}

// parse reads a line of standard error: JSON as hclog writes it (@level and
// @message) or as slog does (level and msg), else plain text, which may start
// with a level in brackets. Nothing in the line can make it fail: what isn't
// understood is logged as it came, at debug.
func parse(line string) entry {
	if strings.HasPrefix(line, "{") {
		if e, ok := parseJSON(line); ok {
			return e
		}
	}
	if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
		return entry{level: slog.LevelError, message: line, crash: true}
	}
	if rest, ok := strings.CutPrefix(line, "["); ok {
		if name, text, ok := strings.Cut(rest, "]"); ok {
			if level, ok := levelOf(name); ok {
				return entry{level: level, message: strings.TrimSpace(text)}
			}
		}
	}
	return entry{level: slog.LevelDebug, message: line}
}

func parseJSON(line string) (entry, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(line), &fields) != nil {
		return entry{}, false
	}
	message, ok := text(fields, "@message", "msg")
	if !ok {
		return entry{}, false
	}
	name, _ := text(fields, "@level", "level")
	level, ok := levelOf(name)
	if !ok {
		level = slog.LevelDebug
	}
	e := entry{level: level, message: message}
	keys := make([]string, 0, len(fields))
	for key := range fields {
		switch key {
		case "@message", "msg", "@level", "level", "@timestamp", "time":
		default:
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys[:min(len(keys), maxAttrs)] {
		value, ok := text(fields, key)
		if !ok {
			value = string(fields[key])
		}
		e.attrs = append(e.attrs, slog.String(key, value))
	}
	return e, true
}

// text returns the first of the named fields that is a JSON string.
func text(fields map[string]json.RawMessage, names ...string) (string, bool) {
	for _, name := range names {
		raw, ok := fields[name]
		if !ok || len(raw) == 0 || raw[0] != '"' {
			continue
		}
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s, true
		}
	}
	return "", false
}

func levelOf(name string) (slog.Level, bool) {
	switch strings.ToLower(name) {
	case "trace":
		return levelTrace, true
	case "debug":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn", "warning":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	}
	return 0, false
}
