package jetstream

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/ganglion-go/ganglion/projection"
)

// common stands for the empty name of a projection. Nothing else is encoded like it.
const common = "%"

// generation is the prefix of all subjects of a generation.
func (s *Storage) generation(name string, generation uint64) string {
	if name == "" {
		name = common
	}
	return fmt.Sprintf("%s.view.%s.%d.", s.cfg.Namespace, name, generation)
}

// collection is the prefix of the subjects of a place.
func (s *Storage) collection(at projection.Place) string {
	return s.generation(at.Projection, at.Generation) + at.Collection + "."
}

func (s *Storage) subject(at projection.Place, key string) string {
	if len(key) > longKey {
		return s.collection(at) + longMark + base64.RawURLEncoding.EncodeToString([]byte(key))
	}
	return s.collection(at) + token(key)
}

// A server takes a line of 4096 bytes, so long keys are written in a form that takes a
// third more than they do and not up to three times as much. No token begins like it.
const (
	longKey  = 512 // bytes; builds before that form had no longer ones, nor has the engine
	longMark = "~"
)

// parse is the inverse of subject.
func (s *Storage) parse(subject string) (at projection.Place, key string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(subject, s.cfg.Namespace+".view."), ".")
	if len(parts) != 4 {
		return at, "", false
	}
	generation, err := strconv.ParseUint(parts[1], 10, 64)
	key, ok = keyOf(parts[3])
	at = projection.Place{Projection: parts[0], Generation: generation, Collection: parts[2]}
	if at.Projection == common {
		at.Projection = ""
	}
	return at, key, ok && err == nil
}

// keyOf is the inverse of what subject makes of a key.
func keyOf(t string) (key string, ok bool) {
	if long, is := strings.CutPrefix(t, longMark); is {
		data, err := base64.RawURLEncoding.DecodeString(long)
		return string(data), err == nil
	}
	return untoken(t)
}

const upperHex = "0123456789ABCDEF"

// token returns text as one legal subject token: bytes other than ASCII letters,
// digits, '-' and '_' are written as %XX.
func token(text string) string {
	out := make([]byte, 0, len(text)+16)
	for i := range len(text) {
		if c := text[i]; isTokenByte(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(out)
}

func untoken(t string) (string, bool) {
	out := make([]byte, 0, len(t))
	for i := 0; i < len(t); i++ {
		if t[i] != '%' {
			out = append(out, t[i])
			continue
		}
		if i+2 >= len(t) {
			return "", false
		}
		c, err := strconv.ParseUint(t[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		out = append(out, byte(c))
		i += 2
	}
	return string(out), true
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
