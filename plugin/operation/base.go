package operation

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// maxBases is how many ways to services are kept open. A process works for
// few connections, and they share the way as a rule.
const maxBases = 16

// bases keeps the transports of the ways to services, so that executions share
// connections.
type bases struct {
	mu     sync.Mutex
	byWay  map[string]*http.Transport
	oldest []string
}

func (b *bases) get(n connector.Network) (*http.Transport, error) {
	way := fmt.Sprintf("%s\n%s\n%s", n.ProxyURL.Reveal(), strings.Join(n.NoProxy, ","), n.ExtraCAs)
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.byWay[way]; ok {
		return t, nil
	}
	t, err := connectorhttp.NewBase(n)
	if err != nil {
		return nil, err
	}
	if b.byWay == nil {
		b.byWay = map[string]*http.Transport{}
	}
	if len(b.oldest) == maxBases {
		b.byWay[b.oldest[0]].CloseIdleConnections()
		delete(b.byWay, b.oldest[0])
		b.oldest = b.oldest[1:]
	}
	b.byWay[way] = t
	b.oldest = append(b.oldest, way)
	return t, nil
}
