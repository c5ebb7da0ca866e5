package slowsync

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Syncs holds the syncs of the children that were started with its command.
type Syncs struct {
	children *net.UnixListener
	delay    atomic.Int64
	held     atomic.Int64
	done     chan struct{} // closed when the test ends
	running  sync.WaitGroup

	mu     sync.Mutex
	faults []error
}

// New returns syncs without a delay.
func New(t testing.TB) *Syncs {
	t.Helper()
	// An abstract address: it needs no file and ends with its listener.
	address := &net.UnixAddr{Name: "@ganglion-slowsync-" + rand.Text(), Net: "unix"}
	children, err := net.ListenUnix(address.Net, address)
	if err != nil {
		t.Fatalf("slowsync: %v", err)
	}
	s := &Syncs{children: children, done: make(chan struct{})}
	s.running.Go(s.accept)
	t.Cleanup(func() {
		close(s.done)
		_ = children.Close() // ends accept
		s.running.Wait()
		if err := errors.Join(s.faults...); err != nil {
			t.Errorf("slowsync: %v", err)
		}
	})
	return s
}

// Command returns what to run in the place of binary, with the same arguments, and what
// to add to its environment. The package's tests run under [testharness.Main].
func (s *Syncs) Command(t testing.TB, binary string) (wrapper string, env []string) {
	t.Helper()
	wrapper, err := os.Executable()
	if err != nil {
		t.Fatalf("slowsync: %v", err)
	}
	return wrapper, []string{envBinary + "=" + binary, envAddress + "=" + s.children.Addr().String()}
}

// Delay has every sync that begins from now on take at least d.
func (s *Syncs) Delay(d time.Duration) { s.delay.Store(int64(d)) }

// Held returns how many syncs were delayed.
func (s *Syncs) Held() int64 { return s.held.Load() }

// accept takes the filters of children.
func (s *Syncs) accept() {
	for {
		conn, err := s.children.AcceptUnix()
		if err != nil {
			return // closed
		}
		filter, err := receive(conn)
		if err = errors.Join(err, conn.Close()); err != nil {
			s.fail(err)
			continue
		}
		s.running.Go(func() { s.serve(filter) })
	}
}

func (s *Syncs) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, err)
}

// receive reads the one descriptor that a child sends.
func receive(conn *net.UnixConn) (int, error) {
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return 0, fmt.Errorf("read filter: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("read filter: %d messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("read filter: %d descriptors, %w", len(fds), err)
	}
	return fds[0], nil
}

// notification is struct seccomp_notif, and answer is struct seccomp_notif_resp.
type (
	notification struct {
		id   uint64
		pid  uint32
		_    uint32
		nr   int32
		arch uint32
		ip   uint64
		args [6]uint64
	}
	answer struct {
		id    uint64
		value int64
		err   int32
		flags uint32
	}
)

// letGoOn is SECCOMP_USER_NOTIF_FLAG_CONTINUE.
const letGoOn = 1

// pollEvery is how soon a child's filter is left when the test has ended before it.
const pollEvery = 200 * time.Millisecond

// serve answers for one child and its children until they are gone.
func (s *Syncs) serve(filter int) {
	var held sync.WaitGroup
	defer func() {
		held.Wait()
		_ = unix.Close(filter)
	}()
	for {
		select {
		case <-s.done:
			return
		default:
		}
		ready := []unix.PollFd{{Fd: int32(filter), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, int(pollEvery.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR) || n == 0:
			continue
		case err != nil:
			s.fail(fmt.Errorf("poll: %w", err))
			return
		case ready[0].Revents&unix.POLLIN == 0:
			return // the child is gone
		}
		call := notification{}
		switch err := control(filter, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&call)); {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT): // the caller is gone
		case err != nil:
			s.fail(fmt.Errorf("receive: %w", err))
			return
		default:
			held.Go(func() { s.hold(filter, call.id) })
		}
	}
}

// hold lets a call go on after the delay.
func (s *Syncs) hold(filter int, id uint64) {
	if d := time.Duration(s.delay.Load()); d > 0 {
		select {
		case <-s.done:
		case <-time.After(d):
			s.held.Add(1)
		}
	}
	a := answer{id: id, flags: letGoOn}
	if err := control(filter, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a)); err != nil && !errors.Is(err, unix.ENOENT) {
		s.fail(fmt.Errorf("let go on: %w", err))
	}
}

func control(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}
