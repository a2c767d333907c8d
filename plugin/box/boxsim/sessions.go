package boxsim

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// standardPart is the size of a part, maxParts how many there are before
	// parts become larger.
	standardPart = 8 << 20
	maxParts     = 1000
	// maxSessions bounds how many uploads are open at the same time.
	maxSessions = 1000
)

// uploadSession is an upload in parts.
type uploadSession struct {
	id        string
	owner     *User
	target    *item // the file that gets a new version; nil for a new file
	folder    *item // where a new file goes
	name      string
	size      int64
	partSize  int64
	expiresAt time.Time
	parts     []*uploadPart // by offset
}

// uploadPart is a part that has come.
type uploadPart struct {
	id     string
	offset int64
	blob   *blob
	at     time.Time
}

// createSession answers POST /api/2.0/files/upload_sessions.
func (s *Server) createSession(c *call) answer {
	if _, refused := s.authenticate(c); refused != nil {
		return *refused
	}
	var in struct {
		Folder *string      `json:"folder_id"`
		Size   *json.Number `json:"file_size"`
		Name   *string      `json:"file_name"`
	}
	if json.Unmarshal(c.body, &in) != nil {
		return badParameter("invalid_parameter", "entity_body", "Invalid value. The body is not a description of a file")
	}
	bad := func(code, message string) answer { return apiRefusal(http.StatusBadRequest, code, message, nil) }
	switch {
	case in.Folder == nil:
		return bad("missing_destination", "No folder_id was provided")
	case strings.Trim(*in.Folder, "0123456789") != "" || *in.Folder == "":
		return bad("invalid_folder_id", "folder_id is not valid")
	case in.Name == nil:
		return bad("missing_file_name", "file_name was not provided")
	case in.Size == nil:
		return bad("missing_file_size", "file_size was not provided")
	}
	if refused := checkName(*in.Name); refused != nil {
		return *refused
	}
	folder, refused := s.openWith(c, kindFolder, *in.Folder, mayUpload)
	if refused != nil {
		return *refused
	}
	if refused := nameTaken(folder, *in.Name, nil, kindFile); refused != nil {
		return *refused
	}
	return s.openSession(c, *in.Size, uploadSession{folder: folder, name: *in.Name})
}

// createVersionSession answers POST /api/2.0/files/{file_id}/upload_sessions.
func (s *Server) createVersionSession(c *call) answer {
	it, refused := s.open(c, kindFile, mayUpload)
	if refused != nil {
		return *refused
	}
	var in struct {
		Size *json.Number `json:"file_size"`
		Name string       `json:"file_name"`
	}
	if json.Unmarshal(c.body, &in) != nil {
		return badParameter("invalid_parameter", "entity_body", "Invalid value. The body is not a description of a file")
	}
	if in.Size == nil {
		return apiRefusal(http.StatusBadRequest, "missing_file_size", "file_size was not provided", nil)
	}
	if in.Name != "" {
		if refused := checkName(in.Name); refused != nil {
			return *refused
		}
		if refused := nameTaken(it.parent, in.Name, it, kindFile); refused != nil {
			return *refused
		}
	}
	return s.openSession(c, *in.Size, uploadSession{target: it, folder: it.parent, name: in.Name})
}

// openSession begins an upload in parts, if its size is one for that.
func (s *Server) openSession(c *call, size json.Number, u uploadSession) answer {
	n, err := size.Int64()
	if err != nil || n < 0 {
		return apiRefusal(http.StatusBadRequest, "invalid_file_size", "file_size was not a valid number", nil)
	}
	if n < s.knobs.ChunkedMinimum {
		return apiRefusal(http.StatusBadRequest, "file_size_too_small", "file_size is below the minimum file size for uploads via this API", nil)
	}
	if refused := s.roomFor(n); refused != nil {
		return *refused
	}
	now := s.clock.now()
	s.sweepSessions(now)
	if len(s.sessions) >= maxSessions {
		return *refusal("api_rate_limited")
	}
	u.id, u.owner, u.size = strings.ToUpper(randomString(32, "0123456789abcdef")), c.token.grant.user, n
	u.partSize = s.knobs.PartSize
	if u.partSize == 0 {
		for u.partSize = standardPart; n > u.partSize*maxParts; {
			u.partSize *= 2
		}
	}
	u.expiresAt = now.Add(time.Duration(s.knobs.SessionLifetime))
	s.sessions[u.id] = &u
	return s.sessionAnswer(c, http.StatusCreated, &u)
}

