package boxsim

import (
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
)

const (
	// maxAttributes bounds the part of an upload that describes it.
	maxAttributes = 64 << 10
	// maxUpload is the largest file, as users/me tells it.
	maxUpload = 5_368_709_120
)

// attributes describe an upload.
type attributes struct {
	Name   string `json:"name"`
	Parent struct {
		ID string `json:"id"`
	} `json:"parent"`
	Description     string    `json:"description"`
	ContentCreated  time.Time `json:"content_created_at"`
	ContentModified time.Time `json:"content_modified_at"`
}

// arrival is an upload on its way: where it goes, and what has come.
type arrival struct {
	about  attributes
	target *item // the file that gets a new version; nil for a new file
	folder *item
	quota  int64
	blob   *blob

	// Of a part, or of the commit of all parts:
	session   *uploadSession
	offset, n int64
	digest    string // as the client says
}

// receiveUpload reads the multipart body of an upload, of a new file or of a
// version. What can be refused is refused before the content is taken.
func (s *Server) receiveUpload(c *call) (*answer, error) {
	if refused := s.admitUpload(c); refused != nil {
		return refused, nil
	}
	c.r.Body = io.NopCloser(c.in) // reads through the intake from here on
	parts, err := c.r.MultipartReader()
	if err != nil {
		return notAForm(err), nil
	}
	arr := &arrival{}
	for {
		part, err := parts.NextPart()
		if err != nil {
			return malformed(c, err)
		}
		switch part.FormName() {
		case "attributes":
			if refused, err := s.readAttributes(c, arr, part); refused != nil || err != nil {
				return refused, err
			}
		default:
			if part.FileName() == "" && part.FormName() != "file" {
				continue // other fields are of no interest
			}
			return s.receiveFile(c, arr, part)
		}
	}
}

func notAForm(error) *answer {
	a := badParameter("invalid_parameter", "entity_body", "The body is not multipart/form-data")
	return &a
}

// malformed tells a body that ends too early from a connection that does.
func malformed(c *call, err error) (*answer, error) {
	if errors.Is(err, errCut) || c.in.err != nil {
		return nil, errCut
	}
	a := badParameter("missing_parameter", "file", "'file' is required")
	return &a, nil
}

func (s *Server) readAttributes(c *call, arr *arrival, part *multipart.Part) (*answer, error) {
	raw, err := io.ReadAll(io.LimitReader(part, maxAttributes+1))
	if err != nil {
		return malformed(c, err)
	}
	if len(raw) > maxAttributes || json.Unmarshal(raw, &arr.about) != nil {
		a := badParameter("invalid_parameter", "attributes", "Invalid value. The attributes are not a JSON object")
		return &a, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place(c, arr), nil
}

// receiveFile takes the content, and checks its hash if the client sent one.
func (s *Server) receiveFile(c *call, arr *arrival, part io.Reader) (*answer, error) {
	if arr.folder == nil {
		return refusal("content_metadata_after_contents"), nil
	}
	limited := &io.LimitedReader{R: part, N: maxUpload + 1}
	b, refused, err := s.take(limited, arr.quota)
	if err != nil {
		return malformed(c, err)
	}
	if refused != nil {
		return refused, nil
	}
	if want := c.r.Header.Get("Content-Md5"); want != "" && !strings.EqualFold(want, b.sha1) {
		s.store.release(b)
		return refusal("content_bad_digest"), nil
	}
	if limited.N == 0 {
		s.store.release(b)
		return refusal("content_file_size_limit"), nil
	}
	arr.blob = b
	c.arrival = arr
	return nil, nil
}

// admitUpload checks the token before the body is read.
func (s *Server) admitUpload(c *call) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, refused := s.authenticate(c)
	return refused
}

// place finds out where an upload goes. The caller holds s.mu.
func (s *Server) place(c *call, arr *arrival) *answer {
	arr.quota = s.knobs.Quota
	if id := c.r.PathValue("file_id"); id != "" {
		return s.placeVersion(c, arr, id)
	}
	return s.placeNew(c, arr, arr.about.Parent.ID)
}

func (s *Server) placeNew(c *call, arr *arrival, parent string) *answer {
	if refused := checkName(arr.about.Name); refused != nil {
		return refused
	}
	folder, refused := s.openWith(c, kindFolder, parent, mayUpload)
	if refused != nil {
		return refused
	}
	arr.folder = folder
	return nameTaken(folder, arr.about.Name, nil, kindFile)
}

func (s *Server) placeVersion(c *call, arr *arrival, id string) *answer {
	it, refused := s.openWith(c, kindFile, id, mayUpload)
	if refused != nil {
		return refused
	}
	arr.target, arr.folder = it, it.parent
	if refused := unchanged(c, it); refused != nil {
		return refused
	}
	if arr.about.Name == "" || arr.about.Name == it.name {
		return nil
	}
	if refused := checkName(arr.about.Name); refused != nil {
		return refused
	}
	return nameTaken(it.parent, arr.about.Name, it, kindFile)
}

// upload answers POST /api/2.0/files/content and, for a new version, POST
// /api/2.0/files/{file_id}/content.
func (s *Server) upload(c *call) answer {
	arr := c.arrival
	if refused := s.stillPlaced(c, arr); refused != nil {
		s.store.release(arr.blob)
		return *refused
	}
	status := http.StatusCreated
	if arr.target != nil {
		status = http.StatusOK
	}
	return uploaded(c, status, s.land(c, arr))
}

// stillPlaced looks once more, as much may have happened since the upload
// began.
func (s *Server) stillPlaced(c *call, arr *arrival) *answer {
	if refused := s.stillAuthentic(c); refused != nil {
		return refused
	}
	return s.place(c, arr)
}

// stillAuthentic says that the token has ended while content travelled, or nil.
func (s *Server) stillAuthentic(c *call) *answer {
	if c.token.works(s.clock.now()) {
		return nil
	}
	s.counters.RefusedCalls++
	return refusal("api_token_invalid")
}

// land makes the uploaded content a new file or a new version. The caller
// holds s.mu.
func (s *Server) land(c *call, arr *arrival) *item {
	now, user := s.clock.now(), c.token.grant.user
	it := arr.target
	number := 1
	if it == nil {
		it = s.newItem(c, arr.folder, kindFile, arr.about.Name)
		it.description = arr.about.Description
	} else {
		number = it.current().number + 1
		if arr.about.Name != "" {
			it.name = arr.about.Name
		}
		it.touch(user, now)
		it.contentModified = now
	}
	if !arr.about.ContentCreated.IsZero() {
		it.contentCreated = arr.about.ContentCreated
	}
	if !arr.about.ContentModified.IsZero() {
		it.contentModified = arr.about.ContentModified
	}
	it.versions = append(it.versions, &version{
		id: s.tree.number("version"), number: number, name: it.name, by: user, at: now, blob: arr.blob,
	})
	return it
}
