package boxsim_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

func TestReplayUntilUsed(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")

	r1, r2 := s.refresh(first.refresh), s.refresh(first.refresh)
	second := r1.tokens()
	if second == first || r2.tokens() != second {
		t.Fatalf("a repeated renewal must give the same new pair: %s, then %s", r1.body, r2.body)
	}
	if a, b := expiresIn(t, r1), expiresIn(t, r2); a == b {
		t.Errorf("expires_in is %d both times, it must change", a)
	}
	if !s.works(first.access) {
		t.Error("the old access token must work until the new pair is used")
	}
	if s.refresh(first.refresh).tokens() != second {
		t.Error("using the old access token must not end the replay")
	}
	if !s.works(second.access) {
		t.Fatal("the new access token doesn't work")
	}
	if s.works(first.access) {
		t.Error("the first use of the new access token must kill the old one")
	}
	wantOAuth(t, s.refresh(first.refresh), http.StatusBadRequest, "invalid_grant", "Invalid refresh token")
	if third := s.renewed(second.refresh); !s.works(third.access) {
		t.Error("a reused token must not kill its successors")
	}
	if c := s.counters(); c.Replays != 2 || c.ReusedAfterSuccessorUsed != 1 || c.ReusedAfterConsumption != 1 {
		t.Errorf("counters: %+v", c)
	}
}

func TestReplayEndsWithTheNewRefreshTokensUse(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	second := s.renewed(first.refresh)
	third := s.renewed(second.refresh)
	wantOAuth(t, s.refresh(first.refresh), http.StatusBadRequest, "invalid_grant", "Invalid refresh token")
	if s.works(first.access) {
		t.Error("the first access token must be dead")
	}
	if s.renewed(second.refresh) != third {
		t.Error("the second refresh token must be replayed")
	}
}

func TestReplayAfterTheNewAccessTokenExpired(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	second := s.renewed(first.refresh)
	s.advance(2 * 3600e9)
	again := s.renewed(first.refresh)
	if again.refresh != second.refresh || again.access == second.access {
		t.Error("want the promised refresh token with a fresh access token")
	}
	if s.works(second.access) || !s.works(again.access) {
		t.Error("only the fresh access token may work")
	}
}

func TestStrictSingleUse(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(func(k *boxsim.Knobs) { k.Rotation = boxsim.StrictSingleUse }))
	first := s.signIn("ada@acme.example")
	second := s.renewed(first.refresh)
	if s.works(first.access) {
		t.Error("the old access token must die at once")
	}
	wantOAuth(t, s.refresh(first.refresh), http.StatusBadRequest, "invalid_grant", "Invalid refresh token")
	if c := s.counters(); c.ReusedAfterConsumption != 1 || c.ReusedAfterSuccessorUsed != 0 {
		t.Errorf("the successor wasn't used yet: %+v", c)
	}
	if !s.works(second.access) {
		t.Error("the new access token must work")
	}
	s.refresh(first.refresh)
	if c := s.counters(); c.ReusedAfterSuccessorUsed != 1 {
		t.Errorf("the successor was used: %+v", c)
	}
}

func TestDistinctChildren(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(func(k *boxsim.Knobs) { k.Rotation = boxsim.DistinctChildren }))
	first := s.signIn("ada@acme.example")
	a, b := s.renewed(first.refresh), s.renewed(first.refresh)
	if a.access == b.access || a.refresh == b.refresh {
		t.Fatal("each renewal must give another pair")
	}
	if !s.works(b.access) {
		t.Fatal("a child must work")
	}
	if s.works(a.access) || s.works(first.access) {
		t.Error("the first use of a child must kill its sibling and the old pair")
	}
	for name, token := range map[string]string{"sibling": a.refresh, "old": first.refresh} {
		if r := s.refresh(token); r.get("error") != "invalid_grant" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	s.renewed(b.refresh)
}

func TestOldAccessTokenMayBeKept(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(func(k *boxsim.Knobs) { k.KeepOldAccess = true }))
	first := s.signIn("ada@acme.example")
	second := s.renewed(first.refresh)
	if !s.works(second.access) || !s.works(first.access) {
		t.Error("both access tokens must work")
	}
	if r := s.must(s.form(s.info.RevokeURL, s.tokenForm("token", second.refresh))); r.status != http.StatusOK {
		t.Fatal(r.body)
	}
	if s.works(first.access) {
		t.Error("a revocation must reach the kept access token")
	}
}

func TestConsumedDescription(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(func(k *boxsim.Knobs) {
		k.Rotation, k.ConsumedDescription = boxsim.StrictSingleUse, "Refresh token has expired"
	}))
	first := s.signIn("ada@acme.example")
	s.renewed(first.refresh)
	wantOAuth(t, s.refresh(first.refresh), http.StatusBadRequest, "invalid_grant", "Refresh token has expired")
	wantOAuth(t, s.refresh("unknown"), http.StatusBadRequest, "invalid_grant", "Invalid refresh token")
}

// A lost answer is what rotation is about: the token was spent, and the
// client doesn't know the new one.
func TestAnswerLostAfterCommit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rotation boxsim.Rotation
		when     boxsim.When
		recovers bool
	}{
		{boxsim.ReplayUntilUsed, boxsim.AfterCommit, true},
		{boxsim.StrictSingleUse, boxsim.AfterCommit, false},
		{boxsim.StrictSingleUse, boxsim.BeforeCommit, true},
		{boxsim.DistinctChildren, boxsim.AfterCommit, true},
	} {
		t.Run(string(tc.rotation)+" "+string(tc.when), func(t *testing.T) {
			t.Parallel()
			s := newSim(t, withKnobs(func(k *boxsim.Knobs) { k.Rotation = tc.rotation }))
			first := s.signIn("ada@acme.example")
			s.fault(boxsim.Fault{Match: boxsim.Match{GrantType: "refresh_token"}, Then: boxsim.Action{When: tc.when, Drop: true}})
			if r, err := s.do(s.form(s.info.TokenURL, s.tokenForm("grant_type", "refresh_token", "refresh_token", first.refresh))); err == nil {
				t.Fatalf("the connection must break, got %d %s", r.status, r.body)
			}
			seen := s.wait(boxsim.RequestQuery{GrantType: "refresh_token", Stage: boxsim.Done}, 1)[0]
			if !seen.Dropped || seen.Status != 0 || seen.Committed != (tc.when == boxsim.AfterCommit) {
				t.Errorf("journal: %+v", seen)
			}
			r := s.refresh(first.refresh)
			if got := r.status == http.StatusOK; got != tc.recovers {
				t.Fatalf("renewal after the loss: %d %s", r.status, r.body)
			}
			if tc.rotation == boxsim.ReplayUntilUsed && seen.Tokens["issued_refresh_token"] != boxsim.Fingerprint(r.tokens().refresh) {
				t.Error("the replay must give the pair that was lost")
			}
		})
	}
}

func TestRenewalsOfSeveralSignInsAreIndependent(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	a, b := s.signIn("ada@acme.example"), s.signIn("ada@acme.example")
	s.works(s.renewed(a.refresh).access)
	if !s.works(b.access) {
		t.Error("another sign-in of the same user must go on")
	}
}

func expiresIn(t *testing.T, r reply) int64 {
	t.Helper()
	var body struct {
		ExpiresIn int64 `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		t.Fatal(err)
	}
	return body.ExpiresIn
}
