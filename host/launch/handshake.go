package launch

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/boxconnection/connector/host/launch/internal/logs"
	"github.com/boxconnection/connector/proto/connector"
)

// shownOutput is how much of a plugin's own words a diagnostic shows.
const shownOutput = 200

// checkHandshake judges the line by which a plugin says where it listens:
//
//	1|<contract version>|unix|<path>|grpc|<certificate, unpadded base64 of DER>
//
// go-plugin reads it again; what passes here passes there.
func (p *Plugin) checkHandshake(line, folder string) *connector.Diagnostic {
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) < 4 || fields[0] != "1" {
		return p.handshakeFailed("printed something else than the handshake line").
			WithDetail("its first line: %q", logs.Clean(p.launcher.options.Scrub(line), shownOutput)).
			Suggest("Give the path of a connector plugin. If it is one, nothing in it may print before it serves.")
	}
	version, err := strconv.Atoi(fields[1])
	if err != nil {
		return p.handshakeFailed("gave a contract version that isn't a number")
	}
	if !slices.Contains(p.launcher.options.Versions, version) {
		return p.versionUnsupported(version)
	}
	if err := checkAddress(fields[2], fields[3], folder); err != nil {
		return p.handshakeFailed("listens where it may not: %v", err).
			Suggest("Its author should listen in the folder that PLUGIN_UNIX_SOCKET_DIR names.")
	}
	if len(fields) < 6 || fields[4] != "grpc" {
		return p.handshakeFailed("doesn't serve gRPC with TLS").
			Suggest("Its author should serve gRPC, with a certificate in the handshake line.")
	}
	der, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err == nil {
		_, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return p.handshakeFailed("gave no certificate that can be read, so nobody could tell it from a stranger").
			Suggest("Its author should put its certificate into the handshake line: unpadded base64 of DER.").Because(err)
	}
	return nil
}

// checkAddress keeps a plugin from sending its host to somebody else.
func checkAddress(network, address, folder string) error {
	if runtime.GOOS == "windows" {
		host, _, err := net.SplitHostPort(address)
		if network != "tcp" || err != nil || host != "127.0.0.1" {
			return errors.New("not on TCP at 127.0.0.1")
		}
		return nil
	}
	theirs, err := os.Stat(filepath.Dir(address))
	if network != "unix" || err != nil || !filepath.IsAbs(address) {
		return errors.New("not on a Unix socket")
	}
	ours, err := os.Stat(folder)
	if err != nil || !os.SameFile(ours, theirs) {
		return errors.New("not in its own folder")
	}
	return nil
}

// versionUnsupported tells who has to be updated. A plugin that has no version
// in common with the host answers with its lowest.
func (p *Plugin) versionUnsupported(lowest int) *connector.Diagnostic {
	ours := p.launcher.options.Versions
	names := make([]string, 0, len(ours))
	for _, v := range ours {
		names = append(names, strconv.Itoa(v))
	}
	older, advice := "The plugin", "Update the plugin."
	if lowest > slices.Max(ours) {
		older, advice = "This program", "Update this program, or install an older plugin."
	}
	return connector.Errorf(connector.PluginVersionUnsupported, connector.OriginHost,
		"Plugin %q and this program have no version of the contract in common. %s is the older one.", p.name, older).
		WithDetail("the plugin's lowest version: %d; this program's: %s", lowest, strings.Join(names, ", ")).
		Suggest("%s", advice)
}

// handshakeFailed says that the process isn't, or isn't yet, a plugin.
func (p *Plugin) handshakeFailed(format string, args ...any) *connector.Diagnostic {
	return connector.Errorf(connector.PluginHandshakeFailed, connector.OriginConnector,
		"Plugin %q %s.", p.name, fmt.Sprintf(format, args...))
}
