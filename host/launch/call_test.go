package launch_test

import (
	"testing"

	"github.com/boxconnection/connector/host/launch"
)

func TestCall(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{}), "good")
	if got := must(t, p, "echo hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
}
