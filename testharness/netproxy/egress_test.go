package netproxy_test

import (
	"net"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

func startEgress(t *testing.T) *netproxy.Egress {
	t.Helper()
	e, err := netproxy.NewEgress()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func dialThrough(t *testing.T, e *netproxy.Egress, addr string) *client {
	t.Helper()
	conn, err := netproxy.DialThrough(e.Addr())(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func TestEgress_CutsOneTargetAndNotTheOther(t *testing.T) {
	t.Parallel()
	a, b, e := startEcho(t), startEcho(t), startEgress(t)
	toA, toB := dialThrough(t, e, a.addr), dialThrough(t, e, b.addr)
	toA.exchange(t, "one")
	toB.exchange(t, "two")

	e.Link(a.addr).Cut()
	toA.send(t, "kept")
	toB.exchange(t, "three")
	toA.expectSilence(t)
	late := dialThrough(t, e, a.addr)
	late.send(t, "later")
	late.expectSilence(t)

	e.Heal()
	toA.expect(t, "kept")
	late.expect(t, "later")
}

func TestEgress_CutOneWay(t *testing.T) {
	t.Parallel()
	server, e := startEcho(t), startEgress(t)
	c := dialThrough(t, e, server.addr)
	c.exchange(t, "before")
	e.Link(server.addr).CutOneWay(netproxy.ToClient)
	server.sawWithin(0) // the token of what came before
	c.send(t, "heard")
	if !server.sawWithin(patience) {
		t.Error("the open direction carried nothing")
	}
	c.expectSilence(t)
	e.Link(server.addr).Heal()
	c.expect(t, "heard")
}

func TestEgress_ClosesWhatNamesNoTarget(t *testing.T) {
	t.Parallel()
	e := startEgress(t)
	conn, err := net.Dial("tcp", e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.send(t, strings.Repeat("x", 600))
	if _, err := c.lines.ReadByte(); err == nil {
		t.Error("an egress without a target answered")
	}
}
