package jetstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/store"
)

const (
	headerExpected      = "Nats-Expected-Last-Subject-Sequence"
	headerBatch         = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"

	// headerSpace is more than the headers of a message take.
	headerSpace = 512

	// maxChunk and maxChunkBytes bound what is published at once. A server
	// takes up to 1000 messages in a batch.
	maxChunk      = 500
	maxChunkBytes = 8 << 20

	// A single server stages each batch in files of its own, which costs as much
	// as some ten to twenty-five messages with an fsync each.
	minBatchFile = 24
	minBatch     = 2

	maxRounds      = 12
	batchRounds    = 3
	firstBackoff   = time.Millisecond
	biggestBackoff = 100 * time.Millisecond
)

// conditional is a message that is stored only if its subject's last message
// has the expected sequence (0: there is none).
type conditional struct {
	subject  string
	header   nats.Header
	data     []byte
	expected uint64

	settled bool
	seq     uint64 // of the message, once stored
	err     error  // why it is not stored, or not known to be
}

func (c *conditional) fail(err error) { c.settled, c.err = true, err }

func (c *conditional) stored(seq uint64) { c.settled, c.seq, c.err = true, seq, nil }

// refused notes why the message was not stored, and leaves it to another try
// when there can be one.
func (c *conditional) refused(err error) {
	c.err = err
	c.settled = !errors.Is(err, errMoved) && !errors.Is(err, errNotTaken)
}

func (c *conditional) message() *nats.Msg {
	m := nats.NewMsg(c.subject)
	maps.Copy(m.Header, c.header)
	m.Header.Set(headerExpected, strconv.FormatUint(c.expected, 10))
	m.Data = c.data
	return m
}

// planner decides about messages that are not stored yet: it sets what each of
// them expects, or settles it. It is called again with those that were refused,
// and then must read the stream anew.
type planner func(ctx context.Context, todo []*conditional, round int) error

// writeAll stores each message for itself and settles all of them: stored,
// failed by the planner, or failed with one of the store's errors.
//
// The messages of a round go out as one atomic batch. When the server refuses
// it, nothing of it was stored; the planner then sorts out those that conflict,
// and the rest goes out again, after a few rounds message by message.
func (st *stream) writeAll(ctx context.Context, all []*conditional, plan planner) {
	limit := int(st.nc.MaxPayload()) - headerSpace
	for _, c := range all {
		if !c.settled && len(c.data) > limit {
			c.fail(fmt.Errorf("record of %d bytes, the server takes %d: %w", len(c.data), limit, store.ErrTooLarge))
		}
	}
	for round := 0; ; round++ {
		todo := unsettled(all)
		if len(todo) == 0 {
			return
		}
		err := plan(ctx, todo, round)
		if err == nil && round == maxRounds {
			err = fmt.Errorf("gave up after %d tries", round)
		}
		if err == nil && round > 1 {
			err = pause(ctx, backoff(round))
		}
		if err != nil {
			for _, c := range unsettled(todo) {
				c.fail(unknown(errors.Join(err, c.err)))
			}
			return
		}
		for chunk := range chunks(unsettled(todo)) {
			if st.batches != nil && len(chunk) >= st.minBatch && round < batchRounds {
				st.publishBatch(ctx, chunk)
			} else {
				st.publishEach(ctx, chunk)
			}
		}
	}
}

func backoff(round int) time.Duration { return min(firstBackoff<<(round-2), biggestBackoff) }

func unsettled(all []*conditional) []*conditional {
	todo := make([]*conditional, 0, len(all))
	for _, c := range all {
		if !c.settled {
			todo = append(todo, c)
		}
	}
	return todo
}

// chunks cuts messages into runs within the limits of one batch.
func chunks(all []*conditional) func(yield func([]*conditional) bool) {
	return func(yield func([]*conditional) bool) {
		for start := 0; start < len(all); {
			end, size := start+1, len(all[start].data)
			for end < len(all) && end-start < maxChunk && size+len(all[end].data) <= maxChunkBytes {
				size += len(all[end].data)
				end++
			}
			if !yield(all[start:end]) {
				return
			}
			start = end
		}
	}
}

// publishBatch publishes messages as one atomic batch. Only the last of them is
// answered, for all: with the sequence of the last, which the others precede
// without gaps.
func (st *stream) publishBatch(ctx context.Context, chunk []*conditional) {
	select {
	case st.batches <- struct{}{}:
		defer func() { <-st.batches }()
	case <-ctx.Done():
		failAll(chunk, unknown(ctx.Err()))
		return
	}
	last, err := st.sendBatch(ctx, chunk)
	for i, c := range chunk {
		if err != nil {
			c.refused(err)
			continue
		}
		c.stored(last - uint64(len(chunk)-1-i)) //nolint:gosec // i < len(chunk)
	}
}

func (st *stream) sendBatch(ctx context.Context, chunk []*conditional) (last uint64, err error) {
	id := nuid.Next()
	for i, c := range chunk {
		m := c.message()
		m.Header.Set(headerBatch, id)
		m.Header.Set(headerBatchSequence, strconv.Itoa(i+1))
		if i < len(chunk)-1 {
			if err := st.nc.PublishMsg(m); err != nil {
				// The batch has no commit message: it is never stored.
				return 0, fmt.Errorf("%w: %w", errNotTaken, err)
			}
			continue
		}
		m.Header.Set(headerBatchCommit, "1")
		reply, err := st.nc.RequestMsgWithContext(ctx, m)
		if err != nil {
			return 0, sendFailed(err)
		}
		if last, err = acknowledgement(reply); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// publishOne publishes a message and waits for the answer.
func (st *stream) publishOne(ctx context.Context, c *conditional) {
	reply, err := st.nc.RequestMsgWithContext(ctx, c.message())
	if err != nil {
		c.refused(sendFailed(err))
		return
	}
	c.answered(reply)
}

func (c *conditional) answered(reply *nats.Msg) {
	if seq, err := acknowledgement(reply); err != nil {
		c.refused(err)
	} else {
		c.stored(seq)
	}
}

// publishEach publishes messages one by one without waiting in between, and
// collects the answers.
func (st *stream) publishEach(ctx context.Context, chunk []*conditional) {
	if len(chunk) == 1 {
		st.publishOne(ctx, chunk[0])
		return
	}
	inbox := st.nc.NewInbox()
	replies := make(chan *nats.Msg, len(chunk))
	sub, err := st.nc.ChanSubscribe(inbox+".*", replies)
	if err != nil {
		failAll(chunk, unknown(err))
		return
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is closed, and then there is nothing to undo
	waiting := map[int]*conditional{}
	for i, c := range chunk {
		m := c.message()
		m.Reply = inbox + "." + strconv.Itoa(i)
		if err := st.nc.PublishMsg(m); err != nil {
			c.refused(sendFailed(err))
			continue
		}
		waiting[i] = c
	}
	for len(waiting) > 0 {
		reply, err := receive(ctx, replies)
		if err != nil {
			for _, c := range waiting {
				c.fail(unknown(err))
			}
			return
		}
		i, err := strconv.Atoi(strings.TrimPrefix(reply.Subject, inbox+"."))
		c := waiting[i]
		if err != nil || c == nil {
			continue // no answer to a message of this call
		}
		delete(waiting, i)
		c.answered(reply)
	}
}

func failAll(all []*conditional, err error) {
	for _, c := range all {
		c.fail(err)
	}
}
