package webdav_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// suite is the program that `make build` makes.
const suite = "../../../bin/connector-conformance"

// TestConformant runs the suite on the connector as an engine's team would:
// built binaries, the connector's own profile, and the exit code.
func TestConformant(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	folder := t.TempDir()
	build := exec.CommandContext(ctx, "go", "build", "-o", folder+string(filepath.Separator), "./cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, suite, "run", filepath.Join(folder, "webdav-connection"), "--profile", "webdav.json") //nolint:gosec // built here
	cmd.Env = append(os.Environ(), "PATH="+folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if !bytes.Contains(out.Bytes(), []byte(": conformant")) {
		t.Fatalf("the connector isn't called conformant:\n%s", &out)
	}
}
