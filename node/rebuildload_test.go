package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	projectionmongo "github.com/ganglion-go/ganglion/projection/mongo"
)

const (
	rebuildWriters = 6 // beside one on each view that waits until it sees what it wrote
	newTillEvery   = 50

	commandWithin = 30 * time.Second // also to wait for the view, which may stand still
	getEvery      = 10 * time.Millisecond
	listEvery     = 500 * time.Millisecond // a list is the whole view
)

// load writes and reads until ctx ends.
func (r *rebuildRun) load(ctx context.Context) {
	var wg sync.WaitGroup
	writer := func(v *projection.View) {
		r.writers++
		w := &tillWriter{run: r, client: r.nodes[r.writers%len(r.nodes)].Client(), view: v, random: rand.New(rand.NewPCG(r.seed, uint64(r.writers)))} //nolint:gosec // a test
		wg.Go(func() { w.write(ctx) })
	}
	for range rebuildWriters {
		writer(nil)
	}
	for i, v := range r.views {
		writer(v)
		random := rand.New(rand.NewPCG(r.seed, uint64(100+i))) //nolint:gosec // a test
		wg.Go(func() { every(ctx, getEvery, func() { r.look(ctx, v, r.anyTill(random)) }) })
		wg.Go(func() { every(ctx, listEvery, func() { r.list(ctx, v) }) })
	}
	wg.Go(func() { every(ctx, listEvery, func() { r.snapshot(ctx, r.views[len(r.views)-1]) }) })
	wg.Wait()
}

func every(ctx context.Context, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for ctx.Err() == nil {
		do()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// tillWriter sends one command after another, and, with a view, waits until that shows it.
type tillWriter struct {
	run    *rebuildRun
	client actor.Client
	view   *projection.View
	random *rand.Rand
}

func (w *tillWriter) write(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		var opts []actor.CallOption
		if n%2 == 0 {
			opts = append(opts, actor.Direct())
		}
		to := w.run.anyTill(w.random)
		if n%newTillEvery == 0 {
			to = w.run.another()
		}
		if err := w.command(context.WithoutCancel(ctx), to, opts); err != nil { // it is seen to its end
			w.run.fault("command to %s: %v", to.address, err)
			return
		}
	}
}

func (r *rebuildRun) anyTill(random *rand.Rand) *watchedTill {
	return r.tills[random.Int64N(r.used.Load())]
}

// another returns a till that there is not yet, or the last one.
func (r *rebuildRun) another() *watchedTill {
	for {
		n := r.used.Load()
		if n == int64(len(r.tills)) {
			return r.tills[n-1]
		}
		if r.used.CompareAndSwap(n, n+1) {
			return r.tills[n]
		}
	}
}

func (w *tillWriter) command(ctx context.Context, to *watchedTill, opts []actor.CallOption) error {
	r := w.run
	ctx, cancel := context.WithTimeout(ctx, commandWithin)
	defer cancel()
	m, err := actor.NewMessage(to.address, enter{}, opts...)
	if err != nil {
		return err
	}
	began := time.Now()
	outcome := w.client.Deliver(ctx, m)
	if err := outcome.Err(); err != nil {
		return err
	}
	r.longestWrite.take(time.Since(began))
	to.told.Add(1)
	raiseTo(&to.acked, uint64(outcome.Version))
	r.writes.Add(1)
	if w.view == nil {
		return nil
	}
	if err := w.view.Wait(ctx, projection.Version(to.address, outcome.Version)); err != nil {
		return err
	}
	r.longestWait.take(time.Since(began))
	raiseTo(&to.floor, uint64(outcome.Version))
	r.waits.Add(1)
	r.look(ctx, w.view, to)
	return nil
}

// look reads the document of a till, and holds it to what was known before it began.
func (r *rebuildRun) look(ctx context.Context, v *projection.View, w *watchedTill) {
	floor, began := w.floor.Load(), time.Now()
	got, found, err := projection.Get[shownTill](ctx, v, tillsShown, w.address.ID)
	if ctx.Err() != nil {
		return
	}
	r.longestRead.take(time.Since(began))
	if err != nil || !found && floor > 0 {
		r.fault("get %s: found %v, %v, it was shown at %d", w.address, found, err, floor)
	}
	if err == nil && found {
		r.shown(w, floor, got)
	}
	r.gets.Add(1)
}

// shown judges a document.
func (r *rebuildRun) shown(w *watchedTill, floor uint64, got shownTill) {
	switch {
	case uint64(got.Version) < floor:
		r.fault("%s is shown at %d, it was at %d before", w.address, got.Version, floor)
	case got.Version == 0 || got != r.ledger.at(got.Version):
		r.fault("%s is shown with %+v, not %+v", w.address, got, r.ledger.at(got.Version))
	}
	raiseTo(&w.floor, uint64(got.Version))
}

// list reads the whole view: all documents that were seen before are there, in order.
func (r *rebuildRun) list(ctx context.Context, v *projection.View) {
	floors := make([]uint64, len(r.tills))
	for i, w := range r.tills {
		floors[i] = w.floor.Load()
	}
	next := 0
	for e, err := range projection.List[shownTill](ctx, v, tillsShown, projection.Range{}) {
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.fault("list: %v", err)
			return
		}
		i, found := slices.BinarySearchFunc(r.tills, e.Key, byID)
		if !found || i < next {
			r.fault("list: %s comes after %d others", e.Key, next)
			return
		}
		r.unseen(floors, next, i)
		r.shown(r.tills[i], floors[i], e.Value)
		next = i + 1
	}
	if ctx.Err() != nil {
		return
	}
	r.unseen(floors, next, len(r.tills))
	r.lists.Add(1)
}

