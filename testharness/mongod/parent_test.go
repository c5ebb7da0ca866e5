package mongod_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// envChildDir makes this test binary a parent of a mongod and nothing else.
const envChildDir = "GANGLION_TEST_MONGOD_CHILD_DIR"

func TestReplicaSet_DiesWithParent(t *testing.T) {
	t.Parallel()
	if goruntime.GOOS != "linux" {
		t.Skip("only Linux has a parent-death signal")
	}
	requireMongod(t)
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), envChildDir+"="+t.TempDir())
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the parent did not start its replica set: %v", err)
	}
	addr = strings.TrimSpace(addr)
	if !listens(addr) {
		t.Fatalf("no mongod at %s", addr)
	}

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()

	testharness.Eventually(t, 10*time.Second, func() bool { return !listens(addr) })
}

// runChild is the other side of the test above. It lets many threads end after
// the start: none of them may be the one that the child's life hangs on.
func runChild() bool {
	dir := os.Getenv(envChildDir)
	if dir == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rs, err := mongod.StartReplicaSet(ctx, mongod.Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return true
	}
	endThreads(50)
	if _, err := rs.Primary(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "after threads ended:", err)
		return true
	}
	fmt.Println(rs.Members()[0].Addr())
	<-ctx.Done()
	return true
}

// endThreads makes the runtime end operating system threads: one does when a
// goroutine ends that is still locked to it.
func endThreads(n int) {
	done := make(chan struct{}, n)
	for range n {
		go func() {
			goruntime.LockOSThread()
			done <- struct{}{}
		}()
	}
	for range n {
		<-done
	}
}

func listens(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
