//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
)

// TestRuntimes is about tests that one machine asks for and another one runs:
// two processes that share nothing but a database and a key.
func TestRuntimes(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	for name, test := range map[string]func(*testing.T, *site){
		"checks stream":     testChecksStream,
		"draft":             testDraftOnRuntime,
		"dead":              testDeadRuntime,
		"killed meanwhile":  testRuntimeKilledMeanwhile,
		"frozen meanwhile":  testRuntimeFrozenMeanwhile,
		"stopped meanwhile": testRuntimeStoppedMeanwhile,
		"asker leaves":      testAskerLeaves,
		"not the account's": testNotTheAccountsRuntime,
		"forged job":        testForgedJob,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, siteOn(t, server.Database(t)))
		})
	}
}

// The checks before one that hangs are there while it hangs, and the outcome is
// that of a test here: the same output, but for where it ran, and exit code.
func testChecksStream(t *testing.T, s *site) {
	worker := s.worker(t, "edge")
	here := s.must(t, 0, "--json", "connection", "test", "sales")
	release := s.hold(t, "/2.0/users/me")
	test := s.held(t, "edge")
	printed(t, test, `^passed +API can be reached`)
	if out, _ := test.stdout.read(); strings.Contains(out, "Access token is accepted") {
		t.Errorf("a check is told before it ended:\n%s", out)
	}
	release()
	has(t, ends(t, test, 0), "Access token is accepted", "The test passed.")

	there := s.must(t, 0, "--json", "connection", "test", "sales", "--on", "edge")
	var ids [2][]string
	for i, r := range []result{here, there} {
		for line := range strings.Lines(r.stdout) {
			var check struct{ ID, Status, Runtime string }
			if err := json.Unmarshal([]byte(line), &check); err != nil {
				t.Fatal(err)
			}
			ids[i] = append(ids[i], check.ID+" "+check.Status)
			if i == 1 && check.ID != "" && check.Runtime != "edge" {
				t.Errorf("check %s names the runtime %q", check.ID, check.Runtime)
			}
		}
	}
	if strings.Join(ids[0], "\n") != strings.Join(ids[1], "\n") {
		t.Errorf("here: %v\nthere: %v", ids[0], ids[1])
	}

	// A test that doesn't pass has the exit code that it has here.
	if _, err := s.engine.box.fault(`{"match":{"path":"/2.0/users/me"},"times":-1,"then":{"status":503}}`); err != nil {
		t.Fatal(err)
	}
	here, there = s.must(t, 13, "connection", "test", "sales"), s.must(t, 13, "connection", "test", "sales", "--on", "edge")
	has(t, here, "The test didn't pass.")
	has(t, there, "The test didn't pass.")

	// A job says which test, and nothing else.
	var args string
	s.query(t, &args, `SELECT string_agg(DISTINCT regexp_replace(args::text, '[0-9a-f]{24}', 'ID'), ' ') FROM connector.river_job WHERE kind = 'connection_test'`)
	if args != `{"run": "ID"}` {
		t.Errorf("jobs carry %s", args)
	}
	var kept string
	s.query(t, &kept, `SELECT (SELECT string_agg(j::text, ' ') FROM connector.river_job AS j) || (SELECT string_agg(r::text, ' ') FROM connector.runs AS r)`)
	var v vault
	v.keep("client secret", s.engine.box.ClientSecret)
	if found := v.find([]byte(kept)); len(found) > 0 || !strings.Contains(kept, "root_folder") {
		t.Errorf("jobs and tests hold %v", found)
	}
	signalled(t, worker, syscall.SIGTERM)
	ends(t, worker, 0)
	if state := s.runtimes(t)["edge"]; state != "stopped" {
		t.Errorf("a runtime that was stopped is %q", state)
	}
}

// A change is tested on a runtime before it is saved: the runtime sees the
// draft's settings, and one that doesn't pass isn't saved.
func testDraftOnRuntime(t *testing.T, s *site) {
	s.worker(t, "edge")
	has(t, s.must(t, 10, "connection", "edit", "sales", "--set", "client_id=wrong", "--on", "edge"), "The test didn't pass.")
	has(t, s.must(t, 0, "connection", "test", "sales", "--on", "edge"), "The test passed.")
	has(t, s.must(t, 0, "connection", "edit", "sales", "--rename", "sold", "--on", "edge"), "The test passed.")
	s.must(t, 0, "connection", "test", "sold", "--on", "edge")
}

