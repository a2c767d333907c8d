package boxsim

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const maxPage = 1 << 20

var (
	ticketField = regexp.MustCompile(`name="ticket" value="([^"]+)"`)
	errorField  = regexp.MustCompile(`id="error">([^<]+)<`)
)

// PageError is an error page that the person saw instead of a redirect.
type PageError struct {
	Status int
	Code   string // for example redirect_uri_mismatch; empty if the page has none
}

// Error names the page.
func (e *PageError) Error() string {
	return fmt.Sprintf("the consent page shows an error: %s (status %d)", e.Code, e.Status)
}

// Person plays the part of somebody before a browser, for tests: opens the
// page, picks an account, decides, and is sent back.
type Person struct {
	// Login is the account; empty leaves the page's choice.
	Login string
	// Client is the HTTP client; http.DefaultClient if nil.
	Client *http.Client
}

// Allow grants the request and returns the callback URL, which it doesn't
// follow. An error page is a *[PageError].
func (p Person) Allow(ctx context.Context, authorizeURL string) (string, error) {
	return p.decide(ctx, authorizeURL, "allow")
}

// Deny refuses the request and returns the callback URL.
func (p Person) Deny(ctx context.Context, authorizeURL string) (string, error) {
	return p.decide(ctx, authorizeURL, "deny")
}

func (p Person) decide(ctx context.Context, authorizeURL, decision string) (string, error) {
	u, err := url.Parse(authorizeURL)
	if err != nil {
		return "", err
	}
	if p.Login != "" {
		q := u.Query()
		q.Set("box_login", p.Login)
		u.RawQuery = q.Encode()
	}
	callback, page, err := p.send(ctx, http.MethodGet, u.String(), nil)
	if err != nil || callback != "" {
		return callback, err
	}
	ticket := ticketField.FindStringSubmatch(page)
	if ticket == nil {
		return "", errors.New("the answer isn't the emulator's consent page")
	}
	login := p.Login
	if login == "" {
		login = selected(page)
	}
	u.RawQuery = ""
	form := url.Values{"ticket": {ticket[1]}, "decision": {decision}, "login": {login}}
	callback, _, err = p.send(ctx, http.MethodPost, u.String(), form)
	if err == nil && callback == "" {
		err = errors.New("the decision wasn't answered with a redirect")
	}
	return callback, err
}

// selected is the account that the page offers first.
func selected(page string) string {
	options := regexp.MustCompile(`<option value="([^"]+)"( selected)?>`).FindAllStringSubmatch(page, -1)
	login := ""
	for i, o := range options {
		if i == 0 || o[2] != "" {
			login = html.UnescapeString(o[1])
		}
	}
	return login
}

// send returns where the answer redirects to, or the page.
func (p Person) send(ctx context.Context, method, target string, form url.Values) (location, page string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	hc := http.Client{}
	if p.Client != nil {
		hc = *p.Client
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := hc.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return "", "", err
	}
	switch {
	case res.StatusCode == http.StatusFound:
		return res.Header.Get("Location"), "", nil
	case res.StatusCode == http.StatusOK:
		return "", string(body), nil
	}
	failed := &PageError{Status: res.StatusCode}
	if m := errorField.FindStringSubmatch(string(body)); m != nil {
		failed.Code = html.UnescapeString(m[1])
	}
	return "", "", failed
}
