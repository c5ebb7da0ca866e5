package jsonbson

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deep JSON may nest. The server's own limit for stored
// documents is 180.
const MaxDepth = 90

// maxBytes bounds what one value may grow to. BSON spells out array indexes and
// takes 8 bytes for a digit, so that it can be several times as long as its JSON.
const maxBytes = 16 << 20

// The BSON types that JSON maps to.
const (
	typeDouble   = 0x01
	typeString   = 0x02
	typeDocument = 0x03
	typeArray    = 0x04
	typeBoolean  = 0x08
	typeNull     = 0x0A
	typeInt32    = 0x10
	typeInt64    = 0x12
	typeDecimal  = 0x13
)

// AppendElement appends the JSON text as a BSON element with that key, which
// must not contain NUL. It declines with ok false, and returns dst as it was,
// when the text has no lossless form in BSON.
func AppendElement(dst []byte, key string, text []byte) (_ []byte, ok bool) {
	e := encoder{text: text, out: dst, limit: len(dst) + maxBytes}
	at := len(e.out)
	e.out = append(e.out, 0)
	e.out = append(e.out, key...)
	e.out = append(e.out, 0)
	e.space()
	if !e.value(at, 0) {
		return dst, false
	}
	e.space()
	if e.next != len(text) || len(e.out) > e.limit {
		return dst, false
	}
	return e.out, true
}

// encoder walks over text and appends to out. Its methods return false where the
// text has no lossless form.
type encoder struct {
	text  []byte
	next  int // index in text
	out   []byte
	limit int // of len(out)
}

func (e *encoder) space() {
	for e.next < len(e.text) {
		switch e.text[e.next] {
		case ' ', '\t', '\n', '\r':
			e.next++
		default:
			return
		}
	}
}

// peek returns the next byte of the text, 0 at its end.
func (e *encoder) peek() byte {
	if e.next < len(e.text) {
		return e.text[e.next]
	}
	return 0
}

// value appends a value to an element whose header is complete but for the type,
// which goes to out[typeAt].
func (e *encoder) value(typeAt, depth int) bool {
	if len(e.out) > e.limit {
		return false
	}
	switch c := e.peek(); c {
	case '{':
		e.out[typeAt] = typeDocument
		return depth < MaxDepth && e.object(depth+1)
	case '[':
		e.out[typeAt] = typeArray
		return depth < MaxDepth && e.array(depth+1)
	case '"':
		e.out[typeAt] = typeString
		return e.stringValue()
	case 't':
		e.out[typeAt] = typeBoolean
		e.out = append(e.out, 1)
		return e.literal("true")
	case 'f':
		e.out[typeAt] = typeBoolean
		e.out = append(e.out, 0)
		return e.literal("false")
	case 'n':
		e.out[typeAt] = typeNull
		return e.literal("null")
	default:
		return (c == '-' || '0' <= c && c <= '9') && e.number(typeAt)
	}
}

func (e *encoder) literal(word string) bool {
	if !bytes.HasPrefix(e.text[e.next:], []byte(word)) {
		return false
	}
	e.next += len(word)
	return true
}

func (e *encoder) object(depth int) bool {
	start := e.open()
	var seen keySet
	e.next++
	e.space()
	if e.peek() == '}' {
		e.next++
		return e.close(start)
	}
	for {
		typeAt := len(e.out)
		e.out = append(e.out, 0)
		if e.peek() != '"' || !e.stringBody() || !validKey(e.out[typeAt+1:]) ||
			!seen.add(e.out[start+4:typeAt], e.out[typeAt+1:]) {
			return false
		}
		e.out = append(e.out, 0)
		e.space()
		if e.peek() != ':' {
			return false
		}
		e.next++
		e.space()
		if !e.value(typeAt, depth) {
			return false
		}
		more, ok := e.separator('}')
		if !ok {
			return false
		}
		if !more {
			return e.close(start)
		}
	}
}

func (e *encoder) array(depth int) bool {
	start := e.open()
	e.next++
	e.space()
	if e.peek() == ']' {
		e.next++
		return e.close(start)
	}
	for i := int64(0); ; i++ {
		typeAt := len(e.out)
		e.out = append(e.out, 0)
		e.out = strconv.AppendInt(e.out, i, 10)
		e.out = append(e.out, 0)
		if !e.value(typeAt, depth) {
			return false
		}
		more, ok := e.separator(']')
		if !ok {
			return false
		}
		if !more {
			return e.close(start)
		}
	}
}

