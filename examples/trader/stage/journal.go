package stage

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

const journalMax = 200

// Kinds of entries.
const (
	kindPlain = ""
	kindFault = "fault"
	kindRight = "right"
	kindWrong = "wrong"
)

// journal is what happened, newest first. It is safe for concurrent use.
type journal struct {
	mu      sync.Mutex
	entries []page.Entry
}

func (j *journal) note(kind, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := page.Entry{Time: time.Now(), Kind: kind, Text: fmt.Sprintf(format, args...)}
	j.entries = slices.Insert(j.entries, 0, e)
	if len(j.entries) > journalMax {
		j.entries = j.entries[:journalMax:journalMax]
	}
}

func (j *journal) list() []page.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}
