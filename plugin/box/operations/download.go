package operations

import (
	"context"
	"crypto/sha1" //nolint:gosec // Box's digest of a file, not a protection
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// stalled is how long a download may bring nothing before it counts as broken.
const stalled = time.Minute

// GetFileInput names a file.
type GetFileInput struct {
	FileID    string `json:"file_id" title:"File ID" pattern:"^[0-9]{1,32}$"`
	VersionID string `json:"version_id,omitempty" title:"Version ID" description:"The present version if it is left out." pattern:"^[0-9]{1,32}$"`
}

func getFile(ctx context.Context, s *operation.Session, in *GetFileInput, out *operation.Output[Item]) error {
	file := s.Endpoint("api").JoinPath("files", in.FileID)
	var item Item
	if _, err := do(ctx, s, call{method: http.MethodGet, url: file, query: url.Values{"fields": {fileFields}}}, &item); err != nil {
		return err
	}
	d := &download{ctx: ctx, session: s, url: file.JoinPath("content"), total: -1}
	switch {
	case in.VersionID != "":
		d.version = in.VersionID
		item.FileVersion, item.Size, item.SHA1 = &Reference{Type: "file_version", ID: in.VersionID}, nil, ""
	case item.FileVersion != nil:
		// The version that was looked at, whoever uploads another meanwhile.
		d.version = item.FileVersion.ID
	}
	if item.Size != nil {
		d.total = *item.Size
	}
	if item.SHA1 != "" {
		d.sha1, d.sum = item.SHA1, sha1.New() //nolint:gosec // see above
	}
	if err := d.open(); err != nil {
		return err
	}
	defer d.close()
	return out.SendContent(&item, d, d.total)
}

// download reads a file's content, and asks for the rest if it breaks off.
type download struct {
	ctx     context.Context
	session *operation.Session
	url     *url.URL
	version string
	sha1    string
	sum     hash.Hash // nil without a digest to compare with

	body   io.ReadCloser
	cancel context.CancelFunc
	stall  *time.Timer
	read   int64
	total  int64 // -1 for unknown
	tried  int   // since the last byte came
}

// Read implements io.Reader. It ends with io.EOF only when all is there.
func (d *download) Read(b []byte) (int, error) {
	for {
		if d.body == nil {
			if err := d.open(); err != nil {
				return 0, err
			}
		}
		d.stall.Reset(stalled)
		n, err := d.body.Read(b)
		if n > 0 {
			if d.read += int64(n); d.total >= 0 && d.read > d.total {
				return 0, otherContent()
			}
			d.tried = 0
			if d.sum != nil {
				_, _ = d.sum.Write(b[:n]) // a hash never fails
			}
			d.session.Progress(d.read, max(0, d.total))
			return n, nil
		}
		if errors.Is(err, io.EOF) && d.total < 0 || err != nil && d.read == d.total {
			return 0, d.finish()
		}
		if err != nil {
			d.close()
			if err := d.again(err); err != nil {
				return 0, err
			}
		}
	}
}

// finish compares what came with what was announced.
func (d *download) finish() error {
	if d.sum != nil && hex.EncodeToString(d.sum.Sum(nil)) != d.sha1 {
		return otherContent()
	}
	return io.EOF
}

func otherContent() error {
	return connector.Errorf(connector.ContentDamaged, connector.OriginService, "What came isn't the file that Box described: its length or digest is another.").
		With(connector.Retry).Suggest("Try again.")
}

// open asks for the content from where it broke off.
func (d *download) open() error {
	for {
		err := d.ask()
		if err == nil {
			return nil
		}
		if !passes(err) {
			return err
		}
		if err := d.again(err); err != nil {
			return err
		}
	}
}

// again waits before another try, or returns the cause if there were enough.
func (d *download) again(cause error) error {
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	if d.tried++; d.tried >= attempts {
		return connectorhttp.NetworkFailure(d.ctx, cause, d.url.Host)
	}
	wait := firstDelay << d.tried
	if told, ok := errors.AsType[*connector.Diagnostic](cause); ok {
		wait = max(wait, told.RetryAfter)
	}
	return sleep(d.ctx, wait)
}

func (d *download) ask() error {
	u := *d.url
	if d.version != "" {
		u.RawQuery = url.Values{"version": {d.version}}.Encode()
	}
	ctx, cancel := context.WithCancel(d.ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return err
	}
	if d.read > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.read))
	}
	stall := time.AfterFunc(callTimeout, cancel)
	resp, err := d.session.HTTPClient().Do(req) //nolint:bodyclose // close does
	if err != nil {
		stall.Stop()
		cancel()
		return connectorhttp.NetworkFailure(d.ctx, err, d.url.Host)
	}
	d.body, d.cancel, d.stall = resp.Body, cancel, stall
	if err := d.check(resp); err != nil {
		d.close()
		return err
	}
	return nil
}

// check looks whether an answer brings what was asked for.
func (d *download) check(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusAccepted: // the content isn't ready yet
		return connector.Errorf(connector.ServiceUnavailable, connector.OriginService, "Box is still preparing the file.").
			With(connector.Retry).After(connectorhttp.RetryAfter(resp.Header, time.Now())).Suggest("Try again in a while.")
	case resp.StatusCode == http.StatusPartialContent && d.read > 0:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.read)) {
			return unexpected(&reply{status: resp.StatusCode, header: resp.Header})
		}
		return nil
	case resp.StatusCode == http.StatusOK:
		if d.read > 0 { // the range was ignored
			if _, err := io.CopyN(io.Discard, resp.Body, d.read); err != nil {
				return connectorhttp.NetworkFailure(d.ctx, err, d.url.Host)
			}
			return nil
		}
		if d.total < 0 {
			d.total = resp.ContentLength
		}
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return connectorhttp.NetworkFailure(d.ctx, err, d.url.Host)
	}
	a := &reply{status: resp.StatusCode, header: resp.Header, body: body}
	if err := refusal(a); err != nil {
		return err
	}
	return unexpected(a)
}

func (d *download) close() {
	if d.body != nil {
		d.stall.Stop()
		_ = d.body.Close() // what was read is counted
		d.cancel()
		d.body = nil
	}
}
