package wire

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

// A batch is several commands for one aggregate in one message of the command stream.
// Its payload has one after the other, each as it would be by itself: the number of its
// headers, the name and value of each, and the data. Texts and data follow their length.
// All numbers are unsigned varints.
const formatBatch = "batch1"

const (
	// MaxBatch bounds the commands of a batch that a reader accepts.
	MaxBatch = 4096

	maxBatchHeaders = 64 // a number of one byte
)

// BatchHeader returns the header of a message that is a batch. A build that does not
// know batches refuses it as one of an unknown format.
func BatchHeader() nats.Header { return nats.Header{headerFormat: {formatBatch}} }

// IsBatch reports whether a message is a batch.
func IsBatch(h nats.Header) bool { return First(h, headerFormat) == formatBatch }

// EncodeCommand returns a command, its first attempt, as a batch has it: a batch is such
// commands one after the other. reply is the inbox of whoever waits for the outcome;
// empty: nobody does.
func EncodeCommand(m *actor.Message, reply string) []byte { return EncodeCommandWithin(m, reply, 0) }

// EncodeCommandWithin is EncodeCommand for one with a deadline, until which so much time
// is left; 0: it has none.
func EncodeCommandWithin(m *actor.Message, reply string, left time.Duration) []byte {
	w := commandWriter{data: make([]byte, 1, 384+len(m.Data))} // the number of headers has one byte
	writeMessage(&w, m)
	if left != 0 {
		w.set(HeaderPatience, FormatPatience(left))
	}
	if reply != "" {
		w.set(HeaderReply, reply)
	}
	w.data[0] = w.headers
	return append(binary.AppendUvarint(w.data, uint64(len(m.Data))), m.Data...)
}

type commandWriter struct {
	data    []byte
	headers byte
}

func (w *commandWriter) set(name, value string) {
	w.headers++
	w.data = appendText(appendText(w.data, name), value)
}

func (w *commandWriter) setText(name, value string) {
	if value != "" {
		w.set(name, escape(value))
	}
}

func appendText(to []byte, s string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

// Batched is one command of a batch, as it would be in a message of its own.
type Batched struct {
	Header nats.Header
	Data   []byte // a part of the payload
}

// DecodeBatch returns the commands of a batch, in their order. The error wraps [ErrWire].
func DecodeBatch(payload []byte) ([]Batched, error) {
	r := batchReader{data: payload, text: string(payload)}
	var all []Batched
	for r.at < len(r.data) && !r.broken {
		all = append(all, r.command())
	}
	if r.broken || len(all) == 0 || len(all) > MaxBatch {
		return nil, fmt.Errorf("a batch of %d bytes is cut off, empty, or has more than %d commands: %w", len(payload), MaxBatch, ErrWire)
	}
	return all, nil
}

// batchReader reads on until something is malformed.
type batchReader struct {
	data   []byte
	text   string // the same
	at     int
	broken bool
}

func (r *batchReader) command() Batched {
	n := r.number(maxBatchHeaders)
	h := newHeaders(n)
	for range n {
		nameFrom, nameTo := r.piece()
		from, to := r.piece()
		h.set(r.text[nameFrom:nameTo], r.text[from:to])
	}
	from, to := r.piece()
	return Batched{Header: h.to, Data: r.data[from:to:to]}
}

// number reads one, limit at most; 0 if that is not what comes.
func (r *batchReader) number(limit int) int {
	v, n := binary.Uvarint(r.data[r.at:])
	if n <= 0 || v > uint64(limit) { //nolint:gosec // a limit is not negative
		r.broken = true
		return 0
	}
	r.at += n
	return int(v) //nolint:gosec // within the limit
}

// piece reads a length, and returns where the text of that length begins and ends.
func (r *batchReader) piece() (from, to int) {
	n := r.number(len(r.data) - r.at)
	if n > len(r.data)-r.at {
		r.broken, n = true, 0
	}
	from = r.at
	r.at += n
	return from, r.at
}
