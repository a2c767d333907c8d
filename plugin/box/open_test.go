package box_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

// When access is handed out, when a renewal is wanted, and when one is made.
func TestWhenItRenews(t *testing.T) {
	t.Parallel()
	fresh := credential("AT1", "RT1", noon, noon.Add(time.Hour), noon.Add(57*time.Minute))
	unknown := credential("AT1", "RT1", noon, time.Time{}, time.Time{})
	for name, c := range map[string]struct {
		credential connector.Credential
		now        time.Duration // after noon
		change     func(*plugin.OpenRequest)
		renews     bool
	}{
		"fresh":                   {fresh, time.Minute, nil, false},
		"just before the margin":  {fresh, 57*time.Minute - 1, nil, false},
		"at the margin":           {fresh, 57 * time.Minute, nil, true},
		"expired":                 {fresh, time.Hour, nil, true},
		"long expired":            {fresh, 8 * time.Hour, nil, true},
		"clock behind":            {fresh, -10 * time.Minute, nil, false},
		"refused":                 {fresh, time.Minute, func(r *plugin.OpenRequest) { r.AccessRefused = true }, true},
		"unknown":                 {unknown, 100 * time.Hour, nil, false},
		"unknown, for long":       {unknown, 0, func(r *plugin.OpenRequest) { r.MinValidity = 5 * time.Hour }, false},
		"unknown, refused":        {unknown, 0, func(r *plugin.OpenRequest) { r.AccessRefused = true }, true},
		"asked for a little":      {fresh, 58 * time.Minute, func(r *plugin.OpenRequest) { r.MinValidity = time.Minute }, false},
		"asked for what is left":  {fresh, 58 * time.Minute, func(r *plugin.OpenRequest) { r.MinValidity = 2 * time.Minute }, true},
		"asked for more than all": {fresh, 0, func(r *plugin.OpenRequest) { r.MinValidity = 2 * time.Hour }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, saysJSON(200, goodPair))
			now := noon.Add(c.now)
			req := plugin.OpenRequest{Settings: settingsFor(s.URL), Credential: c.credential, Now: now}
			if c.change != nil {
				c.change(&req)
			}
			con := box.New(at(now))
			opened, err := con.Open(t.Context(), req)
			if len(s.all()) != 0 {
				t.Fatal("a request was made that wasn't allowed")
			}
			if c.renews {
				wantDiagnostic(t, err, connector.RenewalRequired, "")
			} else if err != nil || opened.Credential != nil || opened.Access.Token.Reveal() != "AT1" {
				t.Fatalf("got %+v, %v", opened, err)
			}
			req.AllowRenew, req.Deadline = true, now.Add(time.Minute)
			opened, err = con.Open(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if renewed := len(s.all()) == 1; renewed != c.renews || renewed != (opened.Credential != nil) {
				t.Errorf("%d requests, new credential %v, want a renewal: %v", len(s.all()), opened.Credential != nil, c.renews)
			}
		})
	}
}

// The forms in which services write a lifetime: none may crash, loop, or give
// a time that can't be.
func TestFormsOfExpiresIn(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for form, want := range map[string]struct{ expires, renew time.Duration }{ // after noon, 0 for unknown
		``:                       {0, 0},
		`null`:                   {0, 0},
		`0`:                      {0, time.Minute},
		`-5`:                     {0, time.Minute},
		`"-5"`:                   {0, time.Minute},
		`3600`:                   {hour, 57 * time.Minute},
		`"3600"`:                 {hour, 57 * time.Minute},
		`" 3600 "`:               {hour, 57 * time.Minute},
		`3600.0`:                 {hour, 57 * time.Minute},
		`3.6e3`:                  {hour, 57 * time.Minute},
		`4175`:                   {4175 * time.Second, 4175*time.Second - 4175*time.Second/20},
		`86400`:                  {24 * hour, 24*hour - 72*time.Minute},
		`720`:                    {12 * time.Minute, 9 * time.Minute},
		`100`:                    {100 * time.Second, 75 * time.Second},
		`1`:                      {time.Second, 750 * time.Millisecond},
		`1e18`:                   {87600 * hour, 87600*hour - 4380*hour},
		`1e999`:                  {87600 * hour, 87600*hour - 4380*hour},
		`"99999999999999999999"`: {87600 * hour, 87600*hour - 4380*hour},
		`"soon"`:                 {0, 0},
		`true`:                   {0, 0},
		`{}`:                     {0, 0},
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			field := ""
			if form != "" {
				field = `,"expires_in":` + form
			}
			s := newService(t, saysJSON(200, `{"access_token":"AT2","refresh_token":"RT2"`+field+`}`))
			opened, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
			if err != nil {
				t.Fatal(err)
			}
			after := func(d time.Duration) time.Time {
				if d == 0 {
					return time.Time{}
				}
				return noon.Add(d)
			}
			if got := opened.Access.ExpiresAt; !got.Equal(after(want.expires)) {
				t.Errorf("expires %v, want %v", got, after(want.expires))
			}
			if got := opened.Access.RenewAt; !got.Equal(after(want.renew)) {
				t.Errorf("renewal %v, want %v", got, after(want.renew))
			}
			if !opened.Credential.AccessExpiresAt.Equal(opened.Access.ExpiresAt) {
				t.Errorf("the credential says %v", opened.Credential.AccessExpiresAt)
			}
			// The new access is handed out at once, so that nothing loops.
			again, err := box.New(at(noon)).Open(t.Context(), plugin.OpenRequest{
				Settings: settingsFor(s.URL), Credential: *opened.Credential, Now: noon, AllowRenew: true, Deadline: noon.Add(time.Minute),
			})
			if err != nil || again.Credential != nil {
				t.Errorf("renewed again at once: %v", err)
			}
			s.only(t)
		})
	}
}

