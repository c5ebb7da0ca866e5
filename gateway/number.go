package gateway

import (
	"bytes"
	"encoding/json"
	"math/big"

	"github.com/ganglion-go/ganglion/actor"
)

// Numbers beyond these are left as they are: they fit into no integer.
const (
	maxExponent = "40" // of two digits
	maxMantissa = 80   // characters
)

// checkData returns the data of a command or query as its definition can decode them, or
// what is wrong with them, as an [*actor.Error].
func checkData(b *actor.Behavior, t actor.MessageType, name string, data []byte) ([]byte, error) {
	err := b.CheckCommand(t, name, data)
	if err == nil || !json.Valid(data) {
		return data, err
	}
	if other := writtenOut(data); b.CheckCommand(t, name, other) == nil {
		return other, nil
	}
	return data, err
}

// writtenOut returns a JSON text with each number that is whole as its digits alone: 1.0
// and 1e3 are integers as JSON Schema has it, and encoding/json does not decode them into
// one. It returns data itself if there is no such number. data is valid JSON.
func writtenOut(data []byte) []byte {
	var out []byte
	done := 0 // of data, what out has
	for i := 0; i < len(data); {
		switch c := data[i]; {
		case c == '"':
			i = afterString(data, i)
		case c == '-' || '0' <= c && c <= '9':
			end := i + 1
			for end < len(data) && bytes.IndexByte([]byte("+-.eE0123456789"), data[end]) >= 0 {
				end++
			}
			if digits := wholeNumber(data[i:end]); digits != "" {
				out = append(append(out, data[done:i]...), digits...)
				done = end
			}
			i = end
		default:
			i++
		}
	}
	if done == 0 {
		return data
	}
	return append(out, data[done:]...)
}

// afterString returns where a string that begins at i has ended.
func afterString(data []byte, i int) int {
	for i++; i < len(data) && data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(data))
}

// wholeNumber returns the digits of a number with a fraction or an exponent if it is a
// whole one, else "".
func wholeNumber(text []byte) string {
	if !bytes.ContainsAny(text, ".eE") || tooLong(text) {
		return ""
	}
	r, ok := new(big.Rat).SetString(string(text))
	if !ok || !r.IsInt() {
		return ""
	}
	return r.Num().String()
}

// tooLong reports whether a number, written out, would be longer than any that fits into
// an integer, by far.
func tooLong(text []byte) bool {
	mantissa, exponent, _ := bytes.Cut(bytes.ToLower(text), []byte("e"))
	exponent = bytes.TrimLeft(exponent, "+-0")
	return len(mantissa) > maxMantissa || len(exponent) > 2 || len(exponent) == 2 && string(exponent) > maxExponent
}
