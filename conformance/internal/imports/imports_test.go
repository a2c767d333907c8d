// Package imports_test holds the direction of the project's imports: down
// only. It parses the files, so that a forbidden import is named before it
// compiles.
package imports_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/boxconnection/connector/"

// rule says what the packages at or below a folder may import of the project,
// as folders too. The longest folder that fits a package decides. Tests are
// held to testOnly as well.
type rule struct {
	folder   string
	allowed  []string
	testOnly []string
}

var rules = []rule{
	{folder: "proto/connector"},
	{folder: "proto/connector/connectorhttp", allowed: []string{"proto/connector"}, testOnly: []string{"proto/benchtest"}},
	{folder: "proto/benchtest"},
	{folder: "proto/handshake"},
	{folder: "proto/integration"},
	{folder: "proto/integration/operation", allowed: []string{"proto/integration/connector"}},
	{folder: "descriptor", allowed: []string{"proto/connector"}, testOnly: []string{"proto/benchtest"}},
	{folder: "proto/protoconv", allowed: []string{"proto", "descriptor"}},
	{folder: "plugin", allowed: []string{"proto", "descriptor", "plugin"}},
	{folder: "plugin/box", allowed: []string{"proto", "plugin"}, testOnly: []string{"plugin/box/boxsim", "descriptor"}},
	{folder: "plugin/box/boxsim", allowed: []string{"plugin/box/boxsim"}},
	{folder: "plugin/cmd/boxsim", allowed: []string{"plugin/box/boxsim"}},
	{folder: "plugin/cmd/box-connection", allowed: []string{"plugin"}},
	{folder: "plugin/cmd/box-operations", allowed: []string{"plugin"}},
	{folder: "host", allowed: []string{"proto", "descriptor", "host"}, testOnly: []string{"plugin/box/boxsim"}},
	{folder: "host/launch", allowed: []string{"proto/connector", "proto/handshake", "host/launch"}, testOnly: []string{"proto"}},
	{folder: "host/store", allowed: []string{"proto/connector", "host/store"}, testOnly: []string{"proto/benchtest"}},
	{folder: "host/seal", allowed: []string{"proto/connector", "host/store"}},
	{folder: "host/audit", allowed: []string{"proto/connector"}},
	{folder: "host/river", allowed: []string{"proto/connector", "host"}, testOnly: []string{"proto"}},
	{folder: "host/cmd", allowed: []string{"proto", "descriptor", "host"}},
	{folder: "host/cmd/connectorctl/internal/demo", allowed: []string{}},
	{folder: "conformance", allowed: []string{"proto/integration", "proto/handshake", "descriptor", "conformance"}},
	{folder: "conformance/interop", allowed: []string{"conformance/interop"}},
	// A connector like any other author's.
	{folder: "conformance/interop/webdav", allowed: []string{"plugin", "proto", "conformance/interop/webdav"}},
}

// forbidden are imports that a folder of an allowed tree must not have.
var forbidden = map[string][]string{
	// Tests alone may use the emulator.
	"plugin/box": {"plugin/box/boxsim", "plugin/cmd"},
	"plugin":     {"plugin/box", "plugin/cmd"},
	// An engine that needs no job queue links none.
	"host":                       {"host/river", "host/cmd"},
	"host/river":                 {"host/river", "host/cmd"},
	"conformance/interop/webdav": {"plugin/box", "plugin/cmd"},
}

// exclusive are modules of others that only one folder may import.
var exclusive = map[string]string{"github.com/riverqueue/": "host/river"}

func TestImportsGoDownOnly(t *testing.T) {
	t.Parallel()
	faults, files := check(t, os.DirFS("../../.."))
	if files < 50 {
		t.Fatalf("only %d files were read; the check doesn't see the project", files)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// TestUpwardImportIsSeen injects each kind of fault and wants it named.
func TestUpwardImportIsSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, imports string }{
		{"proto/connector/x.go", "descriptor"},
		{"descriptor/x.go", "proto/protoconv"},
		{"host/x.go", "plugin"},
		{"plugin/x.go", "host"},
		{"plugin/x.go", "plugin/box"},
		{"plugin/box/x.go", "plugin/box/boxsim"},
		{"plugin/box/boxsim/x.go", "plugin/box"},
		{"conformance/x.go", "proto/protoconv"},
		{"conformance/x.go", "host"},
		{"host/launch/x.go", "host"},
		{"host/cmd/connectorctl/internal/demo/x.go", "host"},
		{"host/x.go", "host/river"},
		{"host/river/x.go", "plugin"},
	} {
		root := t.TempDir()
		path := filepath.Join(root, filepath.FromSlash(c.file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		source := fmt.Sprintf("package x\nimport _ %q\n", module+c.imports)
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if faults, _ := check(t, os.DirFS(root)); len(faults) != 1 {
			t.Errorf("%s importing %s: %d faults, want 1", c.file, c.imports, len(faults))
		}
	}
}

// TestJobQueueElsewhereIsSeen injects an import of a module that belongs to
// another folder.
func TestJobQueueElsewhereIsSeen(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]int{"host/cmd/connectorctl/x.go": 1, "host/river/x.go": 0} {
		root := fstest.MapFS{file: {Data: []byte("package x\nimport _ \"github.com/riverqueue/river/rivertype\"\n")}}
		if faults, _ := check(t, root); len(faults) != want {
			t.Errorf("%s: %d faults, want %d", file, len(faults), want)
		}
	}
}

func check(t *testing.T, root fs.FS) (faults []string, files int) {
	t.Helper()
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (path != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata" || path == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		files++
		data, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, data, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if target, ours := strings.CutPrefix(name, module); ours && !permitted(path, target) {
				faults = append(faults, fmt.Sprintf("%s must not import %s", path, target))
			}
			for module, folder := range exclusive {
				if strings.HasPrefix(name, module) && !within(filepath.ToSlash(filepath.Dir(path)), folder) {
					faults = append(faults, fmt.Sprintf("%s must not import %s: only %s may", path, name, folder))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return faults, files
}

func permitted(file, target string) bool {
	folder := filepath.ToSlash(filepath.Dir(file))
	test := strings.HasSuffix(file, "_test.go")
	if test && folder == target { // a black-box test imports its own package
		return true
	}
	var best rule
	for _, r := range rules {
		if within(folder, r.folder) && len(r.folder) > len(best.folder) {
			best = r
		}
	}
	if test && under(target, best.testOnly) {
		return true
	}
	return under(target, best.allowed) && !under(target, forbidden[best.folder])
}

func under(target string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return within(target, f) })
}

func within(folder, tree string) bool { return folder == tree || strings.HasPrefix(folder, tree+"/") }
