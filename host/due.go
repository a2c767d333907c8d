package host

import (
	"hash/fnv"
	"time"

	"github.com/boxconnection/connector/host/store"
)

// revokeAgain is when a revocation that failed is due again.
const revokeAgain = 15 * time.Minute

// draftNotice is how long before its end a draft that was signed in to is
// deleted. The store drops what has ended, and the grant must not be dropped
// with it unrevoked.
const draftNotice = 6 * time.Hour

// schedule sets when the record must be looked at though nobody asks: at once
// if something is to be revoked, when an unconfirmed sign-in or a draft with a
// grant ends, or when its grant should be renewed so that it doesn't lapse.
func schedule(r *store.Record, now time.Time) {
	due := keepAliveAt(r)
	if r.State == store.StateDraft && len(r.Sealed[store.FieldCredential]) > 0 {
		due = r.ExpiresAt.Add(-draftNotice)
	}
	if _, ok := r.Sealed[store.FieldCandidate]; ok {
		due = earlier(due, now.Add(confirmWithin))
	}
	if _, ok := r.Sealed[store.FieldRevocation]; ok {
		due = now
	}
	r.DueAt = due
}

// keepAliveAt is when a grant that lapses should be renewed: between 65 and
// 75 % of its life, for each connection at another point, so that those which
// were signed in to together aren't renewed together. It is zero for a grant
// that doesn't lapse, or is known to be dead.
func keepAliveAt(r *store.Record) time.Time {
	if r.State != store.StateSaved || r.LapsesAt.IsZero() || len(r.Sealed[store.FieldCredential]) == 0 || verdictOf(r) != nil {
		return time.Time{}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.Key.Owner + "\x00" + r.Key.Connection + "\x00" + r.Key.Environment))
	life := r.LapsesAt.Sub(r.RenewedAt)
	return r.RenewedAt.Add(life/100*65 + life/10/1000*time.Duration(h.Sum32()%1000))
}

// earlier is the earlier of two times; zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
