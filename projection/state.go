package projection

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// The engine's own collections. Those of a generation lie beside the view, so that
// one transaction changes both.
const (
	headsName        = "_heads"       // of all projections: head by name
	checkpointsName  = "_checkpoints" // checkpoint by slot
	appliedName      = "_applied"     // applied by source
	parkedName       = "_parked"      // parked by slot and source
	parkedEventsName = "_events"      // parkedEvent by slot, source and version
)

// slotID is the unit in which a projection is read in order and fenced: a
// partition, or 0 for a singleton.
type slotID uint32

func (s slotID) key() string { return fmt.Sprintf("%05d", uint32(s)) }

func heads() Place { return Place{Collection: headsName} }

// Phase is how far a rebuild is.
type Phase string

// The phases of a rebuild.
const (
	PhaseNone     Phase = ""
	PhaseBuilding Phase = "building" // the new generation takes in history
	PhaseFreezing Phase = "freezing" // the live one stands still until the new one is level with it
	PhaseThawing  Phase = "thawing"  // the rebuild was given up; the live one is set free again
)

// head is what is known of a projection as a whole.
type head struct {
	Live     uint64    `json:"live"`     // generation that is read
	Last     uint64    `json:"last"`     // highest generation ever begun
	Building uint64    `json:"building"` // generation being built; 0: none
	Phase    Phase     `json:"phase"`
	Stream   string    `json:"stream"` // in which the rebuild began
	Again    bool      `json:"again"`  // thawing ends with a new rebuild
	Paused   bool      `json:"paused"`
	Retired  []retired `json:"retired"`
	Slots    uint32    `json:"slots"` // partitions; 1 for a singleton
	Origin   origin    `json:"origin"`
	Created  int64     `json:"created"` // microseconds since 1970 UTC
	Shown    []string  `json:"shown"`   // collections that callers outside the program may read
}

// origin is where the events were when the projection became known.
type origin struct {
	Stream   string `json:"stream"`
	Position uint64 `json:"position"`
	Skip     bool   `json:"skip"` // it begins there
}

// retired is a generation that is not read any more.
type retired struct {
	Generation uint64 `json:"generation"`
	At         int64  `json:"at"`   // microseconds since 1970 UTC
	Gone       bool   `json:"gone"` // its documents are being removed
}

// checkpoint is how far a slot of a generation is. Every change of the view goes
// along with a change of it, made on condition that it is as the writer knows it.
type checkpoint struct {
	Stream   string `json:"stream"`
	Position uint64 `json:"position"` // of the last event of the slot that is done with
	Passed   uint64 `json:"passed"`   // up to here there is no other event of the slot
	Done     uint64 `json:"done"`     // events done with
	Parked   int    `json:"parked"`   // events set aside
	Verify   bool   `json:"verify"`   // the stream is another one: what was applied is looked up
	Frozen   bool   `json:"frozen"`   // nothing may be applied any more
	Time     int64  `json:"time"`     // of the last event; microseconds since 1970 UTC

	Epoch   uint64  `json:"epoch"` // of the claim under which the slot last got on; 0: nobody knows
	Suspect suspect `json:"suspect"`

	revision Revision
}

// applied is the version up to which a source's events are done with.
type applied struct {
	Version  uint64 `json:"version"`
	Position uint64 `json:"position"`
	Waits    uint64 `json:"waits"` // version of the first event that is parked; 0: none
}

// parked is a source whose events wait.
type parked struct {
	Source   string      `json:"source"`
	Slot     uint32      `json:"slot"`
	State    ParkedState `json:"state"`
	Ask      ask         `json:"ask"`
	Event    string      `json:"event"`    // name of the first one that waits
	Version  uint64      `json:"version"`  // of the first one that waits
	Position uint64      `json:"position"` // of the first one that waits
	Count    int         `json:"count"`
	Attempts int         `json:"attempts"`
	Reason   string      `json:"reason"`
	Stack    string      `json:"stack"`
	Since    int64       `json:"since"` // microseconds since 1970 UTC
	Next     int64       `json:"next"`  // when it is tried again; microseconds since 1970 UTC

	revision Revision
}

// ask is what an operator wants done with a parked source.
type ask string

const (
	askRetry ask = "retry"
	askSkip  ask = "skip"
)

// parkedEvent is an event that waits.
type parkedEvent struct {
	Partition   uint32 `json:"partition"`
	Position    uint64 `json:"position"`
	Version     uint64 `json:"version"`
	Name        string `json:"name"`
	Data        string `json:"data"`
	Time        int64  `json:"time"` // microseconds since 1970 UTC
	CommandID   string `json:"commandId"`
	Trace       string `json:"trace"`
	Correlation string `json:"correlation"`
	Causation   string `json:"causation"`
	User        string `json:"user"`
	Replayed    bool   `json:"replayed"`
	Omitted     bool   `json:"omitted"` // Data is too large: the stream has it

	revision Revision
}

