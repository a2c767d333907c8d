// Package connector holds the words of the connector contract as plain Go
// types: what a connection can reach ([Access]), what keeps it alive
// ([Credential]), whose it is ([Account]), what a test found ([Check]) and
// what went wrong and who can mend it ([Diagnostic]).
//
// The types carry no transport. Package protoconv turns them into the
// messages of integration.connector.v1 and back; CONTRACT.md beside those
// messages states what each side must hold.
//
// Values are plain data: safe to copy, and safe to read from several
// goroutines as long as none writes. [Access] is shared by pointer and must
// not be changed after it was handed out.
package connector
