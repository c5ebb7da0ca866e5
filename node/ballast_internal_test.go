package node

import (
	"errors"
	"os"
	"testing"
)

// TestBallast_IsGivenUpOnAFullDisk: what a start finds free on a full disk is what its
// ballast held, which is taken again only once there is space.
func TestBallast_IsGivenUpOnAFullDisk(t *testing.T) {
	t.Parallel()
	const total = 1 << 30
	free, broken := uint64(total/2), error(nil)
	b := newBallast(t.TempDir(), func() (uint64, uint64, error) { return free, total, broken })
	size := func() int64 {
		info, err := os.Stat(b.path)
		if errors.Is(err, os.ErrNotExist) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	step := func(what string, wantGiven bool, wantSize int64) {
		t.Helper()
		if given := b.giveUp(); given != wantGiven {
			t.Errorf("%s: given up %v", what, given)
		}
		if got := size(); got != wantSize {
			t.Errorf("%s: %d bytes, want %d", what, got, wantSize)
		}
	}
	b.take()
	step("space", false, ballastMost)
	if err := os.Truncate(b.path, 10); err != nil { // cut short by a crash
		t.Fatal(err)
	}
	b.taken = false // at the next start
	b.take()
	step("made anew", false, ballastMost)
	free = ballastMost - 1
	step("full", true, 0)
	step("full, again", false, 0)
	b.take()
	step("no room for it", false, 0)
	free = 2 * storageReserve
	b.take()
	step("still too little", false, 0)
	broken = errors.New("no such disk")
	b.take()
	step("a disk that does not say", false, 0)
	free, broken = total/2, nil
	b.take()
	step("space again", false, ballastMost)
	var none *ballast
	none.take()
}
