package jetstream

import (
	"container/list"
	"sync"

	"github.com/ganglion-go/ganglion/store"
)

// lastCommit says that the message at seq holds the commit that ends with
// version. That never changes; whether it is still the last one, only the server
// can say.
type lastCommit struct {
	seq     uint64
	version store.Version
}

// versionCache remembers the last commit of the aggregates that were used most
// recently.
type versionCache struct {
	mu      sync.Mutex
	max     int
	entries map[store.Aggregate]*list.Element
	recent  *list.List // of versionEntry, most recent first
}

type versionEntry struct {
	aggregate store.Aggregate
	last      lastCommit
}

func newVersionCache(most int) *versionCache {
	return &versionCache{max: most, entries: map[store.Aggregate]*list.Element{}, recent: list.New()}
}

func (c *versionCache) find(a store.Aggregate) (lastCommit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[a]
	if e == nil {
		return lastCommit{}, false
	}
	c.recent.MoveToFront(e)
	return entryOf(e).last, true
}

// note keeps the later of two commits of an aggregate.
func (c *versionCache) note(a store.Aggregate, last lastCommit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[a]; e != nil {
		if entryOf(e).last.seq < last.seq {
			e.Value = versionEntry{a, last}
		}
		c.recent.MoveToFront(e)
		return
	}
	c.entries[a] = c.recent.PushFront(versionEntry{a, last})
	if c.recent.Len() > c.max {
		oldest := c.recent.Back()
		delete(c.entries, entryOf(oldest).aggregate)
		c.recent.Remove(oldest)
	}
}

func entryOf(e *list.Element) versionEntry {
	entry, _ := e.Value.(versionEntry)
	return entry
}
