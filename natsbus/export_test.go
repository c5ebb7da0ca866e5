package natsbus

import "time"

// SetTrunkFar has the trunk do without filters while at least far messages wait for
// it.
func SetTrunkFar(b *Bus, far uint64) { b.trunk.far.Store(far) }

// SetTrunkNarrow sets after which time with fewer it uses them again. It is to be
// called before Serve.
func SetTrunkNarrow(b *Bus, narrow time.Duration) { b.trunk.narrow = narrow }

// BatchesUnderWay returns how many aggregates a client has messages to under way, and
// how many messages.
func BatchesUnderWay(c *Client) int {
	c.batcher.mu.Lock()
	defer c.batcher.mu.Unlock()
	return len(c.batcher.lines) + len(c.batcher.flying)
}
