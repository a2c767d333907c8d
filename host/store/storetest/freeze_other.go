//go:build !unix

package storetest

import "os"

var freeze, thaw func(*os.Process) error
