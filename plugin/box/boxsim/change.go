package boxsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Limits of what an item may be told.
const (
	maxDescription = 256
	maxTags        = 100
)

// errField says what is wrong with a field of a body.
type errField struct{ name, message string }

func (e *errField) Error() string { return e.name + ": " + e.message }

// change is the body of an item's creation or update, read and checked. A nil
// pointer means that the field isn't there.
type change struct {
	name        *string
	description *string
	parentID    *string
	tags        *[]string
	link        *linkChange
	uploadEmail *string // empty: none
	flags       map[string]any
}

// flagFields are settings of a folder that the emulator keeps and shows, and
// that have no other effect.
var flagFields = map[string]func(json.RawMessage) (any, error){
	"sync_state":                                readState,
	"can_non_owners_invite":                     readFlag,
	"can_non_owners_view_collaborators":         readFlag,
	"is_collaboration_restricted_to_enterprise": readFlag,
}

func readFlag(raw json.RawMessage) (any, error) {
	var on bool
	err := json.Unmarshal(raw, &on)
	return on, err
}

func readState(raw json.RawMessage) (any, error) {
	var state string
	err := json.Unmarshal(raw, &state)
	if err == nil && !slices.Contains([]string{"synced", "not_synced", "partially_synced"}, state) {
		err = errors.New("not one of synced, not_synced, partially_synced")
	}
	return state, err
}

// readChange reads a body. Fields that the emulator doesn't know are left out,
// as they are at Box.
func readChange(body []byte) (*change, *answer) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		a := badParameter("invalid_parameter", "entity_body", "Invalid value. The body is not a JSON object")
		return nil, &a
	}
	ch := &change{flags: map[string]any{}}
	for name, raw := range fields {
		if err := ch.field(name, raw); err != nil {
			f := &errField{name: name, message: fmt.Sprintf("Invalid value for '%s'.", name)}
			if own, ok := errors.AsType[*errField](err); ok {
				f = own
			}
			a := badParameter("invalid_parameter", f.name, f.message)
			return nil, &a
		}
	}
	return ch, nil
}

func (ch *change) field(name string, raw json.RawMessage) error {
	switch name {
	case "name":
		return json.Unmarshal(raw, &ch.name)
	case "description":
		if err := json.Unmarshal(raw, &ch.description); err != nil {
			return err
		}
		if ch.description != nil && utf8.RuneCountInString(*ch.description) > maxDescription {
			return &errField{name, fmt.Sprintf("The description has more than %d characters.", maxDescription)}
		}
	case "parent":
		var parent struct {
			ID *string `json:"id"`
		}
		if err := json.Unmarshal(raw, &parent); err != nil {
			return err
		}
		ch.parentID = parent.ID
	case "tags":
		if err := json.Unmarshal(raw, &ch.tags); err != nil {
			return err
		}
		if ch.tags != nil && len(*ch.tags) > maxTags {
			return &errField{name, fmt.Sprintf("There are more than %d tags.", maxTags)}
		}
	case "folder_upload_email":
		return ch.email(raw)
	case "shared_link":
		return ch.sharedLink(raw)
	default:
		if read := flagFields[name]; read != nil {
			value, err := read(raw)
			ch.flags[name] = value
			return err
		}
	}
	return nil
}

func (ch *change) email(raw json.RawMessage) error {
	var email *struct {
		Access string `json:"access"`
	}
	if err := json.Unmarshal(raw, &email); err != nil {
		return err
	}
	ch.uploadEmail = new(string)
	if email == nil {
		return nil
	}
	if email.Access != "open" && email.Access != "collaborators" {
		return &errField{"folder_upload_email", "The access is neither open nor collaborators."}
	}
	ch.uploadEmail = &email.Access
	return nil
}

// rights are those that the change needs.
func (ch *change) rights(it *item) []right {
	var out []right
	if ch.name != nil && *ch.name != it.name {
		out = append(out, mayRename)
	}
	if ch.link != nil {
		out = append(out, mayShare)
	}
	if ch.description != nil || ch.parentID != nil || ch.tags != nil || ch.uploadEmail != nil || len(ch.flags) > 0 || len(out) == 0 {
		out = append(out, mayChange)
	}
	return out
}

// apply makes the change, or nothing of it. The caller holds s.mu and has
// checked the rights to the item.
func (s *Server) apply(c *call, it *item, ch *change) *answer {
	name, parent := it.name, it.parent
	if ch.name != nil {
		if refused := checkName(*ch.name); refused != nil {
			return refused
		}
		name = *ch.name
	}
	if ch.parentID != nil && *ch.parentID != parent.id {
		var refused *answer
		if parent, refused = s.openWith(c, kindFolder, *ch.parentID, mayChange); refused != nil {
			return refused
		}
		if parent.within(it) {
			return refusal("content_cyclical_structure")
		}
	}
	if refused := nameTaken(parent, name, it, it.kind); refused != nil {
		return refused
	}
	link := it.link
	if ch.link != nil {
		var refused *answer
		if link, refused = ch.link.newLink(it.link); refused != nil {
			return refused
		}
	}
	it.name, it.link = name, link
	if parent != it.parent {
		s.tree.move(it, parent)
	}
	it.set(ch)
	it.touch(c.token.grant.user, s.clock.now())
	return nil
}

// set takes over what needs no check.
func (it *item) set(ch *change) {
	if ch.description != nil {
		it.description = *ch.description
	}
	if ch.tags != nil {
		it.tags = *ch.tags
	}
	if it.kind != kindFolder {
		return
	}
	if ch.uploadEmail != nil {
		it.uploadEmail = *ch.uploadEmail
	}
	for field, value := range ch.flags {
		if it.flags == nil {
			it.flags = map[string]any{}
		}
		it.flags[field] = value
	}
}
