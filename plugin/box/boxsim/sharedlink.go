package boxsim

import (
	"encoding/json"
	"slices"
	"time"
)

// linkChange is what becomes of a shared link.
type linkChange struct {
	remove     bool
	access     string
	password   *string // nil: as it is; empty: none
	unsharedAt *time.Time
	download   *bool
	vanityName *string
}

func (ch *change) sharedLink(raw json.RawMessage) error {
	const name = "shared_link"
	if string(raw) == "null" {
		ch.link = &linkChange{remove: true}
		return nil
	}
	var in struct {
		Access      string          `json:"access"`
		Password    json.RawMessage `json:"password"`
		UnsharedAt  json.RawMessage `json:"unshared_at"`
		VanityName  *string         `json:"vanity_name"`
		Permissions struct {
			Download *bool `json:"can_download"`
		} `json:"permissions"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "open", "company", "collaborators"}, in.Access) {
		return &errField{name, "The access is none of open, company and collaborators."}
	}
	ch.link = &linkChange{access: in.Access, download: in.Permissions.Download, vanityName: in.VanityName}
	if in.Password != nil {
		var password *string
		if err := json.Unmarshal(in.Password, &password); err != nil {
			return err
		}
		if password == nil {
			password = new(string)
		}
		ch.link.password = password
	}
	if in.UnsharedAt != nil {
		var at *time.Time
		if err := json.Unmarshal(in.UnsharedAt, &at); err != nil {
			return &errField{name, "unshared_at is not a time as in RFC 3339."}
		}
		if at == nil {
			at = &time.Time{}
		}
		ch.link.unsharedAt = at
	}
	return nil
}

// newLink is the link that the change makes of the one that there is.
func (l *linkChange) newLink(old *sharedLink) (*sharedLink, *answer) {
	if l.remove {
		return nil, nil
	}
	link := sharedLink{url: "https://app.box.com/s/" + randomString(32, lowercase), access: "company", download: true}
	if old != nil {
		link = *old
	}
	if l.access != "" {
		link.access = l.access
	}
	if l.password != nil {
		link.password = *l.password != ""
	}
	if l.unsharedAt != nil {
		link.unsharedAt = *l.unsharedAt
	}
	if l.download != nil {
		link.download = *l.download
	}
	if l.vanityName != nil {
		link.vanityName = *l.vanityName
	}
	if link.password && link.access != "open" {
		a := badParameter("invalid_parameter", "shared_link", "A password needs the access open.")
		return nil, &a
	}
	if link.access == "collaborators" && l.download != nil {
		a := badParameter("invalid_parameter", "shared_link", "Permissions need the access open or company.")
		return nil, &a
	}
	return &link, nil
}
