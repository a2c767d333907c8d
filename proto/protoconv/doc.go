// Package protoconv turns the words of package connector into the messages of
// integration.connector.v1 and back. There is a file for each message.
//
// What comes from the wire was written by somebody else. Functions that read
// it accept nil, refuse times and durations that can't be meant, replace enum
// numbers that they don't know, and clean texts for people: bad UTF-8 and
// control characters go, and what is too long is cut.
//
// All functions are pure and safe for concurrent use.
package protoconv

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/proto/connector"
)

// MalformedError says that a message can't be meant. Its text names the field
// and never holds a value. It unwraps to a *connector.Diagnostic,
// PluginContractBroken of origin connector, which is right for an answer; who
// reads requests words its own.
type MalformedError struct {
	// Field is the path of the field, such as "access.expires_at".
	Field string
	// Problem is a clause: "is not a valid timestamp".
	Problem string
}

// Error returns the field and what is wrong with it.
func (e *MalformedError) Error() string { return e.Field + " " + e.Problem }

// Unwrap returns the diagnostic.
func (e *MalformedError) Unwrap() error {
	return connector.Errorf(connector.PluginContractBroken, connector.OriginConnector,
		"The connector broke its contract: %s.", e.Error()).
		Suggest("Report it to the author of the connector, or go back to the version before.")
}

// Time reads a timestamp; field is its path for the error. An absent one is
// the zero time, and the zero time itself, the year 1, is refused since
// nobody means it.
func Time(ts *timestamppb.Timestamp, field string) (time.Time, error) {
	if ts == nil {
		return time.Time{}, nil
	}
	if t := ts.AsTime(); ts.IsValid() && !t.IsZero() {
		return t, nil
	}
	return time.Time{}, &MalformedError{field, "is not a valid timestamp"}
}

// Timestamp writes a time; the zero time is absent.
func Timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Duration reads a duration that may not be negative; field is its path for
// the error. An absent one is zero.
func Duration(d *durationpb.Duration, field string) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if !d.IsValid() || d.AsDuration() < 0 {
		return 0, &MalformedError{field, "is not a valid duration"}
	}
	return d.AsDuration(), nil
}

// DurationToProto writes a duration; zero and less is absent.
func DurationToProto(d time.Duration) *durationpb.Duration {
	if d <= 0 {
		return nil
	}
	return durationpb.New(d)
}

// cleanText makes a text from outside fit to be shown and sent: valid UTF-8,
// in one line, without control and format characters, at most limit bytes.
func cleanText(s string, limit int) string {
	// Cleaning makes no text shorter than a third of it, so what lies far
	// beyond the limit needn't be looked at.
	if len(s) > 8*limit {
		s = s[:8*limit]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return cut(s, limit)
}

// cut shortens a text to limit bytes at the border of a rune, and marks it.
func cut(s string, limit int) string {
	const mark = "…"
	if len(s) <= limit {
		return s
	}
	limit -= len(mark)
	if limit <= 0 {
		return ""
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + mark
}

// cleanList cleans a list of short words.
func cleanList(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	cleaned := make([]string, 0, min(len(list), maxList))
	for _, s := range list[:min(len(list), maxList)] {
		cleaned = append(cleaned, cleanText(s, maxName))
	}
	return cleaned
}
