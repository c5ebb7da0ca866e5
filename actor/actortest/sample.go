package actortest

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
)

// sampleDepth bounds how deep a recursive type is filled in.
const sampleDepth = 4

// sampler fills in values that are all different and none of them zero, so
// that a renamed field cannot hide behind its zero value.
type sampler struct{ next int64 }

func sample(t reflect.Type) any {
	v := reflect.New(t).Elem()
	(&sampler{}).fill(v, "value", sampleDepth)
	return v.Interface()
}

func (s *sampler) fill(v reflect.Value, name string, depth int) {
	t := v.Type()
	if depth == 0 {
		return
	}
	if t == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		return
	}
	if p := reflect.PointerTo(t); p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return // its own form has rules of its own
	}
	s.next++
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(name + "-" + strconv.FormatInt(s.next, 10))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(s.next % 128)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(s.next % 128))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(s.next) + 0.5)
	default:
		s.fillParts(v, name, depth-1)
	}
}

func (s *sampler) fillParts(v reflect.Value, name string, depth int) {
	t := v.Type()
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				s.fill(v.Field(i), t.Field(i).Name, depth)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		s.fill(v.Elem(), name, depth)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
		s.fill(v.Index(0), name, depth)
	case reflect.Array:
		for i := range v.Len() {
			s.fill(v.Index(i), name, depth)
		}
	case reflect.Map:
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		s.fill(key, name, depth)
		s.fill(value, name, depth)
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(key, value)
	default: // functions, channels, interfaces: nothing that JSON could hold
	}
}
