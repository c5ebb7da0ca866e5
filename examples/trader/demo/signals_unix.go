//go:build unix

package demo

import "syscall"

// pause stops the process, as with Ctrl-Z: it keeps everything and does nothing.
func (p *process) pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// resume lets a paused process go on.
func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