// unseen: the tills of a range are not in a list.
func (r *rebuildRun) unseen(floors []uint64, low, high int) {
	for i := low; i < high; i++ {
		if floors[i] > 0 {
			r.fault("list: %s is missing, it was shown at %d", r.tills[i].address, floors[i])
		}
	}
}

// snapshot adds up both collections of one generation at one moment of the database:
// the documents of the tills and those of their partitions have the same events.
func (r *rebuildRun) snapshot(ctx context.Context, v *projection.View) {
	known := 0
	for _, w := range r.tills {
		if w.floor.Load() > 0 {
			known++
		}
	}
	shown, total, err := sumBoth(ctx, v)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		r.fault("snapshot: %v", err)
	case shown.Documents < known || shown.Entries != total.Entries || shown.Balance != total.Balance:
		r.fault("snapshot: %d tills were shown, there are %+v, and partitions %+v", known, shown, total)
	}
	r.snapshots.Add(1)
}

// sums is what a collection comes to.
type sums struct {
	Documents int
	Entries   int64
	Balance   int64
}

func sumBoth(ctx context.Context, v *projection.View) (tills, partitions sums, err error) {
	for {
		at, err := v.Place(ctx, tillsShown)
		if err != nil {
			return tills, partitions, err
		}
		both := make([]*mongo.Collection, 2)
		for i, name := range []string{tillsShown, partitionsShown} {
			if both[i], err = projectionmongo.Collection(ctx, v, name); err != nil {
				return tills, partitions, err
			}
		}
		if is, err := v.Place(ctx, tillsShown); err != nil || is != at { // they may be of two generations
			if err != nil {
				return tills, partitions, err
			}
			continue
		}
		session, err := both[0].Database().Client().StartSession(options.Session().SetSnapshot(true))
		if err != nil {
			return tills, partitions, err
		}
		defer session.EndSession(ctx)
		ctx := mongo.NewSessionContext(ctx, session)
		if tills, err = sumOf(ctx, both[0]); err == nil {
			partitions, err = sumOf(ctx, both[1])
		}
		return tills, partitions, err
	}
}

func sumOf(ctx context.Context, c *mongo.Collection) (s sums, err error) {
	cursor, err := c.Aggregate(ctx, mongo.Pipeline{{{Key: "$group", Value: bson.D{
		{Key: "_id", Value: nil},
		{Key: "documents", Value: bson.D{{Key: "$sum", Value: 1}}},
		{Key: "entries", Value: bson.D{{Key: "$sum", Value: "$d.entries"}}},
		{Key: "balance", Value: bson.D{{Key: "$sum", Value: "$d.balance"}}},
	}}}})
	if err != nil {
		return s, err
	}
	defer func() { _ = cursor.Close(ctx) }()
	if cursor.Next(ctx) {
		err = cursor.Decode(&s)
	}
	return s, errors.Join(err, cursor.Err())
}

// liveOnly notes an event that a handler for live events alone has got.
func (r *rebuildRun) liveOnly(e actor.EventRecord) {
	i, found := slices.BinarySearchFunc(r.tills, e.Source.ID, byID)
	if !found {
		r.fault("%s was never written to", e.Source)
		return
	}
	if w := r.tills[i]; e.Version > w.seeded {
		w.mu.Lock()
		w.live[e.Version]++
		w.mu.Unlock()
	}
}

func byID(w *watchedTill, id string) int { return strings.Compare(w.address.ID, id) }

// counts is how much has been done.
type counts struct{ writes, waits, gets, lists, snapshots int64 }

func (r *rebuildRun) counted() counts {
	return counts{r.writes.Load(), r.waits.Load(), r.gets.Load(), r.lists.Load(), r.snapshots.Load()}
}

// after reports whether at least n of each have been done since then.
func (c counts) after(was counts, n int64) bool {
	return min(c.writes-was.writes, c.waits-was.waits, c.gets-was.gets, c.lists-was.lists, c.snapshots-was.snapshots) >= n
}

func (c counts) since(was counts) string {
	return fmt.Sprintf("%d commands, %d of them waited for, %d reads, %d lists, %d snapshots",
		c.writes-was.writes, c.waits-was.waits, c.gets-was.gets, c.lists-was.lists, c.snapshots-was.snapshots)
}

func (r *rebuildRun) busy() bool { return r.counted().after(counts{}, 1) }

// longest keeps the longest of times.
type longest struct{ atomic.Int64 }

func (l *longest) take(d time.Duration) {
	for is := l.Load(); is < int64(d) && !l.CompareAndSwap(is, int64(d)); is = l.Load() {
	}
}

func (l *longest) value() time.Duration { return time.Duration(l.Load()).Round(time.Millisecond) }

func (r *rebuildRun) resetLongest() {
	for _, l := range []*longest{&r.longestRead, &r.longestWait, &r.longestWrite} {
		l.Store(0)
	}
}
