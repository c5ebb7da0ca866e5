package wire

import (
	"encoding/hex"
	"fmt"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// escape writes any text as a header value: bytes other than visible ASCII, and
// '%', become %XX. Line breaks would end the header, and blanks at the ends are
// trimmed on the way.
func escape(s string) string {
	escapes := 0
	for i := range len(s) {
		if !isPlain(s[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*escapes)
	for i := range len(s) {
		if c := s[i]; isPlain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// unescape is the inverse of escape. It accepts anything that has no broken escape.
func unescape(s string) (string, error) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for i >= 0 {
		b.WriteString(s[:i])
		if len(s) < i+3 {
			return "", fmt.Errorf("value ends within an escape: %w", ErrWire)
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", fmt.Errorf("escape %q: %w", s[i:i+3], ErrWire)
		}
		b.Write(c)
		s = s[i+3:]
		i = strings.IndexByte(s, '%')
	}
	b.WriteString(s)
	return b.String(), nil
}

func isPlain(c byte) bool { return c > ' ' && c < 0x7f && c != '%' }
