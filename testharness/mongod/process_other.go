//go:build !linux

package mongod

import "syscall"

// attributes has nothing to offer here: a child outlives a parent that is killed
// before it could call [ReplicaSet.Close].
func attributes() *syscall.SysProcAttr { return nil }
