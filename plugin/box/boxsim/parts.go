package boxsim

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// receivePart takes the content of a part.
func (s *Server) receivePart(c *call) (*answer, error) {
	arr, quota, refused := s.announcedPart(c)
	if refused != nil {
		return refused, nil
	}
	b, refused, err := s.take(io.LimitReader(c.in, arr.n+1), quota)
	if refused != nil || err != nil {
		return refused, err
	}
	if b.size != arr.n {
		s.store.release(b)
		return wrongLength(), nil
	}
	arr.blob = b
	if b.sha1 != arr.digest {
		s.store.release(b)
		return digestMismatch(b.sha1, arr.digest), nil
	}
	c.arrival = arr
	return nil, nil
}

// announcedPart reads and checks what the headers say about a part.
func (s *Server) announcedPart(c *call) (*arrival, int64, *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, refused := s.findSession(c)
	if refused != nil {
		return nil, 0, refused
	}
	digest, refused := readDigest(c)
	if refused != nil {
		return nil, 0, refused
	}
	from, to, total, ok := readContentRange(c.r.Header.Get("Content-Range"))
	if !ok {
		a := badParameter("invalid_parameter", "content-range", "The header is not of the form bytes FIRST-LAST/TOTAL.")
		return nil, 0, &a
	}
	if total != u.size || from%u.partSize != 0 || from >= u.size || to != min(from+u.partSize, u.size)-1 {
		a := apiRefusal(http.StatusRequestedRangeNotSatisfiable, "range_not_satisfiable", "The content range does not match a part of the session", nil)
		return nil, 0, &a
	}
	arr := &arrival{session: u, offset: from, n: to - from + 1, digest: digest}
	if length := c.r.ContentLength; length >= 0 && length != arr.n {
		return nil, 0, wrongLength()
	}
	if refused := s.overlap(arr); refused != nil {
		return nil, 0, refused
	}
	return arr, s.knobs.Quota, nil
}

func wrongLength() *answer {
	a := badParameter("invalid_parameter", "content-length", "The content's length differs from the content range.")
	return &a
}

// readDigest reads the SHA-1 of the Digest header, as hexadecimal digits.
func readDigest(c *call) (string, *answer) {
	value, ok := strings.CutPrefix(c.r.Header.Get("Digest"), "sha=")
	sum, err := base64.StdEncoding.DecodeString(value)
	if !ok || err != nil || len(sum) != 20 {
		a := badParameter("missing_parameter", "digest", "The header is not of the form sha=BASE64 of a SHA-1.")
		return "", &a
	}
	return hex.EncodeToString(sum), nil
}

func digestMismatch(actual, expected string) *answer {
	text := func(digest string) string {
		sum, err := hex.DecodeString(digest)
		if err != nil {
			return digest
		}
		return base64.StdEncoding.EncodeToString(sum)
	}
	a := apiRefusal(http.StatusBadRequest, "digest_mismatch",
		fmt.Sprintf("File digest was incorrect. Actual: %s Expected: %s", text(actual), text(expected)), nil)
	return &a
}

// readContentRange reads "bytes FIRST-LAST/TOTAL".
func readContentRange(header string) (from, to, total int64, ok bool) {
	rest, ok1 := strings.CutPrefix(header, "bytes ")
	span, size, ok2 := strings.Cut(rest, "/")
	first, last, ok3 := strings.Cut(span, "-")
	if !ok1 || !ok2 || !ok3 {
		return 0, 0, 0, false
	}
	var numbers [3]int64
	for i, text := range []string{first, last, size} {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, 0, false
		}
		numbers[i] = n
	}
	return numbers[0], numbers[1], numbers[2], true
}

// part finds the part at an offset, or nil.
func (u *uploadSession) part(offset int64) *uploadPart {
	if i := slices.IndexFunc(u.parts, func(p *uploadPart) bool { return p.offset == offset }); i >= 0 {
		return u.parts[i]
	}
	return nil
}

// overlap says that the part is there already, or nil. As parts have fixed
// places, one overlaps with its own predecessor only.
func (s *Server) overlap(arr *arrival) *answer {
	there := arr.session.part(arr.offset)
	if there == nil || (s.knobs.AcceptRepeatedParts && there.blob.sha1 == arr.digest) {
		return nil
	}
	return refusal("content_range_overlap")
}

// uploadPart answers PUT /api/2.0/files/upload_sessions/{upload_session_id}.
func (s *Server) uploadPart(c *call) answer {
	arr := c.arrival
	u := arr.session
	refused := s.stillOpen(c, u)
	if refused == nil {
		refused = s.overlap(arr)
	}
	if refused != nil {
		s.store.release(arr.blob)
		return *refused
	}
	p := u.part(arr.offset)
	if p != nil {
		s.store.release(arr.blob)
	} else {
		p = &uploadPart{id: strings.ToUpper(randomString(8, "0123456789abcdef")), offset: arr.offset, blob: arr.blob, at: s.clock.now()}
		u.parts = append(u.parts, p)
		slices.SortFunc(u.parts, func(a, b *uploadPart) int { return int(a.offset/u.partSize - b.offset/u.partSize) })
	}
	return jsonAnswer(http.StatusOK, map[string]any{"part": p.record()})
}
