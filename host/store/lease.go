package store

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/boxconnection/connector/proto/connector"
)

// leaseIDBytes is enough that no two leases ever share an ID by chance.
const leaseIDBytes = 16

// NewLeaseID returns an ID for a [LeaseRequest]: 128 random bits, as 32
// hexadecimal digits.
func NewLeaseID() string {
	b := make([]byte, leaseIDBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b)
}

// CheckID fails with connector.UsageWrong if the request has an ID that isn't
// of [NewLeaseID]'s form. Stores call it first.
func (w LeaseRequest) CheckID() error {
	if w.ID == "" {
		return nil
	}
	if b, err := hex.DecodeString(w.ID); err != nil || len(b) != leaseIDBytes || hex.EncodeToString(b) != w.ID {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The lease's ID isn't 32 hexadecimal digits.").
			Suggest("Take one from store.NewLeaseID, or leave it to the store.")
	}
	return nil
}
