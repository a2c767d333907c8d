//go:build !unix

package process

import "log/slog"

func restrictFiles() {}

// watchHost does nothing: inherited descriptors have no numbers here.
func watchHost(*slog.Logger) (stop func()) { return func() {} }
