package boxsim

import (
	"net/http"
	"strings"
)

// Enterprise is a Box customer that users belong to.
type Enterprise struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// User is an account of the emulated Box.
type User struct {
	ID    string `json:"id"`
	Login string `json:"login"`
	Name  string `json:"name"`
	// Role is admin, coadmin or user.
	Role string `json:"role"`
	// Enterprise is nil for a personal account.
	Enterprise *Enterprise `json:"enterprise,omitempty"`
	// Deactivated accounts can neither sign in nor renew nor call the API.
	Deactivated bool `json:"deactivated"`
}

// DefaultUsers returns the accounts that an emulator has unless it is given
// others: an administrator and a user of one enterprise, a user of another,
// and a personal account.
func DefaultUsers() []User {
	acme := &Enterprise{ID: "7700001", Name: "Acme Corporation"}
	globex := &Enterprise{ID: "7700002", Name: "Globex"}
	return []User{
		{ID: "3300001", Login: "ada@acme.example", Name: "Ada Admin", Role: "admin", Enterprise: acme},
		{ID: "3300002", Login: "ben@acme.example", Name: "Ben Builder", Role: "user", Enterprise: acme},
		{ID: "3300003", Login: "cleo@globex.example", Name: "Cleo Clerk", Role: "admin", Enterprise: globex},
		{ID: "3300004", Login: "dora@personal.example", Name: "Dora Doe", Role: "user"},
	}
}

// standardUserFields are what users/me answers when no fields are named.
var standardUserFields = []string{
	"type", "id", "name", "login", "created_at", "modified_at", "language", "timezone", "space_amount", "space_used",
	"max_upload_size", "status", "job_title", "phone", "address", "avatar_url", "notification_email",
}

// record returns everything that the emulator knows about the user, by Box's
// names of the fields.
func (u *User) record() map[string]any {
	status := "active"
	if u.Deactivated {
		status = "inactive"
	}
	rec := map[string]any{
		"type": "user", "id": u.ID, "name": u.Name, "login": u.Login,
		"created_at": "2020-02-03T09:30:00-08:00", "modified_at": "2026-01-15T16:45:10-08:00",
		"language": "en", "timezone": "America/Los_Angeles",
		"space_amount": int64(1_000_000_000_000), "space_used": int64(48_213_004), "max_upload_size": int64(5_368_709_120),
		"status": status, "job_title": "", "phone": "", "address": "",
		"avatar_url":         "https://app.box.com/api/avatar/large/" + u.ID,
		"notification_email": nil,
		"role":               u.Role, "hostname": "https://app.box.com/", "enterprise": nil,
		"is_sync_enabled": true, "is_external_collab_restricted": false, "is_platform_access_only": false,
	}
	if e := u.Enterprise; e != nil {
		rec["enterprise"] = map[string]any{"type": "enterprise", "id": e.ID, "name": e.Name}
	}
	return rec
}

// mini is the user as it appears inside other objects.
func (u *User) mini() map[string]any {
	return map[string]any{"type": "user", "id": u.ID, "name": u.Name, "login": u.Login}
}

// usersMe answers GET /2.0/users/me.
func (s *Server) usersMe(c *call) answer {
	token, refused := s.authenticate(c)
	if refused != nil {
		return *refused
	}
	fields := requestedFields(c.r)
	if fields == nil {
		fields = standardUserFields
	}
	return jsonAnswer(http.StatusOK, pick(token.grant.user.record(), fields))
}

// requestedFields reads the query's fields parameter; nil means that the
// client named none.
func requestedFields(r *http.Request) []string {
	var names []string
	for _, list := range r.URL.Query()["fields"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// pick copies the named fields, and type and id always. Names that the record
// doesn't have are ignored.
func pick(record map[string]any, fields []string) map[string]any {
	out := map[string]any{"type": record["type"], "id": record["id"]}
	for _, name := range fields {
		if v, ok := record[name]; ok {
			out[name] = v
		}
	}
	return out
}

// user finds a user by ID or login. The caller holds s.mu.
func (s *Server) user(key string) *User {
	for _, u := range s.users {
		if u.ID == key || u.Login == key {
			return u
		}
	}
	return nil
}
