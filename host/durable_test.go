//go:build unix

package host_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/proto/connector"
)

// The standby server is gone when a renewed pair is written, so that the
// primary has it and may lose it again. Neither the host that renewed nor
// another one that reads the record gives the access to anybody, since its
// first use would end the pair that a failover brings back. Whatever comes
// next, the connection lives: the standby returns, or it takes over without the
// pair, and the host that renewed or the other one asks first.
func TestUnconfirmedPairIsNotHandedOut(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(t *testing.T, w *replicated) *rig{
		"the standby returns":                    func(t *testing.T, w *replicated) *rig { return w.returns(t, w.first) },
		"the standby returns for another host":   func(t *testing.T, w *replicated) *rig { return w.returns(t, w.other) },
		"the standby takes over":                 func(t *testing.T, w *replicated) *rig { return w.takesOver(t, w.first) },
		"the standby takes over for another one": func(t *testing.T, w *replicated) *rig { return w.takesOver(t, w.other) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newReplicated(t)
			w.loseStandby(t)
			for _, r := range []*rig{w.first, w.other} {
				_, err := access(t, r.open("sales"), connector.AccessRequest{})
				wantCode(t, err, connector.StoreUnavailable)
			}
			r := next(t, w)
			eventually(t, "access", func() error {
				got, err := access(t, r.open("sales"), connector.AccessRequest{})
				if err == nil && got != "access-2" {
					t.Fatalf("got %q", got)
				}
				return err
			})
			w.svc.mu.Lock()
			defer w.svc.mu.Unlock()
			for _, sent := range w.svc.spent {
				if sent != 1 {
					t.Errorf("refresh tokens sent: %v; the first pair was never used up", w.svc.spent)
				}
			}
		})
	}
}

// replicated is two hosts on a database with a standby server.
type replicated struct {
	primary, standby *pgtest.Server
	svc              *service
	first, other     *rig
}

func newReplicated(t *testing.T) *replicated {
	t.Helper()
	w := &replicated{primary: pgtest.Start(t), svc: newService()}
	w.svc.replay = true
	dsn := w.primary.Database(t)
	w.standby = w.primary.Standby(t)
	host := func(dsn string) string {
		host, _, _ := strings.Cut(strings.TrimPrefix(dsn, "host="), " ")
		return host
	}
	both := strings.Replace(dsn, host(dsn), host(dsn)+","+host(w.standby.DSN("postgres")), 1) + " target_session_attrs=read-write"
	p := newPlace(t)
	p.open = func(ctx context.Context) (store.Store, error) { return pgstore.Open(ctx, both) }
	newRig(t, p, w.svc).ready("sales")
	w.first, w.other = newRig(t, p, w.svc), newRig(t, p, w.svc)
	expire(w.first, w.other)
	return w
}

// loseStandby ends the standby at the next renewal, before its answer.
func (w *replicated) loseStandby(t *testing.T) {
	var once sync.Once
	w.svc.mu.Lock()
	defer w.svc.mu.Unlock()
	w.svc.before = func(int) {
		once.Do(func() {
			if err := w.standby.Crash(); err != nil {
				t.Error(err)
			}
		})
	}
}

func (w *replicated) returns(t *testing.T, r *rig) *rig {
	t.Helper()
	if err := w.standby.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *replicated) takesOver(t *testing.T, r *rig) *rig {
	t.Helper()
	if err := w.primary.Crash(); err != nil {
		t.Fatal(err)
	}
	w.returns(t, r)
	if err := w.standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// The pair is written, but the one before it can't be dropped: the access stays
// where it is until that is done, whoever asks and whatever the memory holds.
func TestNothingIsHandedOutBesideThePreviousPair(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	full := connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The disk is full.")
	r.store.fails("Update", full, full, full)
	c := r.open("sales")
	for range 3 {
		_, err := access(t, c, connector.AccessRequest{})
		wantCode(t, err, connector.StoreUnwritable)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { wantAccess(t, c, "access-2") })
	}
	wg.Wait()
	if n := svc.renewals(); n != 1 {
		t.Errorf("%d renewals, want 1", n)
	}
}

// The answer to taking the lease is lost on its way, so that the host has a
// lease that it doesn't know of. It doesn't wait for its end.
func TestLostLeaseIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	r.store.loses("Acquire", retryable(connector.StoreUnavailable))
	began := time.Now()
	wantAccess(t, r.open("sales"), "access-2")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// eventually asks until there is no error.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(errors.Join(errors.New(what), err))
		}
	}
}
