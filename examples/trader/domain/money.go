package domain

import "math"

// product returns a*b for two positive numbers; ok is false when it overflows.
func product(a, b int64) (_ int64, ok bool) {
	if a > math.MaxInt64/b {
		return 0, false
	}
	return a * b, true
}

// fits reports whether the sum of numbers that are not negative is an int64.
func fits(numbers ...int64) bool {
	room := int64(math.MaxInt64)
	for _, n := range numbers {
		if n > room {
			return false
		}
		room -= n
	}
	return true
}
