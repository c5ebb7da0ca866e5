package node

import (
	"os"
	"path/filepath"
)

// ballastMost is the size of a ballast, in bytes; on a small disk it is half of what is
// kept free.
const ballastMost = 4 << 20

// ballast is a file that holds some space of the disk. One that is full to the last byte
// takes not even the lease and the claims of a node that starts, without which there are
// no reads either: whoever starts on such a disk gives the ballast up, and takes it again
// once there is space. The methods are for one goroutine at a time; those of nil do nothing.
type ballast struct {
	path  string
	space func() (free, total uint64, err error)
	taken bool
}

func newBallast(dir string, space func() (free, total uint64, err error)) *ballast {
	return &ballast{path: filepath.Join(dir, "ballast"), space: space}
}

func ballastOf(total uint64) int64 {
	return int64(min(ballastMost, reserveOf(total)/2)) //nolint:gosec // a few MiB
}

// giveUp frees the space if the disk has less than that, and reports whether it did.
func (b *ballast) giveUp() bool {
	free, total, err := b.space()
	if err != nil || free >= uint64(ballastOf(total)) { //nolint:gosec // not negative
		return false
	}
	b.taken = false
	return os.Remove(b.path) == nil
}

// take holds the space, if the disk has enough beside it. What fails is tried again at
// the next call: a disk without ballast is as good until it is full.
func (b *ballast) take() {
	if b == nil || b.taken {
		return
	}
	free, total, err := b.space()
	if err != nil {
		return
	}
	size := ballastOf(total)
	if info, err := os.Stat(b.path); err == nil && info.Size() >= size {
		b.taken = true
		return
	}
	if free < 2*reserveOf(total)+uint64(size) { //nolint:gosec // not negative
		return
	}
	if err := os.WriteFile(b.path, make([]byte, size), 0o600); err != nil {
		_ = os.Remove(b.path)
		return
	}
	b.taken = true
}
