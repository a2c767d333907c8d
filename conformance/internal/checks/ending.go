package checks

import (
	"os"
	"syscall"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	"github.com/boxconnection/connector/conformance/internal/rawclient"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// What the contract allows, and what a busy machine may add to it.
const (
	shutdownLimit  = 2 * time.Second
	deathLimit     = time.Second
	terminateLimit = 10 * time.Second
	slack          = 750 * time.Millisecond
)

// endingChecks judge how a process ends.
func endingChecks() []*check.Check {
	return []*check.Check{
		{
			ID: "process.shutdown", Level: check.Must, Clauses: []string{"P-12"}, Needs: check.Process,
			Title: "After Shutdown it ends within 2 s.",
			Run:   func(t *check.T) { shutdown(t, t.Start()) },
		},
		{
			ID: "process.shutdown-busy", Level: check.Must, Clauses: []string{"P-12"}, Needs: check.Process | check.Peer,
			Title: "After Shutdown it ends within 2 s, a call under way or not.",
			Run: func(t *check.T) {
				c := t.Start()
				t.Hang(c)
				shutdown(t, c)
			},
		},
		{
			ID: "process.host-gone", Level: check.Must, Clauses: []string{"P-13"}, Needs: check.Process,
			Title: "It ends within 1 s of the end of file on the death pipe.",
			Run:   func(t *check.T) { hostGone(t, t.Start().Process) },
		},
		{
			ID: "process.host-gone-busy", Level: check.Must, Clauses: []string{"P-13"}, Needs: check.Process | check.Peer,
			Title: "It ends within 1 s of the end of file on the death pipe, a call under way or not.",
			Run: func(t *check.T) {
				c := t.Start()
				t.Hang(c)
				hostGone(t, c.Process)
			},
		},
		{
			ID: "process.host-gone-socket", Level: check.Must, Clauses: []string{"P-14"}, Needs: check.Process,
			Title: "When the host is gone it removes its socket before it ends.",
			Run: func(t *check.T) {
				p := t.Start().Process
				if err := p.HostDies(); err != nil {
					t.Blockf("%v", err)
				}
				if _, ended := p.WaitExit(deathLimit + 4*slack); !ended {
					t.Blockf("it doesn't end")
				}
				if _, err := os.Lstat(p.Line.Address); p.Line.Network == "unix" && err == nil {
					t.Errorf("the socket is still there")
				}
			},
		},
		{
			ID: "process.terminate", Level: check.Should, Clauses: []string{"P-15"}, Needs: check.Process | check.Peer,
			Title: "On SIGTERM it finishes the calls under way and exits with code 0 within 10 s.",
			Run:   terminate,
		},
		{
			ID: "process.interrupt", Level: check.Must, Clauses: []string{"P-16"}, Needs: check.Process,
			Title: "It ignores SIGINT.",
			Run: func(t *check.T) {
				c := t.Start()
				for range 2 {
					if err := c.Process.Signal(os.Interrupt); err != nil {
						t.Blockf("%v", err)
					}
					if _, ended := c.Process.WaitExit(300 * time.Millisecond); ended {
						t.Fatalf("it ends")
					}
				}
				if _, err := c.Describe(t.Call(), &connectorv1.DescribeRequest{}); err != nil {
					t.Errorf("afterwards Describe fails: %s", check.Brief(err))
				}
			},
		},
	}
}

func shutdown(t *check.T, c *check.Conn) {
	// The call itself may fail.
	_ = c.Inner.Invoke(t.CallWithin(shutdownLimit), "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	if _, ended := c.Process.WaitExit(shutdownLimit + slack); !ended {
		t.Errorf("it runs on")
	}
}

func hostGone(t *check.T, p *rawclient.Process) {
	if err := p.HostDies(); err != nil {
		t.Blockf("%v", err)
	}
	if _, ended := p.WaitExit(deathLimit + slack); !ended {
		t.Errorf("it runs on")
	}
}

func terminate(t *check.T) {
	c := t.Start()
	h := t.Hang(c)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Blockf("%v", err)
	}
	if _, ended := c.Process.WaitExit(300 * time.Millisecond); ended {
		t.Fatalf("it doesn't finish the call under way")
	}
	t.Do(t.Service().ClearFaults(t.Context()))
	select {
	case err := <-h.Done:
		if f := check.Failed(err); err.Error() != "EOF" && f != nil {
			t.Errorf("the call under way fails: %s", check.Brief(err))
		}
	case <-t.CallWithin(terminateLimit).Done():
		t.Errorf("the call under way doesn't end")
	}
	if code, ended := c.Process.WaitExit(terminateLimit); !ended || code != 0 {
		t.Errorf("ended: %v, exit code %d", ended, code)
	}
}

