package boxsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// rootID is the folder that holds everything.
const rootID = "0"

// tree is the content of the emulated Box. All users see the same.
type tree struct {
	items map[string]*item
	trash []*item // what was deleted, without its content
	last  int     // the last number given to a new item or version
}

// seeded and changed are the times of the items that an emulator begins with.
var (
	seeded  = time.Date(2025, 11, 2, 8, 0, 0, 0, pacific)
	changed = time.Date(2026, 1, 15, 16, 45, 10, 0, pacific)
)

// newTree returns the few items that an emulator begins with.
func newTree(owner *User) *tree {
	t := &tree{items: map[string]*item{}}
	seed := func(parent *item, it item, content string) *item {
		it.owner, it.creator, it.modifier = owner, owner, owner
		it.created, it.modified, it.contentCreated, it.contentModified = seeded, changed, seeded, changed
		if it.kind == kindFile {
			it.versions = []*version{{id: "8" + it.id, number: 1, name: it.name, by: owner, at: changed, blob: memoryBlob([]byte(content))}}
		}
		return t.add(parent, &it)
	}
	root := seed(nil, item{id: rootID, kind: kindFolder, name: "All Files"}, "")
	contracts := seed(root, item{id: "160000000001", kind: kindFolder, name: "Contracts", link: &sharedLink{
		url: "https://app.box.com/s/contractsx0000000000000000000000", access: "company", download: true,
	}}, "")
	year := seed(contracts, item{id: "160000000002", kind: kindFolder, name: "2026"}, "")
	seed(root, item{id: "160000000003", kind: kindFolder, name: "Empty"}, "")
	seed(root, item{id: "160000000004", kind: kindFolder, name: "Überblick"}, "")
	seed(root, item{id: "920000000001", kind: kindFile, name: "Budget.csv"}, "quarter,amount\n1,1200\n2,1350\n")
	seed(root, item{id: "920000000002", kind: kindFile, name: "Welcome.txt"}, "Welcome to the emulated Box.\n")
	seed(root, item{id: "510000000001", kind: kindWebLink, name: "Intranet", url: "https://intranet.example/"}, "")
	seed(contracts, item{id: "920000000003", kind: kindFile, name: "Frame agreement.txt"}, "Frame agreement\n")
	for n := range 5 {
		seed(year, item{id: fmt.Sprintf("92000000001%d", n), kind: kindFile, name: fmt.Sprintf("Order %d.txt", n+1)},
			strings.Repeat(fmt.Sprintf("line of order %d\n", n+1), n+1))
	}
	return t
}

// number makes an ID that Box could have given: its kind's first digits and a
// number that isn't given twice.
func (t *tree) number(kind string) string {
	t.last++
	return fmt.Sprintf("%s%010d", map[string]string{kindFolder: "16", kindFile: "92", "version": "892"}[kind], 1000+t.last)
}

func (t *tree) add(parent, it *item) *item {
	it.parent = parent
	t.items[it.id] = it
	if parent != nil {
		parent.children = append(parent.children, it)
	}
	return it
}

// find returns an item of a kind, or nil.
func (t *tree) find(kind, id string) *item {
	if it := t.items[id]; it != nil && it.kind == kind {
		return it
	}
	return nil
}

// trashed says whether an item of a kind lies in the trash.
func (t *tree) trashed(kind, id string) bool {
	return slices.ContainsFunc(t.trash, func(it *item) bool { return it.kind == kind && it.id == id })
}

// move puts an item into another folder.
func (t *tree) move(it, parent *item) {
	it.parent.children = slices.DeleteFunc(it.parent.children, func(c *item) bool { return c == it })
	it.parent = parent
	parent.children = append(parent.children, it)
}

// remove puts an item and all below it into the trash and returns the contents
// that nobody needs any more.
func (t *tree) remove(it *item, now time.Time) []*blob {
	it.parent.children = slices.DeleteFunc(it.parent.children, func(c *item) bool { return c == it })
	var freed []*blob
	var sweep func(*item)
	sweep = func(it *item) {
		delete(t.items, it.id)
		it.trashedAt = now
		t.trash = append(t.trash, it)
		for _, v := range it.versions {
			freed = append(freed, v.blob)
		}
		for _, c := range it.children {
			sweep(c)
		}
	}
	sweep(it)
	if over := len(t.trash) - maxTrash; over > 0 {
		t.trash = slices.Delete(t.trash, 0, over)
	}
	return freed
}

// maxTrash bounds how many deleted items are remembered.
const maxTrash = 10_000

func (t *tree) byLink(link string) *item {
	for _, it := range t.items {
		if it.link != nil && it.link.url == link {
			return it
		}
	}
	return nil
}

// named finds an item by its name in a folder. As at Box, case doesn't matter.
func (it *item) named(name string) *item {
	for _, c := range it.children {
		if strings.EqualFold(c.name, name) {
			return c
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
