package boxsim

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxName is how many characters a name may have.
const maxName = 255

// checkName says what is wrong with an item's name, or nil.
func checkName(name string) *answer {
	var a answer
	switch {
	case name == "":
		a = badParameter("missing_parameter", "name", "'name' is required")
	case utf8.RuneCountInString(name) > maxName:
		a = apiRefusal(http.StatusBadRequest, "item_name_too_long", "Item name too long", contextErrors("invalid_parameter", "name", "The name has too many characters."))
	case name == "." || name == ".." || strings.HasSuffix(name, " ") || strings.ContainsAny(name, `/\`) ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) || !utf8.ValidString(name):
		a = apiRefusal(http.StatusBadRequest, "item_name_invalid", "Item name invalid", contextErrors("invalid_parameter", "name", "The name has characters that are not allowed."))
	default:
		return nil
	}
	return &a
}

// nameTaken says that another item of the folder has the name, or nil. Box
// lists the conflicts of a folder, and answers a single one for a file.
func nameTaken(folder *item, name string, except *item, kind string) *answer {
	other := folder.named(name)
	if other == nil || other == except {
		return nil
	}
	var conflicts any = other.mini()
	if kind == kindFolder {
		conflicts = []any{other.mini()}
	}
	a := apiRefusal(http.StatusConflict, "item_name_in_use", "Item with the same name already exists", map[string]any{"conflicts": conflicts})
	return &a
}
