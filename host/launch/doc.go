// Package launch runs plugin binaries and keeps the host safe from them.
//
// A [Launcher] loads a binary once: it looks at what the path leads to, takes
// the file's digest while copying it to a private place, and compares the
// digest with the one that is trusted before anything is executed. The
// resulting [Plugin] is a grpc.ClientConnInterface: the generated clients
// work on it. Its process is started by the first call, stays warm, and is
// started again after a crash, with a growing delay and a limit. Each run of
// the process is an [Incarnation]; a call is pinned to one and never repeated.
//
// The transport is HashiCorp's go-plugin with mutual TLS over a Unix socket.
// The process runs in a group of its own with an environment from a short
// list, in a private working folder, and is tied to the host's life: by the
// death pipe that package handshake names, which plugins are asked to watch,
// and on Linux by the kernel too. Whatever it prints is bounded, cleaned and
// logged. Nothing that it prints, answers or fails to answer can stop or
// block its host for longer than a time-out.
//
// Errors are *connector.Diagnostic values, except for the status errors that
// a plugin's own handlers return: these pass through as they are, for the
// caller to convert.
//
// On Windows the package builds and runs with less: processes have neither a
// death pipe nor a group, and only the plugin's own process is killed.
package launch
