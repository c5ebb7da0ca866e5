package jetstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/store"
)

// recordFormat is written into every record. A reader refuses a newer one.
const recordFormat = 1

// headerVersions tells a commit's first and last version without its body.
const headerVersions = "Ganglion-Versions"

type commitRecord struct {
	Format    int              `json:"format"`
	Aggregate store.Aggregate  `json:"aggregate"`
	First     store.Version    `json:"first"`
	Partition store.Partition  `json:"partition,omitempty"`
	Position  positionRecord   `json:"position,omitzero"`
	Time      int64            `json:"time,omitempty"`
	Outcomes  []outcomeRecord  `json:"outcomes,omitempty"`
	Events    []eventRecord    `json:"events"`
	Out       []outgoingRecord `json:"out,omitempty"`
}

type positionRecord struct {
	Stream   string `json:"stream,omitempty"`
	Sequence uint64 `json:"seq,omitempty"`
	Rest     uint32 `json:"rest,omitempty"`
}

type eventRecord struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
}

type outcomeRecord struct {
	CommandID string          `json:"id"`
	Keyed     bool            `json:"keyed,omitempty"`
	Name      string          `json:"name,omitempty"`
	Digest    string          `json:"digest,omitempty"`
	Events    int             `json:"events,omitempty"`
	Hidden    int             `json:"hidden,omitempty"`
	Reply     json.RawMessage `json:"reply,omitempty"`
	Rejection json.RawMessage `json:"rejection,omitempty"`
	Metadata  metadataRecord  `json:"meta,omitzero"`
}

type metadataRecord struct {
	Trace       string `json:"trace,omitempty"`
	Correlation string `json:"correlation,omitempty"`
	Causation   string `json:"causation,omitempty"`
	User        string `json:"user,omitempty"`
}

type outgoingRecord struct {
	ID            string          `json:"id,omitempty"`
	To            store.Aggregate `json:"to"`
	Name          string          `json:"name,omitempty"`
	At            int64           `json:"at,omitempty"`
	Timer         string          `json:"timer,omitempty"`
	Data          json.RawMessage `json:"data,omitempty"`
	Metadata      metadataRecord  `json:"meta,omitzero"`
	OnRefusal     string          `json:"onRefusal,omitempty"`
	OnRefusalData json.RawMessage `json:"onRefusalData,omitempty"`
}

func encodeCommit(c *store.Commit) ([]byte, error) {
	r := commitRecord{
		Format: recordFormat, Aggregate: c.Aggregate, First: c.First, Partition: c.Partition,
		Position: positionRecord(c.Position), Time: c.Time,
	}
	for i := range c.Events {
		r.Events = append(r.Events, eventRecord{Name: c.Events[i].Name, Data: c.Events[i].Data})
	}
	for i := range c.Outcomes {
		o := &c.Outcomes[i]
		r.Outcomes = append(r.Outcomes, outcomeRecord{
			CommandID: o.CommandID, Keyed: o.Keyed, Name: o.Name, Digest: o.Digest, Events: o.Events, Hidden: o.Hidden,
			Reply: o.Reply, Rejection: o.Rejection, Metadata: metadataRecord(o.Metadata),
		})
	}
	for i := range c.Out {
		o := &c.Out[i]
		r.Out = append(r.Out, outgoingRecord{
			ID: o.ID, To: o.To, Name: o.Name, At: o.At, Timer: o.Timer, Data: o.Data, Metadata: metadataRecord(o.Metadata),
			OnRefusal: o.OnRefusal, OnRefusalData: o.OnRefusalData,
		})
	}
	return encodeRecord(&r)
}

// decodeCommit reads the commit of a stored message. Its error wraps
// [store.ErrCorrupt].
func decodeCommit(m *stored) (store.Commit, error) {
	var r commitRecord
	if err := decodeRecord(m.data, &r); err != nil {
		return store.Commit{}, fmt.Errorf("commit at %d: %w", m.seq, err)
	}
	if r.Format != recordFormat {
		return store.Commit{}, fmt.Errorf("commit at %d has format %d: %w", m.seq, r.Format, store.ErrCorrupt)
	}
	c := store.Commit{
		Aggregate: r.Aggregate, First: r.First, Partition: r.Partition,
		Position: store.Position(r.Position), Time: r.Time,
	}
	for _, e := range r.Events {
		c.Events = append(c.Events, store.Event{Name: e.Name, Data: e.Data})
	}
	for _, o := range r.Outcomes {
		c.Outcomes = append(c.Outcomes, store.Outcome{
			CommandID: o.CommandID, Keyed: o.Keyed, Name: o.Name, Digest: o.Digest, Events: o.Events, Hidden: o.Hidden,
			Reply: o.Reply, Rejection: o.Rejection, Metadata: store.Metadata(o.Metadata),
		})
	}
	for _, o := range r.Out {
		c.Out = append(c.Out, store.Outgoing{
			ID: o.ID, To: o.To, Name: o.Name, At: o.At, Timer: o.Timer, Data: o.Data, Metadata: store.Metadata(o.Metadata),
			OnRefusal: o.OnRefusal, OnRefusalData: o.OnRefusalData,
		})
	}
	return c, nil
}

// encodeRecord writes JSON and leaves the characters that HTML gives a meaning.
func encodeRecord(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func decodeRecord(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return nil
}

func versionsHeader(c *store.Commit) nats.Header {
	return nats.Header{headerVersions: {fmt.Sprintf("%d-%d", c.First, c.Last())}}
}

// versionsOf reads the first and last version of a stored commit.
func versionsOf(m *stored) (first, last store.Version, err error) {
	from, to, _ := strings.Cut(m.header.Get(headerVersions), "-")
	a, err1 := strconv.ParseUint(from, 10, 64)
	b, err2 := strconv.ParseUint(to, 10, 64)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("versions %q of the commit at %d: %w", m.header.Get(headerVersions), m.seq, store.ErrCorrupt)
	}
	return store.Version(a), store.Version(b), nil
}
