// Package integration holds the text of the contract between connectors and
// hosts, beside its messages in the folders below.
package integration

import _ "embed"

//go:embed CONTRACT.md
var contract string

// Contract returns CONTRACT.md, the numbered clauses.
func Contract() string { return contract }
