package actortest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ganglion-go/ganglion/actor"
)

// transcript is what must be equal between two decisions: all that a caller or
// a store would see. Texts for people are left out.
type transcript struct {
	Code      actor.Code
	Version   actor.Version
	Reply     any
	Rejection any
	Events    []record
	Out       []record
	Panicked  bool
	Tainted   bool
}

type record struct {
	Name string
	Data any
}

func compareDecisions(a, b actor.Decision) string {
	return cmp.Diff(transcriptOf(a), transcriptOf(b))
}

func transcriptOf(d actor.Decision) transcript {
	t := transcript{
		Code:     d.Outcome.Code,
		Version:  d.Outcome.Version,
		Reply:    document(d.Outcome.Reply),
		Events:   records(d.Events),
		Out:      effects(d.Out),
		Panicked: d.Panic != nil,
		Tainted:  d.Tainted,
	}
	if d.Outcome.Rejection != nil {
		t.Rejection = documentOf(d.Outcome.Rejection)
	}
	return t
}

func records(events []actor.Event) []record {
	var out []record
	for _, e := range events {
		out = append(out, record{Name: e.Name, Data: document(e.Data)})
	}
	return out
}

// document decodes JSON for comparison. Numbers keep their text: an int64 does
// not pass through a float64.
func document(data []byte) any {
	if len(data) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Sprintf("not JSON (%v): %s", err, data)
	}
	return v
}

func documentOf(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("cannot be encoded as JSON: %v", err)
	}
	return document(data)
}

// compareStates reports how two states differ. Types with a JSON form of their
// own are compared by it: their memory (the shape of a tree, a free list) may
// rightly differ. Nil and empty are equal, because JSON does not keep them apart.
func compareStates(want, got any) string {
	return cmp.Diff(want, got,
		cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.FilterPath(encodesItself, cmp.Transformer("JSON", jsonForm)),
		cmp.FilterPath(incomparable, cmp.Ignore()),
		cmp.FilterPath(func(p cmp.Path) bool { return !encodesItself(p) }, // two rules for one value would be ambiguous
			cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateNaNs()}),
	)
}

func jsonForm(v any) any {
	// A copy behind a pointer: MarshalJSON may be declared on the pointer.
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	return documentOf(p.Interface())
}

func encodesItself(p cmp.Path) bool {
	t := p.Last().Type()
	if t == nil || t.Kind() == reflect.Interface {
		return false
	}
	if t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t)
	}
	return t.Implements(reflect.TypeFor[json.Marshaler]()) && t.Implements(reflect.TypeFor[json.Unmarshaler]())
}

func incomparable(p cmp.Path) bool {
	t := p.Last().Type()
	return t != nil && (t.Kind() == reflect.Func || t.Kind() == reflect.Chan)
}

// describe words an outcome for a report.
func describe(d actor.Decision) string {
	switch o := d.Outcome; {
	case d.Panic != nil:
		return fmt.Sprintf("panic: %v\n%s", d.Panic.Value, d.Panic.Stack)
	case o.Code == actor.CodeOK:
		return fmt.Sprintf("reply %s, events %s", o.Reply, describeEvents(d.Events))
	case o.Rejection != nil:
		return fmt.Sprintf("rejected with %s (%s) %v", o.Rejection.Code, o.Rejection.Message, o.Rejection.Details)
	default:
		return fmt.Sprintf("%s (%s)", o.Code, o.Detail)
	}
}

func describeEvents(events []actor.Event) string {
	if len(events) == 0 {
		return "none"
	}
	var b bytes.Buffer
	for i, e := range events {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", e.Name, e.Data)
	}
	return b.String()
}
