package demo

import "syscall"

// attributes ties the child's life to that of the thread that forks it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
