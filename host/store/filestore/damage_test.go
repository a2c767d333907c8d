package filestore_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/proto/connector"
)

// A damaged file is never taken for a missing one: each kind of damage is
// named with its file, and no call changes the file, so that it can be rescued.
func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	whole := encoded(t, record())
	other := record()
	other.Key.Connection = "c2"
	flow, err := filestore.Encode("flow", store.Flow{ID: "f"})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for name, content := range map[string][]byte{
		"empty":              {},
		"zero bytes":         make([]byte, len(whole)),
		"foreign":            []byte(`{"refresh_token": "x"}`),
		"cut short":          whole[:len(whole)/2+60],
		"cut in the header":  whole[:30],
		"longer":             append(bytes.Clone(whole), "more"...),
		"changed":            bytes.Replace(whole, []byte(`"sales"`), []byte(`"sAles"`), 1),
		"header changed":     bytes.Replace(whole, []byte(" record "), []byte(" record  "), 1),
		"another connection": encoded(t, other),
		"a flow":             flow,
		"version zero":       filestore.Reversion(whole, "0"),
	} {
		folder := newFolder(t)
		s := openFolder(t, folder)
		create(t, s)
		path := filestore.RecordPath(folder, testKey)
		writeFile(t, path, content)

		_, err := s.Get(t.Context(), testKey)
		d := diagnostic(t, name, err, connector.StoreDamaged)
		if !strings.Contains(d.Summary, path) {
			t.Errorf("%s: the diagnostic doesn't name the file: %v", name, d)
		}
		how := strings.ReplaceAll(d.Summary, path, "")
		if before, ok := told[how]; ok {
			t.Errorf("%s and %s are told alike: %s", name, before, how)
		}
		told[how] = name

		r := record()
		r.Revision = 1
		wantCode(t, name+": Update", s.Update(t.Context(), r), connector.StoreDamaged)
		wantCode(t, name+": Delete", s.Delete(t.Context(), testKey, 1), connector.StoreDamaged)
		wantCode(t, name+": Create", s.Create(t.Context(), record()), connector.ConnectionExists)
		_, _, err = s.Acquire(t.Context(), testKey, request)
		wantCode(t, name+": Acquire", err, connector.StoreDamaged)
		_, err = s.Commit(t.Context(), testKey, &store.Lease{Generation: 1}, renew)
		wantCode(t, name+": Commit", err, connector.StoreDamaged)
		wantCode(t, name+": Release", s.Release(t.Context(), testKey, &store.Lease{}), connector.StoreDamaged)
		if _, err := filestore.Open(t.Context(), folder); err != nil {
			t.Errorf("%s: Open: %v", name, err)
		}
		if !bytes.Equal(readFile(t, path), content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// Any single flipped bit and any cut is found.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	whole := encoded(t, record())
	var r store.Record
	if err := filestore.Decode(whole, "record", &r); err != nil {
		t.Fatalf("the whole file: %v", err)
	}
	for i := range whole {
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[i] ^= 1 << bit
			wantCode(t, "a flipped bit", filestore.Decode(flipped, "record", &r), connector.StoreDamaged)
		}
		wantCode(t, "a cut", filestore.Decode(whole[:i], "record", &r), connector.StoreDamaged)
	}
}

func TestNewerVersion(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	create(t, s)
	path := filestore.RecordPath(folder, testKey)
	newer := filestore.Reversion(readFile(t, path), "2")
	writeFile(t, path, newer)
	_, err := s.Get(t.Context(), testKey)
	wantCode(t, "Get", err, connector.StoreVersionNewer)
	_, _, err = s.Acquire(t.Context(), testKey, request)
	wantCode(t, "Acquire", err, connector.StoreVersionNewer)
	listed, err := s.List(t.Context(), store.Query{})
	if err != nil || len(listed) != 1 || listed[0].Err == nil || listed[0].Err.Code != connector.StoreVersionNewer || listed[0].Key != testKey {
		t.Errorf("listed %+v, error %v", listed, err)
	}
	if !bytes.Equal(newer, readFile(t, path)) {
		t.Error("the newer file was changed")
	}

	identity := filepath.Join(folder, "store.json")
	writeFile(t, identity, filestore.Reversion(readFile(t, identity), "2"))
	_, err = filestore.Open(t.Context(), folder)
	wantCode(t, "Open", err, connector.StoreVersionNewer)
}

