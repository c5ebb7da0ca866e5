//go:build unix

package child

import "syscall"

// Pause stops the child's execution until Resume (SIGSTOP).
func (p *Process) Pause() error { return p.os.Signal(syscall.SIGSTOP) }

// Resume lets a paused child go on (SIGCONT).
func (p *Process) Resume() error { return p.os.Signal(syscall.SIGCONT) }
