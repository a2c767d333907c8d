package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	byNode    = `owner = @owner AND name = @name AND node = @node`
	byRuntime = `owner = @owner AND name = @name`

	// beat never lets a time go back, as a failover to a slower clock would.
	beat = `INSERT INTO runtimes (owner, name, node, kind, since, beat_at, dead_at)
		VALUES (@owner, @name, @node, @kind, statement_timestamp(), statement_timestamp(), statement_timestamp() + @patience::interval)
		ON CONFLICT (owner, name, node) DO UPDATE SET kind = excluded.kind, beat_at = greatest(runtimes.beat_at, excluded.beat_at),
		dead_at = excluded.dead_at, stopped = false
		RETURNING xmax = 0`
	forgetDead = `DELETE FROM runtimes WHERE ` + byRuntime + ` AND node <> @node AND dead_at <= statement_timestamp()`
	leave      = `UPDATE runtimes SET beat_at = greatest(beat_at, statement_timestamp()), dead_at = statement_timestamp(), stopped = true WHERE ` + byNode

	listRuntimes = `SELECT DISTINCT ON (name) name, kind, stopped, beat_at, min(since) OVER runtime,
		count(*) FILTER (WHERE dead_at > statement_timestamp()) OVER runtime
		FROM runtimes WHERE owner = @owner WINDOW runtime AS (PARTITION BY name) ORDER BY name, beat_at DESC`
	removeRuntime = `DELETE FROM runtimes WHERE ` + byRuntime
)

var _ store.Runtimes = (*Store)(nil)

// Beat implements [store.Runtimes].
func (s *Store) Beat(ctx context.Context, n store.Node) error {
	if err := checkNode(n); err != nil {
		return err
	}
	args := nodeArguments(n)
	args["kind"], args["patience"] = string(n.Kind), n.Every*store.MissedBeats
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		var first bool
		if err := s.changeRow(ctx, beat, args, &first); err != nil || !first {
			return err
		}
		_, err := s.change(ctx, forgetDead, args)
		return err
	})
}

// Leave implements [store.Runtimes].
func (s *Store) Leave(ctx context.Context, n store.Node) error {
	if err := checkNode(n); err != nil {
		return err
	}
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.change(ctx, leave, nodeArguments(n))
		return err
	})
}

// Runtimes implements [store.Runtimes].
func (s *Store) Runtimes(ctx context.Context, owner string) (list []store.Runtime, err error) {
	if err := checkText("owner", owner, true); err != nil {
		return nil, err
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, listRuntimes, pgx.NamedArgs{"owner": owner})
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Runtime, error) {
			r := store.Runtime{Owner: owner}
			err := row.Scan(&r.Name, &r.Kind, &r.Stopped, &r.BeatAt, &r.Since, &r.Nodes)
			r.BeatAt, r.Since = r.BeatAt.UTC(), r.Since.UTC()
			return r, err
		})
		return err
	})
	return list, err
}

// RemoveRuntime implements [store.Runtimes].
func (s *Store) RemoveRuntime(ctx context.Context, owner, name string) error {
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		none := connector.Errorf(connector.RuntimeNotFound, connector.OriginHost, "Account %q has no runtime %q.", owner, name)
		if checkText("owner", owner, true) != nil || checkText("runtime", name, true) != nil {
			return none
		}
		n, err := s.change(ctx, removeRuntime, pgx.NamedArgs{"owner": owner, "name": name})
		if err == nil && n == 0 {
			err = none
		}
		return err
	})
}

func checkNode(n store.Node) error {
	for what, text := range map[string]string{"owner": n.Owner, "runtime": n.Runtime, "node": n.ID} {
		if err := checkText(what, text, true); err != nil {
			return err
		}
	}
	if n.Every < time.Millisecond {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "A runtime's heartbeat comes at most once a millisecond.")
	}
	return nil
}

func nodeArguments(n store.Node) pgx.NamedArgs {
	return pgx.NamedArgs{"owner": n.Owner, "name": n.Runtime, "node": n.ID}
}
