//go:build !unix

package stdio

import "os"

// redirect covers what Go code prints through os.Stdout.
func redirect() *os.File {
	real := os.Stdout
	os.Stdout = os.Stderr
	return real
}
