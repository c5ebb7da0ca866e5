package projectiontest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// ThenDocument requires a document, compared as JSON; want may be any value that encodes
// to it.
func (s *Scenario) ThenDocument(collection, key string, want any) *Scenario {
	s.t.Helper()
	got, found := s.read(collection, key)
	if !found {
		s.t.Errorf("projectiontest: there is no %s %q; %s", collection, key, s.describe(collection))
		return s
	}
	if diff := compare(s.encoded(want), got); diff != "" {
		s.t.Errorf("projectiontest: %s %q (-want +got):\n%s", collection, key, diff)
	}
	return s
}

// ThenNoDocument requires that a collection, which the projection must declare, has none of these documents; without keys,
// none at all.
func (s *Scenario) ThenNoDocument(collection string, keys ...string) *Scenario {
	s.t.Helper()
	for key := range s.collection(collection) {
		if len(keys) == 0 || slices.Contains(keys, key) {
			s.t.Errorf("projectiontest: there is %s %q", collection, key)
		}
	}
	return s
}

// ThenCollection requires all documents of a collection, compared as JSON: want is a map
// from keys to values that encode to them.
func (s *Scenario) ThenCollection(collection string, want any) *Scenario {
	s.t.Helper()
	if diff := compare(s.encoded(want), any(s.collection(collection))); diff != "" {
		s.t.Errorf("projectiontest: %s (-want +got):\n%s", collection, diff)
	}
	return s
}

// Document returns a document, for what a test cannot know beforehand. It ends the test if
// there is none, or if it is no T.
func Document[T any](s *Scenario, collection, key string) T {
	s.t.Helper()
	value, found, err := projection.Get[T](s.ctx, s.view, collection, key)
	switch {
	case err != nil:
		s.t.Fatalf("projectiontest: %v", err)
	case !found:
		s.t.Fatalf("projectiontest: there is no %s %q; %s", collection, key, s.describe(collection))
	}
	return value
}

// ThenSent requires that the next commands which a router sent to this aggregate are
// these, in this order. Calls go on where the one before ended; those to other aggregates
// are counted apart, as a router sends to them at the same time.
func (s *Scenario) ThenSent(to actor.Address, commands ...actor.Command) *Scenario {
	s.t.Helper()
	var want, got []string
	for _, c := range commands {
		m, err := actor.NewMessage(to, c)
		if err != nil {
			s.t.Fatalf("projectiontest: ThenSent(%T): %v", c, err)
		}
		want = append(want, worded(&m))
	}
	for _, m := range s.sent.take(to, len(want)) {
		got = append(got, worded(&m))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("projectiontest: sent to %s (-want +got):\n%s", to, diff)
	}
	return s
}

// ThenNothingElseSent requires that a router sent no more commands than those that
// ThenSent has named.
func (s *Scenario) ThenNothingElseSent() *Scenario {
	s.t.Helper()
	for _, m := range s.sent.rest() {
		s.t.Errorf("projectiontest: sent as well: %s to %s", worded(&m), m.Target)
	}
	return s
}

func worded(m *actor.Message) string {
	var compact bytes.Buffer
	if json.Compact(&compact, m.Data) != nil {
		return m.Name + " " + string(m.Data)
	}
	return m.Name + " " + compact.String()
}

// outbox keeps what a router sends.
type outbox struct {
	mu       sync.Mutex
	messages []actor.Message
}

// Deliver implements [actor.Client]. No router asks.
func (*outbox) Deliver(context.Context, actor.Message) actor.Outcome {
	return actor.Failure(actor.CodeNoOwner, "there are no aggregates in a test of a projection")
}

// Enqueue implements [actor.Client].
func (o *outbox) Enqueue(_ context.Context, m actor.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages = append(o.messages, m)
	return nil
}

// take removes the next messages to an aggregate.
func (o *outbox) take(to actor.Address, n int) []actor.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	var taken []actor.Message
	o.messages = slices.DeleteFunc(o.messages, func(m actor.Message) bool {
		if m.Target != to || len(taken) == n {
			return false
		}
		taken = append(taken, m)
		return true
	})
	return taken
}

func (o *outbox) rest() []actor.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.messages)
}

func (s *Scenario) read(collection, key string) (any, bool) {
	s.t.Helper()
	data, found, err := projection.Get[json.RawMessage](s.ctx, s.view, collection, key)
	if err != nil {
		s.t.Fatalf("projectiontest: %v", err)
	}
	return decoded(data), found
}

func (s *Scenario) collection(name string) map[string]any {
	s.t.Helper()
	all, err := s.list(name)
	if err != nil {
		s.t.Fatalf("projectiontest: %v", err)
	}
	return all
}

func (s *Scenario) list(collection string) (map[string]any, error) {
	all := map[string]any{}
	for e, err := range projection.List[json.RawMessage](s.ctx, s.view, collection, projection.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", collection, err)
		}
		all[e.Key] = decoded(e.Value)
	}
	return all, nil
}

// documents returns all documents of the view, by collection.
func (s *Scenario) documents() (map[string]any, error) {
	all := map[string]any{}
	for _, name := range s.storage.names() {
		documents, err := s.list(name)
		if err != nil {
			return nil, err
		}
		all[name] = documents
	}
	return all, nil
}

// describe tells what there is instead.
func (s *Scenario) describe(collection string) string {
	if keys := slices.Sorted(maps.Keys(s.collection(collection))); len(keys) > 0 {
		return fmt.Sprintf("there are %q", keys)
	}
	return fmt.Sprintf("the collection has no documents; collections with documents: %q", s.storage.names())
}

// encoded is a wanted value as it would be stored.
func (s *Scenario) encoded(want any) any {
	s.t.Helper()
	data, err := projection.Encode(want)
	if err != nil {
		s.t.Fatalf("projectiontest: %T cannot be a document: %v", want, err)
	}
	return decoded(data)
}

// decoded reads JSON for comparison. Numbers keep their text.
func decoded(data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Sprintf("no JSON: %q", data)
	}
	return v
}

func compare(want, got any) string { return cmp.Diff(want, got) }

// notedStorage notes the collections that documents are written to.
type notedStorage struct {
	projection.Storage
	mu      sync.Mutex
	written map[string]bool
}

// Begin implements [projection.Storage].
func (s *notedStorage) Begin() projection.Transaction {
	return &notedTransaction{Transaction: s.Storage.Begin(), storage: s}
}

// names returns the collections, without those of the engine's own.
func (s *notedStorage) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.written))
}

type notedTransaction struct {
	projection.Transaction
	storage *notedStorage
}

// Commit implements [projection.Transaction].
func (t *notedTransaction) Commit(ctx context.Context, writes []projection.Write) ([]projection.Revision, error) {
	revisions, err := t.Transaction.Commit(ctx, writes)
	if err == nil {
		t.storage.mu.Lock()
		defer t.storage.mu.Unlock()
		if t.storage.written == nil {
			t.storage.written = map[string]bool{}
		}
		for i := range writes {
			if name := writes[i].Place.Collection; writes[i].Place.Projection != "" && !strings.HasPrefix(name, "_") {
				t.storage.written[name] = true
			}
		}
	}
	return revisions, err //nolint:wrapcheck // it is the storage's
}
