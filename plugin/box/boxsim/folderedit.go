package boxsim

import (
	"net/http"
)

// createFolder answers POST /2.0/folders.
func (s *Server) createFolder(c *call) answer {
	if _, refused := s.authenticate(c); refused != nil {
		return *refused
	}
	ch, refused := readChange(c.body)
	if refused != nil {
		return *refused
	}
	if ch.name == nil {
		ch.name = new(string)
	}
	if refused := checkName(*ch.name); refused != nil {
		return *refused
	}
	if ch.parentID == nil {
		return badParameter("missing_parameter", "parent", "'parent' is required")
	}
	parent, refused := s.openWith(c, kindFolder, *ch.parentID, mayCreateFolder)
	if refused != nil {
		return *refused
	}
	if refused := nameTaken(parent, *ch.name, nil, kindFolder); refused != nil {
		return *refused
	}
	it := s.newItem(c, parent, kindFolder, *ch.name)
	it.set(ch)
	return s.folderAnswer(c, http.StatusCreated, it)
}

// updateFolder answers PUT /2.0/folders/{folder_id}.
func (s *Server) updateFolder(c *call) answer {
	it, refused := s.update(c, kindFolder)
	if refused != nil {
		return *refused
	}
	return s.folderAnswer(c, http.StatusOK, it)
}

// deleteFolder answers DELETE /2.0/folders/{folder_id}.
func (s *Server) deleteFolder(c *call) answer {
	it, refused := s.open(c, kindFolder, mayDelete)
	if refused != nil {
		return *refused
	}
	if it.parent == nil {
		return *refusal("api_permission_denied")
	}
	if refused := unchanged(c, it); refused != nil {
		return *refused
	}
	if len(it.children) > 0 && c.r.URL.Query().Get("recursive") != "true" {
		return *refusal("content_folder_not_empty")
	}
	s.remove(it)
	return answer{status: http.StatusNoContent}
}

// update changes the item that a call's path names.
func (s *Server) update(c *call, kind string) (*item, *answer) {
	if _, refused := s.authenticate(c); refused != nil {
		return nil, refused
	}
	ch, refused := readChange(c.body)
	if refused != nil {
		return nil, refused
	}
	it := s.tree.find(kind, c.r.PathValue(kind+"_id"))
	if it == nil {
		return s.openWith(c, kind, c.r.PathValue(kind+"_id"), mayRead)
	}
	if it.parent == nil {
		return nil, refusal("api_permission_denied")
	}
	for _, r := range ch.rights(it) {
		if refused := c.token.may(r, it); refused != nil {
			return nil, refused
		}
	}
	if refused := unchanged(c, it); refused != nil {
		return nil, refused
	}
	return it, s.apply(c, it, ch)
}

// newItem adds an item that a client makes. The caller holds s.mu.
func (s *Server) newItem(c *call, parent *item, kind, name string) *item {
	now, user := s.clock.now(), c.token.grant.user
	return s.tree.add(parent, &item{
		id: s.tree.number(kind), kind: kind, name: name, fresh: true,
		owner: user, creator: user, modifier: user,
		created: now, modified: now, contentCreated: now, contentModified: now,
	})
}

// remove puts an item into the trash and lets go of its content.
func (s *Server) remove(it *item) {
	for _, b := range s.tree.remove(it, s.clock.now()) {
		s.store.release(b)
	}
}

// folderAnswer is a folder with the fields that the client wants.
func (s *Server) folderAnswer(c *call, status int, it *item) answer {
	rec := it.record()
	first, refused := listPage(it, nil, nil)
	if refused != nil {
		return *refused
	}
	rec["item_collection"] = first
	fields := requestedFields(c.r)
	if fields == nil {
		fields = standardFolderFields
	}
	return jsonAnswer(status, pick(rec, fields))
}
