package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Standby runs a second server that follows this one, until the test ends.
// From its return on a commit waits for it.
func (s *Server) Standby(tb testing.TB) *Server {
	tb.Helper()
	standby, err := s.standby(tb.Context())
	if err != nil {
		tb.Fatalf("starting a standby: %v", err)
	}
	tb.Cleanup(func() {
		if err := standby.Close(); err != nil {
			tb.Errorf("ending the standby: %v", err)
		}
	})
	return standby
}

func (s *Server) standby(ctx context.Context) (*Server, error) {
	standby, err := launchNew(ctx, s.settings, func(standby *Server) error {
		return s.backUp(ctx, standby, "--write-recovery-conf")
	})
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if err == nil {
			err = s.Exec(ctx, sql)
		}
	}
	if err == nil {
		err = s.awaitStandby(ctx)
	}
	if err != nil {
		_ = standby.Close()
		return nil, err
	}
	return standby, nil
}

// awaitStandby waits until commits wait for the standby.
func (s *Server) awaitStandby(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		// The division fails as long as there is none.
		err := s.Exec(ctx, "SELECT 1 / count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the standby doesn't follow: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Promote makes a standby the primary.
func (s *Server) Promote(ctx context.Context) error {
	return s.Exec(ctx, "SELECT pg_promote()")
}
