package operations

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"

	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// chunkedFrom is the size above which a file is uploaded in parts: Box
	// recommends it, and takes it from 20 MB on
	// (developer.box.com/guides/uploads/chunked).
	chunkedFrom = 50_000_000

	// conflictTries is how often an upsert looks again for the file of that
	// name, if others make and delete it meanwhile.
	conflictTries = 3
)

// UploadInput says where the content goes.
type UploadInput struct {
	Name     string `json:"name" title:"File name" pattern:"^[^/\\\\]*[^/\\\\ ]$" minLength:"1" maxLength:"255"`
	ParentID string `json:"parent_id,omitempty" title:"Parent folder ID" description:"The root if it is left out." pattern:"^[0-9]{1,32}$"`
}

// target is where an upload goes: a new file, or a version of one.
type target struct {
	Name   string `json:"name"`
	Parent string `json:"parent"`
	// FileID is that of the file that gets a new version, or empty.
	FileID string `json:"file_id,omitempty"`
}

func createFile(ctx context.Context, s *operation.Session, in *UploadInput, out *Item) error {
	return upload(ctx, s, in, out, false)
}

func upsertFile(ctx context.Context, s *operation.Session, in *UploadInput, out *Item) error {
	return upload(ctx, s, in, out, true)
}

func upload(ctx context.Context, s *operation.Session, in *UploadInput, out *Item, replace bool) error {
	if err := checkName(in.Name, "/name"); err != nil {
		return err
	}
	to := target{Name: in.Name, Parent: parent(in.ParentID)}
	if at, ok := s.Resume(); ok {
		resumed, err := resume(ctx, s, at, to)
		if err != nil {
			return err
		}
		if resumed != nil {
			return resumed.run(out)
		}
		// The session at Box has ended: it begins anew.
	}
	content, err := newContent(s.Content())
	if err != nil {
		return err
	}
	defer content.close()
	for try := 1; ; try++ {
		err := to.check(ctx, s, content.size)
		if err == nil {
			err = to.send(ctx, s, content, out)
		}
		if to.FileID != "" && errors.Is(err, connector.ItemNotFound) && try < conflictTries && !content.spent() {
			to.FileID = "" // it was deleted meanwhile
			continue
		}
		existing, found := conflict(err)
		switch {
		case !found || !replace || to.FileID != "" || try == conflictTries || content.spent():
			return err
		case existing.Type != "file":
			return connector.Errorf(connector.ItemExists, connector.OriginService, "The folder has a %s of this name, which can't get a new version.", kind(existing.Type)).
				Suggest("Choose another name.")
		}
		to.FileID = existing.ID
	}
}

// conflictError is a refusal that names the item in the way.
type conflictError struct {
	*connector.Diagnostic
	item Reference
}

// Unwrap returns the diagnostic.
func (e *conflictError) Unwrap() error { return e.Diagnostic }

func conflict(err error) (Reference, bool) {
	if e, ok := errors.AsType[*conflictError](err); ok && e.item.ID != "" {
		return e.item, true
	}
	return Reference{}, false
}

// withConflict keeps the item that stands in the way.
func withConflict(a *reply, err error) error {
	d, ok := errors.AsType[*connector.Diagnostic](err)
	if !ok || a == nil || !errors.Is(err, connector.ItemExists) {
		return err
	}
	e := &conflictError{Diagnostic: d}
	if found := a.problem().Context.Conflicts; len(found) > 0 {
		e.item = found[0]
	}
	return e
}

func kind(itemType string) string {
	switch itemType {
	case "folder":
		return "folder"
	case "web_link":
		return "web link"
	}
	return "thing"
}

// check asks Box whether it would take a new file, before its content travels.
// For a version there is no such call.
func (t target) check(ctx context.Context, s *operation.Session, size int64) error {
	if t.FileID != "" {
		return nil
	}
	body := map[string]any{"name": t.Name, "parent": Reference{ID: t.Parent}, "size": size}
	c, err := jsonCall(http.MethodOptions, s.Endpoint("api").JoinPath("files", "content"), body)
	if err != nil {
		return err
	}
	a, err := do(ctx, s, c, nil)
	return withConflict(a, err)
}

// send uploads the content.
func (t target) send(ctx context.Context, s *operation.Session, c *content, out *Item) error {
	if c.size > chunkedFrom {
		session, err := openSession(ctx, s, t, c)
		if err != nil {
			return err
		}
		return session.run(out)
	}
	return t.sendWhole(ctx, s, c, out)
}

