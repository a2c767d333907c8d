package boxsim

import (
	"encoding/json"
	"net/http"
)

// preflight answers OPTIONS /2.0/files/content: whether a file could be
// uploaded.
func (s *Server) preflight(c *call) answer {
	if _, refused := s.authenticate(c); refused != nil {
		return *refused
	}
	var in struct {
		Name   string `json:"name"`
		Size   int64  `json:"size"`
		Parent struct {
			ID string `json:"id"`
		} `json:"parent"`
	}
	if json.Unmarshal(c.body, &in) != nil || in.Size < 0 {
		return badParameter("invalid_parameter", "entity_body", "Invalid value. The body is not a description of a file")
	}
	if in.Parent.ID == "" {
		return badParameter("missing_parameter", "parent", "'parent' is required")
	}
	if refused := checkName(in.Name); refused != nil {
		return *refused
	}
	folder, refused := s.openWith(c, kindFolder, in.Parent.ID, mayUpload)
	if refused != nil {
		return *refused
	}
	if other := folder.named(in.Name); other != nil {
		return apiRefusal(http.StatusConflict, "item_name_in_use", "Item with the same name already exists", map[string]any{"conflicts": []any{other.mini()}})
	}
	if refused := s.roomFor(in.Size); refused != nil {
		return *refused
	}
	return jsonAnswer(http.StatusOK, map[string]any{"upload_url": s.contentBase(c.r) + "/api/2.0/files/content"})
}

// roomFor says why a file of a size can't be uploaded, or nil. The caller holds
// s.mu.
func (s *Server) roomFor(size int64) *answer {
	if size > maxUpload {
		return refusal("content_file_size_limit")
	}
	if !s.store.fits(size, s.knobs.Quota) {
		return refusal("content_storage_limit")
	}
	return nil
}
