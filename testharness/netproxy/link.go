package netproxy

import "time"

// Direction is one way through a [Link].
type Direction int

// The two directions.
const (
	ToTarget Direction = iota // from the clients to the target
	ToClient                  // from the target to the clients
)

// Link is the condition of the network between a client and what it connects to.
// It governs all connections, those there are and those to come. [Proxy] and
// [Dialer] embed one.
type Link struct {
	toTarget, toClient *line
}

func newLink() *Link { return &Link{toTarget: newLine(), toClient: newLine()} }

// Cut stalls both directions. See [Link.CutOneWay].
func (l *Link) Cut() {
	l.toTarget.cut()
	l.toClient.cut()
}

// CutOneWay stalls one direction: what is sent is kept, within the limits of the
// buffers, and arrives after [Link.Heal], as it does when TCP outlasts a
// partition. Neither side sees its connection close, not even when the other
// side closes its own meanwhile. It is idempotent.
func (l *Link) CutOneWay(way Direction) { l.line(way).cut() }

// Heal ends all cuts. Latency stays. It is idempotent.
func (l *Link) Heal() {
	l.toTarget.heal()
	l.toClient.heal()
}

// Latency delays everything by d in each direction, so a round trip by twice d.
// It does not bound the throughput. Zero ends it.
func (l *Link) Latency(d time.Duration) {
	l.toTarget.setDelay(d)
	l.toClient.setDelay(d)
}

func (l *Link) line(way Direction) *line {
	if way == ToTarget {
		return l.toTarget
	}
	return l.toClient
}
