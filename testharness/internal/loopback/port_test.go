package loopback_test

import (
	"net"
	"testing"

	"github.com/ganglion-go/ganglion/testharness/internal/loopback"
)

func TestReserve_LeavesTCPFree(t *testing.T) {
	t.Parallel()
	port := reserve(t)
	l, err := net.Listen("tcp4", port.Addr())
	if err != nil {
		t.Fatalf("a reserved port must be free for the server it is meant for: %v", err)
	}
	_ = l.Close()
}

func TestReserveNumber_SeesMarkAndServer(t *testing.T) {
	t.Parallel()
	port := reserve(t)
	if again, err := loopback.ReserveNumber(port.Number()); err == nil {
		again.Release()
		t.Fatalf("port %d was reserved twice", port.Number())
	}
	port.Release()
	port.Release()

	l, err := net.Listen("tcp4", port.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if again, err := loopback.ReserveNumber(port.Number()); err == nil {
		again.Release()
		t.Fatalf("port %d was reserved under a listening server", port.Number())
	}
}

func reserve(t *testing.T) *loopback.Port {
	t.Helper()
	port, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	return port
}
