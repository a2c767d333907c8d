package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/rawclient"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	// renewWithin is how long a renewal may be begun.
	renewWithin = 5 * time.Second
	// late is how long after its use a late host stores.
	late = time.Second
)

// host is one action on the one connection.
type host struct {
	ctx      context.Context //nolint:containedctx // one action is one context
	fault    string
	home     string
	settings []byte
	process  *rawclient.Process
	calls    connectorv1.ConnectorServiceClient
	printed  bool // the access was handed out already
}

// record is what it keeps. It is in plain text: no fault, but not conformant.
type record struct {
	Data       []byte
	Generation uint64
	Renewing   bool
}

func open(ctx context.Context, args []string) (*host, error) {
	h := &host{ctx: ctx, fault: args[0], home: args[2]}
	values := map[string]string{}
	data, err := os.ReadFile(args[4])
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &values); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(args[5])
	if err != nil {
		return nil, err
	}
	values["secret"] = string(secret)
	if h.settings, err = json.Marshal(values); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "bh")
	if err != nil {
		return nil, err
	}
	if h.process, err = rawclient.Start(rawclient.Spec{Path: args[3], Folder: folder}); err != nil {
		return nil, err
	}
	conn, err := h.process.Connect(ctx)
	if err != nil {
		_ = h.process.Close()
		return nil, err
	}
	h.calls = connectorv1.NewConnectorServiceClient(conn)
	return h, nil
}

func (h *host) close() { _ = h.process.Close() }

func (h *host) path() string { return filepath.Join(h.home, "record.json") }

func (h *host) load() (r record, err error) {
	data, err := os.ReadFile(h.path())
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

func (h *host) store(r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%d", h.path(), os.Getpid())
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, h.path())
}

// lease takes the right to renew: a folder that one process can make.
func (h *host) lease() (release func(), err error) {
	if h.fault == noLease {
		return func() {}, nil
	}
	folder := filepath.Join(h.home, "lease")
	for {
		err := os.Mkdir(folder, 0o700)
		if err == nil {
			return func() { _ = os.Remove(folder) }, nil
		}
		if info, serr := os.Stat(folder); serr == nil && time.Since(info.ModTime()) > renewWithin {
			_ = os.Remove(folder) // its holder is gone
		}
		timer := time.NewTimer(10 * time.Millisecond)
		select {
		case <-timer.C:
		case <-h.ctx.Done():
			return nil, h.ctx.Err()
		}
	}
}

// access is what the credential gives, renewed if it must be.
func (h *host) access() (string, *connectorv1.Access, error) {
	token, access, err := h.session(false)
	if status.Code(err) != codes.FailedPrecondition {
		return token, access, err
	}
	release, err := h.lease()
	if err != nil {
		return "", nil, err
	}
	defer release()
	if h.fault != noLease {
		if token, access, err = h.session(false); err == nil { // another renewed meanwhile
			return token, access, nil
		}
	}
	return h.session(true)
}

func (h *host) session(renew bool) (string, *connectorv1.Access, error) {
	r, err := h.load()
	if err != nil {
		return "", nil, err
	}
	q := &connectorv1.OpenSessionRequest{
		Settings: h.settings, Credential: &connectorv1.Credential{Format: 1, Data: r.Data}, AllowRenew: renew, Now: timestamppb.Now(),
	}
	if renew {
		if r.Renewing && h.fault != replays {
			return "", nil, errors.New("a renewal was cut off: sign in again")
		}
		if h.fault != noDeadline {
			q.Deadline = timestamppb.New(time.Now().Add(renewWithin))
		}
		r.Renewing = true
		if err := h.store(r); err != nil {
			return "", nil, err
		}
	}
	answer, err := h.calls.OpenSession(h.ctx, q)
	if err != nil {
		return "", nil, err
	}
	if h.fault == chatty {
		_, _ = fmt.Fprintln(os.Stderr, "answer:", answer.GetAccess().GetToken(), string(answer.GetCredential().GetData()))
	}
	if c := answer.GetCredential(); c != nil {
		next := record{Data: c.GetData(), Generation: r.Generation + 1}
		if h.fault == lateStore {
			fmt.Println(answer.GetAccess().GetToken())
			h.printed = true
			_ = h.use(answer.GetAccess()) // stored only after it was used
			time.Sleep(late)
		}
		if err := h.store(next); err != nil {
			return "", nil, err
		}
		r = next
	}
	if answer.GetAccess() == nil {
		return "", nil, errors.New("there is no access")
	}
	answer.Access.Generation = r.Generation
	return answer.GetAccess().GetToken(), answer.GetAccess(), nil
}

func (h *host) test() error {
	_, access, err := h.access()
	if err != nil {
		return err
	}
	return h.use(access)
}

// use runs the connection test with access.
func (h *host) use(access *connectorv1.Access) error {
	d, err := h.calls.Describe(h.ctx, &connectorv1.DescribeRequest{})
	if err != nil {
		return err
	}
	stream, err := h.calls.TestConnection(h.ctx, &connectorv1.TestConnectionRequest{Settings: h.settings, Access: access})
	if err != nil {
		return err
	}
	passed := 0
	for {
		result, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if result.GetCheck().GetStatus() == connectorv1.CheckStatus_CHECK_STATUS_PASSED {
			passed++
		}
	}
	if passed != len(d.GetChecks()) {
		return errors.New("not every check passed")
	}
	return nil
}

func (h *host) signIn() error {
	r, err := h.load()
	if err != nil {
		return err
	}
	state := rand.Text()
	begun, err := h.calls.BeginAuthorization(h.ctx, &connectorv1.BeginAuthorizationRequest{
		Settings: h.settings, RedirectUri: "http://localhost:8085/callback", State: state, Now: timestamppb.Now(),
	})
	if err != nil {
		return err
	}
	fmt.Println(begun.GetAuthorizationUrl())
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 1<<16)).ReadString('\n')
	if err != nil {
		return err
	}
	callback := strings.TrimSpace(line)
	u, err := url.Parse(callback)
	if err != nil {
		return err
	}
	if u.Query().Get("state") != state && h.fault != trusting {
		return errors.New("the callback belongs to another sign-in")
	}
	done, err := h.calls.CompleteAuthorization(h.ctx, &connectorv1.CompleteAuthorizationRequest{
		Settings: h.settings, Pending: begun.GetPending(), CallbackUrl: callback, Now: timestamppb.Now(),
	})
	if err != nil {
		return err
	}
	return h.store(record{Data: done.GetCredential().GetData(), Generation: r.Generation + 1})
}
