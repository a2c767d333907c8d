package loopback

import (
	"fmt"
	"net/http"
)

// page is what the browser shows. Its words are fixed: nothing of a request is
// echoed.
type page struct {
	status int
	title  string
	text   string
}

var (
	pageDone         = page{http.StatusOK, "Access token received", "The access token was generated and stored. You can close this window."}
	pageDenied       = page{http.StatusOK, "Access denied", "You denied the access, and nothing was changed. You can close this window."}
	pageOtherAccount = page{http.StatusOK, "Another account", "You signed in to another account than the connection's. The window that began the sign-in tells what to do."}
	pageFailed       = page{http.StatusOK, "The sign-in failed", "Nothing was changed. The window that began the sign-in tells why and what to do."}
	pageAnswered     = page{http.StatusOK, "Already answered", "This sign-in was answered before. You can close this window."}
	pageForeign      = page{http.StatusBadRequest, "Not this sign-in", "This answer doesn't belong to the sign-in that waits here. Begin the sign-in again."}
	pageIncomplete   = page{http.StatusBadRequest, "Nothing to do", "This address only takes the answer to a sign-in."}
	pageNotHere      = page{http.StatusNotFound, "Not found", "There is nothing at this address."}
	pageOnlyGet      = page{http.StatusMethodNotAllowed, "Not allowed", "This address only takes the answer to a sign-in."}
	pageBusy         = page{http.StatusServiceUnavailable, "Busy", "Too many answers at once. Try again in a moment."}
)

const layout = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>%[1]s</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}</style>
<h1>%[1]s</h1>
<p>%[2]s</p>
`

func (p page) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	w.WriteHeader(p.status)
	_, _ = fmt.Fprintf(w, layout, p.title, p.text) // a browser that went away misses the page, nothing else
}
