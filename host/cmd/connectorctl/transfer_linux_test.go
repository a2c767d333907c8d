package main_test

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Box's digest of a file, not a protection
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// transferVariable asks for 2 GiB in place of 100 MB.
	transferVariable = "TRANSFER_SOAK"
	// mayGrow is by how much the memory of host and plugin may grow, however
	// much they transfer.
	mayGrow = 64 << 20
)

// A large file goes up and down without being held in memory: neither the
// host's nor the plugin's resident memory grows with it.
func TestLargeTransfer(t *testing.T) {
	t.Parallel()
	size, within := int64(100_000_000), 3*time.Minute
	if os.Getenv(transferVariable) != "" {
		size, within = 2<<30, 20*time.Minute
	}
	w := worldOf(t)
	if _, err := w.boxsim("box", "--access-lifetime", "2h"); err != nil {
		t.Fatal(err)
	}
	if err := w.connect("sales"); err != nil {
		t.Fatal(err)
	}
	base := w.transfer(t, 1000, time.Minute)
	peaks := w.transfer(t, size, within)
	for step, programs := range peaks {
		for program, peak := range programs {
			grown := peak - base[step][program]
			t.Logf("%-8s %11d bytes: %-16s %3d MB at its peak, %d MB more than for 1 KB", step, size, program, peak/1e6, grown/1e6)
			if grown > mayGrow {
				t.Errorf("%s grows by %d bytes in the %s", program, grown, step)
			}
		}
		if len(programs) != 2 {
			t.Errorf("only these were seen in the %s: %v", step, programs)
		}
	}
}

// transfer uploads random bytes through a pipe, downloads them through another
// and returns the peak of each program's resident memory.
func (w *world) transfer(t *testing.T, size int64, within time.Duration) map[string]map[string]int64 {
	t.Helper()
	up, err := w.start(command{program: "connectorctl", args: []string{
		"run", "sales", "box-operations", "create-file", "--input", fmt.Sprintf(`{"name":"%d.bin"}`, size), "--content", "-", "--content-length", strconv.FormatInt(size, 10),
	}})
	if err != nil {
		t.Fatal(err)
	}
	sent := sha1.New() //nolint:gosec // see the import
	var feeding sync.WaitGroup
	feeding.Go(func() {
		_, err := io.CopyN(io.MultiWriter(up.stdin, sent), rand.Reader, size)
		if err := errors.Join(err, up.stdin.Close()); err != nil {
			t.Error(err)
		}
	})
	peaks := map[string]map[string]int64{"upload": peaksOf(t, up, within)}
	feeding.Wait()
	var file struct{ ID, SHA1 string }
	if err := json.Unmarshal([]byte(up.result().stdout), &file); err != nil || file.SHA1 != hex.EncodeToString(sent.Sum(nil)) {
		t.Fatal(file, err, up.result().stderr)
	}

	path := filepath.Join(w.dir, fmt.Sprintf("pipe-%d", size))
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Open for both, so that it neither waits for a writer nor ends without one.
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() }) // again, as a rule
	if err := pipe.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	down, err := w.start(command{program: "connectorctl", stdin: os.DevNull, args: []string{
		"run", "sales", "box-operations", "get-file", "--input", fmt.Sprintf(`{"file_id":"%s"}`, file.ID), "--output", path,
	}})
	if err != nil {
		t.Fatal(err)
	}
	came := sha1.New() //nolint:gosec // see the import
	var reading sync.WaitGroup
	reading.Go(func() {
		_, err := io.CopyN(came, pipe, size)
		if err := errors.Join(err, pipe.Close()); err != nil {
			t.Error(err)
		}
	})
	peaks["download"] = peaksOf(t, down, within)
	reading.Wait()
	if got := hex.EncodeToString(came.Sum(nil)); got != file.SHA1 {
		t.Fatalf("what came back has the digest %s, not %s", got, file.SHA1)
	}
	return peaks
}

// peaksOf looks at the memory of a process and its plugins until it ends well.
func peaksOf(t *testing.T, p *process, within time.Duration) map[string]int64 {
	t.Helper()
	peaks := map[string]int64{}
	limit := time.After(within)
	for look := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-p.gone:
			look.Stop()
			if p.code != 0 {
				t.Fatalf("exit code %d: %s", p.code, p.result().stderr)
			}
			delete(peaks, "box-connection") // carries no content
			return peaks
		case <-limit:
			p.kill()
			t.Fatalf("it isn't done within %s", within)
		case <-look.C: // the peak has no other sign
			for _, m := range memoryOf(p.cmd.Process.Pid) {
				peaks[m.program] = max(peaks[m.program], m.peak)
			}
		}
	}
}

// memory is what the system says of a process.
type memory struct {
	program string
	peak    int64
}

// memoryOf looks at a process and its children.
func memoryOf(pid int) []memory {
	var found []memory
	entries, _ := os.ReadDir("/proc") // a process may end at any time
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		if err != nil {
			continue
		}
		fields := map[string]string{}
		for lines := bufio.NewScanner(strings.NewReader(string(status))); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ":")
			fields[name] = strings.TrimSpace(value)
		}
		if id != pid && fields["PPid"] != strconv.Itoa(pid) {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(fields["VmHWM"], " kB"), 10, 64)
		if err == nil { // none once it has ended
			found = append(found, memory{fields["Name"], kilobytes << 10})
		}
	}
	return found
}
