package unrouted

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cache keeps the accounts that one server has seen last. No other server tells
// it of a change.
type cache struct {
	ttl time.Duration

	mu      sync.Mutex
	entries *simplelru.LRU[string, cached]
}

type cached struct {
	account Account
	expires time.Time
}

// newCache makes a cache of that many accounts. The error is a size below 1.
func newCache(size int, ttl time.Duration) (*cache, error) {
	entries, err := simplelru.NewLRU[string, cached](size, nil)
	if err != nil {
		return nil, err
	}
	return &cache{ttl: ttl, entries: entries}, nil
}

func (c *cache) lookup(id string, now time.Time) (Account, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries.Get(id)
	if !ok || !now.Before(e.expires) {
		return Account{}, false
	}
	return e.account, true
}

// remember keeps the account, unless a newer one is there: two requests may end
// in another order than their saves.
func (c *cache) remember(id string, a Account, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries.Peek(id); ok && e.account.Version > a.Version {
		return
	}
	c.entries.Add(id, cached{account: a, expires: now.Add(c.ttl)})
}

// forget drops what turned out to be stale. What another request has put there in
// the meantime stays.
func (c *cache) forget(id string, stale Account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries.Peek(id); ok && e.account.Version <= stale.Version {
		c.entries.Remove(id)
	}
}
