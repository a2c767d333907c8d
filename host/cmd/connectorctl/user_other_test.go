//go:build !unix

package main_test

import "errors"

func (w *world) dropRights() error { return errors.ErrUnsupported }
