package host_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/boxconnection/connector/host"
)

// The process of the operations never holds the client secret or the
// credential: neither in its memory, while it uses access, nor in its
// environment and its arguments. That the access token is found shows that the
// scan sees.
func TestOperationProcessHoldsNoSecret(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	pid := o.pid()
	asked, scanned := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o.api.answer(func(w http.ResponseWriter, _ *http.Request) bool {
		once.Do(func() { close(asked) })
		<-scanned
		return false
	})
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := o.run("get", `{"path":"a"}`, host.Input{}); err != nil {
			t.Error(err)
		}
	})
	<-asked
	defer running.Wait()
	defer close(scanned)
	found := map[string]bool{}
	words := []string{"access-1-narrow", "access-1\x00", "s3cret", `"Pair":1,"Issued"`, "client_secret"}
	for _, where := range []string{"mem", "environ", "cmdline"} {
		var text []byte
		if where == "mem" {
			text = memoryOf(t, pid)
		} else if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, where)); err == nil {
			text = data
		}
		if len(text) == 0 {
			t.Fatalf("%s can't be read", where)
		}
		for _, word := range words {
			if bytes.Contains(text, []byte(word)) {
				found[word] = true
				if word != words[0] {
					t.Errorf("%s holds %q", where, word)
				}
			}
		}
	}
	if !found[words[0]] {
		t.Error("the scan finds nothing, not even the access token")
	}
}

// memoryOf returns all that can be read of a process's memory.
func memoryOf(t testing.TB, pid int) []byte {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	var all bytes.Buffer
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if n, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || n != 3 || !strings.HasPrefix(mode, "rw") {
			continue
		}
		// What was never touched, or is the kernel's own, can't be read.
		_, _ = io.Copy(&all, io.NewSectionReader(mem, from, to-from))
	}
	return all.Bytes()
}

// residentKB is a process's resident memory.
func residentKB(t testing.TB, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}
