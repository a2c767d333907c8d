package boxsim

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxCommit bounds the body of a commit: some hundred bytes for each part.
const maxCommit = 4 << 20

// commitBody is what a commit says.
type commitBody struct {
	Parts []struct {
		ID     string `json:"part_id"`
		Offset int64  `json:"offset"`
		Size   int64  `json:"size"`
	} `json:"parts"`
	Attributes attributes `json:"attributes"`
}

// receiveCommit reads a commit and the whole content, to compare its hash. That
// takes its time, which is why it isn't done under s.mu.
func (s *Server) receiveCommit(c *call) (*answer, error) {
	raw, err := io.ReadAll(io.LimitReader(c.in, maxCommit+1))
	if err != nil {
		return nil, errCut
	}
	arr, refused := s.announcedCommit(c, raw)
	if refused != nil {
		return refused, nil
	}
	arr.blob.sha1, err = arr.blob.hash()
	if err != nil || arr.blob.sha1 != arr.digest {
		s.store.release(arr.blob)
		if err != nil {
			return s.unstored(err), nil
		}
		return digestMismatch(arr.blob.sha1, arr.digest), nil
	}
	c.arrival = arr
	return nil, nil
}

// announcedCommit checks all but the hash, and takes hold of the content.
func (s *Server) announcedCommit(c *call, raw []byte) (*arrival, *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, refused := s.findSession(c)
	if refused != nil {
		return nil, refused
	}
	digest, refused := readDigest(c)
	if refused != nil {
		return nil, refused
	}
	var body commitBody
	if len(raw) > maxCommit || json.Unmarshal(raw, &body) != nil || len(body.Parts) == 0 {
		a := badParameter("missing_parameter", "parts", "'parts' is required")
		return nil, &a
	}
	for _, listed := range body.Parts {
		if p := u.part(listed.Offset); p == nil || p.id != listed.ID || p.blob.size != listed.Size {
			a := badParameter("invalid_parameter", "parts", "A part that is listed was not uploaded.")
			return nil, &a
		}
	}
	ids := map[string]bool{}
	for _, listed := range body.Parts {
		ids[listed.ID] = true
	}
	if int64(len(ids)) != u.totalParts() {
		a := badParameter("invalid_parameter", "parts", "The parts are not the whole file.")
		return nil, &a
	}
	if wait := s.unready(u); wait > 0 {
		return nil, &answer{status: http.StatusAccepted, header: map[string]string{"Retry-After": strconv.Itoa(int(math.Ceil(wait.Seconds())))}}
	}
	arr := &arrival{session: u, about: body.Attributes, digest: digest}
	if refused := s.placeSession(c, arr); refused != nil {
		return nil, refused
	}
	var blobs []*blob
	for _, p := range u.parts {
		blobs = append(blobs, p.blob)
	}
	arr.blob = s.store.retain(join(blobs))
	return arr, nil
}

// unready is how long it takes until the last part is ready.
func (s *Server) unready(u *uploadSession) time.Duration {
	now := s.clock.now()
	last := slices.MaxFunc(u.parts, func(a, b *uploadPart) int { return a.at.Compare(b.at) })
	return s.processed(last, now)
}

// placeSession finds out where the upload of a session goes, as things are now.
func (s *Server) placeSession(c *call, arr *arrival) *answer {
	u := arr.session
	arr.about.Name = u.name
	if u.target != nil {
		return s.placeVersion(c, arr, u.target.id)
	}
	return s.placeNew(c, arr, u.folder.id)
}

// commitSession answers POST /api/2.0/files/upload_sessions/{upload_session_id}/commit.
func (s *Server) commitSession(c *call) answer {
	arr := c.arrival
	u := arr.session
	refused := s.stillOpen(c, u)
	if refused == nil {
		refused = s.placeSession(c, arr)
	}
	if refused != nil {
		s.store.release(arr.blob)
		return *refused
	}
	it := s.land(c, arr)
	s.endSession(u) // the file holds the content
	return uploaded(c, http.StatusCreated, it)
}
