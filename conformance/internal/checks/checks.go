// Package checks is the catalogue: all checks, area by area.
package checks

import (
	"slices"
	"strings"

	"github.com/boxconnection/connector/conformance/internal/check"
)

// All returns the checks in the order of reports.
func All() []*check.Check {
	return slices.Concat(
		startChecks(),
		endingChecks(),
		transportChecks(),
		callChecks(),
		describeChecks(),
		versionChecks(),
		validateChecks(),
		authorizeChecks(),
		sessionChecks(),
		accessChecks(),
		credentialChecks(),
		serviceChecks(),
		testChecks(),
		errorChecks(),
		outputChecks(),
		networkChecks(),
	)
}

// ByID returns the check with an id, or nil.
func ByID(id string) *check.Check {
	for _, c := range All() {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// short is a text's beginning, for messages.
func short(text string) string {
	const shown = 160
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > shown {
		return text[:shown] + "…"
	}
	return text
}
