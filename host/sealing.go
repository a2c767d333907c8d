package host

import (
	"context"
	"encoding/json"
	"time"

	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// vault turns a record's values into ciphertext and back, each bound to its
// key and field.
type vault struct{ sealer seal.Sealer }

// sealedCredential is the plaintext of the credential fields.
type sealedCredential struct {
	Format          uint32    `json:"format"`
	Data            string    `json:"data"`
	AccessExpiresAt time.Time `json:"access_expires_at,omitzero"`
	LapsesAt        time.Time `json:"lapses_at,omitzero"`
}

// sealedNetwork is the plaintext of the network field.
type sealedNetwork struct {
	ProxyURL string   `json:"proxy_url,omitempty"`
	NoProxy  []string `json:"no_proxy,omitempty"`
	ExtraCAs []byte   `json:"extra_cas,omitempty"`
}

// candidate is a sign-in whose account isn't the connection's, until somebody
// confirms it.
type candidate struct {
	Credential sealedCredential  `json:"credential"`
	Account    connector.Account `json:"account"`
	Settings   uint64            `json:"settings_revision"`
	ExpiresAt  time.Time         `json:"expires_at"`
}

// revocation is a grant that must not stay at the service, with all that
// taking it back needs.
type revocation struct {
	Settings   json.RawMessage  `json:"settings"`
	Network    sealedNetwork    `json:"network"`
	Credential sealedCredential `json:"credential"`
}

func packCredential(c connector.Credential) sealedCredential {
	return sealedCredential{c.Format, c.Data.Reveal(), c.AccessExpiresAt, c.LapsesAt}
}

func (s sealedCredential) unpack() connector.Credential {
	return connector.Credential{
		Format: s.Format, Data: connector.NewSecret(s.Data),
		AccessExpiresAt: s.AccessExpiresAt, LapsesAt: s.LapsesAt,
	}
}

func packNetwork(n connector.Network) sealedNetwork {
	return sealedNetwork{n.ProxyURL.Reveal(), n.NoProxy, n.ExtraCAs}
}

func (s sealedNetwork) unpack() connector.Network {
	return connector.Network{ProxyURL: connector.NewSecret(s.ProxyURL), NoProxy: s.NoProxy, ExtraCAs: s.ExtraCAs}
}

// put seals v into a field of r.
func (v vault) put(ctx context.Context, r *store.Record, f store.Field, value any) error {
	plain, err := json.Marshal(value)
	if err != nil {
		return connector.Diagnose(err, connector.OriginHost)
	}
	sealed, err := v.sealer.Seal(ctx, r.Key, f, plain)
	if err != nil {
		return err
	}
	if r.Sealed == nil {
		r.Sealed = map[store.Field][]byte{}
	}
	r.Sealed[f] = sealed
	return nil
}

// get opens a field of r into value and reports whether r has it.
func (v vault) get(ctx context.Context, r *store.Record, f store.Field, value any) (bool, error) {
	sealed, ok := r.Sealed[f]
	if !ok {
		return false, nil
	}
	plain, err := v.sealer.Open(ctx, r.Key, f, sealed)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(plain, value); err != nil {
		return false, connector.Errorf(connector.StoreDamaged, connector.OriginHost, "The %s of connection %s can't be read.", f, r.Key.Connection).Because(err)
	}
	return true, nil
}

// move returns a field of r as it is sealed under another key.
func (v vault) move(ctx context.Context, r *store.Record, to store.Key, f store.Field) ([]byte, bool, error) {
	sealed, ok := r.Sealed[f]
	if !ok {
		return nil, false, nil
	}
	plain, err := v.sealer.Open(ctx, r.Key, f, sealed)
	if err != nil {
		return nil, false, err
	}
	sealed, err = v.sealer.Seal(ctx, to, f, plain)
	return sealed, err == nil, err
}

// credential returns the credential in a field, the zero one if there is none.
func (v vault) credential(ctx context.Context, r *store.Record, f store.Field) (connector.Credential, error) {
	var s sealedCredential
	ok, err := v.get(ctx, r, f, &s)
	if err != nil || !ok {
		return connector.Credential{}, err
	}
	return s.unpack(), nil
}

// config returns the settings and the network of r.
func (v vault) config(ctx context.Context, r *store.Record) (config, error) {
	var (
		settings json.RawMessage
		network  sealedNetwork
	)
	if ok, err := v.get(ctx, r, store.FieldSettings, &settings); err != nil || !ok {
		if err == nil {
			err = connector.Errorf(connector.StoreDamaged, connector.OriginHost, "Connection %s has no settings.", r.Key.Connection)
		}
		return config{}, err
	}
	own, err := v.get(ctx, r, store.FieldNetwork, &network)
	if err != nil {
		return config{}, err
	}
	c := config{settings: settings, revision: r.SettingsRevision}
	if own {
		n := network.unpack()
		c.network = &n
	}
	return c, nil
}

// config is what a call to a connector needs beside the credential.
type config struct {
	settings []byte
	// network is the connection's own, nil for the host's.
	network  *connector.Network
	revision uint64
}
