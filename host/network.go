package host

import (
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/boxconnection/connector/proto/connector"
)

// NetworkFromEnvironment reads HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or their
// names in lower case, so that connectors, which never see the host's
// environment, take the same way as the host.
func NetworkFromEnvironment() connector.Network {
	cfg := httpproxy.FromEnvironment()
	proxy := cfg.HTTPSProxy
	if proxy == "" {
		proxy = cfg.HTTPProxy
	}
	n := connector.Network{ProxyURL: connector.NewSecret(proxy)}
	for host := range strings.SplitSeq(cfg.NoProxy, ",") {
		if host = strings.TrimSpace(host); host != "" {
			n.NoProxy = append(n.NoProxy, host)
		}
	}
	return n
}
