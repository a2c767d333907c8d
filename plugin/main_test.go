package plugin_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/proto/handshake"
)

// The package's own variables are set before main, as a dependency's are.
var _ = func() bool {
	if os.Getenv("FAKE_NOISE") != "" {
		fmt.Println("noise while the program is initialised")
	}
	return true
}()

func TestMain(m *testing.M) {
	switch {
	case os.Getenv("FAKE_HOST") != "":
		runAsHost()
	case os.Getenv("FAKE_PLUGIN") != "", os.Getenv(handshake.CookieKey) != "":
		runAsPlugin()
	}
	goleak.VerifyTestMain(m)
}

func printNoise() {
	fmt.Print("noise without end of line")
	fmt.Println("1|1|unix|/tmp/other|grpc|")
	fmt.Println(strings.Repeat("noise ", 100_000))
}
