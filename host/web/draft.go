package web

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

// work is a form that was sent, and the draft that it is about.
type work struct {
	*visit
	plugin string
	name   string
	sent   url.Values
	conn   *host.Connector
	// draft is nil while the values are too wrong to be kept.
	draft *host.Connection
}

// newForm shows the form of a connector without a draft.
func (p *handler) newForm(v *visit) error {
	w := &work{visit: v, plugin: v.r.URL.Query().Get(inputPlugin)}
	if w.plugin == "" {
		w.plugin = p.opts.Choices[0].Plugin
	}
	if err := w.load(); err != nil {
		return err
	}
	return w.draw(http.StatusOK, nil)
}

// draftForm shows the form of a draft.
func (p *handler) draftForm(v *visit) error {
	w := &work{visit: v, name: v.r.URL.Query().Get(inputName)}
	if err := w.find(v.r.PathValue("id")); err != nil {
		return err
	}
	return w.draw(http.StatusOK, nil)
}

// load loads the connector of a new connection, which must be one on offer.
func (w *work) load() (err error) {
	if !slices.ContainsFunc(w.opts.Choices, func(c Choice) bool { return c.Plugin == w.plugin }) {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "That connector isn't on offer here.").
			Suggest("Choose one from the list of connections.")
	}
	w.conn, err = w.opts.Load(w.r.Context(), w.plugin)
	return err
}

// find finds a draft.
func (w *work) find(id string) (err error) {
	if w.draft, err = w.tenant.ConnectionByID(w.r.Context(), id); err != nil {
		return err
	}
	if w.conn, err = w.draft.Connector(); err != nil {
		return err
	}
	i, err := w.draft.Info(w.r.Context())
	if err == nil && !i.Draft {
		err = connector.Errorf(connector.ConnectionChanged, connector.OriginHost, "This connection has been saved.").
			Suggest("Go to the list of connections, and edit it there.")
	}
	w.plugin = i.Plugin
	return err
}

// receive reads the form and keeps its values in the draft, which is made if
// there is none. Values that can't be kept are an *host.InvalidSettings error.
func (v *visit) receive() (*work, error) {
	if err := v.r.ParseForm(); err != nil {
		return nil, misread(err)
	}
	sent := v.r.PostForm
	w := &work{visit: v, plugin: sent.Get(inputPlugin), name: sent.Get(inputName), sent: sent}
	if id := sent.Get(inputDraft); id != "" {
		if err := w.find(id); err != nil {
			return nil, err
		}
		change, err := w.changed(edit(w.conn.Descriptor(), sent))
		if err != nil {
			return w, err
		}
		return w, w.draft.Amend(v.r.Context(), host.Edit{Settings: change})
	}
	if err := w.load(); err != nil {
		return nil, err
	}
	settings := edit(w.conn.Descriptor(), sent)
	for name, value := range settings {
		if value == nil {
			delete(settings, name)
		}
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	w.draft, err = v.tenant.Draft(v.r.Context(), w.conn, raw, host.DraftOptions{Plugin: w.plugin})
	return w, err
}

// changed leaves out what the draft has already, so that an environment
// overrides only what differs.
func (w *work) changed(given descriptor.Settings) (descriptor.Settings, error) {
	stored, _, err := w.draft.Settings(w.r.Context())
	if err != nil {
		return nil, err
	}
	stored = w.conn.Descriptor().WithDefaults(stored)
	maps.DeleteFunc(given, func(name string, value any) bool {
		f, _ := w.conn.Descriptor().Field(name)
		return !f.Secret && value == stored[name]
	})
	return given, nil
}

// page is the draft's address, with the name that isn't kept yet.
func (w *work) page() string {
	address := w.path("drafts", w.draft.ID())
	if w.name != "" {
		address += "?" + url.Values{inputName: {w.name}}.Encode()
	}
	return address
}

// kept is what a script learns of a draft.
func (w *work) kept() (map[string]any, error) {
	_, secrets, err := w.draft.Settings(w.r.Context())
	return map[string]any{"draft": w.draft.ID(), "page": w.page(), "stored": secrets}, err
}

// refuse tells what is wrong with a form: at its fields if it is about them.
func (w *work) refuse(err error) error {
	invalid, ok := errors.AsType[*host.InvalidSettings](err)
	if w == nil || !ok {
		return err
	}
	return w.tell(tellOf(w.conn.Descriptor(), invalid.Problems))
}

// tell answers a form with problems.
func (w *work) tell(problems []told) error {
	if !wantsJSON(w.r) {
		return w.draw(http.StatusUnprocessableEntity, problems)
	}
	answer := map[string]any{}
	if w.draft != nil {
		var err error
		if answer, err = w.kept(); err != nil {
			return err
		}
	}
	answer["problems"] = problems
	answerJSON(w.w, http.StatusUnprocessableEntity, answer)
	return nil
}

// draw shows the form.
func (w *work) draw(status int, problems []told) error {
	ctx := w.r.Context()
	d := w.conn.Descriptor()
	description := w.conn.Description()
	f := form{
		Connector: d.Title(), Plugin: w.plugin, Name: w.name, Back: w.path(), Callback: w.redirectURI(w.who.Owner),
		Paths: formPaths{
			Keep: w.path("form", "keep"), Generate: w.path("form", "generate"), Test: w.path("form", "test"),
			Save: w.path("form", "save"), Discard: w.path("form", "discard"), Connections: w.path("connections"),
		},
		Signs: description.Has(connector.CapabilityAuthorize), Runtimes: w.runtimes(ctx),
		NameProblem: problemAt(problems, inputName), OverrideProblem: problemAt(problems, inputOverride),
	}
	s := source{d: d, problems: problems, callback: f.Callback}
	if w.draft != nil {
		var err error
		if f.Info, err = w.draft.Info(ctx); err != nil {
			return err
		}
		if s.settings, s.secrets, err = w.draft.Settings(ctx); err != nil {
			return err
		}
	}
	if w.sent != nil { // what was typed, except for secrets
		s.settings = d.Redact(d.MergeEdit(s.settings, edit(d, w.sent)))
	}
	f.State = stateOf(f.Info)
	f.Tabs = s.tabs()
	f.Generate = f.Signs && !slices.ContainsFunc(d.Fields(), isGenerate)
	for _, p := range problems {
		if p.Field == "" {
			f.Problems = append(f.Problems, p)
		}
	}
	title := "New connection"
	if base := f.Info.Base; base != "" {
		name, err := w.nameOf(base)
		if err != nil {
			return err
		}
		if title, f.Back = "Edit "+name, w.path("connections", base); f.Name == "" {
			f.Name = name
		}
	}
	if f.Connector == "" {
		f.Connector = description.ID
	}
	return w.show(w.w, status, "form.html", w.handler.page(title, f))
}

// nameOf is a saved connection's name.
func (v *visit) nameOf(id string) (string, error) {
	c, err := v.tenant.ConnectionByID(v.r.Context(), id)
	if err != nil {
		return "", err
	}
	i, err := c.Info(v.r.Context())
	return i.Name, err
}
