package operations

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // Box's digest of a file, not a protection
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

const (
	// abortWithin bounds the call that drops what was uploaded, after the
	// execution has ended.
	abortWithin = 4 * time.Second
	// commitWithin bounds how long Box may take to put the parts together.
	commitWithin = 10 * time.Minute
	// commitAgain is when to ask again, where Box doesn't say.
	commitAgain = time.Second
	// maxPart bounds a part that Box may ask for.
	maxPart = 256 << 20
)

// part is one part that Box has.
type part struct {
	ID     string `json:"part_id"`
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
	SHA1   string `json:"sha1,omitempty"`
}

// session is an upload in parts
// (developer.box.com/reference/post-files-upload-sessions).
type session struct {
	ctx     context.Context
	s       *operation.Session
	to      target
	id      string
	size    int64
	partLen int64
	content io.Reader
	sum     hash.Hash
	parts   []part
	sent    int64
}

// progressMark is the checkpoint after each part.
type progressMark struct {
	Session string `json:"session"`
	To      target `json:"to"`
	Size    int64  `json:"size"`
	PartLen int64  `json:"part_size"`
}

// opened is Box's answer about a session.
type opened struct {
	ID       string `json:"id"`
	PartSize int64  `json:"part_size"`
}

// openSession begins an upload in parts.
func openSession(ctx context.Context, s *operation.Session, to target, c *content) (*session, error) {
	u := s.Endpoint("upload").JoinPath("files", "upload_sessions")
	body := map[string]any{"file_name": to.Name, "file_size": c.size}
	if to.FileID != "" {
		u = s.Endpoint("upload").JoinPath("files", to.FileID, "upload_sessions")
	} else {
		body["folder_id"] = to.Parent
	}
	request, err := jsonCall(http.MethodPost, u, body)
	if err != nil {
		return nil, err
	}
	var o opened
	a, err := do(ctx, s, request, &o)
	if err != nil {
		return nil, withConflict(a, err)
	}
	if o.ID == "" || o.PartSize <= 0 || o.PartSize > maxPart {
		return nil, unexpected(a)
	}
	up := newSession(ctx, s, to, o.ID, c.size, o.PartSize)
	if up.content, err = c.once(); err != nil {
		up.abort()
		return nil, err
	}
	return up, nil
}

func newSession(ctx context.Context, s *operation.Session, to target, id string, size, partLen int64) *session {
	return &session{ctx: ctx, s: s, to: to, id: id, size: size, partLen: partLen, sum: sha1.New()} //nolint:gosec // see above
}

// resume goes on with an upload, or returns nil if Box doesn't have it any
// more. The content comes from its beginning; what Box has of it is read over.
func resume(ctx context.Context, s *operation.Session, checkpoint []byte, to target) (*session, error) {
	var mark progressMark
	if json.Unmarshal(checkpoint, &mark) != nil || mark.PartLen <= 0 || mark.PartLen > maxPart || mark.To.Name != to.Name || mark.To.Parent != to.Parent {
		return nil, unreadableCheckpoint()
	}
	up := newSession(ctx, s, mark.To, mark.Session, mark.Size, mark.PartLen)
	err := up.list()
	if errors.Is(err, connector.ItemNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := s.Content()
	if c == nil || (c.Length >= 0 && c.Length != mark.Size) {
		return nil, connector.Errorf(connector.ContentDamaged, connector.OriginHost, "The content isn't the one whose upload is to go on: its length is another.").
			Suggest("Give the same content, or begin again without the checkpoint.")
	}
	up.content = c
	return up, up.skip()
}

// list asks which parts Box has, and keeps those that follow each other from
// the beginning.
func (u *session) list() error {
	var all []part
	if err := u.each(func(p part) { all = append(all, p) }); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b part) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, p := range all {
		if p.Offset == u.sent && p.Size > 0 {
			u.parts, u.sent = append(u.parts, p), u.sent+p.Size
		}
	}
	return nil
}

// each gives the parts that Box has to use.
func (u *session) each(use func(part)) error {
	for offset := 0; ; {
		var page struct {
			Entries    []part `json:"entries"`
			TotalCount int    `json:"total_count"`
		}
		query := url.Values{"limit": {"1000"}, "offset": {strconv.Itoa(offset)}}
		if _, err := do(u.ctx, u.s, call{method: http.MethodGet, url: u.url("parts"), query: query}, &page); err != nil {
			return err
		}
		for _, p := range page.Entries {
			use(p)
		}
		offset += len(page.Entries)
		if len(page.Entries) == 0 || offset >= page.TotalCount {
			return nil
		}
	}
}

// skip reads over what Box has, and compares it with what Box says of it.
func (u *session) skip() error {
	for i, p := range u.parts {
		sum := sha1.New() //nolint:gosec // see above
		if _, err := io.CopyN(io.MultiWriter(sum, u.sum), u.content, p.Size); err != nil {
			return whole(err)
		}
		if p.SHA1 != "" && p.SHA1 != fmt.Sprintf("%x", sum.Sum(nil)) {
			return connector.Errorf(connector.ContentDamaged, connector.OriginHost, "The content isn't the one whose upload is to go on: part %d is another.", i+1).
				Suggest("Give the same content, or begin again without the checkpoint.")
		}
	}
	return nil
}

