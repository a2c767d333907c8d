package boxsim

import (
	"cmp"
	"slices"
	"time"
)

// UploadSessionState is an open upload in parts as the control API shows it.
type UploadSessionState struct {
	ID        string    `json:"id"`
	User      string    `json:"user"` // login
	Name      string    `json:"name"` // of the file
	Size      int64     `json:"size"`
	PartSize  int64     `json:"part_size"`
	Parts     int       `json:"parts"` // that have come
	ExpiresAt time.Time `json:"expires_at"`
}

// ContentState sums up what is stored.
type ContentState struct {
	Folders int `json:"folders"` // the root too
	Files   int `json:"files"`
	Trashed int `json:"trashed"` // deleted items that are remembered
	// Stored is the number of bytes that uploads take on the disk.
	Stored         int64                `json:"stored"`
	UploadSessions []UploadSessionState `json:"upload_sessions"`
}

// contentState is what the control API shows. The caller holds s.mu.
func (s *Server) contentState() ContentState {
	out := ContentState{Trashed: len(s.tree.trash), Stored: s.store.bytes(), UploadSessions: []UploadSessionState{}}
	for _, it := range s.tree.items {
		switch it.kind {
		case kindFolder:
			out.Folders++
		case kindFile:
			out.Files++
		}
	}
	for _, u := range s.sessions {
		name := u.name
		if name == "" {
			name = u.target.name
		}
		out.UploadSessions = append(out.UploadSessions, UploadSessionState{
			ID: u.id, User: u.owner.Login, Name: name, Size: u.size, PartSize: u.partSize, Parts: len(u.parts), ExpiresAt: u.expiresAt,
		})
	}
	slices.SortFunc(out.UploadSessions, func(a, b UploadSessionState) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
