// Next is a later build of the Box connector, for tests: it keeps credentials
// in format 2, and reads and writes format 1 too. What changes with the format
// is its layout alone.
package main

import (
	"context"
	"encoding/base64"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

const oldFormat, newFormat = 1, 2

func main() { plugin.Main(next{box.New(box.WithVersion("next"))}) }

type next struct{ *box.Connector }

// Describe tells of the new format.
func (n next) Describe() connector.Description {
	d := n.Connector.Describe()
	d.CredentialReads, d.CredentialWrites = []uint32{oldFormat, newFormat}, newFormat
	return d
}

// Open works in the old format and writes the one that is asked for.
func (n next) Open(ctx context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
	var err error
	if req.Credential, err = unpacked(req.Credential); err != nil {
		return plugin.Opened{}, err
	}
	opened, err := n.Connector.Open(ctx, req)
	if opened.Credential != nil {
		c := packed(*opened.Credential, req.Format)
		opened.Credential = &c
	}
	return opened, err
}

// CompleteAuthorization writes the format that is asked for.
func (n next) CompleteAuthorization(ctx context.Context, req plugin.CompleteRequest) (plugin.Completed, error) {
	done, err := n.Connector.CompleteAuthorization(ctx, req)
	done.Credential = packed(done.Credential, req.Format)
	return done, err
}

// Revoke reads both formats.
func (n next) Revoke(ctx context.Context, req plugin.RevokeRequest) error {
	var err error
	if req.Credential, err = unpacked(req.Credential); err != nil {
		return err
	}
	return n.Connector.Revoke(ctx, req)
}

func packed(c connector.Credential, format uint32) connector.Credential {
	if format == newFormat && !c.IsZero() {
		c.Format, c.Data = newFormat, connector.NewSecret(base64.StdEncoding.EncodeToString([]byte(c.Data.Reveal())))
	}
	return c
}

func unpacked(c connector.Credential) (connector.Credential, error) {
	if c.Format != newFormat {
		return c, nil
	}
	data, err := base64.StdEncoding.DecodeString(c.Data.Reveal())
	if err != nil {
		return c, connector.Errorf(connector.CredentialUnreadable, connector.OriginConnector, "The stored credential is damaged.")
	}
	c.Format, c.Data = oldFormat, connector.NewSecret(string(data))
	return c, nil
}
