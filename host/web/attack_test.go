package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// comesBack begins a sign-in, decides at the service, and brings the callback.
func (v *visitor) comesBack(form url.Values, decide func(context.Context, string) (string, error)) answer {
	v.t.Helper()
	return v.get(v.decided(form, decide))
}

// decided is the callback of a sign-in that waits for it.
func (v *visitor) decided(form url.Values, decide func(context.Context, string) (string, error)) string {
	v.t.Helper()
	callback, err := decide(context.Background(), v.begin(form))
	if err != nil {
		v.t.Fatal(err)
	}
	return callback
}

// refused makes an attack, wants it refused, and wants the sign-in that waits
// meanwhile to work all the same.
func refused(t *testing.T, attack func(t *testing.T, v *visitor, callback string)) {
	t.Helper()
	r := newRig(t)
	v := r.visitor("acme")
	form := v.kept(r.form("sales"))
	callback := v.decided(form, boxsim.Person{}.Allow)
	attack(t, v, callback)
	has(t, v.get(callback), "Access token received")
	if a := v.get(callback); a.status != http.StatusBadRequest || strings.Contains(a.body, "received and generated") {
		t.Errorf("a replay is answered with %d:\n%s", a.status, a.body)
	}
	has(t, v.get("/drafts/"+form.Get("draft")), "Access token received and generated for Ada Admin")
}

func TestForeignHost(t *testing.T) {
	t.Parallel()
	refused(t, func(t *testing.T, v *visitor, callback string) {
		req := v.request(http.MethodGet, callback, nil)
		req.Host = "engine.example.evil.example"
		if a := v.do(req); a.status != http.StatusMisdirectedRequest {
			t.Errorf("a foreign host is answered with %d", a.status)
		}
	})
}

func TestCrossSitePost(t *testing.T) {
	t.Parallel()
	refused(t, func(t *testing.T, v *visitor, _ string) {
		for _, headers := range [][]string{{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}, {"Origin: null"}} {
			for _, path := range []string{"/form/keep", "/form/generate", "/form/save", "/form/discard", "/connections/x/delete"} {
				if a := v.post(path, v.form("evil"), headers...); a.status != http.StatusForbidden {
					t.Errorf("a post to %s with %s is answered with %d", path, headers, a.status)
				}
			}
		}
	})
}

func TestForgedState(t *testing.T) {
	t.Parallel()
	refused(t, func(t *testing.T, v *visitor, callback string) {
		u, err := url.Parse(callback)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for _, states := range [][]string{{"forged"}, {""}, nil, {q.Get("state"), "second"}} {
			q["state"] = states
			u.RawQuery = q.Encode()
			if a := v.get(u.String()); a.status != http.StatusBadRequest {
				t.Errorf("the states %q are answered with %d", states, a.status)
			}
		}
	})
}

// TestCallbackFromAnotherBrowser: whoever gets hold of a callback can't use it,
// nor can another account's path.
func TestCallbackFromAnotherBrowser(t *testing.T) {
	t.Parallel()
	refused(t, func(t *testing.T, v *visitor, callback string) {
		if a := v.visitor("acme").get(callback); a.status != http.StatusBadRequest {
			t.Errorf("a callback from another browser is answered with %d", a.status)
		}
		if a := v.get(strings.Replace(callback, "/account/acme/", "/account/globex/", 1)); a.status != http.StatusBadRequest {
			t.Errorf("a callback at another account's path is answered with %d", a.status)
		}
	})
}

// TestMarkupInErrors: the callback echoes nothing, of a forged request or of the
// service's own.
func TestMarkupInErrors(t *testing.T) {
	t.Parallel()
	const markup = "<script>alert(1)</script>"
	refused(t, func(t *testing.T, v *visitor, _ string) {
		q := url.Values{"state": {markup}, "error": {markup}, "error_description": {markup}, "code": {markup}}
		a := v.get("/account/acme/oauth2/callback?" + q.Encode())
		if a.status != http.StatusBadRequest || strings.Contains(a.body, "alert") {
			t.Errorf("markup is answered with %d:\n%s", a.status, a.body)
		}
		second := v.kept(v.form("other"))
		denied := v.decided(second, boxsim.Person{}.Deny)
		a = v.get(denied + "&error_description=" + url.QueryEscape(markup) + "&extra=" + url.QueryEscape(markup))
		if strings.Contains(a.body, "alert") {
			t.Errorf("the service's words are echoed:\n%s", a.body)
		}
		has(t, a, "Access was denied at the service")
	})
}

func TestLongQuery(t *testing.T) {
	t.Parallel()
	refused(t, func(t *testing.T, v *visitor, callback string) {
		req := v.request(http.MethodGet, callback+"&x="+strings.Repeat("x", 1<<20), nil)
		if a, err := v.try(req); err == nil && a.status != http.StatusRequestURITooLong && a.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a query of 1 MB is answered with %d", a.status)
		}
	})
}

func TestHugeForm(t *testing.T) {
	t.Parallel()
	refused(t, func(t *testing.T, v *visitor, _ string) {
		form := v.form("sales")
		form.Set("value.client_id", strings.Repeat("x", 2<<20))
		if a, err := v.try(v.request(http.MethodPost, "/form/keep", form)); err == nil && a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("a form of 2 MB is answered with %d", a.status)
		}
	})
}

// TestThousandCallbacks: many callbacks at once are refused or told to come
// again, and the one that counts still does.
func TestThousandCallbacks(t *testing.T) {
	t.Parallel()
	refused(t, func(t *testing.T, v *visitor, _ string) {
		var others atomic.Int64
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				a, err := v.try(v.request(http.MethodGet, "/account/acme/oauth2/callback?code=x&state=forged", nil))
				switch {
				case err != nil:
					t.Error(err)
				case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
				case a.status != http.StatusBadRequest:
					others.Add(1)
				}
			})
		}
		wg.Wait()
		if n := others.Load(); n > 0 {
			t.Errorf("%d forged callbacks were neither refused nor told to come again", n)
		}
	})
}
