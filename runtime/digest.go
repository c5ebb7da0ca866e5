package runtime

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// digestBytes is how much of a SHA-256 of its data is kept with an outcome, and byBytes
// how much of that of its user's name.
const (
	digestBytes = 12
	byBytes     = 4
)

// digestOf returns the digest of a command's data, and of its user's name if it has one,
// that is kept with its outcome, so that another command under the same key, or somebody
// else's, is told apart from a repetition. It is empty for the runtime's own commands, whose ids follow from what they are, and for data that is no
// JSON. Data that is the same JSON has the same digest: the order of members, white space,
// escapes, and how a number is written do not count.
func digestOf(m *actor.Message) (d digest) {
	if m.Type != actor.TypeCommand || m.ID.Internal() || actor.Reserved(m.Name) {
		return digest{}
	}
	data := m.Data
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}") // as its handler takes it
	}
	if actor.TooDeep(data) {
		return digest{}
	}
	sum, ok := canonicalSum(data)
	if !ok {
		return digest{}
	}
	d.length = copy(d.bytes[:], sum[:digestBytes])
	if by := hashUser(m.Metadata.User); by != 0 {
		// Behind the digest of the data: builds that know nothing of it read that alone.
		binary.BigEndian.PutUint32(d.bytes[digestBytes:], by)
		d.length = len(d.bytes)
	}
	return d
}

// canonicalSum is the SHA-256 of the canonical form of JSON. ok is false for what is no JSON.
func canonicalSum(data []byte) (sum [sha256.Size]byte, ok bool) {
	c := canonicals.Get().(*canonical) //nolint:forcetypeassert // of that type alone
	defer canonicals.Put(c)
	form, ok := c.write(data)
	if !ok {
		if form, ok = appendDecodedJSON(nil, data); !ok {
			return sum, false
		}
	}
	return sha256.Sum256(form), true
}

// digest is that of a command's data, and of its user's name. No length: there is none.
type digest struct {
	bytes  [digestBytes + byBytes]byte
	length int
}

// String is its stored form.
func (d *digest) String() string {
	var text [(digestBytes+byBytes)*4/3 + 2]byte
	return string(base64.RawURLEncoding.AppendEncode(text[:0], d.bytes[:d.length]))
}

// appendDecodedJSON appends the canonical form of JSON to buf, whatever it is written
// like. ok is false for what is no JSON.
func appendDecodedJSON(buf, data []byte) (_ []byte, ok bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	return appendDecoded(buf, v), true
}

// appendDecoded appends the canonical form of a value to buf: one that is the same for the
// same JSON, and no other's.
func appendDecoded(buf []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		buf = appendText(buf, '{', strconv.Itoa(len(v)))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			buf = appendDecoded(appendText(buf, 'k', key), v[key])
		}
		return buf
	case []any:
		buf = appendText(buf, '[', strconv.Itoa(len(v)))
		for _, one := range v {
			buf = appendDecoded(buf, one)
		}
		return buf
	case string:
		return appendText(buf, 's', v)
	case json.Number:
		return appendText(buf, 'n', plainNumber(v.String()))
	case bool:
		return appendText(buf, 'b', strconv.FormatBool(v))
	default:
		return appendText(buf, '0', "")
	}
}

func appendText[T string | []byte](buf []byte, kind byte, text T) []byte {
	buf = strconv.AppendInt(append(buf, kind), int64(len(text)), 10)
	return append(append(buf, ':'), text...)
}

// plainNumber returns one form for all ways to write a JSON number: its digits without
// zeros at either end, and the power of ten that they are multiplied by.
func plainNumber(text string) string {
	mantissa, power, _ := strings.Cut(strings.ToLower(text), "e")
	sign := ""
	if digits, negative := strings.CutPrefix(mantissa, "-"); negative {
		sign, mantissa = "-", digits
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return "0"
	}
	exponent := int64(0)
	if power != "" {
		var err error
		if exponent, err = strconv.ParseInt(power, 10, 32); err != nil {
			return text // beyond all numbers: as it is written
		}
	}
	exponent += int64(len(digits)-len(short)) - int64(len(fraction))
	return sign + short + "e" + strconv.FormatInt(exponent, 10)
}

// command tells in a few bytes what an outcome is of, as an activation keeps many.
type command struct {
	name uint32 // a hash of it
	by   uint32 // a digest of its user's name; 0: there is none, or it is not kept
	data uint64 // the beginning of its digest; 0: not kept
}

func commandOf(o *store.Outcome) command {
	var room [2 * digestBytes]byte
	stored, err := base64.RawURLEncoding.AppendDecode(room[:0], []byte(o.Digest))
	if err != nil {
		return command{}
	}
	var d digest
	d.length = copy(d.bytes[:], stored)
	return d.of(o.Name)
}

// of returns what is kept of a command with that digest.
func (d *digest) of(name string) command {
	if d.length < 8 {
		return command{}
	}
	c := command{name: hashName(name), data: binary.BigEndian.Uint64(d.bytes[:])}
	if d.length >= digestBytes+byBytes {
		c.by = binary.BigEndian.Uint32(d.bytes[digestBytes:])
	}
	return c
}

// hashUser returns 0 for nobody.
func hashUser(user string) uint32 {
	if user == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(user))
	return binary.BigEndian.Uint32(sum[:])
}

// hashName is FNV-1a (Fowler, Noll, Vo), of 32 bits.
func hashName(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// differs reports whether a message under the id of the command is another command:
// one of another name, with other data, or on behalf of another user. Names that the
// command had, or has now, are its own; data under different names is not compared, nor
// are users of whom one is not named.
func (c command) differs(b *actor.Behavior, m *actor.Message) bool {
	if c.data == 0 || m.ID.Internal() || actor.Reserved(m.Name) {
		return false
	}
	if by := hashUser(m.Metadata.User); c.by != 0 && by != 0 && c.by != by {
		return true
	}
	if c.name == hashName(m.Name) {
		d := digestOf(m)
		return c.data != d.of(m.Name).data
	}
	return !slices.ContainsFunc(b.CommandNames(m.Name), func(name string) bool { return hashName(name) == c.name })
}

// keyReused is the outcome of a command under the id of another one. It is not executed.
// One that was only accepted has nobody who is told.
func (a *activation) keyReused(d *delivery) actor.Outcome {
	if d.Responder == nil {
		a.partition.cfg.Logger.Warn("command dropped: its id is that of another command, of the same with other data, or of another user's",
			"aggregate", a.address.String(), "id", string(d.Message.ID), "name", d.Message.Name)
	}
	return actor.Failure(actor.CodeKeyReused, "the id was used for another command, for the same with other data, or by another user")
}