// sendWhole uploads the content in one request, which carries its digest. If
// its answer is lost it may have been carried out, so it is repeated only if
// the file isn't there.
func (t target) sendWhole(ctx context.Context, s *operation.Session, c *content, out *Item) error {
	digest, err := c.digest()
	if err != nil {
		return err
	}
	delay := firstDelay
	for attempt := 1; ; attempt++ {
		err := t.post(ctx, s, c, digest, out)
		if attempt == attempts || !passes(err) || ctx.Err() != nil {
			return err
		}
		if err := sleep(ctx, delay); err != nil {
			return err
		}
		delay *= 2
		landed, lerr := t.landed(ctx, s, digest, c.size, out)
		if landed {
			return nil
		}
		if lerr != nil && !passes(lerr) {
			return lerr
		}
	}
}

// landed asks whether the content is there already, though the answer that
// would have told so was lost. Another item of that name is an error for a new
// file.
func (t target) landed(ctx context.Context, s *operation.Session, digest string, size int64, out *Item) (bool, error) {
	err := target{Name: t.Name, Parent: t.Parent}.check(ctx, s, size)
	there, found := conflict(err)
	switch {
	case found && there.Type == "file" && there.SHA1 == digest && (t.FileID == "" || t.FileID == there.ID):
		*out = Item{
			Type: there.Type, ID: there.ID, Name: there.Name, ETag: there.ETag, SequenceID: there.SequenceID, SHA1: digest, Size: &size,
			Parent: &Reference{Type: "folder", ID: t.Parent},
		}
		return true, nil
	case found && t.FileID != "":
		return false, nil
	}
	return false, err
}

// post makes the request.
func (t target) post(ctx context.Context, s *operation.Session, c *content, digest string, out *Item) error {
	ctx, cancel := context.WithTimeout(ctx, timeFor(c.size))
	defer cancel()
	u := s.Endpoint("upload").JoinPath("files", "content")
	attributes := map[string]any{"name": t.Name}
	if t.FileID != "" {
		u = s.Endpoint("upload").JoinPath("files", t.FileID, "content")
	} else {
		attributes["parent"] = Reference{ID: t.Parent}
	}
	u.RawQuery = url.Values{"fields": {fileFields}}.Encode()
	form, err := newForm(attributes, t.Name)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	req.GetBody = func() (io.ReadCloser, error) {
		r, err := c.reader()
		if err != nil {
			return nil, err
		}
		return io.NopCloser(io.MultiReader(bytes.NewReader(form.head), progress(s, r, c.size), bytes.NewReader(form.tail))), nil
	}
	if req.Body, err = req.GetBody(); err != nil {
		return err
	}
	req.ContentLength = int64(len(form.head)+len(form.tail)) + c.size
	req.Header.Set("Content-Type", form.contentType)
	req.Header.Set("Content-MD5", digest) // Box's name for the SHA-1 in hexadecimal
	a, err := send(ctx, s, req)
	if err == nil {
		err = withConflict(a, refusal(a))
	}
	if err != nil {
		return err
	}
	return firstEntry(a, out)
}

// firstEntry reads the one file of a list, which is how uploads are answered.
func firstEntry(a *reply, out *Item) error {
	var list struct {
		Entries []Item `json:"entries"`
	}
	if json.Unmarshal(a.body, &list) != nil || len(list.Entries) == 0 {
		return unexpected(a)
	}
	*out = list.Entries[0]
	return nil
}

// form is a multipart form around the content.
type form struct {
	head, tail  []byte
	contentType string
}

// newForm makes the form; Box wants the attributes before the content.
func newForm(attributes map[string]any, name string) (*form, error) {
	text, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.WriteField("attributes", string(text)); err != nil {
		return nil, err
	}
	if _, err := w.CreateFormFile("file", name); err != nil {
		return nil, err
	}
	f := &form{head: bytes.Clone(b.Bytes()), contentType: w.FormDataContentType()}
	b.Reset()
	if err := w.Close(); err != nil {
		return nil, err
	}
	f.tail = bytes.Clone(b.Bytes())
	return f, nil
}

// progress tells how much of r was read.
func progress(s *operation.Session, r io.Reader, total int64) io.Reader {
	return &counted{r: r, tell: func(n int64) { s.Progress(n, total) }}
}

type counted struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if n > 0 {
		c.n += int64(n)
		c.tell(c.n)
	}
	return n, err
}
