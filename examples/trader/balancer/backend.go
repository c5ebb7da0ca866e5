package balancer

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	probeEvery = 500 * time.Millisecond
	probeMax   = 2 * time.Second
	probesMax  = 2 // that fail before a backend is not ready
)

// call is a request under way at a backend.
type call struct{ cancel context.CancelCauseFunc }

// backend is a web server.
type backend struct {
	base  *url.URL
	probe string

	mu    sync.Mutex
	up    bool
	taken int64 // requests since the start
	calls map[*call]struct{}
}

// Figures are what a [Balancer] knows of a backend.
type Figures struct {
	Web      string `json:"web"` // its base
	Ready    bool   `json:"ready"`
	Requests int64  `json:"requests"` // sent to it since the start
	Open     int    `json:"open"`     // of them, without an end yet
}

// Figures returns those of all backends, in their order.
func (b *Balancer) Figures() []Figures {
	all := make([]Figures, len(b.backends))
	for i, one := range b.backends {
		one.mu.Lock()
		all[i] = Figures{Web: one.base.String(), Ready: one.up, Requests: one.taken, Open: len(one.calls)}
		one.mu.Unlock()
	}
	return all
}

func (b *backend) ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up
}

// enter notes a request under way; ok is false when the backend is not ready.
func (b *backend) enter(cancel context.CancelCauseFunc) (leave func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return nil, false
	}
	b.taken++
	c := &call{cancel}
	b.calls[c] = struct{}{}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.calls, c)
	}, true
}

// down has the backend get no requests, and cuts those under way.
func (b *backend) down() {
	b.mu.Lock()
	b.up = false
	b.mu.Unlock()
	b.cut()
}

// cut ends the requests under way.
func (b *backend) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.calls {
		c.cancel(errNotReady)
	}
}

func (b *backend) comeUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up = true
}

// Run asks the backends whether they are ready, until ctx ends. [Balancer.Serve] does so.
func (b *Balancer) Run(ctx context.Context) {
	client := &http.Client{Timeout: probeMax, Transport: &http.Transport{DisableKeepAlives: true}}
	var watches sync.WaitGroup
	for _, one := range b.backends {
		watches.Go(func() { one.watch(ctx, client) })
	}
	watches.Wait()
}

// watch asks one backend. One that answers that it is not ready may finish what is under
// way; of one that does not answer, that is cut.
func (b *backend) watch(ctx context.Context, client *http.Client) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	silent := 0
	for {
		switch ready, answered := b.ask(ctx, client); {
		case ready:
			silent = 0
			b.comeUp()
		case answered:
			silent = 0
			b.drain()
		default:
			if silent++; silent >= probesMax {
				b.down()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// drain has the backend get no more requests.
func (b *backend) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up = false
}

func (b *backend) ask(ctx context.Context, client *http.Client) (ready, answered bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.probe, nil)
	if err != nil {
		return false, false
	}
	answer, err := client.Do(r)
	if err != nil {
		return false, false
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, headerBytes))
	return answer.StatusCode == http.StatusOK, true
}
