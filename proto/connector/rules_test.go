package connector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

func TestAccessProblems(t *testing.T) {
	t.Parallel()
	issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	good := func() *connector.Access {
		return &connector.Access{
			Token: connector.NewSecret("s3cr3t~+/="), Type: "Bearer", IssuedAt: issued, ExpiresAt: issued.Add(time.Hour),
			Endpoints: map[string]string{"api": "https://api.example.com/2.0", "test": "http://localhost:8080", "six": "http://[::1]:1/"},
			Headers:   map[string]string{"X-Version": "2025.0"},
		}
	}
	if problem := good().Problem(); problem != "" {
		t.Errorf("good access: %s", problem)
	}
	forever := good()
	forever.ExpiresAt = time.Time{}
	if problem := forever.Problem(); problem != "" {
		t.Errorf("access of unknown end: %s", problem)
	}
	if (*connector.Access)(nil).Problem() == "" {
		t.Error("no access is good")
	}
	for name, spoil := range map[string]func(*connector.Access){
		"no token":           func(a *connector.Access) { a.Token = connector.Secret{} },
		"token of two words": func(a *connector.Access) { a.Token = connector.NewSecret("s3cr3t x") },
		"token not ASCII":    func(a *connector.Access) { a.Token = connector.NewSecret("s3cr3tä") },
		"no type":            func(a *connector.Access) { a.Type = "" },
		"not issued":         func(a *connector.Access) { a.IssuedAt = time.Time{} },
		"ends at once":       func(a *connector.Access) { a.ExpiresAt = issued },
		"year 10000":         func(a *connector.Access) { a.RenewAt = issued.AddDate(9000, 0, 0) },
		"plain http":         func(a *connector.Access) { a.Endpoints["api"] = "http://api.example.com" },
		"looks like this machine": func(a *connector.Access) {
			a.Endpoints["api"] = "http://localhost.example.com"
		},
		"not absolute": func(a *connector.Access) { a.Endpoints["api"] = "api.example.com" },
		"other scheme": func(a *connector.Access) { a.Endpoints["api"] = "file://localhost/etc" },
		"query":        func(a *connector.Access) { a.Endpoints["api"] = "https://api.example.com/?" },
		"user":         func(a *connector.Access) { a.Endpoints["api"] = "https://u:s3cr3t@api.example.com" },
		"reserved":     func(a *connector.Access) { a.Headers["HOST"] = "x" },
		"no name":      func(a *connector.Access) { a.Headers[""] = "x" },
		"line end":     func(a *connector.Access) { a.Headers["X-A"] = "s3cr3t\r\n" },
	} {
		a := good()
		spoil(a)
		if problem := a.Problem(); problem == "" || strings.Contains(problem, "s3cr3t") {
			t.Errorf("%s: %q", name, problem)
		}
	}
}

func TestAccountProblems(t *testing.T) {
	t.Parallel()
	if problem := (connector.Account{ID: "1 a", EnterpriseID: "2"}).Problem(); problem != "" {
		t.Error(problem)
	}
	for _, a := range []connector.Account{{}, {ID: "a\nb"}, {ID: strings.Repeat("1", 257)}, {ID: "1", EnterpriseID: "\x1b"}} {
		if a.Problem() == "" {
			t.Errorf("%+v is good", a)
		}
	}
}
