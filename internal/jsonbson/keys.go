package jsonbson

import (
	"bytes"
	"encoding/binary"
)

// mapFrom is the number of keys from which on a map is cheaper than comparing.
const mapFrom = 32

// keySet finds duplicate keys of one object. Up to mapFrom keys it allocates
// nothing: a filter of 64 bits answers most questions, and the elements that are
// already written answer the rest.
type keySet struct {
	filter uint64
	count  int
	keys   map[string]struct{}
}

// add reports whether the key is new. written holds the object's earlier
// elements, all complete.
func (s *keySet) add(written, key []byte) bool {
	s.count++
	if s.keys == nil && s.count > mapFrom {
		s.keys = make(map[string]struct{}, 4*mapFrom)
		eachKey(written, func(k []byte) bool {
			s.keys[string(k)] = struct{}{}
			return true
		})
	}
	if s.keys != nil {
		if _, ok := s.keys[string(key)]; ok {
			return false
		}
		s.keys[string(key)] = struct{}{}
		return true
	}
	bit := filterBit(key)
	if s.filter&bit == 0 {
		s.filter |= bit
		return true
	}
	return eachKey(written, func(k []byte) bool { return !bytes.Equal(k, key) })
}

func filterBit(key []byte) uint64 {
	h := uint32(2166136261)
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	return 1 << (h >> 26)
}

// eachKey visits the keys of complete elements that the encoder made, as long as
// visit returns true, and reports whether it always did.
func eachKey(elements []byte, visit func(key []byte) bool) bool {
	for len(elements) > 0 {
		end := 1 + bytes.IndexByte(elements[1:], 0)
		if !visit(elements[1:end]) {
			return false
		}
		rest := elements[end+1:]
		elements = rest[ownSize(elements[0], rest):]
	}
	return true
}

// ownSize returns the length of a value that the encoder made.
func ownSize(kind byte, value []byte) int {
	switch kind {
	case typeString:
		return 4 + int(binary.LittleEndian.Uint32(value))
	case typeDocument, typeArray:
		return int(binary.LittleEndian.Uint32(value))
	case typeDecimal:
		return 16
	case typeDouble, typeInt64:
		return 8
	case typeBoolean:
		return 1
	default:
		return 0
	}
}
