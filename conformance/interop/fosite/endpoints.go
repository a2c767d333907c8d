package authserver

import (
	"encoding/json"
	"net/http"

	"github.com/ory/fosite"
)

// Subject is the ID of the account that signs in.
const Subject = "4400001"

// Challenges of the API, as Box words them.
const (
	challengeNone    = `Bearer realm="Service"`
	challengeInvalid = `Bearer realm="Service", error="invalid_token", error_description="The access token provided is invalid."`
)

// authorize stands for the consent page and the person in front of it.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := s.provider.NewAuthorizeRequest(ctx, r)
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	if !s.consents {
		s.provider.WriteAuthorizeError(ctx, w, request, fosite.ErrAccessDenied)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	response, err := s.provider.NewAuthorizeResponse(ctx, request, &fosite.DefaultSession{Subject: Subject})
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	s.provider.WriteAuthorizeResponse(ctx, w, request, response)
}

// token exchanges codes and renews.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	sent := r.PostFormValue("refresh_token")
	s.record.request(r.PostFormValue("grant_type"), sent)
	request, err := s.provider.NewAccessRequest(ctx, r, &fosite.DefaultSession{})
	if err != nil {
		s.record.refused(err)
		s.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	response, err := s.provider.NewAccessResponse(ctx, request)
	if err != nil {
		s.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	s.record.accepted(sent)
	s.provider.WriteAccessResponse(ctx, w, request, response)
}

// revoke ends a family by either of its tokens.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	err := s.provider.NewRevocationRequest(r.Context(), r)
	if err == nil {
		s.record.counts.Revocations++
	}
	s.provider.WriteRevocationResponse(r.Context(), w, err)
}

func (s *Server) usersMe(w http.ResponseWriter, r *http.Request) {
	if subject, ok := s.authenticate(w, r); ok {
		writeJSON(w, map[string]any{
			"type": "user", "id": subject, "name": "Stella Strict", "login": "stella@strict.example", "status": "active",
			"enterprise": map[string]any{"type": "enterprise", "id": "8800001", "name": "Strict"},
		})
	}
}

func (s *Server) rootItems(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.authenticate(w, r); ok {
		writeJSON(w, map[string]any{"total_count": 0, "entries": []any{}, "offset": 0, "limit": 100})
	}
}

// authenticate lets live access tokens with the right scope pass, and answers
// everything else.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (subject string, ok bool) {
	token := fosite.AccessTokenFromRequest(r)
	if token == "" {
		refuse(w, challengeNone)
		return "", false
	}
	use, request, err := s.provider.IntrospectToken(r.Context(), token, fosite.AccessToken, &fosite.DefaultSession{}, "root_readonly")
	if err != nil || use != fosite.AccessToken {
		refuse(w, challengeInvalid)
		return "", false
	}
	return request.GetSession().GetSubject(), true
}

// refuse answers 401 with an empty body: the reason stands in the header.
func refuse(w http.ResponseWriter, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that went away can't be told
}
