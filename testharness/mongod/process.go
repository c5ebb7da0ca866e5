package mongod

import (
	"errors"
	"os"
	"os/exec"
	goruntime "runtime"
)

// process is one running child.
type process struct {
	os     *os.Process
	exited chan struct{} // closed when the child is gone and reaped
	state  error         // why it ended; read only after exited is closed
}

// startProcess runs a program with its output appended to a file. The child does
// not outlive this process (see attributes).
//
// On Linux that is the parent-death signal, which the kernel sends when the
// thread that forked ends, not the process. So one goroutine locks itself to its
// thread, forks, and keeps the thread until the child is gone: no other
// goroutine can make the thread end early.
func startProcess(binary string, args []string, logPath string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, fileMode)
	if err != nil {
		return nil, err
	}
	// The child outlives the call that starts it, hence no CommandContext.
	cmd := exec.Command(binary, args...) //nolint:noctx // see above
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()

	p := &process{exited: make(chan struct{})}
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

// kill ends the child at once, also a paused one, and waits until it is gone.
func (p *process) kill() {
	// The only failure is that it has ended already; the wait covers that.
	_ = p.os.Kill()
	<-p.exited
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}
