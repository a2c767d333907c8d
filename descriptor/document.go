package descriptor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A fault says why bytes aren't a JSON document. It never quotes them, since
// they may hold a secret; only names of members appear, in pointers.
type fault struct {
	pointer string // where, or ""
	what    string // a clause: "it isn't valid JSON at line 2, column 7"
	remedy  string
}

// decodeDocument reads one JSON document in UTF-8, with or without a byte
// order mark. It refuses what encoding/json would let pass in silence:
// members given twice, more after the end, numbers that a float64 can't keep.
func decodeDocument(data []byte, maxDepth int) (any, *fault) {
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	if f := encodingFault(data); f != nil {
		return nil, f
	}
	if object, ok := flat(data); ok {
		return object, nil
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		where := position(data, int64(len(data)))
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			where = position(data, syntax.Offset)
		}
		return nil, &fault{what: "it isn't valid JSON at " + where, remedy: "Correct it there or just before."}
	}
	r := reader{json.NewDecoder(bytes.NewReader(data)), data, maxDepth}
	r.dec.UseNumber()
	return r.value("", 0)
}

// flat reads an object of plain values, each given once, at a third of the cost
// of walking its tokens. It reports false for anything else.
func flat(data []byte) (map[string]any, bool) {
	var object map[string]any
	if json.Unmarshal(data, &object) != nil || object == nil {
		return nil, false
	}
	for _, value := range object {
		if n, ok := value.(float64); ok && math.Abs(n) > 1<<53 {
			return nil, false
		}
	}
	return object, members(data) == len(object)
}

// members counts the members of a valid JSON object of plain values, or
// returns -1 if one of them is an object or an array.
func members(data []byte) int {
	n, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ':':
			n++
		case c == '[', c == '{' && n > 0:
			return -1
		}
	}
	return n
}

// encodingFault tells apart the ways in which a file isn't UTF-8 text.
func encodingFault(data []byte) *fault {
	const asUTF8 = "Save it as UTF-8."
	text := bytes.TrimRight(data, " \t\r\n\x00")
	switch {
	case len(text) == 0:
		return &fault{what: "it is empty", remedy: "Give a JSON object, at least {}."}
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}), bytes.HasPrefix(data, []byte{0xFE, 0xFF}),
		len(data) > 1 && (data[0] == 0 || data[1] == 0):
		return &fault{what: "it is in UTF-16 or UTF-32, not in UTF-8", remedy: asUTF8}
	case !utf8.Valid(data):
		return &fault{what: "it isn't UTF-8 text", remedy: asUTF8}
	case bytes.IndexByte(data[len(text):], 0) >= 0:
		return &fault{what: "NUL bytes follow its end", remedy: "Remove them: the file may have been cut off while it was written."}
	}
	return nil
}

// A reader walks the tokens of a document that is known to be valid JSON.
type reader struct {
	dec      *json.Decoder
	data     []byte
	maxDepth int
}

func (r reader) value(pointer string, depth int) (any, *fault) {
	if depth > r.maxDepth {
		return nil, &fault{pointer: pointer, what: fmt.Sprintf("it is nested deeper than %d levels", r.maxDepth)}
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, r.unexpected(pointer, err)
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return r.object(pointer, depth)
		}
		return r.array(pointer, depth)
	case json.Number:
		return r.number(pointer, token)
	default:
		return token, nil
	}
}

func (r reader) object(pointer string, depth int) (any, *fault) {
	object := map[string]any{}
	for r.dec.More() {
		token, err := r.dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, r.unexpected(pointer, err)
		}
		at := pointer + pointerTo(name)
		if _, twice := object[name]; twice {
			return nil, &fault{pointer: at, what: fmt.Sprintf("%q is given twice, again at %s",
				clean(name), position(r.data, r.dec.InputOffset())), remedy: "Keep one of them."}
		}
		value, f := r.value(at, depth+1)
		if f != nil {
			return nil, f
		}
		object[name] = value
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, r.unexpected(pointer, err)
	}
	return object, nil
}

func (r reader) array(pointer string, depth int) (any, *fault) {
	array := []any{}
	for r.dec.More() {
		value, f := r.value(pointer+"/"+strconv.Itoa(len(array)), depth+1)
		if f != nil {
			return nil, f
		}
		array = append(array, value)
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, r.unexpected(pointer, err)
	}
	return array, nil
}

// number keeps numbers within what a float64 holds exactly. That also stops
// exponents that would grow to gigabytes in the validator's big.Rat.
func (r reader) number(pointer string, n json.Number) (any, *fault) {
	f, err := n.Float64()
	if err != nil || math.Abs(f) > 1<<53 {
		return nil, &fault{pointer: pointer, what: "a number is too large to be kept exactly"}
	}
	return f, nil
}

func (r reader) unexpected(pointer string, err error) *fault {
	what := "it can't be read at " + position(r.data, r.dec.InputOffset())
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		what = "it ends too early"
	}
	return &fault{pointer: pointer, what: what}
}

// position words an offset as line and column, both from 1.
func position(data []byte, offset int64) string {
	before := data[:max(0, min(offset-1, int64(len(data))))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// pointerTo returns the JSON pointer token for a name, with its slash. The
// name is cleaned, since it may come from anybody.
func pointerTo(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(clean(name))
}

// clean makes a name from outside fit for a message: no control or format
// characters, at most 64 characters.
func clean(name string) string {
	const limit = 64
	var b strings.Builder
	n := 0
	for _, c := range name {
		if n == limit {
			return b.String() + "…"
		}
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == '\u2028' || c == '\u2029' {
			c = '�'
		}
		b.WriteRune(c)
		n++
	}
	return b.String()
}
