package main

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	doorPath = "/open"
	doorKey  = "key"
	// doorWithin is how long the link waits for its one use.
	doorWithin = 10 * time.Minute
)

// door lets one browser in: whoever brings the key first, in time.
type door struct {
	key     connector.Secret
	session connector.Secret
	cookie  string
	now     func() time.Time
	until   time.Time

	mu   sync.Mutex
	used bool
}

// newDoor makes a door for the page on a port. Cookies don't know of ports, so
// its cookie's name does.
func newDoor(port int, now func() time.Time) *door {
	return &door{
		key: connector.NewSecret(rand.Text()), session: connector.NewSecret(rand.Text()),
		cookie: fmt.Sprintf("connectorctl-%d", port), now: now, until: now().Add(doorWithin),
	}
}

// mount puts the door before the pages.
func (d *door) mount(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != doorPath || r.Method != http.MethodGet {
			pages.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		if r.Header.Get("Sec-Purpose") != "" || !d.opens(r.URL.Query().Get(doorKey)) {
			http.Error(w, "This link was used, or has expired. Run connectorctl web again for a new one.", http.StatusForbidden)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: d.cookie, Value: d.session.Reveal(), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}

// opens reports whether the key fits, once.
func (d *door) opens(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used || d.now().After(d.until) || !same(key, d.key) {
		return false
	}
	d.used = true
	return true
}

// admits is nil for requests of the browser that came in.
func (d *door) admits(r *http.Request) error {
	c, err := r.Cookie(d.cookie)
	if err != nil || !same(c.Value, d.session) {
		return errors.New("no session")
	}
	return nil
}

func same(given string, want connector.Secret) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(want.Reveal())) == 1
}

// titleOf is what a plugin is called before it is loaded: box-connection is
// "box connection".
func titleOf(plugin string) string {
	return strings.NewReplacer("-", " ", "_", " ").Replace(strings.TrimSuffix(filepath.Base(plugin), ".exe"))
}
