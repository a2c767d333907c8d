package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	byRun = `id = @id AND expires_at > statement_timestamp()`

	createRun = `INSERT INTO runs (id, owner, connection, environment, runtime, actor, scopes, state, created_at, expires_at)
		VALUES (@id, @owner, @connection, @environment, @runtime, @actor, @scopes, 'waiting', statement_timestamp(), statement_timestamp() + @life::interval)
		RETURNING created_at, expires_at`

	// selectRun asks with the run who is there for it: the node that took it, or
	// any of its runtime's while nobody has.
	selectRun = `SELECT owner, connection, environment, runtime, actor, scopes, state, node, checks[@skip + 1:], failure, created_at, expires_at,
		EXISTS (SELECT FROM runtimes AS n WHERE n.owner = runs.owner AND n.name = runs.runtime
			AND n.node = CASE WHEN runs.state = 'running' THEN runs.node ELSE n.node END AND n.dead_at > statement_timestamp())
		FROM runs WHERE ` + byRun

	// takeRun succeeds once more for the node that has the run, since the first
	// answer may have been lost.
	takeRun = `UPDATE runs SET state = 'running', node = @node
		WHERE owner = @owner AND runtime = @name AND (state = 'waiting' OR state = 'running' AND node = @node) AND ` + byRun

	addCheck = `UPDATE runs SET checks = checks[:@n] || @check::text
		WHERE state = 'running' AND node = @node AND cardinality(checks) IN (@n, @n + 1) AND ` + byRun
	endRun    = `UPDATE runs SET state = 'ended', failure = @failure WHERE state <> 'ended' AND id = @id`
	sweepRuns = `DELETE FROM runs WHERE id IN (
		SELECT id FROM runs WHERE expires_at <= statement_timestamp() ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED)`
)

// CreateRun implements [store.Runtimes].
func (s *Store) CreateRun(ctx context.Context, r *store.Run, life time.Duration) error {
	if err := checkKey(r.Key); err != nil {
		return err
	}
	for what, text := range map[string]string{"run's ID": r.ID, "runtime": r.Runtime, "actor": r.Actor} {
		if err := checkText(what, text, what != "actor"); err != nil {
			return err
		}
	}
	s.sweep(ctx)
	args := keyArguments(r.Key)
	args["id"], args["runtime"], args["actor"], args["life"] = r.ID, r.Runtime, r.Actor, life
	args["scopes"] = append([]string{}, r.RequiredScopes...)
	return s.do(ctx, once, func(ctx context.Context) error {
		err := s.changeRow(ctx, createRun, args, &r.CreatedAt, &r.ExpiresAt)
		r.State, r.CreatedAt, r.ExpiresAt = store.RunWaiting, r.CreatedAt.UTC(), r.ExpiresAt.UTC()
		return err
	})
}

// Run implements [store.Runtimes].
func (s *Store) Run(ctx context.Context, id string, skip int) (r *store.Run, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		if checkText("run's ID", id, true) != nil {
			return noRun()
		}
		var (
			checks  []string
			failure *string
		)
		r = &store.Run{ID: id}
		err := s.pool.QueryRow(ctx, selectRun, pgx.NamedArgs{"id": id, "skip": skip}).Scan(
			&r.Key.Owner, &r.Key.Connection, &r.Key.Environment, &r.Runtime, &r.Actor, &r.RequiredScopes, &r.State, &r.Node,
			&checks, &failure, &r.CreatedAt, &r.ExpiresAt, &r.Alive)
		if errors.Is(err, pgx.ErrNoRows) {
			return noRun()
		}
		if err != nil {
			return err
		}
		r.CreatedAt, r.ExpiresAt = r.CreatedAt.UTC(), r.ExpiresAt.UTC()
		return decodeRun(r, checks, failure)
	})
	return r, err
}

// TakeRun implements [store.Runtimes].
func (s *Store) TakeRun(ctx context.Context, id string, n store.Node) error {
	args := nodeArguments(n)
	args["id"] = id
	return s.changeRun(ctx, takeRun, args)
}

// AddCheck implements [store.Runtimes].
func (s *Store) AddCheck(ctx context.Context, id string, node store.Node, n int, c connector.Check) error {
	text, err := json.Marshal(c)
	if err != nil {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The check %q can't be written.", c.ID).Because(err)
	}
	return s.changeRun(ctx, addCheck, pgx.NamedArgs{"id": id, "node": node.ID, "n": n, "check": string(text)})
}

// EndRun implements [store.Runtimes].
func (s *Store) EndRun(ctx context.Context, id string, failure *connector.Diagnostic) error {
	args := pgx.NamedArgs{"id": id, "failure": nil}
	if failure != nil {
		text, err := json.Marshal(failure)
		if err != nil {
			return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The end of a test can't be written.").Because(err)
		}
		args["failure"] = string(text)
	}
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.change(ctx, endRun, args)
		return err
	})
}

// changeRun makes a change that may be repeated, of a run that is the caller's.
func (s *Store) changeRun(ctx context.Context, sql string, args pgx.NamedArgs) error {
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		n, err := s.change(ctx, sql, args)
		if err == nil && n == 0 {
			err = connector.Errorf(connector.ConnectionChanged, connector.OriginHost, "The test is somebody else's, or has ended.")
		}
		return err
	})
}

func decodeRun(r *store.Run, checks []string, failure *string) error {
	damaged := func(err error) error {
		return connector.Errorf(connector.StoreDamaged, connector.OriginHost, "The result of a test can't be read.").
			Suggest("Run the test again.").Because(err)
	}
	for _, text := range checks {
		var c connector.Check
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return damaged(err)
		}
		r.Checks = append(r.Checks, c)
	}
	if failure == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(*failure), &r.Failure); err != nil {
		return damaged(err)
	}
	return nil
}

func noRun() error {
	return connector.Errorf(connector.ConnectionNotFound, connector.OriginHost, "There is no such test, or no longer.").
		Suggest("Run the test again.")
}
