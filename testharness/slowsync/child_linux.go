package slowsync

import (
	"fmt"
	"net"
	"os"
	goruntime "runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// envBinary holds the program that a process is to become.
	envBinary = "GANGLION_TESTHARNESS_SLOWSYNC"
	// envAddress holds where the process sends its filter.
	envAddress = "GANGLION_TESTHARNESS_SLOWSYNC_ADDRESS"
)

// RunChild makes the process the program under test if this package has started it for
// that. It returns false at once in any other process, and else not at all.
func RunChild() bool {
	binary := os.Getenv(envBinary)
	if binary == "" {
		return false
	}
	err := become(binary, os.Getenv(envAddress))
	fmt.Fprintln(os.Stderr, "slowsync:", err)
	os.Exit(1)
	return true
}

// become installs the filter and replaces the process. The filter is that of the thread,
// and the thread that replaces the process is the one that lives on.
func become(binary, address string) error {
	goruntime.LockOSThread()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return err
	}
	filter, err := install()
	if err != nil {
		return fmt.Errorf("install filter: %w", err)
	}
	if _, _, err := conn.WriteMsgUnix([]byte{0}, unix.UnixRights(filter), nil); err != nil {
		return fmt.Errorf("send filter: %w", err)
	}
	if err := conn.Close(); err != nil {
		return err
	}
	for _, name := range []string{envBinary, envAddress} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return unix.Exec(binary, append([]string{binary}, os.Args[1:]...), os.Environ())
}

// install has this thread's syncs wait for the test, and returns the descriptor by which
// it is notified of them. A call that the test has seen is interrupted by no signal but
// the last: Go's runtime sends many.
func install() (int, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	code := program()
	filter := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&filter)))
	goruntime.KeepAlive(code)
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// Offsets in struct seccomp_data.
const (
	offsetNumber = 0
	offsetFlags  = 16 + 2*8 // the third argument, its lower half: of openat the flags
)

// program is the filter. A program of the same processor makes no call of another one,
// so that the number alone tells what is called.
func program() []unix.SockFilter {
	const load, equal, anyBit, end = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	return []unix.SockFilter{
		0: {Code: load, K: offsetNumber},
		1: {Code: equal, K: unix.SYS_FSYNC, Jt: 5},
		2: {Code: equal, K: unix.SYS_FDATASYNC, Jt: 4},
		3: {Code: equal, K: unix.SYS_OPENAT, Jf: 2},
		4: {Code: load, K: offsetFlags},
		5: {Code: anyBit, K: unix.O_DSYNC, Jt: 1}, // O_SYNC has this bit, too
		6: {Code: end, K: unix.SECCOMP_RET_ALLOW},
		7: {Code: end, K: unix.SECCOMP_RET_USER_NOTIF},
	}
}
