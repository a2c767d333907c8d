package descriptor

import "maps"

// WithDefaults returns the settings with the defaults of the fields that have
// no value. A host calls it before it shows a form, since not every renderer
// fills defaults in.
func (d *Descriptor) WithDefaults(s Settings) Settings {
	merged := make(Settings, len(s)+len(d.fields))
	maps.Copy(merged, s)
	for i := range d.fields {
		f := &d.fields[i]
		if f.Default != nil && blank(merged[f.Name]) {
			merged[f.Name] = f.Default
		}
	}
	return merged
}

// Normalize returns the settings as they are to be validated, stored and
// used. Strings lose the blanks, line ends and invisible characters at their
// ends, secrets and URLs included, and are never changed inside; what is then
// empty, or null, counts as not given; defaults are merged; values of fields
// that are read-only, or hidden under the chosen selector, are dropped. Names
// that the descriptor doesn't have stay for [Descriptor.Validate] to report.
// Normalizing twice changes nothing more.
func (d *Descriptor) Normalize(s Settings) Settings {
	trimmed := make(Settings, len(s))
	for name, value := range s {
		f := d.field(name)
		switch text, isText := value.(string); {
		case f == nil:
			trimmed[name] = value
		case f.ReadOnly || blank(value):
		case isText:
			trimmed[name] = trim(text)
		default:
			trimmed[name] = value
		}
	}
	merged := d.WithDefaults(trimmed)
	for i := range d.fields {
		if f := &d.fields[i]; !f.VisibleIn(merged) {
			// Selectors are always shown, so the order doesn't matter.
			delete(merged, f.Name)
		}
	}
	return merged
}

// Redact returns the settings without secrets, fit for a form, a log or an
// export. Read-only fields and names that the descriptor doesn't have are
// left out too: a mistyped name may hold a secret. [Descriptor.SecretsSet]
// tells which secrets there are.
func (d *Descriptor) Redact(s Settings) Settings {
	shown := make(Settings, len(s))
	for name, value := range s {
		if f := d.field(name); f != nil && !f.Secret && !f.ReadOnly {
			shown[name] = value
		}
	}
	return shown
}

// SecretsSet names the secrets that have a value, in the order of the form.
func (d *Descriptor) SecretsSet(s Settings) []string {
	var names []string
	for i := range d.fields {
		if f := &d.fields[i]; f.Secret && !blank(s[f.Name]) {
			names = append(names, f.Name)
		}
	}
	return names
}
