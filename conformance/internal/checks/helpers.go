package checks

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	signsIn    = connectorv1.Capability_CAPABILITY_AUTHORIZE
	identifies = connectorv1.Capability_CAPABILITY_IDENTIFY
	narrows    = connectorv1.Capability_CAPABILITY_NARROW
	revokes    = connectorv1.Capability_CAPABILITY_REVOKE
)

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func sizeOf(m proto.Message) int { return proto.Size(m) }

func same(a, b proto.Message) bool { return proto.Equal(a, b) }

// signedIn ends the check as not run unless a sign-in and the opening of a
// session work at all, within one process.
func signedIn(t *check.T) {
	check.Shared(t, "sign-in", check.DefaultWatchdog, func(t *check.T) *connectorv1.Access {
		c := t.Start()
		return t.Access(c, t.SignIn(c))
	})
}

// renewTime is how long the suite gives a renewal.
const renewTime = 6 * time.Second

// expired is a request to renew: on the host's clock the access in the
// credential has ended.
func expired(t *check.T, credential *connectorv1.Credential) *connectorv1.OpenSessionRequest {
	r := t.Open(credential)
	if end := credential.GetAccessExpiresAt(); end != nil {
		r.Now = timestamppb.New(end.AsTime().Add(time.Minute))
	} else {
		r.AccessRefused = true
	}
	r.AllowRenew, r.Deadline = true, timestamppb.New(time.Now().Add(renewTime))
	return r
}

// tokens counts token requests, and those that were successful.
func tokens(list []peer.Request) (all, successful int) {
	for _, r := range list {
		if r.Kind == peer.Token {
			all++
			if r.Succeeded {
				successful++
			}
		}
	}
	return all, successful
}

// code is that of an error's diagnostic.
func code(err error) connectorv1.Code { return check.Code(err) }
