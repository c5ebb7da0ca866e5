package actor

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxIDBytes is the longest aggregate id, in bytes of UTF-8.
const MaxIDBytes = 256

// ErrAddress reports an address that no aggregate can have: an unknown form of
// kind, or an id that is empty, longer than [MaxIDBytes] or not valid UTF-8.
var ErrAddress = errors.New("invalid aggregate address")

// Kind names a type of aggregate: 1 to 64 bytes of a to z, 0 to 9, '-' and '_',
// starting with a letter.
type Kind string

// Validate returns an error that wraps [ErrAddress] unless k has the form of a kind.
func (k Kind) Validate() error {
	if len(k) == 0 || len(k) > 64 || k[0] < 'a' || k[0] > 'z' {
		return fmt.Errorf("kind %q: %w", string(k), ErrAddress)
	}
	for i := range len(k) {
		if c := k[i]; !isLower(c) && !isDigit(c) && c != '-' && c != '_' {
			return fmt.Errorf("kind %q: %w", string(k), ErrAddress)
		}
	}
	return nil
}

// ID returns the address of the aggregate of this kind with the given id. A definition
// that names another one's aggregates by a constant Kind does not depend on that one's
// initialization, so that two definitions can name each other:
//
//	const RoomKind actor.Kind = "room"
//
//	ctx.Send(RoomKind.ID("r-1"), Release{}) // in a handler of bookings
func (k Kind) ID(id string) Address { return Address{Kind: k, ID: id} }

// Address names one aggregate: its kind and an id chosen by the caller. The id
// is any UTF-8 of 1 to [MaxIDBytes] bytes.
type Address struct {
	Kind Kind
	ID   string
}

// ParseAddress reads the form that [Address.String] writes, "kind/id". The id
// may itself contain slashes. The error wraps [ErrAddress].
func ParseAddress(s string) (Address, error) {
	kind, id, ok := strings.Cut(s, "/")
	if !ok {
		return Address{}, fmt.Errorf("address %q has no slash: %w", s, ErrAddress)
	}
	a := Address{Kind: Kind(kind), ID: id}
	return a, a.Validate()
}

// String returns "kind/id".
func (a Address) String() string { return string(a.Kind) + "/" + a.ID }

// Validate returns an error that wraps [ErrAddress] unless a can name an aggregate.
func (a Address) Validate() error {
	if err := a.Kind.Validate(); err != nil {
		return err
	}
	switch {
	case a.ID == "":
		return fmt.Errorf("empty id: %w", ErrAddress)
	case len(a.ID) > MaxIDBytes:
		return fmt.Errorf("id of %d bytes, the limit is %d: %w", len(a.ID), MaxIDBytes, ErrAddress)
	case !utf8.ValidString(a.ID):
		return fmt.Errorf("id is not valid UTF-8: %w", ErrAddress)
	}
	return nil
}

// Token returns the id as one legal NATS subject token: bytes other than ASCII
// letters, digits, '-' and '_' are written as %XX. The encoding is injective, at
// most three times as long as the id, and the partition is computed from it.
func (a Address) Token() string { return encodeToken(a.ID) }

// ParseToken is the inverse of [Address.Token]. It accepts only what Token
// writes, so that one id has one token. The error wraps [ErrAddress].
func ParseToken(token string) (string, error) {
	if !strings.Contains(token, "%") {
		if token == "" || encodeToken(token) != token {
			return "", fmt.Errorf("token %q: %w", token, ErrAddress)
		}
		return token, nil
	}
	id := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		if token[i] != '%' {
			id = append(id, token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", fmt.Errorf("token %q ends within an escape: %w", token, ErrAddress)
		}
		hi, lo := unhex(token[i+1]), unhex(token[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("token %q: %w", token, ErrAddress)
		}
		id = append(id, byte(hi<<4|lo))
		i += 2
	}
	if encodeToken(string(id)) != token {
		return "", fmt.Errorf("token %q is not in canonical form: %w", token, ErrAddress)
	}
	return string(id), nil
}

const upperHex = "0123456789ABCDEF"

func encodeToken(id string) string {
	escapes := 0
	for i := range len(id) {
		if !isTokenByte(id[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return id
	}
	out := make([]byte, 0, len(id)+2*escapes)
	for i := range len(id) {
		if c := id[i]; isTokenByte(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(out)
}

func isTokenByte(c byte) bool {
	return isLower(c) || isDigit(c) || c == '-' || c == '_' || 'A' <= c && c <= 'Z'
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func unhex(c byte) int { return strings.IndexByte(upperHex, c) }
