package descriptor

import "maps"

// MergeEdit applies a partial edit to stored settings: a name that the edit
// doesn't have keeps its stored value, a value replaces it, and null clears
// it. A blank secret keeps the stored one too, since forms send an untouched
// password box as "". It suits a command line (--set, --unset) and an API.
func (d *Descriptor) MergeEdit(stored, edit Settings) Settings {
	merged := maps.Clone(stored)
	if merged == nil {
		merged = Settings{}
	}
	d.apply(merged, edit)
	return merged
}

// MergeForm applies a form that was sent whole: what holds for
// [Descriptor.MergeEdit] holds for secrets, but any other field that the form
// doesn't have is cleared, since renderers leave emptied fields out.
func (d *Descriptor) MergeForm(stored, form Settings) Settings {
	merged := Settings{}
	for name, value := range stored {
		if f := d.field(name); f != nil && f.Secret {
			merged[name] = value
		}
	}
	d.apply(merged, form)
	return merged
}

func (d *Descriptor) apply(merged, edit Settings) {
	for name, value := range edit {
		f := d.field(name)
		switch {
		case value == nil:
			delete(merged, name)
		case f != nil && f.ReadOnly:
			// It is only shown.
		case f != nil && f.Secret && blank(value):
			// Untouched.
		default:
			merged[name] = value
		}
	}
}
