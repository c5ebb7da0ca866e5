package projection

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The form of keys that [Key] makes. Parts are separated by a space, which no part
// contains. '!' begins what is not written as it is:
//
//	!!                              the empty text
//	!XX                             a byte of a text: one up to '!', or one that is not UTF-8
//	!a7, !b42, ... !t184...         0, 1, 2 ...: the letter counts the digits
//	!Z8, !Y57, ... !H...            -1, -42 ...: Z has one digit, Y two; each is taken from 9
//	!v2026-01-02T03:04:05.000000000Z  a time in a year from 0 to 9999
//	!u, !w                          a time before or after those: seconds as a number, "." and nanoseconds
//
// The separator is below the mark, and both are below whatever stands for itself, so the
// order of keys as bytes is the order of their parts, one after another.
const (
	keySeparator = ' '
	keyMark      = '!'
	keyEmpty     = "!!"
	keyTime      = "2006-01-02T15:04:05.000000000Z"
	nanosDigits  = 9
)

// Key returns the key of a document that is made of parts: texts (string, []byte),
// integers of any size, and times. Types made of strings and integers count as those.
//
// Different parts have different keys, whatever they contain: separators, nothing at
// all, or bytes that are not UTF-8. Keys are in the order of their parts, part by part:
// texts in the order of their bytes (those that are not UTF-8 have no place of their own),
// integers as numbers, times as moments, to the nanosecond. A key comes directly before
// those that continue it with further parts. [ScanKey] and [KeyParts] give the parts back;
// a text of one part that has no byte below '"' is its own key.
//
// A key has at most [MaxKeyBytes] bytes, or is refused where it is used. A text takes its
// own length, and two bytes more for each space, '!', control character and byte that is
// not UTF-8; an integer up to 22 bytes; a time 32.
//
// Key panics without parts and on a part of another type.
func Key(parts ...any) string {
	if len(parts) == 0 {
		panic("projection: a key needs a part")
	}
	var b []byte
	for i, part := range parts {
		if i > 0 {
			b = append(b, keySeparator)
		}
		b = appendPart(b, part)
	}
	return string(b)
}

// KeyPrefix returns what the keys begin with that have the given parts first, and others
// behind them: a [Range.Prefix]. Without parts it is empty, and selects all keys. To
// select by the beginning of a text, put the beginning behind the prefix, as a Key:
//
//	projection.KeyPrefix(country) + projection.Key("Ber")
func KeyPrefix(parts ...any) string {
	if len(parts) == 0 {
		return ""
	}
	return Key(parts...) + string(keySeparator)
}

func appendPart(b []byte, part any) []byte {
	switch p := part.(type) {
	case string:
		return appendText(b, p)
	case []byte:
		return appendText(b, string(p))
	case time.Time:
		return appendTime(b, p.UTC())
	}
	switch v := reflect.ValueOf(part); {
	case v.Kind() == reflect.String:
		return appendText(b, v.String())
	case v.CanInt():
		return appendInt(b, v.Int())
	case v.CanUint():
		return appendUint(b, v.Uint())
	}
	panic(fmt.Sprintf("projection: %T is no part of a key", part))
}

const upperHex = "0123456789ABCDEF"

func appendText(b []byte, text string) []byte {
	if text == "" {
		return append(b, keyEmpty...)
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if c := text[i]; c <= keyMark || r == utf8.RuneError && size == 1 {
			b = append(b, keyMark, upperHex[c>>4], upperHex[c&15])
		} else {
			b = append(b, text[i:i+size]...)
		}
		i += size
	}
	return b
}

func appendUint(b []byte, n uint64) []byte {
	digits := strconv.FormatUint(n, 10)
	return append(append(b, keyMark, byte('a'+len(digits)-1)), digits...)
}

func appendInt(b []byte, n int64) []byte {
	if n >= 0 {
		return appendUint(b, uint64(n))
	}
	digits := []byte(strconv.FormatUint(-uint64(n), 10))
	return append(append(b, keyMark, byte('Z'-len(digits)+1)), fromNine(digits)...)
}

// fromNine takes each digit from 9, in place.
func fromNine(digits []byte) []byte {
	for i, d := range digits {
		digits[i] = '0' + '9' - d
	}
	return digits
}

func appendTime(b []byte, t time.Time) []byte {
	switch year := t.Year(); {
	case year < 0:
		b = append(b, keyMark, 'u')
	case year > 9999:
		b = append(b, keyMark, 'w')
	default:
		return t.AppendFormat(append(b, keyMark, 'v'), keyTime)
	}
	return fmt.Appendf(appendInt(b, t.Unix()), ".%0*d", nanosDigits, t.Nanosecond())
}

