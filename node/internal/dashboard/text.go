package dashboard

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// cut shortens a text to so many bytes, on a rune's boundary, and says so.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// clean replaces what would change how a text around it looks: control characters, and
// those that turn the direction of writing.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f:
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// short is a text in a line of a table.
func short(s string) string { return cut(clean(s), 160) }

// long is a text that has a place of its own.
func long(s string) string { return cut(clean(s), 16<<10) }

// count writes a whole number with commas.
func count[N int | int64 | uint64](n N) string {
	digits, sign := strconv.FormatInt(int64(n), 10), "" // nothing here is beyond
	if n < 0 {
		digits, sign = digits[1:], "−"
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// number is count for any of the types that templates have.
func number(n any) string {
	switch v := n.(type) {
	case int:
		return count(v)
	case int64:
		return count(v)
	case uint64:
		return count(v)
	}
	if v := reflect.ValueOf(n); v.CanUint() { // a version
		return count(v.Uint())
	}
	return fmt.Sprint(n)
}

// perSecond writes a rate.
func perSecond(f float64) string {
	switch {
	case math.IsNaN(f):
		return "–"
	case f == 0:
		return "0"
	case f < 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return count(int64(math.Round(f)))
}

// span writes a duration with as many digits as mean something.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "−" + span(-d)
	case d == 0:
		return "0"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 72*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return count(int(d.Hours()/24)) + " days"
}

// size writes bytes.
func size[N int64 | uint64](n N) string {
	const step = 1024
	value, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for value >= step && unit < len(units)-1 {
		value /= step
		unit++
	}
	if unit == 0 || value >= 100 {
		return strconv.FormatFloat(value, 'f', 0, 64) + " " + units[unit]
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + units[unit]
}

func bytesOf(n any) string {
	switch v := n.(type) {
	case int64:
		return size(v)
	case uint64:
		return size(v)
	}
	return fmt.Sprint(n)
}

// moment writes a time as a machine and a person read it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// ago writes how long ago something was. Clocks of others may be ahead.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return "–"
	case d < time.Second:
		return "now"
	default:
		return span(d) + " ago"
	}
}
