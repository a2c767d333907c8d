package boxsim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filter is what a search asks for.
type filter struct {
	query      [][]term
	nothing    bool // metadata is asked for, of which there is none
	kind       string
	where      []string // content_types
	extensions []string
	ancestors  []*item
	owners     []string
	created    span[time.Time]
	updated    span[time.Time]
	size       span[int64]
	byTime     bool
	ascending  bool
}

// span is a range of which either end may be open.
type span[T any] struct{ from, to *T }

// Names that a search's parameters may have.
var (
	searchKinds = []string{kindFile, kindFolder, kindWebLink}
	searchWhere = []string{"name", "description", "file_content", "comments", "tags"}
)

// readFilter reads and checks a search's parameters.
func (s *Server) readFilter(c *call, q url.Values) (*filter, *answer) {
	bad := func(name, message string) *answer {
		a := badParameter("invalid_parameter", name, message)
		return &a
	}
	if strings.TrimSpace(q.Get("query")) == "" && q.Get("mdfilters") == "" {
		a := badParameter("missing_parameter", "query", "Please provide at least the 'query' or 'mdfilters' query parameter in a search")
		return nil, &a
	}
	f := &filter{query: readQuery(q.Get("query")), kind: q.Get("type"), byTime: q.Get("sort") == "modified_at", ascending: q.Get("direction") == "ASC"}
	for name, allowed := range map[string][]string{
		"type": searchKinds, "scope": {"user_content", "enterprise_content"}, "sort": {"modified_at", "relevance"},
		"direction": {"ASC", "DESC"}, "trash_content": {"non_trashed_only", "trashed_only", "all_items"},
		"include_recent_shared_links": {"false"},
	} {
		if value := q.Get(name); value != "" && !slices.Contains(allowed, value) {
			return nil, bad(name, fmt.Sprintf("Invalid value '%s'.", value))
		}
	}
	for _, where := range list(q.Get("content_types")) {
		if !slices.Contains(searchWhere, where) {
			return nil, bad("content_types", fmt.Sprintf("Invalid value '%s'.", where))
		}
		f.where = append(f.where, where)
	}
	if raw := q.Get("mdfilters"); raw != "" {
		if !metadataFilter(raw) {
			return nil, bad("mdfilters", "The metadata filter is not a list of exactly one template with its filters.")
		}
		f.nothing = true
	}
	f.extensions, f.owners = list(strings.ToLower(q.Get("file_extensions"))), list(q.Get("owner_user_ids"))
	for _, id := range list(q.Get("ancestor_folder_ids")) {
		folder, refused := s.openWith(c, kindFolder, id, mayRead)
		if refused != nil {
			return nil, refused
		}
		f.ancestors = append(f.ancestors, folder)
	}
	var ok [3]bool
	f.created, ok[0] = readSpan(q.Get("created_at_range"), readTime)
	f.updated, ok[1] = readSpan(q.Get("updated_at_range"), readTime)
	f.size, ok[2] = readSpan(q.Get("size_range"), func(v string) (int64, error) { return strconv.ParseInt(v, 10, 64) })
	for i, name := range []string{"created_at_range", "updated_at_range", "size_range"} {
		if !ok[i] {
			return nil, bad(name, fmt.Sprintf("Invalid value '%s'.", q.Get(name)))
		}
	}
	return f, nil
}

func readTime(value string) (time.Time, error) { return time.Parse(time.RFC3339, value) }

// metadataFilter says whether the parameter has the shape that Box documents.
func metadataFilter(raw string) bool {
	var filters []struct {
		Scope    string          `json:"scope"`
		Template string          `json:"templateKey"`
		Filters  json.RawMessage `json:"filters"`
	}
	if json.Unmarshal([]byte(raw), &filters) != nil || len(filters) != 1 {
		return false
	}
	f := filters[0]
	return (f.Scope == "global" || strings.HasPrefix(f.Scope, "enterprise")) && f.Template != ""
}

