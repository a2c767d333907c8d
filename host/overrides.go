package host

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
)

// overrides is the plaintext of [store.FieldOverrides]. The record of an
// environment holds, beside it, what the base and the overrides make together,
// so that whoever uses the connection needs one record. It is merged anew when
// the base's settings revision isn't BaseRevision any more.
//
// Secrets of the base count in an environment only while it has all the base's
// destinations. One that has a destination, a proxy or certificates of its own
// has secrets of its own, too.
type overrides struct {
	// Settings holds what differs; null clears.
	Settings descriptor.Settings `json:"settings,omitempty"`
	// Network is the environment's own way to the service, nil for the base's.
	Network *sealedNetwork `json:"network,omitempty"`
	// Withheld names secrets of Settings that were given for a destination which
	// the base has changed. They are dropped, and nothing is sent until they are
	// given again.
	Withheld []string `json:"withheld,omitempty"`
	// BaseRevision is the settings revision of the base that was merged.
	BaseRevision uint64 `json:"base_revision"`
}

// change applies an edit. seen is the network that counted before.
func (o *overrides) change(e Edit, seen *connector.Network) {
	o.Settings = maps.Clone(o.Settings)
	if o.Settings == nil {
		o.Settings = descriptor.Settings{}
	}
	settled := func(name string) bool {
		_, given := e.Settings[name]
		return given || slices.Contains(e.Inherit, name)
	}
	o.Withheld = slices.DeleteFunc(slices.Clone(o.Withheld), settled)
	for _, name := range e.Inherit {
		delete(o.Settings, name)
	}
	maps.Copy(o.Settings, e.Settings)
	var own *connector.Network
	if o.Network != nil {
		n := o.Network.unpack()
		own = &n
	}
	o.Network = nil
	if own = e.network(own, seen); own != nil {
		n := packNetwork(*own)
		o.Network = &n
	}
}

// merge returns what base and overrides make together, normalised but not
// validated.
func (o *overrides) merge(c *Connector, base config) (config, error) {
	stored, err := descriptor.Decode(base.settings)
	if err != nil {
		return config{}, err
	}
	fresh := config{network: base.network}
	if o.Network != nil {
		n := o.Network.unpack()
		fresh.network = &n
	}
	merged := c.descriptor.MergeEdit(stored, o.Settings)
	if fresh.settings, err = json.Marshal(c.descriptor.Normalize(merged)); err != nil {
		return config{}, err
	}
	elsewhere, err := destinationsChanged(c, base, fresh)
	if err != nil || len(elsewhere) == 0 {
		return fresh, err
	}
	for _, name := range c.descriptor.SecretsSet(stored) {
		if _, own := o.Settings[name]; !own {
			delete(merged, name)
		}
	}
	fresh.settings, err = json.Marshal(c.descriptor.Normalize(merged))
	return fresh, err
}

// unguarded returns a problem for each secret that an edit would silently send
// to another destination, or that is withheld still.
func (o *overrides) unguarded(c *Connector, base, old, fresh config, e Edit) connector.Diagnostics {
	moved, err := destinationsChanged(c, old, fresh)
	elsewhere, eerr := destinationsChanged(c, base, fresh)
	stored, serr := descriptor.Decode(base.settings)
	for _, err := range []error{err, eerr, serr} {
		if err != nil {
			return connector.Diagnostics{connector.Diagnose(err, connector.OriginHost)}
		}
	}
	var problems connector.Diagnostics
	for _, f := range c.descriptor.Fields() {
		value, own := o.Settings[f.Name]
		_, given := e.Settings[f.Name]
		inherited := !own && len(c.descriptor.SecretsSet(descriptor.Settings{f.Name: stored[f.Name]})) > 0
		switch {
		case !f.Secret || given:
		case slices.Contains(o.Withheld, f.Name):
			problems = append(problems, secretWithheld(f.Name))
		case len(moved) > 0 && (own && value != nil || inherited && len(elsewhere) > 0):
			problems = append(problems, secretToRepeat(f.Name, moved))
		}
	}
	return problems
}

// follow merges anew after a change of the base, and returns the destinations
// that moved with it. The environment's own secrets were given for the old
// ones, so they are withheld.
func (o *overrides) follow(c *Connector, old, base config) (fresh config, moved []string, err error) {
	if fresh, err = o.merge(c, base); err != nil {
		return fresh, nil, err
	}
	if moved, err = destinationsChanged(c, old, fresh); err != nil {
		return fresh, nil, err
	}
	if len(moved) > 0 {
		o.Settings = maps.Clone(o.Settings)
		for _, name := range c.descriptor.SecretsSet(o.Settings) {
			o.Settings[name] = nil
			if !slices.Contains(o.Withheld, name) {
				o.Withheld = append(o.Withheld, name)
			}
		}
		if fresh, err = o.merge(c, base); err != nil {
			return fresh, nil, err
		}
	}
	s, err := descriptor.Decode(fresh.settings)
	if err != nil {
		return fresh, nil, err
	}
	return fresh, moved, invalid(without(c.descriptor.Validate(s), o.repeat()))
}

// repeat returns a problem for each secret that is withheld.
func (o *overrides) repeat() connector.Diagnostics {
	var problems connector.Diagnostics
	for _, name := range o.Withheld {
		problems = append(problems, secretWithheld(name))
	}
	return problems
}

// without returns the problems at other places than those of others.
func without(problems, others connector.Diagnostics) connector.Diagnostics {
	return slices.DeleteFunc(slices.Clone(problems), func(d *connector.Diagnostic) bool {
		return slices.ContainsFunc(others, func(o *connector.Diagnostic) bool { return o.Pointer == d.Pointer })
	})
}

// stopped says why an environment can't be used after a change of its base, or
// nil.
func (o *overrides) stopped(environment string, signedIn bool, moved []string) *connector.Diagnostic {
	switch {
	case len(o.Withheld) > 0:
		return in(environment, connector.Diagnostics{secretWithheld(o.Withheld[0])})[0]
	case signedIn && len(moved) > 0:
		return in(environment, connector.Diagnostics{
			connector.Errorf(connector.DestinationChanged, connector.OriginHost, "The base's destination changed (%v), so the sign-in to the old one has ended.", moved).
				With(connector.SignInAgain).Suggest("Sign in again, if you trust the new destination."),
		})[0]
	}
	return nil
}

func secretWithheld(name string) *connector.Diagnostic {
	return connector.Errorf(connector.DestinationChanged, connector.OriginSettings,
		"The base's destination changed, so this secret must be given again.").
		At("/"+name).With(connector.FixSettings).
		Suggest("Override %s again, if you trust the new destination, or inherit the base's; then sign in.", name)
}

// in names the environment in problems.
func in(environment string, problems connector.Diagnostics) connector.Diagnostics {
	all := make(connector.Diagnostics, len(problems))
	for i, d := range problems {
		c := *d
		c.Summary = fmt.Sprintf("In the environment %q: %s", environment, d.Summary)
		all[i] = &c
	}
	return all
}
