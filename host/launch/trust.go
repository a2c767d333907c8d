package launch

import "github.com/boxconnection/connector/proto/connector"

// Trust says which bytes may run. The zero Trust lets nothing run.
type Trust struct {
	anything bool
	digest   Digest
	file     *TrustFile
}

// RequireDigest lets a plugin run if its file has this digest. The zero
// Digest lets nothing run.
func RequireDigest(d Digest) Trust { return Trust{digest: d} }

// TrustedBy lets a plugin run if its file has the digest that the trust file
// holds for it.
func TrustedBy(file *TrustFile) Trust { return Trust{file: file} }

// AnyDigest lets any plugin run, unchecked. Whoever can replace the file then
// gets every secret that the plugin is given.
func AnyDigest() Trust { return Trust{anything: true} }

// check decides about a file by its digest.
func (t Trust) check(name, path string, actual Digest) error {
	if t.anything {
		return nil
	}
	expected := t.digest
	if t.file != nil {
		var err error
		if expected, err = t.file.Lookup(path, name); err != nil {
			return err
		}
	}
	switch {
	case expected.IsZero():
		return connector.Errorf(connector.PluginUntrusted, connector.OriginHost,
			"No digest is on record for plugin %q, and only trusted plugins may run.", name).
			WithDetail("%s has %s", path, actual).
			Suggest("Compare the digest with the one its publisher gives, then trust it with: connectorctl plugin trust %s", path)
	case expected != actual:
		return connector.Errorf(connector.PluginDigestMismatch, connector.OriginHost,
			"Plugin %q isn't the file that was trusted; it was not started.", name).
			WithDetail("%s has %s, expected %s", path, actual, expected).
			Suggest("If the plugin was updated, compare the new digest with the publisher's and run: connectorctl plugin trust %s. Otherwise restore the file.", path)
	}
	return nil
}
