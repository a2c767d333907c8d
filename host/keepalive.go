package host

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// dueBatch is how many due records are asked for at a time: enough that
	// several nodes, each of which takes them in an order of its own, seldom
	// want the same one at the same time.
	dueBatch = 4096

	// defaultConcurrency is how many of them are worked on at a time.
	defaultConcurrency = 8

	// keepAliveAgain is when a renewal that failed is due again, if the
	// service names no time.
	keepAliveAgain = time.Hour
)

// KeptAlive is what one run of KeepAlive did.
type KeptAlive struct {
	// Renewed counts grants that were renewed before they lapsed, Revoked
	// records whose revocations are done.
	Renewed int `json:"renewed"`
	Revoked int `json:"revoked"`
	// SignInAgain counts grants that turned out to be dead.
	SignInAgain int `json:"sign_in_again"`
	// Failed counts what is due again later.
	Failed int `json:"failed"`
	// Held counts imported grants that aren't this store's to renew yet.
	Held int `json:"held"`
	// Skipped counts what somebody else had done meanwhile.
	Skipped int `json:"skipped"`
}

// KeepAlive works through what is due once: it renews grants that would lapse
// unused, revokes what could not be revoked before, and drops sign-ins that
// nobody confirmed. Several hosts may do so at the same time: each renewal has
// one winner. concurrency bounds how much is done at a time, 8 if it is zero.
// The summary is complete even if some of it failed; the error is the store's,
// or the context's. In a copy ([Host.Copied]) nothing is due: it fails with
// connector.StoreNotAdopted.
func (h *Host) KeepAlive(ctx context.Context, concurrency int) (KeptAlive, error) {
	if concurrency <= 0 {
		concurrency = defaultConcurrency
	}
	var (
		sum   KeptAlive
		mu    sync.Mutex
		work  sync.WaitGroup
		slots = make(chan struct{}, concurrency)
		seen  = map[store.Key]bool{}
	)
	defer work.Wait()
	if err := h.Copied(ctx); err != nil {
		return sum, err
	}
	for {
		keys, err := h.store.Due(ctx, dueBatch)
		if err != nil {
			return sum, err
		}
		fresh := 0
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, key := range keys {
			if seen[key] {
				continue
			}
			seen[key] = true
			fresh++
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				work.Wait()
				return sum, gaveUp(ctx)
			}
			work.Go(func() {
				defer func() { <-slots }()
				outcome := h.attend(ctx, key)
				mu.Lock()
				defer mu.Unlock()
				*outcome(&sum)++
			})
		}
		work.Wait()
		if fresh == 0 {
			return sum, nil
		}
	}
}

// counter picks the number of a summary that an outcome belongs to.
type counter func(*KeptAlive) *int

func renewed(s *KeptAlive) *int     { return &s.Renewed }
func revoked(s *KeptAlive) *int     { return &s.Revoked }
func signInAgain(s *KeptAlive) *int { return &s.SignInAgain }
func failed(s *KeptAlive) *int      { return &s.Failed }
func skipped(s *KeptAlive) *int     { return &s.Skipped }
func held(s *KeptAlive) *int        { return &s.Held }

// attend does what is due of one record.
func (h *Host) attend(ctx context.Context, key store.Key) counter {
	r, err := h.store.Get(ctx, key)
	if is(err, connector.ConnectionNotFound) {
		return skipped
	}
	if err != nil {
		return failed
	}
	now, err := h.store.Now(ctx)
	if err != nil {
		return failed
	}
	if r.DueAt.IsZero() || r.DueAt.After(now) {
		return skipped
	}
	if r.Lease != nil && now.Before(r.Lease.Until) {
		return skipped // somebody is at it; if that fails, it is due the next time
	}
	if r, err = h.dropUnconfirmed(ctx, r, now); err != nil {
		return h.later(ctx, key, now, err)
	}
	if len(r.Sealed[store.FieldRevocation]) > 0 {
		if h.revokeAll(ctx, r) != nil {
			return failed // due again already
		}
		return revoked
	}
	if r.State == store.StateDraft {
		if _, err := h.end(ctx, key, bury); err != nil {
			return h.later(ctx, key, now, err)
		}
		return revoked
	}
	return h.prolong(ctx, r, now)
}

// dropUnconfirmed puts a sign-in that nobody confirmed up for revocation.
func (h *Host) dropUnconfirmed(ctx context.Context, r *store.Record, now time.Time) (*store.Record, error) {
	if len(r.Sealed[store.FieldCandidate]) == 0 {
		return r, nil
	}
	return h.update(ctx, r.Key, func(r *store.Record) error {
		var cand candidate
		ok, err := h.vault.get(ctx, r, store.FieldCandidate, &cand)
		if err != nil || !ok || now.Before(cand.ExpiresAt) {
			return err
		}
		cfg, err := h.vault.config(ctx, r)
		if err != nil {
			return err
		}
		delete(r.Sealed, store.FieldCandidate)
		_, err = h.vault.addRevocation(ctx, r, cfg, cand.Credential.unpack())
		return err
	})
}

// prolong renews a grant that would lapse.
func (h *Host) prolong(ctx context.Context, r *store.Record, now time.Time) counter {
	if at := keepAliveAt(r); at.IsZero() || at.After(now) {
		return h.later(ctx, r.Key, now, nil)
	}
	if _, err := h.connectorOf(ctx, r); err != nil {
		return h.later(ctx, r.Key, now, err)
	}
	if err := h.pace.wait(ctx, h); err != nil {
		return failed
	}
	if again, err := h.store.Get(ctx, r.Key); err != nil || again.Generation != r.Generation || again.Lease != nil && now.Before(again.Lease.Until) {
		return skipped
	}
	l := h.life(lifeKey{r.Key, r.Key}, r.Connector)
	won, err := l.renewFrom(ctx, r.Generation)
	switch {
	case err != nil:
		return h.later(ctx, r.Key, now, err)
	case won:
		return renewed
	default:
		return skipped
	}
}

// later sets when the record is due again after err, or for no reason but
// that it wasn't due at all.
func (h *Host) later(ctx context.Context, key store.Key, now time.Time, failure error) counter {
	d := connector.Diagnose(failure, connector.OriginHost)
	_, err := h.update(ctx, key, func(r *store.Record) error {
		schedule(r, now)
		if d != nil && !r.DueAt.IsZero() {
			r.DueAt = now.Add(max(d.RetryAfter, keepAliveAgain))
		}
		return nil
	})
	switch {
	case d == nil && err == nil:
		return skipped
	case d != nil && d.Disposition == connector.SignInAgain:
		return signInAgain
	case is(failure, connector.StoreNotAdopted) && err == nil:
		return held
	default:
		h.log.WarnContext(ctx, "a connection couldn't be kept alive", "connection", key.Connection, "error", errors.Join(failure, err))
		return failed
	}
}
