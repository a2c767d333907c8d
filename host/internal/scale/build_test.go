//go:build unix

package scale_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// The folders of the two builds.
const (
	present = "present"
	skewed  = "ahead"
)

// scratch is removed when all tests are done.
var scratch string

// programs builds connectorctl, the connector and the clock, once as they ship
// and once with a clock that is ahead, and returns the folder of both.
var programs = sync.OnceValues(func() (string, error) {
	var err error
	if scratch, err = os.MkdirTemp("", "scale"); err != nil {
		return "", err
	}
	overlay, err := clockAhead(scratch)
	if err != nil {
		return "", err
	}
	return scratch, errors.Join(build(filepath.Join(scratch, present)), build(filepath.Join(scratch, skewed), "-overlay", overlay))
})

func build(folder string, args ...string) error {
	args = append(append([]string{"build", "-o", folder + "/"}, args...),
		"../../cmd/connectorctl", "../../../plugin/cmd/box-connection", "./testdata/clock")
	text, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// clockAhead writes an overlay for builds that replaces package time's clock by
// one that is ahead. The monotonic clock, which timers run on, isn't changed.
func clockAhead(folder string) (overlay string, err error) {
	const now = "sec, nsec, mono := runtimeNow()"
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	path := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if !bytes.Contains(source, []byte(now)) {
		return "", fmt.Errorf("package time in %s reads its clock in another way", path)
	}
	source = bytes.ReplaceAll(source, []byte(now), fmt.Appendf(nil, "%s; sec += %d", now, int(ahead.Seconds())))
	changed := filepath.Join(folder, "time.go")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	overlay = filepath.Join(folder, "overlay.json")
	return overlay, errors.Join(err, os.WriteFile(changed, source, 0o600), os.WriteFile(overlay, text, 0o600))
}
