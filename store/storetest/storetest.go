package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

const (
	defaultWait     = 5 * time.Minute
	defaultTooLarge = 17 << 20
)

// Config adapts the suite to a store. The zero value is right for most.
type Config struct {
	// Peer opens a second client of the data that a store from open holds, as
	// another node would. nil: the store is its own peer, and caches that have
	// gone stale are not tested.
	Peer func(t *testing.T, s store.Store) store.Store
	// TooLarge is a size of event data, in bytes, that the store certainly
	// refuses. 0: 17 MiB, more than a document of MongoDB can hold.
	TooLarge int
	// AppendUnreadable stores, under that address and version, a commit that cannot be
	// understood. nil: the store can hold none, and what it does with one is not tested.
	AppendUnreadable func(t *testing.T, s store.Store, a store.Aggregate, first store.Version)
	// DamageParked makes what is parked under that address and id something that cannot be
	// understood. nil: as for AppendUnreadable.
	DamageParked func(t *testing.T, s store.Store, a store.Aggregate, commandID string)
	// Wait bounds each subtest, on a busy machine, too. 0: 5 minutes.
	Wait time.Duration
}

// Run runs the suite with the default configuration. open returns a new, empty
// store for each subtest and releases it when t ends.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	Config{}.Run(t, open)
}

// Run runs the suite. open is as for the function [Run].
func (cfg Config) Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	if cfg.Wait == 0 {
		cfg.Wait = defaultWait
	}
	if cfg.TooLarge == 0 {
		cfg.TooLarge = defaultTooLarge
	}
	var unreadable []testCase
	if cfg.AppendUnreadable != nil {
		unreadable = unreadableCases()
	}
	if cfg.DamageParked != nil {
		unreadable = append(unreadable, testCase{"Parking/goes on behind what cannot be read", testParkingUnreadable})
	}
	for _, c := range slices.Concat(
		unreadable,
		appendCases(), raceCases(), loadCases(), aggregateCases(), addressCases(), fidelityCases(), outcomeCases(),
		snapshotCases(), feedCases(), sessionCases(), claimCases(), parkingCases(), bindingCases(), contextCases(), modelCases(),
	) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			peer := s
			if cfg.Peer != nil {
				peer = cfg.Peer(t, s)
			}
			ctx, cancel := context.WithTimeout(t.Context(), cfg.Wait)
			t.Cleanup(cancel)
			c.run(t, &setup{Store: s, peer: peer, ctx: ctx, cfg: cfg})
		})
	}
}

// testCase is one subtest of the suite.
type testCase struct {
	name string
	run  func(t *testing.T, s *setup)
}

// setup is what a subtest works with: an empty store and a peer of it.
type setup struct {
	store.Store
	peer store.Store
	ctx  context.Context //nolint:containedctx // the bound of one subtest, which this struct lives as long as
	cfg  Config
}

// clients are the store and its peer.
func (s *setup) clients() []store.Store { return []store.Store{s.Store, s.peer} }

// append writes commits that must succeed.
func (s *setup) append(t *testing.T, commits ...store.Commit) {
	t.Helper()
	for i, err := range s.Append(s.ctx, commits) {
		if err != nil {
			t.Fatalf("append %q version %d: %v", commits[i].Aggregate, commits[i].First, err)
		}
	}
}

// load collects an aggregate's commits after a version.
func (s *setup) load(t *testing.T, from store.Store, a store.Aggregate, after store.Version) []store.Commit {
	t.Helper()
	var all []store.Commit
	for c, err := range from.Load(s.ctx, a, after) {
		if err != nil {
			t.Fatalf("load %q after %d: %v", a, after, err)
		}
		all = append(all, c)
	}
	return all
}

// check loads the whole history of an aggregate through the store and its peer,
// and compares.
func (s *setup) check(t *testing.T, a store.Aggregate, want []store.Commit) {
	t.Helper()
	for _, client := range s.clients() {
		diffCommits(t, s.load(t, client, a, 0), want)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// newRand returns a source of randomness whose seed is printed, and taken from
// GANGLION_SEED when that is set.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any bits will do
	if text := os.Getenv("GANGLION_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("GANGLION_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("GANGLION_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
