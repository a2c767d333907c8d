package connector_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// A refusal of the token must be told apart from each other 401: renewing for
// a proxy's answer spends a grant, and not renewing for a dead token leaves
// the caller stuck.
func TestRefuses(t *testing.T) {
	t.Parallel()
	r := connector.TokenRefusal{ChallengeErrors: []string{"invalid_token", "expired"}, EmptyBody: true}
	cases := []struct {
		name       string
		status     int
		challenges []string
		empty      bool
		want       bool
	}{
		{"the plain case", 401, []string{`Bearer realm="Service", error="invalid_token", error_description="x"`}, false, true},
		{"other order, no quotes", 401, []string{`Bearer error=expired, realm=x`}, false, true},
		{"scheme in another case", 401, []string{`bearer ERROR="invalid_token"`}, false, true},
		{"spaces around the equals sign", 401, []string{`Bearer error = "invalid_token"`}, false, true},
		{"after another challenge", 401, []string{`Basic realm="a, error=\"b\"", Bearer error="invalid_token"`}, false, true},
		{"after a bare challenge", 401, []string{`NTLM, Bearer error="invalid_token"`}, false, true},
		{"after a token", 401, []string{`Negotiate YIIabc==, Bearer error="invalid_token"`}, false, true},
		{"on another line", 401, []string{`Basic realm="x"`, `Bearer error="invalid_token"`}, false, true},
		{"missing end quote", 401, []string{`Bearer error="invalid_token`}, false, true},
		{"error of another scheme", 401, []string{`DPoP error="invalid_token"`}, true, false},
		{"another error", 401, []string{`Bearer error="insufficient_scope"`}, true, false},
		{"in the text of another parameter", 401, []string{`Bearer realm="error=\"invalid_token\""`}, false, false},
		{"another status", 403, []string{`Bearer error="invalid_token"`}, true, false},
		{"success", 200, nil, true, false},
		{"empty, no challenge", 401, nil, true, true},
		{"empty, bare Bearer", 401, []string{`Bearer`}, true, true},
		{"empty, Bearer with a realm", 401, []string{`Bearer realm="x"`}, true, true},
		{"empty, a proxy's", 401, []string{`NTLM`}, true, false},
		{"empty, Bearer and another", 401, []string{`Bearer realm="x", NTLM`}, true, false},
		{"empty, Negotiate with a token", 401, []string{`Negotiate abc`}, true, false},
		{"body, no challenge", 401, nil, false, false},
		{"body, Bearer with a realm", 401, []string{`Bearer realm="x"`}, false, false},
	}
	for _, c := range cases {
		h := http.Header{"Www-Authenticate": c.challenges}
		if got := r.Refuses(c.status, h, c.empty); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	strict := connector.TokenRefusal{ChallengeErrors: []string{"invalid_token"}}
	if strict.Refuses(401, nil, true) || (connector.TokenRefusal{}).Refuses(401, http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}}, false) {
		t.Error("what wasn't declared counts")
	}
}

func FuzzRefuses(f *testing.F) {
	for _, s := range []string{`Bearer error="x`, `,,=,"`, `a=b=c`, `NTLM TlRM==, Bearer`, "\t\\\"=", `Bearer error==`, `"`, `=`} {
		f.Add(s)
	}
	r := connector.TokenRefusal{ChallengeErrors: []string{"invalid_token"}, EmptyBody: true}
	f.Fuzz(func(t *testing.T, line string) {
		// It ends, and a refusal by error code needs both words.
		if r.Refuses(401, http.Header{"Www-Authenticate": {line}}, false) &&
			(!strings.Contains(strings.ToLower(line), "bearer") || !strings.Contains(strings.ReplaceAll(line, `\`, ""), "invalid_token")) {
			t.Errorf("%q refuses", line)
		}
	})
}

func TestValidFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		expires time.Time
		d       time.Duration
		want    bool
	}{
		{time.Time{}, time.Hour, true},
		{now.Add(time.Minute), time.Minute, false},
		{now.Add(time.Minute + 1), time.Minute, true},
		{now.Add(-time.Second), 0, false},
	} {
		if got := (&connector.Access{ExpiresAt: c.expires}).ValidFor(now, c.d); got != c.want {
			t.Errorf("%v, %v: %v", c.expires, c.d, got)
		}
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	a := connector.Account{ID: "1", EnterpriseID: "e", Login: "old"}
	if !a.Same(connector.Account{ID: "1", EnterpriseID: "e", Login: "new"}) {
		t.Error("a new login makes another account")
	}
	if a.Same(connector.Account{ID: "1"}) || a.Same(connector.Account{ID: "2", EnterpriseID: "e"}) {
		t.Error("another account is the same")
	}
	if !(connector.Credential{}).IsZero() || (connector.Credential{Format: 1}).IsZero() || (connector.Credential{Data: connector.NewSecret("x")}).IsZero() {
		t.Error("IsZero")
	}
}
