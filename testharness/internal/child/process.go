package child

import (
	"errors"
	"os"
	"os/exec"
	goruntime "runtime"
)

// Process is one running child.
type Process struct {
	os     *os.Process
	exited chan struct{} // closed when the child is gone and reaped
	state  error         // why it ended; read only after exited is closed
}

// Start runs a program with its output appended to a file; env is added to this
// process's environment. The child does not outlive this process.
//
// On Linux that is the parent-death signal, which the kernel sends when the
// thread that forked ends, not the process (prctl(2), PR_SET_PDEATHSIG). So one
// goroutine locks itself to its thread, forks, and keeps the thread until the
// child is gone: no other goroutine can make the thread end early.
func Start(binary string, args, env []string, logPath string) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	// The child outlives the call that starts it, hence no CommandContext.
	cmd := exec.Command(binary, args...) //nolint:noctx // see above
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()

	p := &Process{exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := cmd.Start()
		p.os = cmd.Process
		started <- err
		if err == nil {
			p.state = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := errors.Join(<-started, log.Close()); err != nil {
		return nil, err
	}
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.os.Pid }

// Kill ends the child at once, also a paused one, and waits until it is gone.
func (p *Process) Kill() {
	// The only failure is that it has ended already; the wait covers that.
	_ = p.os.Kill()
	<-p.exited
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.os.Signal(s) }

// Exited is closed when the child is gone.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// State returns why the child ended: nil for exit code 0. It waits for the end.
func (p *Process) State() error {
	<-p.exited
	return p.state
}

// Gone reports whether the child has ended.
func (p *Process) Gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}
