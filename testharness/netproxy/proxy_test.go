package netproxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

const (
	patience = 10 * time.Second       // for what must happen
	quiet    = 150 * time.Millisecond // for what must not
)

func TestProxy_Cut_StallsAndDeliversAfterHeal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cut     func(*netproxy.Proxy)
		arrives bool // at the target, during the cut
	}{
		"both ways": {func(p *netproxy.Proxy) { p.Cut() }, false},
		"to target": {func(p *netproxy.Proxy) { p.CutOneWay(netproxy.ToTarget) }, false},
		"to client": {func(p *netproxy.Proxy) { p.CutOneWay(netproxy.ToClient) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := startEcho(t)
			proxy := startProxy(t, target.addr)
			client := dial(t, proxy.Addr())
			client.exchange(t, "before")
			<-target.seen

			test.cut(proxy)
			client.send(t, "during")
			client.expectSilence(t)
			if arrived := target.sawWithin(quiet); arrived != test.arrives {
				t.Errorf("arrived at the target during the cut: %v, want %v", arrived, test.arrives)
			}
			proxy.Heal()

			client.expect(t, "during")
			client.exchange(t, "after")
		})
	}
}

func TestProxy_Cut_HidesClose(t *testing.T) {
	t.Parallel()
	target := startEcho(t)
	proxy := startProxy(t, target.addr)
	client := dial(t, proxy.Addr())
	client.exchange(t, "before")

	proxy.Cut()
	target.closeConns()
	client.expectSilence(t)
	proxy.Heal()

	if _, err := client.lines.ReadString('\n'); err == nil {
		t.Error("the close of the target did not arrive after the cut")
	}
}

func TestProxy_Cut_HoldsNewConnections(t *testing.T) {
	t.Parallel()
	target := startEcho(t)
	proxy := startProxy(t, target.addr)
	proxy.Cut()
	client := dial(t, proxy.Addr())
	client.send(t, "hello")
	client.expectSilence(t)
	proxy.Heal()
	client.expect(t, "hello")
}

func TestProxy_Latency_DelaysWithoutThrottling(t *testing.T) {
	t.Parallel()
	const delay = 60 * time.Millisecond
	proxy := startProxy(t, startEcho(t).addr)
	client := dial(t, proxy.Addr())
	proxy.Latency(delay)

	start := time.Now()
	client.exchange(t, "slow")
	if took := time.Since(start); took < 2*delay {
		t.Errorf("round trip took %v, want at least %v", took, 2*delay)
	}

	const lines = 40
	start = time.Now()
	for range lines {
		client.send(t, strings.Repeat("x", 1000))
	}
	for range lines {
		client.expect(t, strings.Repeat("x", 1000))
	}
	if took := time.Since(start); took > lines*delay {
		t.Errorf("%d lines took %v: the delay of each added up", lines, took)
	}
}

func TestProxy_CarriesMuch(t *testing.T) {
	t.Parallel()
	proxy := startProxy(t, startEcho(t).addr)
	client := dial(t, proxy.Addr())
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/2) // 8 MiB, more than all buffers
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_, _ = client.conn.Write(sent)
		_ = client.conn.(*net.TCPConn).CloseWrite()
	})
	got, err := io.ReadAll(client.lines)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back, or changed ones, of %d", len(got), len(sent))
	}
}

func TestProxy_TargetRefuses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	client := dial(t, startProxy(t, l.Addr().String()).Addr())
	if _, err := client.lines.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read gives %v, want a closed connection", err)
	}
}

func TestProxy_Close_LeavesNothing(t *testing.T) {
	t.Parallel()
	target := startEcho(t)
	proxy := startProxy(t, target.addr)
	client := dial(t, proxy.Addr())
	client.exchange(t, "x")
	proxy.Cut() // goroutines that wait for the end of a cut must end too
	client.send(t, "y")
	if err := proxy.Close(); err != nil { // waits for its goroutines
		t.Fatal(err)
	}
	if err := proxy.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := client.lines.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read gives %v, want a closed connection", err)
	}
}

func TestDialer_CutsAllTargets(t *testing.T) {
	t.Parallel()
	dialer := netproxy.NewDialer()
	t.Cleanup(func() { _ = dialer.Close() })
	var clients []*client
	for range 2 {
		conn, err := dialer.Dial("tcp", startEcho(t).addr)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, newClient(t, conn))
	}
	for _, c := range clients {
		c.exchange(t, "before")
	}
	dialer.Cut()
	for _, c := range clients {
		c.send(t, "during")
		c.expectSilence(t)
	}
	dialer.Heal()
	for _, c := range clients {
		c.expect(t, "during")
	}
	if err := dialer.Close(); err != nil {
		t.Error(err)
	}
	if _, err := dialer.Dial("tcp", "127.0.0.1:1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial after Close: %v", err)
	}
}

func startProxy(t *testing.T, target string) *netproxy.Proxy {
	t.Helper()
	p, err := netproxy.New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}
