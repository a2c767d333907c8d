package boxsim_test

import (
	"net/http"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// Grants that nobody signed in for work like others, each by itself.
func TestSeed(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	user := boxsim.DefaultUsers()[1]
	pairs, err := s.ctl.Seed(t.Context(), user.Login, 3)
	if err != nil || len(pairs) != 3 {
		t.Fatalf("%d pairs, %v", len(pairs), err)
	}
	state, err := s.ctl.State(t.Context())
	if err != nil || state.Counters.PairsIssued != 3 {
		t.Fatalf("%+v, %v", state.Counters, err)
	}
	for _, p := range pairs {
		req := s.request(http.MethodGet, s.info.APIURL+"/users/me", "")
		req.Header.Set("Authorization", "Bearer "+p.AccessToken)
		if r := s.must(req); r.status != http.StatusOK {
			t.Errorf("the API answers %d", r.status)
		}
	}
}
