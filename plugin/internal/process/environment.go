package process

import "os"

// forgetEnvironment removes what would change how traffic goes without a word
// in any call: libraries read these variables by themselves, Go's own reading
// of the system's certificates among them. A host sends what counts with each
// call.
func forgetEnvironment() {
	for _, name := range []string{
		"SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
	} {
		_ = os.Unsetenv(name)
	}
}
