package mongo

import (
	"encoding/binary"
	"fmt"
	"math"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/ganglion-go/ganglion/internal/jsonbson"
	"github.com/ganglion-go/ganglion/store"
)

// decodeCommit reads a document of appendCommit. The commit shares no memory
// with it. Fields that it does not know are passed over.
func decodeCommit(doc []byte) (store.Commit, error) {
	r := reader{arena: make([]byte, 0, len(doc))}
	c := r.commit(doc)
	if r.err != nil {
		return store.Commit{}, fmt.Errorf("%w: commit %q version %d: %w", store.ErrCorrupt, c.Aggregate, c.First, r.err)
	}
	return c, nil
}

// reader reads BSON. After the first error its methods return zero values.
type reader struct {
	err   error
	arena []byte // holds all JSON of a record
}

// element is one field of a document, or one item of an array.
type element struct {
	kind  bsoncore.Type
	key   []byte
	value []byte
}

// fields returns the elements of a document or array.
func (r *reader) fields(e element) []byte {
	if e.kind != bsoncore.TypeEmbeddedDocument && e.kind != bsoncore.TypeArray {
		r.fail(e)
		return nil
	}
	const least = 5
	if len(e.value) < least || int64(binary.LittleEndian.Uint32(e.value)) != int64(len(e.value)) {
		r.fail(e)
		return nil
	}
	return e.value[4 : len(e.value)-1]
}

// next cuts the first element off. It is false at the end and after an error.
func (r *reader) next(fields *[]byte) (e element, ok bool) {
	if r.err != nil || len(*fields) == 0 {
		return element{}, false
	}
	raw, rest, ok := bsoncore.ReadElement(*fields)
	if !ok {
		r.err = jsonbson.ErrMalformed
		return element{}, false
	}
	*fields = rest
	end := 1
	for raw[end] != 0 {
		end++
	}
	return element{kind: bsoncore.Type(raw[0]), key: raw[1:end], value: raw[end+1:]}, true
}

func (r *reader) fail(e element) {
	if r.err == nil {
		r.err = fmt.Errorf("field %q: unexpected type %v", e.key, e.kind)
	}
}

func (r *reader) text(e element) string {
	s, _, ok := bsoncore.ReadString(e.value)
	if e.kind != bsoncore.TypeString || !ok {
		r.fail(e)
		return ""
	}
	return s
}

// int64 takes any number that is an integer: a field that was edited in a shell
// comes back as another type.
func (r *reader) int64(e element) int64 {
	switch {
	case e.kind == bsoncore.TypeInt64 && len(e.value) == 8:
		return int64(binary.LittleEndian.Uint64(e.value))
	case e.kind == bsoncore.TypeInt32 && len(e.value) == 4:
		return int64(int32(binary.LittleEndian.Uint32(e.value)))
	case e.kind == bsoncore.TypeDouble && len(e.value) == 8:
		f := math.Float64frombits(binary.LittleEndian.Uint64(e.value))
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f)
		}
	}
	r.fail(e)
	return 0
}

func (r *reader) uint64(e element) uint64 {
	n := r.int64(e)
	if n < 0 {
		r.fail(e)
		return 0
	}
	return uint64(n)
}

func (r *reader) bool(e element) bool {
	if e.kind != bsoncore.TypeBoolean || len(e.value) != 1 {
		r.fail(e)
		return false
	}
	return e.value[0] != 0
}

// json returns a BSON value as JSON.
func (r *reader) json(e element) []byte {
	start := len(r.arena)
	arena, err := jsonbson.AppendJSON(r.arena, byte(e.kind), e.value)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("field %q: %w", e.key, err)
	}
	r.arena = arena
	return arena[start:len(arena):len(arena)]
}

// bytes returns what was kept as text or binary.
func (r *reader) bytes(e element) []byte {
	if e.kind == bsoncore.TypeString {
		return []byte(r.text(e))
	}
	_, data, _, ok := bsoncore.ReadBinary(e.value)
	if e.kind != bsoncore.TypeBinary || !ok {
		r.fail(e)
		return nil
	}
	return append([]byte(nil), data...)
}

func (r *reader) commit(doc []byte) (c store.Commit) {
	fields := r.fields(element{kind: bsoncore.TypeEmbeddedDocument, value: doc})
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "_id":
			c.Aggregate, c.First = r.commitID(e)
		case "t":
			c.Time = r.int64(e)
		case "p":
			c.Partition = r.partition(e)
		case "pos":
			c.Position = r.position(e)
		case "cmd":
			c.Outcomes = list(r, e, r.outcome)
		case "ev":
			c.Events = list(r, e, r.event)
		case "out":
			c.Out = list(r, e, r.outgoing)
		}
	}
	if r.err == nil && (c.First == 0 || len(c.Events) == 0) {
		r.err = errIncomplete
	}
	return c
}