// A worker that was killed is dead to others after three heartbeats, and a new
// one of the same name takes its place.
func testDeadRuntime(t *testing.T, s *site) {
	worker := s.worker(t, "edge", "--heartbeat", beat)
	if state := s.runtimes(t)["edge"]; state != "alive" {
		t.Fatalf("a runtime that serves is %q", state)
	}
	s.must(t, 2, "runtime", "remove", "edge")
	worker.kill()
	err := eventually("the runtime is dead", patience, func() bool { return s.runtimes(t)["edge"] == "dead" })
	if err != nil {
		t.Fatal(err)
	}
	has(t, s.must(t, 13, "connection", "test", "sales", "--on", "edge"), "RUNTIME_DEAD", "missed its heartbeats", "last heard of at")
	again := s.worker(t, "edge", "--heartbeat", beat)
	has(t, s.must(t, 0, "connection", "test", "sales", "--on", "edge"), "The test passed.")
	var nodes int
	s.query(t, &nodes, `SELECT count(*) FROM connector.runtimes`)
	if nodes != 1 {
		t.Errorf("%d processes are on record, want the new one only", nodes)
	}
	again.kill()
	if err := eventually("it can be removed", patience, func() bool {
		r, err := s.engine.ctl(append(s.store, "runtime", "remove", "edge")...)
		return err == nil && r.code == 0
	}); err != nil {
		t.Fatal(err)
	}
	if list := s.runtimes(t); len(list) != 0 {
		t.Errorf("after the removal: %v", list)
	}
}

// A worker is killed in the middle of a test: whoever waits hears so after
// three heartbeats, with the checks that ended and those that weren't reached.
func testRuntimeKilledMeanwhile(t *testing.T, s *site) {
	worker := s.worker(t, "edge", "--heartbeat", beat)
	s.hold(t, "/2.0/users/me")
	test := s.held(t, "edge")
	began := time.Now()
	worker.kill()
	r := ends(t, test, 13)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the death was told after %s", took)
	}
	has(t, r, "RUNTIME_DEAD", "missed its heartbeats", "passed        API can be reached", "not_run       Access token is accepted", "The test didn't pass.")
}

// A worker freezes in the middle of a test, as a machine does that sleeps. It is
// dead to whoever waits; when it wakes it is alive again, and leaves the test
// that was given up.
func testRuntimeFrozenMeanwhile(t *testing.T, s *site) {
	worker := s.worker(t, "edge", "--heartbeat", beat, "--tests", "1")
	release := s.hold(t, "/2.0/users/me")
	test := s.held(t, "edge")
	signalled(t, worker, syscall.SIGSTOP)
	has(t, ends(t, test, 13), "RUNTIME_DEAD", "not_run       Access token is accepted")
	release()
	signalled(t, worker, syscall.SIGCONT)
	if err := eventually("the runtime is alive again", patience, func() bool { return s.runtimes(t)["edge"] == "alive" }); err != nil {
		t.Fatal(err)
	}
	has(t, s.must(t, 0, "connection", "test", "sales", "--on", "edge"), "The test passed.")
	var checks int
	s.query(t, &checks, `SELECT cardinality(checks) FROM connector.runs ORDER BY created_at LIMIT 1`)
	if checks > 5 { // the sign-in, and those before the one that hung
		t.Errorf("the test that was given up went on to %d checks", checks)
	}
}

// A worker is told to stop in the middle of a test: it ends in good order and
// within a bound, and whoever waits hears why.
func testRuntimeStoppedMeanwhile(t *testing.T, s *site) {
	worker := s.worker(t, "edge")
	s.hold(t, "/2.0/users/me")
	test := s.held(t, "edge")
	began := time.Now()
	signalled(t, worker, syscall.SIGTERM)
	has(t, ends(t, test, 13), "RUNTIME_DEAD", "was stopped in the middle of the test", "not_run       Access token is accepted")
	ends(t, worker, 0)
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("the worker ended after %s", took)
	}
	if left := plugins(s.remote); len(left) > 0 {
		t.Errorf("the worker left %v", left)
	}
	if state := s.runtimes(t)["edge"]; state != "stopped" {
		t.Errorf("the runtime is %q", state)
	}
}

