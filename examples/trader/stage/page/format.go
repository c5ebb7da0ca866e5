package page

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// unknown is what stands for a figure that nobody has measured.
const unknown = "–"

// Numbers from here on are written in millions, and then in powers of ten.
const (
	million = 1e6
	huge    = 1e12
)

// count writes a number with its thousands apart.
func count(n int64) string {
	text, sign := strconv.FormatInt(n, 10), ""
	if text[0] == '-' {
		text, sign = text[1:], "−"
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// finite reports whether a figure is one: a division by nothing has none.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// number writes a rate or a ratio with as many digits as people compare.
func number(v float64) string {
	size := math.Abs(v)
	switch {
	case !finite(v):
		return unknown
	case size >= huge:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case size >= million:
		return strconv.FormatFloat(v/million, 'f', 1, 64) + "\u00a0M"
	case size >= 9.95: // from there on it is written as 10
		return count(int64(math.Round(v)))
	case size < 0.05: // 0.0 would say as much
		return "0"
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// figure writes a number that may be unknown.
func figure(v *float64) string {
	if v == nil {
		return unknown
	}
	return number(*v)
}

// share writes a part of 1 in percent.
func share(v *float64) string {
	switch {
	case v == nil || !finite(*v):
		return unknown
	case *v == 0:
		return "0"
	case *v > 0 && *v < 0.001: // 0.0 % would hide it
		return "<\u00a00.1\u00a0%"
	}
	return number(*v*100) + "\u00a0%" // percent
}

// span writes how long something takes, to be read at a glance.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0\u00a0ms"
	case d < 10*time.Millisecond && d%time.Millisecond != 0:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + "\u00a0ms"
	case d < 999_500*time.Microsecond:
		return strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10) + "\u00a0ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "\u00a0s"
	}
	return age(d)
}

// duration writes one that may be unknown.
func duration(d *time.Duration) string {
	if d == nil {
		return unknown
	}
	return span(*d)
}

const day = 24 * time.Hour

// age writes how long ago something was, by whole units.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "\u00a0s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "\u00a0min"
	case d < 2*day:
		return strconv.Itoa(int(d/time.Hour)) + "\u00a0h"
	}
	return strconv.Itoa(int(d/day)) + "\u00a0days"
}

// since writes for how long something has been so; nothing, if that is unknown.
func since(from, now time.Time) string {
	if from.IsZero() {
		return ""
	}
	return age(now.Sub(from))
}

// offset writes when something was, counted from the start.
func offset(at, start time.Time) string {
	if at.IsZero() || start.IsZero() {
		return unknown
	}
	d := max(at.Sub(start), 0).Round(100 * time.Millisecond)
	whole := d.Truncate(time.Second)
	text := fmt.Sprintf("%02d:%02d.%d", int(whole.Minutes())%60, int(whole.Seconds())%60, (d-whole)/(100*time.Millisecond))
	if d >= time.Hour {
		return strconv.Itoa(int(d.Hours())) + ":" + text
	}
	return text
}

// clock writes how long the demonstration has been running.
func clock(d time.Duration) string {
	d = max(d, 0)
	text := fmt.Sprintf("%02d:%02d", int(d.Minutes())%60, int(d.Seconds())%60)
	if d >= time.Hour {
		return strconv.Itoa(int(d.Hours())) + ":" + text
	}
	return text
}

// short cuts a name to what a place in the picture holds.
func short(name string, most int) string {
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	return string([]rune(name)[:most-1]) + "…"
}

// title has a sentence begin with a capital letter.
func title(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if first == utf8.RuneError {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// plural writes a number with what is counted.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(int64(n)) + " " + many
}