// list reads a comma-separated parameter.
func list(value string) []string {
	var out []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// term is a word or a phrase that a text must have, or must not have.
type term struct {
	text string // lower case
	not  bool
}

// readQuery reads what to look for: any of the groups, of which every term has
// to fit. As Box has it, words that stand side by side are alternatives, and
// AND, OR and NOT are operators in upper case only.
func readQuery(query string) [][]term {
	var groups [][]term
	and, not := false, false
	add := func(text string) {
		t := term{text: strings.ToLower(text), not: not}
		if last := len(groups) - 1; last >= 0 && (and || not) {
			groups[last] = append(groups[last], t)
		} else {
			groups = append(groups, []term{t})
		}
		and, not = false, false
	}
	for i, part := range strings.Split(query, `"`) {
		if i%2 == 1 {
			if part != "" {
				add(part)
			}
			continue
		}
		for _, word := range strings.Fields(part) {
			switch word {
			case "AND":
				and = true
			case "OR":
				and = false
			case "NOT":
				not = true
			default:
				add(word)
			}
		}
	}
	return groups
}

// found says whether a text has what is looked for.
func found(text string, groups [][]term) bool {
	return slices.ContainsFunc(groups, func(terms []term) bool {
		return !slices.ContainsFunc(terms, func(t term) bool { return strings.Contains(text, t.text) == t.not })
	})
}

// readSpan reads "from,to", where either may be empty but not both.
func readSpan[T any](value string, read func(string) (T, error)) (span[T], bool) {
	var s span[T]
	if value == "" {
		return s, true
	}
	first, last, found := strings.Cut(value, ",")
	if !found || (first == "" && last == "") {
		return s, false
	}
	for i, text := range []string{first, last} {
		if text == "" {
			continue
		}
		v, err := read(text)
		if err != nil {
			return s, false
		}
		*[]**T{&s.from, &s.to}[i] = &v
	}
	return s, true
}

// holds says whether a value lies within, both ends included.
func (s span[T]) holds(v T, compare func(a, b T) int) bool {
	return (s.from == nil || compare(v, *s.from) >= 0) && (s.to == nil || compare(v, *s.to) <= 0)
}

func (f *filter) matches(it *item) bool {
	if f.nothing || (f.kind != "" && f.kind != it.kind) {
		return false
	}
	if len(f.extensions) > 0 && (it.kind != kindFile || !slices.Contains(f.extensions, strings.ToLower(strings.TrimPrefix(path.Ext(it.name), ".")))) {
		return false
	}
	if len(f.owners) > 0 && !slices.Contains(f.owners, it.owner.ID) {
		return false
	}
	if len(f.ancestors) > 0 && !slices.ContainsFunc(f.ancestors, func(folder *item) bool { return it != folder && it.within(folder) }) {
		return false
	}
	if !f.created.holds(it.created, time.Time.Compare) || !f.updated.holds(it.modified, time.Time.Compare) ||
		!f.size.holds(it.size(), cmp.Compare[int64]) {
		return false
	}
	return found(f.text(it), f.query)
}

// text is what the query is compared with.
func (f *filter) text(it *item) string {
	all := len(f.where) == 0
	var parts []string
	if all || slices.Contains(f.where, "name") {
		parts = append(parts, it.name)
	}
	if all || slices.Contains(f.where, "description") {
		parts = append(parts, it.description)
	}
	if all || slices.Contains(f.where, "tags") {
		parts = append(parts, it.tags...)
	}
	return strings.ToLower(strings.Join(parts, "\n"))
}

// sort puts the results in their order. Relevance is the name that begins with
// the query, then the name.
func (f *filter) sort(found []*item) {
	begins := func(it *item) int {
		if len(f.query) > 0 && strings.HasPrefix(strings.ToLower(it.name), f.query[0][0].text) {
			return 0
		}
		return 1
	}
	slices.SortFunc(found, func(a, b *item) int {
		if f.byTime {
			c := b.modified.Compare(a.modified)
			if f.ascending {
				c = -c
			}
			return cmp.Or(c, compareIDs(a.id, b.id))
		}
		return cmp.Or(begins(a)-begins(b), cmp.Compare(strings.ToLower(a.name), strings.ToLower(b.name)), compareIDs(a.id, b.id))
	})
}
