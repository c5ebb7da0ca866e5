package runtime

import "reflect"

// footprintDepth bounds the recursion: what lies deeper, such as the rest of a
// long linked list, is not counted.
const footprintDepth = 256

// footprint estimates the bytes in memory of what state points to. What that
// shares with itself is counted once. The walk takes time in proportion to the state.
func footprint(state any) int {
	f := footprinter{seen: map[uintptr]struct{}{}}
	return f.beyond(reflect.ValueOf(state), footprintDepth)
}

type footprinter struct{ seen map[uintptr]struct{} }

// beyond returns the bytes that v refers to; its own are its container's.
func (f *footprinter) beyond(v reflect.Value, depth int) int {
	if depth == 0 || flat(v.Type()) {
		return 0
	}
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Pointer:
		if v.IsNil() || !f.first(v.Pointer()) {
			return 0
		}
		return int(v.Type().Elem().Size()) + f.beyond(v.Elem(), depth-1)
	case reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return int(v.Elem().Type().Size()) + f.beyond(v.Elem(), depth-1)
	case reflect.Slice:
		if v.IsNil() || !f.first(v.Pointer()) {
			return 0
		}
		return v.Cap()*int(v.Type().Elem().Size()) + f.elements(v, depth)
	case reflect.Array:
		return f.elements(v, depth)
	case reflect.Map:
		return f.entries(v, depth)
	case reflect.Struct:
		n := 0
		for _, field := range v.Fields() {
			n += f.beyond(field, depth-1)
		}
		return n
	default:
		return 0
	}
}

func (f *footprinter) elements(v reflect.Value, depth int) int {
	if flat(v.Type().Elem()) {
		return 0
	}
	n := 0
	for i := range v.Len() {
		n += f.beyond(v.Index(i), depth-1)
	}
	return n
}

// entries counts a map: a table is between 7/16 and 7/8 full, with a control
// byte for each slot.
func (f *footprinter) entries(v reflect.Value, depth int) int {
	if v.IsNil() || !f.first(v.Pointer()) {
		return 0
	}
	key, value := v.Type().Key(), v.Type().Elem()
	n := 48 + v.Len()*(int(key.Size()+value.Size())+1)*3/2
	if flat(key) && flat(value) {
		return n
	}
	for entry := v.MapRange(); entry.Next(); {
		n += f.beyond(entry.Key(), depth-1) + f.beyond(entry.Value(), depth-1)
	}
	return n
}

func (f *footprinter) first(p uintptr) bool {
	if _, ok := f.seen[p]; ok {
		return false
	}
	f.seen[p] = struct{}{}
	return true
}

// flat reports whether values of a type refer to nothing.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map,
		reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return flat(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if !flat(f.Type) {
				return false
			}
		}
		return true
	default:
		return true
	}
}
