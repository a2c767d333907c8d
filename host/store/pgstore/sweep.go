package pgstore

import (
	"context"
	"time"
)

const (
	// sweepEvery is the pause between two sweeps of expired drafts, flows and runs.
	// They are invisible anyway, so this only keeps the tables small.
	sweepEvery = time.Minute
	// sweepWithin bounds what a sweep adds to the call that it is part of.
	sweepWithin = time.Second
)

// Each deletes a limited number of rows and passes over those that somebody
// else is busy with.
const (
	sweepDrafts = `DELETE FROM connections WHERE (owner, connection, environment) IN (
		SELECT owner, connection, environment FROM connections WHERE state = 'draft' AND expires_at <= statement_timestamp()
		ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED)`
	sweepFlows = `DELETE FROM flows WHERE id IN (
		SELECT id FROM flows WHERE expires_at <= statement_timestamp() ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED)`
)

// sweep removes drafts, flows and runs whose time is over, at most once a minute.
func (s *Store) sweep(ctx context.Context) {
	now := time.Since(s.start)
	last := time.Duration(s.swept.Load())
	if last != 0 && now-last < sweepEvery || !s.swept.CompareAndSwap(int64(last), int64(now)) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sweepWithin)
	defer cancel()
	for _, sql := range []string{sweepDrafts, sweepFlows, sweepRuns, sweepWaits} {
		// What it can't do now, a later sweep does.
		_ = s.do(ctx, repeatable, func(ctx context.Context) error {
			_, err := s.pool.Exec(ctx, sql)
			return err
		})
	}
}
