package jsonbson

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// number appends the number at next as the first of int64, double and Decimal128
// from which its literal comes back as it is. Integers are never doubles.
func (e *encoder) number(typeAt int) bool {
	n, ok := scanNumber(e.text[e.next:])
	if !ok {
		return false
	}
	e.next += n.size
	if v, ok := n.int64(); ok {
		e.out[typeAt] = typeInt64
		e.out = binary.LittleEndian.AppendUint64(e.out, uint64(v))
		return true
	}
	if f, ok := n.float64(); ok {
		e.out[typeAt] = typeDouble
		e.out = binary.LittleEndian.AppendUint64(e.out, math.Float64bits(f))
		return true
	}
	d, ok := n.decimal()
	if !ok {
		return false
	}
	e.out[typeAt] = typeDecimal
	e.out = binary.LittleEndian.AppendUint64(e.out, d.low)
	e.out = binary.LittleEndian.AppendUint64(e.out, d.high)
	return true
}

// number is a JSON number: its digits without leading zeros, times ten to the exponent.
type number struct {
	text     []byte // the literal
	size     int    // bytes of it
	negative bool
	integer  bool // neither fraction nor exponent
	digits   [maxDigits]byte
	count    int // of digits; 0: the number is zero
	exponent int
	lossy    bool // more digits than fit, or an absurd exponent
}

const (
	maxDigits   = 34 // of a Decimal128
	maxExponent = 1 << 20
)

// scanNumber reads the number that text begins with.
func scanNumber(text []byte) (n number, ok bool) {
	i := 0
	if i < len(text) && text[i] == '-' {
		n.negative = true
		i++
	}
	n.integer = true
	first := i
	for i < len(text) && isDigit(text[i]) {
		n.digit(text[i])
		i++
	}
	if i == first || text[first] == '0' && i > first+1 {
		return n, false
	}
	if i < len(text) && text[i] == '.' {
		n.integer = false
		i++
		first = i
		for i < len(text) && isDigit(text[i]) {
			n.digit(text[i])
			n.exponent--
			i++
		}
		if i == first {
			return n, false
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		n.integer = false
		size, ok := n.scanExponent(text[i+1:])
		if !ok {
			return n, false
		}
		i += 1 + size
	}
	n.text, n.size = text[:i], i
	return n, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digit takes the next digit. Leading zeros do not count.
func (n *number) digit(c byte) {
	switch {
	case n.count == 0 && c == '0':
	case n.count < maxDigits:
		n.digits[n.count] = c - '0'
		n.count++
	default:
		n.lossy = true
	}
}

func (n *number) scanExponent(text []byte) (size int, ok bool) {
	i, sign := 0, 1
	if i < len(text) && (text[i] == '+' || text[i] == '-') {
		if text[i] == '-' {
			sign = -1
		}
		i++
	}
	first, value := i, 0
	for i < len(text) && isDigit(text[i]) {
		if value < maxExponent {
			value = value*10 + int(text[i]-'0')
		}
		i++
	}
	n.exponent += sign * value
	n.lossy = n.lossy || value >= maxExponent
	return i, i > first
}

// int64 returns the value of an integer literal, if it has one: "-0" has none.
func (n *number) int64() (int64, bool) {
	if !n.integer || n.negative && n.count == 0 {
		return 0, false
	}
	v, err := strconv.ParseInt(string(n.text), 10, 64)
	return v, err == nil
}

// float64 returns the double that is written like the literal.
func (n *number) float64() (float64, bool) {
	if n.integer || n.lossy {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(n.text), 64)
	if err != nil {
		return 0, false
	}
	var buf [32]byte
	written, ok := appendDouble(buf[:0], f)
	return f, ok && bytes.Equal(written, n.text)
}
