package jetstream_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"unicode"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
)

// decode is the inverse of the encoding, written down a second time.
func decode(t *testing.T, tokens string) store.Aggregate {
	t.Helper()
	kind, id, ok := strings.Cut(tokens, ".")
	if !ok {
		t.Fatalf("%q has no two tokens", tokens)
	}
	text := func(token string) string {
		if token == "%" {
			return ""
		}
		var out []byte
		for i := 0; i < len(token); i++ {
			if token[i] != '%' {
				out = append(out, token[i])
				continue
			}
			b, err := hex.DecodeString(token[i+1 : i+3])
			if err != nil {
				t.Fatalf("token %q: %v", token, err)
			}
			out = append(out, b...)
			i += 2
		}
		return string(out)
	}
	if kind == "%%" {
		return store.Aggregate(text(id))
	}
	return store.Aggregate(text(kind) + "/" + text(id))
}

func FuzzAggregateTokens(f *testing.F) {
	for _, a := range []string{"", "/", "a", "a/", "/a", "a/b", "a/b/c", "a/b.c", "a/*", "a/>", "a/ ", "%", "%/%", "a/%2E", "a/.", "é/🙂", "\x00/\xff"} {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens := jetstream.AggregateTokens(store.Aggregate(text))
		if parts := strings.Split(tokens, "."); len(parts) != 2 || parts[0] == "" || parts[1] == "" {
			t.Fatalf("%q is encoded as %q, want two tokens", text, tokens)
		}
		for _, r := range tokens {
			if r > unicode.MaxASCII || unicode.IsSpace(r) || unicode.IsControl(r) || r == '*' || r == '>' {
				t.Fatalf("%q is encoded as %q with illegal %q", text, tokens, r)
			}
		}
		if back := decode(t, tokens); back != store.Aggregate(text) {
			t.Fatalf("%q is encoded as %q, which means %q", text, tokens, back)
		}
	})
}
