package runtime

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// Bounds of what a [canonical] writes: what has more members, or is nested deeper, is left
// to [appendDecoded].
const (
	canonicalMembers = 24 // of all objects that are open
	canonicalItems   = 99 // of an array
	canonicalDepth   = 16
)

// canonical writes the canonical form of JSON as it reads it, without decoding it: every
// command has a digest, and decoding cost a tenth of the time of a hot aggregate. It
// writes what [appendDecoded] writes, and gives up where that is not certain: at escapes,
// members of one name, and whatever may not be JSON.
type canonical struct {
	data    []byte
	at      int // in data
	out     []byte
	members [canonicalMembers]member // of the objects that are open
	open    int                      // of members
}

// member is where a member of an object is in the canonical form.
type member struct{ from, name, value, to int }

// canonicals are not in use. Each has more than a kilobyte, which would have to be cleared
// for each command.
var canonicals = sync.Pool{New: func() any { return &canonical{} }} //nolint:gochecknoglobals // a pool

// canonicalKept is the largest buffer that a canonical keeps.
const canonicalKept = 64 << 10

// write returns the canonical form of one JSON text, which is the receiver's. ok is false if
// it has given up.
func (c *canonical) write(data []byte) (_ []byte, ok bool) {
	c.data, c.at, c.open, c.out = data, 0, 0, c.out[:0]
	ok = c.value(0)
	if ok {
		c.space()
		ok = c.at == len(data)
	}
	form := c.out
	if c.data = nil; cap(form) > canonicalKept {
		c.out = nil
	}
	return form, ok
}

func (c *canonical) space() {
	for c.at < len(c.data) {
		switch c.data[c.at] {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return
		}
	}
}

// next passes over white space and returns what follows; 0 at the end.
func (c *canonical) next() byte {
	c.space()
	if c.at == len(c.data) {
		return 0
	}
	return c.data[c.at]
}

// takes passes over a byte if it follows.
func (c *canonical) takes(b byte) bool {
	if c.next() != b {
		return false
	}
	c.at++
	return true
}

func (c *canonical) value(depth int) bool {
	if depth > canonicalDepth {
		return false
	}
	switch c.next() {
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case '"':
		return c.text('s')
	case 't':
		return c.literal("true", 'b', "true")
	case 'f':
		return c.literal("false", 'b', "false")
	case 'n':
		return c.literal("null", '0', "")
	default:
		return c.number()
	}
}

func (c *canonical) literal(word string, kind byte, form string) bool {
	if !bytes.HasPrefix(c.data[c.at:], []byte(word)) {
		return false
	}
	c.at += len(word)
	c.out = appendText(c.out, kind, form)
	return true
}

// text writes a string that means what it says.
func (c *canonical) text(kind byte) bool {
	rest := c.data[c.at+1:]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return false
	}
	ascii := true
	for _, b := range rest[:end] {
		if b < ' ' || b == '\\' {
			return false
		}
		ascii = ascii && b < utf8.RuneSelf
	}
	if !ascii && !utf8.Valid(rest[:end]) {
		return false
	}
	c.at += end + 2
	c.out = appendText(c.out, kind, rest[:end])
	return true
}

func (c *canonical) number() bool {
	start, whole := c.at, true
	for ; c.at < len(c.data); c.at++ {
		switch b := c.data[c.at]; {
		case '0' <= b && b <= '9', b == '-' && c.at == start:
			continue
		case b == '.' || b == 'e' || b == 'E' || b == '+' || b == '-':
			whole = false
			continue
		}
		break
	}
	token := c.data[start:c.at]
	digits := bytes.TrimPrefix(token, []byte("-"))
	switch {
	case !whole:
		if !json.Valid(token) {
			return false
		}
		c.out = appendText(c.out, 'n', plainNumber(string(token)))
		return true
	case len(digits) == 0 || digits[0] == '0':
		c.out = appendText(c.out, 'n', "0")
		return len(digits) == 1
	}
	short := bytes.TrimRight(digits, "0")
	var room [32]byte
	form := append(room[:0], token[:len(token)-len(digits)+len(short)]...)
	form = append(form, 'e')
	form = strconv.AppendInt(form, int64(len(digits)-len(short)), 10)
	c.out = appendText(c.out, 'n', form)
	return true
}

func (c *canonical) array(depth int) bool {
	start, count := c.enter(), 0
	for !c.takes(']') {
		if count > 0 && !c.takes(',') || !c.value(depth+1) {
			return false
		}
		count++
	}
	return c.leave(start, '[', count)
}

func (c *canonical) object(depth int) bool {
	start, outer := c.enter(), c.open
	for !c.takes('}') {
		m := member{from: len(c.out)}
		if c.open > outer && !c.takes(',') || c.open == canonicalMembers || c.next() != '"' || !c.text('k') {
			return false
		}
		m.value = len(c.out)
		m.name = m.from + 1 + bytes.IndexByte(c.out[m.from+1:], ':')
		c.members[c.open] = m
		c.open++
		if !c.takes(':') || !c.value(depth+1) {
			return false
		}
		c.members[c.open-1].to = len(c.out)
	}
	members := c.members[outer:c.open]
	c.open = outer
	return c.sort(members) && c.leave(start, '{', len(members))
}

// sort brings members into the order of their names. It returns false if two have one.
func (c *canonical) sort(members []member) bool {
	name := func(m member) []byte { return c.out[m.name:m.value] }
	sorted := true
	for i := 1; i < len(members) && sorted; i++ {
		sorted = bytes.Compare(name(members[i-1]), name(members[i])) < 0
	}
	if sorted {
		return true
	}
	start := members[0].from
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(name(a), name(b)) })
	end := len(c.out)
	for i, m := range members { // behind the present form, and then over it
		if i > 0 && bytes.Equal(name(members[i-1]), name(m)) {
			return false
		}
		c.out = append(c.out, c.out[m.from:m.to]...)
	}
	copy(c.out[start:end], c.out[end:])
	c.out = c.out[:end]
	return true
}

// headMin is the length of what is before up to nine members: their number.
const headMin = len("{1:9")

// enter passes over a bracket, and leaves room for the number of what is inside.
func (c *canonical) enter() (start int) {
	c.at++
	start = len(c.out)
	c.out = append(c.out, "{1:0"...)
	return start
}

// leave writes the number of what was inside.
func (c *canonical) leave(start int, kind byte, count int) bool {
	if count > canonicalItems {
		return false
	}
	var room [headMin + 1]byte
	head := appendText(room[:0], kind, strconv.Itoa(count))
	if len(head) > headMin {
		c.out = slices.Insert(c.out, start, 0)
	}
	copy(c.out[start:], head)
	return true
}
