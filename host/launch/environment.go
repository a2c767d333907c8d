package launch

import "os"

// passedOn are the only variables of the host that a plugin gets: what a
// program needs to find its interpreter, its user's files, its language, its
// time zone and the system's certificates. Proxies come with each call, and
// secrets never travel by environment.
var passedOn = []string{
	"PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "ZONEINFO", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"SystemRoot", "USERPROFILE", "PATHEXT", // Windows
}

// environment returns a plugin's environment without the handshake's part.
func environment(folder string) []string {
	var env []string
	for _, name := range passedOn {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, "TMPDIR="+folder, "TMP="+folder, "TEMP="+folder)
}
