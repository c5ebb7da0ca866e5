package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
)

const (
	headerStream       = "Nats-Stream"
	headerSubject      = "Nats-Subject"
	headerSequence     = "Nats-Sequence"
	headerPending      = "Nats-Num-Pending"
	headerLastSequence = "Nats-Last-Sequence"
	headerUpTo         = "Nats-UpTo-Sequence"

	statusEndOfBatch   = "204"
	statusNotFound     = "404"
	statusNoResponders = "503"

	batchMessages = 256
	batchBytes    = 1 << 20
	behindPause   = 2 * time.Millisecond
)

// stream reads and writes one stream with direct gets and conditional publishes.
//
// With replicas, any of them may answer a direct get. Each stream has a mark, a
// message that always exists, so that an answer always tells how far the replica
// is; reads ask the leader first how far it should be. Replicas hold prefixes of
// the same log, so an answer that reaches far enough is never wrong.
type stream struct {
	nc       *nats.Conn
	handle   jetstream.Stream
	name     string
	gets     string // subject of direct gets
	mark     string
	replicas int
	timeout  time.Duration // of one read
	batches  chan struct{} // atomic batches in flight; nil: the server has none
	minBatch int           // messages from which on an atomic batch is worth it
	pages    chan struct{} // reads of many messages under way; nil: any number
	floor    atomic.Uint64 // reads must see at least this sequence
}

// maxBatches leaves room for other nodes within the 50 batches in flight that a
// server allows a stream.
const maxBatches = 6

// maxPages is how many reads of many messages a store makes at once. What readers wait for
// costs the server and the client no time that others need.
const maxPages = 8

func newStream(nc *nats.Conn, handle jetstream.Stream, mark string, timeout time.Duration) *stream {
	cfg := handle.CachedInfo().Config
	st := &stream{nc: nc, handle: handle, name: cfg.Name, gets: "$JS.API.DIRECT.GET." + cfg.Name, mark: mark, replicas: cfg.Replicas, timeout: timeout, minBatch: minBatch}
	if cfg.Replicas == 1 && cfg.Storage == jetstream.FileStorage {
		st.minBatch = minBatchFile
	}
	if cfg.AllowAtomicPublish {
		st.batches = make(chan struct{}, maxBatches)
	}
	return st
}

// writeFirstMark makes sure that the mark exists. It is written again when nobody
// answers, as between two leaders: one too many is refused.
func (st *stream) writeFirstMark(ctx context.Context) error {
	for {
		first := &conditional{subject: st.mark, data: []byte(`{}`)}
		attempt, cancel := context.WithTimeout(ctx, openAttempt)
		st.publishEach(attempt, []*conditional{first})
		cancel()
		if first.err == nil || errors.Is(first.err, errMoved) {
			return nil
		}
		silent := errors.Is(first.err, errNotTaken) || errors.Is(first.err, context.DeadlineExceeded)
		if !silent || pause(ctx, openPause) != nil {
			return fmt.Errorf("mark of %s: %w: %w", st.name, store.ErrUnavailable, first.err)
		}
	}
}

// barrier writes a mark and returns its sequence, 0 without replicas. Whatever was
// stored before is below it, and reads that begin later reach at least that far,
// also when an old leader still believes that it leads.
func (st *stream) barrier(ctx context.Context) (uint64, error) {
	if st.replicas == 1 {
		return 0, nil // one server answers all reads
	}
	reply, err := st.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: st.mark, Data: []byte(`{}`)})
	if err != nil {
		return 0, sendFailed(err)
	}
	seq, err := acknowledgement(reply)
	if err != nil {
		return 0, err
	}
	st.raiseFloor(seq)
	return seq, nil
}

func (st *stream) raiseFloor(seq uint64) {
	for old := st.floor.Load(); old < seq; old = st.floor.Load() {
		if st.floor.CompareAndSwap(old, seq) {
			return
		}
	}
}

// incarnation tells this stream from one that had its name before.
func (st *stream) incarnation() string {
	return strconv.FormatInt(st.handle.CachedInfo().Created.UnixNano(), 36)
}

// leaderSequence asks the leader for the stream's last sequence.
func (st *stream) leaderSequence(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, st.timeout)
	defer cancel()
	for patience := firstAttempt; ; patience = longer(patience) {
		attempt, cancel := context.WithTimeout(ctx, min(st.timeout, patience))
		info, err := st.handle.Info(attempt)
		cancel()
		if err == nil {
			return info.State.LastSeq, nil
		}
		if silent := errors.Is(err, context.DeadlineExceeded); !silent || pause(ctx, behindPause) != nil {
			return 0, fmt.Errorf("info of %s: %w: %w", st.name, store.ErrUnavailable, err)
		}
	}
}

