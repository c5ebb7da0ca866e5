package storetest

import (
	"fmt"
	"strings"

	"github.com/ganglion-go/ganglion/store"
)

const epoch2026 = 1_767_225_600_000_000 // microseconds since 1970 UTC

// history makes the consecutive commits of one aggregate.
type history struct {
	aggregate store.Aggregate
	last      store.Version
	made      []store.Commit
}

func newHistory(a store.Aggregate) *history { return &history{aggregate: a} }

// next returns the commit that follows the ones made before.
func (h *history) next(events int) store.Commit {
	c := sampleCommit(h.aggregate, h.last+1, events, "w")
	h.last = c.Last()
	h.made = append(h.made, c)
	return c
}

// some returns n more commits of one to three events.
func (h *history) some(n int) []store.Commit {
	from := len(h.made)
	for i := range n {
		h.next(1 + i%3)
	}
	return h.made[from:]
}

// sampleCommit fills every field. writer makes commits of the same version
// differ.
func sampleCommit(a store.Aggregate, first store.Version, events int, writer string) store.Commit {
	id := func(part string) string { return fmt.Sprintf("%s-%s-%d", writer, part, first) }
	c := store.Commit{
		Aggregate: a,
		First:     first,
		Partition: store.Partition(first % 128),
		Position:  store.Position{Stream: "incarnation-1", Sequence: 1000 + uint64(first)},
		Time:      epoch2026 + int64(first)*1000 + 7, //nolint:gosec // small numbers
		Outcomes: []store.Outcome{
			{CommandID: id("refused"), Name: "Withdraw", Hidden: 3, Rejection: fmt.Appendf(nil, `{"code":"closed","writer":%q}`, writer)},
			{
				CommandID: id("done"), Keyed: first%2 == 0, Name: "Deposit", Digest: "AAECAwQFBgcICQoLDA0ODw", Events: events,
				Reply:    fmt.Appendf(nil, `{"balance":%d}`, first),
				Metadata: store.Metadata{Trace: "00-4bf9", Correlation: "corr", Causation: "cause", User: "ann"},
			},
		},
		Out: []store.Outgoing{
			{
				ID: id("out"), To: "ledger/l-1", Name: "Post", Data: []byte(`{"n":1}`),
				Metadata:  store.Metadata{Trace: "00-4bf9", Correlation: "corr", Causation: id("done"), User: "ann"},
				OnRefusal: "NotPosted", OnRefusalData: []byte(`{"refusal":{"code":""},"n":1}`),
			},
			{ID: id("later"), To: a, Name: "Remind", At: epoch2026 + 1, Timer: "reminder", Data: []byte(`{}`)},
			{To: a, Timer: "other"},
		},
	}
	for i := range events {
		c.Events = append(c.Events, store.Event{Name: "deposited.v1", Data: fmt.Appendf(nil, `{"by":%q,"i":%d}`, writer, i)})
	}
	return c
}

// bigCommit is a commit whose one event carries about n bytes of JSON.
func bigCommit(a store.Aggregate, first store.Version, n int) store.Commit {
	c := sampleCommit(a, first, 1, "big")
	c.Events[0].Data = bigObject(n)
	return c
}

// bigObject is a JSON object of about n bytes.
func bigObject(n int) []byte {
	const line = "0123456789abcdef"
	return []byte(`{"text":"` + strings.Repeat(line, n/len(line)+1) + `"}`)
}

func aggregateN(i int) store.Aggregate { return store.Aggregate(fmt.Sprintf("account/a-%d", i)) }