// session answers GET /api/2.0/files/upload_sessions/{upload_session_id}.
func (s *Server) session(c *call) answer {
	u, refused := s.findSession(c)
	if refused != nil {
		return *refused
	}
	return s.sessionAnswer(c, http.StatusOK, u)
}

// abortSession answers DELETE /api/2.0/files/upload_sessions/{upload_session_id}.
func (s *Server) abortSession(c *call) answer {
	u, refused := s.findSession(c)
	if refused != nil {
		return *refused
	}
	s.endSession(u)
	return answer{status: http.StatusNoContent}
}

// sessionParts answers GET /api/2.0/files/upload_sessions/{upload_session_id}/parts.
func (s *Server) sessionParts(c *call) answer {
	u, refused := s.findSession(c)
	if refused != nil {
		return *refused
	}
	limit, offset, refused := window(c.r.URL.Query(), maxLimit, maxLimit)
	if refused != nil {
		return *refused
	}
	page := listing{TotalCount: len(u.parts), Limit: limit, Offset: offset, Entries: []map[string]any{}}
	for _, p := range u.parts[min(offset, len(u.parts)):min(offset+limit, len(u.parts))] {
		page.Entries = append(page.Entries, p.record())
	}
	return jsonAnswer(http.StatusOK, page)
}

func (p *uploadPart) record() map[string]any {
	return map[string]any{"part_id": p.id, "offset": p.offset, "size": p.blob.size, "sha1": p.blob.sha1}
}

// totalParts is how many parts a session waits for.
func (u *uploadSession) totalParts() int64 { return (u.size + u.partSize - 1) / u.partSize }

// sessionAnswer describes a session.
func (s *Server) sessionAnswer(c *call, status int, u *uploadSession) answer {
	at := s.contentBase(c.r) + "/api/2.0/files/upload_sessions/" + u.id
	ready, now := 0, s.clock.now()
	for _, p := range u.parts {
		if s.processed(p, now) <= 0 {
			ready++
		}
	}
	return jsonAnswer(status, map[string]any{
		"type": "upload_session", "id": u.id, "session_expires_at": stamp(u.expiresAt),
		"part_size": u.partSize, "total_parts": u.totalParts(), "num_parts_processed": ready,
		"session_endpoints": map[string]any{
			"upload_part": at, "commit": at + "/commit", "abort": at, "list_parts": at + "/parts", "status": at,
		},
	})
}

// processed is how long it takes until a part is ready.
func (s *Server) processed(p *uploadPart, now time.Time) time.Duration {
	return p.at.Add(time.Duration(s.knobs.ProcessingTime)).Sub(now)
}

// findSession finds the session that a call's path names, if it is its user's
// and its token may upload there. The caller holds s.mu.
func (s *Server) findSession(c *call) (*uploadSession, *answer) {
	if _, refused := s.authenticate(c); refused != nil {
		return nil, refused
	}
	id := c.r.PathValue("upload_session_id")
	if _, err := hex.DecodeString(id); err != nil || len(id) != 32 {
		a := apiRefusal(http.StatusBadRequest, "invalid_upload_session_id", "The upload session ID provided in the URL is not of a valid format.", nil)
		return nil, &a
	}
	u := s.sessions[id]
	if u == nil {
		a := apiRefusal(http.StatusNotFound, "not_found", "Not Found",
			contextErrors("invalid_parameter", "upload_session_id", fmt.Sprintf("Invalid value '%s'.", id)))
		return nil, &a
	}
	if u.owner != c.token.grant.user {
		return nil, refusal("content_session_forbidden")
	}
	if refused := c.token.may(mayUpload, cmp.Or(u.target, u.folder)); refused != nil {
		return nil, refused
	}
	if !s.clock.now().Before(u.expiresAt) {
		return nil, refusal("content_session_expired")
	}
	return u, nil
}

// stillOpen says that the token or the session has ended while content
// travelled, or nil.
func (s *Server) stillOpen(c *call, u *uploadSession) *answer {
	if refused := s.stillAuthentic(c); refused != nil || s.sessions[u.id] == u {
		return refused
	}
	_, refused := s.findSession(c)
	return refused
}

// endSession forgets a session and lets go of its parts.
func (s *Server) endSession(u *uploadSession) {
	delete(s.sessions, u.id)
	for _, p := range u.parts {
		s.store.release(p.blob)
	}
	u.parts = nil
}

// sweepSessions ends those that expired a day ago: until then a client is told
// so.
func (s *Server) sweepSessions(now time.Time) {
	for _, u := range s.sessions {
		if now.Sub(u.expiresAt) > 24*time.Hour {
			s.endSession(u)
		}
	}
}
