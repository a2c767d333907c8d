package host

import (
	"context"
	"slices"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/proto/connector"
)

// pruneAfter is how long the keys must have been the same before one is
// removed: longer than a sign-in waits, and than any process that sealed
// something with the key before needs to write it.
const pruneAfter = signInLife + 5*time.Minute

// prunable is a sealer whose keys can be removed, as [seal.Keyring] is.
type prunable interface {
	Primary() seal.KeyID
	KeyIDs() []seal.KeyID
	ChangedAt() (time.Time, error)
	Remove(ctx context.Context, ids ...seal.KeyID) error
}

// Pruned is what Prune did.
type Pruned struct {
	// Removed are the IDs of the keys that were removed.
	Removed []string `json:"removed"`
	// Kept are those of old keys that still are needed, or may be.
	Kept []KeptKey `json:"kept"`
	// Bad are values that couldn't be sealed again, or can't be read.
	Bad []BadValue `json:"bad"`
}

// KeptKey is an old key that wasn't removed.
type KeptKey struct {
	Key string `json:"key"`
	// Values counts what it sealed. It is zero for a key that is kept since
	// something can't be read of which the key isn't known.
	Values int `json:"values"`
}

// Prune removes the old sealing keys: what they sealed is sealed again first,
// then everything in the store is looked at, sign-ins that wait and what is to
// be revoked included, and a key goes only if nothing is sealed with it. A
// record that can't be read at all keeps every key. It fails with StoreBusy
// until the keys have been the same for a quarter of an hour. Backups from
// before can't be opened without the old keys, so keep a copy of the key file
// with them. Where nodes have key files of their own, each must have the
// present key before. actor is whom the audit names.
func (h *Host) Prune(ctx context.Context, actor string) (Pruned, error) {
	done := Pruned{Removed: []string{}, Kept: []KeptKey{}, Bad: []BadValue{}}
	keys, ok := h.vault.sealer.(prunable)
	if !ok {
		return done, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The sealer's keys aren't kept here.").
			Suggest("Remove them where they are kept.")
	}
	if err := settled(keys); err != nil {
		return done, err
	}
	if _, _, err := h.Reseal(ctx); err != nil {
		return done, err
	}
	v, err := h.Verify(ctx)
	if err != nil {
		return done, err
	}
	done.Bad = v.Bad
	var unused []seal.KeyID
	for _, id := range slices.Sorted(slices.Values(keys.KeyIDs())) {
		switch n := v.Keys[id.String()]; {
		case id == keys.Primary():
		case n > 0 || v.keyless:
			done.Kept = append(done.Kept, KeptKey{id.String(), n})
		default:
			unused = append(unused, id)
		}
	}
	if len(unused) == 0 {
		return done, nil
	}
	err = keys.Remove(ctx, unused...)
	for _, id := range unused {
		if aerr := h.record(ctx, audit.Event{Actor: actor, Action: audit.ActionPrune, Subject: id.String()}, err); err == nil && aerr != nil {
			return done, aerr
		}
		if err == nil {
			done.Removed = append(done.Removed, id.String())
		}
	}
	return done, err
}

// settled fails unless the keys have been the same for long enough.
func settled(keys prunable) error {
	changed, err := keys.ChangedAt()
	if err != nil {
		return err
	}
	left := pruneAfter - time.Since(changed)
	if left <= 0 {
		return nil
	}
	return connector.Errorf(connector.StoreBusy, connector.OriginHost, "The sealing keys were changed a moment ago, so old ones may still be in use.").
		WithDetail("changed at %s", changed.UTC().Format(time.RFC3339)).
		With(connector.Retry).After(left.Round(time.Second)).Suggest("Remove old keys after that time.")
}
