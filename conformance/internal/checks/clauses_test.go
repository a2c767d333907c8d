package checks

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/boxconnection/connector/conformance/internal/check"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Each MUST of the contract that can be seen from outside has a check.
func TestEachObservableClauseHasACheck(t *testing.T) {
	t.Parallel()
	all := All()
	if missing := Uncovered(all); len(missing) > 0 {
		t.Errorf("no check for %q", missing)
	}
	if n := len(Observable()); n < 100 {
		t.Errorf("the contract is read wrongly: %d clauses", n)
	}
	// The guard sees a clause without a check.
	without := slices.DeleteFunc(slices.Clone(all), func(c *check.Check) bool { return slices.Contains(c.Clauses, "O-9") })
	if missing := Uncovered(without); !slices.Equal(missing, []string{"O-9"}) {
		t.Errorf("without the check of O-9, %q are missing", missing)
	}
}

// What is said about clauses fits the contract.
func TestClausesAreTheContracts(t *testing.T) {
	t.Parallel()
	for _, letter := range connectorAreas {
		if sectionTitle(letter) == "" {
			t.Errorf("the contract has no section %s", letter)
		}
	}
	for id, reason := range unobservable {
		i := slices.IndexFunc(Clauses(), func(c Clause) bool { return c.ID == id })
		if i < 0 || !Clauses()[i].Must || reason == "" {
			t.Errorf("%s is no MUST of the contract, or has no reason", id)
		}
	}
	for _, c := range All() {
		for _, id := range c.Clauses {
			if ClauseText(id) == "" {
				t.Errorf("%s cites %s, which the contract doesn't have", c.ID, id)
			}
			if _, hidden := unobservable[id]; hidden {
				t.Errorf("%s cites %s, which is said to be invisible", c.ID, id)
			}
		}
	}
}

var idForm = regexp.MustCompile(`^[a-z]+\.[a-zA-Z0-9-]+$`)

func TestChecksAreWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range All() {
		if !idForm.MatchString(c.ID) || seen[c.ID] {
			t.Errorf("the id %q isn't one, or is there twice", c.ID)
		}
		seen[c.ID] = true
		if c.Run == nil || len(c.Clauses) == 0 || !strings.HasSuffix(c.Title, ".") || (c.Level != check.Must && c.Level != check.Should) {
			t.Errorf("%s isn't whole", c.ID)
		}
		if c.Capability != 0 && c.Needs&check.Description == 0 {
			t.Errorf("%s asks for a capability without the description", c.ID)
		}
	}
}

// The page in the project is what the suite says of itself.
func TestPageIsFresh(t *testing.T) {
	t.Parallel()
	have, err := os.ReadFile("../../CHECKS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != Page() {
		t.Error("CHECKS.md is stale: run make catalogue")
	}
}

// The ids that have been published don't go away.
func TestIDsAreFrozen(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/ids.txt")
	if err != nil {
		t.Fatal(err)
	}
	for id := range strings.FieldsSeq(string(data)) {
		if ByID(id) == nil {
			t.Errorf("the check %s is gone", id)
		}
	}
}

// The table of codes is read as the contract has it.
func TestCodesOfTheContract(t *testing.T) {
	t.Parallel()
	table := statusCodes()
	for code, want := range map[connectorv1.Code]codes.Code{
		connectorv1.Code_CODE_CANCELED: codes.Canceled, connectorv1.Code_CODE_SETTING_REQUIRED: codes.InvalidArgument,
		connectorv1.Code_CODE_TLS_FAILED: codes.FailedPrecondition, connectorv1.Code_CODE_INTERNAL: codes.Internal,
	} {
		if got, ok := table[code]; !ok || got != want {
			t.Errorf("%s: %s", code, got)
		}
	}
	if _, known := table[0]; known || len(table) < 40 {
		t.Errorf("%d codes", len(table))
	}
}
