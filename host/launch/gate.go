package launch

import "sync"

// gate counts what is inside and can be shut.
type gate struct {
	mu     sync.Mutex
	inside int
	isShut bool
	empty  chan struct{}
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter reports whether the gate is open, and counts the caller if it is.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.isShut && g.inside == 0 {
		close(g.empty)
	}
}

// shut lets nobody in any more. The channel is closed when everybody has left.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isShut {
		g.isShut = true
		if g.inside == 0 {
			close(g.empty)
		}
	}
	return g.empty
}

// busy reports whether somebody is inside.
func (g *gate) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside > 0
}
