package check

import (
	"net"
	"sync/atomic"

	"github.com/boxconnection/connector/conformance/internal/rawclient"
)

// Watch sees whether calls make traffic: to the service, or through a proxy
// that the environment names, where whatever goes elsewhere would come by.
type Watch struct {
	t    *T
	mark int64
	trap *Trap
}

// Watch begins to watch.
func (t *T) Watch() *Watch { return &Watch{t: t, mark: t.Mark(), trap: t.Trap()} }

// Environment names the trap as the proxy.
func (w *Watch) Environment() StartOption { return w.trap.Environment() }

// NoTraffic fails if there was some.
func (w *Watch) NoTraffic(what string) {
	w.t.NoTraffic(w.mark, what)
	if n := w.trap.Connections(); n > 0 {
		w.t.Errorf("%s made traffic to elsewhere: %d connections", what, n)
	}
}

// Trap is a listener that counts who comes, and closes.
type Trap struct {
	listener net.Listener
	came     atomic.Int64
}

// Trap opens one for the time of the check.
func (t *T) Trap() *Trap {
	l := listen(t)
	trap := &Trap{listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			trap.came.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return trap
}

// Connections counts who came.
func (tr *Trap) Connections() int64 { return tr.came.Load() }

// Environment names the trap as the proxy of the environment.
func (tr *Trap) Environment() StartOption {
	url := "http://" + tr.listener.Addr().String()
	return func(s *rawclient.Spec) {
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
			s.Env = append(s.Env, name+"="+url)
		}
	}
}