// Somebody who asked for a test presses Ctrl-C: the runtime gives the test up
// as well, though it hangs, and is free for the next one.
func testAskerLeaves(t *testing.T, s *site) {
	s.worker(t, "edge", "--tests", "1")
	release := s.hold(t, "/2.0/users/me")
	test := s.held(t, "edge")
	signalled(t, test, syscall.SIGINT)
	ends(t, test, 130)
	if err := eventually("the runtime is done with the test", patience, func() bool {
		var open int
		s.query(t, &open, `SELECT count(*) FROM connector.river_job WHERE kind = 'connection_test' AND finalized_at IS NULL`)
		return open == 0
	}); err != nil {
		t.Fatal(err)
	}
	release()
	s.must(t, 0, "connection", "test", "sales", "--on", "edge")
}

// A runtime of another account and one that doesn't exist are refused with the
// same words, so that nobody learns what others have; the words say that it
// isn't the account's. A folder keeps no runtimes, and says what would.
func testNotTheAccountsRuntime(t *testing.T, s *site) {
	s.worker(t, "edge", "--account", "acme")
	refused := s.must(t, 1, "connection", "test", "sales", "--on", "edge")
	has(t, refused, "RUNTIME_NOT_FOUND", `account "local" has no runtime "edge"`, "another account")
	unknown := s.must(t, 1, "connection", "test", "sales", "--on", "nowhere")
	if strings.ReplaceAll(unknown.stderr, "nowhere", "edge") != refused.stderr {
		t.Errorf("a runtime that is another account's:\n%sone that isn't there:\n%s", refused.stderr, unknown.stderr)
	}
	if mine := s.runtimes(t); len(mine) != 0 {
		t.Errorf("the account sees %v", mine)
	}
	if theirs := s.runtimes(t, "--account", "acme"); theirs["edge"] != "alive" {
		t.Errorf("the other account sees %v", theirs)
	}
	has(t, s.must(t, 0, "audit"), "RUNTIME_NOT_FOUND")
	for _, args := range [][]string{{"worker", "--runtime", "edge"}, {"runtime", "list"}} {
		has(t, s.engine.must(t, 2, args...), "keeps no runtimes", "PostgreSQL")
	}
	for _, args := range [][]string{{}, {"--runtime", "a/b"}, {"--runtime", "a", "--kind", "moon"}, {"--runtime", "a", "--tests", "0"}} {
		s.must(t, 2, append([]string{"worker"}, args...)...)
	}
}

