package jsonbson

import (
	"bytes"
	"math/bits"
	"slices"
	"strconv"
)

// decimal is an IEEE 754 decimal of 128 bits in binary integer encoding:
// a coefficient of 113 bits times ten to an exponent.
type decimal struct{ high, low uint64 }

const (
	decimalBias   = 6176
	decimalMaxExp = 6111
	decimalSign   = 1 << 63
	// Set in infinities and NaN, and in a form that only non-canonical zeros have.
	decimalSpecial     = 3 << 61
	decimalCoefficient = 1<<49 - 1 // of the high word
	plainZeros         = 6         // written out before the first digit of a fraction
)

// decimal returns the Decimal128 that is written like the literal.
func (n *number) decimal() (decimal, bool) {
	if n.lossy || n.exponent < -decimalBias || n.exponent > decimalMaxExp {
		return decimal{}, false
	}
	var d decimal
	for _, digit := range n.digits[:n.count] {
		carry, low := bits.Mul64(d.low, 10)
		var c uint64
		d.low, c = bits.Add64(low, uint64(digit), 0)
		d.high = d.high*10 + carry + c
	}
	d.high |= uint64(n.exponent+decimalBias) << 49
	if n.negative {
		d.high |= decimalSign
	}
	var buf [64]byte
	written, ok := d.appendJSON(buf[:0])
	return d, ok && bytes.Equal(written, n.text)
}

// appendJSON appends the number, without an exponent if that is short. It is
// false for infinities and NaN, which JSON does not have.
func (d decimal) appendJSON(dst []byte) ([]byte, bool) {
	if d.high&decimalSpecial == decimalSpecial {
		return dst, false
	}
	exponent := int(d.high&^decimalSign>>49) - decimalBias
	if d.high&decimalSign != 0 {
		dst = append(dst, '-')
	}
	start := len(dst)
	dst = appendUint128(dst, d.high&decimalCoefficient, d.low)
	count := len(dst) - start
	switch {
	case exponent == 0:
		return dst, true
	case exponent < 0 && -exponent < count:
		return slices.Insert(dst, len(dst)+exponent, '.'), true
	case exponent < 0 && -exponent <= count+plainZeros:
		zeros := "0.00000000"[:2-exponent-count]
		return slices.Insert(dst, start, []byte(zeros)...), true
	default:
		dst = append(dst, 'e')
		return strconv.AppendInt(dst, int64(exponent), 10), true
	}
}

// appendUint128 appends the decimal digits of a value below 2^113.
func appendUint128(dst []byte, high, low uint64) []byte {
	const places = 19
	const ten19 = 1e19
	if high == 0 {
		return strconv.AppendUint(dst, low, 10)
	}
	// high is below 2^49 and so below 10^19: the quotient fits.
	quotient, remainder := bits.Div64(high, low, ten19)
	dst = strconv.AppendUint(dst, quotient, 10)
	tail := strconv.AppendUint(make([]byte, 0, places), remainder, 10)
	for range places - len(tail) {
		dst = append(dst, '0')
	}
	return append(dst, tail...)
}
