package boxsim

import (
	"net/http"
	"slices"
)

// right is something that a token may do with items.
type right int

const (
	mayRead right = iota
	mayDownload
	mayUpload
	mayCreateFolder
	mayChange // description, tags, place and whatever has no scope of its own
	mayRename
	mayShare
	mayDelete
)

// grants are the scopes that give a right; any of them will do.
var grants = map[right][]string{
	mayRead:         {"root_readonly", "root_readwrite", "base_explorer", "base_picker", "item_read", "item_readwrite"},
	mayDownload:     {"root_readonly", "root_readwrite", "item_download", "item_readwrite"},
	mayUpload:       {"root_readwrite", "base_upload", "item_upload", "item_readwrite"},
	mayCreateFolder: {"root_readwrite", "item_upload", "item_readwrite"},
	mayChange:       {"root_readwrite", "item_readwrite"},
	mayRename:       {"root_readwrite", "item_rename", "item_readwrite"},
	mayShare:        {"root_readwrite", "item_share", "item_readwrite"},
	mayDelete:       {"root_readwrite", "item_delete", "item_readwrite"},
}

// may says why a token may not do something with an item, or nil. The caller
// holds s.mu.
func (t *accessToken) may(r right, it *item) *answer {
	if !slices.ContainsFunc(grants[r], func(scope string) bool { return slices.Contains(t.scopes, scope) }) {
		return refusal("api_scope_insufficient")
	}
	if t.object != nil && !it.within(t.object) {
		return refusal("api_permission_denied")
	}
	return nil
}

// open finds the item that a call's path names, if its token has a right to
// it. The caller holds s.mu.
func (s *Server) open(c *call, kind string, r right) (*item, *answer) {
	if _, refused := s.authenticate(c); refused != nil {
		return nil, refused
	}
	return s.openWith(c, kind, c.r.PathValue(kind+"_id"), r)
}

// openWith finds an item by its ID.
func (s *Server) openWith(c *call, kind, id string, r right) (*item, *answer) {
	it := s.tree.find(kind, id)
	if it == nil {
		if s.tree.trashed(kind, id) {
			return nil, refusal("content_item_trashed")
		}
		a := itemNotFound(kind, id)
		return nil, &a
	}
	if refused := c.token.may(r, it); refused != nil {
		return nil, refused
	}
	return it, nil
}

// unchanged checks the conditions of a call that changes an item, or nil.
func unchanged(c *call, it *item) *answer {
	etag, _ := it.etagValue().(string)
	match, none := c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")
	if (match == "" || trimTag(match) == etag) && (none == "" || trimTag(none) != etag) {
		return nil
	}
	return refusal("api_precondition_failed")
}

// notModified answers a read whose If-None-Match names what there is, or nil.
func notModified(c *call, it *item) *answer {
	etag, ok := it.etagValue().(string)
	if none := c.r.Header.Get("If-None-Match"); none != "" && ok && trimTag(none) == etag {
		return &answer{status: http.StatusNotModified}
	}
	return nil
}

// trimTag takes the quotes off an etag: Box's own have none, and clients add
// some.
func trimTag(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}
