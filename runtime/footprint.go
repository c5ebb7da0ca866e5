package runtime

import (
	"reflect"
	"sync"
	"time"
	"unsafe"
)

// footprintDepth bounds the recursion. What lies deeper, such as the rest of a long
// linked list, is put off until the stack is empty again, and counted then.
const footprintDepth = 128

// shapes remembers what the walk needs to know of each type. The zero value is empty.
// It is safe for concurrent use.
type shapes struct{ byType sync.Map } // reflect.Type -> *shape

// shape says where values of a type refer to something.
type shape struct {
	flat   bool  // nowhere
	fields []int // of a struct: those that are not flat
}

func (s *shapes) of(t reflect.Type) *shape {
	if known, ok := s.byType.Load(t); ok {
		return known.(*shape)
	}
	sh := &shape{}
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map,
		reflect.Chan, reflect.Func, reflect.UnsafePointer:
	case reflect.Array:
		sh.flat = t.Len() == 0 || s.of(t.Elem()).flat
	case reflect.Struct:
		for i := range t.NumField() {
			if !s.of(t.Field(i).Type).flat {
				sh.fields = append(sh.fields, i)
			}
		}
		sh.flat = len(sh.fields) == 0
	default:
		sh.flat = true
	}
	s.byType.Store(t, sh)
	return sh
}

// footprint estimates the bytes on the heap of what state, a pointer, leads to, itself
// included. What is reached on several ways is counted once. The walk takes time in
// proportion to the values that it visits, whose number it returns, too.
func (s *shapes) footprint(state any) (bytes, visited int) {
	w := walker{shapes: s}
	w.beyond(reflect.ValueOf(state), footprintDepth)
	for len(w.later) > 0 {
		last := len(w.later) - 1
		v := w.later[last]
		w.later = w.later[:last]
		w.beyond(v, footprintDepth)
	}
	return w.bytes, w.visited
}

type walker struct {
	shapes  *shapes
	seen    map[block]struct{}
	arrays  map[block]uintptr // by their end: the lowest start that was seen
	later   []reflect.Value
	bytes   int
	visited int
}

// block is a piece of memory. Two of different types may begin at one address: a
// struct and its first field.
type block struct {
	at   uintptr
	kind reflect.Type
}

// sharedString is the length from which on strings are looked upon as possibly the same.
const sharedString = 32

// beyond counts what v refers to; its own bytes are its container's.
func (w *walker) beyond(v reflect.Value, depth int) {
	sh := w.shapes.of(v.Type())
	if sh.flat {
		return
	}
	w.visited++
	switch v.Kind() {
	case reflect.String:
		w.text(v)
	case reflect.Pointer:
		w.target(v, depth)
	case reflect.Interface:
		w.boxed(v, depth)
	case reflect.Slice:
		w.array(v, depth)
	case reflect.Array:
		for i := range v.Len() {
			w.beyond(v.Index(i), depth)
		}
	case reflect.Map:
		w.table(v, depth)
	case reflect.Struct:
		for _, i := range sh.fields {
			w.beyond(v.Field(i), depth)
		}
	case reflect.Chan:
		if !v.IsNil() && w.first(v.Pointer(), v.Type()) {
			w.bytes += allocated(96 + v.Cap()*int(v.Type().Elem().Size()))
		}
	default:
	}
}

// follow goes on at memory that v leads to, now or later.
func (w *walker) follow(v reflect.Value, depth int) {
	if depth == 0 {
		w.later = append(w.later, v)
		return
	}
	w.beyond(v, depth-1)
}

func (w *walker) text(v reflect.Value) {
	n := v.Len()
	if n >= sharedString && !w.first(uintptr(unsafe.Pointer(unsafe.StringData(v.String()))), v.Type()) { //nolint:gosec // compared only
		return
	}
	w.bytes += allocated(n)
}

// zoneBytes is what a time zone of a fixed offset takes, as decoding a time makes them.
const zoneBytes = 160

func (w *walker) target(v reflect.Value, depth int) {
	if v.IsNil() || !w.first(v.Pointer(), v.Type()) {
		return
	}
	if v.Type() == reflect.TypeFor[*time.Location]() {
		// The large ones are shared by all of the process.
		if v.Pointer() != reflect.ValueOf(time.Local).Pointer() && v.Pointer() != reflect.ValueOf(time.UTC).Pointer() {
			w.bytes += zoneBytes
		}
		return
	}
	w.bytes += allocated(int(v.Type().Elem().Size()))
	w.follow(v.Elem(), depth)
}

