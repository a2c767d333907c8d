package web

import (
	"context"
	"iter"
	"net/http"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

func isGenerate(f descriptor.Field) bool { return f.Action == "generate" }

// keep keeps the values without doing more.
func (p *handler) keep(v *visit) error {
	w, err := v.receive()
	if err != nil {
		return w.refuse(err)
	}
	return w.answerKept(nil)
}

// answerKept answers with the draft's page, or with what a script needs.
func (w *work) answerKept(more map[string]any) error {
	if !wantsJSON(w.r) {
		http.Redirect(w.w, w.r, w.page(), http.StatusSeeOther)
		return nil
	}
	answer, err := w.kept()
	if err != nil {
		return err
	}
	for name, value := range more {
		answer[name] = value
	}
	answerJSON(w.w, http.StatusOK, answer)
	return nil
}

// generate keeps the values and begins a sign-in.
func (p *handler) generate(v *visit) error {
	w, err := v.receive()
	if err != nil {
		return w.refuse(err)
	}
	s, err := w.begin(w.draft)
	if err != nil {
		return err
	}
	if wantsJSON(w.r) {
		return w.answerKept(map[string]any{"sign_in": s})
	}
	return w.sendAway(s)
}

// test keeps the values and tests them.
func (p *handler) test(v *visit) error {
	w, err := v.receive()
	if err != nil {
		return w.refuse(err)
	}
	kept, err := w.kept()
	if err != nil {
		return err
	}
	return w.runTest(w.draft, w.sent.Get(inputRuntime), w.page(), kept)
}

// save keeps the values and makes the draft a connection, if its test has
// passed or the person does without.
func (p *handler) save(v *visit) error {
	w, err := v.receive()
	if err != nil {
		return w.refuse(err)
	}
	ctx := v.r.Context()
	i, err := w.draft.Info(ctx)
	if err != nil {
		return err
	}
	if !i.TestPassed && w.sent.Get(inputOverride) == "" {
		t := tell(connector.Errorf(connector.UsageWrong, connector.OriginHost, "These values haven't passed a test.").
			Suggest("Test the connection, or tick this to save it all the same."))
		t.Field = inputOverride
		return w.tell([]told{t})
	}
	if i.OtherAccount != nil {
		return w.tell([]told{tell(connector.Errorf(connector.AccountMismatch, connector.OriginHost, "A sign-in to another account waits to be decided.").
			Suggest("Decide which account the connection shall belong to, then save."))})
	}
	err = w.draft.Save(ctx, w.name)
	switch d := connector.Diagnose(err, connector.OriginHost); {
	case d == nil:
	case d.Code == connector.UsageWrong || d.Code == connector.ConnectionExists:
		t := tell(d)
		t.Field = inputName
		return w.tell([]told{t})
	default:
		return err
	}
	page := p.path("connections", w.draft.ID()) + "?saved=1"
	if wantsJSON(v.r) {
		answerJSON(v.w, http.StatusOK, map[string]any{"saved": page})
		return nil
	}
	http.Redirect(v.w, v.r, page, http.StatusSeeOther)
	return nil
}

// discard ends the draft, if there is one.
func (p *handler) discard(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return misread(err)
	}
	back := p.path()
	if id := v.r.PostForm.Get(inputDraft); id != "" {
		w := &work{visit: v}
		if err := w.find(id); err != nil {
			return err
		}
		i, err := w.draft.Info(v.r.Context())
		if err != nil {
			return err
		}
		if err := w.draft.Discard(v.r.Context()); err != nil {
			return err
		}
		if i.Base != "" {
			back = p.path("connections", i.Base)
		}
	}
	http.Redirect(v.w, v.r, back, http.StatusSeeOther)
	return nil
}

// testOf is the test of a connection on a runtime, or here if it names none.
func testOf(ctx context.Context, c *host.Connection, runtime string) iter.Seq2[connector.Check, error] {
	if runtime != "" {
		return c.TestOn(ctx, runtime, host.TestOptions{})
	}
	return c.Test(ctx, host.TestOptions{})
}
