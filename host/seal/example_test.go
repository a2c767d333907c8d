package seal_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// An engine that keeps its keys elsewhere parses what it fetched from there.
func ExampleParse() {
	keyset, err := seal.NewKeyset()
	if err != nil {
		log.Fatal(err)
	}
	keyring, err := seal.Parse(keyset)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	mine := store.Key{Owner: "local", Connection: "c1", Environment: "default"}
	sealed, err := keyring.Seal(ctx, mine, store.FieldCredential, []byte("refresh token"))
	if err != nil {
		log.Fatal(err)
	}
	opened, err := keyring.Open(ctx, mine, store.FieldCredential, sealed)
	fmt.Println(string(opened), err)

	other := store.Key{Owner: "local", Connection: "c2", Environment: "default"}
	_, err = keyring.Open(ctx, other, store.FieldCredential, sealed)
	fmt.Println(errors.Is(err, connector.StoreDamaged))
	// Output:
	// refresh token <nil>
	// true
}
