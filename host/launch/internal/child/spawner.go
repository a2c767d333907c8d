package child

import (
	"runtime"
	"sync"
)

// Spawner starts processes on one thread that lives as long as it does. Linux
// ties a process to the thread that started it, not to its host, and Go's
// threads come and go.
type Spawner struct {
	work   chan func()
	closed chan struct{}
	once   sync.Once
}

// NewSpawner starts a spawner. Close ends it.
func NewSpawner() *Spawner {
	s := &Spawner{work: make(chan func()), closed: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for {
			select {
			case f := <-s.work:
				f()
			case <-s.closed:
				return
			}
		}
	}()
	return s
}

// Close ends the spawner. Processes should have ended before.
func (s *Spawner) Close() { s.once.Do(func() { close(s.closed) }) }

func (s *Spawner) run(start func() error) error {
	result := make(chan error, 1)
	select {
	case s.work <- func() { result <- start() }:
		return <-result
	case <-s.closed:
		return ErrKilled
	}
}
