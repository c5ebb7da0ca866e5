package web

import (
	"strconv"
	"strings"
	"time"
)

// money writes cents as an amount with its sign.
func money(amount int64) string { return "$\u00a0" + cents(amount) }

// cents writes an amount as people type it, with thousands apart.
func cents(amount int64) string {
	sign := ""
	if amount < 0 {
		sign = "−"
	}
	text := strconv.FormatInt(amount%100, 10)
	text = strings.TrimPrefix(text, "-")
	if len(text) < 2 {
		text = "0" + text
	}
	return sign + strings.TrimPrefix(count(amount/100), "−") + "." + text
}

// count writes a number with its thousands apart.
func count(n int64) string {
	text, sign := strconv.FormatInt(n, 10), ""
	if digits, negative := strings.CutPrefix(text, "-"); negative {
		text, sign = digits, "−"
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// clock writes the time of a day, by UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
