package actor

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"
)

// errLossySnapshot reports a state that does not come back from its snapshot.
var errLossySnapshot = errors.New("the state does not come back from its snapshot")

// TakeSnapshot returns the state as JSON, like [Instance.Snapshot], and has the instance
// go on with the state that is decoded from it: what a snapshot does not hold cannot be in
// the live state and be missing after a restart. The error says where the state does not
// come back as it was: a map that becomes nil, a value that is another one, or memory that
// two parts of it share, so that a change of one would change the other. The state is then
// left as it is.
//
// A part with methods of its own for JSON or text is what these make of it. An empty
// slice may come back as nil. There is none of a state that JSON cannot hold, see
// [Behavior.WithoutSnapshots].
func (i *Instance) TakeSnapshot() ([]byte, error) {
	if err := i.behavior.unkept; err != nil {
		return nil, err
	}
	data, err := i.Snapshot()
	if err != nil {
		return nil, err
	}
	decoded, err := i.behavior.Restore(i.address, i.version, data)
	if err != nil {
		return nil, err
	}
	c := comparison{met: map[memory]bool{}}
	if where, why := c.differs(reflect.ValueOf(i.state).Elem(), reflect.ValueOf(decoded.state).Elem()); why != "" {
		return nil, fmt.Errorf("%s at version %d: %w: %s %s", i.address, i.version, errLossySnapshot, "state"+where, why)
	}
	i.state = decoded.state
	return data, nil
}

// comparison compares a state with what was decoded from its JSON.
type comparison struct {
	met map[memory]bool // of the first, that can be changed
}

type memory struct {
	at  unsafe.Pointer
	typ reflect.Type
}

// shared reports whether memory was met before.
func (c *comparison) shared(at unsafe.Pointer, t reflect.Type) bool {
	m := memory{at, t}
	was := c.met[m]
	c.met[m] = true
	return was
}

const isShared = "is shared with another part of the state, which a snapshot does not keep"

// differs returns the first place where two values differ, as the path from them, and
// how; or nothing.
func (c *comparison) differs(a, b reflect.Value) (where, why string) {
	t := a.Type()
	if t.Size() == 0 {
		return "", ""
	}
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && codecOf(t, true).encodes != "" {
		return "", ""
	}
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			if f.Name == "_" {
				continue
			}
			if where, why = c.differs(a.FieldByIndex(f.Index), b.FieldByIndex(f.Index)); why != "" {
				return "." + f.Name + where, why
			}
		}
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return differing(a.IsNil() == b.IsNil())
		}
		if t.Elem().Size() > 0 && c.shared(a.UnsafePointer(), t.Elem()) {
			return "", isShared
		}
		return c.differs(a.Elem(), b.Elem())
	case reflect.Map:
		return c.maps(a, b)
	case reflect.Slice, reflect.Array:
		return c.lists(a, b)
	default:
		return differing(a.Equal(b))
	}
	return "", ""
}

func differing(same bool) (where, why string) {
	if same {
		return "", ""
	}
	return "", "comes back as another value"
}

func (c *comparison) maps(a, b reflect.Value) (where, why string) {
	if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
		return differing(false)
	}
	if !a.IsNil() && c.shared(a.UnsafePointer(), a.Type()) {
		return "", isShared
	}
	for entries := a.MapRange(); entries.Next(); {
		key := entries.Key()
		other := b.MapIndex(key)
		if !other.IsValid() {
			where, why = differing(false)
		} else {
			where, why = c.differs(entries.Value(), other)
		}
		if why != "" {
			return fmt.Sprintf("[%v]%s", key, where), why
		}
	}
	return "", ""
}

func (c *comparison) lists(a, b reflect.Value) (where, why string) {
	if a.Len() != b.Len() {
		return differing(false)
	}
	element := a.Type().Elem()
	if a.Kind() == reflect.Slice && a.Len() > 0 && element.Size() > 0 && c.shared(a.UnsafePointer(), a.Type()) {
		return "", isShared
	}
	pointed := a.Kind() == reflect.Slice && element.Kind() == reflect.Struct && element.Size() > 0
	for n := range a.Len() {
		if pointed && c.shared(a.Index(n).Addr().UnsafePointer(), element) {
			why = isShared
		} else {
			where, why = c.differs(a.Index(n), b.Index(n))
		}
		if why != "" {
			return fmt.Sprintf("[%d]%s", n, where), why
		}
	}
	return "", ""
}
