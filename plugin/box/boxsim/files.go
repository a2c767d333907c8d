package boxsim

import (
	"net/http"
	"slices"
)

// standardFileFields are what a file answers when no fields are named.
var standardFileFields = []string{
	"type", "id", "file_version", "sequence_id", "etag", "sha1", "name", "description", "size", "path_collection",
	"created_at", "modified_at", "trashed_at", "purged_at", "content_created_at", "content_modified_at", "created_by",
	"modified_by", "owned_by", "shared_link", "parent", "item_status",
}

// fileList is the answer to an upload.
type fileList struct {
	TotalCount int              `json:"total_count"`
	Entries    []map[string]any `json:"entries"`
}

// file answers GET /2.0/files/{file_id}.
func (s *Server) file(c *call) answer {
	it, refused := s.open(c, kindFile, mayRead)
	if refused != nil {
		return *refused
	}
	if same := notModified(c, it); same != nil {
		return *same
	}
	return jsonAnswer(http.StatusOK, fileRecord(c, it))
}

// updateFile answers PUT /2.0/files/{file_id}.
func (s *Server) updateFile(c *call) answer {
	it, refused := s.update(c, kindFile)
	if refused != nil {
		return *refused
	}
	return jsonAnswer(http.StatusOK, fileRecord(c, it))
}

// deleteFile answers DELETE /2.0/files/{file_id}.
func (s *Server) deleteFile(c *call) answer {
	it, refused := s.open(c, kindFile, mayDelete)
	if refused != nil {
		return *refused
	}
	if refused := unchanged(c, it); refused != nil {
		return *refused
	}
	s.remove(it)
	return answer{status: http.StatusNoContent}
}

// fileVersions answers GET /2.0/files/{file_id}/versions: the past versions,
// the latest first, without the current one.
func (s *Server) fileVersions(c *call) answer {
	it, refused := s.open(c, kindFile, mayRead)
	if refused != nil {
		return *refused
	}
	limit, offset, refused := window(c.r.URL.Query(), maxLimit, maxLimit)
	if refused != nil {
		return *refused
	}
	past := slices.Clone(it.versions[:len(it.versions)-1])
	slices.Reverse(past)
	page := listing{TotalCount: len(past), Limit: limit, Offset: offset, Entries: []map[string]any{}}
	for _, v := range past[min(offset, len(past)):min(offset+limit, len(past))] {
		rec := v.record()
		if fields := requestedFields(c.r); fields != nil {
			rec = pick(rec, fields)
		}
		page.Entries = append(page.Entries, rec)
	}
	return jsonAnswer(http.StatusOK, page)
}

// listing is a page by offset.
type listing struct {
	Type       string           `json:"type,omitempty"`
	TotalCount int              `json:"total_count"`
	Limit      int              `json:"limit"`
	Offset     int              `json:"offset"`
	Entries    []map[string]any `json:"entries"`
}

func fileRecord(c *call, it *item) map[string]any {
	fields := requestedFields(c.r)
	if fields == nil {
		fields = standardFileFields
	}
	return pick(it.record(), fields)
}

// uploaded answers an upload with the file in a list.
func uploaded(c *call, status int, it *item) answer {
	return jsonAnswer(status, fileList{TotalCount: 1, Entries: []map[string]any{fileRecord(c, it)}})
}
