package pgstore

import (
	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
)

// SelectDue is the statement of Due, with its limit as $1.
const SelectDue = selectDue

// ListQuery is the statement of List.
func ListQuery(q store.Query) (string, pgx.NamedArgs) { return listQuery(q) }

// UpdateArguments encodes a record.
func UpdateArguments(r *store.Record) (pgx.NamedArgs, error) {
	b, err := encode(r)
	if err != nil {
		return nil, err
	}
	return b.arguments(r), nil
}
