package pgstore

import (
	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
)

// SelectDue is the statement of Due, with its limit as $1.
const SelectDue = selectDue

// ListQuery is the statement of List.
func ListQuery(q store.Query) (string, pgx.NamedArgs) { return listQuery(q) }
