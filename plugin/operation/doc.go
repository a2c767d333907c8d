// Package operation is the SDK for operations that work over a connection:
// declare each [Operation] and call [Main] from main.
//
//	func main() {
//		operation.Main(operation.Plugin{
//			ID: "box-folders", Title: "Box folders", Version: version, Connector: "box",
//			Operations: operation.Set{{
//				ID: "get-folder", Title: "Get folder", Effect: operation.Read, Scopes: []string{"root_readonly"},
//				Run: operation.Func(getFolder),
//			}},
//		})
//	}
//
//	func getFolder(ctx context.Context, s *operation.Session, in *Input, out *Folder) error {
//		u := s.Endpoint("api").JoinPath("folders", in.FolderID)
//		…s.HTTPClient()…
//	}
//
// An operation never handles tokens, refusals of tokens or waits: its client
// does. The input is checked against the operation's schema, with all that is
// wrong at once, before it runs.
//
// An error that is or wraps a *connector.Diagnostic reaches the host as it is.
// Any other error, and a panic, becomes connector.Internal without its text,
// which may hold what nobody should read; of errors of [net/http], what they
// say of the way to the service is kept. A diagnostic of origin service
// without a disposition is the application's refusal of this input: where the
// engine asked for it, it becomes an output document instead of a failure.
//
// Several executions run at once. Log with log/slog; standard output is free
// to print to. Never log tokens or documents.
package operation
