// Package handshake holds what a host and a plugin must agree on before the
// first call: the cookie, the contract's major versions, the names of the
// environment variables and the limits of messages. CONTRACT.md states each
// of them for authors who don't write Go.
package handshake

import "hash/crc32"

const (
	// CookieKey names the environment variable that tells a plugin binary that
	// a host started it. It is a courtesy to a person who runs the binary by
	// hand, not a protection.
	CookieKey = "INTEGRATION_CONNECTOR_PLUGIN"
	// CookieValue is the value of that variable.
	CookieValue = "9c1f7f6e-connector-v1"

	// Version is the contract's major version: the number that go-plugin
	// negotiates. Within it the contract grows by capabilities only.
	Version = 1

	// PluginName is the name under which go-plugin dispenses the connector.
	PluginName = "connector"

	// OperationsName is the name under which go-plugin dispenses operations.
	// Cookie and version are those of connectors: what tells the two apart is
	// the service that a plugin serves.
	OperationsName = "operations"

	// DeathFD names the environment variable that carries the number of an
	// inherited descriptor: the read end of a pipe that the host holds open as
	// long as it lives. A plugin ends itself when it reads the end of file. A
	// host that doesn't set it gets no watchdog.
	DeathFD = "CONNECTOR_DEATH_FD"

	// SocketDir names the folder, private to the plugin's process, that its
	// socket lives in. The name is go-plugin's.
	SocketDir = "PLUGIN_UNIX_SOCKET_DIR"
)

// Castagnoli is the polynomial of the CRC-32C that ends content, computed by
// the processor at 20 GB/s where SHA-256 may take as long as the transport.
func Castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Limits that both sides enforce.
const (
	// MaxMessageBytes bounds one gRPC message in either direction. It is
	// gRPC's own default for received messages, which other languages keep.
	MaxMessageBytes = 4 << 20

	// MaxStatusBytes bounds a serialised google.rpc.Status. Implementations in
	// other languages accept 8 KiB of trailing metadata, and the message
	// travels in it twice.
	MaxStatusBytes = 4 << 10

	// MaxSettingsBytes bounds the JSON settings of one connection.
	MaxSettingsBytes = 256 << 10

	// MaxCredentialBytes bounds a credential's opaque bytes.
	MaxCredentialBytes = 64 << 10

	// MaxPendingBytes bounds the pending blob of a sign-in.
	MaxPendingBytes = 16 << 10

	// MaxCallbackBytes bounds the callback URL of a sign-in.
	MaxCallbackBytes = 16 << 10

	// MaxOperations bounds the operations of one plugin.
	MaxOperations = 256

	// MaxSchemaBytes bounds the JSON Schema of an operation's documents.
	MaxSchemaBytes = 64 << 10

	// MaxDocumentBytes bounds the JSON of one document in either direction.
	MaxDocumentBytes = 1 << 20

	// MaxChunkBytes bounds one chunk of content in either direction.
	MaxChunkBytes = 1 << 20

	// MaxCheckpointBytes bounds the opaque bytes of a checkpoint.
	MaxCheckpointBytes = 64 << 10

	// MaxProperties bounds the properties of one document. Names and values
	// have at most 256 bytes.
	MaxProperties = 16

	// MaxQuestions bounds the questions in one message of the access stream.
	MaxQuestions = 256

	// MaxChecks bounds the checks that one connection test may stream.
	MaxChecks = 256
)
