package host_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

func newKeyring(t testing.TB) *seal.Keyring {
	t.Helper()
	set, err := seal.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(set)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// export writes everything of a host into a file in memory.
func (r *rig) export(key seal.Sealer) string {
	r.t.Helper()
	var file bytes.Buffer
	if done, err := r.Export(r.t.Context(), &file, key, "tester"); err != nil || len(done.Bad) > 0 {
		r.t.Fatalf("Export: %+v, %v", done, err)
	}
	return file.String()
}

func (r *rig) importing(file string, key seal.Sealer) (host.Transfer, error) {
	return r.Import(r.t.Context(), strings.NewReader(file), key, "tester")
}

// names lists the host's saved connections.
func (r *rig) names() []string {
	r.t.Helper()
	infos, err := r.tenant.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	names := []string{}
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

// Connections move to another store under another key. Until they are adopted
// they give access that lasts, and their grants aren't touched, while the
// store's own connections live on.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	svc, key := newService(), newKeyring(t)
	from, to := newRig(t, newPlace(t), svc), newRig(t, newPlace(t), svc)
	sales := from.ready("sales") // pair 1
	from.ready("doomed")         // pair 2
	from.create("waiting")
	own := to.ready("own") // pair 3
	file := from.export(key)
	for _, secret := range []string{"s3cret", "sales", "local", sales.ID(), "client_id"} {
		if strings.Contains(file, secret) {
			t.Errorf("the export shows %q", secret)
		}
	}
	svc.untouched(t, func() {
		done, err := to.importing(file, key)
		if err != nil || done.Connections != 3 || len(done.Bad) > 0 {
			t.Fatalf("Import: %+v, %v", done, err)
		}
		wantAccess(t, to.open("sales"), "access-1")
		if got := to.open("sales").ID(); got != sales.ID() {
			t.Errorf("the ID became %s, was %s", got, sales.ID())
		}
		if i := to.info(to.open("waiting")); i.Held != nil || i.State != host.StateNotSignedIn {
			t.Errorf("the one without a sign-in: %+v", i)
		}
		if err := to.open("doomed").Delete(t.Context()); err != nil {
			t.Error(err)
		}
		// Once more: what is there stays as it is, and what was deleted here
		// doesn't come back.
		done, err = to.importing(file, key)
		if err != nil || done.Connections != 0 || len(done.Bad) != 3 {
			t.Errorf("the second import: %+v, %v", done, err)
		}
		for _, b := range done.Bad {
			wantCode(t, b.Err, connector.ConnectionExists)
		}
	})
	later := newRig(t, to.place, svc)
	later.store.advance(50 * day)
	_, err := access(t, later.open("sales"), connector.AccessRequest{})
	wantCode(t, err, connector.StoreNotAdopted)
	if sum := later.keepAlive(); sum.Renewed != 1 || sum.Held != 1 || sum.Failed != 0 {
		t.Errorf("kept alive: %+v; want its own, and the imported one held", sum)
	}
	wantAccess(t, own, "access-4")
	if done := later.adopt(host.Adoption{}); !done.Changed || done.Connections != 1 {
		t.Errorf("the adoption: %+v", done)
	}
	wantAccess(t, later.open("sales"), "access-5")
	if got := to.place.audit.outcomes(audit.ActionImport); !slices.Equal(got[:3], []string{audit.OutcomeOK, audit.OutcomeOK, audit.OutcomeOK}) {
		t.Errorf("audit: %v", got)
	}
}

// An imported connection that is signed in to again has a grant of its own,
// which is renewed and revoked like any other; the one that came along stays.
func TestImportedConnectionIsSignedInTo(t *testing.T) {
	t.Parallel()
	svc, key := newService(), newKeyring(t)
	from, to := newRig(t, newPlace(t), svc), newRig(t, newPlace(t), svc)
	from.ready("sales")
	if _, err := to.importing(from.export(key), key); err != nil {
		t.Fatal(err)
	}
	sales := to.open("sales")
	if err := to.signIn(sales); err != nil {
		t.Fatal(err)
	}
	if i := to.info(sales); i.Held != nil {
		t.Errorf("held after the sign-in: %v", i.Held)
	}
	if err := sales.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(svc.revoked, []int{2}) {
		t.Errorf("revoked %v, want its own grant", svc.revoked)
	}
}

// A record that can't be read is left out of the export, and hides no other.
// Nor does a name that is taken hinder an import.
func TestBadRecordsOfATransfer(t *testing.T) {
	t.Parallel()
	svc, key := newService(), newKeyring(t)
	from, to := newRig(t, newPlace(t), svc), newRig(t, newPlace(t), svc)
	for _, name := range []string{"a", "b", "c"} {
		from.ready(name)
	}
	r, err := from.store.Get(t.Context(), store.Key{Owner: "local", Connection: from.open("b").ID(), Environment: host.DefaultEnvironment})
	if err != nil {
		t.Fatal(err)
	}
	r.Sealed[store.FieldCredential][20] ^= 1
	if err := from.store.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	done, err := from.Export(t.Context(), &file, key, "tester")
	if err != nil || done.Connections != 2 || len(done.Bad) != 1 || done.Bad[0].Key != r.Key || done.Bad[0].Field != store.FieldCredential {
		t.Fatalf("Export: %+v, %v", done, err)
	}
	to.ready("a")
	if done, err = to.importing(file.String(), key); err != nil || done.Connections != 1 || len(done.Bad) != 1 {
		t.Fatalf("Import: %+v, %v", done, err)
	}
	wantCode(t, done.Bad[0].Err, connector.ConnectionExists)
	if got := to.names(); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("there are %v", got)
	}
}

