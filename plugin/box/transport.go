package box

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// Limits of a call. A call ends after callTimeout, or earlier with its
// context; the others tell where the time went.
const (
	callTimeout   = 45 * time.Second
	headerTimeout = 30 * time.Second
	// maxBody bounds an answer, in bytes.
	maxBody = 1 << 20
	// maxTransports bounds the networks that are remembered.
	maxTransports = 16
)

// transports remembers the transports of recently used networks, so that the
// certificates are read once and TLS sessions are resumed. The zero value is
// ready.
type transports struct {
	mu     sync.Mutex
	recent []remembered // the latest last
}

type remembered struct {
	key       [sha256.Size]byte
	transport *http.Transport
}

// get returns the transport for a network.
func (t *transports) get(n connector.Network) (*http.Transport, error) {
	key := networkKey(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(t.recent, func(r remembered) bool { return r.key == key }); i >= 0 {
		found := t.recent[i]
		t.recent = append(slices.Delete(t.recent, i, i+1), found)
		return found.transport, nil
	}
	made, err := newTransport(n)
	if err != nil {
		return nil, err
	}
	if len(t.recent) == maxTransports {
		t.recent = slices.Delete(t.recent, 0, 1)
	}
	t.recent = append(t.recent, remembered{key, made})
	return made, nil
}

// newTransport makes the one kind of transport that every call uses, with the
// proxy and the certificates of the call and nothing of the environment.
//
// Each request has a connection of its own. A connection that is kept may have
// been closed by the other side just as a one-time token is written to it,
// which leaves open whether it was spent; and nothing is left behind that
// would have to be closed. With HTTP/1.1 a request has its connection to
// itself, so that one whose deadline has passed can be closed before anything
// is written to it (see tokenCall).
func newTransport(n connector.Network) (*http.Transport, error) {
	t, err := connectorhttp.NewBase(n)
	if err != nil {
		return nil, err
	}
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2 = false
	t.DisableKeepAlives = true
	t.ResponseHeaderTimeout = headerTimeout
	t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, req *http.Request, answer *http.Response) error {
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		return connectorhttp.ProxyRefused(req.URL.Host, answer.StatusCode)
	}
	return t, nil
}

func networkKey(n connector.Network) (key [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range append([]string{n.ProxyURL.Reveal(), string(n.ExtraCAs)}, n.NoProxy...) {
		sum := sha256.Sum256([]byte(part)) // of fixed length, so that parts can't run together
		_, _ = h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
