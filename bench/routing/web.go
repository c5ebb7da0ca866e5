package main

import (
	"context"
	"fmt"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

// startWeb returns what starts web servers, each with its own connections to the
// replica set and its own cache, as separate processes would have.
func startWeb(tune func(*unrouted.Config)) func(context.Context, *environment, *flags, int) (*fleet, error) {
	return func(ctx context.Context, e *environment, f *flags, servers int) (*fleet, error) {
		if err := unrouted.Prepare(ctx, e.client.Database(database)); err != nil {
			return nil, err
		}
		fl := &fleet{}
		var all []*unrouted.Server
		fl.counts = func(context.Context) (counts, error) {
			var sum counts
			for _, s := range all {
				c := s.Counts()
				sum.conflicts += c.Conflicts.Load()
				sum.retries += c.Retries.Load()
				sum.cacheHits += c.CacheHits.Load()
			}
			return sum, nil
		}
		for range servers {
			s, err := fl.addWebServer(ctx, e, f, tune)
			if err != nil {
				_ = fl.Close(ctx) // err says more
				return nil, fmt.Errorf("start web server: %w", err)
			}
			all = append(all, s)
		}
		return fl, nil
	}
}

func (fl *fleet) addWebServer(ctx context.Context, e *environment, f *flags, tune func(*unrouted.Config)) (*unrouted.Server, error) {
	storage, err := unrouted.OpenMongo(e.uri, database)
	if err != nil {
		return nil, err
	}
	fl.OnClose(storage.Close)
	cfg := f.webapp()
	tune(&cfg)
	s, err := unrouted.New(storage, cfg)
	if err != nil {
		return nil, err
	}
	target, err := fl.serve(ctx, s)
	if err != nil {
		return nil, err
	}
	fl.targets = append(fl.targets, target)
	return s, nil
}