// The expiry counts from before the request, on the host's clock, whatever
// this machine's clock says and however long the answer takes.
func TestExpiryIsOnTheHostsClock(t *testing.T) {
	t.Parallel()
	here := noon.Add(-7 * time.Hour) // this machine is wrong
	calls := 0
	s := newService(t, saysJSON(200, goodPair))
	c := box.New(box.WithClock(func() time.Time {
		calls++
		return here.Add(time.Duration(calls) * time.Second) // each look at the clock takes a second
	}))
	req := renewRequest(s.URL)
	req.Deadline = here.Add(time.Hour)
	opened, err := c.Open(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if late := opened.Access.IssuedAt.Sub(noon); late < 0 || late > 5*time.Second {
		t.Errorf("issued %v after the call began", late)
	}
	if life := opened.Access.ExpiresAt.Sub(opened.Access.IssuedAt); life != 3895*time.Second {
		t.Errorf("life is %v", life)
	}
}

// A renewal that brings no refresh token keeps the old one; a sign-in that
// brings none fails, since the connection would end within the hour.
func TestNoRefreshTokenInTheAnswer(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"absent": `{"access_token":"AT2","expires_in":3600}`,
		"null":   `{"access_token":"AT2","expires_in":3600,"refresh_token":null}`,
		"empty":  `{"access_token":"AT2","expires_in":3600,"refresh_token":""}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, saysJSON(200, body))
			c := box.New(at(noon))
			opened, err := c.Open(t.Context(), renewRequest(s.URL))
			if err != nil {
				t.Fatal(err)
			}
			if got := stored(t, opened.Credential)["refresh_token"]; got != hardRefresh {
				t.Errorf("refresh token is %q", got)
			}
			settings := settingsFor(s.URL)
			_, err = complete(t, c, settings, begin(t, c, settings, redirectURI), goodCallback())
			wantDiagnostic(t, err, connector.GrantNotRenewable, connector.FixSettings)
		})
	}
}

// Only a service that tells its scopes makes them known, and a renewal that
// doesn't repeat them keeps them.
func TestScopesOfTheAnswer(t *testing.T) {
	t.Parallel()
	s := newService(t, saysJSON(200, `{"access_token":"AT2","refresh_token":"RT2","expires_in":3600,"scope":"a b"}`))
	opened, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	if got := opened.Access.Scopes; !got.Known || len(got.Values) != 2 {
		t.Errorf("scopes: %+v", got)
	}
	silent := newService(t, saysJSON(200, goodPair))
	req := renewRequest(silent.URL)
	req.Credential, req.AccessRefused = *opened.Credential, true
	opened, err = box.New(at(noon)).Open(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got := opened.Access.Scopes; !got.Known || len(got.Values) != 2 {
		t.Errorf("scopes after a silent renewal: %+v", got)
	}
}

func TestCredentialsThatCantBeRead(t *testing.T) {
	t.Parallel()
	long, _ := json.Marshal(string(make([]byte, 70<<10)))
	for name, c := range map[string]struct {
		format      uint32
		data        string
		code        connector.Code
		disposition connector.Disposition
	}{
		"none":          {0, ``, connector.SignInRequired, connector.SignInAgain},
		"newer format":  {2, `{}`, connector.CredentialUnreadable, ""},
		"empty":         {1, ``, connector.CredentialUnreadable, connector.SignInAgain},
		"not JSON":      {1, `AT1`, connector.CredentialUnreadable, connector.SignInAgain},
		"no token":      {1, `{"access_token":"AT1","issued_at":"2026-03-04T12:00:00Z"}`, connector.CredentialUnreadable, connector.SignInAgain},
		"unknown name":  {1, `{"access_token":"AT1","refresh_token":"RT1","issued_at":"2026-03-04T12:00:00Z","x":1}`, connector.CredentialUnreadable, connector.SignInAgain},
		"two documents": {1, `{"access_token":"AT1","refresh_token":"RT1","issued_at":"2026-03-04T12:00:00Z"}{}`, connector.CredentialUnreadable, connector.SignInAgain},
		"too large":     {1, `{"access_token":` + string(long) + `,"refresh_token":"RT1","issued_at":"2026-03-04T12:00:00Z"}`, connector.CredentialUnreadable, connector.SignInAgain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := renewRequest("https://box.example")
			req.Credential = connector.Credential{Format: c.format, Data: connector.NewSecret(c.data)}
			_, err := box.New(at(noon)).Open(t.Context(), req)
			wantDiagnostic(t, err, c.code, c.disposition)
		})
	}
}

// A stored expiry that can't be doesn't make the access good for ever after:
// it counts as unknown, and a refusal renews it.
func TestStoredExpiryOutOfRange(t *testing.T) {
	t.Parallel()
	for _, expires := range []time.Time{noon.AddDate(100, 0, 0), noon.AddDate(-1, 0, 0)} {
		opened, err := box.New(at(noon)).Open(t.Context(), plugin.OpenRequest{
			Settings: settingsFor("https://box.example"), Credential: credential("AT1", "RT1", noon, expires, time.Time{}), Now: noon,
		})
		if err != nil || !opened.Access.ExpiresAt.IsZero() {
			t.Errorf("stored %v: got %+v, %v", expires, opened.Access, err)
		}
	}
}
