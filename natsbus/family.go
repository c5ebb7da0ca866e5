package natsbus

import (
	"sync/atomic"

	"github.com/ganglion-go/ganglion/actor"
)

// A node asks the owner of a partition where nodes alone may publish, NAMESPACE.req, and a
// caller at NAMESPACE.ask. An owner of an earlier build listens to the second alone, and
// takes all that comes there for a caller's. One of this build would refuse there what is
// the application's own, and drop on whose behalf a message is. So a node that falls back
// says that it is one: an owner of this build does not execute that, and has it sent again.
//
//	node                          owner of an earlier build    owner of this build
//	req: nobody is there
//	req again, three times
//	ask, as a node                executes it
//	(remembers: ask)              hands the partition over --> says that it listens to req
//	(remembers: req)
//	or has missed that: ask       is gone                      "not here"
//	req                                                        executes it
//
// Announcements say which it is (nowOwned), and may be lost: the tries find out.
const ownerListensToNodes = "req"

// missesMax is the number of tries in a row that find nobody at NAMESPACE.req before the
// owner is looked for where those of earlier builds listen.
const missesMax = 3

// families is which owners are of an earlier build, by partition, as far as is known. It is
// safe for concurrent use; nothing but the time of an answer rests on it.
type families []atomic.Bool

// owned notes what the owner of a partition has announced.
func (f families) owned(p actor.Partition, said string) {
	f.set(p, said != ownerListensToNodes)
}

func (f families) set(p actor.Partition, earlier bool) {
	if int(p) < len(f) && f[p].Load() != earlier {
		f[p].Store(earlier)
	}
}

func (f families) earlier(p actor.Partition) bool { return int(p) < len(f) && f[p].Load() }

// asksEarlier decides where the next try of a direct message goes, and remembers it.
func (p *pursuit) asksEarlier() bool {
	c := p.client
	p.earlier = c.node && (p.misses >= missesMax || c.families.earlier(c.partitions.Of(p.message.Target)))
	return p.earlier
}

// missed notes that nobody was there for the last try of a direct message. Where one family
// is deserted, the owner may listen to the other.
func (p *pursuit) missed() {
	if !p.client.node || p.lane != actor.LaneDirect {
		return
	}
	if p.earlier {
		p.misses = 0
		p.client.families.set(p.client.partitions.Of(p.message.Target), false)
		return
	}
	p.misses++
}

// reached notes that an owner has answered the last try of a direct message.
func (p *pursuit) reached(o *actor.Outcome) {
	if !p.client.node || p.lane != actor.LaneDirect {
		return
	}
	to := p.client.partitions.Of(p.message.Target)
	switch {
	case !p.earlier:
		p.misses = 0
	case o.Code == actor.CodeNoOwner:
		p.misses = 0
		p.client.families.set(to, false)
	default:
		p.client.families.set(to, true)
	}
}
