package authrig

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Subject is the ID of the account that signs in.
const Subject = "4400001"

// Why an API call isn't let in.
var (
	ErrNoToken  = errors.New("the call has no access token")
	ErrBadToken = errors.New("the access token isn't good")
)

// Challenges of the API, as Box words them.
const (
	challengeNone    = `Bearer realm="Service"`
	challengeInvalid = `Bearer realm="Service", error="invalid_token", error_description="The access token provided is invalid."`
)

// API is a small API that looks like Box's, at /2.0/. authenticate says whose
// access a call has, or fails with [ErrNoToken] or [ErrBadToken]; the call is
// then answered with 401 and an empty body, as the reason stands in the header.
func API(authenticate func(*http.Request) (subject string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		subject, err := authenticate(r)
		if err != nil {
			challenge := challengeInvalid
			if errors.Is(err, ErrNoToken) {
				challenge = challengeNone
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/2.0/users/me":
			writeJSON(w, map[string]any{
				"type": "user", "id": subject, "name": "Stella Strict", "login": "stella@strict.example", "status": "active",
				"enterprise": map[string]any{"type": "enterprise", "id": "8800001", "name": "Strict"},
			})
		case "/2.0/folders/0/items":
			writeJSON(w, map[string]any{"total_count": 0, "entries": []any{}, "offset": 0, "limit": 100})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that went away can't be told
}