// Each kind of damage is told, and nothing is imported that wasn't exported.
func TestDamagedExports(t *testing.T) {
	t.Parallel()
	svc, key := newService(), newKeyring(t)
	from := newRig(t, newPlace(t), svc)
	for _, name := range []string{"a", "b", "c"} {
		from.ready(name)
	}
	file, other := from.export(key), from.export(key)
	lines := strings.SplitAfter(file, "\n")[:5] // head, three connections, end
	otherLines := strings.SplitAfter(other, "\n")
	join := func(l ...string) string { return strings.Join(l, "") }
	flip := func(line string) string { // in the middle of the sealed value
		b := []byte(line)
		if at := len(b) / 2; b[at] == 'A' {
			b[at] = 'B'
		} else {
			b[at] = 'A'
		}
		return string(b)
	}
	for name, c := range map[string]struct {
		file string
		key  seal.Sealer
		code connector.Code // of the error, or of each bad line if bad is set
		bad  int
		says string
		want []string // the names that were imported
	}{
		"whole":               {file: file, want: []string{"a", "b", "c"}},
		"empty":               {file: "", code: connector.StoreDamaged, says: "is empty"},
		"zero bytes":          {file: strings.Repeat("\x00", 4096), code: connector.StoreDamaged, says: "isn't an export"},
		"foreign":             {file: "PK\x03\x04 something else\n", code: connector.StoreDamaged, says: "isn't an export"},
		"a store's file":      {file: "boxconnection-store 1 record 5 sha256:00\n{}", code: connector.StoreDamaged, says: "isn't an export"},
		"torn in its head":    {file: file[:12], code: connector.StoreDamaged, says: "first line"},
		"torn after its head": {file: lines[0], code: connector.StoreDamaged, says: "cut short after 0"},
		"torn between lines":  {file: join(lines[:3]...), code: connector.StoreDamaged, says: "cut short after 2", want: []string{"a", "b"}},
		"torn in a line":      {file: file[:len(lines[0])+len(lines[1])+100], code: connector.StoreDamaged, says: "cut short", want: []string{"a"}},
		"torn in its end":     {file: file[:len(file)-30], code: connector.StoreDamaged, says: "last line", want: []string{"a", "b", "c"}},
		"a flipped line":      {file: join(lines[0], lines[1], flip(lines[2]), lines[3], lines[4]), code: connector.StoreDamaged, bad: 1, says: "connection 2", want: []string{"a", "c"}},
		"a flipped end":       {file: join(append(slices.Clone(lines[:4]), flip(lines[4]))...), code: connector.StoreDamaged, says: "last line", want: []string{"a", "b", "c"}},
		"a missing line":      {file: join(lines[0], lines[1], lines[3], lines[4]), code: connector.StoreDamaged, says: "2 of its connections are there, and 3", want: []string{"a", "c"}},
		"a line twice":        {file: join(lines[0], lines[1], lines[1], lines[2], lines[3], lines[4]), code: connector.StoreDamaged, says: "4 of its", want: []string{"a", "b", "c"}},
		"a renumbered line":   {file: join(lines[0], lines[1], lines[2], "3"+lines[1][1:], lines[4]), code: connector.StoreDamaged, bad: 1, says: "connection 3", want: []string{"a", "b"}},
		"lines of another":    {file: join(lines[0], otherLines[1], lines[2], lines[3], lines[4]), code: connector.StoreDamaged, bad: 1, says: "connection 1", want: []string{"b", "c"}},
		"another's end":       {file: join(lines[0], lines[1], otherLines[4]), code: connector.StoreDamaged, says: "last line", want: []string{"a"}},
		"more after its end":  {file: file + lines[1], code: connector.StoreDamaged, says: "goes on", want: []string{"a", "b", "c"}},
		"another ID":          {file: "boxconnection-export 1 " + strings.Repeat("0", 32) + "\n" + join(lines[1:]...), code: connector.StoreDamaged, says: "last line"},
		"a newer version":     {file: "boxconnection-export 2 whatever comes\n", code: connector.StoreVersionNewer, says: "newer version"},
		"version zero":        {file: "boxconnection-export 0" + file[len("boxconnection-export 1"):], code: connector.StoreDamaged, says: "first line"},
		"another key":         {file: file, key: newKeyring(t), code: connector.SealingKeyWrong, says: "another key"},
		"an endless line":     {file: lines[0] + strings.Repeat("1", 33<<20), code: connector.LimitExceeded, says: "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := newRig(t, newPlace(t), svc)
			if c.key == nil {
				c.key = key
			}
			done, err := to.importing(c.file, c.key)
			if c.code == "" {
				if err != nil || len(done.Bad) > 0 {
					t.Errorf("%+v, %v", done, err)
				}
			} else {
				if c.bad > 0 {
					if err != nil || len(done.Bad) != c.bad {
						t.Fatalf("%+v, %v; want %d bad line(s)", done, err, c.bad)
					}
					err = done.Bad[0].Err
				}
				if d := wantCode(t, err, c.code); !strings.Contains(d.Summary, c.says) || d.Suggestion == "" && c.code != connector.LimitExceeded {
					t.Errorf("the diagnostic: %v; want %q in it", d, c.says)
				}
			}
			if got := to.names(); !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 || done.Connections != len(c.want) {
				t.Errorf("imported %v (%d), want %v", got, done.Connections, c.want)
			}
		})
	}
}

// Wherever one byte is flipped, or the file ends, it is told, and what is
// imported is what was exported.
func TestExportDamagedAnywhere(t *testing.T) {
	t.Parallel()
	svc, key := newService(), newKeyring(t)
	from := newRig(t, newPlace(t), svc)
	from.ready("a")
	from.ready("b")
	file := from.export(key)
	damaged := map[string]string{}
	for at := 0; at < len(file)-1; at += 41 {
		b := []byte(file)
		b[at] ^= 1
		damaged[fmt.Sprintf("byte %d flipped", at)] = string(b)
		damaged[fmt.Sprintf("cut at byte %d", at)] = file[:at]
	}
	to := newRig(t, newPlace(t), svc)
	for name, file := range damaged {
		done, err := to.importing(file, key)
		told := err != nil
		for _, b := range done.Bad {
			told = told || b.Err.Code != connector.ConnectionExists
		}
		if !told {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
	for _, name := range to.names() {
		if !strings.Contains("ab", name) {
			t.Errorf("there is a connection %q", name)
		}
	}
	wantAccess(t, to.open("a"), "access-1")
	wantAccess(t, to.open("b"), "access-2")
}
