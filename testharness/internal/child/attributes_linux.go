package child

import "syscall"

// attributes ties the child's life to the parent's, and puts it into a process
// group of its own so that Ctrl-C in a terminal reaches the parent alone, which
// can then finish its work against a living child.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
