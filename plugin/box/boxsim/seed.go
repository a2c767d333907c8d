package boxsim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// maxSeed bounds the grants that are made at a time.
const maxSeed = 20_000

// TokenPair is an access and a refresh token.
type TokenPair struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// grantOrder asks for grants without anybody signing in.
type grantOrder struct {
	User  string `json:"user"`
	Count int    `json:"count"`
}

func (s *Server) ctlSeed(r *http.Request) (any, error) {
	var in grantOrder
	if err := readControl(r, &in); err != nil {
		return nil, err
	}
	if in.Count < 1 || in.Count > maxSeed {
		return nil, badControl(fmt.Errorf("count: from 1 to %d", maxSeed))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if in.User == u.ID || in.User == u.Login {
			return s.seed(u, in.Count), nil
		}
	}
	return nil, badControl(errors.New("user: nobody has this login or ID"))
}

// seed makes grants of a user with the application's scopes. The caller holds
// s.mu.
func (s *Server) seed(u *User, count int) []TokenPair {
	now := s.clock.now()
	pairs := make([]TokenPair, count)
	for i := range pairs {
		p := s.newPair(newGrant(u, s.scopes, now), nil, now)
		pairs[i] = TokenPair{p.access.value, p.refresh.value}
	}
	return pairs
}

// Seed makes grants of a user, named by login or ID, as if they had signed in
// so many times, 20,000 at most, and returns the tokens of each.
func (c Control) Seed(ctx context.Context, user string, count int) ([]TokenPair, error) {
	return fetch[[]TokenPair](ctx, c, http.MethodPost, "/grants", grantOrder{user, count})
}