// separator consumes a comma (more) or the closing bracket.
func (e *encoder) separator(closing byte) (more, ok bool) {
	e.space()
	c := e.peek()
	if c != ',' && c != closing {
		return false, false
	}
	e.next++
	if c == closing {
		return false, true
	}
	e.space()
	return true, true
}

func (e *encoder) open() (start int) {
	start = len(e.out)
	e.out = append(e.out, 0, 0, 0, 0)
	return start
}

func (e *encoder) close(start int) bool {
	e.out = append(e.out, 0)
	binary.LittleEndian.PutUint32(e.out[start:], uint32(len(e.out)-start))
	return true
}

// validKey declines what BSON cannot hold, and what the server gives a meaning.
func validKey(key []byte) bool {
	return (len(key) == 0 || key[0] != '$') && bytes.IndexByte(key, 0) < 0
}

func (e *encoder) stringValue() bool {
	start := e.open()
	if !e.stringBody() {
		return false
	}
	e.out = append(e.out, 0)
	binary.LittleEndian.PutUint32(e.out[start:], uint32(len(e.out)-start-4))
	return true
}

// stringBody appends the characters of the JSON string at next, which begins
// with a quotation mark.
func (e *encoder) stringBody() bool {
	e.next++
	from := len(e.out)
	ascii := true
	for run := e.next; e.next < len(e.text); {
		if e.next += plain(e.text[e.next:]); e.next == len(e.text) {
			break
		}
		c := e.text[e.next]
		switch {
		case c == '"':
			e.out = append(e.out, e.text[run:e.next]...)
			e.next++
			return ascii || utf8.Valid(e.out[from:])
		case c == '\\':
			e.out = append(e.out, e.text[run:e.next]...)
			if !e.escape() {
				return false
			}
			run = e.next
		case c < ' ' || c == '<' || c == '>' || c == '&' || isLineSeparator(e.text[e.next:]):
			return false
		default:
			ascii = ascii && c < utf8.RuneSelf
			e.next++
		}
	}
	return false
}

// plain returns how many bytes at the beginning of text are certainly ASCII characters
// that stand for themselves. It looks at eight at a time, and stops at the first eight
// of which one may not be.
func plain(text []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(text)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(text[n:])
		found := x | (x-ones*' ')&^x // not ASCII, or a control character
		for _, c := range [...]uint64{'"', '\\', '<', '>', '&'} {
			y := x ^ ones*c
			found |= (y - ones) &^ y
		}
		if found&highs != 0 {
			break
		}
	}
	return n
}

// isLineSeparator reports whether text begins with U+2028 or U+2029.
func isLineSeparator(text []byte) bool {
	return text[0] == 0xE2 && len(text) > 2 && text[1] == 0x80 && text[2]|1 == 0xA9
}

// escape appends the character that the escape sequence at next stands for. It takes the
// sequences that encoding/json writes.
func (e *encoder) escape() bool {
	if e.next+1 >= len(e.text) {
		return false
	}
	c := e.text[e.next+1]
	e.next += 2
	switch c {
	case '"', '\\':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return e.unicodeEscape()
	default:
		return false
	}
	e.out = append(e.out, c)
	return true
}

// unicodeEscape appends the rune of the hexadecimal digits at next, if it is one that is
// written in this way.
func (e *encoder) unicodeEscape() bool {
	r, ok := e.hex4()
	if !ok || !escaped(r) {
		return false
	}
	e.out = utf8.AppendRune(e.out, r)
	return true
}

func escaped(r rune) bool {
	switch r {
	case '\b', '\f', '\n', '\r', '\t':
		return false
	case '<', '>', '&', '\u2028', '\u2029':
		return true
	default:
		return r < ' '
	}
}

func (e *encoder) hex4() (r rune, ok bool) {
	if e.next+4 > len(e.text) {
		return 0, false
	}
	for _, c := range e.text[e.next : e.next+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	e.next += 4
	return r, true
}
