package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
)

type snapshotRecord struct {
	Format    int             `json:"format"`
	Aggregate store.Aggregate `json:"aggregate"`
	Version   store.Version   `json:"version"`
	Schema    string          `json:"schema"`
	Position  positionRecord  `json:"position,omitzero"`
	Time      int64           `json:"time,omitempty"`
	State     json.RawMessage `json:"state,omitempty"`
	Ring      []byte          `json:"ring,omitempty"`
}

const snapshotTries = 20

// SaveSnapshot implements [store.Snapshots]. The largest snapshot is the
// server's max_payload less about 1 KiB.
func (s *Store) SaveSnapshot(ctx context.Context, snapshot store.Snapshot) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if err := s.saveSnapshot(ctx, &snapshot); err != nil {
		return fmt.Errorf("save snapshot of %q: %w", snapshot.Aggregate, err)
	}
	return nil
}

func (s *Store) saveSnapshot(ctx context.Context, snapshot *store.Snapshot) error {
	subject := s.subjects.snapshot(snapshot.Aggregate)
	if err := errors.Join(checkSubject(subject), writable(ctx)); err != nil {
		return err
	}
	data, err := encodeRecord(&snapshotRecord{
		Format: recordFormat, Aggregate: snapshot.Aggregate, Version: snapshot.Version, Schema: snapshot.Schema,
		Position: positionRecord(snapshot.Position), Time: snapshot.Time, State: snapshot.State, Ring: snapshot.Ring,
	})
	if err != nil {
		return unknown(err)
	}
	if limit := int(s.commits.nc.MaxPayload()) - headerSpace; len(data) > limit {
		return fmt.Errorf("snapshot of %d bytes, the server takes %d: %w", len(data), limit, store.ErrTooLarge)
	}
	for range snapshotTries {
		old, seq, found, err := s.lastSnapshot(ctx, subject)
		if err != nil {
			return unknown(err)
		}
		if found && old.Schema == snapshot.Schema && old.Version >= snapshot.Version {
			return nil
		}
		err = s.replaceSnapshot(ctx, subject, data, seq)
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return fmt.Errorf("%w: others keep saving it", store.ErrUnknown)
}

func (s *Store) replaceSnapshot(ctx context.Context, subject string, data []byte, last uint64) error {
	m := nats.NewMsg(subject)
	m.Data = data
	m.Header.Set(headerExpected, strconv.FormatUint(last, 10))
	reply, err := s.commits.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return unknown(sendFailed(err))
	}
	if _, err = acknowledgement(reply); errors.Is(err, errNotTaken) {
		return unknown(err)
	}
	return err
}

// lastSnapshot reads the record. One that cannot be understood counts as not
// found, and is replaced by the next: a snapshot only saves time.
func (s *Store) lastSnapshot(ctx context.Context, subject string) (r snapshotRecord, seq uint64, found bool, err error) {
	m, err := s.snapshots.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return snapshotRecord{}, 0, false, nil
	}
	if err != nil {
		return snapshotRecord{}, 0, false, unavailable(err)
	}
	if understood := json.Unmarshal(m.Data, &r) == nil && r.Format == recordFormat; !understood {
		return snapshotRecord{}, m.Sequence, false, nil
	}
	return r, m.Sequence, true, nil
}

// LoadSnapshot implements [store.Snapshots].
func (s *Store) LoadSnapshot(ctx context.Context, a store.Aggregate, schema string) (store.Snapshot, bool, error) {
	subject := s.subjects.snapshot(a)
	if tooLong(subject) {
		return store.Snapshot{}, false, nil
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	r, _, found, err := s.lastSnapshot(ctx, subject)
	if err != nil {
		return store.Snapshot{}, false, fmt.Errorf("load snapshot of %q: %w", a, err)
	}
	if !found || r.Schema != schema {
		return store.Snapshot{}, false, nil
	}
	return store.Snapshot{
		Aggregate: r.Aggregate, Version: r.Version, Schema: r.Schema, Position: store.Position(r.Position),
		Time: r.Time, State: r.State, Ring: r.Ring,
	}, true, nil
}
