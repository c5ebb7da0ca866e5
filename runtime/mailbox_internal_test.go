package runtime

import (
	"slices"
	"testing"

	"github.com/ganglion-go/ganglion/internal/testenv"
)

func TestMailbox_Model(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for range 20 {
		var q mailbox
		var want []*delivery
		fresh := func() *delivery {
			d := &delivery{}
			d.Sequence = uint64(rnd.IntN(2))
			return d
		}
		for range 2000 {
			switch n := rnd.IntN(20); {
			case n == 0:
				front := []*delivery{fresh(), fresh(), fresh()}
				q.pushFront(front)
				want = append(slices.Clone(front), want...)
			case n < 11 || len(want) == 0:
				d := fresh()
				q.push(d)
				want = append(want, d)
			default:
				if got := q.pop(); got != want[0] {
					t.Fatal("not first in, first out")
				}
				want = want[1:]
			}
			direct := 0
			for _, d := range want {
				direct += directCount(d)
			}
			if q.len() != len(want) || q.direct != direct {
				t.Fatalf("len %d, direct %d; want %d, %d", q.len(), q.direct, len(want), direct)
			}
		}
	}
}

// TestMailbox_Memory_StaysBounded: a mailbox that is never quite empty does not
// keep what has left it, and an empty one gives a burst's memory back.
func TestMailbox_Memory_StaysBounded(t *testing.T) {
	t.Parallel()
	var q mailbox
	d := &delivery{}
	q.push(d)
	for range 1_000_000 {
		q.push(d)
		q.pop()
	}
	if cap(q.items) > 8192 {
		t.Errorf("room for %d after a million messages, of which one waits", cap(q.items))
	}
	for range 100_000 {
		q.push(d)
	}
	for q.len() > 0 {
		q.pop()
	}
	if cap(q.items) > 8192 {
		t.Errorf("room for %d when empty", cap(q.items))
	}
}
