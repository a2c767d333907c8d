//go:build unix

package plugin_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// runAsHost is a host that starts the plugin with a death pipe, lets it hang
// in a call, and waits to be killed. Descriptor 3 is the test's: each process
// of the family holds it, and the test reads the end when all are gone.
func runAsHost() {
	die := func(err error) {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r, w, err := os.Pipe()
	if err != nil {
		die(err)
	}
	defer func() { _ = w.Close() }()
	cmd, dir, err := command(handshake.DeathFD + "=3")
	if err != nil {
		die(err)
	}
	alive := os.NewFile(3, "alive")
	cmd.ExtraFiles = []*os.File{r, alive}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: os.Getenv("FAKE_HOST") == "group"}
	c, err := connect(cmd)
	if err != nil {
		die(err)
	}
	_ = r.Close()
	go func() {
		_, _ = c.calls.OpenSession(context.Background(), &connectorv1.OpenSessionRequest{Settings: []byte(`{"mode":"hang"}`)})
	}()
	for !strings.Contains(c.stderr.String(), "entered") {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(dir)
	select {}
}

// A host that is killed leaves no plugin, no child of one and no socket, even
// while a call hangs.
func TestPluginDiesWithItsHost(t *testing.T) {
	t.Parallel()
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.CommandContext(within(t, time.Minute), os.Args[0])
	host.Env = []string{"FAKE_HOST=group", "PATH=" + os.Getenv("PATH")}
	host.ExtraFiles = []*os.File{held}
	var stderr buffer
	host.Stderr = &stderr
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	_ = held.Close()
	line := make([]byte, 4096)
	n, err := stdout.Read(line)
	if err != nil {
		t.Fatalf("the host didn't start: %v, %s", err, stderr.String())
	}
	dir := strings.TrimSpace(string(line[:n]))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if err := alive.SetReadDeadline(killed.Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := alive.Read(line); err != io.EOF {
		t.Fatalf("the plugin lives on: %v", err)
	}
	if took := time.Since(killed); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the socket's folder is still there: %v", err)
	}
	_ = host.Wait()
	_ = alive.Close()
}

// A plugin that doesn't lead its group kills itself alone: the group may be a
// shell's.
func TestWatchdogSparesAForeignGroup(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd, dir, err := command(handshake.DeathFD + "=3")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd.ExtraFiles = []*os.File{r}
	c := begin(t, cmd)
	_ = r.Close()
	_ = w.Close()
	eventually(t, c.Exited)
}

func TestWatchdogNeedsAnOpenDescriptor(t *testing.T) {
	t.Parallel()
	for _, fd := range []string{"99", "x", "-1", "0"} {
		c := start(t, handshake.DeathFD+"="+fd)
		if _, err := c.calls.Describe(within(t, 5*time.Second), &connectorv1.DescribeRequest{}); err != nil {
			t.Errorf("descriptor %s: %v", fd, err)
		}
		eventually(t, func() bool { return strings.Contains(c.stderr.String(), handshake.DeathFD) })
	}
}

// A plugin that is asked to terminate finishes the call under way, which may
// be a renewal, and takes no other.
func TestTerminationWaitsForCalls(t *testing.T) {
	t.Parallel()
	c := start(t)
	result := make(chan error, 1)
	go func() {
		_, err := c.calls.OpenSession(context.Background(), &connectorv1.OpenSessionRequest{Settings: []byte(`{"mode":"pause"}`)})
		result <- err
	}()
	eventually(t, func() bool { return strings.Contains(c.stderr.String(), "entered") })
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return strings.Contains(c.stderr.String(), "asked to terminate") })
	eventually(t, func() bool {
		_, err := c.calls.Describe(context.Background(), &connectorv1.DescribeRequest{})
		return diagnose(err).Code == connector.PluginExited
	})
	if err := <-result; err != nil {
		t.Errorf("the call was cut off: %v", err)
	}
	eventually(t, c.Exited)
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTerminationIsBoundedByNothingToDo(t *testing.T) {
	t.Parallel()
	c := start(t)
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, c.Exited)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	c := start(t)
	h, err := grpc_health_v1.NewHealthClient(c.conn).Check(within(t, 5*time.Second), &grpc_health_v1.HealthCheckRequest{Service: "plugin"})
	if err != nil || h.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", h, err)
	}
}

// The socket is for this user alone, whatever the umask that was inherited.
func TestSocketIsPrivate(t *testing.T) {
	t.Parallel()
	cmd, dir, err := command()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	begin(t, cmd)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
