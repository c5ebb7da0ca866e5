package mongo

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
)

// Commits that one query of a list reads: few where histories are long, since it then
// goes on behind the last of them.
const (
	listFirst = 16
	listMost  = 256
)

// ListAggregates implements [store.Aggregates]. It walks along the clustered collection
// and steps over what is left of a history: one query for each aggregate whose history is
// long, and one for up to 256 whose histories are short. Of a document it gets the address and
// the names of events. No index is needed besides that of the collection itself.
func (s *Store) ListAggregates(ctx context.Context, r store.AggregateRange) iter.Seq2[store.Aggregate, error] {
	return func(yield func(store.Aggregate, error) bool) {
		l := lister{store: s, r: &r, from: beginOf(&r), batch: listFirst}
		yielded := 0
		for !l.done {
			some, err := l.next(ctx)
			if err != nil {
				yield("", readError(fmt.Sprintf("list aggregates %q after %q", r.Prefix, r.After), err))
				return
			}
			for _, a := range some {
				if yielded++; !yield(a, nil) || yielded == r.Limit {
					return
				}
			}
		}
	}
}

// lister is a list on its way.
type lister struct {
	store *Store
	r     *store.AggregateRange
	from  bson.E // condition on _id
	batch int32
	done  bool
}

// listed is an aggregate that was met, and whether it has an event that counts.
type listed struct {
	aggregate store.Aggregate
	counts    bool
}

func beginOf(r *store.AggregateRange) bson.E {
	if string(r.After) >= r.Prefix && r.After != "" {
		return behind(r.After)
	}
	return bson.E{Key: "$gte", Value: bson.D{{Key: "a", Value: r.Prefix}}}
}

// behind selects what comes after the history of an aggregate.
func behind(a store.Aggregate) bson.E {
	return bson.E{Key: "$gt", Value: bson.D{{Key: "a", Value: string(a)}, {Key: "v", Value: bson.MaxKey{}}}}
}

// next returns the aggregates of one query, and moves the list behind them.
func (l *lister) next(ctx context.Context) ([]store.Aggregate, error) {
	met, read, err := l.read(ctx)
	if err != nil {
		return nil, err
	}
	l.done = l.done || read < int(l.batch)
	if n := len(met); n > 0 && !met[n-1].counts && !l.done { // its history goes on, perhaps
		if met[n-1].counts, err = l.store.hasOther(ctx, met[n-1].aggregate, l.r.Ignore); err != nil {
			return nil, err
		}
	}
	switch {
	case len(met) > read/2:
		l.batch = min(2*l.batch, listMost)
	case len(met) <= 1:
		l.batch = max(l.batch/4, 1)
	}
	var some []store.Aggregate
	for _, m := range met {
		if m.counts {
			some = append(some, m.aggregate)
		}
	}
	return some, nil
}

// read makes one query.
func (l *lister) read(ctx context.Context) (met []listed, read int, err error) {
	opts := byID(l.batch).SetLimit(int64(l.batch)).SetProjection(bson.D{{Key: "_id", Value: 1}, {Key: "ev.n", Value: 1}})
	for doc, err := range l.store.stream(ctx, l.store.commits, bson.D{{Key: "_id", Value: bson.D{l.from}}}, opts) {
		if err != nil {
			return nil, 0, err
		}
		read++
		id, _, known := identify(doc)
		if !known { // no commit: nothing loads it
			value := doc.Lookup("_id")
			l.from = bson.E{Key: "$gt", Value: bson.RawValue{Type: value.Type, Value: slices.Clone(value.Value)}}
			continue
		}
		a := store.Aggregate(id.Aggregate)
		if !strings.HasPrefix(string(a), l.r.Prefix) {
			l.done = true
			break
		}
		l.from = behind(a)
		if n := len(met); n == 0 || met[n-1].aggregate != a {
			met = append(met, listed{aggregate: a})
		}
		m := &met[len(met)-1]
		m.counts = m.counts || hasEventBesides(doc, l.r.Ignore)
	}
	return met, read, nil
}

// hasEventBesides reports whether a commit has an event of another name, or is none that
// can be understood.
func hasEventBesides(doc bson.Raw, ignore []string) bool {
	if len(ignore) == 0 {
		return true
	}
	list, ok := doc.Lookup("ev").ArrayOK()
	if !ok {
		return true
	}
	events, err := list.Values()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(events, func(e bson.RawValue) bool {
		fields, ok := e.DocumentOK()
		if !ok {
			return true
		}
		name, ok := fields.Lookup("n").StringValueOK()
		return !ok || !slices.Contains(ignore, name)
	})
}

// hasOther looks for an event of another name in a whole history. The server reads on
// until there is one.
func (s *Store) hasOther(ctx context.Context, a store.Aggregate, ignore []string) (found bool, err error) {
	filter := append(versions(a, 0), bson.E{Key: "ev", Value: bson.D{{Key: "$elemMatch", Value: bson.D{
		{Key: "n", Value: bson.D{{Key: "$nin", Value: ignore}}},
	}}}})
	err = s.read(ctx, func(ctx context.Context) error {
		doc, err := s.commits.FindOne(ctx, filter, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Raw()
		found = doc != nil
		return optional(err)
	})
	return found, err
}
