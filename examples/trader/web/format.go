package web

import (
	"errors"
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

var (
	errMoney = errors.New("an amount has digits, and after a point one or two more: 12.50")
	errCount = errors.New("a number of shares is whole, and at least 1")
	errName  = errors.New("a name has 1 to 80 letters")
)

// isInput reports whether somebody has typed what cannot be.
func isInput(err error) bool {
	return errors.Is(err, errMoney) || errors.Is(err, errCount) || errors.Is(err, errName)
}

// digitsMax keeps what people type far below the range of an int64.
const digitsMax = 13

// parseMoney reads cents from an amount such as 12, 12.5, 12.50 and 1,000.00.
func parseMoney(text string) (int64, error) {
	whole, part, point := strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "$"), ".")
	whole = strings.ReplaceAll(strings.TrimSpace(whole), ",", "")
	if point && (part == "" || len(part) > 2) || whole == "" && part == "" || !digits(whole+part) || len(whole) > digitsMax {
		return 0, errMoney
	}
	n, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	if err != nil || n <= 0 {
		return 0, errMoney
	}
	return n, nil
}

// parseCount reads a number of shares.
func parseCount(text string) (int64, error) {
	text = strings.ReplaceAll(strings.TrimSpace(text), ",", "")
	if text == "" || !digits(text) || len(text) > digitsMax {
		return 0, errCount
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, errCount
	}
	return n, nil
}

func digits(text string) bool {
	return strings.Trim(text, "0123456789") == ""
}
