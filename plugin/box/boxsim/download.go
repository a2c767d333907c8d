package boxsim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// addressLifetime is how long a download address works.
	addressLifetime = 15 * time.Minute
	// maxAddresses bounds how many are remembered.
	maxAddresses = 10_000
)

// ticket is a download address.
type ticket struct {
	file      *item
	version   *version
	expiresAt time.Time
}

// download answers GET /2.0/files/{file_id}/content: with the address where
// the content is, which needs no token.
func (s *Server) download(c *call) answer {
	it, refused := s.open(c, kindFile, mayDownload)
	if refused != nil {
		return *refused
	}
	v := it.current()
	if id := c.r.URL.Query().Get("version"); id != "" {
		i := slices.IndexFunc(it.versions, func(v *version) bool { return v.id == id })
		if i < 0 {
			return apiRefusal(http.StatusNotFound, "not_found", "Not Found",
				contextErrors("invalid_parameter", "version", fmt.Sprintf("Invalid value '%s'. 'file_version' with value '%[1]s' not found", id)))
		}
		v = it.versions[i]
	}
	now := s.clock.now()
	if len(s.tickets) >= maxAddresses {
		for key, t := range s.tickets {
			if !now.Before(t.expiresAt) {
				delete(s.tickets, key)
			}
		}
		if len(s.tickets) >= maxAddresses {
			return *refusal("api_rate_limited")
		}
	}
	key := randomString(64, narrowedLetters)
	s.tickets[key] = &ticket{file: it, version: v, expiresAt: now.Add(addressLifetime)}
	return answer{status: http.StatusFound, header: map[string]string{"Location": s.contentBase(c.r) + "/d/1/" + key + "/download"}}
}

// contentBase is the origin of downloads and uploads.
func (s *Server) contentBase(r *http.Request) string {
	if s.contentURL != "" {
		return s.contentURL
	}
	base := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	return base.String()
}

// fetch answers GET /d/1/{ticket}/download.
func (s *Server) fetch(c *call) answer {
	t := s.tickets[c.r.PathValue("ticket")]
	if t == nil || !s.clock.now().Before(t.expiresAt) || s.tree.items[t.file.id] != t.file {
		return answer{status: http.StatusNotFound, contentType: typeHTML, body: []byte("<html><body><h1>404 Not Found</h1></body></html>\n")}
	}
	size := t.version.blob.size
	from, n, partial, ok := readRange(c.r.Header.Get("Range"), size)
	if !ok {
		return answer{
			status: http.StatusRequestedRangeNotSatisfiable, contentType: typeHTML,
			header: map[string]string{"Content-Range": fmt.Sprintf("bytes */%d", size), "Accept-Ranges": "bytes"},
			body:   []byte("<html><body><h1>416 Requested Range Not Satisfiable</h1></body></html>\n"),
		}
	}
	b := s.store.retain(t.version.blob)
	a := answer{
		status: http.StatusOK, contentType: "application/octet-stream", file: b.reader(from, n),
		header: map[string]string{
			"Accept-Ranges": "bytes", "Content-Disposition": disposition(t.file.name), "X-Content-Type-Options": "nosniff",
		},
	}
	a.done = func() {
		if err := a.file.Close(); err != nil {
			s.log.Debug("closing content", "error", err)
		}
		s.store.release(b)
	}
	if partial {
		a.status = http.StatusPartialContent
		a.header["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", from, from+n-1, size)
	}
	return a
}

// readRange reads a Range header of one range. One that isn't understood, or
// that has several ranges, is as good as none (RFC 9110, section 14.2).
func readRange(header string, size int64) (from, n int64, partial, ok bool) {
	spec, found := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !found || !dash || strings.Contains(spec, ",") {
		return 0, size, false, true
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n < 0 {
			return 0, size, false, true
		}
		n = min(n, size)
		return size - n, n, true, n > 0
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, size, false, true
	}
	end := size - 1
	if last != "" {
		to, err := strconv.ParseInt(last, 10, 64)
		if err != nil || to < from {
			return 0, size, false, true
		}
		end = min(end, to)
	}
	return from, end - from + 1, true, from < size
}

// disposition is the header that names a download, in both ways that browsers
// know.
func disposition(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, name)
	return fmt.Sprintf(`attachment;filename="%s";filename*=UTF-8''%s`, plain, url.PathEscape(name))
}
