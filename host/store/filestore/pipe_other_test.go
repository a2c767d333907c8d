//go:build !unix

package filestore_test

import "os"

func makePipe(path string) error { return os.Mkdir(path, 0o700) }
