//go:build !linux

package child

import "syscall"

// attributes has nothing to offer here: a child outlives a parent that is killed
// before it could end it.
func attributes() *syscall.SysProcAttr { return nil }
