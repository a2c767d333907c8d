package descriptor

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/boxconnection/connector/proto/connector"
)

// suggestExample adds the field's first example, if it has one.
func suggestExample(d *connector.Diagnostic, f *Field) *connector.Diagnostic {
	example, ok := any(nil), false
	if len(f.Examples) > 0 {
		example, ok = f.Examples[0], true
	} else if f.Default != nil {
		example, ok = f.Default, true
	}
	if !ok {
		return d
	}
	return d.Suggest("For example: %v", example)
}

// suggestChoice lists the choices. If the value is nearly one of them, that
// one is offered as a fix.
func suggestChoice(d *connector.Diagnostic, f *Field, value any) *connector.Diagnostic {
	const most = 10
	var values []string
	for _, choice := range f.Choices {
		values = append(values, choice.Value)
	}
	text, _ := value.(string)
	near := nearest(text, values)
	if len(values) > most {
		values = append(values[:most:most], "…")
	}
	d = d.Suggest("Use one of: %s.", strings.Join(values, ", "))
	if near == "" {
		return d
	}
	// A string always marshals.
	fix, err := json.Marshal(near)
	if err != nil {
		return d
	}
	d.Fix = &connector.Fix{Pointer: "/" + f.Name, Value: fix}
	return d
}

// nearest returns the candidate that a mistyped name most likely stands for,
// or "". Case and punctuation don't count; beyond them, a third of the
// characters may differ.
func nearest(name string, candidates []string) string {
	const longest = 64
	if len(name) > longest {
		return ""
	}
	letters := lettersOf(name)
	best, least := "", 1+len(letters)/3
	for _, candidate := range candidates {
		if distance := editDistance(letters, lettersOf(candidate)); distance < least {
			best, least = candidate, distance
		}
	}
	return best
}

// lettersOf returns a name's letters and digits in lower case.
func lettersOf(name string) []rune {
	var letters []rune
	for _, c := range name {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			letters = append(letters, unicode.ToLower(c))
		}
	}
	return letters
}

// editDistance counts the insertions, deletions and replacements between two
// words (Levenshtein).
func editDistance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
