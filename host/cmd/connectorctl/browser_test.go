package main_test

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// visitor is how somebody behaves before the browser.
type visitor struct {
	login string // the account to sign in with; empty for the first one
	deny  bool
}

// maxPage bounds a page.
const maxPage = 1 << 20

var ticketField = regexp.MustCompile(`name="ticket" value="([^"]+)"`)

// visit opens a sign-in's URL, decides on the consent page if there is one,
// and follows the redirects as a browser does. It returns the last page's
// status and text.
func (w *world) visit(ctx context.Context, target string, v visitor) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", err
	}
	q := u.Query()
	if v.login != "" {
		q.Set("box_login", v.login)
		u.RawQuery = q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return "", err
	}
	status, page, err := readPage(resp)
	if err != nil {
		return "", err
	}
	if ticket := ticketField.FindStringSubmatch(page); ticket != nil {
		decision := map[bool]string{true: "deny", false: "allow"}[v.deny]
		login := v.login
		if login == "" {
			login = "ada@acme.example"
		}
		u.RawQuery = ""
		resp, err := w.http.PostForm(u.String(), url.Values{"ticket": {ticket[1]}, "decision": {decision}, "login": {login}})
		if err != nil {
			return "", err
		}
		if status, page, err = readPage(resp); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d\n%s", status, page), nil
}

// browse visits in the background. The page that it ends at comes on a channel
// of that name; the world doesn't end before.
func (w *world) browse(name, target string) {
	pages := make(chan string, 1)
	w.pages[name] = pages
	ctx, leave := context.WithCancel(context.Background())
	w.leave[name] = leave
	done := make(chan struct{})
	go func() {
		defer close(done)
		page, _ := w.visit(ctx, target, visitor{}) // a connection that breaks is no page
		pages <- page
	}()
	w.onClose(func() {
		leave()
		<-done
	})
}

// fetch sends a single request and follows nothing. Headers are written
// "Name: value".
func (w *world) fetch(method, target string, headers []string) (string, error) {
	req, err := http.NewRequest(method, target, nil)
	if err != nil {
		return "", err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := *w.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	status, page, err := readPage(resp)
	return fmt.Sprintf("%d\nLocation: %s\n%s", status, resp.Header.Get("Location"), page), err
}

func readPage(resp *http.Response) (status int, text string, err error) {
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	return resp.StatusCode, html.UnescapeString(string(body)), err
}
