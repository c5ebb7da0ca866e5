package testharness

import (
	goruntime "runtime"
	"sync"
	"testing"
)

// clockGate keeps NATS clients of virtual and of real time apart, and those of
// two bubbles: any number of tests in real time, or one bubble.
//
// nats.go keeps its timers in one pool a binary (Flush, NextMsg and Request take
// from it). A timer that was made in a bubble kills the process when it is used
// outside or in another bubble, and one that was made outside runs in real time
// inside. So while a bubble has a server no other test has one, and the pool is
// emptied before and after.
//
// It is made of mutexes alone because these may be contended between bubbles;
// waking a bubble from outside by a channel or a condition is a fatal error.
var clockGate struct {
	turn sync.Mutex // held by the bubble, or by the tests in real time together

	realMu sync.Mutex // held while the first of them waits for its turn
	real   int        // how many servers they have

	bubbleMu sync.Mutex
	bubble   testing.TB // the bubble whose turn it is
	servers  int        // how many servers it has
}

// enterClock waits until servers on t's clock may run, and leaves when t ends.
// It must come before every other clean-up of the server, so that it is the last.
func enterClock(t testing.TB) {
	t.Helper()
	if inBubble() {
		requireVirtualTime(t)
		enterVirtual(t)
		t.Cleanup(leaveVirtual)
		return
	}
	enterReal()
	t.Cleanup(leaveReal)
}

func enterReal() {
	clockGate.realMu.Lock()
	defer clockGate.realMu.Unlock()
	if clockGate.real == 0 {
		clockGate.turn.Lock()
	}
	clockGate.real++
}

func leaveReal() {
	clockGate.realMu.Lock()
	defer clockGate.realMu.Unlock()
	clockGate.real--
	if clockGate.real == 0 {
		clockGate.turn.Unlock()
	}
}

// enterVirtual knows a bubble by its t: there are no subtests in a bubble.
func enterVirtual(t testing.TB) {
	if !again(t) {
		clockGate.turn.Lock()
		emptyPools()
		clockGate.bubbleMu.Lock()
		defer clockGate.bubbleMu.Unlock()
		clockGate.bubble, clockGate.servers = t, 1
	}
}

func again(t testing.TB) bool {
	clockGate.bubbleMu.Lock()
	defer clockGate.bubbleMu.Unlock()
	if clockGate.bubble != t {
		return false
	}
	clockGate.servers++
	return true
}

func leaveVirtual() {
	clockGate.bubbleMu.Lock()
	defer clockGate.bubbleMu.Unlock()
	clockGate.servers--
	if clockGate.servers == 0 {
		clockGate.bubble = nil
		emptyPools()
		clockGate.turn.Unlock()
	}
}

// emptyPools drops everything from every sync.Pool: what one collection finds in
// a pool, the next one frees.
func emptyPools() {
	goruntime.GC()
	goruntime.GC()
}