// callChecks judge calls as such.
func callChecks() []*check.Check {
	const peered = check.Settings | check.Peer
	return []*check.Check{
		{
			ID: "calls.failures", Level: check.Must, Clauses: []string{"P-20"}, Needs: check.Description,
			Title: "Failing calls end neither the process nor other calls.",
			Run:   failures,
		},
		{
			ID: "calls.concurrent", Level: check.Must, Clauses: []string{"P-21"}, Needs: peered,
			Title: "A call that hangs holds up neither others nor the health service.",
			Run: func(t *check.T) {
				c := t.Start()
				t.Hang(c)
				const quick = 3 * time.Second
				if c.Process != nil {
					if problem := health(t.CallWithin(quick), c.Inner); problem != "" {
						t.Errorf("%s", problem)
					}
				}
				if _, err := c.Describe(t.CallWithin(quick), &connectorv1.DescribeRequest{}); err != nil {
					t.Errorf("meanwhile Describe fails: %s", check.Brief(err))
				}
				if _, err := c.ValidateSettings(t.CallWithin(quick), &connectorv1.ValidateSettingsRequest{Settings: t.Good()}); err != nil {
					t.Errorf("meanwhile ValidateSettings fails: %s", check.Brief(err))
				}
			},
		},
		{
			ID: "calls.cancelled", Level: check.Must, Clauses: []string{"P-22"}, Needs: peered,
			Title: "The work for a call ends when it is cancelled.",
			Run: func(t *check.T) {
				h := t.Hang(t.Start())
				h.Cancel()
				if !h.Gone(4 * time.Second) {
					t.Errorf("4 s after a call was cancelled its request is still under way")
				}
			},
		},
		{
			ID: "calls.deadline", Level: check.Must, Clauses: []string{"P-22"}, Needs: peered,
			Title: "The work for a call ends when its deadline passes.",
			Run: func(t *check.T) {
				c := t.Start()
				mark := t.Mark()
				t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Any, Times: -1, Hold: true}))
				_, _ = c.Test(t, &connectorv1.TestConnectionRequest{Settings: t.Good()}, 3*time.Second)
				if len(t.Since(mark)) == 0 {
					t.Blockf("a connection test makes no request")
				}
				if !t.Eventually(4*time.Second, func() bool {
					for _, r := range t.Since(mark) {
						if !r.Gone {
							return false
						}
					}
					return true
				}) {
					t.Errorf("4 s after a call's deadline its request is still under way")
				}
			},
		},
		{
			ID: "calls.stateless", Level: check.Must, Clauses: []string{"P-24", "Z-5"}, Needs: peered | check.Description,
			Title: "Each call may reach another process.",
			Run:   stateless,
		},
	}
}

// failures makes calls that must fail, then looks whether all is well.
func failures(t *check.T) {
	c := t.Start()
	before, err := c.Describe(t.Call(), &connectorv1.DescribeRequest{})
	if err != nil {
		t.Blockf("Describe fails: %s", check.Brief(err))
	}
	for _, settings := range [][]byte{nil, []byte("{"), []byte("\xff\xfe"), []byte("[]"), []byte("null"), []byte(`{"a":{"b":[`)} {
		damaged := &connectorv1.Credential{Format: 4242, Data: []byte("\x00damaged")}
		_, _ = c.OpenSession(t.Call(), &connectorv1.OpenSessionRequest{Settings: settings, Credential: damaged})
		_, _ = c.BeginAuthorization(t.Call(), &connectorv1.BeginAuthorizationRequest{Settings: settings})
		_, _ = c.CompleteAuthorization(t.Call(), &connectorv1.CompleteAuthorizationRequest{Settings: settings, Pending: []byte{0}, CallbackUrl: "::"})
		_, _ = c.Identify(t.Call(), &connectorv1.IdentifyRequest{Settings: settings})
		_, _ = c.Test(t, &connectorv1.TestConnectionRequest{Settings: settings}, check.CallLimit)
		_, _ = c.NarrowAccess(t.Call(), &connectorv1.NarrowAccessRequest{Settings: settings})
		_, _ = c.RevokeAuthorization(t.Call(), &connectorv1.RevokeAuthorizationRequest{Settings: settings, Credential: damaged})
		_ = c.Inner.Invoke(t.Call(), "/integration.connector.v1.ConnectorService/NoSuchCall", &emptypb.Empty{}, &emptypb.Empty{})
	}
	after, err := c.Describe(t.Call(), &connectorv1.DescribeRequest{})
	if c.Process != nil && !c.Process.Running() {
		t.Fatalf("a call that fails ends the process")
	}
	if err != nil {
		t.Fatalf("afterwards Describe fails: %s", check.Brief(err))
	}
	if !same(before, after) {
		t.Errorf("afterwards Describe answers otherwise")
	}
}

// stateless carries a connection through several processes.
func stateless(t *check.T) {
	if t.Attached {
		t.Blockf("there is one process only")
	}
	signedIn(t)
	if !t.SignsIn() {
		first, second := t.Access(t.Start(), nil), t.Access(t.Start(), nil)
		if first.GetToken() == "" || second.GetToken() == "" {
			t.Errorf("two processes don't both give access")
		}
		return
	}
	begun := t.Begin(t.Start())
	done, err := t.Start().CompleteAuthorization(t.Call(), begun.Complete(t.Allow(begun)))
	if err != nil {
		t.Fatalf("a sign-in that one process began can't be completed by another: %s", check.Brief(err))
	}
	if _, err := t.Start().OpenSession(t.Call(), t.Open(done.GetCredential())); err != nil {
		t.Fatalf("a credential can't be opened by another process: %s", check.Brief(err))
	}
	renewed, err := t.Start().OpenSession(t.Call(), expired(t, done.GetCredential()))
	if err != nil {
		t.Fatalf("a credential can't be renewed by another process: %s", check.Brief(err))
	}
	if renewed.GetCredential() == nil {
		return
	}
	if _, err := t.Start().OpenSession(t.Call(), t.Open(renewed.GetCredential())); err != nil {
		t.Errorf("a renewed credential can't be opened by another process: %s", check.Brief(err))
	}
}
