package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// endpointEntry is an entry of the emulator's evidence that names an endpoint,
// and not an aspect of one.
var endpointEntry = regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /[^ :]*$`)

// fromFile is the grade of what the emulator says to have from Box's file.
const fromFile = "SPEC"

// entry and row are what the emulator says of itself.
type (
	entry struct {
		ID    string `json:"id"`
		Grade string `json:"grade"`
	}
	row struct {
		Name    string `json:"name"`
		Surface string `json:"surface"`
		Status  int    `json:"status"`
		Grade   string `json:"grade"`
	}
)

// examine makes all calls, and serves every row of the catalogue. An error
// means that the run came to no end.
func examine(ctx context.Context, sim *boxsim, doc *document, all []call) (*report, error) {
	rep := &report{notes: doc.notes, evidence: map[string]string{}}
	if err := rep.coverage(ctx, sim, all); err != nil {
		return nil, err
	}
	s := &session{sim: sim, doc: doc}
	for _, c := range all {
		r, err := c.make(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.title, err)
		}
		rep.success = append(rep.success, rep.judge(doc, c, r))
	}
	if err := rep.catalogue(ctx, s); err != nil {
		return nil, err
	}
	if err := rep.refusals(ctx, s, refusalCalls()); err != nil {
		return nil, err
	}
	if rep.checked == 0 {
		rep.problems = append(rep.problems, "nothing was checked")
	}
	return rep, nil
}

// coverage looks whether every endpoint that the emulator lists has a call.
func (rep *report) coverage(ctx context.Context, sim *boxsim, all []call) error {
	covered := map[string]bool{}
	for _, c := range all {
		covered[c.endpoint] = true
	}
	var entries []entry
	if err := sim.control(ctx, http.MethodGet, "/evidence", nil, &entries); err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, e := range entries {
		rep.evidence[e.ID] = e.Grade
		if endpointEntry.MatchString(e.ID) {
			listed[e.ID] = true
			if !covered[e.ID] {
				rep.problems = append(rep.problems, e.ID+": the emulator has this endpoint, and no call checks it")
			}
		}
	}
	for endpoint := range covered {
		if !listed[endpoint] {
			rep.problems = append(rep.problems, endpoint+": a call is for this endpoint, and the emulator doesn't list it")
		}
	}
	return nil
}

// judge holds the answer to a success call against the file.
func (rep *report) judge(doc *document, c call, r *reply) finding {
	f := finding{name: c.title, where: c.endpoint, status: r.status}
	if !isSuccess(r.status) {
		f.differs = append(f.differs, "that is no success")
		return f
	}
	if reason, ok := outside[c.endpoint]; ok && doc.operation(c.endpoint) == nil {
		f.where += " (not in the file: " + reason + ")"
	} else {
		if doc.operation(c.endpoint) != nil {
			rep.checked++
		}
		f.differs = doc.success(c.endpoint, r)
		if c.also != "" && doc.operation(c.also) != nil {
			f.differs = append(f.differs, doc.success(c.also, r)...)
		}
	}
	f.differs, f.known = rep.onPurpose(c, f.differs)
	if c.empty && len(r.body) > 0 {
		f.differs = append(f.differs, "there is a body")
	}
	if len(c.holds) > 0 {
		var body map[string]json.RawMessage
		if json.Unmarshal(r.body, &body) != nil {
			f.differs = append(f.differs, "the body isn't a JSON object")
		}
		for _, name := range c.holds {
			if _, ok := body[name]; !ok {
				f.differs = append(f.differs, "/"+name+": it isn't there")
			}
		}
	}
	return f
}

// onPurpose takes out the differences that the emulator has evidence for,
// other than the file itself.
func (rep *report) onPurpose(c call, differs []string) (left, known []string) {
	for _, d := range differs {
		entry := c.known[d]
		if grade := rep.evidence[entry]; grade == "" || grade == fromFile {
			left = append(left, d)
		} else {
			known = append(known, fmt.Sprintf("%s  %s: %s", grade, d, entry))
		}
	}
	return left, known
}

// catalogue serves each row at the endpoint that it belongs to. A row may
// differ from the file, unless its grade says that it is from the file.
func (rep *report) catalogue(ctx context.Context, s *session) error {
	var rows []row
	if err := s.sim.control(ctx, http.MethodGet, "/catalogue", nil, &rows); err != nil {
		return err
	}
	for _, row := range rows {
		endpoint, address := getMe, s.sim.BaseURL+"/2.0/users/me"
		switch row.Surface {
		case "token":
			endpoint, address = postToken, s.sim.BaseURL+"/oauth2/token"
		case "content":
			endpoint, address = postUpload, s.sim.UploadURL+"/files/content"
		case "authorize":
			endpoint, address = getAuthorize, s.sim.AuthorizeURL
		}
		method, path, _ := strings.Cut(endpoint, " ")
		if err := s.sim.control(ctx, http.MethodPost, "/faults", map[string]any{
			"match": map[string]string{"method": method, "path": path}, "then": map[string]string{"row": row.Name},
		}, nil); err != nil {
			return err
		}
		r, err := s.sim.send(ctx, method, address, "", "", nil)
		if err != nil {
			return fmt.Errorf("%s: %w", row.Name, err)
		}
		if r.status != row.Status {
			rep.problems = append(rep.problems, fmt.Sprintf("%s: the emulator answers %d and lists %d", row.Name, r.status, row.Status))
		}
		f := finding{name: row.Name, where: endpoint, grade: row.Grade, status: r.status, differs: s.doc.failure(endpoint, r)}
		if row.Grade == fromFile && len(f.differs) > 0 {
			rep.problems = append(rep.problems, row.Name+": its grade says that it is from the file, and it differs")
		}
		rep.failures = append(rep.failures, f)
	}
	return nil
}