func newParkedEvent(r *record) parkedEvent {
	return parkedEvent{
		Partition: uint32(r.Partition), Position: r.Position, Version: uint64(r.Version), Name: r.Name, Data: string(r.Data), Time: r.Time.UnixMicro(),
		CommandID: string(r.CommandID), Trace: r.Metadata.Trace, Correlation: r.Metadata.Correlation,
		Causation: r.Metadata.Causation, User: r.Metadata.User, Replayed: r.replayed,
	}
}

func (e *parkedEvent) record(source actor.Address) record {
	return record{replayed: e.Replayed, EventRecord: actor.EventRecord{
		Position: e.Position, Partition: actor.Partition(e.Partition), Source: source, Version: actor.Version(e.Version), Name: e.Name,
		Data: []byte(e.Data), Time: time.UnixMicro(e.Time).UTC(), CommandID: actor.CommandID(e.CommandID),
		Metadata: actor.Metadata{Trace: e.Trace, Correlation: e.Correlation, Causation: e.Causation, User: e.User},
	}}
}

func parkedKey(s slotID, source string) string { return s.key() + "/" + source }

func parkedEventKey(s slotID, source string, version uint64) string {
	return parkedEventPrefix(s, source) + fmt.Sprintf("%020d", version)
}

// parkedEventPrefix ends with a byte that no address contains, so that no source's
// prefix is another's.
func parkedEventPrefix(s slotID, source string) string { return parkedKey(s, source) + "\x00" }

// readHead returns a projection's head. The error is ErrNotFound before it first ran.
func readHead(ctx context.Context, s Storage, name string) (head, Revision, error) {
	docs, err := s.Read(ctx, heads(), name)
	if err != nil {
		return head{}, "", fmt.Errorf("read head of %s: %w", name, err)
	}
	if docs[0].Revision == "" {
		return head{}, "", fmt.Errorf("projection %s: %w", name, ErrNotFound)
	}
	var h head
	if err := s.Unmarshal(docs[0].Data, &h); err != nil {
		return head{}, "", fmt.Errorf("decode head of %s: %w", name, err)
	}
	return h, docs[0].Revision, nil
}

// writeHead replaces a head that is at the revision; empty: that does not exist.
func writeHead(ctx context.Context, s Storage, name string, h *head, was Revision) error {
	data, err := s.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode head of %s: %w", name, err)
	}
	return commitOne(ctx, s, Write{Place: heads(), Key: name, Data: data, Check: true, Expect: was})
}

func commitOne(ctx context.Context, s Storage, w Write) error {
	txn := s.Begin()
	defer txn.Abort(ctx)
	if _, err := txn.Commit(ctx, []Write{w}); err != nil {
		return fmt.Errorf("write %s %s: %w", w.Place.Collection, w.Key, err)
	}
	return nil
}

// headTries bounds how often a change of a head is made again on what somebody else
// has made of it.
const headTries = 20

// changeHead changes a projection's head. change returns an error to leave it, or
// errLeave to do so without one.
func changeHead(ctx context.Context, s Storage, name string, change func(*head) error) error {
	var err error
	for range headTries {
		var h head
		var was Revision
		if h, was, err = readHead(ctx, s, name); err != nil {
			return err
		}
		if err := change(&h); err != nil {
			if errors.Is(err, errLeave) {
				return nil
			}
			return err
		}
		if err = writeHead(ctx, s, name, &h, was); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

var errLeave = errors.New("leave it as it is")

// readCheckpoints returns the checkpoints of a generation, by slot.
func readCheckpoints(ctx context.Context, s Storage, projection string, generation uint64) (map[slotID]checkpoint, error) {
	all := map[slotID]checkpoint{}
	for doc, err := range s.List(ctx, Place{projection, generation, checkpointsName}, Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read checkpoints of %s: %w", projection, err)
		}
		id, err := strconv.ParseUint(doc.Key, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("checkpoint %q of %s: %w", doc.Key, projection, ErrNotFound)
		}
		cp, err := decodeCheckpoint(s, doc)
		if err != nil {
			return nil, err
		}
		all[slotID(id)] = cp
	}
	return all, nil
}

func readCheckpoint(ctx context.Context, s Storage, projection string, generation uint64, id slotID) (checkpoint, error) {
	docs, err := s.Read(ctx, Place{projection, generation, checkpointsName}, id.key())
	if err != nil {
		return checkpoint{}, fmt.Errorf("read checkpoint of %s: %w", projection, err)
	}
	if docs[0].Revision == "" {
		return checkpoint{}, nil
	}
	return decodeCheckpoint(s, docs[0])
}

func decodeCheckpoint(s Storage, doc Document) (checkpoint, error) {
	var cp checkpoint
	if err := s.Unmarshal(doc.Data, &cp); err != nil {
		return cp, fmt.Errorf("decode checkpoint: %w", err)
	}
	cp.revision = doc.Revision
	return cp, nil
}