func (w *walker) boxed(v reflect.Value, depth int) {
	if v.IsNil() {
		return
	}
	held := v.Elem()
	switch held.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
	default:
		w.bytes += allocated(int(held.Type().Size()))
	}
	w.follow(held, depth)
}

// array counts the memory of a slice up to its capacity. Slices of one array end
// mostly at the same place, so that what lies below the lowest start is new.
func (w *walker) array(v reflect.Value, depth int) {
	size := v.Type().Elem().Size()
	if v.Cap() == 0 || size == 0 {
		return
	}
	start, elements := v.Pointer(), v.Cap()
	key := block{start + uintptr(elements)*size, v.Type().Elem()}
	if low, known := w.arrays[key]; known {
		if start >= low {
			return
		}
		elements = int((low - start) / size) //nolint:gosec // at most the capacity
	}
	if w.arrays == nil {
		w.arrays = map[block]uintptr{}
	}
	w.arrays[key] = start
	w.bytes += allocated(elements * int(size)) //nolint:gosec // memory that there is
	if w.shapes.of(v.Type().Elem()).flat {
		return
	}
	all := v.Slice(0, elements)
	for i := range elements {
		w.follow(all.Index(i), depth)
	}
}

// Sizes of maps: groups of eight slots with a control word; in tables, of which the
// larger ones hold at most so many slots, between 7/16 and 7/8 full. Keys and values
// above inlineMax are kept apart.
const (
	mapHeader   = 48
	groupSlots  = 8
	tableHeader = 64
	tableSlots  = 1024
	inlineMax   = 128
)

func (w *walker) table(v reflect.Value, depth int) {
	if v.IsNil() || !w.first(v.Pointer(), v.Type()) {
		return
	}
	w.bytes += mapHeader
	if v.Len() == 0 {
		return
	}
	key, value := v.Type().Key(), v.Type().Elem()
	slot := 1
	for _, t := range []reflect.Type{key, value} {
		if t.Size() > inlineMax {
			slot += 8
			w.bytes += v.Len() * allocated(int(t.Size()))
		} else {
			slot += int(t.Size())
		}
	}
	w.bytes += allocated(slots(v.Len()) * slot)
	keys, values := !w.shapes.of(key).flat, !w.shapes.of(value).flat
	if !keys && !values {
		return
	}
	w.entries(v, keys, values, depth)
}

// slots returns how many slots a map of n entries has.
func slots(n int) int {
	if n <= groupSlots {
		return groupSlots
	}
	s := 2 * groupSlots
	for s < tableSlots && n > s/8*7 {
		s *= 2
	}
	if s < tableSlots || n <= s/8*7 {
		return s + tableHeader/8
	}
	return n * 3 / 2
}

// entries reads keys and values into memory that is used again for each of them, unless
// they could be put off, or come from a field that is not exported.
func (w *walker) entries(v reflect.Value, keys, values bool, depth int) {
	reuse := depth > 1 && v.CanInterface()
	var k, e reflect.Value
	if reuse {
		k, e = reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	}
	for entry := v.MapRange(); entry.Next(); {
		if keys && reuse {
			k.SetIterKey(entry)
		} else if keys {
			k = entry.Key()
		}
		if values && reuse {
			e.SetIterValue(entry)
		} else if values {
			e = entry.Value()
		}
		if keys {
			w.follow(k, depth)
		}
		if values {
			w.follow(e, depth)
		}
	}
}

func (w *walker) first(at uintptr, t reflect.Type) bool {
	b := block{at, t}
	if _, ok := w.seen[b]; ok {
		return false
	}
	if w.seen == nil {
		w.seen = map[block]struct{}{}
	}
	w.seen[b] = struct{}{}
	return true
}

// allocated returns about what an allocation of n bytes takes: size classes are an
// eighth of a power of two apart, and at least 8 bytes.
func allocated(n int) int {
	step := 8
	for step*16 <= n && step < 1<<10 {
		step *= 2
	}
	return (n + step - 1) / step * step
}
