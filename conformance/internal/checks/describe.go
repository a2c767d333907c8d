package checks

import (
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/descriptor"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

var (
	connectorID = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	checkID     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// describeChecks judge what a connector says about itself.
func describeChecks() []*check.Check {
	const need = check.Description
	return []*check.Check{
		{
			ID: "describe.stable", Level: check.Must, Clauses: []string{"S-1"},
			Title: "Describe gives the same answer each time, in each process.",
			Run: func(t *check.T) {
				var first *connectorv1.DescribeResponse
				for range 2 {
					c := t.Start()
					for range 2 {
						d, err := c.Describe(t.Call(), &connectorv1.DescribeRequest{})
						if err != nil {
							t.Fatalf("Describe fails: %s", check.Brief(err))
						}
						if first == nil {
							first = d
						}
						if !proto.Equal(first, d) {
							t.Errorf("two answers differ")
						}
					}
				}
			},
		},
		{
			ID: "describe.offline", Level: check.Must, Clauses: []string{"S-1"}, Needs: need | check.Peer,
			Title: "Describe makes no traffic.",
			Run: func(t *check.T) {
				w := t.Watch()
				c := t.Start(w.Environment())
				_, _ = c.Describe(t.Call(), &connectorv1.DescribeRequest{})
				w.NoTraffic("Describe")
			},
		},
		{
			ID: "describe.id", Level: check.Must, Clauses: []string{"S-2"}, Needs: need,
			Title: "The id has the form that hosts name things by.",
			Run: func(t *check.T) {
				if id := t.Described().GetId(); len(id) > 64 || !connectorID.MatchString(id) {
					t.Errorf("the id is %q", short(id))
				}
			},
		},
		{
			ID: "describe.names", Level: check.Must, Clauses: []string{"S-3"}, Needs: need,
			Title: "Title and version aren't empty, and there is a way to sign in.",
			Run: func(t *check.T) {
				d := t.Described()
				if strings.TrimSpace(d.GetTitle()) == "" {
					t.Errorf("the title is empty")
				}
				if strings.TrimSpace(d.GetVersion()) == "" {
					t.Errorf("the version is empty")
				}
				if len(d.GetSignIns()) == 0 || slices.Contains(d.GetSignIns(), 0) {
					t.Errorf("the sign-ins are %v", d.GetSignIns())
				}
			},
		},
		{
			ID: "describe.descriptor", Level: check.Must, Clauses: []string{"S-4"}, Needs: need,
			Title: "Schema and layout follow the subset without an error of its linter.",
			Run: func(t *check.T) {
				d := t.Described()
				for _, f := range descriptor.Lint(d.GetSchema(), d.GetLayout()) {
					if strings.EqualFold(string(f.Severity), "error") {
						t.Errorf("%s", short(f.String()))
					}
				}
			},
		},
		{
			ID: "describe.contract-version", Level: check.Must, Clauses: []string{"V-1"}, Needs: need | check.Process,
			Title: "contract_version is the version of the handshake line.",
			Run: func(t *check.T) {
				c := t.Start()
				d, err := c.Describe(t.Call(), &connectorv1.DescribeRequest{})
				if err != nil {
					t.Blockf("Describe fails: %s", check.Brief(err))
				}
				if int(d.GetContractVersion()) != c.Process.Line.Version {
					t.Errorf("it says %d, the line %d", d.GetContractVersion(), c.Process.Line.Version)
				}
			},
		},
		{
			ID: "describe.authorize", Level: check.Must, Clauses: []string{"V-6"}, Needs: need,
			Title: "CAPABILITY_AUTHORIZE goes with SIGN_IN_AUTHORIZATION_CODE.",
			Run: func(t *check.T) {
				if t.Declares(connectorv1.Capability_CAPABILITY_AUTHORIZE) != t.SignsIn() {
					d := t.Described()
					t.Errorf("capabilities %v with sign-ins %v", d.GetCapabilities(), d.GetSignIns())
				}
			},
		},
		{
			ID: "describe.formats", Level: check.Must, Clauses: []string{"V-7"}, Needs: need,
			Title: "A build that writes a format reads it and the one before.",
			Run: func(t *check.T) {
				d := t.Described()
				if w := d.GetCredentialWrites(); w > 1 && !slices.Contains(d.GetCredentialReads(), w-1) {
					t.Errorf("it writes format %d and reads %v", w, d.GetCredentialReads())
				}
			},
		},
		{
			ID: "describe.checks", Level: check.Must, Clauses: []string{"T-2"}, Needs: need,
			Title: "At most 256 checks are declared, each with an id of its own and earlier parents.",
			Run: func(t *check.T) {
				var seen []string
				for _, c := range t.Described().GetChecks() {
					if !checkID.MatchString(c.GetId()) || slices.Contains(seen, c.GetId()) {
						t.Errorf("the check id %q isn't one, or is there twice", short(c.GetId()))
					}
					for _, parent := range c.GetDependsOn() {
						if !slices.Contains(seen, parent) {
							t.Errorf("check %s depends on %q, which isn't an earlier one", c.GetId(), short(parent))
						}
					}
					seen = append(seen, c.GetId())
				}
				if len(seen) > 256 {
					t.Errorf("%d checks are declared", len(seen))
				}
			},
		},
	}
}
