package logs

import (
	"strings"
	"unicode"
)

// Clean makes a plugin's text fit for one line of a log or a message: what
// isn't UTF-8 or can't be printed becomes a blank, and at most limit runes are
// kept.
func Clean(text string, limit int) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
	n := 0
	for at := range text {
		if n == limit {
			return text[:at] + "..."
		}
		n++
	}
	return text
}
