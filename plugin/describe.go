package plugin

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

var (
	connectorID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	checkID     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// checkDescription finds what an author got wrong in Describe, apart from the
// schema and the layout. The error is for the author.
func checkDescription(d *connector.Description) error {
	authorizes := slices.Contains(d.SignIns, connector.SignInAuthorizationCode)
	switch {
	case !connectorID.MatchString(d.ID):
		return fmt.Errorf("describe: ID %q isn't of the form [a-z][a-z0-9-]*", d.ID)
	case d.Title == "" || d.Version == "":
		return fmt.Errorf("describe: Title and Version must be given")
	case len(d.SignIns) == 0:
		return fmt.Errorf("describe: SignIns is empty")
	case authorizes != d.Has(connector.CapabilityAuthorize):
		return fmt.Errorf("describe: the sign-in %q and the interface Authorizer go together", connector.SignInAuthorizationCode)
	case len(d.Schema) == 0 || len(d.Layout) == 0:
		return fmt.Errorf("describe: Schema and Layout must be given")
	case d.CredentialWrites == 0 || !slices.Contains(d.CredentialReads, d.CredentialWrites):
		return fmt.Errorf("describe: CredentialReads must contain CredentialWrites, from 1 on")
	}
	return checkDeclarations(d.Checks)
}

func checkDeclarations(checks []connector.CheckDeclaration) error {
	if len(checks) > handshake.MaxChecks {
		return fmt.Errorf("describe: more than %d checks", handshake.MaxChecks)
	}
	seen := map[string]bool{}
	for _, c := range checks {
		switch {
		case !checkID.MatchString(c.ID):
			return fmt.Errorf("describe: check ID %q isn't of the form [a-z][a-z0-9_]*", c.ID)
		case seen[c.ID]:
			return fmt.Errorf("describe: check %q is declared twice", c.ID)
		case c.Title == "" || c.SideEffect == "":
			return fmt.Errorf("describe: check %q needs a title and a side effect", c.ID)
		}
		for _, parent := range c.DependsOn {
			if !seen[parent] {
				return fmt.Errorf("describe: check %q depends on %q, which isn't an earlier check", c.ID, parent)
			}
		}
		seen[c.ID] = true
	}
	return nil
}