// Somebody who can write to the queue puts another account's test into it. The
// worker sees in the store that the test isn't its own, doesn't touch it, and
// tells the audit.
func testForgedJob(t *testing.T, s *site) {
	s.worker(t, "edge")
	theirs := s.worker(t, "depot", "--account", "acme")
	s.must(t, 0, "connection", "test", "sales", "--on", "edge")
	// A test of the account local, as if it waited for its runtime.
	s.query(t, nil, `INSERT INTO connector.runs (id, owner, connection, environment, runtime, actor, scopes, state, created_at, expires_at)
		SELECT 'forged', owner, connection, environment, runtime, 'mallory', '{}', 'waiting', now(), now() + interval '1 hour' FROM connector.runs LIMIT 1`)
	var queue string
	s.query(t, &queue, `SELECT name FROM connector.river_queue WHERE name LIKE 'runtime%' AND name NOT IN (SELECT queue FROM connector.river_job)`)
	forge := func(run, queue string) {
		s.query(t, nil, `INSERT INTO connector.river_job (args, kind, max_attempts, queue) VALUES (json_build_object('run', $1::text), 'connection_test', 1, $2)`, run, queue)
	}
	forge("forged", queue)
	audited := func(account, text string) bool {
		r, err := s.remote.ctl("--json", "--account", account, "audit")
		return err == nil && strings.Contains(r.stdout, text)
	}
	if err := eventually("the refusal is in the audit", patience, func() bool {
		return audited("local", "RUNTIME_FORBIDDEN") && audited("local", "mallory") && audited("local", "acme/depot")
	}); err != nil {
		t.Fatal(err)
	}
	var state string
	s.query(t, &state, `SELECT state FROM connector.runs WHERE id = 'forged'`)
	if state != "waiting" {
		t.Errorf("the other account's test is %s", state)
	}

	// A test of the other account that names a connection which isn't its own.
	s.query(t, nil, `INSERT INTO connector.runs (id, owner, connection, environment, runtime, actor, scopes, state, created_at, expires_at)
		SELECT 'stolen', 'acme', connection, environment, 'depot', 'mallory', '{}', 'waiting', now(), now() + interval '1 hour' FROM connector.runs WHERE id = 'forged'`)
	forge("stolen", queue)
	if err := eventually("the test of a connection of others ends", patience, func() bool {
		s.query(t, &state, `SELECT state || ' ' || coalesce(failure, '') FROM connector.runs WHERE id = 'stolen'`)
		return strings.HasPrefix(state, "ended")
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(state, "CONNECTION_NOT_FOUND") || !audited("acme", "CONNECTION_NOT_FOUND") {
		t.Errorf("the test ended as %s", state)
	}
	var checks int
	s.query(t, &checks, `SELECT sum(cardinality(checks)) FROM connector.runs WHERE actor = 'mallory'`)
	if checks != 0 {
		t.Errorf("%d checks were made", checks)
	}
	signalled(t, theirs, syscall.SIGINT)
	ends(t, theirs, 0)
}

// The worker loses the database and says so; when the database is back, so is
// the worker, by itself, and serves.
func TestWorkerOutlivesItsDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	s := siteOn(t, server.Database(t))
	worker := s.worker(t, "edge", "--heartbeat", beat)
	s.must(t, 0, "connection", "test", "sales", "--on", "edge")
	if err := server.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	printed(t, worker, "^The store can't be reached")
	printed(t, worker, "STORE_UNAVAILABLE")
	s.must(t, 15, "connection", "test", "sales", "--on", "edge")
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	printed(t, worker, "^The store is back")
	has(t, s.must(t, 0, "connection", "test", "sales", "--on", "edge"), "The test passed.")
}

// Two workers of a cluster keep connections alive: each grant that would lapse
// is renewed, and by one of them only, however often their periodic job runs. A
// local runtime's worker takes no part.
func TestWorkersKeepAliveInTurns(t *testing.T) {
	t.Parallel()
	const others = 7
	s := siteOn(t, pgtest.Start(t).Database(t))
	names := []string{"sales"}
	for i := range others {
		name := fmt.Sprintf("sales%d", i)
		names = append(names, name)
		if err := s.engine.create(name, s.store...); err != nil {
			t.Fatal(err)
		}
		if err := s.engine.signIn(name, "", s.store...); err != nil {
			t.Fatal(err)
		}
	}
	every := []string{"--keepalive-every", "1s"}
	s.worker(t, "laptop", append(every, "--kind", "local")...)
	s.worker(t, "cluster", every...)
	s.worker(t, "cluster", every...)
	// All of them were renewed 50 days ago, and nobody has used them since.
	s.query(t, nil, `UPDATE connector.connections SET due_at = now(), revision = revision + 1,
		document = (document::jsonb || jsonb_build_object('renewed_at', now() - interval '50 days', 'lapses_at', now() + interval '10 days'))::json`)
	if err := s.engine.box.await("grant_type=refresh_token", len(names)); err != nil {
		t.Fatal(err)
	}
	// Some more rounds of the job find nothing to do.
	var rounds, more int
	count := `SELECT count(*) FROM connector.river_job WHERE kind = 'keep_alive' AND state = 'completed'`
	s.query(t, &rounds, count)
	if err := eventually("the keep-alive runs again", patience, func() bool {
		s.query(t, &more, count)
		return more >= rounds+3
	}); err != nil {
		t.Fatal(err)
	}
	renewals, err := s.engine.box.requests("grant_type=refresh_token")
	if err != nil {
		t.Fatal(err)
	}
	if len(renewals) != len(names) {
		t.Errorf("%d renewals of %d connections", len(renewals), len(names))
	}
	var once, together int
	s.query(t, &once, `SELECT count(*) FROM connector.connections WHERE generation = 2 AND due_at > now()`)
	if once != len(names) {
		t.Errorf("%d of %d connections are at their second generation", once, len(names))
	}
	s.query(t, &together, `SELECT count(*) FROM connector.river_job AS a JOIN connector.river_job AS b ON a.id < b.id
		WHERE a.kind = 'keep_alive' AND b.kind = 'keep_alive' AND a.attempted_at < b.finalized_at AND b.attempted_at < a.finalized_at`)
	if together != 0 {
		t.Errorf("%d pairs of runs overlap", together)
	}
	var byLocal int
	s.query(t, &byLocal, `SELECT count(*) FROM connector.river_job AS j JOIN connector.runtimes AS r ON r.node = ANY (j.attempted_by)
		WHERE j.kind = 'keep_alive' AND r.name = 'laptop'`)
	if byLocal != 0 {
		t.Errorf("the local runtime's worker ran %d of the jobs", byLocal)
	}
}
