package natsbus

import (
	"cmp"
	"iter"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	// latestMessages and latestBytes bound what a source of the trunk keeps.
	latestMessages = 4096
	latestBytes    = 8 << 20
)

// latest is the newest part of what a source without filters has brought, for lanes that
// join it: they need no consumer to get what has come before.
type latest struct {
	low      uint64 // nothing is missing above this sequence
	messages []kept // in order
	bytes    int    // of them, about
}

// kept is a message of a partition.
type kept struct {
	numbered
	partition actor.Partition
}

func (l *latest) add(p actor.Partition, sequence uint64, msg *nats.Msg) {
	l.messages = append(l.messages, kept{numbered{sequence, msg}, p})
	l.bytes += msg.Size()
	for len(l.messages) > latestMessages || l.bytes > latestBytes {
		l.low = l.messages[0].sequence
		l.bytes -= l.messages[0].msg.Size()
		l.messages[0] = kept{}
		l.messages = l.messages[1:]
	}
}

// covers reports whether all that follows a sequence is there.
func (l *latest) covers(after uint64) bool { return l != nil && after >= l.low }

// of yields the messages of a partition that follow a sequence.
func (l *latest) of(p actor.Partition, after uint64) iter.Seq[numbered] {
	at, _ := slices.BinarySearchFunc(l.messages, after+1, func(k kept, s uint64) int { return cmp.Compare(k.sequence, s) })
	return func(yield func(numbered) bool) {
		for _, k := range l.messages[at:] {
			if k.partition == p && !yield(k.numbered) {
				return
			}
		}
	}
}
