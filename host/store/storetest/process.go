package storetest

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
)

var processTests = []test{
	{"a lease is held against other processes", testHeldElsewhere},
	{"a lease passes among processes", testProcessesContend},
	{"the lease of a killed process is free", testKilledHolder},
	{"the lease of a frozen process ends at its deadline", testFrozenHolder},
	{"a killed writer leaves the old or the new version, whole", testKilledWriter},
	{"of many processes one takes a flow", testProcessesTake},
}

func testHeldElsewhere(t *testing.T, p *place) {
	s := p.open(t)
	k := create(t, s, saved("c", "n")).Key
	w := p.start(t, task{Do: "hold", Key: k, For: time.Hour})
	said := w.line()
	_, held, err := s.Acquire(t.Context(), k, request(time.Hour))
	if err != nil || held == nil || said != "holding "+held.ID {
		t.Fatalf("the worker said %q; here the lease is %v (error %v)", said, held, err)
	}
	w.tell(t, "release")
	if got := w.line(); got != "ok" {
		t.Fatalf("the worker's release: %s", got)
	}
	mine := acquire(t, s, k, time.Hour)
	w.tell(t, "commit") // with the lease that it gave back; the generation is the same
	if got := w.line(); got != "ok" {
		t.Errorf("the worker's late commit: %s", got)
	}
	if got := get(t, s, k); got.Lease == nil || got.Lease.ID != mine.Lease.ID {
		t.Errorf("the lease became %v", got.Lease)
	}
	w.finish(t)
}

func testProcessesContend(t *testing.T, p *place) {
	const workers, each = 3, 6
	s := p.open(t)
	r := create(t, s, saved("c", "n"))
	var all []*process
	for range workers {
		all = append(all, p.start(t, task{Do: "contend", Key: r.Key, Count: each}))
	}
	for _, w := range all {
		if got := w.line(); got != "ok" {
			t.Errorf("a worker said %q", got)
		}
		w.finish(t)
	}
	if got := get(t, s, r.Key); got.Generation != r.Generation+workers*each || got.Interrupted != nil {
		t.Errorf("generation %d, interrupted %v, want %d and none", got.Generation, got.Interrupted, r.Generation+workers*each)
	}
}

// A lock must not outlive its process: nobody should have to remove it by hand.
// Nor may a child keep it that the process leaves behind, a plugin for one.
func testKilledHolder(t *testing.T, p *place) {
	s := p.open(t)
	k := create(t, s, saved("c", "n")).Key
	span := time.Second
	if p.SensesDeath {
		span = time.Hour
	}
	w := p.start(t, task{Do: "hold", Key: k, For: span, Spawn: true})
	said := w.line()
	w.die()
	var r *store.Record
	if p.SensesDeath {
		r = acquire(t, s, k, time.Hour)
	} else {
		r = eventuallyAcquire(t, s, k, time.Hour)
	}
	if r.Interrupted == nil || said != "holding "+r.Interrupted.ID {
		t.Errorf("the worker said %q; the interrupted lease is %v", said, r.Interrupted)
	}
	commit(t, s, r.Lease, k, renew)
}

func testFrozenHolder(t *testing.T, p *place) {
	if freeze == nil {
		t.Skip("this system can't freeze a process")
	}
	s := p.open(t)
	k := create(t, s, saved("c", "n")).Key
	w := p.start(t, task{Do: "hold", Key: k, For: time.Second})
	if said := w.line(); said == "" {
		t.Fatal("the worker has no lease")
	}
	if err := freeze(w.cmd.Process); err != nil {
		t.Fatal(err)
	}
	first := get(t, s, k).Lease
	r := eventuallyAcquire(t, s, k, time.Hour)
	if r.Lease.Since.Before(first.Until) || r.Interrupted == nil || r.Interrupted.ID != first.ID {
		t.Errorf("taken over at %v, deadline %v, interrupted %v", r.Lease.Since, first.Until, r.Interrupted)
	}
	commit(t, s, r.Lease, k, renew)
	if err := thaw(w.cmd.Process); err != nil {
		t.Fatal(err)
	}
	w.tell(t, "commit")
	if got := w.line(); got != "CONNECTION_CHANGED" {
		t.Errorf("the frozen worker's commit: %s", got)
	}
	w.finish(t)
	if got := get(t, s, k); got.Generation != r.Generation+1 {
		t.Errorf("generation %d", got.Generation)
	}
}

func testKilledWriter(t *testing.T, p *place) {
	s := p.open(t)
	r := saved("c", "n")
	r.Generation = 1
	r.Sealed = map[store.Field][]byte{store.FieldCredential: payload(1), store.FieldSettings: payload(1)}
	create(t, s, r)
	for round := range 15 {
		w := p.start(t, task{Do: "rewrite", Key: r.Key})
		if got := w.line(); got != "started" {
			t.Fatalf("the worker said %q", got)
		}
		var durable uint64
		for range 1 + round%4 {
			n, err := strconv.ParseUint(w.line(), 10, 64)
			if err != nil {
				t.Fatalf("the worker failed: %v", err)
			}
			durable = n
		}
		// From here it runs on into the next write, wherever the kill meets it.
		<-time.After(time.Duration(round) * 300 * time.Microsecond)
		for _, line := range w.kill() {
			if n, err := strconv.ParseUint(line, 10, 64); err == nil {
				durable = n
			}
		}

		got := get(t, p.open(t), r.Key)
		if got.Generation < durable || got.Generation > durable+1 {
			t.Fatalf("round %d: generation %d is there, %d was durable", round, got.Generation, durable)
		}
		if !bytes.Equal(got.Sealed[store.FieldCredential], payload(got.Generation)) {
			t.Fatalf("round %d: generation %d has another one's credential", round, got.Generation)
		}
		next := eventuallyAcquire(t, s, r.Key, time.Hour)
		if err := s.Release(t.Context(), r.Key, next.Lease); err != nil {
			t.Fatalf("round %d: Release: %v", round, err)
		}
	}
}

func testProcessesTake(t *testing.T, p *place) {
	s := p.open(t)
	flow(t, s, "f", time.Hour)
	var all []*process
	for range 4 {
		all = append(all, p.start(t, task{Do: "take", Flow: "f"}))
	}
	for _, w := range all {
		w.line()
	}
	for _, w := range all {
		w.tell(t, "go")
	}
	said := map[string]int{}
	for _, w := range all {
		said[w.line()]++
		w.finish(t)
	}
	if said["ok"] != 1 || said["CONNECTION_NOT_FOUND"] != len(all)-1 {
		t.Errorf("the takers said %s", fmt.Sprint(said))
	}
}
