package stage

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"io"
	"strconv"
	"strings"

	"github.com/ganglion-go/ganglion/store"
)

// digest is one of what a command was answered. Two of the same JSON, however it is
// written, are the same.
type digest uint64

// digestOf returns that of an outcome: a reply and a rejection are never the same.
func digestOf(o *store.Outcome) digest {
	h := fnv.New64a()
	text := o.Reply
	if len(o.Rejection) > 0 {
		_, _ = io.WriteString(h, "rejection ") // a hash never fails
		text = o.Rejection
	}
	_, _ = h.Write(canonical(text))
	return digest(h.Sum64())
}

// canonical writes JSON with sorted keys and without spaces; what is none stays as it is.
func canonical(text []byte) []byte {
	if len(text) == 0 {
		return []byte("null")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return text
	}
	same, err := json.Marshal(plain(value))
	if err != nil {
		return text
	}
	return same
}

// plain has all numbers that are no integers as floating-point numbers: a store may write
// them another way.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		if f, err := value.Float64(); err == nil && strings.ContainsAny(value.String(), ".eE") {
			return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
		}
	case []any:
		for i := range value {
			value[i] = plain(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = plain(value[name])
		}
	}
	return value
}
