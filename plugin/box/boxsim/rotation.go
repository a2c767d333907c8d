package boxsim

import (
	"net/http"
	"time"
)

// maxChildren bounds the pairs that one refresh token can have at a time when
// each use of it gives another.
const maxChildren = 100

// renew answers a refresh token with a pair, or refuses. The caller holds s.mu.
func (s *Server) renew(value string, now time.Time) (*pair, *answer) {
	rt := s.refreshTokens[value]
	if rt == nil || rt.state == refreshRevoked {
		return nil, refuse(http.StatusBadRequest, "invalid_grant", descInvalidRefresh)
	}
	if rt.state == refreshConsumed {
		s.countReuse(rt.pair)
		return nil, refuse(http.StatusBadRequest, "invalid_grant", s.knobs.ConsumedDescription)
	}
	if !now.Before(rt.expiresAt) {
		return nil, refuse(http.StatusBadRequest, "invalid_grant", "Refresh token has expired")
	}
	p := rt.pair
	if p.grant.user.Deactivated {
		return nil, refuse(http.StatusBadRequest, "account_deactivated", "User's account has been deactivated")
	}
	s.use(p)
	s.counters.Renewals++

	switch s.knobs.Rotation {
	case StrictSingleUse:
		if len(p.children) > 0 { // left by another rotation
			p.refresh.state = refreshConsumed
			s.countReuse(p)
			return nil, refuse(http.StatusBadRequest, "invalid_grant", s.knobs.ConsumedDescription)
		}
		child := s.newPair(p.grant, p, now)
		s.commit(child)
		return child, nil
	case DistinctChildren:
		if len(p.children) >= maxChildren {
			p.children[0].kill(refreshConsumed)
			delete(p.grant.alive, p.children[0])
			p.children = p.children[1:]
		}
		return s.newPair(p.grant, p, now), nil
	default:
		if len(p.children) == 0 {
			return s.newPair(p.grant, p, now), nil
		}
		s.counters.Replays++
		child := p.children[len(p.children)-1]
		if !child.access.works(now) {
			// Nobody used the pair while its access token lived. The refresh
			// token is still the one that was promised.
			delete(s.accessTokens, child.access.value)
			child.access = s.newAccess(child, now)
		}
		return child, nil
	}
}

// use notes that one of the pair's tokens was presented and accepted, which
// commits the rotation that made the pair. The caller holds s.mu.
func (s *Server) use(p *pair) {
	if p.used {
		return
	}
	p.used = true
	s.commit(p)
}

// commit retires the pair that p replaces, and p's siblings.
func (s *Server) commit(p *pair) {
	old := p.parent
	if old == nil {
		return
	}
	p.parent = nil
	old.refresh.state = refreshConsumed
	if !s.knobs.KeepOldAccess {
		old.access.dead = true
		delete(old.grant.alive, old)
	}
	for _, sibling := range old.children {
		if sibling != p {
			sibling.kill(refreshConsumed)
			sibling.parent = nil
			delete(old.grant.alive, sibling)
		}
	}
}

// countReuse counts a spent refresh token that came again: the sign of two
// holders, or of a client that uses a new token before it has stored it.
func (s *Server) countReuse(p *pair) {
	s.counters.ReusedAfterConsumption++
	for _, child := range p.children {
		if child.used {
			s.counters.ReusedAfterSuccessorUsed++
			return
		}
	}
}
