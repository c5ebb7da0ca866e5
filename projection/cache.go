package projection

import "time"

const (
	cacheFor   = time.Second
	cacheMax   = 4096
	cacheBytes = 16 << 20
)

// cache keeps the documents that a slot has read or written lately, so that a batch
// costs one write and few reads. Its content is checked by the revisions that writes
// expect. It is emptied after a second, since documents that other partitions write
// may have changed, and whenever a commit has failed. It belongs to one goroutine.
type cache struct {
	now       func() time.Time
	since     time.Time
	bytes     int
	documents map[document]Document
	uses      map[document]Revision // read in the transaction under way
	bySource  map[string]bool       // collections whose documents are asked for by the id of the event's source
}

// bySourceMax bounds the collections that are read ahead.
const bySourceMax = 8

func newCache(now func() time.Time) *cache {
	return &cache{now: now, since: now(), documents: map[document]Document{}, uses: map[document]Revision{}, bySource: map[string]bool{}}
}

// begin prepares for a transaction.
func (c *cache) begin() {
	if c.now().Sub(c.since) >= cacheFor || len(c.documents) >= cacheMax || c.bytes >= cacheBytes {
		c.clear()
	}
	c.forgetUses()
}

func (c *cache) clear() {
	clear(c.documents)
	c.since, c.bytes = c.now(), 0
}

func (c *cache) get(d document) (Document, bool) {
	doc, ok := c.documents[d]
	return doc, ok
}

// put keeps a document, that there is none included. The engine's own are not read
// again, except checkpoints, which the slot has anyway.
func (c *cache) put(d document, doc Document) {
	if d.collection[0] == '_' {
		return
	}
	c.bytes += len(doc.Data) - len(c.documents[d].Data) + len(d.key)
	c.documents[d] = doc
}

// missed learns from a read that the cache could not answer.
func (c *cache) missed(d document, source string) {
	if d.key == source && d.collection[0] != '_' && len(c.bySource) < bySourceMax {
		c.bySource[d.collection] = true
	}
}

func (c *cache) use(d document, r Revision) { c.uses[d] = r }

// used returns the revision at which the transaction has read a document.
func (c *cache) used(d document) (Revision, bool) {
	r, ok := c.uses[d]
	return r, ok
}

func (c *cache) forgetUses() { clear(c.uses) }
