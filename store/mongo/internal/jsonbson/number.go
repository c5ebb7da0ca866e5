package jsonbson

import (
	"encoding/binary"
	"math"
	"strconv"
)

// number appends the number at next as the first of int64, double and Decimal128
// that holds its exact value. Integers are never doubles, so that they come back
// as integers.
func (e *encoder) number(typeAt int) bool {
	n, ok := scanNumber(e.text[e.next:])
	if !ok {
		return false
	}
	e.next += n.size
	if n.integer {
		if v, ok := n.int64(); ok {
			e.out[typeAt] = typeInt64
			e.out = binary.LittleEndian.AppendUint64(e.out, uint64(v))
			return true
		}
	} else if f, ok := n.float64(); ok {
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

// number is a JSON number: its digits without leading and trailing zeros, times
// ten to the exponent.
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
	exactDigits = 15  // any decimal of so many digits survives a double
	safeRange   = 290 // of the decimal exponent, far from overflow and subnormals
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
	n.trim()
	return n, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digit takes the next digit. Leading zeros do not count; beyond the last place
// a zero only moves the exponent, until a digit follows that does not fit.
func (n *number) digit(c byte) {
	switch {
	case n.count == 0 && c == '0':
	case n.count < maxDigits:
		n.digits[n.count] = c - '0'
		n.count++
	case c == '0':
		n.exponent++
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

func (n *number) trim() {
	for n.count > 0 && n.digits[n.count-1] == 0 {
		n.count--
		n.exponent++
	}
	if n.count == 0 {
		n.exponent = 0
	}
}

// int64 returns the value of an integer literal, if it has one: "-0" has none.
func (n *number) int64() (int64, bool) {
	if n.count == 0 {
		return 0, !n.negative
	}
	v, err := strconv.ParseInt(string(n.text), 10, 64)
	return v, err == nil
}

// float64 returns the double that has exactly this value in its shortest
// notation.
func (n *number) float64() (float64, bool) {
	f, err := strconv.ParseFloat(string(n.text), 64)
	if err != nil || n.lossy {
		return 0, false
	}
	if n.count <= exactDigits && -safeRange < n.exponent && n.exponent < safeRange {
		return f, true
	}
	var buf [32]byte
	shortest, _ := scanNumber(strconv.AppendFloat(buf[:0], f, 'e', -1, 64))
	same := n.count == shortest.count && n.exponent == shortest.exponent &&
		n.digits == shortest.digits
	return f, same
}
