package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

var flowTests = []test{
	{"a flow can be looked at and taken once", testFlow},
	{"of many takers one gets a flow", testFlowRace},
	{"a flow ends at its time", testFlowExpires},
	{"flows are apart", testFlowsApart},
	{"the flows that wait are listed", testFlows},
}

func testFlows(t *testing.T, p *place) {
	s := p.open(t)
	want := []store.Flow{flow(t, s, "a", time.Hour), flow(t, s, "b", time.Hour)}
	flow(t, s, "taken", time.Hour)
	flow(t, s, "over", -time.Hour)
	if _, err := s.TakeFlow(t.Context(), "taken"); err != nil {
		t.Fatal(err)
	}
	got, err := p.open(t).Flows(t.Context())
	if err != nil {
		t.Fatalf("Flows: %v", err)
	}
	slices.SortFunc(got, func(a, b store.Flow) int { return strings.Compare(a.ID, b.ID) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("listed (-put +got):\n%s", diff)
	}
}

func flow(t testing.TB, s store.Store, id string, span time.Duration) store.Flow {
	t.Helper()
	f := store.Flow{ID: id, Key: key("c"), ExpiresAt: now(t, s).Add(span), Binding: []byte{0, 0xff}, Sealed: []byte("sealed " + id)}
	if err := s.PutFlow(t.Context(), f); err != nil {
		t.Fatalf("PutFlow: %v", err)
	}
	return f
}

func testFlow(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	want := flow(t, s, "f", time.Hour)
	for range 2 {
		got, err := other.PeekFlow(t.Context(), "f")
		if err != nil {
			t.Fatalf("PeekFlow: %v", err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("looked at (-put +got):\n%s", diff)
		}
	}
	got, err := other.TakeFlow(t.Context(), "f")
	if err != nil {
		t.Fatalf("TakeFlow: %v", err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("taken (-put +got):\n%s", diff)
	}
	_, err = s.TakeFlow(t.Context(), "f")
	wantCode(t, "a second TakeFlow", err, connector.ConnectionNotFound)
	_, err = s.PeekFlow(t.Context(), "f")
	wantCode(t, "PeekFlow of a taken flow", err, connector.ConnectionNotFound)
}

func testFlowRace(t *testing.T, p *place) {
	const takers = 32
	handles := []store.Store{p.open(t), p.open(t), p.open(t), p.open(t)}
	for round := range 4 {
		id := fmt.Sprint("f", round)
		flow(t, handles[0], id, time.Hour)
		start := make(chan struct{})
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range takers {
			s := handles[i%len(handles)]
			wg.Go(func() {
				<-start
				switch _, err := s.TakeFlow(t.Context(), id); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, connector.ConnectionNotFound):
					t.Errorf("TakeFlow: %v", err)
				}
			})
		}
		close(start)
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of %d takers got the flow", won.Load(), takers)
		}
	}
}

func testFlowExpires(t *testing.T, p *place) {
	s := p.open(t)
	f := flow(t, s, "f", short)
	eventually(t, "the end of the flow", func() bool {
		_, err := s.PeekFlow(t.Context(), "f")
		if err == nil {
			return false
		}
		wantCode(t, "PeekFlow of an expired flow", err, connector.ConnectionNotFound)
		if at := now(t, s); at.Before(f.ExpiresAt) {
			t.Fatalf("the flow ended at %v, before its time %v", at, f.ExpiresAt)
		}
		return true
	})
	_, err := s.TakeFlow(t.Context(), "f")
	wantCode(t, "TakeFlow of an expired flow", err, connector.ConnectionNotFound)
}

func testFlowsApart(t *testing.T, p *place) {
	s := p.open(t)
	ids := []string{"a", "A", "../a", "a/b", "=", "lG3_-x", "lG3_-X"}
	for _, id := range ids {
		flow(t, s, id, time.Hour)
	}
	if got := connections(t, s, store.Query{}); len(got) != 0 {
		t.Errorf("flows are listed as connections: %q", got)
	}
	for _, id := range ids {
		if got, err := s.TakeFlow(t.Context(), id); err != nil || got.ID != id {
			t.Errorf("TakeFlow(%q) = %v, %v", id, got, err)
		}
	}
}
