package check

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// minSecret is the length below which a value is found by chance.
const minSecret = 6

// FindSecret looks for secrets in an output, in the forms in which programs
// print: as they are, in base64, URL-encoded, escaped in JSON, in hexadecimal.
// It returns in which form one was found, or "".
func FindSecret(output []byte, secrets []string) string {
	for _, s := range secrets {
		if len(s) < minSecret {
			continue
		}
		for _, form := range forms(s) {
			if bytes.Contains(output, []byte(form.text)) {
				return form.name
			}
		}
	}
	return ""
}

type form struct{ name, text string }

func forms(s string) []form {
	quoted, _ := json.Marshal(s)
	var plain strings.Builder
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	out := []form{
		{"as it is", s}, {"URL-encoded", url.QueryEscape(s)}, {"URL-encoded", url.PathEscape(s)},
		{"escaped in JSON", string(quoted[1 : len(quoted)-1])}, {"escaped in JSON", strings.Trim(strings.TrimSpace(plain.String()), `"`)},
		{"in hexadecimal", hex.EncodeToString([]byte(s))},
	}
	// In base64 the neighbours of a value change its first and last letters,
	// by where it begins.
	for shift := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, shift), s...))
			from, to := []int{0, 2, 3}[shift], len(text)-2
			if to-from >= minSecret {
				out = append(out, form{"in base64", text[from:to]})
			}
		}
	}
	return out
}