// What isn't a file in a record's place is damage as well, and doesn't block.
func TestNotAFile(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(path string) error{
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":   func(path string) error { return os.Symlink(path+".elsewhere", path) },
		"a pipe":   makePipe,
	} {
		folder := newFolder(t)
		s := openFolder(t, folder)
		create(t, s)
		path := filestore.RecordPath(folder, testKey)
		if err := os.Rename(path, path+".elsewhere"); err != nil {
			t.Fatal(err)
		}
		if err := replace(path); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(t.Context(), testKey)
		wantCode(t, name, err, connector.StoreDamaged)
	}
}

// Foreign files beside the records are no connections, and do no harm.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	create(t, s)
	for _, name := range []string{"README", ".DS_Store", "x.json~", ".json"} {
		writeFile(t, filepath.Join(folder, "records", name), []byte("x"))
	}
	listed, err := s.List(t.Context(), store.Query{})
	if err != nil || len(listed) != 1 {
		t.Fatalf("listed %+v, error %v", listed, err)
	}
	writeFile(t, filepath.Join(folder, "records", "copy of a record.json"), encoded(t, record()))
	listed, err = s.List(t.Context(), store.Query{})
	if err != nil || len(listed) != 2 || listed[0].Err == nil || listed[0].Err.Code != connector.StoreDamaged {
		t.Fatalf("listed %+v, error %v", listed, err)
	}
}

// The damaged record's key is told from the file's name.
func TestDamagedKeyIsListed(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	r := record()
	r.Key = store.Key{Owner: "Größe/../x", Connection: "C", Environment: strings.Repeat("long", 50)}
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filestore.RecordPath(folder, r.Key), nil)
	for _, q := range []store.Query{{}, {Owner: r.Key.Owner}, {Environment: r.Key.Environment}} {
		listed, err := s.List(t.Context(), q)
		want := store.Key{Owner: r.Key.Owner, Connection: "C"}
		if err != nil || len(listed) != 1 || listed[0].Key != want {
			t.Errorf("List(%v) = %+v, %v, want the key %v", q, listed, err, want)
		}
	}
	if listed, err := s.List(t.Context(), store.Query{Owner: "other"}); err != nil || len(listed) != 0 {
		t.Errorf("another owner's list: %+v, %v", listed, err)
	}
}

func TestIdentityIsLost(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	if again := openFolder(t, folder); again.ID() != s.ID() || s.ID() == "" {
		t.Fatalf("the store's ID is %q, then %q", s.ID(), again.ID())
	}
	identity := filepath.Join(folder, "store.json")
	content := readFile(t, identity)
	writeFile(t, identity, content[:20])
	_, err := filestore.Open(t.Context(), folder)
	wantCode(t, "Open with half a store.json", err, connector.StoreDamaged)

	create(t, s)
	if err := os.Remove(identity); err != nil {
		t.Fatal(err)
	}
	_, err = filestore.Open(t.Context(), folder)
	wantCode(t, "Open without store.json", err, connector.StoreDamaged)
	writeFile(t, identity, content)
	get(t, openFolder(t, folder))
}

// A folder that went away is no empty store.
func TestFolderIsGone(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	r := create(t, s)
	if err := os.Rename(folder, folder+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), testKey)
	wantCode(t, "Get", err, connector.StoreUnavailable)
	_, err = s.List(t.Context(), store.Query{})
	wantCode(t, "List", err, connector.StoreUnavailable)
	wantCode(t, "Update", s.Update(t.Context(), r), connector.StoreUnavailable)
	if err := os.Rename(folder+".elsewhere", folder); err != nil {
		t.Fatal(err)
	}
	get(t, s)
}

func FuzzDecode(f *testing.F) {
	content, err := filestore.Encode("record", record())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(filestore.Reversion(content, "2"))
	f.Add([]byte("boxconnection-store 1 record -1 sha256:\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		var r store.Record
		if err := filestore.Decode(content, "record", &r); err != nil {
			return
		}
		// Only what was written is read: the digest covers all of it.
		if !bytes.Equal(filestore.Reversion(content, "1"), content) {
			t.Errorf("read what isn't a written file: %q", content)
		}
	})
}

func encoded(t testing.TB, r *store.Record) []byte {
	t.Helper()
	content, err := filestore.Encode("record", r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// What can't be written as JSON is refused and leaves nothing.
func TestUnwritableValue(t *testing.T) {
	t.Parallel()
	s := openFolder(t, newFolder(t))
	r := record()
	r.DueAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := json.Marshal(r); err == nil {
		t.Fatal("this value can be written")
	}
	if err := s.Create(t.Context(), r); err == nil {
		t.Error("Create took it")
	}
	if has, err := s.HasData(t.Context()); err != nil || has {
		t.Errorf("HasData = %v, %v", has, err)
	}
}
