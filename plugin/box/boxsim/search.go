package boxsim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	defaultSearchLimit = 30
	maxSearchLimit     = 200
	maxSearchOffset    = 10_000
)

// search answers GET /2.0/search. Names, descriptions and tags are searched,
// contents aren't.
func (s *Server) search(c *call) answer {
	token, refused := s.authenticate(c)
	if refused != nil {
		return *refused
	}
	within := token.object
	if within == nil {
		within = s.tree.items[rootID]
	}
	if refused := token.may(mayRead, within); refused != nil {
		return *refused
	}
	q := c.r.URL.Query()
	f, refused := s.readFilter(c, q)
	if refused != nil {
		return *refused
	}
	limit, offset, refused := window(q, defaultSearchLimit, maxSearchLimit)
	if refused != nil {
		return *refused
	}
	var results []*item
	now := s.clock.now()
	for _, it := range s.candidates(q.Get("trash_content")) {
		indexed := !it.fresh || !now.Before(it.created.Add(time.Duration(s.knobs.IndexDelay)))
		if indexed && it.parent != nil && it.within(within) && f.matches(it) {
			results = append(results, it)
		}
	}
	f.sort(results)
	page := listing{Type: "search_results_items", TotalCount: len(results), Limit: limit, Offset: offset, Entries: []map[string]any{}}
	for _, it := range results[min(offset, len(results)):min(offset+limit, len(results))] {
		page.Entries = append(page.Entries, result(it, requestedFields(c.r)))
	}
	return jsonAnswer(http.StatusOK, page)
}

// candidates are the items to search through.
func (s *Server) candidates(trash string) []*item {
	var all []*item
	if trash != "trashed_only" {
		for _, it := range s.tree.items {
			all = append(all, it)
		}
	}
	if trash == "trashed_only" || trash == "all_items" {
		all = append(all, s.tree.trash...)
	}
	return all
}

// result is one entry of the answer.
func result(it *item, fields []string) map[string]any {
	if fields == nil {
		fields = standardFileFields
		switch it.kind {
		case kindFolder:
			fields = slices.DeleteFunc(slices.Clone(standardFolderFields), func(f string) bool { return f == "item_collection" })
		case kindWebLink:
			fields = append([]string{"url"}, standardFileFields...)
		}
	}
	return pick(it.record(), fields)
}

// window reads limit and offset.
func window(q url.Values, standard, most int) (limit, offset int, refused *answer) {
	limit, ok := number(q, "limit", standard)
	if !ok || limit > most {
		a := badParameter("invalid_parameter", "limit", fmt.Sprintf("Invalid value '%s'.", q.Get("limit")))
		return 0, 0, &a
	}
	if limit == 0 {
		limit = standard
	}
	offset, ok = number(q, "offset", 0)
	if !ok || offset > maxSearchOffset {
		a := badParameter("invalid_parameter", "offset", fmt.Sprintf("Invalid value '%s'.", q.Get("offset")))
		return 0, 0, &a
	}
	return limit, offset, nil
}