// run uploads the parts that are missing and puts the file together. If the
// execution is cancelled or can't succeed any more, nothing stays at Box; if it
// may go on later, the session stays until it expires.
func (u *session) run(out *Item) error {
	err := u.upload()
	if err == nil {
		err = u.commit(out)
	}
	if err != nil && (u.ctx.Err() != nil || !goesOn(err)) {
		u.abort()
	}
	return err
}

func (u *session) upload() error {
	buffer := make([]byte, min(u.partLen, u.size))
	for u.sent < u.size {
		data := buffer[:min(u.partLen, u.size-u.sent)]
		if _, err := io.ReadFull(u.content, data); err != nil {
			return whole(err)
		}
		if err := u.put(data); err != nil {
			return err
		}
		u.s.Progress(u.sent, u.size)
		mark, err := json.Marshal(progressMark{u.id, u.to, u.size, u.partLen})
		if err != nil {
			return err
		}
		if err := u.s.Checkpoint(mark); err != nil {
			return err
		}
	}
	// The content ends only if it is whole: its digest comes at the end.
	if n, err := u.content.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		if err == nil || n > 0 {
			err = otherLength()
		}
		return err
	}
	return nil
}

// whole tells what it means that the content ended.
func whole(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return otherLength()
	}
	return err
}

func otherLength() error {
	return connector.Errorf(connector.ContentDamaged, connector.OriginHost, "The content has another length than was told.").
		Suggest("Give the content's real length, or none.")
}

// overlapping is Box's code for a part that it has already.
const overlapping = "range_overlaps_existing_part"

// put uploads one part. If the answer to an earlier try got lost, Box may have
// it already.
func (u *session) put(data []byte) error {
	sum := sha1.Sum(data) //nolint:gosec // see above
	_, _ = u.sum.Write(data)
	c := call{
		method: http.MethodPut, url: u.url(), body: data,
		header: http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("bytes %d-%d/%d", u.sent, u.sent+int64(len(data))-1, u.size)},
			"Digest":        {"sha=" + base64.StdEncoding.EncodeToString(sum[:])},
		},
	}
	var answer struct {
		Part part `json:"part"`
	}
	a, err := do(u.ctx, u.s, c, &answer)
	if a != nil && a.code() == overlapping {
		err = u.each(func(p part) {
			if p.Offset == u.sent && p.SHA1 == fmt.Sprintf("%x", sum) {
				answer.Part = p
			}
		})
	}
	if err != nil {
		return err
	}
	if answer.Part.ID == "" || answer.Part.Offset != u.sent || answer.Part.Size != int64(len(data)) {
		return unexpected(a)
	}
	u.parts, u.sent = append(u.parts, answer.Part), u.sent+int64(len(data))
	return nil
}

// commit makes the file of its parts, and waits while Box puts it together. A
// commit whose answer was lost has ended the session, so that a repeated one
// finds none: the file tells then.
func (u *session) commit(out *Item) error {
	ctx, cancel := context.WithTimeout(u.ctx, commitWithin)
	defer cancel()
	c, err := jsonCall(http.MethodPost, u.url("commit"), map[string]any{"parts": u.parts})
	if err != nil {
		return err
	}
	c.header.Set("Digest", "sha="+base64.StdEncoding.EncodeToString(u.sum.Sum(nil)))
	c.once = true
	delay := firstDelay
	for attempt := 1; ; {
		a, err := do(ctx, u.s, c, nil)
		if passes(err) && attempt < attempts && ctx.Err() == nil {
			if err := sleep(ctx, delay); err != nil {
				return err
			}
			delay, attempt = delay*2, attempt+1
			continue
		}
		if err != nil {
			err = withConflict(a, err)
			if attempt > 1 && (errors.Is(err, connector.ItemNotFound) || errors.Is(err, connector.ItemExists)) {
				if landed, lerr := u.to.landed(ctx, u.s, hex.EncodeToString(u.sum.Sum(nil)), u.size, out); landed || passes(lerr) {
					return lerr
				}
			}
			return err
		}
		if a.status != http.StatusAccepted {
			return firstEntry(a, out)
		}
		wait := max(connectorhttp.RetryAfter(a.header, time.Now()), commitAgain)
		if err := sleep(ctx, wait); err != nil {
			if u.ctx.Err() == nil {
				err = connector.Errorf(connector.TimedOut, connector.OriginService, "Box didn't put the parts together in time.").
					With(connector.Retry).Suggest("Go on from the checkpoint in a while.")
			}
			return err
		}
	}
}

// abort drops what was uploaded, though the execution has ended.
func (u *session) abort() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortWithin)
	defer cancel()
	// What can't be dropped expires at Box by itself.
	_, _ = once(ctx, u.s, call{method: http.MethodDelete, url: u.url()})
}

func (u *session) url(more ...string) *url.URL {
	return u.s.Endpoint("upload").JoinPath(append([]string{"files", "upload_sessions", u.id}, more...)...)
}