// KeyParts returns the parts that [Key] has made a key of: a string, an int64, a uint64
// above those, or a time.Time in UTC for each. The error wraps [ErrKey] for any other key.
func KeyParts(key string) ([]any, error) {
	pieces := strings.Split(key, string(keySeparator))
	parts := make([]any, len(pieces))
	for i, piece := range pieces {
		part, ok := partOf(piece)
		if !ok || string(appendPart(nil, part)) != piece {
			return nil, fmt.Errorf("%q, part %d: %w", key, i+1, ErrKey)
		}
		parts[i] = part
	}
	return parts, nil
}

// partOf is the inverse of appendPart. It also takes forms that are not made: the caller
// looks.
func partOf(piece string) (part any, ok bool) {
	if piece == keyEmpty {
		return "", true
	}
	if len(piece) < 3 || piece[0] != keyMark {
		return textOf(piece)
	}
	switch c := piece[1]; {
	case 'a' <= c && c <= 't', 'H' <= c && c <= 'Z':
		return numberOf(c, piece[2:])
	case c == 'v':
		t, err := time.Parse(keyTime, piece[2:])
		return t, err == nil
	case c == 'u', c == 'w':
		return farTimeOf(piece[2:])
	}
	return textOf(piece)
}

func textOf(piece string) (string, bool) {
	text := make([]byte, 0, len(piece))
	for i := 0; i < len(piece); i++ {
		if piece[i] != keyMark {
			text = append(text, piece[i])
			continue
		}
		if i+2 >= len(piece) {
			return "", false
		}
		c, err := strconv.ParseUint(piece[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		text = append(text, byte(c))
		i += 2
	}
	return string(text), true
}

func numberOf(letter byte, digits string) (any, bool) {
	if letter <= 'Z' {
		n, err := strconv.ParseUint(string(fromNine([]byte(digits))), 10, 64)
		return -int64(n), err == nil //nolint:gosec // the caller compares
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if n <= math.MaxInt64 {
		return int64(n), err == nil
	}
	return n, err == nil
}

func farTimeOf(text string) (any, bool) {
	number, nanos, ok := strings.Cut(text, ".")
	if !ok || len(number) < 3 || len(nanos) != nanosDigits {
		return nil, false
	}
	part, ok := numberOf(number[1], number[2:])
	seconds, is := part.(int64)
	n, err := strconv.ParseUint(nanos, 10, 32)
	if !ok || !is || err != nil {
		return nil, false
	}
	return time.Unix(seconds, int64(n)).UTC(), true
}

// ScanKey gives back the parts that [Key] has made a key of, one to each pointer: to a
// string or an integer of whatever type, a []byte, a time.Time (in UTC), or an any (see
// [KeyParts]). The error wraps [ErrKey] where there are more parts or fewer, or one is of
// another type or out of its range; what is pointed to may have changed then. ScanKey
// panics on a pointer to another type.
func ScanKey(key string, into ...any) error {
	parts, err := KeyParts(key)
	if err != nil {
		return err
	}
	if len(parts) != len(into) {
		return fmt.Errorf("%q has %d parts, not %d: %w", key, len(parts), len(into), ErrKey)
	}
	for i, part := range parts {
		if !assign(part, into[i]) {
			return fmt.Errorf("%q: part %d, %v, is no %v: %w", key, i+1, part, reflect.TypeOf(into[i]).Elem(), ErrKey)
		}
	}
	return nil
}

func assign(part, into any) bool {
	to := reflect.ValueOf(into)
	if to.Kind() != reflect.Pointer || to.IsNil() {
		panic(fmt.Sprintf("projection: a part of a key cannot be put into %T", into))
	}
	to = to.Elem()
	switch target := into.(type) {
	case *any:
		*target = part
		return true
	case *time.Time:
		t, ok := part.(time.Time)
		*target = t
		return ok
	case *[]byte:
		s, ok := part.(string)
		*target = []byte(s)
		return ok
	}
	switch {
	case to.Kind() == reflect.String:
		s, ok := part.(string)
		to.SetString(s)
		return ok
	case to.CanInt():
		n, ok := part.(int64)
		if ok = ok && !to.OverflowInt(n); ok {
			to.SetInt(n)
		}
		return ok
	case to.CanUint():
		n, ok := part.(uint64)
		if signed, is := part.(int64); is && signed >= 0 {
			n, ok = uint64(signed), true
		}
		if ok = ok && !to.OverflowUint(n); ok {
			to.SetUint(n)
		}
		return ok
	}
	panic(fmt.Sprintf("projection: a part of a key cannot be put into %T", into))
}
