package projection

import (
	"time"
)

const (
	cacheFor      = time.Second
	cacheMax      = 4096 // documents
	cacheOverhead = 128  // bytes of a document besides its own, about
)

// cache keeps the documents that a slot has read or written, so that a batch costs one
// write and few reads. Its content is checked by the revisions that writes expect, and
// emptied whenever a commit has failed. What is read and not written has no such check:
// the collections of such documents, and those that others are seen to write, are loose,
// and what is kept of them is forgotten after a second. Where handlers have effects that
// no check takes back, all are. It belongs to one goroutine.
type cache struct {
	now       func() time.Time
	moment    time.Time // at which the transaction under way began
	max       int       // bytes
	bytes     int
	documents map[document]cached
	uses      map[document]Revision // read in the transaction under way
	bySource  map[string]bool       // collections whose documents are asked for by the id of the event's source
	loose     map[string]bool       // collections
	allLoose  bool
	types     documentTypes // of documents that were put
}

// cached is a document as it was at a time, or later.
type cached struct {
	Document
	at time.Time
}

// bySourceMax bounds the collections that are read ahead.
const bySourceMax = 8

func newCache(now func() time.Time, bytes int, allLoose bool) *cache {
	return &cache{
		now: now, moment: now(), max: bytes, allLoose: allLoose,
		documents: map[document]cached{}, uses: map[document]Revision{}, bySource: map[string]bool{}, loose: map[string]bool{}, types: documentTypes{},
	}
}

// begin prepares for a transaction.
func (c *cache) begin() {
	c.moment = c.now()
	if len(c.documents) >= cacheMax || c.bytes >= c.max {
		c.clear()
	}
	c.forgetUses()
}

func (c *cache) clear() {
	clear(c.documents)
	c.bytes = 0
}

func (c *cache) get(d document) (Document, bool) {
	doc, ok := c.documents[d]
	if !ok || (c.allLoose || c.loose[d.collection]) && c.old(doc) {
		return Document{}, false
	}
	return doc.Document, true
}

func (c *cache) old(doc cached) bool { return c.moment.Sub(doc.at) >= cacheFor }

// put keeps a document, that there is none included. The engine's own are not read
// again, except checkpoints, which the slot has anyway.
func (c *cache) put(d document, doc Document) {
	if isOwn(d) {
		return
	}
	was, ok := c.documents[d]
	if !ok {
		c.bytes += len(d.key) + cacheOverhead
	}
	c.bytes += len(doc.Data) - len(was.Data)
	c.documents[d] = cached{doc, c.moment}
}

// isOwn reports that a document is the engine's.
func isOwn(d document) bool { return d.collection[0] == '_' }

// settle is called with what a transaction is about to write. It is false if that may
// rest on a document which was not read lately and is not checked: then the transaction
// is to be made again, and reads it anew.
func (c *cache) settle(writes map[document]*pending) bool {
	fresh := true
	for d := range c.uses {
		if writes[d] == nil && !isOwn(d) {
			c.loose[d.collection] = true
			fresh = fresh && !c.old(c.documents[d])
		}
	}
	return fresh
}

// doubts reports whether a handler that failed may have been shown what is not so any
// more. It is then to be run again, with what is read anew.
func (c *cache) doubts() bool {
	found := false
	for d := range c.uses {
		if !isOwn(d) && c.old(c.documents[d]) {
			c.loose[d.collection], found = true, true
		}
	}
	return found
}

// conflict learns that others may write what the transaction has read.
func (c *cache) conflict() {
	for d := range c.uses {
		c.loose[d.collection] = true
	}
}

// missed learns from a read that the cache could not answer.
func (c *cache) missed(d document, source string) {
	if d.key == source && !isOwn(d) && len(c.bySource) < bySourceMax {
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