// required is the sequence that a read which begins now must reach.
func (st *stream) required(ctx context.Context) (uint64, error) {
	if st.replicas == 1 {
		return 0, nil
	}
	seq, err := st.leaderSequence(ctx)
	return max(seq, st.floor.Load()), err
}

// getRequest is the body of a direct get.
type getRequest struct {
	Sequence uint64   `json:"seq,omitempty"`
	Next     string   `json:"next_by_subj,omitempty"`
	Batch    int      `json:"batch,omitempty"`
	MaxBytes int      `json:"max_bytes,omitempty"`
	Last     []string `json:"multi_last,omitempty"`
}

// mostReplies is how many messages can answer the request, so that none is
// dropped for want of room: what is asked for and the status.
func (r *getRequest) mostReplies() int {
	if r.Batch > 0 {
		return r.Batch + 1
	}
	return maxLast + 1
}

// maxLast is how many messages a server returns for a multi-get.
const maxLast = 1024

// stored is a message as the stream holds it.
type stored struct {
	subject string
	seq     uint64
	header  nats.Header
	data    []byte
}

// answer is what a replica said to one direct get.
type answer struct {
	messages []stored
	pending  uint64 // messages that match and were not sent
	upTo     uint64 // the replica's last sequence; multi-get only
}

// One read is waited for from firstAttempt to longestAttempt, twice as long each
// time. Its answer can be lost with the replica that would have sent it, and another
// one has it; or the servers are slow, and take longer than that.
const (
	firstAttempt   = 500 * time.Millisecond
	longestAttempt = 3 * time.Second
)

func longer(patience time.Duration) time.Duration { return min(2*patience, longestAttempt) }

