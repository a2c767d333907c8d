package boxsim

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of items, as Box names their types.
const (
	kindFolder  = "folder"
	kindFile    = "file"
	kindWebLink = "web_link"
)

// pacific is the zone in which Box writes times.
var pacific = time.FixedZone("", -8*60*60)

// item is a folder, a file or a web link.
type item struct {
	id          string
	kind        string
	name        string
	description string
	parent      *item // nil for the root
	children    []*item
	versions    []*version // files; the last is the current one
	url         string     // web links
	link        *sharedLink
	tags        []string
	uploadEmail string // access of the folder's address; empty: none
	flags       map[string]any
	etag        int

	owner, creator, modifier        *User
	created, modified               time.Time
	contentCreated, contentModified time.Time
	fresh                           bool // made by a client, so that the search finds it later
	trashedAt                       time.Time
}

// version is one content of a file.
type version struct {
	id     string
	number int
	name   string
	by     *User
	at     time.Time
	blob   *blob
}

// sharedLink is an item's link for others.
type sharedLink struct {
	url        string
	access     string // open, company or collaborators
	password   bool
	unsharedAt time.Time // zero: never
	download   bool
	vanityName string
}

func (it *item) current() *version { return it.versions[len(it.versions)-1] }

func (it *item) size() int64 {
	var n int64
	if it.kind == kindFile {
		n = it.current().blob.size
	}
	for _, c := range it.children {
		n += c.size()
	}
	return n
}

// touch is a change of the item by a user.
func (it *item) touch(by *User, now time.Time) {
	it.etag++
	it.modifier, it.modified = by, now
}

// stamp is a time as Box writes it.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.In(pacific).Format(time.RFC3339)
}

// etagValue is the item's etag. The root has none.
func (it *item) etagValue() any {
	if it.parent == nil {
		return nil
	}
	return strconv.Itoa(it.etag)
}

// mini is the item as it appears in lists.
func (it *item) mini() map[string]any {
	m := map[string]any{"type": it.kind, "id": it.id, "name": it.name, "sequence_id": it.etagValue(), "etag": it.etagValue()}
	switch it.kind {
	case kindFile:
		v := it.current()
		m["sha1"] = v.blob.sha1
		m["file_version"] = map[string]any{"type": "file_version", "id": v.id, "sha1": v.blob.sha1}
	case kindWebLink:
		m["url"] = it.url
	}
	return m
}

// record is everything that the emulator knows about the item.
func (it *item) record() map[string]any {
	m := it.mini()
	m["description"], m["size"] = it.description, it.size()
	m["item_status"], m["trashed_at"], m["purged_at"] = "active", nil, nil
	if !it.trashedAt.IsZero() {
		m["item_status"], m["trashed_at"] = "trashed", stamp(it.trashedAt)
		m["purged_at"] = stamp(it.trashedAt.Add(30 * 24 * time.Hour))
	}
	m["shared_link"] = nil
	if it.link != nil {
		m["shared_link"] = it.link.record()
	}
	m["created_by"], m["modified_by"], m["owned_by"] = it.creator.mini(), it.modifier.mini(), it.owner.mini()
	way := []map[string]any{}
	for p := it.parent; p != nil; p = p.parent {
		way = append(way, p.mini())
	}
	slices.Reverse(way)
	m["path_collection"] = map[string]any{"total_count": len(way), "entries": way}
	m["parent"], m["created_at"], m["modified_at"], m["content_created_at"], m["content_modified_at"] = nil, nil, nil, nil, nil
	if it.parent != nil {
		m["parent"] = it.parent.mini()
		m["created_at"], m["modified_at"] = stamp(it.created), stamp(it.modified)
		m["content_created_at"], m["content_modified_at"] = stamp(it.contentCreated), stamp(it.contentModified)
	}
	if len(it.tags) > 0 {
		m["tags"] = it.tags
	}
	switch it.kind {
	case kindFolder:
		it.folderFields(m)
	case kindFile:
		it.fileFields(m)
	}
	return m
}

func (it *item) folderFields(m map[string]any) {
	m["folder_upload_email"] = nil
	if it.uploadEmail != "" {
		m["folder_upload_email"] = map[string]any{"access": it.uploadEmail, "email": "upload." + it.id + "@u.box.example"}
	}
	m["has_collaborations"] = false
	m["permissions"] = permissions("can_upload")
	for name, value := range it.flags {
		m[name] = value
	}
}

func (it *item) fileFields(m map[string]any) {
	m["extension"] = strings.TrimPrefix(path.Ext(it.name), ".")
	m["version_number"] = strconv.Itoa(it.current().number)
	m["comment_count"], m["is_package"], m["lock"], m["expires_at"] = 0, false, nil, nil
	m["has_collaborations"], m["is_externally_owned"] = false, false
	m["uploader_display_name"] = it.current().by.Name
	m["permissions"] = permissions("can_annotate", "can_comment", "can_preview", "can_upload",
		"can_view_annotations_all", "can_view_annotations_self")
}

// permissions are those that every item's user has, and more. There are no
// roles in the emulator.
func permissions(more ...string) map[string]any {
	m := map[string]any{}
	for _, name := range append(more, "can_delete", "can_download", "can_invite_collaborator", "can_rename", "can_set_share_access", "can_share") {
		m[name] = true
	}
	return m
}

func (l *sharedLink) record() map[string]any {
	m := map[string]any{
		"url": l.url, "access": l.access, "effective_access": l.access, "effective_permission": "can_preview",
		"is_password_enabled": l.password, "unshared_at": stamp(l.unsharedAt), "download_count": 0, "preview_count": 0,
		"permissions": map[string]any{"can_download": l.download, "can_preview": true, "can_edit": false},
	}
	if l.download {
		m["effective_permission"] = "can_download"
	}
	m["vanity_name"], m["vanity_url"] = nil, nil
	if l.vanityName != "" {
		m["vanity_name"], m["vanity_url"] = l.vanityName, "https://app.box.com/v/"+l.vanityName
	}
	return m
}

// record is the version as lists of versions show it.
func (v *version) record() map[string]any {
	return map[string]any{
		"type": "file_version", "id": v.id, "sha1": v.blob.sha1, "name": v.name, "size": v.blob.size,
		"created_at": stamp(v.at), "modified_at": stamp(v.at), "modified_by": v.by.mini(),
		"trashed_at": nil, "purged_at": nil, "restored_at": nil,
		"uploader_display_name": v.by.Name, "version_number": strconv.Itoa(v.number),
	}
}
