package web

import (
	"cmp"
	"context"
	"net/http"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

// signInState is what a page says about a connection's sign-in.
type signInState struct {
	// Kind is a word for the script: none, ready, again or mismatch.
	Kind string `json:"kind"`
	Text string `json:"text"`
	// Suggestion is what to do, or empty.
	Suggestion string `json:"suggestion,omitempty"`
	// Generation changes with each sign-in and renewal.
	Generation uint64 `json:"generation"`
	SignedInAt string `json:"signed_in_at,omitempty"`
	// Account and Other are those of a sign-in to another account than the
	// connection's.
	Account string `json:"account,omitempty"`
	Other   string `json:"other,omitempty"`
	// Keep and Use are both in short.
	Keep   string `json:"keep,omitempty"`
	Use    string `json:"use,omitempty"`
	Tested bool   `json:"tested"`
}

func stateOf(i host.Info) signInState {
	s := signInState{Generation: i.Generation, Tested: i.TestPassed}
	if !i.SignedInAt.IsZero() {
		s.SignedInAt = i.SignedInAt.UTC().Format("2006-01-02T15:04:05.000000000Z")
	}
	switch i.State {
	case host.StateReady:
		s.Kind, s.Text = "ready", readyText(i)
	case host.StateSignInAgain:
		s.Kind, s.Text = "again", "The sign-in has ended."
		if i.Err != nil {
			s.Text, s.Suggestion = i.Err.Summary, i.Err.Suggestion
		}
	default:
		s.Kind, s.Text = "none", "No access token yet."
	}
	if i.OtherAccount != nil && i.Account != nil {
		s.Kind, s.Account, s.Other = "mismatch", accountName(i.Account), accountName(i.OtherAccount)
		s.Keep, s.Use = shortName(i.Account), shortName(i.OtherAccount)
	}
	return s
}

func readyText(i host.Info) string {
	text := "Access token received and generated"
	if i.Account != nil {
		text += " for " + accountName(i.Account)
	}
	if !i.SignedInAt.IsZero() {
		text += " on " + i.SignedInAt.UTC().Format(minute)
	}
	text += "."
	if !i.LapsesAt.IsZero() {
		text += " The sign-in holds until " + i.LapsesAt.UTC().Format(day) + " and longer if it is used."
	}
	return text
}

// shortName is an account's login, or its ID.
func shortName(a *connector.Account) string { return cmp.Or(a.Login, a.ID) }

// accountName names an account for people.
func accountName(a *connector.Account) string {
	if a == nil {
		return ""
	}
	name := shortName(a)
	if a.Name != "" {
		name = a.Name + " (" + name + ")"
	}
	if a.EnterpriseName != "" {
		name += " of " + a.EnterpriseName
	}
	return name
}

// state answers a script that waits for a sign-in's end.
func (p *handler) state(v *visit) error {
	c, err := v.tenant.ConnectionByID(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	i, err := c.Info(v.r.Context())
	if err != nil {
		return err
	}
	answerJSON(v.w, http.StatusOK, stateOf(i))
	return nil
}

// runtimes are the owner's, or nil where a store keeps none.
func (v *visit) runtimes(ctx context.Context) []host.Runtime {
	list, err := v.tenant.Runtimes(ctx)
	if err != nil {
		return nil
	}
	return list
}
