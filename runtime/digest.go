package runtime

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// digestBytes is how much of a SHA-256 is kept with an outcome.
const digestBytes = 12

// digestOf returns the digest of a command's data that is kept with its outcome, so that
// another command under the same key is told apart from a repetition. It is empty for the
// runtime's own commands, whose ids follow from what they are, and for data that is no
// JSON. Data that is the same JSON has the same digest: the order of members, white space,
// escapes, and how a number is written do not count.
func digestOf(m *actor.Message) string {
	if m.Type != actor.TypeCommand || m.ID.Internal() || actor.Reserved(m.Name) {
		return ""
	}
	data := m.Data
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}") // as its handler takes it
	}
	if actor.TooDeep(data) {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return ""
	}
	h := sha256.New()
	digestValue(h, v)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:digestBytes])
}

// digestValue writes a value without ambiguity. A hash returns no error.
func digestValue(h hash.Hash, v any) {
	switch v := v.(type) {
	case map[string]any:
		digestText(h, '{', strconv.Itoa(len(v)))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			digestText(h, 'k', key)
			digestValue(h, v[key])
		}
	case []any:
		digestText(h, '[', strconv.Itoa(len(v)))
		for _, one := range v {
			digestValue(h, one)
		}
	case string:
		digestText(h, 's', v)
	case json.Number:
		digestText(h, 'n', plainNumber(v.String()))
	case bool:
		digestText(h, 'b', strconv.FormatBool(v))
	default:
		digestText(h, '0', "")
	}
}

func digestText(h hash.Hash, kind byte, text string) {
	_, _ = h.Write(strconv.AppendInt([]byte{kind}, int64(len(text)), 10))
	_, _ = io.WriteString(h, ":"+text)
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
	data uint64 // the beginning of its digest; 0: not kept
}

func commandOf(o *store.Outcome) command {
	digest, err := base64.RawURLEncoding.DecodeString(o.Digest)
	if err != nil || len(digest) < 8 {
		return command{}
	}
	return command{name: hashName(o.Name), data: binary.BigEndian.Uint64(digest)}
}

func hashName(name string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, name) // returns no error
	return h.Sum32()
}

// differs reports whether a message under the id of the command is another command:
// one of another name, or with other data. Names that the command had, or has now, are
// its own; data under different names is not compared.
func (c command) differs(b *actor.Behavior, m *actor.Message) bool {
	if c.data == 0 || m.ID.Internal() || actor.Reserved(m.Name) {
		return false
	}
	if c.name == hashName(m.Name) {
		other := commandOf(&store.Outcome{Name: m.Name, Digest: digestOf(m)})
		return c.data != other.data
	}
	return !slices.ContainsFunc(b.CommandNames(m.Name), func(name string) bool { return hashName(name) == c.name })
}

// keyReused is the outcome of a command under the id of another one. It is not executed.
// One that was only accepted has nobody who is told.
func (a *activation) keyReused(d *delivery) actor.Outcome {
	if d.Responder == nil {
		a.partition.cfg.Logger.Warn("command dropped: its id is that of another command, or of the same with other data",
			"aggregate", a.address.String(), "id", string(d.Message.ID), "name", d.Message.Name)
	}
	return actor.Failure(actor.CodeKeyReused, "the id was used for another command, or for the same with other data")
}
