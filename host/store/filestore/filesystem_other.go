//go:build !linux && !darwin

package filestore

// remoteFileSystem can't tell here.
func remoteFileSystem(string) (string, error) { return "", nil }
