package audit

import (
	"fmt"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/store"
)

// Ledger is what the commits of all aggregates come to. Make it with [NewLedger].
type Ledger struct {
	Commits int
	Events  int

	behaviors    map[actor.Kind]*actor.Behavior
	versions     map[actor.Address]store.Version
	portfolios   map[string]*portfolio
	books        map[string]*book
	transactions map[string]*transaction
	sagas        map[actor.Address]*saga
	users        map[string]*user
	usernames    map[string]*username
	companies    map[string]*company
	settlements  map[settlementKey]*settlement
	deposited    int64            // from outside, less what was withdrawn
	added        map[string]int64 // from outside, by book
	found        findings         // while folding
}

// NewLedger returns an empty one.
func NewLedger() *Ledger {
	l := &Ledger{
		behaviors: map[actor.Kind]*actor.Behavior{}, versions: map[actor.Address]store.Version{},
		portfolios: map[string]*portfolio{}, books: map[string]*book{}, transactions: map[string]*transaction{},
		sagas: map[actor.Address]*saga{}, users: map[string]*user{}, usernames: map[string]*username{}, companies: map[string]*company{},
		settlements: map[settlementKey]*settlement{}, added: map[string]int64{},
	}
	for _, d := range domain.Definitions() {
		l.behaviors[d.Behavior().Kind()] = d.Behavior()
	}
	return l
}

// Add takes in a commit: those of one aggregate in their order, those of different
// ones in any. Aggregates of other applications are passed over. The error says which
// event cannot be decoded.
func (l *Ledger) Add(c *store.Commit) error {
	source, err := actor.ParseAddress(string(c.Aggregate))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	b := l.behaviors[source.Kind]
	if b == nil {
		return nil
	}
	l.Commits++
	if had := l.versions[source]; c.First != had+1 {
		l.found.add(History, source.String(), "version %d follows on version %d", c.First, had)
	}
	l.versions[source] = c.Last()
	for i, e := range c.Events {
		l.Events++
		if actor.Reserved(e.Name) {
			l.reserved(source, e.Name)
			continue
		}
		decoded, err := b.Decode(actor.Event(e))
		if err != nil {
			return fmt.Errorf("audit: version %d of %s: %w", c.First+store.Version(i), source, err) //nolint:gosec // an index
		}
		l.event(source, actor.Version(c.First)+actor.Version(i), decoded) //nolint:gosec // an index
	}
	return nil
}

// unreadable takes in a commit that cannot be understood. What follows on it is read as if it
// could be.
func (l *Ledger) unreadable(item *store.FeedItem) {
	c := &item.Commit
	l.found.add(History, string(c.Aggregate), "version %d cannot be read: %v", c.First, item.Unreadable)
	if source, err := actor.ParseAddress(string(c.Aggregate)); err == nil {
		l.versions[source] = max(l.versions[source], c.First, item.Last)
	}
}

func (l *Ledger) event(source actor.Address, v actor.Version, e any) {
	switch source.Kind {
	case domain.Portfolios.Behavior().Kind():
		l.portfolio(source.ID, e)
	case domain.OrderBooks.Behavior().Kind():
		l.book(source, v, e)
	case domain.Transactions.Behavior().Kind():
		l.transaction(source.ID, e)
	case domain.Buyings.Behavior().Kind(), domain.Sellings.Behavior().Kind(), domain.Registrations.Behavior().Kind():
		l.saga(source)
	default:
		l.register(source.ID, e)
	}
}

// at returns the entry of an id, a new one if there is none.
func at[K comparable, T any](all map[K]*T, id K) *T {
	known := all[id]
	if known == nil {
		known = new(T)
		all[id] = known
	}
	return known
}

// saga is what a saga's history says.
type saga struct{ ended, overdue bool }

func (l *Ledger) saga(a actor.Address) *saga { return at(l.sagas, a) }

// reserved takes in an event of the runtime's own.
func (l *Ledger) reserved(source actor.Address, name string) {
	switch name {
	case actor.EventEnded:
		l.saga(source).ended = true
	case actor.EventOverdue:
		l.saga(source).overdue = true
	}
}
