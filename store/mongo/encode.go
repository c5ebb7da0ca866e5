package mongo

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/ganglion-go/ganglion/internal/jsonbson"
	"github.com/ganglion-go/ganglion/store"
)

// maxDocument is the most that a document may take. The server stores 16 MiB, but
// a change stream adds to a document, and would not get past one that has become
// larger than that.
const maxDocument = 16<<20 - 64<<10

// appendCommit appends the document of a commit:
//
//	{ _id: {a: "portfolio/p-7", v: 41}, t: 1767225600000007, p: 17, k: "portfolio",
//	  pos: {s: "...", n: 88231},
//	  cmd: [{id, key?, name?, digest?, n, h?, r|rj | x|xj, md?: {trace?, correlation?, causation?, user?}}],
//	  ev: [{n: "deposited.v1", d|j}],
//	  out: [{to, name, at?, id, d|j}],
//	  keys: ["caller-chosen id"] }
//
// d, r and x are JSON as BSON. Where JSON has no lossless BSON, or where the
// whole document would grow too large by it, the text is in j, rj or xj instead.
// What is empty is left out. It is false when the document is too large.
func appendCommit(dst []byte, c *store.Commit) ([]byte, bool) {
	if !countable(c) {
		return dst, false
	}
	start := len(dst)
	for _, asText := range []bool{false, true} {
		w := writer{buf: dst[:start], asText: asText}
		w.commit(c)
		dst = w.buf
		if len(dst)-start <= maxDocument {
			return dst, true
		}
	}
	return dst[:start], false
}

// countable spares the encoder what cannot fit: BSON is never much shorter than
// JSON, which loses its white space at most.
func countable(c *store.Commit) bool { return c.Size() <= 4*maxDocument }

// writer appends BSON. Its methods name a field and take its value.
type writer struct {
	buf    []byte
	asText bool // keep all JSON as text
}

func (w *writer) commit(c *store.Commit) {
	root := w.open()
	id := w.openField(bsoncore.TypeEmbeddedDocument, "_id")
	w.text("a", string(c.Aggregate))
	w.int64("v", toInt64(uint64(c.First)))
	w.close(id)
	w.int64("t", c.Time)
	w.int64("p", int64(c.Partition))
	kind, _, _ := strings.Cut(string(c.Aggregate), "/")
	w.text("k", kind)
	w.position("pos", c.Position)
	w.outcomes(c.Outcomes)
	events := w.openField(bsoncore.TypeArray, "ev")
	for i := range c.Events {
		event := w.openItem(bsoncore.TypeEmbeddedDocument, i)
		w.text("n", c.Events[i].Name)
		w.json("d", "j", c.Events[i].Data)
		w.close(event)
	}
	w.close(events)
	w.outgoing(c.Out)
	w.keys(c.Outcomes)
	w.close(root)
}

func (w *writer) position(key string, p store.Position) {
	if p == (store.Position{}) {
		return
	}
	at := w.openField(bsoncore.TypeEmbeddedDocument, key)
	w.text("s", p.Stream)
	w.int64("n", toInt64(p.Sequence))
	if p.Rest > 0 {
		w.int64("rest", int64(p.Rest))
	}
	w.close(at)
}

func (w *writer) outcomes(all []store.Outcome) {
	if len(all) == 0 {
		return
	}
	list := w.openField(bsoncore.TypeArray, "cmd")
	for i := range all {
		o := &all[i]
		item := w.openItem(bsoncore.TypeEmbeddedDocument, i)
		w.text("id", o.CommandID)
		if o.Keyed {
			w.buf = bsoncore.AppendBooleanElement(w.buf, "key", true)
		}
		w.optionalText("name", o.Name)
		w.optionalText("digest", o.Digest)
		w.int64("n", int64(o.Events))
		if o.Hidden != 0 {
			w.int64("h", int64(o.Hidden))
		}
		w.json("r", "rj", o.Reply)
		w.json("x", "xj", o.Rejection)
		w.metadata(o.Metadata)
		w.close(item)
	}
	w.close(list)
}

func (w *writer) metadata(m store.Metadata) {
	if m == (store.Metadata{}) {
		return
	}
	at := w.openField(bsoncore.TypeEmbeddedDocument, "md")
	w.optionalText("trace", m.Trace)
	w.optionalText("correlation", m.Correlation)
	w.optionalText("causation", m.Causation)
	w.optionalText("user", m.User)
	w.close(at)
}

func (w *writer) outgoing(all []store.Outgoing) {
	if len(all) == 0 {
		return
	}
	list := w.openField(bsoncore.TypeArray, "out")
	for i := range all {
		o := &all[i]
		item := w.openItem(bsoncore.TypeEmbeddedDocument, i)
		w.text("to", string(o.To))
		w.optionalText("name", o.Name)
		if o.At != 0 {
			w.int64("at", o.At)
		}
		w.optionalText("timer", o.Timer)
		w.optionalText("id", o.ID)
		w.json("d", "j", o.Data)
		w.optionalText("rn", o.OnRefusal)
		w.json("rd", "rj", o.OnRefusalData)
		w.metadata(o.Metadata)
		w.close(item)
	}
	w.close(list)
}

// keys lists the caller-chosen command ids. The field is there only if there are
// any, so that the index over it is small.
func (w *writer) keys(all []store.Outcome) {
	n, list := 0, 0
	for i := range all {
		if !all[i].Keyed {
			continue
		}
		if n == 0 {
			list = w.openField(bsoncore.TypeArray, "keys")
		}
		w.itemHeader(bsoncore.TypeString, n)
		w.buf = bsoncore.AppendString(w.buf, all[i].CommandID)
		n++
	}
	if n > 0 {
		w.close(list)
	}
}

// json appends JSON as BSON under key, or as text under textKey.
func (w *writer) json(key, textKey string, text []byte) {
	if len(text) == 0 {
		return
	}
	if !w.asText {
		if buf, ok := jsonbson.AppendElement(w.buf, key, text); ok {
			w.buf = buf
			return
		}
	}
	if utf8.Valid(text) {
		w.text(textKey, string(text))
		return
	}
	w.buf = bsoncore.AppendBinaryElement(w.buf, textKey, bson.TypeBinaryGeneric, text)
}

func (w *writer) text(key, value string) {
	w.buf = bsoncore.AppendStringElement(w.buf, key, value)
}

func (w *writer) optionalText(key, value string) {
	if value != "" {
		w.text(key, value)
	}
}

func (w *writer) int64(key string, value int64) {
	w.buf = bsoncore.AppendInt64Element(w.buf, key, value)
}

// open begins a document or array, which close ends.
func (w *writer) open() (start int) {
	start = len(w.buf)
	w.buf = append(w.buf, 0, 0, 0, 0)
	return start
}

func (w *writer) openField(kind bsoncore.Type, key string) (start int) {
	w.buf = bsoncore.AppendHeader(w.buf, kind, key)
	return w.open()
}

func (w *writer) openItem(kind bsoncore.Type, i int) (start int) {
	w.itemHeader(kind, i)
	return w.open()
}

func (w *writer) itemHeader(kind bsoncore.Type, i int) {
	w.buf = append(w.buf, byte(kind))
	w.buf = strconv.AppendInt(w.buf, int64(i), 10)
	w.buf = append(w.buf, 0)
}

func (w *writer) close(start int) {
	w.buf = append(w.buf, 0)
	binary.LittleEndian.PutUint32(w.buf[start:], uint32(len(w.buf)-start))
}

// toInt64 is for counters, which never get that far.
func toInt64(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
