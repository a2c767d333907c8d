package boxsim

import (
	"crypto/sha1" //nolint:gosec // Box's own content hash, not a protection
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// rootID is the folder that holds everything.
const rootID = "0"

// item is a folder, a file or a web link. All users see the same tree.
type item struct {
	id       string
	kind     string // folder, file or web_link
	name     string
	parent   *item // nil for the root
	children []*item
	content  []byte // files
	url      string // web links
	link     string // shared link, if any
	modified string
	owner    *User
}

// tree is the content of the emulated Box.
type tree struct {
	items map[string]*item
}

// newTree returns the few items that an emulator begins with.
func newTree(owner *User) *tree {
	t := &tree{items: map[string]*item{}}
	root := t.add(nil, owner, item{id: rootID, kind: "folder", name: "All Files"})
	contracts := t.add(root, owner, item{id: "160000000001", kind: "folder", name: "Contracts", link: "https://app.box.com/s/contractsx0000000000000000000000"})
	year := t.add(contracts, owner, item{id: "160000000002", kind: "folder", name: "2026"})
	t.add(root, owner, item{id: "160000000003", kind: "folder", name: "Empty"})
	t.add(root, owner, item{id: "160000000004", kind: "folder", name: "Überblick"})
	t.add(root, owner, item{id: "920000000001", kind: "file", name: "Budget.csv", content: []byte("quarter,amount\n1,1200\n2,1350\n")})
	t.add(root, owner, item{id: "920000000002", kind: "file", name: "Welcome.txt", content: []byte("Welcome to the emulated Box.\n")})
	t.add(root, owner, item{id: "510000000001", kind: "web_link", name: "Intranet", url: "https://intranet.example/"})
	t.add(contracts, owner, item{id: "920000000003", kind: "file", name: "Frame agreement.txt", content: []byte("Frame agreement\n")})
	for n := range 5 {
		t.add(year, owner, item{
			id: fmt.Sprintf("92000000001%d", n), kind: "file", name: fmt.Sprintf("Order %d.txt", n+1),
			content: []byte(strings.Repeat(fmt.Sprintf("line of order %d\n", n+1), n+1)),
		})
	}
	return t
}

func (t *tree) add(parent *item, owner *User, it item) *item {
	it.parent, it.owner, it.modified = parent, owner, "2026-01-15T16:45:10-08:00"
	p := &it
	t.items[it.id] = p
	if parent != nil {
		parent.children = append(parent.children, p)
	}
	return p
}

func (t *tree) byLink(link string) *item {
	for _, it := range t.items {
		if it.link != "" && it.link == link {
			return it
		}
	}
	return nil
}

// within says whether the item is the folder or lies below it.
func (it *item) within(folder *item) bool {
	for ; it != nil; it = it.parent {
		if it == folder {
			return true
		}
	}
	return false
}

func (it *item) size() int64 {
	n := int64(len(it.content))
	for _, c := range it.children {
		n += c.size()
	}
	return n
}

// mini is the item as it appears in lists.
func (it *item) mini() map[string]any {
	m := map[string]any{"type": it.kind, "id": it.id, "name": it.name}
	if it.parent == nil {
		m["sequence_id"], m["etag"] = nil, nil // the root has neither
	} else {
		m["sequence_id"], m["etag"] = "0", "0"
	}
	switch it.kind {
	case "file":
		sum := sha1.Sum(it.content) //nolint:gosec // see the import
		hash := hex.EncodeToString(sum[:])
		m["sha1"] = hash
		m["file_version"] = map[string]any{"type": "file_version", "id": "8" + it.id, "sha1": hash}
	case "web_link":
		m["url"] = it.url
	}
	return m
}

// record is everything that the emulator knows about the item.
func (it *item) record() map[string]any {
	m := it.mini()
	m["description"] = ""
	m["size"] = it.size()
	m["item_status"] = "active"
	m["shared_link"], m["trashed_at"], m["purged_at"] = nil, nil, nil
	m["parent"], m["created_at"], m["modified_at"] = nil, nil, nil
	m["content_created_at"], m["content_modified_at"] = nil, nil
	if it.link != "" {
		m["shared_link"] = map[string]any{
			"url": it.link, "access": "company", "effective_access": "company", "effective_permission": "can_download",
			"is_password_enabled": false, "download_count": 0, "preview_count": 0,
		}
	}
	owner := it.owner.mini()
	m["created_by"], m["modified_by"], m["owned_by"] = owner, owner, owner
	path := []map[string]any{}
	for p := it.parent; p != nil; p = p.parent {
		path = append(path, p.mini())
	}
	slices.Reverse(path)
	m["path_collection"] = map[string]any{"total_count": len(path), "entries": path}
	if it.parent != nil {
		m["parent"] = it.parent.mini()
		m["created_at"], m["modified_at"] = "2025-11-02T08:00:00-08:00", it.modified
		m["content_created_at"], m["content_modified_at"] = "2025-11-02T08:00:00-08:00", it.modified
	}
	if it.kind == "folder" {
		m["folder_upload_email"] = nil
		m["has_collaborations"] = false
		m["permissions"] = map[string]any{
			"can_delete": true, "can_download": true, "can_invite_collaborator": true, "can_rename": true,
			"can_set_share_access": true, "can_share": true, "can_upload": true,
		}
	}
	return m
}
