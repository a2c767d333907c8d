package authserver

import (
	"errors"
	"net/http"

	"github.com/boxconnection/connector/conformance/interop/authrig"
	"github.com/ory/fosite"
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
	response, err := s.provider.NewAuthorizeResponse(ctx, request, &fosite.DefaultSession{Subject: authrig.Subject})
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
	s.Request(r.PostFormValue("grant_type"), sent)
	request, err := s.provider.NewAccessRequest(ctx, r, &fosite.DefaultSession{})
	if err != nil {
		if errors.Is(err, fosite.ErrInactiveToken) {
			s.Reused()
		}
		s.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	response, err := s.provider.NewAccessResponse(ctx, request)
	if err != nil {
		s.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	s.Accepted(sent)
	s.provider.WriteAccessResponse(ctx, w, request, response)
}

// revoke ends a family by either of its tokens.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	err := s.provider.NewRevocationRequest(r.Context(), r)
	if err == nil {
		s.Revoked()
	}
	s.provider.WriteRevocationResponse(r.Context(), w, err)
}

// authenticate lets live access tokens with the right scope pass.
func (s *Server) authenticate(r *http.Request) (subject string, err error) {
	token := fosite.AccessTokenFromRequest(r)
	if token == "" {
		return "", authrig.ErrNoToken
	}
	use, request, err := s.provider.IntrospectToken(r.Context(), token, fosite.AccessToken, &fosite.DefaultSession{}, "root_readonly")
	if err != nil || use != fosite.AccessToken {
		return "", authrig.ErrBadToken
	}
	return request.GetSession().GetSubject(), nil
}
