package demo

import (
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// envWatched says that standard input is a pipe whose other end the parent holds.
const envWatched = "TRADER_DEMO_CHILD"

// orphanMax is how long a process has to end in order whose parent is gone.
const orphanMax = 3 * time.Second

// WatchParent ends the process when the [Demo] that has started it is gone. It does
// nothing in one that was started by hand. A main function begins with it.
func WatchParent() {
	if os.Getenv(envWatched) == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Signal(syscall.SIGTERM) // a mongod has to be ended, too
		}
		<-time.After(orphanMax)
		os.Exit(1)
	}()
}

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it is gone
	err    error         // why; to be read after that
	ended  time.Time     // to be read after that
	began  time.Time
}

// start runs a program in the background, with its output appended to a file. The child
// ends with this process, whatever ends it: it watches a pipe, as [WatchParent] says, and
// on Linux the kernel kills it. The kernel does so when the thread ends that has forked the
// child (prctl(2), PR_SET_PDEATHSIG), so one goroutine keeps its thread until the child
// is gone. It is in a process group of its own: Ctrl-C reaches the parent alone, which ends
// the children in order.
func start(path string, args, env []string, watched bool, log *os.File) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), exited: make(chan struct{}), began: time.Now()} //nolint:noctx // it outlives the call
	p.cmd.Env = append(childEnvironment(os.Environ(), watched), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = attributes()
	if watched {
		if _, err := p.cmd.StdinPipe(); err != nil { // closed when the child, or this process, ends
			return nil, err
		}
	}
	started := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			p.ended = time.Now()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// childEnvironment leaves out what would configure nodes besides their flags.
func childEnvironment(all []string, watched bool) []string {
	var env []string
	for _, one := range all {
		if strings.HasPrefix(one, "GANGLION_") && !strings.HasPrefix(one, "GANGLION_MONGOD=") || strings.HasPrefix(one, envWatched+"=") || strings.HasPrefix(one, envEgress+"=") {
			continue
		}
		env = append(env, one)
	}
	if watched {
		env = append(env, envWatched+"=1")
	}
	return env
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// end asks the process to end in order, and ends it when it has not, after some time or
// when cut is closed. One that is paused goes on for that.
func (p *process) end(patience time.Duration, cut <-chan struct{}) {
	_ = p.resume()                                    // it is gone, or does not know pauses
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil { // gone, or a system without signals
		patience = 0
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
		return
	case <-timer.C:
	case <-cut:
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// endAll ends processes at the same time.
func endAll(all []*part, cut <-chan struct{}) {
	var ends sync.WaitGroup
	for _, one := range all {
		ends.Go(func() { one.stop(endMax, cut) })
	}
	ends.Wait()
}
