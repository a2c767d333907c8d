package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/boxconnection/connector/conformance/internal/rawclient"
)

// Attach is the target for a plugin that runs already, started with --debug:
// it serves plain text on a socket in a private folder. Checks of transport
// and process are not run, and the outcome is never [Conformant].
func Attach(address string) Target { return attached(address) }

type attached string

// Connect dials the socket, unless others could.
func (a attached) Connect(context.Context) (Instance, error) {
	folder, err := os.Stat(filepath.Dir(string(a)))
	if err != nil {
		return nil, err
	}
	if folder.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the folder of %s is open to others", string(a))
	}
	return rawclient.DialAddress("unix", string(a), nil)
}