// identify reads which commit a document is, that need not be readable otherwise, and how
// many events it has, 0 if that cannot be found out. known is false for what is no commit.
func identify(doc []byte) (id commitID, events int, known bool) {
	var r reader
	fields := r.fields(element{kind: bsoncore.TypeEmbeddedDocument, value: doc})
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "_id":
			a, v := r.commitID(e)
			id = commitID{Aggregate: []byte(a), Version: toInt64(uint64(v))}
			known = r.err == nil && a != "" && v > 0
		case "ev":
			var list reader // that it cannot be read says nothing of the rest
			items := list.fields(e)
			for _, ok := list.next(&items); ok; _, ok = list.next(&items) {
				events++
			}
			if list.err != nil {
				events = 0
			}
		}
	}
	return id, events, known
}

func (r *reader) commitID(e element) (a store.Aggregate, v store.Version) {
	fields := r.fields(e)
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "a":
			a = store.Aggregate(r.text(e))
		case "v":
			v = store.Version(r.uint64(e))
		}
	}
	return a, v
}

func (r *reader) partition(e element) store.Partition {
	n := r.uint64(e)
	if n > math.MaxUint32 {
		r.fail(e)
	}
	return store.Partition(n)
}

func (r *reader) position(e element) (p store.Position) {
	fields := r.fields(e)
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "s":
			p.Stream = r.text(e)
		case "n":
			p.Sequence = r.uint64(e)
		case "rest":
			rest := r.uint64(e)
			if rest > math.MaxUint32 {
				r.fail(e)
			}
			p.Rest = uint32(rest)
		}
	}
	return p
}

// list reads an array of documents.
func list[T any](r *reader, e element, read func(element) T) []T {
	items := r.fields(e)
	count := 0
	for rest := items; len(rest) > 0; count++ {
		var ok bool
		if _, rest, ok = bsoncore.ReadElement(rest); !ok {
			r.err = jsonbson.ErrMalformed
			return nil
		}
	}
	all := make([]T, 0, count)
	for e, ok := r.next(&items); ok; e, ok = r.next(&items) {
		all = append(all, read(e))
	}
	return all
}

func (r *reader) outcome(e element) (o store.Outcome) {
	fields := r.fields(e)
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "id":
			o.CommandID = r.text(e)
		case "key":
			o.Keyed = r.bool(e)
		case "name":
			o.Name = r.text(e)
		case "digest":
			o.Digest = r.text(e)
		case "n":
			o.Events = int(r.uint64(e))
		case "h":
			o.Hidden = int(r.uint64(e))
		case "r":
			o.Reply = r.json(e)
		case "rj":
			o.Reply = r.bytes(e)
		case "x":
			o.Rejection = r.json(e)
		case "xj":
			o.Rejection = r.bytes(e)
		case "md":
			o.Metadata = r.metadata(e)
		}
	}
	return o
}

func (r *reader) metadata(e element) (m store.Metadata) {
	fields := r.fields(e)
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "trace":
			m.Trace = r.text(e)
		case "correlation":
			m.Correlation = r.text(e)
		case "causation":
			m.Causation = r.text(e)
		case "user":
			m.User = r.text(e)
		}
	}
	return m
}

func (r *reader) event(e element) (event store.Event) {
	fields := r.fields(e)
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "n":
			event.Name = r.text(e)
		case "d":
			event.Data = r.json(e)
		case "j":
			event.Data = r.bytes(e)
		}
	}
	return event
}

func (r *reader) outgoing(e element) (o store.Outgoing) {
	fields := r.fields(e)
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		switch string(e.key) {
		case "to":
			o.To = store.Aggregate(r.text(e))
		case "name":
			o.Name = r.text(e)
		case "at":
			o.At = r.int64(e)
		case "timer":
			o.Timer = r.text(e)
		case "id":
			o.ID = r.text(e)
		case "d":
			o.Data = r.json(e)
		case "j":
			o.Data = r.bytes(e)
		case "rn":
			o.OnRefusal = r.text(e)
		case "rd":
			o.OnRefusalData = r.json(e)
		case "rj":
			o.OnRefusalData = r.bytes(e)
		case "md":
			o.Metadata = r.metadata(e)
		}
	}
	return o
}
