package boxsim

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxListOffset is how far offset paging goes; markers go further.
	maxListOffset = 10_000
)

// standardFolderFields are what a folder answers when no fields are named.
var standardFolderFields = []string{
	"type", "id", "sequence_id", "etag", "name", "created_at", "modified_at", "description", "size", "path_collection",
	"created_by", "modified_by", "trashed_at", "purged_at", "content_created_at", "content_modified_at", "owned_by",
	"shared_link", "folder_upload_email", "parent", "item_status", "item_collection",
}

// kindOrder is the order in which lists show the types of items.
var kindOrder = map[string]int{kindFolder: 0, kindFile: 1, kindWebLink: 2}

// items is one page of a list.
type items struct {
	TotalCount *int             `json:"total_count,omitempty"`
	Entries    []map[string]any `json:"entries"`
	Offset     *int             `json:"offset,omitempty"`
	Limit      int              `json:"limit"`
	NextMarker *string          `json:"next_marker,omitempty"`
	Order      []sortOrder      `json:"order,omitempty"`
}

type sortOrder struct {
	By        string `json:"by"`
	Direction string `json:"direction"`
}

// folder answers GET /2.0/folders/{folder_id}.
func (s *Server) folder(c *call) answer {
	it, refused := s.open(c, kindFolder, mayRead)
	if refused != nil {
		return *refused
	}
	if same := notModified(c, it); same != nil {
		return *same
	}
	return s.folderAnswer(c, http.StatusOK, it)
}

// folderItems answers GET /2.0/folders/{folder_id}/items.
func (s *Server) folderItems(c *call) answer {
	it, refused := s.open(c, kindFolder, mayRead)
	if refused != nil {
		return *refused
	}
	list, refused := listPage(it, c.r.URL.Query(), requestedFields(c.r))
	if refused != nil {
		return *refused
	}
	return jsonAnswer(http.StatusOK, list)
}

// listPage cuts one page out of a folder's list, by offset or by marker.
func listPage(folder *item, q url.Values, fields []string) (items, *answer) {
	bad := func(name, message string) (items, *answer) {
		a := badParameter("invalid_parameter", name, message)
		return items{}, &a
	}
	limit, ok := number(q, "limit", defaultLimit)
	if !ok {
		return bad("limit", fmt.Sprintf("Invalid value '%s'.", q.Get("limit")))
	}
	limit = min(limit, maxLimit)
	if limit == 0 {
		limit = defaultLimit
	}
	by, descending := q.Get("sort"), strings.EqualFold(q.Get("direction"), "DESC")
	if !slices.Contains([]string{"", "id", "name", "date", "size"}, by) {
		return bad("sort", fmt.Sprintf("Invalid value '%s'.", by))
	}

	all := slices.Clone(folder.children)
	page := items{Limit: limit}
	start := 0
	if q.Get("usemarker") == "true" {
		slices.SortFunc(all, byID)
		if m := q.Get("marker"); m != "" {
			last, ok := readMarker(m)
			if !ok {
				return bad("marker", "The marker is not valid.")
			}
			start = len(all)
			if i := slices.IndexFunc(all, func(it *item) bool { return compareIDs(it.id, last) > 0 }); i >= 0 {
				start = i
			}
		}
	} else {
		if start, ok = number(q, "offset", 0); !ok || start > maxListOffset {
			return bad("offset", fmt.Sprintf("Invalid value '%s'.", q.Get("offset")))
		}
		sortItems(all, by, descending)
		total, offset := len(all), start
		page.TotalCount, page.Offset = &total, &offset
		page.Order = orderOf(by, descending)
	}
	start = min(start, len(all))
	end := min(start+limit, len(all))
	page.Entries = make([]map[string]any, 0, end-start)
	for _, it := range all[start:end] {
		entry := it.mini()
		if fields != nil {
			entry = pick(it.record(), fields)
		}
		page.Entries = append(page.Entries, entry)
	}
	if page.TotalCount == nil {
		next := ""
		if end < len(all) {
			next = writeMarker(all[end-1].id)
		}
		page.NextMarker = &next
	}
	return page, nil
}

func number(q url.Values, name string, otherwise int) (int, bool) {
	if !q.Has(name) {
		return otherwise, true
	}
	n, err := strconv.Atoi(q.Get(name))
	return n, err == nil && n >= 0
}

func sortItems(all []*item, by string, descending bool) {
	slices.SortFunc(all, func(a, b *item) int {
		if c := cmp.Compare(kindOrder[a.kind], kindOrder[b.kind]); c != 0 {
			return c
		}
		c := 0
		switch by {
		case "id":
			c = compareIDs(a.id, b.id)
		case "date":
			c = a.modified.Compare(b.modified)
		case "size":
			c = cmp.Compare(a.size(), b.size())
		}
		c = cmp.Or(c, cmp.Compare(strings.ToLower(a.name), strings.ToLower(b.name)), compareIDs(a.id, b.id))
		if descending {
			return -c
		}
		return c
	})
}

func orderOf(by string, descending bool) []sortOrder {
	direction := "ASC"
	if descending {
		direction = "DESC"
	}
	if by == "" {
		by = "name"
	}
	return []sortOrder{{By: "type", Direction: "ASC"}, {By: by, Direction: direction}}
}

func byID(a, b *item) int { return compareIDs(a.id, b.id) }

// compareIDs compares decimal numbers of any length.
func compareIDs(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// A marker holds the ID of the last item of its page, so that it stays true
// while items come and go.
func writeMarker(id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("after:" + id))
}

func readMarker(marker string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(marker)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), "after:")
}
