//go:build !linux

package demo

import "syscall"

// attributes has nothing to offer here: the pipe alone ties the child to its parent.
func attributes() *syscall.SysProcAttr { return nil }
