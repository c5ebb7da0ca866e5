package jsonbson

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

var (
	// ErrMalformed says that the bytes are not BSON.
	ErrMalformed = errors.New("malformed BSON")
	// ErrType says that JSON has no value for the BSON.
	ErrType = errors.New("BSON value without JSON form")
)

const maxDecodeDepth = 200

// AppendJSON appends a BSON value of the given type as JSON. It also takes what
// other programs write for plain values, such as 32-bit integers.
func AppendJSON(dst []byte, kind byte, value []byte) ([]byte, error) {
	return appendValue(dst, kind, value, 0)
}

func appendValue(dst []byte, kind byte, value []byte, depth int) ([]byte, error) {
	switch kind {
	case typeDocument, typeArray:
		return appendContainer(dst, kind, value, depth)
	case typeString:
		s, ok := stringBytes(value)
		if !ok {
			return dst, ErrMalformed
		}
		return appendString(dst, s), nil
	case typeNull:
		return append(dst, "null"...), nil
	case typeBoolean:
		if len(value) < 1 {
			return dst, ErrMalformed
		}
		return strconv.AppendBool(dst, value[0] != 0), nil
	default:
		return appendNumber(dst, kind, value)
	}
}

func appendNumber(dst []byte, kind byte, value []byte) ([]byte, error) {
	size := 8
	switch kind {
	case typeInt32:
		size = 4
	case typeDecimal:
		size = 16
	case typeInt64, typeDouble:
	default:
		return dst, fmt.Errorf("%w: type 0x%02x", ErrType, kind)
	}
	if len(value) < size {
		return dst, ErrMalformed
	}
	var ok bool
	switch kind {
	case typeInt32:
		return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(value))), 10), nil
	case typeInt64:
		return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(value)), 10), nil
	case typeDouble:
		dst, ok = appendDouble(dst, math.Float64frombits(binary.LittleEndian.Uint64(value)))
	default:
		d := decimal{low: binary.LittleEndian.Uint64(value), high: binary.LittleEndian.Uint64(value[8:])}
		dst, ok = d.appendJSON(dst)
	}
	if !ok {
		return dst, fmt.Errorf("%w: not a finite number", ErrType)
	}
	return dst, nil
}

// appendDouble writes like encoding/json, but never in the form of an integer: an integer
// is kept as one.
func appendDouble(dst []byte, f float64) ([]byte, bool) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, false
	}
	abs := math.Abs(f)
	if abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		// e-09 to e-9
		if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
		return dst, true
	}
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if f == math.Trunc(f) {
		dst = append(dst, ".0"...)
	}
	return dst, true
}

func appendContainer(dst []byte, kind byte, value []byte, depth int) ([]byte, error) {
	if depth >= maxDecodeDepth {
		return dst, fmt.Errorf("%w: nested too deeply", ErrType)
	}
	elements, ok := bodyOf(value)
	if !ok {
		return dst, ErrMalformed
	}
	opening, closing := byte('{'), byte('}')
	if kind == typeArray {
		opening, closing = '[', ']'
	}
	dst = append(dst, opening)
	for first := true; len(elements) > 0; first = false {
		el, rest, ok := bsoncore.ReadElement(elements)
		if !ok {
			return dst, ErrMalformed
		}
		elements = rest
		if !first {
			dst = append(dst, ',')
		}
		key := keyOf(el)
		if kind == typeDocument {
			dst = append(appendString(dst, key), ':')
		}
		var err error
		dst, err = appendValue(dst, el[0], el[len(key)+2:], depth+1)
		if err != nil {
			return dst, err
		}
	}
	return append(dst, closing), nil
}

// bodyOf returns the elements of a document that value begins with.
func bodyOf(value []byte) ([]byte, bool) {
	if len(value) < 5 {
		return nil, false
	}
	size := int64(binary.LittleEndian.Uint32(value))
	if size < 5 || size > int64(len(value)) || value[size-1] != 0 {
		return nil, false
	}
	return value[4 : size-1], true
}

// keyOf returns the key of an element that was read as complete.
func keyOf(element []byte) []byte {
	end := 1
	for element[end] != 0 {
		end++
	}
	return element[1:end]
}

func stringBytes(value []byte) ([]byte, bool) {
	if len(value) < 5 {
		return nil, false
	}
	size := int64(binary.LittleEndian.Uint32(value))
	if size < 1 || 4+size > int64(len(value)) {
		return nil, false
	}
	return value[4 : 3+size], true
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string as encoding/json does. Bytes that are not UTF-8,
// which only other programs can have stored, become U+FFFD.
func appendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	if !utf8.Valid(s) {
		s = bytes.ToValidUTF8(s, []byte("\uFFFD"))
	}
	run := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == 0xE2 && isLineSeparator(s[i:]):
			dst = append(dst, s[run:i]...)
			dst = append(dst, '\\', 'u', '2', '0', '2', hexDigits[s[i+2]&15])
			i += 2
		case c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&':
			continue
		default:
			dst = append(dst, s[run:i]...)
			dst = appendEscape(dst, c)
		}
		run = i + 1
	}
	dst = append(dst, s[run:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
}
