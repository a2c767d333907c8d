package web

import (
	"net/http"
	"net/url"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/proto/connector"
)

// maxEvents is how many of the latest events the audit view shows.
const maxEvents = 200

// listed is a connection in the list.
type listed struct {
	host.Info
	Page  string
	State signInState
}

type listPage struct {
	Connections []listed
	Choices     []choice
}

type choice struct{ Title, Page string }

// list shows the connections.
func (p *handler) list(v *visit) error {
	infos, err := v.tenant.List(v.r.Context())
	if err != nil {
		return err
	}
	var body listPage
	for _, i := range infos {
		body.Connections = append(body.Connections, listed{i, p.path("connections", i.ID), stateOf(i)})
	}
	for _, c := range p.opts.Choices {
		title := c.Title
		if title == "" {
			title = c.Plugin
		}
		body.Choices = append(body.Choices, choice{title, p.path("new") + "?" + url.Values{inputPlugin: {c.Plugin}}.Encode()})
	}
	return p.show(v.w, http.StatusOK, "list.html", p.page("Connections", body))
}

type connectionPage struct {
	Info      host.Info
	Connector string
	Signs     bool
	Saved     bool
	State     signInState
	Runtimes  []host.Runtime
	Callback  string
	Here      string // the address of this page
}

// connection shows one connection, or the form if it is a draft.
func (p *handler) connection(v *visit) error {
	c, i, err := v.saved()
	if err != nil {
		return err
	}
	if i.Draft {
		http.Redirect(v.w, v.r, p.path("drafts", c.ID()), http.StatusSeeOther)
		return nil
	}
	conn, err := c.Connector()
	if err != nil {
		return err
	}
	description := conn.Description()
	body := connectionPage{
		Info: i, Connector: conn.Descriptor().Title(), Signs: description.Has(connector.CapabilityAuthorize),
		Saved: v.r.URL.Query().Has("saved"), State: stateOf(i), Runtimes: v.runtimes(v.r.Context()),
		Callback: p.redirectURI(v.who.Owner), Here: p.path("connections", c.ID()),
	}
	return p.show(v.w, http.StatusOK, "connection.html", p.page(i.Name, body))
}

// saved is the connection that the path names.
func (v *visit) saved() (*host.Connection, host.Info, error) {
	c, err := v.tenant.ConnectionByID(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return nil, host.Info{}, err
	}
	i, err := c.Info(v.r.Context())
	return c, i, err
}

// edit makes a draft that changes a connection.
func (p *handler) edit(v *visit) error {
	c, _, err := v.saved()
	if err != nil {
		return err
	}
	draft, err := c.Edit(v.r.Context(), host.Edit{})
	if err != nil {
		return err
	}
	http.Redirect(v.w, v.r, p.path("drafts", draft.ID()), http.StatusSeeOther)
	return nil
}

// signInAgain begins a sign-in on the connection itself.
func (p *handler) signInAgain(v *visit) error {
	c, _, err := v.saved()
	if err != nil {
		return err
	}
	s, err := v.begin(c)
	if err != nil {
		return err
	}
	if wantsJSON(v.r) {
		answerJSON(v.w, http.StatusOK, map[string]any{"sign_in": s})
		return nil
	}
	return v.sendAway(s)
}

// account decides on a sign-in to another account. The draft of a saved
// connection can't change whose that one is.
func (p *handler) account(v *visit) error {
	c, i, err := v.saved()
	if err != nil {
		return err
	}
	if err := v.r.ParseForm(); err != nil {
		return misread(err)
	}
	switch decision := v.r.PostForm.Get("decision"); {
	case decision == "confirm" && i.Base != "":
		err = connector.Errorf(connector.UsageWrong, connector.OriginHost, "An edit can't give the connection to another account.").
			Suggest("Sign in again on the connection's own page, and confirm the account there.")
	case decision == "confirm":
		_, err = c.ConfirmAccount(v.r.Context())
	default:
		err = c.RejectAccount(v.r.Context())
	}
	if err != nil {
		return err
	}
	page := p.path("connections", c.ID())
	if i.Draft {
		page = (&work{visit: v, draft: c, name: v.r.PostForm.Get(inputName)}).page()
	}
	http.Redirect(v.w, v.r, page, http.StatusSeeOther)
	return nil
}

// testSaved tests a saved connection.
func (p *handler) testSaved(v *visit) error {
	c, _, err := v.saved()
	if err != nil {
		return err
	}
	if err := v.r.ParseForm(); err != nil {
		return misread(err)
	}
	return v.runTest(c, v.r.PostForm.Get(inputRuntime), p.path("connections", c.ID()), nil)
}

type deletePage struct{ Name, Here, Account string }

// confirmDelete asks before a connection is deleted.
func (p *handler) confirmDelete(v *visit) error {
	c, i, err := v.saved()
	if err != nil {
		return err
	}
	return p.show(v.w, http.StatusOK, "delete.html", p.page("Delete "+i.Name, deletePage{i.Name, p.path("connections", c.ID()), accountName(i.Account)}))
}

// delete deletes a connection and takes its grant back.
func (p *handler) delete(v *visit) error {
	c, _, err := v.saved()
	if err != nil {
		return err
	}
	if err := c.Delete(v.r.Context()); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, p.path(), http.StatusSeeOther)
	return nil
}

type auditPage struct {
	Events []audit.Event
	// Unreadable counts what can't be read.
	Unreadable int
	More       bool
}

// audit shows the owner's latest events, the newest first.
func (p *handler) audit(v *visit) error {
	if p.opts.Audit == nil {
		return connector.Errorf(connector.ConnectionNotFound, connector.OriginHost, "There is no audit view here.")
	}
	var (
		body   auditPage
		latest []audit.Event
	)
	for e, err := range p.opts.Audit(v.r.Context(), v.who.Owner) {
		if err != nil {
			body.Unreadable++
			continue
		}
		if latest = append(latest, e); len(latest) > 2*maxEvents {
			latest, body.More = append(latest[:0:0], latest[maxEvents:]...), true
		}
	}
	for i := len(latest) - 1; i >= 0; i-- {
		if len(body.Events) == maxEvents {
			body.More = true
			break
		}
		body.Events = append(body.Events, latest[i])
	}
	return p.show(v.w, http.StatusOK, "audit.html", p.page("Audit", body))
}

// Mismatch is the question which account the connection shall belong to.
func (c connectionPage) Mismatch() mismatch {
	return mismatch{State: c.State, Action: c.Here + "/account"}
}