// get makes one direct get and collects its whole answer. The error wraps errSilent
// when that does not come, although ctx goes on.
func (st *stream) get(ctx context.Context, request *getRequest, patience time.Duration) (answer, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return answer{}, fmt.Errorf("direct get: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return answer{}, unavailable(err)
	}
	if st.pages != nil && request.Batch > 1 {
		select {
		case st.pages <- struct{}{}:
			defer func() { <-st.pages }()
		case <-ctx.Done():
			return answer{}, unavailable(ctx.Err())
		}
	}
	attempt, cancel := context.WithTimeout(ctx, min(st.timeout, patience))
	defer cancel()
	inbox := st.nc.NewInbox()
	replies := make(chan *nats.Msg, request.mostReplies())
	sub, err := st.nc.ChanSubscribe(inbox, replies)
	if err != nil {
		return answer{}, unavailable(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is closed, and then there is nothing to undo
	if err := st.nc.PublishRequest(st.gets, inbox, body); err != nil {
		return answer{}, unavailable(err)
	}
	var a answer
	for {
		m, err := receive(attempt, replies)
		if err != nil && ctx.Err() == nil {
			return answer{}, fmt.Errorf("%w: direct get of %s: %w", store.ErrUnavailable, st.name, errSilent)
		}
		if err != nil {
			return answer{}, unavailable(err)
		}
		if status := m.Header.Get("Status"); status != "" {
			return a, a.finish(st.name, status, m)
		}
		if err := a.add(m); err != nil {
			return answer{}, err
		}
	}
}

func (a *answer) add(m *nats.Msg) error {
	seq, err := strconv.ParseUint(m.Header.Get(headerSequence), 10, 64)
	previous, err2 := strconv.ParseUint(m.Header.Get(headerLastSequence), 10, 64)
	if err != nil || err2 != nil {
		return fmt.Errorf("direct get without a sequence: %w", store.ErrCorrupt)
	}
	if last := a.lastSequence(); previous != last { // the client dropped one
		return fmt.Errorf("%w: direct get lost messages between %d and %d", store.ErrUnavailable, last, previous)
	}
	a.messages = append(a.messages, stored{subject: m.Header.Get(headerSubject), seq: seq, header: m.Header, data: m.Data})
	return nil
}

func (a *answer) lastSequence() uint64 {
	if len(a.messages) == 0 {
		return 0
	}
	return a.messages[len(a.messages)-1].seq
}

// finish reads the status that ends an answer.
func (a *answer) finish(name, status string, m *nats.Msg) error {
	switch status {
	case statusNotFound:
		return nil
	case statusEndOfBatch:
		if last := m.Header.Get(headerLastSequence); last != strconv.FormatUint(a.lastSequence(), 10) {
			return fmt.Errorf("%w: direct get lost messages before %s", store.ErrUnavailable, last)
		}
		a.pending, _ = strconv.ParseUint(m.Header.Get(headerPending), 10, 64) // absent: none
		a.upTo, _ = strconv.ParseUint(m.Header.Get(headerUpTo), 10, 64)       // absent: unknown
		return nil
	default:
		return fmt.Errorf("%w: direct get of %s: status %s %s", store.ErrUnavailable, name, status, m.Header.Get("Description"))
	}
}

// last returns the last message of each subject that matches a filter, at most
// 1000 in all, as of now: what was stored before the call is seen.
func (st *stream) last(ctx context.Context, filters ...string) (map[string]stored, error) {
	least, err := st.required(ctx)
	if err != nil {
		return nil, err
	}
	return st.lastFrom(ctx, least, filters)
}

// lastConfirmed is last, with a majority's word that nothing else was stored
// before the call, whoever believes to be the leader.
func (st *stream) lastConfirmed(ctx context.Context, filters ...string) (map[string]stored, error) {
	least, err := st.barrier(ctx)
	if err != nil {
		return nil, err
	}
	return st.lastFrom(ctx, least, filters)
}

// lastFrom asks until a replica answers that has the sequence.
func (st *stream) lastFrom(ctx context.Context, least uint64, filters []string) (map[string]stored, error) {
	ctx, cancel := context.WithTimeout(ctx, st.timeout)
	defer cancel()
	for patience := firstAttempt; ; {
		found, err := st.lastOnce(ctx, filters, least, patience)
		if !errors.Is(err, errBehind) && !errors.Is(err, errSilent) {
			return found, err
		}
		if errors.Is(err, errSilent) {
			patience = longer(patience)
		}
		if err := st.awaitReplica(ctx); err != nil {
			return nil, err
		}
	}
}

func (st *stream) lastOnce(ctx context.Context, filters []string, least uint64, patience time.Duration) (map[string]stored, error) {
	found := map[string]stored{}
	request := &getRequest{Last: append([]string{st.mark}, filters...), MaxBytes: 4 * batchBytes}
	for {
		a, err := st.get(ctx, request, patience)
		if err != nil {
			return nil, err
		}
		if a.upTo == 0 || a.upTo < least { // 0: not even the mark
			return nil, errBehind
		}
		for _, m := range a.messages {
			if m.subject != st.mark {
				found[m.subject] = m
			}
		}
		if a.pending == 0 || len(a.messages) == 0 {
			return found, nil
		}
		// What moves meanwhile is found again further on.
		request.Sequence, least = a.lastSequence()+1, a.upTo
	}
}

// scan calls visit for the messages of a subject with sequences from first to
// last, in order. There must be a message at last. It stops when visit returns
// false.
func (st *stream) scan(ctx context.Context, subject string, first, last uint64, visit func(stored) (bool, error)) error {
	for first <= last {
		a, err := st.next(ctx, &getRequest{Sequence: first, Next: subject, Batch: batchMessages, MaxBytes: batchBytes})
		if err != nil {
			return err
		}
		for _, m := range a.messages {
			if m.seq > last {
				return nil
			}
			if more, err := visit(m); err != nil || !more {
				return err
			}
		}
		first = a.lastSequence() + 1
	}
	return nil
}

// next makes a request for messages of which there must be at least one. An
// empty answer comes from a replica that does not have it yet.
func (st *stream) next(ctx context.Context, request *getRequest) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, st.timeout)
	defer cancel()
	for patience := firstAttempt; ; {
		a, err := st.get(ctx, request, patience)
		if err != nil && !errors.Is(err, errSilent) || len(a.messages) > 0 {
			return a, err
		}
		if err != nil {
			patience = longer(patience)
		}
		if err := st.awaitReplica(ctx); err != nil {
			return answer{}, err
		}
	}
}

func (st *stream) awaitReplica(ctx context.Context) error {
	if err := pause(ctx, behindPause); err != nil {
		return fmt.Errorf("%w: %s: %w: %w", store.ErrUnavailable, st.name, errBehind, err)
	}
	return nil
}

func receive(ctx context.Context, replies <-chan *nats.Msg) (*nats.Msg, error) {
	select {
	case m := <-replies:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
