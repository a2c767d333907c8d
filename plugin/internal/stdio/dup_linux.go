package stdio

import "syscall"

// dup2 by another name, since some Linux ports lack the older call.
func dup2(from, to int) error { return syscall.Dup3(from, to, 0) }
